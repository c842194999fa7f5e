"""Labelled texts, pairs of texts and sentences in their abstract: the layouts in which classification corpora come.

    tsv        text TAB label, or with a header naming the columns (`text`, `sentence`, `note`, others of `TEXTS`, `pair`,
               `label`, `class`, `id`), also csv. Two columns need only one of these names, that of the text or the label
    jsonl      {"text": ..., "pair": ..., "label": "A"} or {"labels": ["A", "B"]} a line, as ChemProt in SciBERT's layout
    sentences  ###id, then label TAB sentence a line, and a blank line between abstracts (PubMed RCT, NICTA-PIBOSO)
    folders    a folder with a folder for each class, CLASS/name.txt, as text classification is often given
    hallmarks  a folder with text/ID.txt and labels/ID.txt (Hallmarks of Cancer): an abstract has its sentences' labels
    pubmedqa   {"PMID": {"QUESTION": ..., "CONTEXTS": [...], "final_decision": ...}}: pairs of question and abstract
    pubmedqa-long  the same file: pairs of question and the authors' own conclusion, LONG_ANSWER, for training only
    entailment XML of <pair value="..."><chq>..</chq><faq>..</faq></pair> (MEDIQA 2019, recognising question entailment)
    yesno      the yes/no questions of a BioASQ file: pairs of question and snippets

`PLACE#RULE` takes a part of a file where a corpus has no split of its own: `#0-80%` the texts whose id falls there (by
sha256, so the same everywhere), `#in:FILE` and `#out:FILE` those that a JSON list or object names, or does not.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from textome.datasets.questions import snippet_texts
from textome.errors import InputError
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.folders import files_in
from textome.formats.reading.json_values import parse_json, read_values
from textome.formats.reading.members import IDS, TEXTS, id_of, label_of, list_of, object_of, required_text, text_of
from textome.formats.reading.rows import check_decoded, check_width, read_rows
from textome.formats.reading.sources import NOT_UTF8, Quarantine, Source, guarded
from textome.formats.reading.xml_reading import child_text, records

_TEXT, _LABEL = ("text", "sentence"), ("label", "labels")
_ROLES = {"text": _TEXT, "label": _LABEL}
_COLUMNS = {"text": tuple(dict.fromkeys((*_TEXT, *TEXTS))), "label": (*_LABEL, "class", "category")}
_NO_NAMES: Mapping[str, str] = {}
_TABLES = ("tsv", "jsonl")
_PERCENT = re.compile(r"(\d+)-(\d+)%")


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text, or a pair of texts, with its labels; `id` is unique in its file, or its number where the file has none."""

    id: str
    text: str
    pair: str | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelledSentences:
    """The sentences of one abstract in order, each with one label ("" where it has none).

    spans   of the sentences in the document that they are from; empty where they are from none
    """

    id: str
    sentences: tuple[str, ...]
    labels: tuple[str, ...]
    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def unlabelled(cls, id: str, sentences: Iterable[str]) -> LabelledSentences:
        """Sentences that are to be labelled."""
        texts = tuple(sentences)
        return cls(id, texts, ("",) * len(texts))


