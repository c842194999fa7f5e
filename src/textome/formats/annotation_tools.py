"""Records as other annotation tools write them, put into Textome's own members.

    doccano         {"text": ..., "label": [[0, 4, "Disease"]]}, or "labels", or "entities" with start_offset and end_offset
    Prodigy         {"text": ..., "spans": [{"start": 0, "end": 4, "label": "Disease"}], "answer": "accept"}
    spaCy           {"text": ..., "ents": [{"start": 0, "end": 4, "label": "Disease"}]}, [text, {"entities": [...]}]
    PubAnnotation   {"text": ..., "denotations": [{"span": {"begin": 0, "end": 4}, "obj": "Disease"}]}
    Label Studio    {"data": {"text": ...}, "annotations": [{"result": [...]}]}, and its short form, as in its CSV
    OpenAlex        {"title": ..., "abstract_inverted_index": {"Gout": [0], "hurts.": [1]}}
    BigBio, Hugging Face   "offsets" and "entity_group" of an entity; {"tokens": [...], "ner_tags": ["B-Disease", ...]}

Gold annotations are never lost in silence: a member that looks like annotations, under a name that is not known, is an
error, and so is an annotation without a type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textome.errors import InputError
from textome.formats.reading.json_values import parse_json
from textome.formats.reading.members import described
from textome.formats.reading.offsets import in_code_points

_STARTS = ("start", "start_offset", "begin", "start_char", "startOffset")
_ENDS = ("end", "end_offset", "end_char", "endOffset")
_OFFSETS = (*_STARTS, "span", "offsets")
_TYPES = ("label", "type", "labels", "obj", "entity_group", "entity_type", "entity", "category", "class", "tag")
_CONTAINERS = ("entities", "label", "labels", "spans", "ents", "denotations", "annotations", "ner")
# Words and sentences have offsets too, but are not annotations.
_NO_ANNOTATIONS = ("tokens", "sents", "sentences", "passages", "words", "divisions", "blocks", "predictions", "result")
_TAGS = ("ner_tags", "tags", "labels", "ner", "bio_tags")
_TASK_MEMBERS = ("annotations", "completions", "predictions")
_REJECTED = ("reject", "ignore")
_MAX_CHARACTERS = 1_000_000
Members = dict[str, Any]


class RejectedError(InputError):
    """A record that its annotator rejected: it is neither data nor an error."""

    def __init__(self) -> None:
        super().__init__("rejected by the annotator")


def own_members(value: Any) -> Any:
    """A record of another tool in the members of `jsonl`; any other value as it is.

    Raises RejectedError for a record that its annotator rejected, and InputError for annotations that cannot be read.
    """
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
        value = {"text": value[0]} | value[1]  # spaCy's tuples for training
    if not isinstance(value, dict) or "passages" in value:
        return value
    if isinstance(index := value.get("abstract_inverted_index"), dict) and value.get("abstract") is None:
        others = {key: item for key, item in value.items() if key != "abstract_inverted_index"}
        value = others | {"abstract": _in_order(index)}
    if value.get("answer") in _REJECTED:
        raise RejectedError
    task = value.get("data")
    if isinstance(task, dict) and (any(key in value for key in _TASK_MEMBERS) or isinstance(task.get("text"), str)):
        return _label_studio(value)
    if isinstance(value.get("meta"), dict) and "spans" in value:
        value = _prodigy(value)
    if (
        "text" not in value
        and isinstance(value.get("data"), str)
        and {"label", "labels", *_containers(value)} & {*value}
    ):
        value = {"text" if key == "data" else key: item for key, item in value.items()}
    if isinstance(value.get("tokens"), list) and all(isinstance(word, str) for word in value["tokens"]):
        return _tagged_words(value)
    return _standoff(value)


def _in_order(index: Mapping[str, Any]) -> str:
    """The text of an inverted index, {word: [positions]}, as OpenAlex has abstracts."""
    if not all(
        isinstance(positions, list) and all(type(position) is int for position in positions)
        for positions in index.values()
    ):
        raise InputError("abstract_inverted_index: expected lists of whole numbers by their words")
    if sum(len(word) * len(positions) for word, positions in index.items()) > _MAX_CHARACTERS:
        raise InputError(f"abstract_inverted_index: more than {_MAX_CHARACTERS:,} characters")
    words = {position: word for word, positions in index.items() for position in positions}
    return " ".join(words[position] for position in sorted(words))


def is_annotations(value: Any) -> bool:
    """Whether a value is a list of annotations: spans with their types."""
    return _has_offsets(value) and (isinstance(value[0], list) or any(key in value[0] for key in _TYPES))


def _looks_annotated(value: Any) -> bool:
    """Whether a value has annotations in any layout: spans with their types, or grouped by types, or points of spans."""
    if isinstance(value, dict):
        return any(_is_grouped(item) for item in value.values())
    return is_annotations(value) or (
        isinstance(value, list)
        and any(isinstance(item, dict) and any(_has_offsets(inner) for inner in item.values()) for item in value)
    )


def _is_grouped(value: Any) -> bool:
    """Whether a value is a list of spans without types, which are named outside."""
    if isinstance(value, list) and value and all(isinstance(item, list) and len(item) >= 2 for item in value):
        return all(type(offset) is int for item in value for offset in item[:2])
    return _has_offsets(value)


def _has_offsets(value: Any) -> bool:
    """Whether a value is a list of things with offsets, which are not our own entities."""
    if not isinstance(value, list) or not value:
        return False
    if isinstance(value[0], list):
        return len(value[0]) >= 3 and all(type(offset) is int for offset in value[0][:2])
    return isinstance(value[0], dict) and "spans" not in value[0] and any(key in value[0] for key in _OFFSETS)


def _containers(value: Members) -> list[str]:
    # Textome's own labels may have a span, but no type.
    keys = [key for key in _CONTAINERS if (is_annotations if key == "labels" else _has_offsets)(value.get(key))]
    spans = value.get("spans")
    return [*keys, "spans"] if isinstance(spans, dict) and any(map(is_annotations, spans.values())) else keys


def _standoff(value: Members) -> Members:
    """A text with annotations beside it."""
    containers = _containers(value)
    known = {*_CONTAINERS, *_NO_ANNOTATIONS, "relations", "metadata", "tracks"}
    if strange := [key for key, item in value.items() if key not in known and _looks_annotated(item)]:
        raise InputError(
            f"the member {strange[0]!r} looks like annotations and would be lost; call it 'entities', with 'type' and "
            "'spans' for each"
        )
    items: list[Any] = []
    for key in containers:
        member = value[key]
        groups = member.values() if isinstance(member, dict) else [member]
        items += [item for group in groups for item in group if item not in items]
    tracks = value.get("tracks")
    for track in tracks if isinstance(tracks, list) else ():
        items += track.get("denotations", ()) if isinstance(track, dict) else ()
    members = {key: item for key, item in value.items() if key not in containers}
    labels = _class_labels(members)
    if not items:
        return members | labels
    text = members.get("text")
    if not isinstance(text, str):
        raise InputError(f"there are annotations, but text is {described(text)}; their offsets need it")
    if "sourceid" in members and "id" not in members:
        members["id"] = members["sourceid"]
    entities = _entities(text, items)
    attributes = members.pop("attributes", None)
    return members | labels | {"entities": entities, "relations": _relations(members, entities, attributes)}


def _class_labels(members: Members) -> Members:
    """Labels of the whole text: `label: "A"` or `labels: ["A", "B"]`; they are not annotations of spans."""
    value = members.get("labels", members.get("label"))
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        members.pop("label", None)
        return {"labels": [{"name": name} for name in names]}
    return {}


def _entities(text: str, items: Sequence[Any]) -> list[Members]:
    """Entities with their spans in code points: the unit is told from the texts that annotations bring along."""
    parsed = [_annotation(item) for item in items]
    names = [f"annotation {number}" for number in range(1, len(parsed) + 1)]
    spans = in_code_points(text, [(pairs, expected) for pairs, _, expected, _ in parsed], names)
    return [
        {"type": kind, "spans": [list(span) for span in where]} | ({"id": name} if name else {})
        for (_, kind, _, name), where in zip(parsed, spans, strict=True)
    ]


def _annotation(item: Any) -> tuple[list[tuple[int, int]], str, str | None, str]:
    """Offsets, type, the text it should have if there is one, and id of one annotation."""
    if isinstance(item, list) and len(item) >= 3:
        return [_pair(item[0], item[1])], _type(item[2]), None, ""
    if not isinstance(item, dict):
        raise InputError(f"an annotation: expected an object or [start, end, type], found {described(item)}")
    span = item.get("span", item.get("offsets"))
    if isinstance(span, list) and span and isinstance(span[0], list | dict):
        pairs = [_span(part) for part in span]
    else:
        pairs = [_span(item if span is None else span)]
    kind = next((item[key] for key in _TYPES if key in item), None)
    expected = item.get("text")
    if isinstance(expected, list) and all(isinstance(part, str) for part in expected):
        expected = " ".join(expected)
    name = item.get("id")
    return (
        pairs,
        _type(kind),
        expected if isinstance(expected, str) and expected else None,
        "" if name is None else str(name),
    )


def _span(value: Any) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2:
        return _pair(*value)
    if isinstance(value, dict):
        start, end = (next((value[key] for key in keys if key in value), None) for keys in (_STARTS, _ENDS))
        return _pair(start, end)
    raise InputError(f"a span: expected a start and an end, found {described(value)}")


def _pair(start: Any, end: Any) -> tuple[int, int]:
    for value in (start, end):
        if type(value) is not int:
            raise InputError(f"a span: expected whole numbers, found {described(value)}")
    return start, end


def _type(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"the type of an annotation: expected a text, found {described(value)}")
    return value


def _relations(members: Members, entities: list[Members], attributes: Any) -> list[Members]:
    """Relations by the ids of entities, as doccano, PubAnnotation and Label Studio have them; attributes of entities."""
    by_id = {entity["id"]: entity for entity in entities if "id" in entity}
    for item in attributes if isinstance(attributes, list) else ():
        if isinstance(item, dict) and (owner := by_id.get(str(item.get("subj")))) is not None:
            owner.setdefault("metadata", {})[str(item.get("pred"))] = str(item.get("obj"))
    relations = []
    for item in members.pop("relations", None) or ():
        if not isinstance(item, dict):
            raise InputError(f"relations: expected objects, found {described(item)}")
        ends = [
            next((str(item[key]) for key in keys if key in item), "")
            for keys in (("from_id", "subj", "arg1_id"), ("to_id", "obj", "arg2_id"))
        ]
        if "head_span" in item and "child_span" in item:  # Prodigy names mentions by their offsets
            ends = [_named_by_span(item[key], entities) for key in ("head_span", "child_span")]
        kind = item.get("type") if isinstance(item.get("type"), str) else None
        kind = item.get("pred") or item.get("label") or next(iter(item.get("labels") or ()), kind)
        if not all(end in by_id or any(entity.get("id") == end for entity in entities) for end in ends):
            raise InputError(f"the relation {_type(kind)!r} refers to an annotation that is not there")
        relations.append({"type": _type(kind), "arguments": [["subject", ends[0]], ["object", ends[1]]]})
    return relations


def _named_by_span(span: Any, entities: list[Members]) -> str:
    where = list(_span(span))
    for number, entity in enumerate(entities, 1):
        if entity["spans"] == [where]:
            return str(entity.setdefault("id", f"T{number}"))
    return ""


def _label_studio(value: Members) -> Members:
    """A task of Label Studio: the text of its data, and the first annotation that was not cancelled; without any, the last
    prediction with its scores."""
    annotations_of_task = value.get("annotations") or value.get("completions") or []
    is_predicted = not annotations_of_task and isinstance(value.get("predictions"), list)
    if is_predicted:
        annotations_of_task = value["predictions"][-1:]
    if not isinstance(annotations_of_task, list) or not all(isinstance(item, dict) for item in annotations_of_task):
        raise InputError(f"annotations: expected a list of objects, found {described(annotations_of_task)}")
    kept = [item for item in annotations_of_task if not item.get("was_cancelled")]
    if annotations_of_task and not kept:
        raise RejectedError
    kept.sort(key=lambda item: not item.get("ground_truth"))
    texts = {key: item for key, item in value["data"].items() if isinstance(item, str)}
    results = kept[0].get("result", []) if kept else []
    key = next((str(item["value"]["key"]) for item in results if "key" in item.get("value", {})), "")
    text = (texts.get(key) if key else "") or texts.get("text") or max(texts.values(), key=len, default="")
    spans = [
        item["value"] | {"id": item.get("id")}
        for item in results
        if isinstance(item.get("value"), dict) and "labels" in item["value"] and "start" in item["value"]
    ]
    relations = [item for item in results if item.get("type") == "relation"]
    classes = [
        name
        for item in results
        if "start" not in item.get("value", {})
        for name in item.get("value", {}).get("choices", ())
    ]
    entities = _entities(text, spans)
    for entity in entities:
        region = [item for item in results if entity.get("id") and item.get("id") == entity["id"]]
        entity |= _of_region(region, is_predicted)
    return {
        "id": texts.get("document_id") or value.get("id"),
        "text": text,
        "metadata": {name: item for name, item in texts.items() if item != text and name != "document_id"},
        "entities": entities,
        "relations": _relations({"relations": relations}, entities, None),
        "labels": [{"name": name} for name in classes],
    }


def _of_region(results: Sequence[Members], is_predicted: bool) -> Members:
    """What Label Studio holds of one region besides its label: confidence, attributes as choices, identifiers as texts."""
    members: Members = {}
    for item in results:
        value = item.get("value", {})
        if is_predicted and isinstance(item.get("score"), int | float) and "labels" in value:
            members["confidence"] = item["score"]
        if "choices" in value:
            pairs = (str(choice).partition("=") for choice in value["choices"])
            members["attributes"] = {name: text if equals else "true" for name, equals, text in pairs}
        if item.get("from_name") == "identifiers" and isinstance(value.get("text"), list):
            members["identifiers"] = [str(curie) for curie in value["text"]]
    return members


def _prodigy(value: Members) -> Members:
    """An example of Prodigy: its `meta` is metadata, with the id in it, and what `accept` names are labels."""
    meta = value["meta"]
    others = {key: item for key, item in value.items() if key not in ("meta", "tokens", "options", "accept")}
    metadata = {key: str(item) for key, item in meta.items() if key != "id" and isinstance(item, str | int | float)}
    own: Members = {"metadata": metadata} | ({"id": str(meta["id"])} if meta.get("id") else {})
    accepted = value.get("accept")
    if isinstance(accepted, list) and all(isinstance(name, str) for name in accepted):
        own["labels"] = [{"name": name} for name in accepted]
    return others | own


def _tagged_words(value: Members) -> Members:
    """Words with a tag each, as token classification has them: the text is the words, a space between them."""
    words = value["tokens"]
    key = next((key for key in _TAGS if isinstance(value.get(key), list) and len(value[key]) == len(words)), None)
    if key is None:
        raise InputError("there are tokens, but no member with a tag for each; expected 'ner_tags'")
    tags = value[key]
    if not all(isinstance(tag, str) for tag in tags):
        raise InputError(
            f"{key}: expected tags such as 'B-Disease', found {described(tags[0])}; write the names of the classes"
        )
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word) + 1)
    entities: list[Members] = []
    before = ""
    for number, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        end = starts[number] + len(words[number])
        if kind and prefix in ("I", "E", "L", "M") and before == kind:
            entities[-1]["spans"] = [[entities[-1]["spans"][0][0], end]]
        elif kind:
            entities.append({"type": kind, "spans": [[starts[number], end]]})
        elif tag not in ("O", "0", "_", ""):
            raise InputError(f"{key}: {tag!r} is not a tag such as B-Disease, I-Disease or O")
        before = kind
    others = {name: item for name, item in value.items() if name not in ("tokens", key)}
    return others | {"text": " ".join(words), "entities": entities}


def entities_in_row(values: Mapping[str, str], text: str) -> tuple[str, list[Members]]:
    """The column of a row whose cell holds annotations as JSON, as Label Studio's CSV has them, and the entities in it."""
    for name, cell in values.items():
        if not cell.startswith("[{"):
            continue
        try:
            value = parse_json(cell)
        except InputError:
            continue
        if is_annotations(value):
            return name, _entities(text, value)
    return "", []
