"""brat standoff: a folder of `.txt` files, each with its `.ann` file (Stenetorp et al. 2012), or, as in the BioNLP shared
tasks, with given (`.a1`) and wanted (`.a2`) annotations.

    T1<TAB>Disease 0 4;10 16<TAB>text       an entity, in one or several pieces
    R1<TAB>CID Arg1:T1 Arg2:T2              a relation
    E1<TAB>Binding:T3 Theme:T1 Cause:E2     an event: a relation whose first argument is its trigger
    *<TAB>Equiv T1 T2                       an equivalence: a relation
    N1<TAB>Reference T1 mesh:D003920<TAB>…  a normalisation: an identifier of its entity, with its label
    A1<TAB>Negated T1 ; A2<TAB>Certainty T1 low   attributes of an entity; the first has the value "true"
    A1<TAB>Negated E1 ; #1<TAB>Note T1<TAB>…  attributes of events, and notes: metadata of what they belong to

A document is the whole text as one passage, with its line breaks as they are; its id is the path without ending, with
`/` between folders on every system.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from textome.documents import Document, Entity, Identifier, Passage, Relation, Span, replace_lone_surrogates
from textome.errors import InputError
from textome.formats.reading.folders import STANDOFF, files_in, texts_with_annotations
from textome.formats.reading.identifiers import to_curie
from textome.formats.reading.offsets import in_code_points
from textome.formats.reading.sources import Quarantine, Source, Target, atomic_file

_ENTITY = re.compile(r"(T[^\t]*)\t(\S+) (\d+ \d+(?:;\d+ \d+)*)(?:\t(.*))?")
_BINARY = re.compile(r"([RE][^\t]*)\t(\S+)(?: (.*?))?\s*(?:\t.*)?")
_EQUIVALENCE = re.compile(r"\*\t(\S+) (.*?)\s*")
_ABOUT = re.compile(r"([AMN#][^\t]*)\t(\S+) (\S+)(?:[ \t](.*))?", re.DOTALL)
# What some file system does not allow in a name, or reads as something else.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*\u200e\u200f\u202a-\u202e\u2066-\u2069]+')
_RESERVED = re.compile(r"__MACOSX.*|(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE | re.DOTALL)
# A name of 255 bytes is the most that usual file systems hold; room for the ending, a number and a temporary name.
_MAX_NAME_BYTES = 200


def sniff(head: str, name: str) -> bool:
    return bool(re.match(r"T\d+\t\S+ \d+ \d+(;\d+ \d+)*\t", head))


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """The documents below a folder, sorted by path; or the one of a `.txt` or `.ann` file.

    A text without `.ann` has no annotations; beside folders with any it is none of the corpus. A document that is not as
    it should be is quarantined with file and line, and so is an `.ann` without its text. Hidden files and `__MACOSX`
    folders are passed over.
    """
    if source.path is None:
        raise InputError("brat is a folder of .txt and .ann files; it cannot be read from standard input")
    if source.path.is_dir():
        root = source.path
        below = files_in(root)
        files = texts_with_annotations(below) or [file for file in below if file.suffix == ".txt"]
    else:
        root = source.path.parent
        files = [source.path.with_suffix(".txt")]
    if not any(file.is_file() for file in files):
        raise InputError(f"{source.name}: there is no .txt file here, so it is not a brat corpus")
    for file in files:
        try:
            yield _document(file, file.relative_to(root).with_suffix("").as_posix())
        except InputError as error:
            quarantine.add(str(file.with_suffix(".ann")), "", error)


def write(documents: Iterable[Document], target: Target) -> int:
    """A `.txt` and an `.ann` file for each document in the folder `target.path`.

    File names are document ids, a `/` in them making sub-folders; what is unsafe is replaced, so that no id leads out of
    the folder and no two documents share a file. Passages become lines of one text. Mentions are written piecewise at
    line breaks, which an `.ann` line cannot hold. Left out: confidences and scores, labels, metadata of other formats,
    relations without arguments.
    """
    if target.path is None:
        raise InputError("brat needs a folder to write to; give --output FOLDER")
    if target.path.exists() and not target.path.is_dir():
        raise InputError(f"{target.path} is a file; brat needs a folder")
    used_names: dict[str, int] = {}
    number = 0
    for number, document in enumerate(documents, 1):
        path = target.path / _file_name(document.id or str(number), used_names)
        # The annotations first: a run that is stopped between the two leaves no text that seems to have none.
        with atomic_file(path.with_name(path.name + ".ann")) as stream:
            stream.write("".join(f"{line}\n" for line in _lines(document)).encode("utf-8"))
        with atomic_file(path.with_name(path.name + ".txt")) as stream:
            stream.write(document.text.encode("utf-8"))
    return number


def _document(file: Path, name: str) -> Document:
    if not file.is_file():
        raise InputError("there is no .txt file beside the annotations")
    text = _decoded(file)
    document = Document(name, (Passage(replace_lone_surrogates(text)),))
    rows = _rows(file)
    entities = _entities(document, [(number, line) for number, line in rows if line.startswith("T")])
    relations: dict[str, Relation] = {}
    notes: list[tuple[str, re.Match[str]]] = []
    for number, line in rows:
        if line.startswith("T"):
            continue
        if match := _BINARY.fullmatch(line):
            if match[1] in relations:
                raise InputError(f"line {number}: the id {match[1]} is used a second time")
            relations[match[1]] = _relation(match, number)
        elif match := _EQUIVALENCE.fullmatch(line):
            relations[f"*{number}"] = Relation(match[1], tuple(("", part) for part in match[2].split()))
        elif match := _ABOUT.fullmatch(line):
            notes.append((number, match))
        else:
            raise InputError(f"line {number}: {line[:60]!r} is not a brat annotation")
    metadata = _attach(notes, entities, relations)
    return replace(document, entities=tuple(entities.values()), relations=tuple(relations.values()), metadata=metadata)


def _rows(file: Path) -> list[tuple[str, str]]:
    """The lines of the annotations of a text that are not blank, each with its number."""
    rows: list[tuple[str, str]] = []
    for ending in STANDOFF:
        if (annotations := file.with_suffix(ending)).is_file():
            where = "" if ending == ".ann" else f" of {annotations.name}"
            lines = enumerate(_decoded(annotations).split("\n"), 1)
            rows += [(f"{number}{where}", line.rstrip("\r")) for number, line in lines if line.strip()]
    return rows


def _decoded(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except OSError as error:
        raise InputError(f"{file.name} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file.name} is not UTF-8 at byte {error.start}; convert it first") from error


def _entities(document: Document, rows: list[tuple[str, str]]) -> dict[str, Entity]:
    matches: list[tuple[str, re.Match[str]]] = []
    seen: set[str] = set()
    for number, line in rows:
        if not (match := _ENTITY.fullmatch(line)):
            raise InputError(f"line {number}: expected 'T1<tab>Type start end<tab>text', found {line[:60]!r}")
        if match[1] in seen:
            raise InputError(f"line {number}: the id {match[1]} is used a second time")
        seen.add(match[1])
        matches.append((number, match))
    located = [
        ([(int(pair.split()[0]), int(pair.split()[1])) for pair in match[3].split(";")], match[4])
        for _, match in matches
    ]
    names = [f"line {number}: {match[1]}" for number, match in matches]
    converted = in_code_points(document.text, located, names)
    return {
        match[1]: Entity(spans, match[2], document.text_at(spans), match[1])
        for (_, match), spans in zip(matches, converted, strict=True)
    }


def _relation(match: re.Match[str], number: str) -> Relation:
    kind, colon, trigger = match[2].partition(":")
    arguments = [("trigger", trigger)] if colon else []
    for part in (match[3] or "").split():
        role, colon, target = part.partition(":")
        if not colon:
            raise InputError(f"line {number}: the argument {part!r} of {match[1]} is not of the form Role:T1")
        arguments.append((role, target))
    return Relation(kind, tuple(arguments), match[1])


def _attach(
    notes: list[tuple[str, re.Match[str]]], entities: dict[str, Entity], relations: dict[str, Relation]
) -> dict[str, str]:
    """Put normalisations, attributes and notes where they belong; returns those of the document itself."""
    left: dict[str, str] = {}
    for _, match in notes:
        key, kind, about, rest = match[1], match[2], match[3], match[4] or ""
        if key.startswith("N") and about in entities:
            reference, _, label = rest.partition("\t")
            entity = entities[about]
            identifier = Identifier(to_curie(reference), label=label)
            entities[about] = replace(entity, identifiers=(*entity.identifiers, identifier))
            continue
        value = {f"{key} {kind}": rest}
        if about in entities:
            entity = entities[about]
            if key[0] in "AM" and kind not in entity.attributes:
                entities[about] = replace(entity, attributes=entity.attributes | {kind: rest or "true"})
            else:
                entities[about] = replace(entity, metadata=entity.metadata | value)
        elif about in relations:
            relations[about] = replace(relations[about], metadata=relations[about].metadata | value)
        else:
            left[f"{key} {kind} {about}"] = rest
    return left


def _lines(document: Document) -> Iterator[str]:
    used_ids = {entity.id for entity in document.entities} | {relation.id for relation in document.relations}
    noted = [document.metadata, *(item.metadata for item in document.entities)]
    noted += [item.metadata for item in document.relations]
    used_ids |= {key.partition(" ")[0] for metadata in noted for key in metadata}
    counters = dict.fromkeys("TRENA", 0)

    def named(letter: str, id: str = "") -> str:
        """`id` where brat would understand it, otherwise a new one."""
        if re.fullmatch(letter + r"[0-9]+", id):
            return id
        while True:
            counters[letter] += 1
            if (name := f"{letter}{counters[letter]}") not in used_ids:
                used_ids.add(name)
                return name

    # An entity of nothing but line breaks cannot be written, nor what refers to it.
    entities = [entity for entity in document.entities if any(_without_line_breaks(document.text, entity.spans))]
    names = {entity.id: named("T", entity.id) for entity in entities if entity.id}
    relations = _writable(document.relations, set(names))
    names |= {relation.id: named(_letter(relation), relation.id) for relation in relations if relation.id}
    for entity in entities:
        name = names.get(entity.id) or named("T")
        spans = list(_without_line_breaks(document.text, entity.spans))
        offsets = ";".join(f"{start} {end}" for start, end in spans)
        text = " ".join(document.text[start:end] for start, end in spans)
        yield f"{name}\t{_one_word(entity.type)} {offsets}\t{text}"
        for identifier in entity.identifiers:
            label = _one_line(identifier.label)
            yield f"{named('N')}\tReference {name} {_one_word(identifier.curie)}\t{label}".rstrip("\t")
        for key, value in entity.attributes.items():
            yield f"{named('A')}\t{_one_word(key)} {name} {'' if value == 'true' else _one_line(value)}".rstrip(" ")
        yield from _notes(entity.metadata, name)
    for relation in relations:
        targets = [names[target] for _, target in relation.arguments]
        if relation.type == "Equiv" and not relation.id:
            yield f"*\tEquiv {' '.join(targets)}"
            continue
        name = names.get(relation.id) or named(_letter(relation))
        kind = _one_word(relation.type, ":")
        parts = [
            f"{_one_word(role, ':')}:{target}" for (role, _), target in zip(relation.arguments, targets, strict=True)
        ]
        if _letter(relation) == "E":
            yield f"{name}\t{' '.join([f'{kind}:{targets[0]}', *parts[1:]])}"
        else:
            yield f"{name}\t{kind} {' '.join(parts)}"
        yield from _notes(relation.metadata, name)
    for key, rest in document.metadata.items():
        if match := re.fullmatch(r"([AMN#]\S*) (\S+) (\S+)", key):
            yield f"{match[1]}\t{match[2]} {match[3]}{_rest(match[1], rest)}"


def _letter(relation: Relation) -> str:
    return "E" if relation.arguments[0][0] == "trigger" else "R"


def _writable(relations: Iterable[Relation], known: set[str]) -> list[Relation]:
    """The relations with arguments that can all be written: `known` entities, and other such relations."""
    kept = [relation for relation in relations if relation.arguments]
    reachable = known | {relation.id for relation in kept if relation.id}
    users: dict[str, list[str]] = {}
    for relation in kept:
        for _, target in relation.arguments:
            users.setdefault(target, []).append(relation.id)
    lost = [target for target in users if target not in reachable]
    dropped = set(lost)
    while lost:
        for id in users.get(lost.pop(), ()):
            if id and id not in dropped:
                dropped.add(id)
                lost.append(id)
    return [relation for relation in kept if not any(target in dropped for _, target in relation.arguments)]


def _notes(metadata: dict[str, str], name: str) -> Iterator[str]:
    for key, rest in metadata.items():
        if match := re.fullmatch(r"([AMN#]\S*) (\S+)", key):
            yield f"{match[1]}\t{match[2]} {name}{_rest(match[1], rest)}"


def _rest(key: str, rest: str) -> str:
    if not rest:
        return ""
    return ("\t" if key.startswith("#") else " ") + _one_line(rest)


def _without_line_breaks(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    for start, end in spans:
        for match in re.finditer(r"[^\r\n]+", text[start:end]):
            yield Span(start + match.start(), start + match.end())


def _one_line(text: str) -> str:
    return re.sub(r"[\r\n]", " ", text)


def _one_word(text: str, also: str = "") -> str:
    return re.sub(rf"[\s{also}]+", "_", text) or "_"


def _file_name(name: str, used_names: dict[str, int]) -> str:
    """A path without ending below the target folder, from a document id, unlike all others there.

    used_names  names that are in use, and the number that was last given to one that came again
    """
    parts = [_safe(part) for part in name.split("/") if part not in ("", ".", "..")]
    safe = "/".join(parts[-8:]) or "document"
    candidate, number = safe, used_names.get(safe.casefold(), 1)
    while candidate.casefold() in used_names:
        number += 1
        candidate = f"{safe}_{number}"
    used_names[safe.casefold()] = number
    used_names[candidate.casefold()] = used_names.get(candidate.casefold(), 1)
    return candidate


def _safe(part: str) -> str:
    """One step of a path: no hidden file, nothing that a file system reads as something else, not too long."""
    safe = _UNSAFE.sub("_", part).strip(" ").lstrip(".")
    safe = re.sub(r"\.(?=(?:txt|ann)$)", "_", safe, flags=re.IGNORECASE)  # a folder so named would hide a file
    safe = f"_{safe}" if _RESERVED.fullmatch(safe) else safe
    safe = safe.encode("utf-8")[:_MAX_NAME_BYTES].decode("utf-8", errors="ignore").rstrip(" .")
    return safe or "_"
