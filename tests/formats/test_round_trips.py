"""Every lossless format gives back every document; every real file read, written and read again is the same."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from strategies import documents
from textome.documents import Document
from textome.formats import Quarantine, Source, guess_format, read_documents, write_documents

LOSSLESS = ("jsonl", "bioc-json", "bioc-xml")


def again(found: list[Document], path: Path, format: str) -> list[Document]:
    """The documents written and read back, with nothing quarantined."""
    assert write_documents(found, path, format) == len(found)
    return list(read_documents(path, format))


def members(document: Document) -> tuple[object, ...]:
    """All that a document holds, its entities in an order of their own: BioC keeps theirs passage by passage."""
    entities = sorted(document.entities, key=repr)
    return document.id, document.passages, entities, document.relations, document.metadata, document.labels


@pytest.mark.parametrize("format", LOSSLESS)
@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents(xml=True))
def test_lossless_formats_give_back_every_document(document: Document, format: str, tmp_path: Path) -> None:
    (found,) = again([document], tmp_path / "file", format)
    assert members(found) == members(document)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents())
def test_json_formats_hold_characters_that_xml_cannot(document: Document, tmp_path: Path) -> None:
    for format in ("jsonl", "bioc-json"):
        (found,) = again([document], tmp_path / "file", format)
        assert found.text == document.text
        assert sorted(found.entities, key=repr) == sorted(document.entities, key=repr)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents())
def test_xml_replaces_what_it_cannot_hold_one_for_one(document: Document, tmp_path: Path) -> None:
    (found,) = again([document], tmp_path / "file", "bioc-xml")
    assert len(found.text) == len(document.text)
    assert Counter(entity.spans for entity in found.entities) == Counter(entity.spans for entity in document.entities)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents())
def test_every_format_writes_every_document(document: Document, tmp_path: Path) -> None:
    """Formats that hold less must still write whatever comes, and brat and PubTator keep the offsets."""
    for format in ("pubmed-xml", "plain", "html", "conll"):
        assert write_documents([document], tmp_path / format, format) == 1
    write_documents([replace(document, id="x")], tmp_path / "brat", "brat")
    (found,) = read_documents(tmp_path / "brat", "brat")
    assert found.text == document.text
    covered = {index for entity in document.entities for span in entity.spans for index in range(*span)}
    kept = {index for entity in found.entities for span in entity.spans for index in range(*span)}
    assert {index for index in covered if document.text[index] not in "\r\n"} == kept
    written = [entity for entity in document.entities if entity.text.strip("\r\n ")]
    for entity, back in zip(written, found.entities, strict=True):
        assert entity.attributes.items() <= back.attributes.items()
        assert entity.curies == back.curies[: len(entity.curies)]


REAL = [
    ("pretrain/PubMed-XML-samples/pubmed-29768149.xml", "pubmed-xml", None),
    *(
        (f"re/BioRED/BioRED.zip!BioRED/{split}.{kind}", format, None)
        for split in ("Dev", "Test")
        for kind, format in (("PubTator.txt", "pubtator"), ("BioC.XML", "bioc-xml"), ("BioC.JSON", "bioc-json"))
    ),
    ("re/BC5CDR-relations/CDR_TestSet.PubTator.txt.gz", "pubtator", None),
    ("re/DDI-2013/DDICorpus-2013(BRAT).zip!DDICorpusBrat/Test", "brat", None),
    ("ner/JNLPBA-standoff/jnlpba-standoff.tar.xz!standoff/test", "brat", None),
    ("ner/s800/test.tsv", "conll", "Species"),
    *(
        (f"ner/{name}/{split}.tsv", "conll", None)
        for name in (
            "BC2GM",
            "BC5CDR",
            "BC5CDR-chem",
            "BC5CDR-disease",
            "BioNLP09",
            "BioNLP11EPI",
            "BioNLP11ID",
            "BioNLP13GE",
            "BioNLP13PC",
            "Ex-PTM",
            "NCBI-disease",
            "linnaeus",
        )
        for split in ("devel",)
    ),
]


@pytest.mark.parametrize(("place", "format", "entity_type"), REAL, ids=[place.rsplit("!")[-1] for place, _, _ in REAL])
def test_real_files_read_written_and_read_again(
    shared_data: Path, place: str, format: str, entity_type: str | None, tmp_path: Path
) -> None:
    source = Source.of(f"{shared_data}/{place}")
    assert guess_format(source) == format
    quarantine = Quarantine()
    options = {"entity_type": entity_type} if entity_type else {}
    found = list(read_documents(source, format, quarantine, **options))
    assert quarantine.records == []
    assert found
    back = again(found, tmp_path / "file", format)
    if format in ("brat", "conll"):  # ids are file names: ours are made safe, and a CoNLL file has its own name
        found = [replace(document, id="") for document in found]
        back = [replace(document, id="") for document in back]
    assert sorted(back, key=repr) == sorted(found, key=repr)
    described = json.loads((shared_data.joinpath(*place.split("/")[:2]) / "SOURCE.json").read_text())["splits"]
    name = Path(place).stem
    if format == "conll" and "labels" in described.get(name, {}):
        assert len(found) == described[name]["sentences"]
        assert Counter(entity.type for document in found for entity in document.entities) == described[name]["labels"]


def test_the_three_biored_files_say_the_same(shared_data: Path) -> None:
    def entities(kind: str) -> list[set[tuple[int, int, str]]]:
        place = f"{shared_data}/re/BioRED/BioRED.zip!BioRED/Dev.{kind}"
        return [{(item.start, item.end, item.text) for item in found.entities} for found in read_documents(place)]

    assert entities("PubTator.txt") == entities("BioC.XML") == entities("BioC.JSON")
