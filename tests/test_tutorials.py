"""The tutorials: every file on the page and every command, on a tiny encoder in place of the bundled model.

Commands run in this process, as starting Python and loading PyTorch for each of them takes longer than what they do.
"""

from __future__ import annotations

import io
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from textome.cli.main import main
from tiny import make_base

TUTORIALS = sorted((Path(__file__).resolve().parent.parent / "docs" / "tutorials").glob("*.md"))
_BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """(language, name of the file or empty, text) of each block of a page, in order."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def run(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of `textome ...`, `python FILE`, or `printf TEXT | textome ...`."""
    *feeding, command = (shlex.split(part) for part in line.split(" | "))
    assert all(words[0] == "printf" and len(words) == 2 for words in feeding), line
    program, *arguments = command
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("".join(words[1] for words in feeding).encode())))
    try:
        if program == "python":
            runpy.run_path(arguments[0], run_name="__main__")
        else:
            assert program == "textome", line
            main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda path: path.stem)
def test_every_command_of_a_tutorial_works(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    base = make_base(tmp_path / "base")
    commands = []
    for language, name, text in blocks(page):
        if name:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            small = f'base = "{base}"\nwindow = 64\noverlap = 16\n'
            path.write_text(re.sub(r'^base = "default".*\n', small, text, flags=re.MULTILINE), encoding="utf-8")
        elif language == "sh":
            commands += text.splitlines()
    assert commands
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEXTOME_DATA", raising=False)
    for command in commands:
        code = run(command, monkeypatch)
        assert code == 0, f"{command}\n{capfd.readouterr().err}"
