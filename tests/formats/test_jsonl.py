"""JSON lines: the schema, the simple forms, and lines that are wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strategies import documents
from textome.documents import Document, Identifier, Label, Passage, Span
from textome.errors import InputError
from textome.formats import Quarantine, Source, guess_format, read_documents, write_documents
from textome.formats.reading.json_values import parse_json


def read(data: str | bytes, format: str | None = "jsonl") -> tuple[list[Document], list[str]]:
    source = Source("a.jsonl", data=data.encode("utf-8") if isinstance(data, str) else data)
    quarantine = Quarantine()
    return list(read_documents(source, format, quarantine)), [str(record) for record in quarantine.records]


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(documents(), max_size=3))
def test_every_list_of_documents_comes_back_equal(found: list[Document], tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    assert write_documents(found, path, "jsonl") == len(found)
    assert list(read_documents(path, "jsonl")) == found


def test_the_schema_is_as_documented(tmp_path: Path) -> None:
    document = Document("1", (Passage("Aspirin", 0, "title"), Passage("in gout.", 8, "abstract", {"a": "b"})))
    aspirin = document.entity(
        [(0, 7)], "Chemical", id="T1", confidence=0.5, identifiers=["mesh:D001241"], metadata={"k": "v"}
    )
    gout = document.entity(
        [(0, 2), (11, 15)], "X", identifiers=[Identifier("x:1", 0.75, "Gout")], attributes={"negated": "true"}
    )
    labels = [Label("yes"), Label("b", "topic", 0.75, Span(8, 16), {"a": 0.25, "b": 0.75}, {"k": "v"})]
    document = document.with_annotations([aspirin, gout]).with_labels(labels)
    write_documents([document], tmp_path / "a", "jsonl")
    assert json.loads((tmp_path / "a").read_text()) == {
        "id": "1",
        "passages": [
            {"text": "Aspirin", "offset": 0, "section": "title"},
            {"text": "in gout.", "offset": 8, "section": "abstract", "metadata": {"a": "b"}},
        ],
        "entities": [
            {
                "id": "T1",
                "type": "Chemical",
                "spans": [[0, 7]],
                "text": "Aspirin",
                "confidence": 0.5,
                "identifiers": [{"curie": "mesh:D001241"}],
                "metadata": {"k": "v"},
            },
            {
                "type": "X",
                "spans": [[0, 2], [11, 15]],
                "text": "As gout",
                "identifiers": [{"curie": "x:1", "score": 0.75, "label": "Gout"}],
                "attributes": {"negated": "true"},
            },
        ],
        "labels": [
            {"name": "yes"},
            {
                "name": "b",
                "task": "topic",
                "confidence": 0.75,
                "span": [8, 16],
                "scores": {"a": 0.25, "b": 0.75},
                "metadata": {"k": "v"},
            },
        ],
    }
    assert list(read_documents(tmp_path / "a", "jsonl")) == [document]


def test_identifiers_that_are_bare_curies_are_read_as_older_files_have_them() -> None:
    ((document,), problems) = read(
        '{"text": "Gout.", "entities": [{"type": "D", "spans": [[0, 4]], "identifiers": ["a:1"]}]}'
    )
    assert problems == []
    assert document.entities[0].identifiers == (Identifier("a:1"),)


def test_simple_forms() -> None:
    lines = [
        '{"text": "Gout.", "id": 7}',
        "",
        '{"title": "Gout.", "abstract": "It hurts.", "id": "b", "journal": "passed over"}',
        '"Gout."',
        '{"abstract": "It hurts."}',
        '{"text": "Gout.", "entities": [{"type": "Disease", "spans": [[0, 4]]}]}',
    ]
    found, problems = read("\ufeff" + "\r\n".join(lines), None)
    assert problems == []
    assert [document.id for document in found] == ["7", "b", "4", "5", "6"]
    assert found[1].passages == (Passage("Gout.", 0, "title"), Passage("It hurts.", 6, "abstract"))
    assert found[1].text == "Gout.\nIt hurts."
    assert found[3].passages == (Passage("It hurts.", 0, "abstract"),)
    assert found[4].entities[0].text == "Gout"


def test_line_separators_inside_a_text_do_not_end_the_line() -> None:
    text = "a\u2028b\u2029c\u0085d\x0be"
    found, problems = read(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    assert problems == []
    assert found[0].text == text


ENTITY = '{"text": "fever", "entities": [%s]}'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not valid JSON at column 2"),
        ('{"text": 3}', "text: expected a text, found the number 3"),
        ('{"text": null}', "the record has no text"),
        ('{"text": "a", "id": true}', "id: expected a text or a whole number"),
        ('{"text": "a", "id": 1.5}', "id: expected a text or a whole number"),
        ("3", "expected an object"),
        ("[]", "expected an object"),
        ("{}", "there is no text"),
        ('{"text": "a", "text": "b"}', "the member 'text' is given twice"),
        ('{"text": "a", "metadata": {"n": NaN}}', "NaN is not a JSON number"),
        ('{"text": "a", "metadata": {"n": 1}}', "n: expected a text"),
        ('{"text": "a", "metadata": []}', "metadata: expected an object"),
        ('{"passages": {}}', "passages: expected a list"),
        ('{"passages": ["a"]}', "a passage: expected an object"),
        ('{"passages": [{"text": "a", "offset": "0"}]}', "offset: expected a whole number"),
        ('{"passages": [{"text": "a", "offset": -1}]}', "offset -1 overlaps"),
        ('{"passages": [{"text": "a", "offset": 90000000000}]}', "leaves a gap of more than"),
        ('{"passages": [{"text": "ab"}, {"text": "c", "offset": 1}]}', "passage 2: offset 1 overlaps"),
        (ENTITY % '{"spans": [[0, 5]]}', "'type' is missing"),
        (ENTITY % '{"type": "D"}', "has no span"),
        (ENTITY % '{"type": "D", "spans": [[0]]}', "spans: expected pairs of whole numbers"),
        (ENTITY % '{"type": "D", "spans": [[0.0, 5]]}', "spans: expected pairs of whole numbers"),
        (ENTITY % '{"type": "D", "spans": [[false, true]]}', "spans: expected pairs of whole numbers"),
        (ENTITY % '{"type": "D", "spans": [[0, 9]]}', "outside the text of 5 characters"),
        (ENTITY % '{"type": "D", "spans": [[0, 5]], "text": "Fever"}', "says 'Fever' but the text at 0-5 is 'fever'"),
        (ENTITY % '{"type": "D", "spans": [[0, 5]], "confidence": "1"}', "confidence: expected a number from 0 to 1"),
        (ENTITY % '{"type": "D", "spans": [[0, 5]], "confidence": 1e999}', "a number is larger than 1.8e308"),
        (ENTITY % '{"type": "D", "spans": [[0, 5]], "identifiers": [1]}', "an identifier: expected an object"),
        (ENTITY % '{"type": "D", "spans": [[0, 5]], "identifiers": [{"score": 1}]}', "'curie' is missing"),
        (
            ENTITY % '{"type": "D", "spans": [[0, 5]], "identifiers": [{"curie": "a", "score": 2}]}',
            "score: expected a number",
        ),
        (ENTITY % '{"type": "D", "spans": [[0, 5]], "attributes": {"negated": true}}', "negated: expected a text"),
        ('{"text": "a", "labels": ["yes", 3]}', "a label: expected an object, found a text"),
        ('{"text": "a", "labels": [{"task": "t"}]}', "'name' is missing"),
        ('{"text": "a", "labels": [{"name": "b", "span": [0]}]}', "span: expected a pair of whole numbers"),
        ('{"text": "a", "labels": [{"name": "b", "span": [0, 2]}]}', "outside the text of 1 characters"),
        ('{"text": "a", "labels": [{"name": "b", "scores": {"b": null}}]}', "b: expected a number from 0 to 1"),
        ('{"text": "a", "relations": [{"type": "r", "arguments": [["x", "T1"]]}]}', "refers to 'T1'"),
        ('{"text": "a", "relations": [{"type": "r", "arguments": ["T1"]}]}', "arguments: expected pairs"),
        ("[" * 100_000, "nested too deeply"),
        ('{"text": "a", "n": ' + "1" * 5000 + "}", "not valid JSON"),
    ],
    ids=lambda value: value[:40],
)
def test_a_bad_line_is_set_aside_with_its_number(line: str, reason: str) -> None:
    found, problems = read(f'"first"\n{line}\n"third"\n')
    assert [document.text for document in found] == ["first", "third"]
    (problem,) = problems
    assert problem.startswith("a.jsonl, line 2: ")
    assert reason in problem


def test_a_line_that_is_not_utf_8() -> None:
    found, problems = read('"first"\n"Sjögren"\n"third"'.encode("latin-1"))
    assert [document.text for document in found] == ["first", "third"]
    assert problems == [
        "a.jsonl, line 2: not UTF-8 at byte 3; convert the file first, as with iconv -f latin1 -t utf-8"
    ]


def test_halves_of_surrogate_pairs_are_replaced_and_whole_pairs_joined() -> None:
    line = r'{"id": "\ud800", "text": "a\ud83e\uddecb\udc00", "metadata": {"\udfff": "\ud800"}}'
    ((document,), problems) = read(line)
    assert problems == []
    assert (document.id, document.text, document.metadata) == ("\ufffd", "a\U0001f9ecb\ufffd", {"\ufffd": "\ufffd"})


def test_truncated_gzip_keeps_the_lines_before() -> None:
    packed = gzip.compress(b"".join(b'{"text": "line %d"}\n' % (number * 7919 % 10007) for number in range(9000)))
    found, problems = read(packed[: len(packed) // 2])
    assert len(found) > 1000
    assert problems[0].startswith(f"a.jsonl, after line {len(found)}: the file is cut short or damaged")


def test_no_lines_are_no_documents_but_an_empty_file_has_no_format(tmp_path: Path) -> None:
    write_documents([], tmp_path / "a.jsonl", "jsonl")
    assert list(read_documents(tmp_path / "a.jsonl", "jsonl")) == []
    with pytest.raises(InputError, match="the file is empty"):
        guess_format(Source.of(tmp_path / "a.jsonl"))


def test_lines_are_read_as_they_are_asked_for() -> None:
    documents = read_documents(Source("a", data=b'"first"\n{broken'), "jsonl")
    assert next(documents).text == "first"
    with pytest.raises(InputError, match="line 2"):
        next(documents)


@pytest.mark.parametrize(
    "head", ['{"text": "a"}\n', '"a"\n', '{"passages": [{"text": "' + "a" * 5000, '\ufeff{"text": ""}']
)
def test_recognised_by_its_first_line(head: str) -> None:
    assert guess_format(Source("a", data=head.encode())) == "jsonl"


@settings(max_examples=200)
@given(st.text(st.sampled_from('{}[]":,\\ud8019NaInfty.e-+ \n'), max_size=40))
def test_parsing_raises_only_input_errors(text: str) -> None:
    try:
        value = parse_json(text)
    except InputError:
        return
    json.dumps(value, ensure_ascii=False, allow_nan=True).encode("utf-8")


def test_records_of_a_database_keep_their_ids_and_lose_no_null() -> None:
    lines = [
        '{"pmid": 31452104, "title": "Gout.", "abstract": "It hurts.", "journal": "J", "year": 2019, "open": true}',
        '{"PMID": "7", "Title": "Ague.", "Abstract": null}',
        '{"pmid": 8.0, "title": null, "abstract": "Flu."}',
        '{"note_id": 3, "note": "Seen."}',
    ]
    found, problems = read("\n".join(lines), None)
    assert problems == []
    assert [document.id for document in found] == ["31452104", "7", "8", "3"]
    assert [document.text for document in found] == ["Gout.\nIt hurts.", "Ague.", "Flu.", "Seen."]
    assert found[0].metadata == {"journal": "J", "year": "2019", "open": "true"}


@pytest.mark.parametrize(
    "data",
    [
        '[{"text": "Gout."}, {"text": "Ague."}]',
        '[\n {"text": "Gout."},\n {"text": "Ague."}\n]\n',
        '{\n "text": "Gout."\n}\n{\n "text": "Ague."\n}\n',
        '{"classes": ["D"], "annotations": [["Gout.", {"entities": []}], ["Ague.", {"entities": []}]]}',
    ],
)
def test_records_over_several_lines_and_in_lists(data: str) -> None:
    found, problems = read(data, None)
    assert problems == []
    assert [document.text for document in found] == ["Gout.", "Ague."]


def test_what_is_broken_over_several_lines_keeps_what_stands_before() -> None:
    found, problems = read('{\n "text": "Gout."\n}\n{\n "text": Ague\n}\n', "jsonl")
    assert [document.text for document in found] == ["Gout."]
    assert problems == ["a.jsonl: not valid JSON at line 5, column 10 (Expecting value)"]
