"""Small inputs shaped as public bug reports have them (../shared/cases), as training data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from textome.errors import InputError
from textome.training.kinds import plan_run
from textome.training.recipe import load_recipe
from tiny import make_base

RECIPE = """
name = "cases"
[model]
base = "{base}"
window = 32
overlap = 8
[[tasks]]
name = "task"
{task}
[training]
epochs = 1
learning_rate = 1e-3
precision = "fp32"
"""
ENTITIES = """kind = "entities"
types = ["Disease"]
[[tasks.corpora]]
name = "case"
train = ["{path}"]
format = "{format}"
"""


def train(folder: Path, task: str) -> list[str]:
    """What a run of one epoch tells of quarantined records."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(base=make_base(folder / "base"), task=task))
    told: list[dict[str, Any]] = []
    plan_run(recipe).start(folder / "run", False, told.append)
    return [line for record in told if record["event"] == "quarantined" for line in record["lines"]]


@pytest.mark.parametrize(
    ("name", "format", "expected"),
    [
        ("brat_rel", "brat", 0),
        ("brat_crlf", "brat", 0),
        ("half_bad.conll", "conll", 2),
        ("doccano_label.jsonl", "jsonl", 0),
    ],
)
def test_entities_are_trained_on_and_bad_records_reported(
    cases: Path, tmp_path: Path, name: str, format: str, expected: int
) -> None:
    task = ENTITIES.format(path=cases / name, format=format) + 'types = { Disease = "Disease" }'
    assert len(train(tmp_path, task)) == expected


def test_labels_and_questions_are_trained_on_and_bad_records_reported(cases: Path, tmp_path: Path) -> None:
    task = f'kind = "classification"\nlayout = "jsonl"\ntrain = ["{cases / "half_bad.jsonl"}"]'
    assert len(train(tmp_path / "labels", task)) == 2
    task = f'kind = "question_answering"\nlayout = "squad"\ntrain = ["{cases / "squad.json"}"]'
    assert train(tmp_path / "questions", task)


@pytest.mark.parametrize("name", ["bool_label.jsonl", "string_labels.jsonl", "latin1_labels.tsv"])
def test_labels_of_a_wrong_type_are_never_trained_on(cases: Path, tmp_path: Path, name: str) -> None:
    task = f'kind = "classification"\ntrain = ["{cases / name}"]'
    with pytest.raises(InputError, match=r"no training record was read from .*; the first of . quarantined: "):
        train(tmp_path, task)


def test_the_name_of_a_run_leads_to_no_other_folder(cases: Path) -> None:
    with pytest.raises(InputError, match="is not a name of one folder"):
        load_recipe(cases / "recipe_name_traversal.toml")
