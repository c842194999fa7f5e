"""The job of a recipe as the loop would be given it, without the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from textome.training import finetune
from textome.training.kinds import plan_run


class _CaptureError(Exception):
    pass


def captured_job(path: Path, folder: Path, *overrides: str) -> Any:
    """What `loop.train` is called with first; `folder` is the run's and must be new."""
    found: list[Any] = []

    def capture(job: Any, *arguments: Any, **facts: Any) -> None:
        found.append(job)
        raise _CaptureError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune, "train", capture)
        with pytest.raises(_CaptureError):
            plan_run(path, overrides).start(folder, False, lambda record: None)
    return found[0]
