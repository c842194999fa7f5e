"""What stands around mentions said in other words, by translating it there and back (Yaseen and Langer 2021, "Data
augmentation for low-resource named entity recognition using backtranslation"); mentions stay as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from textome.errors import InputError
from textome.tasks.spans.iob import Mention
from textome.training.techniques.edits import Text, edited
from textome.training.translation.translator import Translator

# What is shorter has no sentence in it that could be said in another way.
FEWEST_WORDS = 3
_WORD = re.compile(r"\S+")
Paraphrase = Callable[[Sequence[str]], list[str]]


def there_and_back(there: str | Path, back: str | Path, device: torch.device) -> Paraphrase:
    """What says texts in other words, by two translation bundles.

    Raises InputError where the second does not translate back what the first makes; ModelError for other bundles.
    """
    first, second = Translator.load(there), Translator.load(back)
    if (first.source, first.target) != (second.target, second.source):
        raise InputError(
            f"back_translation: {there} translates {first.source!r} to {first.target!r}, but {back} {second.source!r} to "
            f"{second.target!r}; give a second model for the way back"
        )
    for translator in (first, second):
        translator.model.to(device)
    return lambda texts: second.translate(first.translate(texts))


def back_translated(
    texts: Sequence[Text], paraphrase: Paraphrase, share: float, generator: np.random.Generator
) -> list[Text]:
    """Texts in which each stretch of words that no mention touches is put in other words with probability `share`."""
    drawn = [
        [stretch for stretch in stretches(text, mentions) if generator.random() < share] for text, mentions in texts
    ]
    old = list(
        dict.fromkeys(
            text[start:end]
            for (text, _), stretches_of_text in zip(texts, drawn, strict=True)
            for start, end in stretches_of_text
        )
    )
    paraphrases = paraphrase(old) if old else []
    new = {before: " ".join(after.split()) or before for before, after in zip(old, paraphrases, strict=True)}
    return [
        edited(text, mentions, [(start, end, new[text[start:end]]) for start, end in stretches_of_text])
        for (text, mentions), stretches_of_text in zip(texts, drawn, strict=True)
    ]


def stretches(text: str, mentions: Sequence[Mention]) -> list[tuple[int, int]]:
    """Where in a text `FEWEST_WORDS` or more neighbouring words stand of which no mention holds a part."""
    runs: list[list[tuple[int, int]]] = [[]]
    for word in _WORD.finditer(text):
        if any(mention.start < word.end() and mention.end > word.start() for mention in mentions):
            runs.append([])
        elif any(runs[-1] and runs[-1][-1][1] <= mention.start < word.start() for mention in mentions):
            runs.append([word.span()])  # a mention of white space alone lies between
        else:
            runs[-1].append(word.span())
    return [(words[0][0], words[-1][1]) for words in runs if len(words) >= FEWEST_WORDS]
