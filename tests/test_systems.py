"""What cannot work on a system without file locks and forks, as Windows, says so in a sentence."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from textome.bulk import engine
from textome.errors import DeviceError, InputError
from textome.serve.processes.workers import bind_each


def test_bulk_names_what_helps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    (tmp_path / "a.txt").write_text("No gout was seen.")
    with pytest.raises(DeviceError, match="file locks of a Unix system; on Windows run it in WSL 2") as caught:
        engine.run([str(tmp_path / "a.txt")], tmp_path / "out")
    assert caught.value.exit_code == 3


def test_several_workers_of_the_service_need_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    with pytest.raises(InputError, match="several workers need a Unix system; leave --workers out"):
        bind_each("127.0.0.1", 0, 2)


def test_supported_systems_are_stated() -> None:
    text = (Path(__file__).resolve().parent.parent / "docs" / "index.md").read_text()
    assert "## Supported systems\nLinux on x86-64" in text
    assert "On Windows use WSL 2" in text