def read_labelled(
    path: str,
    layout: str,
    quarantine: Quarantine,
    *,
    unlabelled: bool = False,
    text_column: str | None = None,
    label_column: str | None = None,
) -> Iterator[LabelledText | LabelledSentences]:
    """The records of a file in one of `LAYOUTS`; bad ones and second ones of an id are quarantined.

    unlabelled    labels may be missing in jsonl and tsv too, where they are missed otherwise
    text_column   in jsonl and tsv: the column or member of the texts, where it is called neither text nor sentence
    label_column  the same of the labels, where it is called neither label nor labels

    Raises InputError for an unknown layout or rule, and where the file cannot be read at all.
    """
    if layout not in LAYOUTS:
        raise InputError(f"{path}: the layout {layout!r} is unknown; choose one of: {', '.join(LAYOUTS)}")
    file, _, rule = path.partition("#")
    chosen = chosen_part(rule, Path(file).parent, path)
    seen: set[str] = set()
    options: dict[str, Any] = {"unlabelled": True} if unlabelled and layout in _TABLES else {}
    if names := {key: name for key, name in (("text", text_column), ("label", label_column)) if name}:
        if layout not in _TABLES:
            raise InputError(f"{path}: the layout {layout!r} has no columns to name; its texts have one place each")
        options["names"] = names
    for item in guarded(LAYOUTS[layout](Source.of(file), quarantine, **options), file, quarantine):
        if item.id in seen:
            quarantine.add(file, f"record {item.id}", "this id stands twice; the second record is left out")
            continue
        seen.add(item.id)
        if chosen(item.id):
            yield item


def guess_layout(path: str) -> str:
    """ "jsonl" of a file whose first line is an object with a text, "tsv" of any other, "folders" of a folder."""
    source = Source.of(path.partition("#")[0])
    if source.is_directory and source.path is not None:
        return "hallmarks" if (source.path / "text").is_dir() and (source.path / "labels").is_dir() else "folders"
    head = source.head()
    first = head.lstrip().partition(b"\n")[0]
    return "jsonl" if first.startswith(b"{") and b'"text"' in first else "tsv"


def _tsv(
    source: Source, quarantine: Quarantine, unlabelled: bool = False, names: Mapping[str, str] = _NO_NAMES
) -> Iterator[LabelledText]:
    comma = re.sub(r"\.(gz|bz2|xz)$", "", source.name).endswith(".csv")
    header: dict[str, int] | None = None
    columns: list[str] = []
    for number, (line, row) in enumerate(read_rows(source, quarantine, None if comma else "\t", quotes=comma), 1):
        try:
            check_decoded(row)
            if number == 1 and (header := _header(row, unlabelled, names)) is not None:
                columns = row
                continue
            if header is not None:
                check_width(row, columns)
            elif len(row) > 2 or (len(row) < 2 and not unlabelled):
                hint = "; of more columns a header tells which are text and label" if len(row) > 2 else ""
                raise InputError(f"expected text and label, found {len(row)} columns{hint}")
            where = header or ({"text": 0} if len(row) == 1 else {"text": 0, "label": 1})
            values = {name: row[index] for name, index in where.items()}
            labels = (label_of(values["label"].strip()),) if "label" in values else ()
            name = values.get("id") or str(line)
            yield LabelledText(name, required_text(values, "text"), values.get("pair"), labels)
        except InputError as error:
            quarantine.add(source.name, f"line {line}", error)
            if number == 1 and names:
                return  # the columns that are named are not there


def _header(row: list[str], unlabelled: bool, named_columns: Mapping[str, str]) -> dict[str, int] | None:
    """Which column is which, where a row names a text and a label column, or, of unlabelled texts, a text column. In two
    columns the name of one is enough, where the text comes first: a header is no text with a class of its own.

    Raises InputError where one of `named_columns` is not there.
    """
    names = [name.strip().casefold() for name in row]
    for name in named_columns.values():
        if name.strip().casefold() not in names:
            raise InputError(f"there is no column {name!r} (found: {', '.join(row)[:200]})")
    texts, labels = (
        (named_columns[key].strip().casefold(),) if key in named_columns else known for key, known in _COLUMNS.items()
    )
    text = next((names.index(name) for name in texts if name in names), None)
    label = next((names.index(name) for name in labels if name in names), None)
    if len(names) == 2 and ((text, label) == (None, 1) or (text == 0 and label is None and not unlabelled)):
        return {"text": 0, "label": 1}
    if text is None or (label is None and not unlabelled):
        return None
    columns = {"text": text} | ({} if label is None else {"label": label})
    columns |= {name: names.index(name) for name in ("pair", "id") if name in names}
    return columns | ({"id": names.index("index")} if "index" in names and "id" not in names else {})


