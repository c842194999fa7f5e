"""A search tries what it was given, cuts short what is bad, and goes on after a stop as if there had been none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from textome.cli.main import application
from textome.errors import InputError
from textome.training import tuning
from textome.training.kinds import plan_run
from textome.training.tuning import Search, load_search, trials_of, tune
from tiny import make_pretraining_recipe, make_recipe
from training_runs import same_weights

SPACE = """"training.learning_rate" = { low = 1e-3, high = 1e-2, log = true }
"training.token_budget" = { low = 100, high = 200 }"""


def make_search(folder: Path, space: str = SPACE, more: str = "", **training: object) -> Search:
    if not (folder / "recipe.toml").exists():
        make_recipe(folder, **({"epochs": 2} | training))
    (folder / "search.toml").write_text(f'name = "s"\nrecipe = "recipe.toml"\ntrials = 4\n{more}\n[space]\n{space}\n')
    return load_search(folder / "search.toml")


def test_the_best_trial_is_kept_whole_and_of_the_others_the_records(tmp_path: Path) -> None:
    search = make_search(tmp_path)
    best = tune(search, tmp_path / "search", ["training.seed=9"])
    trials = trials_of(tmp_path / "search", "s")
    assert len(trials) == 4
    assert best.score == trials[0]["score"] == max(item["score"] for item in trials if item["score"] is not None)
    assert len({item["values"]["training.learning_rate"] for item in trials}) == 4
    for item in trials:
        assert 1e-3 <= item["values"]["training.learning_rate"] <= 1e-2
        assert item["values"]["training.token_budget"] in range(100, 201)
        place = tmp_path / "search" / f"trial-{item['number']:04d}"
        assert (place / "metrics.jsonl").exists()
        assert (place / "bundle").exists() == (place / "best.safetensors").exists() == (item is trials[0])
    assert best.bundle == tmp_path / "search" / f"trial-{trials[0]['number']:04d}" / "bundle"
    found = json.loads((tmp_path / "search/best.json").read_text())
    assert found["overrides"][0] == "training.seed=9"
    again = plan_run(tmp_path / "recipe.toml", best.overrides).start(tmp_path / "again", False, lambda record: None)
    assert same_weights(best.bundle, again)


@pytest.mark.parametrize("moment", ["first step of trial 2", "validation of trial 3"])
def test_a_search_that_was_stopped_finds_what_it_would_have_found(tmp_path: Path, moment: str) -> None:
    search = make_search(tmp_path)
    whole = tune(search, tmp_path / "whole", [])
    number = 0

    def stop(record: dict[str, Any]) -> None:
        nonlocal number
        number += record["event"] == "trial"
        if (record["event"], number) == (("start", 2) if "first" in moment else ("validation", 3)):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(search, tmp_path / "stopped", [], stop)
    events: list[str] = []
    resumed = tune(search, tmp_path / "stopped", [], lambda record: events.append(record["event"]))
    assert events.count("trial") == (3 if "first" in moment else 2)
    for first, second in zip(trials_of(tmp_path / "whole", "s"), trials_of(tmp_path / "stopped", "s"), strict=True):
        assert {**first, "number": 0} == {**second, "number": 0}
    assert resumed.overrides == whole.overrides
    assert same_weights(whole.bundle, resumed.bundle)


def test_bad_trials_are_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With runs that only say how they would score: the rate, more of it after each epoch."""

    class Told:
        def __init__(self, rate: float) -> None:
            self.rate = rate

        def start(self, folder: Path, resume: bool, report: Any) -> Path:
            for epoch in range(1, 5):
                report({"event": "validation", "epoch": epoch, "mean": self.rate * epoch / 4, "scores": {"x": 0.0}})
            (folder / "bundle").mkdir(parents=True)
            return folder

    told = []

    def planned(path: Path, overrides: list[str]) -> Told:
        return Told(float(overrides[-1].partition("=")[2]))

    monkeypatch.setattr(tuning, "plan_run", planned)
    search = make_search(tmp_path, '"training.learning_rate" = { low = 0.1, high = 0.9 }')
    search = search.model_copy(update={"trials": 12})
    tune(search, tmp_path / "search", [], told.append)
    pruned = [item for item in trials_of(tmp_path / "search", "s") if item["state"] == "pruned"]
    rest = [item for item in trials_of(tmp_path / "search", "s") if item["state"] == "complete"]
    assert len(rest) >= 4
    assert pruned
    for item in pruned:
        rate = item["values"]["training.learning_rate"]
        assert rate < max(other["score"] for other in rest)
    assert sum(record["event"] == "validation" for record in told) < 4 * 12
    tune(search.model_copy(update={"prune": False}), tmp_path / "whole", [])
    assert {item["state"] for item in trials_of(tmp_path / "whole", "s")} == {"complete"}


