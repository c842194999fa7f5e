"""Patients over time: each visit is read with those before it, and alerts go by a threshold chosen on others."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from cli.conftest import Run, run  # noqa: F401 - a fixture
from textome.errors import InputError
from textome.formats import Quarantine
from textome.inputs.tables import Tables
from textome.runtime.bundle import Bundle
from textome.runtime.follow_up import AlertRule, Watch
from textome.runtime.predictor import Predictor
from tiny_modalities import train

MODALITY = {"kind": "table", "columns": ["marker"], "order": "day", "time": "end", "event": "died", "landmarks": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Invented patients whose marker is high in the last 100 days before a death, and a model that follows them."""
    folder = tmp_path_factory.mktemp("visits")
    generator = np.random.default_rng(3)
    lines = ["id,day,marker,end,died"]
    for number in range(60):
        end, died = int(generator.integers(150, 500)), number % 3 > 0
        for day in range(0, end, 70):
            marker = generator.normal(3.0 if died and end - day < 100 else 0.0)
            lines.append(f"p{number},{day},{marker:.2f},{end},{int(died)}")
    (folder / "visits.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    target = {"kind": "survival", "horizons": [100]}
    (folder / "bundle").symlink_to(train(folder, "visits.csv", MODALITY, target=target, epochs=4).directory)
    return folder


@pytest.fixture(scope="module")
def watch(folder: Path) -> Watch:
    return Watch(Predictor(Bundle.load(folder / "bundle"), "fp32", 1))


def test_each_visit_is_a_record_whose_time_counts_from_it(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,day,marker,end,died\na,60,2,90,1\na,0,1,90,1\nb,0,,30,0\nb,40,1,30,0\n")
    quarantine = Quarantine()
    table = Tables.model_validate(MODALITY | {"visits": 2})
    records = list(table.read(str(tmp_path / "t.csv"), quarantine))
    assert [record.id for record in records] == ["a@0", "a@60", "b@0"]
    assert [record.target for record in records] == [
        {"time": 90.0, "event": 1.0},
        {"time": 30.0, "event": 1.0},
        {"time": 30.0, "event": 0.0},
    ]
    assert [len(record.content) for record in records] == [1, 2, 1]
    assert [table.moment_of(record) for record in records] == [("a", 0.0), ("a", 60.0), ("b", 0.0)]
    assert [str(item).split(": ", 1)[1] for item in quarantine.records] == ["the time -10 is negative"]
    with pytest.raises(ValueError, match="landmarks needs order"):
        Tables(landmarks=True)


def test_visits_of_a_patient_stay_together_in_a_split(watch: Watch, folder: Path) -> None:
    path = str(folder / "visits.csv")
    first, others = (
        {patient for record in watch.read(f"{path}#{rule}", Quarantine()) for patient, _ in [watch._moment(record)]}
        for rule in ("0-50%", "!0-50%")
    )
    assert first
    assert others
    assert not first & others
    assert len(first | others) == 60


def test_the_chance_is_that_of_the_survival_curve(watch: Watch, folder: Path) -> None:
    records = watch.read(str(folder / "visits.csv"), Quarantine())
    answers = watch.predictor.answer([record.content for record in records])
    np.testing.assert_allclose(watch.chances(records), 1 - answers[:, 1], atol=1e-6)
    rule, scores = watch.choose(records, precision=0.6)
    assert scores.precision >= 0.6
    assert rule.threshold == scores.threshold
    assert watch.measure(records, rule.threshold) == scores
    called = [visit for visit in watch.visits(records, rule.threshold) if visit.alert]
    assert len(called) == scores.alerted == len({visit.patient for visit in called})
    assert scores.recall > 0.5


def test_the_command_chooses_a_rule_and_calls_by_it(run: Run, folder: Path, tmp_path: Path) -> None:  # noqa: F811
    rule, model = tmp_path / "rule.json", folder / "bundle"
    visits = folder / "visits.csv"
    found = run("follow", f"{visits}#0-50%", "-m", model, "--choose", rule, "--alert-rate", "0.5", "-o", tmp_path / "a")
    assert found.code == 0, found.err
    assert "chosen for alert rate 0.5" in found.err
    assert AlertRule.load(rule).development["alert_rate"] <= 0.5
    # New patients have no outcome yet.
    rows = list(csv.DictReader(io.StringIO(visits.read_text())))
    new = tmp_path / "new.csv"
    new.write_text("id,day,marker\n" + "".join(f"{row['id']},{row['day']},{row['marker']}\n" for row in rows[:30]))
    found = run("follow", new, "--model", model, "--alerts", rule, "--to", "jsonl")
    assert found.code == 0, found.err
    told = [json.loads(line) for line in found.out.splitlines()]
    assert [(row["patient"], row["moment"]) for row in told] == [(row["id"], float(row["day"])) for row in rows[:30]]
    assert "patients whose outcome is known" not in found.err
    found = run("follow", visits, "--model", model, "--threshold", "0.5")
    assert found.out.splitlines()[0] == "patient,moment,chance,alert"
    assert "precision" in found.err


def test_what_cannot_be_followed_is_said(run: Run, folder: Path, tmp_path: Path) -> None:  # noqa: F811
    visits, model = folder / "visits.csv", folder / "bundle"
    assert "give one of --alerts" in run("follow", visits, "-m", model).err
    assert "are for --choose" in run("follow", visits, "-m", model, "--threshold", "0.5", "--precision", "0.5").err
    assert "either a precision or an alert rate" in run("follow", visits, "-m", model, "--choose", tmp_path / "r").err
    (tmp_path / "bad.json").write_text('{"threshold": 2, "horizon": 1}')
    assert "this is not a rule of alerts" in run("follow", visits, "-m", model, "--alerts", tmp_path / "bad.json").err
    (tmp_path / "one.csv").write_text("id,day,marker,end,died\na,0,1,50,0\n")
    alone = run("follow", tmp_path / "one.csv", "-m", model, "--choose", tmp_path / "r", "--precision", "0.5")
    assert (alone.code, "too few patients whose outcome is known" in alone.err) == (2, True)
    plain = train(folder, "visits.csv", MODALITY | {"landmarks": False}, target={"kind": "survival"}, epochs=1)
    with pytest.raises(InputError, match="reads a patient once; train one with landmarks = true"):
        Watch.load(plain.directory)
