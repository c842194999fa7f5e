"""The tutorials: every file on the page and every command, on a tiny encoder in place of the bundled model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tiny import make_base

TUTORIALS = sorted((Path(__file__).resolve().parent.parent / "docs" / "tutorials").glob("*.md"))
_BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """(language, name of the file or empty, text) of each block of a page, in order."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda path: path.stem)
def test_every_command_of_a_tutorial_works(page: Path, tmp_path: Path) -> None:
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
    shim = tmp_path / "bin" / "textome"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m textome.cli.main "$@"\n')
    shim.chmod(0o755)
    python = shim.with_name("python")
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    environment = os.environ | {"PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("TEXTOME_DATA", None)
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