def test_a_trial_that_diverges_is_no_end_of_the_search(tmp_path: Path) -> None:
    hot = ["training.max_grad_norm=1e30", "training.warmup=0.0"]
    space = '"training.learning_rate" = { choices = [1e30, 5e-3] }'
    best = tune(make_search(tmp_path, space), tmp_path / "some", hot)
    assert best.overrides[-1] == "training.learning_rate=0.005"
    assert {item["state"] for item in trials_of(tmp_path / "some", "s")} >= {"complete", "fail"}
    with pytest.raises(InputError, match="no trial came to its end"):
        tune(make_search(tmp_path, '"training.learning_rate" = { choices = [1e30] }'), tmp_path / "none", hot)


def test_more_trials_may_be_asked_for_but_nothing_else_may_change(tmp_path: Path) -> None:
    search = make_search(tmp_path, epochs=1).model_copy(update={"trials": 1})
    tune(search, tmp_path / "search", [])
    tune(search.model_copy(update={"trials": 2}), tmp_path / "search", [])
    assert len(trials_of(tmp_path / "search", "s")) == 2
    with pytest.raises(InputError, match="holds another search"):
        tune(search, tmp_path / "search", ["training.seed=3"])


@pytest.mark.parametrize(
    ("space", "more", "message"),
    [
        ('"training.learning_rat" = { choices = [1e-3] }', "", "did you mean 'learning_rate'"),
        ('"training.learning_rate" = { choices = [1e-3, -1.0] }', "", r"training\.learning_rate"),
        ('"training.learning_rate" = { low = 1e-3 }', "", "both low and high"),
        ('"training.learning_rate" = { low = 1e-3, high = 1e-4 }', "", "low must be below high"),
        ('"training.learning_rate" = { low = 0, high = 1e-4, log = true }', "", "log needs a low above 0"),
        ('"training.learning_rate" = { choices = [1e-3], lo = 1 }', "", "did you mean 'low'"),
        (SPACE, "trial = 3", "did you mean 'trials'"),
    ],
)
def test_a_wrong_search_is_told_before_anything_is_written(tmp_path: Path, space: str, more: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tune(make_search(tmp_path, space, more), tmp_path / "search", [])
    assert not (tmp_path / "search").exists()


def test_a_recipe_without_validation_cannot_be_searched(tmp_path: Path) -> None:
    corpora = 'corpora=[{name="d", train=["diseases.tsv"], types={Disease="Disease"}}]'
    with pytest.raises(InputError, match="no validation data"):
        tune(make_search(tmp_path, epochs=1), tmp_path / "search", [corpora])


def test_the_verb_prints_the_best_and_how_to_get_it(tmp_path: Path) -> None:
    make_search(tmp_path, epochs=1)
    command = ["tune", str(tmp_path / "search.toml"), "-o", str(tmp_path / "out"), "--trials", "2", "--device", "cpu"]
    result = CliRunner().invoke(application(), command)
    assert result.exit_code == 0, result.output
    assert (Path(result.stdout.strip()) / "model.safetensors").exists()
    assert "--set training.device=cpu --set training.learning_rate=" in result.stderr


def test_pretraining_is_searched_by_its_accuracy_at_hidden_tokens(tmp_path: Path) -> None:
    recipe = make_pretraining_recipe(tmp_path, tokens=400)
    search = tmp_path / "search.toml"
    search.write_text(
        f'name = "tiny"\nrecipe = "{recipe.name}"\ntrials = 2\n'
        '[space."training.learning_rate"]\nlow = 1e-3\nhigh = 1e-2\nlog = true\n'
    )
    best = tune(load_search(search), tmp_path / "run", [])
    assert (best.bundle / "pretraining.json").is_file()
    assert 0 < best.score < 1
    assert len(list((tmp_path / "run").glob("trial-*/model"))) == 1
