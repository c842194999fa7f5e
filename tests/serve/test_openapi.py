"""Schemathesis makes requests from the OpenAPI document, right and wrong ones, and checks the answers against it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serve.conftest import running

COMMAND = Path(sys.executable).with_name("schemathesis")


@pytest.mark.slow
@pytest.mark.skipif(not COMMAND.exists() and not shutil.which("schemathesis"), reason="needs pip install schemathesis")
@pytest.mark.parametrize("kind", ["entities", "tasks"])
def test_all_checks_of_schemathesis(kind: str, tiny_bundle: Path, tiny_tasks: Path) -> None:
    settings = Path(__file__).with_name("schemathesis.toml")
    with running(tiny_bundle if kind == "entities" else tiny_tasks / "run" / "bundle") as server:
        command = [str(COMMAND), "--config-file", str(settings), "run", f"{server.url}/v1/openapi.json", "--no-color"]
        done = subprocess.run(
            [*command, "--max-examples", "100", "--seed", "1"], capture_output=True, text=True, timeout=900
        )
    assert done.returncode == 0, done.stdout[-5000:]
