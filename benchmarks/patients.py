"""Risk and time to event of patients beside the classical models, in five folds by patient.

    python benchmarks/patients.py recipes/patients/*.toml [--plot curves.png]

Each fold leaves out a fifth of the patients, by the hash of their id, and has a seed of its own. A classification stands
beside logistic regression and a random forest (scikit-learn), a time to event beside Cox regression (ties by Efron, ridge
1) and, up to 2,500 training rows, a random survival forest (scikit-survival, 100 trees). All read the same columns, of
several visits the last; for the classical models numbers are standardised and gaps filled with the mean, and categories
are one-hot. Of times to event also how far the predicted survival at the second horizon is from Kaplan and Meier, in
fifths of predicted risk. Of follow-up, which reads each visit, another fifth chooses the threshold that calls a quarter
of its patients, and the alerts of the tested patients are added up over the folds; a call is right where the event
follows within the first horizon.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sksurv.ensemble import RandomSurvivalForest
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from textome.inputs.records import Record
from textome.inputs.tables import Tables
from textome.metrics.alerts import AlertScores, FollowUp, score_alerts, threshold_for_alert_rate
from textome.metrics.outputs import roc_auc
from textome.metrics.survival import calibration, concordance, kaplan_meier
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.follow_up import Watch
from textome.runtime.predictor import Predictor
from textome.tasks.survival import Survival
from textome.training.finetune import finetune
from textome.training.modality.data import load_records
from textome.training.recipe import load_recipe

FOLDS = 5
MAX_FOREST_ROWS = 2500
ALERT_RATE = 0.25
Matrix = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description="Risk and time to event beside classical models")
    parser.add_argument("recipes", nargs="+", type=Path)
    parser.add_argument(
        "--plot", type=Path, help="draw Kaplan-Meier curves of thirds of predicted risk of the last recipe"
    )
    arguments = parser.parse_args()
    for path in arguments.recipes:
        scores: dict[str, list[dict[str, float]]] = defaultdict(list)
        tested: list[tuple[float, float, float]] = []
        alerts: dict[str, list[AlertScores]] = defaultdict(list)
        for fold in range(FOLDS):
            for name, found, rows in results(path, fold, alerts):
                scores[name].append(found)
                tested += rows
        print(f"\n{path.stem}, {FOLDS} folds by patient: mean (standard deviation)")
        for name, folds in scores.items():
            values = {key: [row[key] for row in folds] for key in folds[0]}
            line = ", ".join(
                f"{key} {np.mean(value):.3f} ({np.std(value, ddof=1):.3f})" for key, value in values.items()
            )
            print(f"  {name:<22}{line}")
        for name, called in alerts.items():
            print(f"  {name:<22}{alert_line(called)}")
    if arguments.plot and tested:
        draw(np.array(tested), arguments.plot)


def results(
    path: Path, fold: int, alerts: dict[str, list[AlertScores]]
) -> Iterator[tuple[str, dict[str, float], list[tuple[float, float, float]]]]:
    """The name and scores of each model on a fold; of ours also time, event and risk of each tested patient."""
    part, other = (f"{20 * (number % FOLDS)}-{20 * (number % FOLDS) + 20}%" for number in (fold, fold + 1))
    recipe = load_recipe(path)
    assert recipe.input is not None
    follows = recipe.input.follows
    (table,) = recipe.tasks
    file = table.test[0].partition("#")[0]
    train_rule, validation = (f"!{part}&!{other}", (f"{file}#{other}",)) if follows else (f"!{part}", ())
    table = table.model_copy(
        update={"train": (f"{file}#{train_rule}",), "validation": validation, "test": (f"{file}#{part}",)}
    )
    training = recipe.training.model_copy(update={"seed": fold})
    recipe = recipe.model_copy(update={"tasks": [table], "training": training})
    assert recipe.input is not None
    data = load_records(recipe, recipe.input)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Bundle.load(finetune(recipe, Path(folder) / "run"))
        export_bundle(bundle, bundle.directory, "fp32")
        predictor = Predictor(Bundle.load(bundle.directory), "fp32", 1)
        answers = predictor.answer([record.content for record in data.test])
        if follows:
            watch = Watch(predictor)
            developed, tested = watch.follow_up(data.validation), watch.follow_up(data.test)
            add_alerts(alerts["Textome, alerts"], developed, tested)
    truth = np.stack([bundle.target.encode(record) for record in data.test])
    train, test = matrix(data.modality, data.train), matrix(data.modality, data.test)
    if bundle.target.kind != "survival":
        wanted = np.stack([bundle.target.encode(record) for record in data.train])[:, 1]
        yield "Textome", {"ROC AUC": roc_auc(truth[:, 1], answers[:, 1])}, []
        models = {
            "logistic regression": LogisticRegression(max_iter=1000),
            "random forest": RandomForestClassifier(500),
        }
        for name, model in models.items():
            model.set_params(random_state=fold)
            said = model.fit(train, wanted).predict_proba(test)[:, 1]
            yield name, {"ROC AUC": roc_auc(truth[:, 1], said)}, []
        return
    times, events = truth[:, 0].astype(float), truth[:, 1].astype(float)
    assert isinstance(bundle.target, Survival)
    horizon = bundle.target.horizons[1]
    rows = list(zip(times.tolist(), events.tolist(), answers[:, 0].tolist(), strict=True))
    yield "Textome", _survival(times, events, answers[:, 0], answers[:, 2], horizon), rows
    known = np.stack([bundle.target.encode(record) for record in data.train]).astype(float)
    models = {"Cox regression": CoxPHSurvivalAnalysis(alpha=1.0, ties="efron")}
    if len(train) <= MAX_FOREST_ROWS:
        models["random survival forest"] = RandomSurvivalForest(100, min_samples_leaf=10, random_state=fold)
    for name, model in models.items():
        model.fit(train, Surv.from_arrays(known[:, 1] > 0, known[:, 0]))
        yield name, _survival(times, events, model.predict(test), survival_of(model, test, horizon), horizon), []
        if follows and name == "Cox regression":
            rows_of = ((developed, matrix(data.modality, data.validation)), (tested, test))
            with_cox = [
                replace(visits, chances=1 - np.array(survival_of(model, rows, visits.horizon)))
                for visits, rows in rows_of
            ]
            add_alerts(alerts["Cox regression, alerts"], *with_cox)


def survival_of(model: Any, rows: Matrix, horizon: float) -> list[float]:
    return [float(curve(np.clip(horizon, *curve.domain))) for curve in model.predict_survival_function(rows)]


def add_alerts(called: list[AlertScores], developed: FollowUp, tested: FollowUp) -> None:
    """What the threshold that the one patients give does to the others."""
    threshold = threshold_for_alert_rate(developed, ALERT_RATE).threshold
    called.append(score_alerts(tested, threshold))


def alert_line(called: Sequence[AlertScores]) -> str:
    """The counts of all folds together."""

    def total(name: str) -> int:
        return sum(getattr(one, name) for one in called)

    right, wrong, events, warned = (total(name) for name in ("right", "wrong", "events", "forewarned"))
    lead = np.nanmedian([one.lead for one in called])
    return (
        f"{total('alerted')} of {total('patients')} patients called; precision {right / max(right + wrong, 1):.3f} "
        f"({right} right, {wrong} wrong, {total('unknown')} unknown), recall {warned / max(events, 1):.3f} of {events}, "
        f"median lead {lead:.0f}"
    )


def _survival(times: Matrix, events: Matrix, risks: Any, survival: Any, horizon: float) -> dict[str, float]:
    groups = calibration(horizon, survival, times, events)
    error = float(np.average([abs(said - seen) for said, seen, _ in groups], weights=[count for *_, count in groups]))
    return {"concordance": concordance(times, events, risks), "calibration error": error}


def matrix(modality: Any, records: Sequence[Record]) -> Matrix:
    """Standardised numbers, gaps as the mean, and categories as one-hot columns without the first."""
    assert isinstance(modality, Tables)
    rows = []
    for record in records:
        cells = record.content[-1]
        row: list[float] = []
        for name in modality.columns:
            cell = cells.get(name, "")
            if name in modality.numbers:
                mean, deviation = modality.numbers[name]
                row.append((float(cell) - mean) / deviation if cell not in ("", "NA") else 0.0)
            else:
                row += [float(cell == value) for value in modality.values[name][1:]]
        rows.append(row)
    return np.array(rows)


def draw(rows: Matrix, path: Path) -> None:
    """Kaplan-Meier curves of the thirds of the tested patients by predicted risk."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for name, chosen in zip(("low", "middle", "high"), np.array_split(np.argsort(rows[:, 2]), 3), strict=True):
        times, shares = kaplan_meier(rows[chosen, 0], rows[chosen, 1])
        axes.step([0, *times], [1, *shares], where="post", label=f"{name} predicted risk ({len(chosen)})")
    axes.set(xlabel="time", ylabel="share without the event", ylim=(0, 1.02))
    axes.legend()
    figure.savefig(path, dpi=100)
    print(f"{path}: Kaplan-Meier curves of thirds of predicted risk")


if __name__ == "__main__":
    main()
