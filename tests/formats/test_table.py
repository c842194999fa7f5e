"""Tables: texts in the columns of a spreadsheet are read, entities are written a row each."""

from __future__ import annotations

import csv
import gzip
import io
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from strategies import documents
from textome.cli.main import application
from textome.documents import Document, Identifier, Label, Passage, Span
from textome.formats import Quarantine, Source, Target, guess_format
from textome.formats.reading import rows as rows_module
from textome.formats.table import COLUMNS, read, write


def found(text: str | bytes, name: str = "own.csv") -> tuple[list[Document], list[str]]:
    quarantine = Quarantine()
    data = text.encode() if isinstance(text, str) else text
    return list(read(Source(name, data=data), quarantine)), [str(record) for record in quarantine.records]


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_title_text_id_and_the_other_columns(delimiter: str, end: str) -> None:
    lines = [
        ["Year", "PMID", "Title", "Abstract", "Journal name"],
        ["2001", "12", "Gout", '"The big toe,; hurts\tmost."', ""],
        ["2002", "", "Ague", "", "Own journal"],
    ]
    text = end.join(delimiter.join(cells) for cells in lines) + end
    text = text.replace('hurts\tmost."', 'hurts most."') if delimiter == "\t" else text
    (first, second), problems = found("\ufeff" + text, "folder/own.csv.gz")
    assert problems == []
    assert first.id == "12"
    assert [(item.section, item.offset) for item in first.passages] == [("title", 0), ("abstract", 5)]
    assert first.text.startswith("Gout\nThe big toe,; hurts")
    assert first.metadata == {"Year": "2001"}
    assert (second.id, second.text) == ("own-2", "Ague")
    assert second.metadata == {"Year": "2002", "Journal name": "Own journal"}


def test_columns_without_a_name_are_left_out() -> None:
    data = ",text,\n0,Gout hurts.,x\n1,Ague too.,\n"
    assert guess_format(Source("own.csv", data=data.encode())) == "csv"
    items, problems = found(data)
    assert problems == []
    assert [(item.id, item.text, item.metadata) for item in items] == [
        ("own-1", "Gout hurts.", {}),
        ("own-2", "Ague too.", {}),
    ]


def test_cells_over_several_lines_and_doubled_quotes() -> None:
    (item,), problems = found('id,text\n1,"Gout\r\n\r\nis ""podagra"" too"\n\n')
    assert problems == []
    assert item.text == 'Gout\r\n\r\nis "podagra" too'


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"2\n", "line 4: 1 cells, but the header has 2 columns"),
        (b"2,Gout,hurts\n", "line 4: 3 cells, but the header has 2 columns"),
        (b"2,  \n", "line 4: the record has no text"),
        (b"2,caf\xe9\n", "line 4: not UTF-8; convert the file first"),
        (b'2,"Gout" hurts\n', "line 4: ',' expected after '\"'"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_line(bad: bytes, message: str) -> None:
    items, problems = found(b'id,text\n1,"Gout\nhurts"\n' + bad + b"3,Ague\n")
    assert [item.text for item in items] == ["Gout\nhurts", "Ague"]
    assert len(problems) == 1
    assert problems[0].startswith(f"own.csv, {message}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("pmid,year\n1,2001\n", "line 1: no column holds texts; call it one of text, abstract"),
        ("\n\ntext,Text\na,b\n", "line 3: two columns are called 'text'; rename one"),
        (b"text,caf\xe9\nGout,x\n", "line 1: not UTF-8; convert the file first"),
        (b"\x89PNG\r\n\x1a\n\x00", "line 1: not UTF-8; convert the file first"),
    ],
)
def test_a_header_that_does_not_tell(data: str | bytes, message: str) -> None:
    items, problems = found(data)
    assert items == []
    assert len(problems) == 1
    assert problems[0].startswith(f"own.csv, {message}")


