"""The files in deploy/, by the tools that read such files; none of them needs a network, or a container engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from textome import __version__

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"


def tool(name: str) -> str:
    """The program, from this environment or the system; the test is skipped where it is missing."""
    beside = Path(sys.executable).with_name(name)
    if found := str(beside) if beside.exists() else shutil.which(name):
        return found
    pytest.skip(f"{name} is not installed")


def checked(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    assert checked(tool("hadolint"), str(DEPLOY / "Dockerfile")) == ""


def test_the_manifest_is_what_kubernetes_takes() -> None:
    found = checked(tool("kubernetes-validate"), "--strict", str(DEPLOY / "kubernetes.yaml"))
    assert found.count(" passed ") == 3


def test_systemd_takes_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    """With a program that exists in the place of the one that an installation would have."""
    analyze = tool("systemd-analyze")
    text = (DEPLOY / "textome.service").read_text()
    unit = tmp_path / "textome.service"
    unit.write_text(text.replace("/opt/textome/bin/textome", sys.executable))
    assert sys.executable in unit.read_text()
    checked(analyze, "verify", str(unit))
    exposed = re.search(r"exposure level for \S+: (\S+)", checked(analyze, "security", "--offline=true", str(unit)))
    assert exposed is not None
    assert float(exposed[1]) < 3  # of 10, which is not a protection at all


@pytest.mark.parametrize("name", ["Dockerfile", "textome.service", "kubernetes.yaml"])
def test_options_are_those_of_the_program(name: str) -> None:
    from typer.testing import CliRunner

    from textome.cli.main import application

    known = CliRunner().invoke(application(), ["serve", "--help"], env={"COLUMNS": "200"}).output
    lines = re.findall(r"^ *(?:ENTRYPOINT|CMD|ExecStart=|args:).*", (DEPLOY / name).read_text(), re.MULTILINE)
    options = {option for line in lines for option in re.findall(r"--[a-z-]+", line)}
    assert "--keys" in options
    assert not [option for option in options if f"{option} " not in known]


def test_the_workflow_runs_what_there_is_on_every_supported_system() -> None:
    yaml = pytest.importorskip("yaml")
    root = DEPLOY.parent
    jobs = yaml.safe_load((root / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert jobs["base"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert {name.split("-")[0] for name in jobs["base"]["strategy"]["matrix"]["system"]} == {
        "ubuntu",
        "macos",
        "windows",
    }
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    scripts = [command.split()[0] for command in commands if command.startswith(".ci/")]
    assert sorted(scripts) == [".ci/release", ".ci/run"]
    (links,) = yaml.safe_load((root / ".github" / "workflows" / "links.yml").read_text())["jobs"].values()
    assert links["steps"][-1]["run"] == "make links"
    assert "\nlinks:" in (root / "Makefile").read_text()
    for script in scripts:
        assert (root / script).stat().st_mode & 0o111
        checked("bash", "-n", str(root / script))


def test_everything_that_names_the_version_names_the_same() -> None:
    yaml = pytest.importorskip("yaml")
    root = DEPLOY.parent
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\d[\w.]*)", changes, re.MULTILINE)[0] == __version__
    assert yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))["version"] == __version__
    assert f"image: textome:{__version__}\n" in (DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")


def test_the_image_is_built_from_all_that_the_wheel_needs() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    copied = re.findall(r"^COPY ([^-].*) \./$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {project["readme"], *project["license-files"], "pyproject.toml"} <= set(copied[0].split())
