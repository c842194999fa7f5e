"""How a text that is longer than the model is cut into windows that overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textome.text.tokenization import Tokenizer, Tokens


@dataclass(frozen=True, slots=True)
class Window:
    """Sub-words `start` to `end` of a text as one input of the model.

    The scores of sub-words `keep_start` to `keep_end` are taken from this window; those of the windows of one text
    cover each sub-word exactly once.
    """

    start: int
    end: int
    keep_start: int
    keep_end: int


def windows(tokens: Tokens, size: int, overlap: int) -> list[Window]:
    """Cut a text into windows of at most `size` sub-words (special tokens not counted), each overlapping the next.

    Windows begin at words. The seam lies in the middle of the overlap, so that every sub-word is scored with context on
    both sides; the scores are joined before spans are decoded, so an entity across a seam stays whole.
    """
    total = len(tokens.ids)
    if total <= size:
        return [Window(0, total, 0, total)]
    if not 0 <= overlap < size:
        raise ValueError(f"overlap {overlap} must be at least 0 and less than the window of {size} tokens")
    starts = [0]
    while starts[-1] + size < total:
        target = starts[-1] + size - overlap
        word = int(tokens.first[np.searchsorted(tokens.first, target, side="right") - 1])
        starts.append(word if word > starts[-1] else target)
    ends = [min(start + size, total) for start in starts]
    seams = [0, *((start + end) // 2 for start, end in zip(starts[1:], ends[:-1], strict=True)), total]
    return [Window(*bounds) for bounds in zip(starts, ends, seams[:-1], seams[1:], strict=True)]


def with_special_tokens(tokens: Tokens, window: Window, tokenizer: Tokenizer) -> NDArray[np.int32]:
    """The model's input for a window: [CLS], its sub-words, [SEP]."""
    pieces = ([tokenizer.start_id], tokens.ids[window.start : window.end], [tokenizer.end_id])
    return np.concatenate(pieces).astype(np.int32)
