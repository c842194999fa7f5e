"""Search for good settings of a recipe with Optuna (Akiba et al. 2019): runs of the recipe with values from a given space,
each cut short where its validation scores lie below the middle of the others' at the same epoch.

The search's folder holds `search.json` (what is searched), `study.db` (SQLite: every trial, as Optuna's own tools read it),
`trial-N/` (each trial's run), and `best.json`. Stopped at any moment, a search goes on when it is started again: the trial
that was running is resumed from its last checkpoint with the values that it had.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from pydantic import Field, model_validator

from textome.errors import InputError
from textome.settings import Fields
from textome.training.kinds import plan_run
from textome.training.optimisation.finite import DivergedError
from textome.training.recipe_files import read_recipe
from textome.training.run import Report, read_log, write_json

# What a run may leave, see `Job.output`.
_OUTPUTS = ("bundle", "model")
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


class Values(Fields):
    """The values that a key of the recipe may take: `choices`, or all from `low` to `high` (whole numbers where both are),
    evenly on a logarithmic scale with `log`."""

    choices: list[bool | int | float | str] | None = Field(None, min_length=1)
    low: int | float | None = None
    high: int | float | None = None
    log: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> Values:
        ranged = self.low is not None and self.high is not None
        if ranged == (self.choices is not None) or (self.low is None) != (self.high is None):
            raise ValueError("give either choices, or both low and high")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low is {self.low} and high {self.high}; low must be below high")
        if self.log and (self.low is None or self.low <= 0):
            raise ValueError("log needs a low above 0")
        return self

    @property
    def ends(self) -> list[Any]:
        """The first and the last of them."""
        return [self.low, self.high] if self.choices is None else self.choices

    def distribution(self) -> BaseDistribution:
        """The same as Optuna names it."""
        if self.choices is not None:
            return CategoricalDistribution(self.choices)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return IntDistribution(self.low, self.high, log=self.log)
        assert self.low is not None
        assert self.high is not None
        return FloatDistribution(self.low, self.high, log=self.log)


class Search(Fields):
    """What is searched.

    recipe   a recipe of any kind with validation data, relative to this file's folder
    trials   how many runs
    space    the values to try for keys of the recipe, as "training.learning_rate"
    settings   overrides that hold for every trial, as `--set` takes them
    prune    whether runs that lie below the middle of the others are cut short, after `patience` epochs
    """

    name: str
    recipe: str
    trials: int = Field(20, ge=1)
    space: dict[str, Values] = Field(min_length=1)
    settings: list[str] = Field(default_factory=list)
    prune: bool = True
    patience: Annotated[int, Field(ge=1)] = 1
    seed: int = 42
    data: dict[str, Any] = Field(default_factory=dict, exclude=True)


@dataclass(frozen=True, slots=True)
class Best:
    """The best trial: its mean validation score, the overrides that give it, and the folder of its bundle."""

    score: float
    overrides: list[str]
    bundle: Path


def load_search(path: Path) -> Search:
    """Read what is to be searched; see `recipe.read_recipe` for the errors."""
    search = read_recipe(lambda values, source: Search, path, ())
    return search.model_copy(update={"recipe": str(path.parent / search.recipe)})


def tune(search: Search, folder: Path, overrides: list[str], report: Report = lambda event: None) -> Best:
    """Search, or go on with a search, until `search.trials` trials have ended.

    overrides   as `--set` takes them, for every trial; part of what is searched

    Raises InputError where the folder holds another search, the recipe is wrong or has no validation data, or every trial
    diverged.
    """
    fixed = [*search.settings, *overrides]
    for end in (0, -1):  # a wrong key or value is told before anything is written
        plan_run(
            Path(search.recipe),
            [*fixed, *(f"{key}={json.dumps(values.ends[end])}" for key, values in search.space.items())],
        )
    _claim(folder, search, fixed)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=search.name,
        storage=f"sqlite:///{(folder / 'study.db').resolve()}",
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=search.patience)
        if search.prune
        else optuna.pruners.NopPruner(),
    )
    _requeue(study)
    space = {key: values.distribution() for key, values in search.space.items()}
    while (done := len(_ended(study))) < search.trials:
        # A seed for each trial: the sampler's random state is not stored, and a resumed search draws as if undisturbed.
        study.sampler = optuna.samplers.TPESampler(seed=search.seed + done, n_startup_trials=5)
        trial = study.ask(space)
        trial_folder = folder / str(trial.user_attrs.get("folder", f"trial-{trial.number:04d}"))
        trial.set_user_attr("folder", trial_folder.name)
        chosen = [f"{key}={json.dumps(value)}" for key, value in trial.params.items()]
        report({"event": "trial", "number": done + 1, "of": search.trials, "values": trial.params})
        state, score = _run(search, [*fixed, *chosen], trial_folder, trial, report)
        study.tell(trial, score, state)
        report({"event": "told", "number": done + 1, "state": state.name.lower(), "score": score})
        _keep_best(study, folder)
    return _best(study, folder, fixed)


def _claim(folder: Path, search: Search, fixed: list[str]) -> None:
    """Make `folder` the search's own. More trials than before may be asked for."""
    described = json.loads(json.dumps(search.model_dump(mode="json", exclude={"trials"}) | {"settings": fixed}))
    path = folder / "search.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != described:
        raise InputError(f"{folder} holds another search; see its search.json, or choose another --output")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, described)


