"""What tests of training runs share: runs that stop in their middle, what they log, and what two of them have learnt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file


class StoppedError(Exception):
    pass


@contextmanager
def stopped(owner: object, name: str, at: int) -> Iterator[None]:
    """A run in this block must be stopped: call number `at` of the function `name` of `owner` does not return."""
    original, numbers = getattr(owner, name), count(1)

    def stopping(*arguments: Any, **keywords: Any) -> Any:
        if next(numbers) == at:
            raise StoppedError
        return original(*arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, stopping)
        with pytest.raises(StoppedError):
            yield


def same_weights(first: Path, second: Path) -> bool:
    """Whether the models in two folders are equal to the last bit."""
    one, two = (load_file(folder / "model.safetensors") for folder in (first, second))
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def records(run: Path, event: str) -> list[dict[str, Any]]:
    """The lines of a run's log that are of an event."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["event"] == event]
