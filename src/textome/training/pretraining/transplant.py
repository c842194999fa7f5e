"""Giving a pretrained encoder a new vocabulary: each new token starts as the mean of the old pieces that spell it.

The source is the initialisation that Dobler and de Melo 2023 (FOCUS) compare with and Gee et al. 2022 (Fast Vocabulary
Transfer) propose: a token that both vocabularies have keeps its embedding, any other gets the mean of the embeddings of
its partition into old tokens.
"""

from __future__ import annotations

import dataclasses

import torch

from textome.encoders.build import build_masked_lm
from textome.encoders.interface import MaskedLM
from textome.text.tokenization import Tokenizer

_MARK = "##"


def transplanted(model: MaskedLM, old: Tokenizer, new: Tokenizer) -> MaskedLM:
    """The model with word embeddings and output biases for `new`; everything else is shared with `model`."""
    origins = partitions(old.vocabulary(), new.vocabulary())
    config = dataclasses.replace(model.encoder.config, vocab_size=len(origins))
    smaller = build_masked_lm(config, model.next_sentence is not None)
    smaller.to(model.encoder.word_embeddings.weight.device)
    state = dict(model.state_dict())
    for name in ("encoder.embeddings.word_embeddings.weight", "bias"):
        before = state[name]
        average = before.mean(0)
        state[name] = torch.stack([before[pieces].mean(0) if pieces else average for pieces in origins])
    smaller.load_state_dict(state)
    return smaller


def partitions(old: list[str], new: list[str]) -> list[list[int]]:
    """For each new WordPiece token, the ids of the old tokens that spell it; empty where none can.

    Longest match first, as WordPiece itself cuts (Wu et al. 2016, section 4.1), continuing pieces marked by `##`.
    """
    ids = {token: number for number, token in enumerate(old)}
    return [[ids[token]] if token in ids else _pieces(token, ids) for token in new]


def _pieces(token: str, ids: dict[str, int]) -> list[int]:
    mark = _MARK if token.startswith(_MARK) else ""
    letters = token.removeprefix(_MARK)
    pieces: list[int] = []
    start = 0
    while start < len(letters):
        prefix = _MARK if start else mark
        for end in range(len(letters), start, -1):
            if (number := ids.get(prefix + letters[start:end])) is not None:
                pieces.append(number)
                start = end
                break
        else:
            return []
    return pieces
