from __future__ import annotations

import pytest

from textome.errors import InputError
from textome.training.kinds import plan_run


def test_a_task_that_is_unknown_is_named_with_those_that_are_known(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text('name = "x"\ntask = "clasification"\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"recipe\.toml: task is 'clasification'; a recipe can train tasks"):
        plan_run(path)


def test_a_missing_recipe_is_reported_as_such(tmp_path):
    with pytest.raises(InputError, match="the recipe cannot be read"):
        plan_run(tmp_path / "none.toml")
