"""Reading and writing documents: one file a format, and the table of them all.

`read_documents` and `write_documents` are what the rest of Textome calls. A format is a module with

    read(source: Source, quarantine: Quarantine) -> Iterator[Document]
    write(documents: Iterable[Document], target: Target) -> int      the number of documents written
    sniff(head: str, name: str) -> bool                              (optional) does the beginning of a file look like it?

Adding one is a new file and a line in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

from textome.documents import Document
from textome.errors import InputError
from textome.formats.reading.folders import STANDOFF, expand_inputs
from textome.formats.reading.shapes import decode_head, why_no_text
from textome.formats.reading.sources import HEAD_SIZE, Quarantine, Source, StrictQuarantine, Target, guarded

__all__ = [
    "FORMATS",
    "Quarantine",
    "Source",
    "StrictQuarantine",
    "Target",
    "expand_inputs",
    "format_of_name",
    "guess_format",
    "read_documents",
    "read_inputs",
    "write_documents",
]


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the table: the module is imported when it is first used, so that start-up stays quick.

    writes_texts   whether what it writes holds the texts, and can be read again
    sign           what stands somewhere in the beginning of every such file: without it the module is not asked
    """

    module: str
    extension: str
    readable: bool = True
    writable: bool = True
    writes_texts: bool = True
    sign: str = ""


# In the order in which a file of unknown format is tried: the most particular first, plain text last.
FORMATS: dict[str, Format] = {
    "pubmed-xml": Format("pubmed_xml", ".xml", sign="<"),
    "jats": Format("jats", ".nxml", writable=False, sign="<"),
    "bioc-xml": Format("bioc_xml", ".xml", sign="<collection"),
    "bioc-json": Format("bioc_json", ".json", sign='"'),
    "ddi-xml": Format("ddi_xml", ".xml", writable=False, sign="<document "),
    "uima-xmi": Format("tools.uima_xmi", ".xmi", sign="<xmi:XMI"),
    "uima-json": Format("tools.uima_json", "", sign='"%'),
    "jsonl": Format("jsonl", ".jsonl"),
    "pubtator": Format("pubtator", ".pubtator", sign="|"),
    "medline": Format("medline", ".nbib", writable=False, sign="PMID-"),
    "ris": Format("ris", ".ris", writable=False, sign="TY "),
    "omop": Format("omop", ".omop.csv", readable=False, writes_texts=False),
    "fhir": Format("fhir", ".fhir.json", readable=False, writes_texts=False),
    "csv": Format("table", ".csv", writes_texts=False),
    "brat": Format("brat", "", sign="\t"),
    "conll": Format("conll", ".tsv"),
    "parquet": Format("parquet", ".parquet", writable=False),
    "docbin": Format("docbin", ".spacy"),
    "label-studio": Format("tools.label_studio", ".labelstudio.json"),
    "doccano": Format("tools.doccano", ".doccano.jsonl"),
    "prodigy": Format("tools.prodigy", ".prodigy.jsonl"),
    "html": Format("html", ".html", readable=False, writes_texts=False),
    "plain": Format("plain", ".txt"),
}
_PARQUET = b"PAR1"
# Takes what no other format knows, so a file must not be shaped as anything else.
_ANY_TEXT = "plain"


def read_documents(
    path: str | Path | Source, format: str | None = None, quarantine: Quarantine | None = None, **options: Any
) -> Iterator[Document]:
    """The documents of a file, a brat directory, or standard input ("-"), one at a time.

    The format is guessed from the content where it is not given. Bad records go to `quarantine`; without one, the
    first bad record raises InputError. Memory does not grow with the file for the line- and record-wise formats.

    options     what a format's `read` takes besides: `entity_type` of CoNLL, the type of bare tags `B` and `I`
    """
    source = path if isinstance(path, Source) else Source.of(path)
    name = format or guess_format(source)
    reader = _module(name, "readable").read
    for option in options:
        if option not in signature(reader).parameters:
            raise InputError(f"{source.name}: the format {name} has no option {option!r}; leave it out")
    problems = StrictQuarantine() if quarantine is None else quarantine
    return guarded(reader(source, problems, **options), source.name, problems)


