"""More training text from the text there is: mentions replaced by others of the same type, labels kept exact.

A small corpus names few things, so a model learns the names. With other names in the same places it must learn the places
(Dai and Adel 2020, "mention replacement").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from textome.errors import InputError
from textome.tasks.spans.iob import Mention

_BINOMIAL = re.compile(r"([A-Z])[a-z]+ ([a-z]+)")


def names_of(sentences: Iterable[tuple[str, Iterable[Mention]]]) -> dict[int, list[str]]:
    """The distinct mentions of each head in texts, sorted, so that their order does not depend on the run."""
    names_of_head: dict[int, set[str]] = {}
    for text, mentions in sentences:
        for mention in mentions:
            names_of_head.setdefault(mention.head, set()).add(text[mention.start : mention.end])
    return {head: sorted(names) for head, names in sorted(names_of_head.items())}


def read_lexicon(path: str | Path) -> list[str]:
    """The names of a lexicon file, one a line, `#` begins a comment; a Latin binomial also gives its short form.

    Raises InputError where the file is missing, is not UTF-8 text, or holds no name.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the lexicon cannot be read ({error})") from error
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    if not names:
        raise InputError(f"{path}: the lexicon holds no name; write one a line")
    short = [f"{match[1]}. {match[2]}" for name in names if (match := _BINOMIAL.fullmatch(name))]
    return [*names, *short]


def replace_mentions(
    text: str,
    mentions: Iterable[Mention],
    names: Mapping[int, Sequence[str]],
    share: float,
    generator: np.random.Generator,
) -> tuple[str, tuple[Mention, ...]]:
    """A text in which each mention is replaced, with probability `share`, by another name of its head.

    Equal mentions get the same new name. Mentions that overlap others stay, since a name put into one would break the
    other. The offsets of all mentions fit the new text.
    """
    ordered = sorted(mentions, key=lambda mention: (mention.start, mention.end))
    chosen: dict[tuple[int, str], str] = {}
    pieces: list[str] = []
    moved: list[Mention] = []
    position = shift = 0
    for number, mention in enumerate(ordered):
        others = ordered[:number] + ordered[number + 1 :]
        old = new = text[mention.start : mention.end]
        candidates = names.get(mention.head, ())
        if candidates and all(other.end <= mention.start or other.start >= mention.end for other in others):
            if (mention.head, old) not in chosen:
                lot, name = generator.random(), candidates[int(generator.integers(len(candidates)))]
                chosen[mention.head, old] = name if lot < share else old
            new = chosen[mention.head, old]
            pieces += [text[position : mention.start], new]
            position = mention.end
        start = mention.start + shift
        shift += len(new) - len(old)
        moved.append(Mention(start, mention.end + shift, mention.head))
    return "".join([*pieces, text[position:]]), tuple(moved)
