"""Targets that an encoder-decoder writes for sources, whatever computes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from textome.runtime.batching import in_batches
from textome.runtime.generation.decoding import Decoder, Limits, generate
from textome.runtime.generation.settings import GenerationSettings
from textome.runtime.generation.writer import stops_after
from textome.tasks.examples import Example, Integers
from textome.tasks.text_to_text import TextToText, Written
from textome.text.tokenization import Tokenizer

# What makes a decoder of the sources of a batch: it encodes them, and keeps what the decoder reads of them.
Opens = Callable[[Sequence[Integers]], Decoder]


def settings_of(task: TextToText) -> GenerationSettings:
    """How a task's targets are written unless a user says otherwise."""
    return GenerationSettings(
        max_new_tokens=task.max_target, beam=task.beam, length_penalty=task.length_penalty, no_repeat=task.no_repeat
    )


def limits_of(tokenizer: Tokenizer, count: int, settings: GenerationSettings) -> Limits:
    """Those of `count` targets: each begins with the tokenizer's start token and ends with its end token."""
    start, end = tokenizer.start_id, tokenizer.end_id
    return Limits(
        first=[start] * count,
        max_tokens=[settings.max_new_tokens] * count,
        ends=(end,),
        never=tuple({start, *tokenizer.special_ids} - {end}),
        no_repeat=settings.no_repeat,
        is_stopped=stops_after(tokenizer, settings.stop),
    )


def write_targets(
    open_batch: Opens,
    examples: Sequence[Example],
    tokenizer: Tokenizer,
    settings: GenerationSettings,
    token_budget: int = 4096,
) -> list[Written]:
    """The best target of each example.

    token_budget   tokens of the sources of a batch, padding included; a beam of n counts n times
    """

    def run(chosen: Sequence[Example]) -> list[Written]:
        limits = limits_of(tokenizer, len(chosen), settings)
        written = generate(open_batch([example.input_ids for example in chosen]), limits, settings)
        return [
            Written(tokenizer.decode(best.tokens), float(np.exp(best.log_probability / max(1, len(best.tokens) + 1))))
            for best, *_ in written
        ]

    return in_batches(examples, max(1, token_budget // settings.beam), run)
