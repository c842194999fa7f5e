"""A run's metrics on an MLflow server, or in a database that MLflow reads, beside the files of the run's folder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from textome.errors import InputError, MissingExtraError

EXPERIMENT = "textome"
_MAX_CHARACTERS = 500  # what every version of MLflow takes as the value of a parameter


class Tracker:
    """The MLflow run that belongs to a run's folder: begun once, and gone on with after a stop.

    place   the tracking URI: `sqlite:///runs.db`, `http://host:5000`, ...
    tell    is called with a message where the server is lost; the run goes on without it

    Raises InputError where the place cannot be reached, MissingExtraError without MLflow.
    """

    def __init__(self, address: str, folder: Path, tell: Callable[[str], None]) -> None:
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ModuleNotFoundError as error:
            raise MissingExtraError("training.mlflow", "mlflow") from error
        self._tell, self._lost = tell, False
        self._errors = (MlflowException, OSError)
        remembered = folder / "mlflow.json"
        try:
            self._client = MlflowClient(tracking_uri=address)
            if remembered.exists():
                self._run = str(json.loads(remembered.read_text(encoding="utf-8"))["run_id"])
                self._client.update_run(self._run, status="RUNNING")
            else:
                self._run = self._begin(folder)
                remembered.write_text(json.dumps({"run_id": self._run}), encoding="utf-8")
        except self._errors as error:
            raise InputError(
                f"training.mlflow: no run can be kept at {_without_password(address)} ({_first_line(error)}); check "
                f"that the server runs, or leave it out"
            ) from error

    def _begin(self, folder: Path) -> str:
        known = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = known.experiment_id if known else self._client.create_experiment(EXPERIMENT)
        run = str(self._client.create_run(experiment, run_name=folder.resolve().name).info.run_id)
        described = folder / "recipe.json"
        values = json.loads(described.read_text(encoding="utf-8")) if described.exists() else {}
        for name, value in parameters(values):
            self._client.log_param(run, name, value)
        return run

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Add numbers under their names. One that is lost with the server is still in the run's own files."""
        from mlflow.entities import Metric

        metrics = [Metric(_name(name), value, 0, step) for name, value in numbers.items()]
        self._safely(lambda: self._client.log_batch(self._run, metrics=metrics))

    def close(self) -> None:
        """Mark the run as finished."""
        self._safely(lambda: self._client.set_terminated(self._run, "FINISHED"))

    def _safely(self, call: Callable[[], object]) -> None:
        if self._lost:
            return
        try:
            call()
        except self._errors as error:
            self._lost = True
            self._tell(f"MLflow is lost ({_first_line(error)}); the run goes on, and metrics.jsonl has all of it")


def parameters(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The settings of a resolved recipe, flat; without the folder of the data and the place of the tracking itself."""
    for name, value in values.items():
        key = f"{prefix}{name}"
        if key in ("data.root", "training.mlflow") or value is None:
            continue
        if isinstance(value, Mapping):
            yield from parameters(value, f"{key}.")
        else:
            yield _name(key), (value if isinstance(value, str) else json.dumps(value))[:_MAX_CHARACTERS]


def _name(name: str) -> str:
    return re.sub(r"[^\w./ -]", "_", name, flags=re.ASCII)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _without_password(address: str) -> str:
    return re.sub(r"//[^/@]*@", "//", address)
