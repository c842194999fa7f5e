"""Labelled texts, pairs of texts and sentences in their abstract: the layouts in which classification corpora come.

    tsv        text TAB label, or with a header naming the columns (`text` or `sentence`, `pair`, `label`, `id`), also csv
    jsonl      {"text": ..., "pair": ..., "label": "A"} or {"labels": ["A", "B"]} a line, as ChemProt in SciBERT's layout
    sentences  ###id, then label TAB sentence a line, and a blank line between abstracts (PubMed RCT, NICTA-PIBOSO)
    hallmarks  a folder with text/ID.txt and labels/ID.txt (Hallmarks of Cancer): an abstract has its sentences' labels
    pubmedqa   {"PMID": {"QUESTION": ..., "CONTEXTS": [...], "final_decision": ...}}: pairs of question and abstract
    pubmedqa-long  the same file: pairs of question and the authors' own conclusion, LONG_ANSWER, for training only
    entailment XML of <pair value="..."><chq>..</chq><faq>..</faq></pair> (MEDIQA 2019, recognising question entailment)
    yesno      the yes/no questions of a BioASQ file: pairs of question and snippets

`PLACE#RULE` takes a part of a file where a corpus has no split of its own: `#0-80%` the texts whose id falls there (by
sha256, so the same everywhere), `#in:FILE` and `#out:FILE` those that a JSON list or object names, or does not.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from textome.errors import InputError
from textome.formats.sources import Quarantine, Source
from textome.formats.xml_reading import child_text, records

_TEXT, _LABEL = ("text", "sentence"), ("label", "labels")
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
    """The sentences of one abstract in order, each with one label ("" where it has none)."""

    id: str
    sentences: tuple[str, ...]
    labels: tuple[str, ...]

    @classmethod
    def unlabelled(cls, id: str, sentences: Iterable[str]) -> LabelledSentences:
        """Sentences that are to be labelled."""
        found = tuple(sentences)
        return cls(id, found, ("",) * len(found))


def read_labelled(
    place: str, layout: str, quarantine: Quarantine, *, unlabelled: bool = False
) -> Iterator[LabelledText | LabelledSentences]:
    """The records of a file in one of `LAYOUTS`; bad ones and second ones of an id are quarantined.

    unlabelled   labels may be missing in jsonl and tsv too, where they are missed otherwise

    Raises InputError for an unknown layout or rule, and where the file cannot be read at all.
    """
    if layout not in LAYOUTS:
        raise InputError(f"{place}: the layout {layout!r} is unknown; choose one of: {', '.join(LAYOUTS)}")
    path, _, rule = place.partition("#")
    chosen = chosen_part(rule, Path(path).parent, place)
    seen: set[str] = set()
    options = {"unlabelled": True} if unlabelled and layout in ("tsv", "jsonl") else {}
    for item in LAYOUTS[layout](Source.of(path), quarantine, **options):
        if item.id in seen:
            quarantine.add(path, f"record {item.id}", "this id stands twice; the second record is left out")
            continue
        seen.add(item.id)
        if chosen(item.id):
            yield item


def _tsv(source: Source, quarantine: Quarantine, unlabelled: bool = False) -> Iterator[LabelledText]:
    with source.open() as raw:
        lines = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")
        comma = source.name.removesuffix(".gz").endswith(".csv")
        rows = csv.reader(
            lines, delimiter="," if comma else "\t", quoting=csv.QUOTE_MINIMAL if comma else csv.QUOTE_NONE
        )
        header: dict[str, int] | None = None
        for number, row in enumerate(rows, 1):
            if not row or row == [""]:
                continue
            if number == 1 and (found := _header(row, unlabelled)) is not None:
                header = found
                continue
            where = header or ({"text": 0} if unlabelled and len(row) == 1 else {"text": 0, "label": 1})
            if len(row) <= max(where.values()) or (header is None and len(row) > 2):
                quarantine.add(source.name, f"line {number}", f"expected text and label, found {len(row)} columns")
                continue
            pair = row[where["pair"]] if "pair" in where else None
            name = row[where["id"]] if "id" in where else str(number)
            if not row[where["text"]].strip():
                quarantine.add(source.name, f"line {number}", "the text is empty")
                continue
            labels = (row[where["label"]].strip(),) if "label" in where else ()
            yield LabelledText(name, row[where["text"]], pair, labels)


def _header(row: list[str], unlabelled: bool) -> dict[str, int] | None:
    """Which column is which, where a row names a text and a label column, or, of unlabelled texts, a text column."""
    names = [name.strip().casefold() for name in row]
    text = next((names.index(name) for name in _TEXT if name in names), None)
    label = next((names.index(name) for name in _LABEL if name in names), None)
    if text is None or (label is None and not unlabelled):
        return None
    found = {"text": text} | ({} if label is None else {"label": label})
    found |= {name: names.index(name) for name in ("pair", "id") if name in names}
    return found | ({"id": names.index("index")} if "index" in names and "id" not in names else {})


def _jsonl(source: Source, quarantine: Quarantine, unlabelled: bool = False) -> Iterator[LabelledText]:
    with source.open() as raw:
        for number, line in enumerate(raw, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                none = unlabelled and "label" not in record
                labels = record["labels"] if "labels" in record else [] if none else [record["label"]]
                pair = record.get("pair")
                item = LabelledText(str(record.get("id", number)), record["text"], pair, tuple(map(str, labels)))
                if not isinstance(item.text, str) or not item.text.strip():
                    raise ValueError("the text is empty")
                yield item
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                reason = f"the member {error} is missing" if isinstance(error, KeyError) else str(error)
                quarantine.add(source.name, f"line {number}", reason)


def _sentences(source: Source, quarantine: Quarantine) -> Iterator[LabelledSentences]:
    name, rows = "", list[tuple[str, str]]()

    def finished() -> Iterator[LabelledSentences]:
        if name and rows:
            yield LabelledSentences(name, tuple(text for _, text in rows), tuple(label for label, _ in rows))
        elif name:
            quarantine.add(source.name, f"record {name}", "there is no sentence under this id")

    with source.open() as raw:
        for number, line in enumerate(io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace"), 1):
            line = line.rstrip("\r\n")
            if line.startswith("###"):
                yield from finished()
                name, rows = line[3:].strip(), []
            elif line.strip():
                label, tab, text = line.partition("\t")
                if tab and text.strip() and name:
                    rows.append((label.strip(), text))
                else:
                    quarantine.add(source.name, f"line {number}", "expected label TAB sentence under a line ###ID")
    yield from finished()


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
        found = {
            part.strip().partition("--")[0].strip()
            for sentence in labels.read_text(encoding="utf-8").split("<")
            for part in re.split(r"\bAND(?=[A-Z])|;", sentence)
        } - {"", "NULL"}
        text = " ".join(path.read_text(encoding="utf-8").split("\n")).strip()
        yield LabelledText(path.stem, text, None, tuple(sorted(found)))


def _pubmedqa(source: Source, quarantine: Quarantine, long: bool = False) -> Iterator[LabelledText]:
    for name, record in _json(source, dict).items():
        try:
            answer = record.get("final_decision")
            context = record["LONG_ANSWER"] if long else "\n".join(record["CONTEXTS"])
            if not context.strip():
                raise ValueError("the question has no context")
            yield LabelledText(str(name), record["QUESTION"], context, (answer,) if answer else ())
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            quarantine.add(source.name, f"record {name}", str(error))


def _yesno(source: Source, quarantine: Quarantine) -> Iterator[LabelledText]:
    for record in _json(source, dict).get("questions", []):
        if record.get("type") != "yesno":
            continue
        name = str(record.get("id", ""))
        context = "\n".join(snippet.get("text", "") for snippet in record.get("snippets", []))
        answer = str(record.get("exact_answer", "")).strip().rstrip(".").casefold()
        if not context.strip():
            quarantine.add(source.name, f"question {name}", "the question has no snippets")
        else:
            yield LabelledText(name, record["body"], context, (answer,) if answer else ())


def _entailment(source: Source, quarantine: Quarantine) -> Iterator[LabelledText]:
    for number, element in records(source, ("pair",), ("pair",), quarantine):
        name = element.get("pid") or str(number)
        text, pair = child_text(element, "chq"), child_text(element, "faq")
        if text and pair:
            yield LabelledText(name, text, pair, (element.get("value", ""),))
        else:
            quarantine.add(source.name, f"pair {name}", "one of the two texts is empty")


def _json(source: Source, kind: type) -> Any:
    with source.open() as raw:
        try:
            values = json.load(raw)
        except ValueError as error:
            raise InputError(f"{source.name}: this is no valid JSON ({error})") from error
    if not isinstance(values, kind):
        raise InputError(f"{source.name}: expected a JSON object")
    return values


def chosen_part(rule: str, folder: Path, place: str) -> Callable[[str], bool]:
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
    raise InputError(f"{place}: the rule #{rule} is unknown; use #0-80%, #in:FILE or #out:FILE")


LAYOUTS: dict[str, Callable[[Source, Quarantine], Iterator[Any]]] = {
    "tsv": _tsv,
    "jsonl": _jsonl,
    "sentences": _sentences,
    "hallmarks": _hallmarks,
    "pubmedqa": _pubmedqa,
    "pubmedqa-long": partial(_pubmedqa, long=True),
    "yesno": _yesno,
    "entailment": _entailment,
}