def _jsonl(
    source: Source, quarantine: Quarantine, unlabelled: bool = False, names: Mapping[str, str] = _NO_NAMES
) -> Iterator[LabelledText]:
    for number, position, value in read_values(source, quarantine):
        try:
            record = object_of(value)
            for key, name in names.items():
                if name not in record:
                    raise InputError(f"the member {name!r} is missing")
                record = {other: item for other, item in record.items() if other not in _ROLES[key]} | {
                    "labels" if key == "label" and isinstance(record[name], list) else key: record[name]
                }
            if "labels" in record:
                labels = [label_of(label, "labels") for label in list_of(record, "labels")]
            else:
                if "label" not in record and not unlabelled:
                    raise InputError("the member 'label' is missing")
                if isinstance(record.get("label"), list):
                    raise InputError("label: expected a text, found a list; several labels are called 'labels'")
                labels = [label_of(record["label"])] if "label" in record else []
            pair = text_of(record, "pair") if record.get("pair") is not None else None
            name = id_of(record, next((key for key in IDS if key in record), "")) or str(number)
            yield LabelledText(name, required_text(record, "text"), pair, tuple(labels))
        except InputError as error:
            quarantine.add(source.name, position, error)


def _sentences(source: Source, quarantine: Quarantine) -> Iterator[LabelledSentences]:
    name, rows, good = "", list[tuple[str, str]](), True

    def finished() -> Iterator[LabelledSentences]:
        if name and rows and good:
            yield LabelledSentences(name, tuple(text for _, text in rows), tuple(label for label, _ in rows))
        elif name and good:
            quarantine.add(source.name, f"record {name}", "there is no sentence under this id")

    with source.open_text() as raw:
        lines = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="\n")
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\r\n")
            try:
                check_decoded([line])
            except InputError as error:
                quarantine.add(source.name, f"line {number}", error)
                good = False  # a part of an abstract would pass for the whole
                continue
            if line.startswith("###"):
                yield from finished()
                name, rows, good = line[3:].strip(), [], True
            elif line.strip():
                label, tab, text = line.partition("\t")
                if tab and text.strip() and name:
                    rows.append((label.strip(), text))
                else:
                    quarantine.add(source.name, f"line {number}", "expected label TAB sentence under a line ###ID")
    yield from finished()


def _folders(source: Source, quarantine: Quarantine) -> Iterator[LabelledText]:
    folder = source.path
    files = [] if folder is None else [file for file in files_in(folder) if file.suffix == ".txt"]
    if folder is None or not any(file.parent != folder for file in files):
        raise InputError(f"{source.name}: expected a folder for each class with its texts, as CLASS/name.txt")
    for file in files:
        name = file.relative_to(folder).as_posix()
        try:
            if file.parent == folder:
                raise InputError("the text stands in no folder of a class")
            values = {"text": file.read_text(encoding="utf-8-sig")}
            yield LabelledText(name, required_text(values, "text"), None, (file.relative_to(folder).parts[0],))
        except UnicodeDecodeError:
            quarantine.add(source.name, name, NOT_UTF8)
        except InputError as error:
            quarantine.add(source.name, name, error)


def _hallmarks(source: Source, quarantine: Quarantine) -> Iterator[LabelledText]:
    folder = source.path
    if folder is None or not (folder / "text").is_dir():
        raise InputError(
            f"{source.name}: expected a folder with text/ and labels/; of an archive: name it as ARCHIVE!."
        )
    for path in sorted((folder / "text").glob("*.txt")):
        labels = folder / "labels" / path.name
        if not labels.is_file():
            quarantine.add(source.name, path.name, "there is no file of this name in labels/")
            continue
        try:
            contents = [file.read_text(encoding="utf-8") for file in (path, labels)]
        except UnicodeDecodeError:
            quarantine.add(source.name, path.name, NOT_UTF8)
            continue
        names = {
            part.strip().partition("--")[0].strip()
            for sentence in contents[1].split("<")
            for part in re.split(r"\bAND(?=[A-Z])|;", sentence)
        } - {"", "NULL"}
        yield LabelledText(path.stem, " ".join(contents[0].split("\n")).strip(), None, tuple(sorted(names)))


