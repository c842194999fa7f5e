"""What a model of pairs says, without PyTorch: of the pairs of a table, and of a library against targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.inputs.pairs import Pairs
from textome.inputs.records import Floats, Segments
from textome.runtime.predictor import Predictor

# Things that pass a tower at once.
THINGS = 512


class PairPredictor(Predictor):
    """A bundle of a model of pairs: as a step it gives numbers to records with both things."""

    input: Pairs

    def input_names(self) -> set[str]:
        return {f"{side}.{kind}" for side in ("first", "second") for kind in ("values", "index")}

    @property
    def names(self) -> tuple[str, str]:
        """The names of the two things."""
        first, second = self.input.parts
        return first, second

    def vector(self, name: str, content: Any) -> Floats:
        """The vector of a thing, `name` being that of its side. Raises InputError for one that cannot be read."""
        (segment,) = self.input.parts[name].features(content).values()
        return np.asarray(segment.values[0], np.float32)

    def screened(self, library: Sequence[Floats], targets: Sequence[Floats]) -> Floats:
        """(L, T, 2 num_labels) the answers for every pair of L first and T second things, given as vectors."""
        second = np.stack(targets)
        answers = []
        for start in range(0, len(library), THINGS):
            first = np.stack(library[start : start + THINGS])
            index = np.indices((len(first), len(second))).reshape(2, -1)
            answers.append(self._answers(first, second, index))
        numbers = np.concatenate(answers) if answers else np.empty((0, len(self.target.answer_names)), np.float32)
        return numbers.reshape(len(library), len(targets), len(self.target.answer_names))

    def outputs(self, items: Sequence[Segments]) -> list[Floats]:
        """The scores of each pair, (num_outputs,)."""
        if incomplete := [name for name in self.names if any(name not in item for item in items)]:
            raise InputError(f"a pair has no {incomplete[0]}; both things are needed")
        scores: list[Floats] = []
        for start in range(0, len(items), THINGS):
            some = items[start : start + THINGS]
            first, second = (np.concatenate([item[name].values for item in some]) for name in self.names)
            scores += list(self._scores(first, second, np.tile(np.arange(len(some)), (2, 1))))
        return scores

    def _answers(self, first: Floats, second: Floats, index: NDArray[np.int64]) -> Floats:
        return self.target.answers(self._scores(first, second, index))

    def _scores(self, first: Floats, second: Floats, index: NDArray[np.int64]) -> Floats:
        """(N, num_outputs) of the pairs `index` (2, N) of things (A, F) and (B, G)."""
        feeds = {"first.values": first, "second.values": second, "first.index": index[0], "second.index": index[1]}
        (scores,) = self._session.run(None, feeds)
        return np.asarray(scores, np.float32)
