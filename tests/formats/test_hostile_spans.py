"""Spans are cheap to write, and their texts are not: every reader checks them first, and no writer multiplies them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from textome.documents import Document, Entity, Passage, Relation, Span, check_entity_characters, spans_problem
from textome.errors import InputError
from textome.formats import Quarantine, Source, read_documents, write_documents
from textome.formats.bioc import document_to

TEXT = "ab " * 20_000


@contextmanager
def within(seconds: float) -> Iterator[None]:
    started = time.process_time()
    yield
    assert time.process_time() - started < seconds


def read(data: bytes, format: str) -> tuple[list[Document], list[str]]:
    quarantine = Quarantine()
    documents = list(read_documents(Source("a", data=data), format, quarantine))
    return documents, [item.reason for item in quarantine.records]


def in_format(format: str, entities: list[list[tuple[int, int]]]) -> bytes:
    if format == "jsonl":
        items: list[Any] = [{"type": "X", "spans": pairs} for pairs in entities]
        return json.dumps({"text": TEXT, "entities": items}).encode()
    if format == "bioc-json":
        annotations = [
            {"id": str(number), "locations": [{"offset": start, "length": end - start} for start, end in pairs]}
            for number, pairs in enumerate(entities)
        ]
        passage = {"offset": 0, "text": TEXT, "annotations": annotations}
        return json.dumps({"documents": [{"id": "1", "passages": [passage]}]}).encode()
    if format == "bioc-xml":
        annotations = [
            f'<annotation id="{number}">'
            + "".join(f'<location offset="{start}" length="{end - start}"/>' for start, end in pairs)
            + "</annotation>"
            for number, pairs in enumerate(entities)
        ]
        return (
            f"<collection><document><id>1</id><passage><offset>0</offset><text>{TEXT}</text>"
            f"{''.join(annotations)}</passage></document></collection>"
        ).encode()
    rows = [f"1\t{pairs[0][0]}\t{pairs[0][1]}\tx\tX" for pairs in entities]
    return "\n".join([f"1|t|{TEXT}", "1|a|", *rows, ""]).encode()


@pytest.mark.parametrize("format", ["jsonl", "bioc-json", "bioc-xml"])
def test_spans_that_overlap_are_refused_before_their_text_is_joined(format: str) -> None:
    data = in_format(format, [[(0, len(TEXT))] * 20_000])
    with within(5):
        documents, problems = read(data, format)
    assert documents == []
    assert len(problems) == 1
    assert len(problems[0]) < 1000


@pytest.mark.parametrize("format", ["jsonl", "bioc-json", "bioc-xml", "pubtator"])
def test_the_texts_of_all_entities_of_a_document_are_bounded(format: str) -> None:
    data = in_format(format, [[(0, len(TEXT))]] * 2000)
    with within(5):
        documents, problems = read(data, format)
    assert documents == []
    assert "more than 10,000,000" in problems[0]


@pytest.mark.parametrize("format", ["jsonl", "bioc-json"])
def test_a_mention_in_two_pieces_counts_with_what_lies_between(format: str) -> None:
    data = in_format(format, [[(0, 1), (len(TEXT) - 1, len(TEXT))]] * 2000)
    assert "more than 10,000,000" in read(data, format)[1][0]


def test_text_at_bad_spans_is_refused() -> None:
    document = Document("7", (Passage("gout"),))
    for spans in ([], [(0, 5)], [(2, 2)], [(0, 2), (1, 3)], [(2, 3), (0, 1)], [(-1, 2)]):
        assert spans_problem([Span(*pair) for pair in spans], 4)
        with pytest.raises(InputError, match="document '7'"):
            document.entity(spans, "X")
    assert document.text_at([Span(0, 1), Span(3, 4)]) == "g t"


def test_the_sum_counts_from_the_beginning_to_the_end_of_each_entity() -> None:
    check_entity_characters([[(0, 1), (9_999_999, 10_000_000)]])
    with pytest.raises(InputError, match="here: the texts"):
        check_entity_characters([[(9_999_999, 10_000_000), (0, 1)], [(0, 1)]], "here: ")


def test_messages_are_short_whatever_they_quote() -> None:
    error = InputError("a" * 5000 + "; do this")
    assert len(str(error)) < 2100
    assert str(error).endswith("; do this")
    with pytest.raises(InputError) as caught:
        Document("1", (Passage(TEXT),), (Entity((Span(0, 9),), "X", TEXT),))
    assert len(str(caught.value)) < 1000


def written(document: Document, format: str, path: Path) -> int:
    target = path / format
    write_documents([document], target, format)
    return sum(file.stat().st_size for file in ([target] if target.is_file() else target.rglob("*.*")))


@pytest.mark.parametrize(
    "format", ["jsonl", "bioc-json", "bioc-xml", "pubtator", "conll", "csv", "html", "fhir", "brat"]
)
def test_writers_take_time_and_room_in_proportion_to_the_document(format: str, tmp_path: Path) -> None:
    text = "ab " * 10_000
    passages = tuple(Passage(text[start : start + 3], start) for start in range(0, len(text), 3))
    draft = Document("1", passages)
    entities = [draft.entity([(3 * place, 3 * place + 2)], "X", id=f"T{place}") for place in range(10_000)]
    relations = [Relation("R", (("a", f"R{place + 1}"),), f"R{place}") for place in range(5000)]
    relations.append(Relation("R", (("a", "T0"),), "R5000"))
    document = draft.with_annotations(entities, relations)
    with within(10):
        assert written(document, format, tmp_path) < 10_000_000


def test_a_page_refuses_entities_that_cross_without_end(tmp_path: Path) -> None:
    draft = Document.from_text("a" * 5000, "1")
    document = draft.with_annotations([draft.entity([(start, start + 1000)], "X") for start in range(3000)])
    with within(10), pytest.raises(InputError, match="cross each other"):
        write_documents([document], tmp_path / "a.html", "html")


def test_brat_leaves_out_relations_that_hang_on_one_that_cannot_be_written(tmp_path: Path) -> None:
    draft = Document.from_text("gout\n\nfever", "1")
    entities = [draft.entity([(0, 4)], "X", id="T1"), draft.entity([(4, 6)], "X", id="T2")]
    relations = [
        Relation("good", (("a", "T1"),), "R1"),
        Relation("also", (("a", "R1"),), "R2"),
        Relation("bad", (("a", "T2"),), "R3"),
        Relation("hangs", (("a", "R3"), ("b", "R1")), "R4"),
        Relation("last", (("a", "R4"),)),
    ]
    write_documents([draft.with_annotations(entities, relations)], tmp_path / "b", "brat")
    lines = (tmp_path / "b" / "1.ann").read_text().splitlines()
    assert [line.split("\t")[1].split()[0] for line in lines if line.startswith("R")] == ["good", "also"]


def test_many_documents_of_one_name_each_have_a_brat_file(tmp_path: Path) -> None:
    with within(20):
        write_documents(
            (Document.from_text("gout", name) for name in ["a", "a_2"] + ["a"] * 1000), tmp_path / "b", "brat"
        )
    assert len(list((tmp_path / "b").glob("*.txt"))) == 1002


def test_each_annotation_stands_in_the_passage_where_it_begins() -> None:
    draft = Document("1", (Passage("gout", 2), Passage("", 6), Passage("fever", 6), Passage("rash", 20)))
    spans = [(2, 4), (5, 8), (6, 11), (0, 3), (11, 12), (20, 24)]
    members = document_to(
        draft.with_annotations(draft.entity([pair], "X", id=f"T{pair[0]}-{pair[1]}") for pair in spans)
    )
    assert [[item["id"] for item in passage["annotations"]] for passage in members["passages"]] == [
        ["T2-4", "T5-8", "T0-3"],
        [],
        ["T6-11", "T11-12"],
        ["T20-24"],
    ]


def test_infons_of_one_key_stay_apart() -> None:
    infons = '<infon key="b#2">x</infon>' + '<infon key="b">y</infon>' * 3
    many = '<infon key="c">z</infon>' * 20_000
    passage = "<passage><offset>0</offset><text>a</text></passage>"
    data = f"<collection><document><id>1</id>{infons}{many}{passage}</document></collection>"
    with within(5):
        documents, problems = read(data.encode(), "bioc-xml")
    assert not problems
    assert [documents[0].metadata[key] for key in ("b#2", "b", "b#3", "b#4", "c#20000")] == ["x", "y", "y", "y", "z"]


def test_a_header_of_many_columns_is_read_in_time() -> None:
    header = ",".join(["text", *(f"c{number}" for number in range(100_000))])
    with within(5):
        read(f"{header}\ngout\n".encode(), "csv")


def test_offsets_in_other_units_are_read_where_no_character_begins_at_a_place() -> None:
    passage = {
        "offset": 10,
        "text": "é gout",
        "annotations": [{"id": "1", "text": "gout", "locations": [{"offset": 13, "length": 4}]}],
    }
    documents, problems = read(json.dumps({"documents": [{"id": "1", "passages": [passage]}]}).encode(), "bioc-json")
    assert not problems
    assert documents[0].entities[0].spans == (Span(12, 16),)
    passage["annotations"] = [{"id": "1", "text": "gout", "locations": [{"offset": 11, "length": 4}]}]
    documents, problems = read(json.dumps({"documents": [{"id": "1", "passages": [passage]}]}).encode(), "bioc-json")
    assert documents == []