def _pubmedqa(source: Source, quarantine: Quarantine, long: bool = False) -> Iterator[LabelledText]:
    for name, value in _json(source).items():
        try:
            record = object_of(value)
            answer = record.get("final_decision")
            contexts = [required_text(record, "LONG_ANSWER")] if long else list_of(record, "CONTEXTS")
            context = "\n".join(label_of(text, "CONTEXTS") for text in contexts)
            if not context.strip():
                raise InputError("the question has no context")
            labels = () if answer is None else (label_of(answer, "final_decision"),)
            yield LabelledText(str(name), required_text(record, "QUESTION"), context, labels)
        except InputError as error:
            quarantine.add(source.name, f"record {name}", error)


def _yesno(source: Source, quarantine: Quarantine) -> Iterator[LabelledText]:
    for number, value in enumerate(list_of(_json(source), "questions"), 1):
        name = str(number)
        try:
            record = object_of(value, "a question")
            name = id_of(record, "id") or name
            if record.get("type") != "yesno":
                continue
            context = "\n".join(snippet_texts(record))
            if not context.strip():
                raise InputError("the question has no snippets")
            answer = record.get("exact_answer", "")
            label = label_of(answer, "exact_answer").strip().rstrip(".").casefold() if answer != "" else ""
            yield LabelledText(name, required_text(record, "body"), context, (label,) if label else ())
        except InputError as error:
            quarantine.add(source.name, f"question {name}", error)


def _entailment(source: Source, quarantine: Quarantine) -> Iterator[LabelledText]:
    for number, element in records(source, ("pair",), ("pair",), quarantine):
        name = element.get("pid") or str(number)
        try:
            text, pair = child_text(element, "chq"), child_text(element, "faq")
            if not text or not pair:
                raise InputError("one of the two texts is empty")
            yield LabelledText(name, text, pair, (label_of(element.get("value"), "value"),))
        except InputError as error:
            quarantine.add(source.name, f"pair {name}", error)


def _json(source: Source) -> dict[str, Any]:
    with source.open_text() as raw:
        try:
            value = parse_json(raw.read())
        except (InputError, *DECOMPRESSION_ERRORS) as error:
            raise InputError(f"{source.name}: this is not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{source.name}: expected a JSON object")
    return value


def chosen_part(rule: str, folder: Path, path: str) -> Callable[[str], bool]:
    """Whether a record belongs to the part that `#RULE` names, by its id. Raises InputError for an unknown rule."""
    if not rule:
        return lambda name: True
    if match := _PERCENT.fullmatch(rule):
        low, high = int(match[1]), int(match[2])
        return lambda name: low <= int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 100 < high
    kind, _, file = rule.partition(":")
    if kind in ("in", "out") and file:
        names: Iterable[Any] = json.loads((folder / file).read_text(encoding="utf-8"))
        listed = {str(name) for name in names}
        return lambda name: (name in listed) == (kind == "in")
    raise InputError(f"{path}: the rule #{rule} is unknown; use #0-80%, #in:FILE or #out:FILE")


LAYOUTS: dict[str, Callable[[Source, Quarantine], Iterator[Any]]] = {
    "tsv": _tsv,
    "jsonl": _jsonl,
    "sentences": _sentences,
    "folders": _folders,
    "hallmarks": _hallmarks,
    "pubmedqa": _pubmedqa,
    "pubmedqa-long": partial(_pubmedqa, long=True),
    "yesno": _yesno,
    "entailment": _entailment,
}
