"""A task with the tokenizer and the window that a bundle would give it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textome.tasks import Task
from textome.tasks.examples import Example
from textome.text.tokenization import Tokenizer


class BoundTask:
    """As the task, but `examples` needs the records only."""

    def __init__(self, task: Task[Any, Any], tokenizer: Tokenizer, window: int, overlap: int = 0) -> None:
        self.task, self._given = task, (tokenizer, window, overlap)

    def examples(self, records: Sequence[Any]) -> list[Example]:
        return self.task.examples(records, *self._given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)
