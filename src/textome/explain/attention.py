"""How the parts of a record look at each other: the attention of a model that reads several modalities together.

Attention is not an explanation of an answer by itself (Jain and Wallace 2019): it shows what a token's state is mixed from,
and says nothing of what the answer would be without it. The weights of parts that are taken away (see `records`) say that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from textome.documents import Record
from textome.inputs.records import Floats
from textome.runtime.predictor import Predictor

START = "[start]"


@dataclass(frozen=True, slots=True)
class Attention:
    """The attention between the tokens of a record, as a mean over heads.

    parts    the start token, and the parts that the record has, in the order of the sequence
    names    of the tokens of each part
    layers   (layers, tokens, tokens): of each layer, how much each token looks at each other; rows sum to 1
    """

    parts: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    layers: Floats

    @property
    def slices(self) -> list[slice]:
        """Where the tokens of each part stand."""
        ends = np.cumsum([len(own) for own in self.names]).tolist()
        return [slice(end - len(own), end) for end, own in zip(ends, self.names, strict=True)]

    @property
    def between_parts(self) -> Floats:
        """(layers, parts, parts): how much of their attention the tokens of a part give to those of another, as a mean over
        them; rows sum to 1."""
        rows = [
            [self.layers[:, one, two].sum(2).mean(1) for two in self.slices] for one in self.slices
        ]  # each (layers,)
        return np.array(rows, np.float32).transpose(2, 0, 1)

    def between_tokens(self, one: int, two: int) -> Floats:
        """(tokens of one, tokens of the other): how much each token of a part looks at each of another, over all layers."""
        mean: Floats = self.layers.mean(0)[self.slices[one], self.slices[two]]
        return mean

    def as_dict(self) -> dict[str, object]:
        """For JSON: the parts, the shares between them in each layer, and the tokens' names."""
        return {
            "parts": list(self.parts),
            "layers": np.round(self.between_parts.astype(float), 6).tolist(),
            "tokens": {part: list(own) for part, own in zip(self.parts, self.names, strict=True)},
        }


def attention_of(predictor: Predictor, record: Record) -> Attention | None:
    """The attention in a record's sequence; None where it has fewer than two parts.

    Raises InputError for a record that the model cannot read, ModelError where the graph does not name its attention.
    """
    item = predictor.input.features(record.content)
    if len(item) < 2:
        return None
    tokens, shares = predictor.attention(item)
    names = predictor.input.token_names(record.content)
    return Attention(
        (START, *tokens), ((START,), *(tuple(names[part]) for part in tokens)), shares.mean(1).astype(np.float32)
    )