def _requeue(study: optuna.Study) -> None:
    """Give a trial that was running when the search was stopped to the next that is asked for, with its folder."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params, user_attrs=dict(trial.user_attrs) or None)


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that count: finished, cut short, or diverged; not those that were stopped and run again."""
    return [item for item in study.trials if item.state in _ENDED or item.user_attrs.get("diverged")]


def _run(
    search: Search, overrides: list[str], trial_folder: Path, trial: optuna.Trial, report: Report
) -> tuple[TrialState, float | None]:
    """Run a trial, or go on with it; how it ended, and where it came to its end its best validation score."""
    run = plan_run(Path(search.recipe), overrides)
    scores: dict[int, float] = {}
    if (log := trial_folder / "metrics.jsonl").exists():
        validations = (record for record in read_log(log) if record.get("event") == "validation")
        scores = {record["epoch"]: record["mean"] for record in validations}
        for epoch, score in scores.items():
            trial.report(score, epoch)

    def watch(record: dict[str, Any]) -> None:
        report(record)
        if record["event"] == "validation":
            if not record["scores"]:
                raise InputError(f"{search.recipe}: the recipe has no validation data, by which a search could choose")
            if record["epoch"] in scores:  # done again by a resumed run
                return
            scores[record["epoch"]] = record["mean"]
            trial.report(record["mean"], record["epoch"])
            if trial.should_prune():
                raise optuna.TrialPruned

    try:
        run.start(trial_folder, trial_folder.exists(), watch)
    except optuna.TrialPruned:
        return TrialState.PRUNED, None
    except DivergedError:
        trial.set_user_attr("diverged", True)
        return TrialState.FAIL, None
    return TrialState.COMPLETE, max(scores.values())


def _keep_best(study: optuna.Study, folder: Path) -> None:
    """Leave of every ended trial but the best its records only: weights are large."""
    ended = _ended(study)
    complete = [item for item in ended if item.state is TrialState.COMPLETE]
    best = max(complete, key=lambda item: (item.value or 0.0, -item.number), default=None)
    for item in ended:
        if best is None or item.number != best.number:
            trial_folder = folder / item.user_attrs["folder"]
            for name in ("checkpoints", *_OUTPUTS):
                shutil.rmtree(trial_folder / name, ignore_errors=True)
            (trial_folder / "best.safetensors").unlink(missing_ok=True)


def _best(study: optuna.Study, folder: Path, fixed: list[str]) -> Best:
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    if not complete:
        raise InputError(f"{folder}: no trial came to its end; lower the learning rates of the space")
    best = max(complete, key=lambda item: (item.value or 0.0, -item.number))
    overrides = [*fixed, *(f"{key}={json.dumps(value)}" for key, value in best.params.items())]
    written = folder / best.user_attrs["folder"]
    bundle = next(written / name for name in _OUTPUTS if (written / name).exists())
    trial = Best(float(best.value or 0.0), overrides, bundle)
    write_json(folder / "best.json", {"score": trial.score, "overrides": overrides, "bundle": str(bundle)})
    return trial


def trials_of(folder: Path, name: str) -> list[Mapping[str, Any]]:
    """Every ended trial of a search with its values, state and score, the best first."""
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{(folder / 'study.db').resolve()}")
    order: Callable[[optuna.trial.FrozenTrial], float] = lambda item: -(item.value if item.value is not None else -1.0)  # noqa: E731
    return [
        {"number": item.number, "state": item.state.name.lower(), "score": item.value, "values": item.params}
        for item in sorted(_ended(study), key=order)
    ]
