"""Graphs with one head, asked directly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from textome.runtime.batching import Batch
from textome.runtime.session import Session, open_graph
from textome.tasks import HeadShape


def lone_session(path: Path, threads: int | None = 1, states: Any = None) -> Session:
    """A session of a graph whose only output are the scores of its tokens."""
    num_labels = open_graph(path, threads).get_outputs()[0].shape[-1]
    return Session(path, {"entities": HeadShape(num_labels, 0)}, threads, states)


def logits(session: Session, input_ids: Any, lengths: Any) -> Any:
    """(B, S, num_labels) of a `lone_session`; inputs (B, S) padded, and the length of each row."""
    (scores,) = session.run(["entities"], Batch(np.asarray(input_ids, np.int64), None, np.asarray(lengths)))
    return scores
