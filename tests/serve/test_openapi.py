"""Schemathesis makes requests from the OpenAPI document, right and wrong ones, and checks the answers against it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serve.conftest import running
from tiny_writers import exported, make_gpt

COMMAND = Path(sys.executable).with_name("schemathesis")


@pytest.mark.slow
@pytest.mark.skipif(not COMMAND.exists() and not shutil.which("schemathesis"), reason="needs pip install schemathesis")
@pytest.mark.parametrize("kind", ["entities", "tasks", "writer"])
def test_all_checks_of_schemathesis(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = Path(__file__).with_name("schemathesis.toml")
    if kind == "writer":
        bundle = exported(make_gpt(tmp_path / "gpt"), "fp32")
    elif kind == "tasks":
        bundle = request.getfixturevalue("tiny_tasks") / "run" / "bundle"
    else:
        bundle = request.getfixturevalue("tiny_bundle")
    with running(bundle) as server:
        command = [str(COMMAND), "--config-file", str(settings), "run", f"{server.url}/v1/openapi.json", "--no-color"]
        done = subprocess.run(
            [*command, "--max-examples", "100", "--seed", "1"], capture_output=True, text=True, timeout=900
        )
    assert done.returncode == 0, done.stdout[-5000:]
