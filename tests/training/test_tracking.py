"""A run's numbers in MLflow's store: the same as in metrics.jsonl, in one run however often it is stopped."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from textome.errors import InputError, MissingExtraError
from textome.training import loop
from textome.training.finetune import finetune
from textome.training.recipe import load_recipe
from textome.training.run import Log
from textome.training.tracking import Tracker, parameters
from tiny import make_recipe

mlflow = pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of files, which is made at once; MLflow asks those who still want one to say so."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "store").as_uri()


@pytest.mark.slow
def test_a_database_takes_the_run_too(tmp_path: Path) -> None:
    tracker = Tracker(f"sqlite:///{tmp_path / 'runs.db'}", tmp_path, print)
    tracker.write({"step/loss": 0.5}, 3)
    tracker.close()
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'runs.db'}")
    run = client.get_run(json.loads((tmp_path / "mlflow.json").read_text())["run_id"])
    assert (run.data.metrics, run.info.status) == ({"step/loss": 0.5}, "FINISHED")


def test_a_run_that_is_stopped_and_goes_on_is_one_run_with_the_numbers_of_its_log(
    tmp_path: Path, files: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = files
    recipe = load_recipe(make_recipe(tmp_path, epochs=4), [f"training.mlflow={place}"])
    folder, save, saved = tmp_path / "a run", loop.save_checkpoint, []

    def stopping(*arguments: Any, **keywords: Any) -> None:
        save(*arguments, **keywords)
        saved.append(1)
        if len(saved) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", stopping)
        with pytest.raises(KeyboardInterrupt):
            finetune(recipe, folder)
    bundle = finetune(recipe, folder, resume=True)

    client = mlflow.MlflowClient(tracking_uri=place)
    (run,) = client.search_runs([client.get_experiment_by_name("textome").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "a run"
    assert run.data.params["training.learning_rate"] == "0.005"
    assert '"types": ["Disease", "Chemical"]' in run.data.params["tasks"]
    for name, event, key in (
        ("step/loss", "step", "loss"),
        ("step/gradient_norm", "step", "gradient_norm"),
        ("validation/mean", "validation", "mean"),
    ):
        logged = {record["step"]: record[key] for record in records(folder) if record["event"] == event}
        assert {item.step: item.value for item in client.get_metric_history(run.info.run_id, name)} == logged
        assert logged
    assert str(tmp_path) not in json.dumps(run.data.params).replace(str(tmp_path / "base"), "")
    told = json.loads((bundle / "textome.json").read_text())["provenance"]["recipe"]["training"]
    assert "mlflow" not in told, "where a run was watched is nobody else's business"


def test_a_server_that_is_lost_is_told_once_and_the_run_goes_on(
    tmp_path: Path, files: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[dict[str, Any]] = []
    log = Log(tmp_path, 0, heard.append, mlflow=files)

    def lost(*arguments: Any, **named: Any) -> None:
        raise mlflow.exceptions.MlflowException("no route to host\nand more")

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", lost)
    for step in (1, 2):
        log.write(event="step", step=step, loss=1.0)
    log.close()
    assert [record["event"] for record in records(tmp_path)].count("tracking") == 1
    assert [record["step"] for record in records(tmp_path) if record["event"] == "step"] == [1, 2]
    (message,) = [record["message"] for record in heard if record["event"] == "tracking"]
    assert message == "MLflow is lost (no route to host); the run goes on, and metrics.jsonl has all of it"


def test_a_place_that_cannot_be_reached_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run can be kept at foo://host .*check that the server runs"):
        Tracker("foo://me:secret@host", tmp_path, print)


def test_without_mlflow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any) -> Any:
        if name.partition(".")[0] == "mlflow":
            raise ModuleNotFoundError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match=r"textome\[mlflow\]"):
        Tracker("sqlite://", tmp_path, print)


def test_parameters_are_flat_short_and_without_places() -> None:
    values = {"data": {"root": "/here", "drop_leaks": True}, "a b": {"c:d": [1, "x"]}, "long": "x" * 900, "none": None}
    found = dict(parameters(values | {"training": {"mlflow": "sqlite://"}}))
    assert found == {"data.drop_leaks": "true", "a b.c_d": '[1, "x"]', "long": "x" * 500}
