"""The table of techniques: in the docs as the command prints it, and true."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from textome.cli.main import application
from textome.errors import InputError
from textome.training.kinds import plan_run
from textome.training.techniques.matrix import matrix
from tiny_tasks import make_task_recipe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "techniques.md"


def test_the_docs_hold_what_the_command_prints() -> None:
    result = CliRunner().invoke(application(), ["finetune", "--techniques"])
    assert result.exit_code == 0, result.output
    assert result.stdout == matrix()
    assert PAGE.read_text(encoding="utf-8").endswith(result.stdout)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("answers", "training.label_smoothing=0.1", "its loss has no single right label"),
        ("single", "training.word_mixing=0.1", "it mixes the words of mentions"),
    ],
)
def test_what_does_not_work_is_an_error_with_its_reason(tmp_path: Path, name: str, change: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"does not work for this kind of task: {reason}"):
        plan_run(make_task_recipe(tmp_path, name), [change])