def read_inputs(
    inputs: Sequence[str],
    format: str | None,
    quarantine: Quarantine,
    read: Callable[..., Iterator[Document]] = read_documents,
    **options: Any,
) -> Iterator[Document]:
    """The documents of all inputs. An input that cannot be read at all is quarantined, and the others go on.

    read   what reads each of them, as `read_documents`, which also takes `options`

    Raises InputError where there is only one input and it cannot be read.
    """
    for item in inputs:
        try:
            yield from read(item, format=format, quarantine=quarantine, **options)
        except InputError as error:
            if len(inputs) == 1:
                raise
            quarantine.add(item, "", str(error).removeprefix(f"{item}: "))


def write_documents(documents: Iterable[Document], path: str | Path | Target, format: str | None = None) -> int:
    """Write documents to a file, a directory (brat), or standard output ("-"); returns their number.

    format   one of `FORMATS`; default: the one that the name asks for, see `format_of_name`
    """
    target = path if isinstance(path, Target) else Target.of(path)
    written: int = _module(
        format or format_of_name("-" if target.path is None else str(target.path)), "writable"
    ).write(documents, target)
    return written


def format_of_name(name: str) -> str:
    """The format that the name of an output asks for: JSON lines for "-", brat for a name without an ending.

    Raises InputError for an ending that no format has.
    """
    if name == "-":
        return "jsonl"
    file_name = Path(name).name.removesuffix(".gz")
    endings = {".bioc.json": "bioc-json", ".bioc.xml": "bioc-xml", ".xml": "bioc-xml"} | {
        row.extension: key for key, row in FORMATS.items() if row.extension not in ("", ".xml") and row.writable
    }
    for ending in sorted(endings, key=len, reverse=True):
        if file_name.endswith(ending):
            return endings[ending]
    if "." not in file_name:
        return "brat"
    raise InputError(f"{name}: no format is known for this name; name the format ({', '.join(FORMATS)})")


def guess_format(source: Source) -> str:
    """The name of the format that the beginning of `source` looks like.

    Raises InputError for an empty file, for bytes that are not text, and for what no format reads though it is shaped or
    named as a table, a tagged file or a sequence.
    """
    if source.is_directory or (source.path is not None and source.path.suffix in STANDOFF):
        return "brat"  # of the formats of several files the only one that is told without its name
    head = source.head(HEAD_SIZE)
    if not head:
        raise InputError(f"{source.name}: the file is empty, or its compression is damaged at the start")
    if head.startswith(_PARQUET):
        return "parquet"  # whose beginning is not text
    if source.name.endswith(FORMATS["docbin"].extension):
        return "docbin"
    text = decode_head(head, source.name)
    name = next((name for name, row in FORMATS.items() if row.readable and _sniffs(row, text, source.name)), None)
    if name is not None and name != _ANY_TEXT:
        return name
    if advice := why_no_text(text, source.name):
        raise InputError(f"{source.name}: {advice}")
    if name is None:
        raise InputError(f"{source.name}: the format is not recognised; name it with --from ({', '.join(_names())})")
    return name


def _sniffs(row: Format, head: str, name: str) -> bool:
    """Whether a format knows the beginning of a file as its own. A sniffer that fails on it does not know it, and a format
    without one is known by other signs."""
    if row.sign not in head:
        return False
    sniff: Callable[[str, str], bool] | None = getattr(import_module(f"textome.formats.{row.module}"), "sniff", None)
    try:
        return sniff is not None and sniff(head, name)
    except Exception:
        return False


def _names() -> list[str]:
    return [name for name, row in FORMATS.items() if row.readable]


def _module(name: str, ability: str) -> ModuleType:
    row = FORMATS.get(name)
    if row is None or not getattr(row, ability):
        able = ", ".join(key for key, value in FORMATS.items() if getattr(value, ability))
        raise InputError(f"format {name!r} is not {ability}; choose one of: {able}")
    return import_module(f"textome.formats.{row.module}")
