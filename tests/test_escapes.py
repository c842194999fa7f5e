"""Signs that do something in a terminal or a spreadsheet are only shown."""

from __future__ import annotations

import csv
import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import textome.cli.streams
from textome.cli.streams import echo, say
from textome.cli.terminal import print_document
from textome.cli.training import Teller
from textome.documents import Document
from textome.escapes import no_formula, shown, shown_bytes
from textome.formats import Target, write_documents

EVIL = "\x1b]0;pwn\x07\x1b[2J\x9b31m\x7fa\rb\x00"


@given(st.text())
def test_what_is_shown_has_no_control_characters_and_the_same_length(text: str) -> None:
    result = shown(text)
    assert len(result) == len(text)
    assert not [sign for sign in result if (ord(sign) < 32 and sign not in "\n\t") or 0x7F <= ord(sign) < 0xA0]
    assert shown(result) == result


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_bytes_are_shown_as_their_text_is(text: str) -> None:
    assert shown_bytes(text.encode()).replace(b"\r\n", b"\n") == shown(text.replace("\r\n", "\n")).encode()


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"])
def test_a_formula_gets_an_apostrophe(cell: str) -> None:
    assert no_formula(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["gout", "", 1, -1.5, None, "1-2"])
def test_other_cells_stay(cell: object) -> None:
    assert no_formula(cell) is cell


@pytest.mark.parametrize(("formulas", "first"), [(True, "=1+1"), (False, "'=1+1")])
def test_tables_are_written_safely_on_request(tmp_path: Path, formulas: bool, first: str) -> None:
    draft = Document.from_text("-gout", "=1+1")
    document = draft.with_annotations([draft.entity([(0, 5)], "@type", confidence=0.5)])
    write_documents([document], Target(tmp_path / "a.csv", formulas), "csv")
    with (tmp_path / "a.csv").open(newline="") as stream:
        row = list(csv.reader(stream))[1]
    assert row[0] == first
    assert row[4].lstrip("'") == "@type"
    assert (row[2], row[3], row[6]) == ("0", "5", "0.5")


class _Output(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.buffer = io.BytesIO()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_standard_output_is_safe_where_it_is_a_terminal(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    output = _Output(terminal)
    monkeypatch.setattr(sys, "stdout", output)
    document = Document.from_text(EVIL, EVIL)
    for format in ("jsonl", "bioc-json", "pubtator", "conll", "csv"):
        write_documents([document], "-", format)
    echo(EVIL)
    written = output.buffer.getvalue().decode() + output.getvalue()
    assert bool(set(written) & set("\x1b\x9b\x7f\x07\x00")) is not terminal


def test_messages_and_the_view_of_a_document_are_safe(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"{EVIL}: no such file")
    assert "␛]0;pwn␇" in capsys.readouterr().err
    text = SimpleNamespace(file=io.StringIO())
    draft = Document.from_text(EVIL, EVIL)
    document = draft.with_annotations([draft.entity([(0, 3)], EVIL), draft.entity([(1, 5)], "X")])
    print_document(document, Console(file=text.file, highlight=False, width=200))
    assert not set(text.file.getvalue()) & set("\x1b\x9b\x7f\x07\x00\r")


def test_verbs_print_only_what_is_safe() -> None:
    """All that verbs print goes through `echo` and `say`, or through `rich` without markup."""
    cli = Path(textome.cli.streams.__file__).parent
    printed = re.compile(r"typer\.echo\(|(?<![\w.])print\(|Console\((?!.*markup=False).*\)\.print\(")
    bare = [
        f"{path.name}: {line.strip()}"
        for path in sorted(cli.rglob("*.py"))
        if path.name not in ("streams.py", "main.py")
        for line in path.read_text().splitlines()
        if printed.search(line)
    ]
    assert bare == []


@pytest.mark.parametrize("record", [{"event": "quarantined", "lines": [EVIL]}, {"event": "damaged", "message": EVIL}])
def test_progress_of_training_is_safe(capsys: pytest.CaptureFixture[str], record: dict[str, object]) -> None:
    with Teller("reading") as tell:
        tell(record)
    assert "␛]0;pwn␇" in capsys.readouterr().err