def test_a_line_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_CELL", 10_000)
    data = gzip.compress(b"id,text\n1,Gout\n2," + b"x" * 30_000_000)
    tracemalloc.start()
    items, problems = found(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
    assert [item.text for item in items] == ["Gout"]
    assert problems == [
        "own.csv, line 3: a line of more than four million characters; the rest of the file is not read"
    ]


def test_a_file_cut_short() -> None:
    whole = gzip.compress(b"id,text\n" + b"".join(b"%d,Gout number %d\n" % (n, n * 7919) for n in range(5000)))
    items, problems = found(whole[: len(whole) // 2])
    assert 100 < len(items) < 5000
    assert len(problems) == 1
    assert "cut short or damaged" in problems[0]


def test_an_entity_or_a_label_a_row(tmp_path: Path) -> None:
    labels = (Label("acute", "course", 0.5), Label("site", span=Span(6, 10)))
    text = Document("12", (Passage("Gout, left and right knee"),), labels=labels)
    identifiers = ("own:1", Identifier("own:2", 0.25, "Knee; left"))
    left = text.entity([(6, 10), (21, 25)], "Site", identifiers=identifiers, attributes={"negated": "true", "a": "b"})
    document = text.with_annotations([text.entity([(0, 4)], "Disease", confidence=0.75), left])
    assert write([document, Document("13", ())], Target(tmp_path / "out.csv")) == 2
    assert rows((tmp_path / "out.csv").read_bytes().decode()) == [
        list(COLUMNS),
        ["12", document.entities[0].id, "0", "4", "Disease", "Gout", "0.75", *[""] * 7],
        [
            *("12", document.entities[1].id, "6", "25", "Site", "left knee", "", "own:1;own:2", "6-10;21-25"),
            *(";Knee, left", ";0.25", "negated=true;a=b", "", ""),
        ],
        ["12", "", "", "", "", "", "0.5", "", "", "", "", "", "course", "acute"],
        ["12", "", "6", "10", "", "left", "", "", "", "", "", "", "", "site"],
    ]


@given(st.lists(documents(), max_size=3))
def test_every_annotation_is_written_with_its_text(items: list[Document]) -> None:
    class Held(io.BytesIO):
        def close(self) -> None:
            """Keep the bytes."""

    stream = Held()

    class Kept(Target):
        def open(self):  # type: ignore[no-untyped-def]
            return stream

    write(items, Kept())
    written = rows(stream.getvalue().decode())[1:]
    expected = [(item, entity) for item in items for entity in item.entities]
    assert len(written) == len(expected) + sum(len(item.labels) for item in items)
    assert {len(row) for row in written} <= {len(COLUMNS)}
    written = [row for row in written if row[COLUMNS.index("type")]]
    for row, (item, entity) in zip(written, expected, strict=True):
        assert row[:2] == [item.id, entity.id]
        assert (int(row[2]), int(row[3]), *row[4:6]) == (entity.start, entity.end, entity.type, entity.text)


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1), min_size=1, max_size=6))
def test_any_text_in_a_cell_comes_back(texts: list[str]) -> None:
    stream = io.StringIO(newline="")
    lines = csv.writer(stream, quoting=csv.QUOTE_ALL)
    lines.writerow(["note_id", "note"])
    lines.writerows([number, text] for number, text in enumerate(texts))
    items, problems = found(stream.getvalue())
    blank = [text for text in texts if not text.strip()]
    assert [item.text for item in items] == [text for text in texts if text.strip()]
    assert len(problems) == len(blank)


def test_from_a_spreadsheet_to_a_table_of_entities(tmp_path: Path) -> None:
    source = tmp_path / "notes.csv"
    source.write_text('note_id,note\nA7,"Metformin was given for diabetes, again."\n')
    assert guess_format(Source.of(source)) == "csv"
    result = CliRunner().invoke(application(), ["annotate", str(source), "--output", str(tmp_path / "entities.csv")])
    assert result.exit_code == 0, result.output
    header, *found = rows((tmp_path / "entities.csv").read_text())
    assert header == list(COLUMNS)
    assert [[row[0], *row[2:6]] for row in found] == [
        ["A7", "0", "9", "Chemical", "Metformin"],
        ["A7", "24", "32", "Disease", "diabetes"],
    ]
