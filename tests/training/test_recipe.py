"""Recipes are checked strictly, and say what is wrong in the user's words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from textome.errors import InputError
from textome.training.kinds import plan_run
from textome.training.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[2]
TASKS = ROOT / "recipes" / "tasks"
GOOD = """
name = "x"
[model]
base = "b"
[entities]
types = ["Disease"]
[[corpora]]
name = "c"
train = ["t.tsv"]
types = { D = "Disease" }
[training]
epochs = 1
learning_rate = 1e-4
"""


def write(path: Path, text: str) -> Path:
    (path / "r.toml").write_text(text)
    return path / "r.toml"


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").rglob("*.toml")), ids=lambda path: path.stem)
def test_the_recipes_of_this_project_are_valid(recipe: Path) -> None:
    if "[space]" in recipe.read_text():
        pytest.importorskip("optuna")
        from textome.training.tuning import load_search

        assert plan_run(Path(load_search(recipe).recipe)).name
        return
    assert plan_run(recipe).name


def test_overrides_take_toml_values_and_bare_words(tmp_path: Path) -> None:
    recipe = load_recipe(
        write(tmp_path, GOOD), ["training.epochs=3", "training.precision=fp32", "model.hidden_dropout=0.2"]
    )
    assert (recipe.training.epochs, recipe.training.precision, recipe.model.hidden_dropout) == (3, "fp32", 0.2)


def test_keys_of_older_recipes_still_count(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + '[distillation]\nteacher = "t"\nstates = 0.5\n')
    for recipe in (load_recipe(path), load_recipe(path, ["distillation.states=0.5"])):
        assert recipe.distillation is not None
        assert recipe.distillation.hidden_states == 0.5


def test_overrides_reach_tables_by_their_name(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert load_recipe(path, ["corpora.c.repeat=2"]).tasks[0].corpora[0].repeat == 2
    with pytest.raises(InputError, match="'d' is not a table of the recipe; these have the names c"):
        load_recipe(path, ["corpora.d.repeat=2"])
    with pytest.raises(InputError, match=r"corpora\.NAME\.repeat"):
        load_recipe(path, ["corpora.repeat=2"])


def test_data_paths_are_relative_to_the_recipe_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, GOOD)
    monkeypatch.delenv("TEXTOME_DATA", raising=False)
    assert load_recipe(path).path("a") == str(tmp_path / "a")
    monkeypatch.setenv("TEXTOME_DATA", "/elsewhere")
    assert load_recipe(path).path("a") == "/elsewhere/a"
    assert load_recipe(path, ["data.root=/given"]).path("a") == "/given/a"
    absolute = write(tmp_path, f'{GOOD}[data]\nroot = "/own"\n')
    assert load_recipe(absolute).path("a") == "/own/a"


@pytest.mark.parametrize("name", ["../out", "a/b", "/tmp/a", "..", ".", "a\\b", "C:a", "a\nb", " "])
def test_the_name_of_a_run_leads_to_no_other_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="not a name of one folder"):
        load_recipe(write(tmp_path, GOOD), [f"name={json.dumps(name)}"])


def test_data_paths_that_say_so_are_relative_to_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTOME_DATA", "/elsewhere")
    for folder, recipe in (
        (tmp_path, load_recipe(write(tmp_path, GOOD))),
        (TASKS, load_recipe(TASKS / "pubmedqa.toml")),
    ):
        assert recipe.path("./a#0-80%") == str(folder / "a#0-80%")
        assert recipe.path("../runs/a") == str(folder / ".." / "runs" / "a")
        assert recipe.model_copy(update={"name": "b"}).path("./a") == str(folder / "a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("epochs", "epochz"), "training.epochz is not a key of a recipe; did you mean 'epochs'"),
        (("train = ", "trian = "), r"did you mean 'train'"),
        (("epochs = 1", "epochs = 0"), "training.epochs"),
        (("learning_rate = 1e-4", ""), "training.learning_rate: is missing"),
        (('D = "Disease"', 'D = "Gene"'), "maps 'D' to 'Gene', which is not in entities.types"),
        (('types = ["Disease"]', 'types = ["Disease"]\nexclusive = [["Disease", "Drug"]]'), "exclusive names 'Drug'"),
        (("[training]", "[training"), "not valid TOML"),
        (('base = "b"', 'base = "b"\nwindow = 32'), "model.overlap is 128; it must be less than model.window - 2"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("[", r"\[") if "[" in message else message):
        load_recipe(write(tmp_path, GOOD.replace(*change)))


@pytest.mark.parametrize("override", ["training.epochs", "name.x=1", "=3"])
def test_overrides_that_make_no_sense_are_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(InputError, match="--set"):
        load_recipe(write(tmp_path, GOOD), [override])


@pytest.mark.parametrize("setting", ["int8_aware=true", "layer_decay=0.9", "frozen_layers=1", "token_masking=0.1"])
def test_settings_that_translation_would_not_heed_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match=f"training.{setting.partition('=')[0]} does not work for this kind of task"):
        plan_run(ROOT / "recipes/translate_multi30k.toml", [f"training.{setting}"])


@pytest.mark.parametrize("key", ["model.base", "distillation.teacher"])
def test_models_beside_the_recipe_are_named_as_data_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """`./` and `../` start from the recipe's folder in every key; what earlier versions took loads where it is plain."""
    (tmp_path / "recipes").mkdir()
    path = tmp_path / "recipes" / "a.toml"
    teacher = '\n[distillation]\nteacher = "../there"' if key != "model.base" else ""
    base = "../there" if key == "model.base" else "default"
    path.write_text(
        f'name = "a"\n[model]\nbase = "{base}"\n[entities]\ntypes = ["X"]\n[[corpora]]\nname = "c"\ntrain = ["c.tsv"]\n'
        f'types = {{ X = "X" }}{teacher}\n[training]\nepochs = 1\nlearning_rate = 1e-3\n'
    )

    def named(*overrides: str) -> object:
        recipe = load_recipe(path, overrides)
        return recipe.model.base if key == "model.base" else recipe.distillation and recipe.distillation.teacher

    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "work" / "deep")
    assert named() == str(tmp_path / "recipes" / ".." / "there"), "nothing is there yet; the error will name this"
    (tmp_path / "work" / "there").mkdir()
    assert named() == "../there", "only where earlier versions looked"
    assert named(f"{key}=../other") == "../other", "the command line starts from where it is written"
    (tmp_path / "there").mkdir()
    with pytest.raises(
        InputError, match=f"{key} '../there' starts from the recipe's folder, where it is .*; earlier versions"
    ):
        named()
    (tmp_path / "work" / "there").rmdir()
    assert named() == str(tmp_path / "recipes" / ".." / "there")
