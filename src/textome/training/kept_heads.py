"""The heads of a base go on under the types that it shares with a recipe, whatever their number and order in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from textome.tasks.iob import LABELS

_NAMES = ("classifier.weight", "classifier.bias")


def keep_heads(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any], types: Sequence[str], initializer_range: float = 0.02
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a base with the token classifier for `types`: rows of `classifier.weight` (num_labels, hidden_size)
    and `classifier.bias` (num_labels,) that the base has for a type are its own, those of other types are drawn anew.

    config   of the base; its `id2label` tells whose the rows are

    A base that shares no type, or is a plain encoder, is returned without a classifier. Returned beside the tensors: the
    types whose heads go on.
    """
    found = {name: values for name, values in tensors.items() if name not in _NAMES}
    rows = _rows_of(config, types) if all(name in tensors for name in _NAMES) else {}
    if rows:
        for name in _NAMES:
            old = tensors[name]
            values = torch.zeros(len(types) * len(LABELS), *old.shape[1:], dtype=old.dtype)
            if old.ndim > 1:
                values.normal_(std=initializer_range)
            for place, kind in enumerate(types):
                if kind in rows:
                    values[place * len(LABELS) : (place + 1) * len(LABELS)] = old[rows[kind]]
            found[name] = values
    return found, list(rows)


def _rows_of(config: Mapping[str, Any], types: Sequence[str]) -> dict[str, list[int]]:
    """By type, where the base's classifier has its rows for O, B and I."""
    there = {str(label): int(number) for number, label in (config.get("id2label") or {}).items()}
    found = {}
    for kind in types:
        names = [f"{kind}:{label}" for label in LABELS]
        if len(there) == len(LABELS):  # one type alone has the plain names of IOB2
            names = [label if label == "O" else f"{label}-{kind}" for label in LABELS]
        if all(name in there for name in names):
            found[kind] = [there[name] for name in names]
    return found
