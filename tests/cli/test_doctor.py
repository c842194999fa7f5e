from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest
import typer
from typer.testing import CliRunner

import textome
from textome.cli.verbs import doctor as module


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(module.doctor)

    def invoke(*arguments):
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    return invoke


@pytest.fixture
def without(monkeypatch):
    """Make some packages look as if they were not installed."""

    def remove(*names):
        installed = importlib.metadata.version

        def version(name):
            if name in names:
                raise PackageNotFoundError(name)
            return installed(name)

        monkeypatch.setattr(importlib.metadata, "version", version)

    return remove


def test_json_tells_the_versions_that_are_installed(run):
    facts = json.loads(run("--json"))
    assert facts["textome"] == textome.__version__
    assert facts["packages"]["numpy"] == importlib.metadata.version("numpy")
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["processor"]["threads"] >= 1
    assert None not in facts["packages"].values()
    incomplete = [extra for extra, names in facts["extras"].items() if None in names.values()]
    assert [line.rpartition("textome[")[2] for line in facts["advice"]] == [f"{extra}]'" for extra in incomplete]


def test_the_base_packages_are_those_of_the_project():
    """So that a dependency added to pyproject.toml is not forgotten here."""
    required = [line.partition(";") for line in importlib.metadata.requires("textome")]
    base = {name.split(">")[0] for name, _, marker in required if "extra" not in marker}
    assert set(module._BASE) == base


def test_text_names_every_package(run):
    text = run()
    assert text.startswith(f"textome {textome.__version__} on Python")
    for name in (*module._BASE, "torch", "bundled model"):
        assert f"  {name} " in text


def test_a_missing_extra_comes_with_its_command(run, without):
    without("torch")
    text = run()
    assert "pip install 'textome[train]'" in text
    assert "torch missing" in text
    assert json.loads(run("--json"))["extras"]["train"]["torch"] is None


def test_a_missing_base_package_comes_with_its_command(run, without):
    without("lxml")
    assert "pip install --force-reinstall textome" in run()


def test_torch_is_not_imported_where_it_is_not_installed():
    program = (
        "import sys, textome.cli.verbs.doctor as module; true = module._version;"
        "module._version = lambda name: None if name == 'torch' else true(name);"
        "module.doctor(as_json=True); print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "False"
    assert json.loads(done.stdout)["gpu"] is None


def test_processor_flags_are_read_as_linux_names_them(monkeypatch, tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_vnni amx_bf16 other\nbugs\t\t: avx512f\n")
    monkeypatch.setattr(module, "Path", lambda place: cpuinfo)
    assert module.instructions() == ["avx2", "avx512_vnni", "amx_bf16"]
    cpuinfo.unlink()
    assert module.instructions() == []
