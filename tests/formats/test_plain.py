"""Plain text: every character kept, no encoding guessed."""

from __future__ import annotations

import codecs
import gzip
import io
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textome.documents import Document
from textome.errors import InputError
from textome.formats import Quarantine, Source, Target, read_documents
from textome.formats.plain import read, sniff, write


def found(data: bytes, name: str = "folder/note.txt") -> tuple[list[Document], Quarantine]:
    quarantine = Quarantine()
    return list(read(Source(name, data=data), quarantine)), quarantine


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: text.strip()))
def test_every_character_is_kept(text: str, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    write([Document.from_text(text)], Target(path))
    assert path.read_bytes() == text.encode()
    ((document,), _) = found(codecs.BOM_UTF8 + path.read_bytes())
    assert document.text == text


def test_line_breaks_stay_and_the_name_becomes_the_id() -> None:
    ((document,), _) = found(b"one\r\ntwo\rthree\n")
    assert (document.id, document.text) == ("note", "one\r\ntwo\rthree\n")
    assert found(gzip.compress(b"x"), "a/note.v2.txt.gz")[0][0].id == "note.v2"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_byte_order_mark_tells_the_encoding_and_is_no_text(encoding: str) -> None:
    ((document,), _) = found("Übelkeit 𝛼".encode(encoding))
    assert document.text == "Übelkeit 𝛼"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("na\u00efve".encode("latin-1"), "not UTF-8 at byte 2; convert the file first"),
        (b"\xff\xfea\x00b", "cut short or damaged (utf-16-le breaks off"),
        (b" \r\n\t", "only white space"),
        (b"", "the file is empty"),
        (gzip.compress(b"gout " * 50)[:-9], "cut short or damaged"),
    ],
)
def test_what_is_no_text_is_quarantined(data: bytes, message: str) -> None:
    documents, quarantine = found(data)
    assert documents == []
    (record,) = quarantine.records
    assert message in record.reason


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Gicht α\n".encode())))
    (document,) = read_documents("-")
    assert (document.id, document.text) == ("stdin", "Gicht α\n")


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty"):
        list(read_documents(tmp_path / "a.txt"))


def test_several_documents_are_parted_by_a_blank_line(tmp_path: Path) -> None:
    assert write([Document.from_text("one"), Document.from_text("two")], Target(tmp_path / "out")) == 2
    assert (tmp_path / "out").read_bytes() == b"one\n\ntwo"


def test_sniff_takes_text_but_no_markup_and_no_binary() -> None:
    assert sniff("p < 0.05 in gout", "a")
    assert sniff("<0.05 was found; [3] says so", "a")
    assert sniff("Na\ufffdve text of one wrong byte", "a")
    for markup in (
        "<?xml version='1.0'?><article>",
        "<!DOCTYPE html>",
        "<html>",
        '{"a": 1}',
        '[{"a": 1}]',
        " <p>x</p>",
    ):
        assert not sniff(markup, "a")
    assert not sniff("\x01\x02\x03\x04 text", "a")


def read_parted(data: bytes) -> tuple[list[tuple[str, str]], list[str]]:
    quarantine = Quarantine()
    found = read_documents(Source("a.txt", data=data), "plain", quarantine, blank_lines=True)
    return [(document.id, document.text) for document in found], [str(record) for record in quarantine.records]


def test_blank_lines_part_documents_where_asked() -> None:
    data = "\ufeffone\ntwo α\n\n \n\r\nthree\n\n\n".encode()
    assert read_parted(data) == ([("a-1", "one\ntwo α"), ("a-2", "three")], [])
    assert read_parted(gzip.compress(b"one\n\ntwo")) == ([("a-1", "one"), ("a-2", "two")], [])
    assert read_parted(b"\n\n") == ([], [])


def test_a_bad_document_between_blank_lines_is_set_aside_alone() -> None:
    found, problems = read_parted(b"one\n\nna\xefve\n\nthree\n")
    assert found == [("a-1", "one"), ("a-3", "three")]
    assert len(problems) == 1
    assert "text 2, before line 4: not UTF-8" in problems[0]
    found, problems = read_parted(gzip.compress(b"one\n\n" + bytes(range(32, 127)) * 999)[:-20])
    assert found == [("a-1", "one")]
    assert "cut short or damaged" in problems[0]


def test_texts_too_large_for_one_document_are_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textome.formats.plain.MAX_SIZE", 1 << 20)
    quarantine = Quarantine()
    assert list(read_documents(Source("a.txt", data=b"a" * 1_100_000), "plain", quarantine)) == []
    assert "one text of more than 1 MB; cut it in files" in str(quarantine.records[0])
    found, problems = read_parted(b"one\n\n" + b"a\n" * 600_000)
    assert found == [("a-1", "one")]
    assert "more than 1 MB without a blank line" in problems[0]
