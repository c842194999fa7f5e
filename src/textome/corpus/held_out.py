"""Reading test sets in whatever form they come, for the filter that keeps them out of a corpus (leakage)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from textome.corpus.leakage import TestSets, pmid_of
from textome.documents import Document
from textome.errors import InputError
from textome.formats import Quarantine, Source, guess_format, read_documents
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.folders import inputs_in
from textome.text.sentences import split_sentences

# Of other formats the ids are numbers of sentences or files, and no PMIDs.
_WITH_PMIDS = frozenset({"pubmed-xml", "jats", "bioc-xml", "bioc-json", "pubtator", "brat"})
_PMID_KEY = re.compile(r"\d{4,8}")
_PMID_ADDRESS = re.compile(r"pubmed(?:\.ncbi\.nlm\.nih\.gov)?/(\d{1,8})\b")


def read_test_sets(paths: list[str]) -> TestSets:
    """The test sets in files of any of our formats, in JSON of any shape, and in folders of those.

    A set is named by the last two parts of its path, or by all of it where two agree in those. Raises InputError where
    anything of a set cannot be read: a filter with holes would say that a corpus is clean.
    """
    sets = TestSets()
    for address in paths:
        name = "/".join(PurePath(address).parts[-2:])
        if name in sets.names:
            name = address
        path = Path(address)
        if path.is_dir():
            files = list(map(str, inputs_in(path)))
            if not files:
                raise InputError(f"--exclude {address}: the folder holds no files")
        else:
            files = [address]
        for file in files:
            _add(sets, name, Source.of(file))
    return sets


def _add(sets: TestSets, name: str, source: Source) -> None:
    try:
        kind = guess_format(source)
    except InputError:
        head = source.head().lstrip(b"\xef\xbb\xbf \t\r\n")
        # A table without a header, as label TAB text, holds its texts all the same.
        kind = "json" if head.startswith((b"{", b"[")) else "plain"
        if source.is_directory or (kind == "plain" and (b"\t" not in head or b"\x00" in head)):
            raise
    if kind in ("json", "jsonl"):
        _add_json(sets, name, source)
        return
    # What the annotations say does not matter here, so bare tags may have any type.
    options = {"entity_type": "Entity"} if kind == "conll" else {}
    quarantine = Quarantine()
    for document in read_documents(source, kind, quarantine, **options):
        sets.add(name, _pieces(document), [pmid] if kind in _WITH_PMIDS and (pmid := _pmid(document)) else [])
    if quarantine.count and kind == "bioc-json":  # JSON of another kind that has "documents" too, as BioASQ's
        _add_json(sets, name, source)
    elif quarantine.count:
        raise InputError(f"--exclude {quarantine.records[0]}; a test set must be read whole")


def _pieces(document: Document) -> Iterator[str]:
    """Whole passages, since other tools split sentences otherwise, and their lines and sentences, for the short ones."""
    for passage in document.passages:
        yield passage.text
        yield from passage.text.splitlines()
        yield from (passage.text[start:end] for start, end in split_sentences(passage.text))


def _pmid(document: Document) -> str | None:
    last = document.id.rpartition("/")[2]
    return pmid_of(document) or (last if _PMID_KEY.fullmatch(last) else None)


def _add_json(sets: TestSets, name: str, source: Source) -> None:
    """All strings in a JSON file, or in the lines of one, and what looks like a PMID: keys, and addresses at PubMed."""
    try:
        with source.open() as stream:
            text = stream.read().decode("utf-8-sig")
    except (*DECOMPRESSION_ERRORS, UnicodeDecodeError) as error:
        raise InputError(f"--exclude {source.name}: cannot be read ({error}); a test set must be read whole") from error
    for value in _values(text, source.name):
        sentences: list[str] = []
        pmids: list[str] = []
        _collect(value, "", sentences, pmids)
        if isinstance(value, dict) and _PMID_KEY.fullmatch(str(value.get("id", ""))):
            pmids.append(str(value["id"]))
        sets.add(name, sentences, pmids)


def _values(text: str, name: str) -> Iterator[Any]:
    try:
        yield json.loads(text)
        return
    except ValueError as error:
        whole = error
    except RecursionError as error:
        raise InputError(f"--exclude {name}: the JSON is nested too deeply") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                where = f"line {number} ({error})" if number > 1 else str(whole)
                raise InputError(f"--exclude {name}: this is neither JSON nor JSON lines: {where}") from error


def _collect(value: Any, key: str, sentences: list[str], pmids: list[str]) -> None:
    if isinstance(value, dict):
        for inner_key, inner in value.items():
            if _PMID_KEY.fullmatch(inner_key):
                pmids.append(inner_key)
            _collect(inner, inner_key, sentences, pmids)
    elif isinstance(value, list):
        for inner in value:
            _collect(inner, key, sentences, pmids)
    elif key.casefold() in ("pmid", "pubmed_id") and str(value).isdigit():
        pmids.append(str(value))
    elif isinstance(value, str):
        if match := _PMID_ADDRESS.search(value):
            pmids.append(match[1])
        sentences.append(value)
        sentences += value.splitlines()
        sentences += (value[start:end] for start, end in split_sentences(value))
