"""Variants scored by a masked language model of DNA: how much less likely a sequence becomes by a change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from textome.errors import InputError
from textome.inputs.dna import Dna
from textome.inputs.dna_files import reverse_complement
from textome.inputs.records import Floats, Segment, Segments
from textome.inputs.variants import Context, Variant
from textome.runtime.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Effect:
    """A variant with the log-likelihoods of its window before and after the change, in nats."""

    variant: Variant
    before: float
    after: float

    @property
    def score(self) -> float:
        """Below zero: the model has seen less of the alternative than of the reference."""
        return self.after - self.before


class VariantScorer:
    """Pseudo-log-likelihoods of DNA by a model that was pretrained on hidden tokens (`target.kind = "masked"`).

    Raises InputError for another model.
    """

    def __init__(self, predictor: Predictor) -> None:
        bundle = predictor.bundle
        if not isinstance(bundle.modality, Dna) or bundle.target.kind != "masked_tokens":
            raise InputError(
                f"{bundle.directory}: scoring variants needs a model of DNA that was pretrained with target.kind = "
                f"'masked'; this one reads {bundle.modality.kind} and answers {bundle.target.kind}"
            )
        self.modality = bundle.modality
        self._predictor = predictor
        (self._shape,) = self.modality.shapes().values()
        self._words = np.setdiff1d(np.arange(self._shape.size), self._shape.special)

    @property
    def flank(self) -> int:
        """The bases on each side of a change of one base that the model can read."""
        return (self.modality.window - 1) // 2

    def effects(self, contexts: Sequence[Context]) -> Iterator[Effect]:
        """Each variant's effect, in order. Raises InputError where a window is longer than the model's."""
        for context in contexts:
            yield Effect(context.variant, self.log_likelihood(context.before), self.log_likelihood(context.after))

    def log_likelihood(self, sequence: str) -> float:
        """The sum over tokens of log p(token | all others), each hidden in turn (Salazar et al. 2020, equation 1).

        Of a model of both strands it is the mean over them. Unknown tokens are not scored.
        """
        if self.modality.strands == "given":
            return self._of_strand(sequence)
        one, other = sorted((sequence, reverse_complement(sequence)))
        return (self._of_strand(one) + self._of_strand(other)) / 2

    def _of_strand(self, sequence: str) -> float:
        ((name, segment),) = self.modality.features(sequence).items()
        positions = np.flatnonzero(np.isin(segment.values, self._words)).tolist()
        items = [self._hidden(name, segment, position) for position in positions]
        rows = self._predictor.outputs(items)
        log_shares = [self._log_shares(row[1 + position]) for row, position in zip(rows, positions, strict=True)]
        chosen = np.searchsorted(self._words, segment.values[positions])
        return float(sum(shares[word] for shares, word in zip(log_shares, chosen, strict=True)))

    def _hidden(self, name: str, segment: Segment, position: int) -> Segments:
        values = segment.values.copy()
        values[position] = self._shape.mask_id
        return {name: replace(segment, values=values)}

    def _log_shares(self, scores: Floats) -> Floats:
        """Log probabilities over the tokens that are words."""
        words = scores[self._words].astype(np.float64)
        words -= words.max()
        shares: Floats = (words - np.log(np.exp(words).sum())).astype(np.float32)
        return shares
