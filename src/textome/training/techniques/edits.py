"""Changes to training texts that leave every mention as it is and move its offsets exactly: synonyms, words left out, texts
joined (Wei and Zou 2019; Dai and Adel 2020). Mentions themselves are changed in augmentation.py."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from textome.errors import InputError
from textome.tasks.spans.iob import Mention

Text = tuple[str, tuple[Mention, ...]]
Edit = tuple[int, int, str]
_WORD = re.compile(r"\S+\s*")


class Synonyms:
    """Words and phrases of which each may stand for any other of its set, found whole and in whatever case."""

    def __init__(self, sets: Iterable[Sequence[str]]) -> None:
        self._others: dict[str, list[str]] = {}
        for names in sets:
            for name in names:
                others = self._others.setdefault(name.casefold(), [])
                others += [other for other in names if other.casefold() != name.casefold() and other not in others]
        by_length = sorted(self._others, key=lambda name: (-len(name), name))
        self._pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, by_length))})(?!\w)", re.IGNORECASE)

    def matches(self, text: str) -> list[tuple[int, int, list[str]]]:
        """Where one of them stands in a text, and by what it may be replaced."""
        if not self._others:
            return []
        candidates = ((match.start(), match.end(), match[0]) for match in self._pattern.finditer(text))
        return [
            (start, end, [_as(old, other) for other in others])
            for start, end, old in candidates
            if (others := self._others.get(old.casefold()))
        ]


def read_synonyms(path: str | Path) -> Synonyms:
    """A file of sets of synonyms, one a line, separated by tabs; `#` begins a comment.

    Raises InputError where the file is missing, is not UTF-8 text, or a line has fewer than two names.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the synonyms cannot be read ({error})") from error
    sets = []
    for number, line in enumerate(lines, 1):
        names = [name.strip() for name in line.partition("#")[0].split("\t") if name.strip()]
        if len(names) == 1:
            raise InputError(f"{path}, line {number}: one name alone; write those that mean the same with tabs between")
        sets += [names] * bool(names)
    if not sets:
        raise InputError(f"{path}: there is no set of synonyms; write one a line, with tabs between its names")
    return Synonyms(sets)


def replace_synonyms(
    text: str, mentions: Sequence[Mention], synonyms: Synonyms, share: float, generator: np.random.Generator
) -> Text:
    """A text in which each word that has synonyms, and no mention touches, is replaced by one with probability `share`."""
    edits = [
        (start, end, others[int(generator.integers(len(others)))])
        for start, end, others in synonyms.matches(text)
        if _free(start, end, mentions) and generator.random() < share
    ]
    return edited(text, mentions, edits)


def drop_words(text: str, mentions: Sequence[Mention], share: float, generator: np.random.Generator) -> Text:
    """A text in which each word that no mention touches is left out with probability `share`, with the space after it; one
    word at least stays."""
    words = [(match.start(), match.end()) for match in _WORD.finditer(text)]
    dropped = [word for word in words if _free(*word, mentions) and generator.random() < share]
    if len(dropped) == len(words):
        dropped = dropped[1:]
    return edited(text, mentions, [(start, end, "") for start, end in dropped])


def join(texts: Sequence[Text]) -> Text:
    """Texts one after another with a space between, as one."""
    start, moved = 0, []
    for text, mentions in texts:
        moved += [Mention(mention.start + start, mention.end + start, mention.head) for mention in mentions]
        start += len(text) + 1
    return " ".join(text for text, _ in texts), tuple(moved)


def edited(text: str, mentions: Sequence[Mention], edits: Sequence[Edit]) -> Text:
    """A text with pieces [start, end) replaced, which touch neither each other nor a mention, and are in order."""
    pieces: list[str] = []
    position = 0
    for start, end, new in edits:
        pieces += [text[position:start], new]
        position = end
    moved = []
    for mention in mentions:
        shift = sum(len(new) - (end - start) for start, end, new in edits if end <= mention.start)
        moved.append(Mention(mention.start + shift, mention.end + shift, mention.head))
    return "".join([*pieces, text[position:]]), tuple(moved)


def _free(start: int, end: int, mentions: Iterable[Mention]) -> bool:
    return all(mention.end <= start or mention.start >= end for mention in mentions)


def _as(old: str, new: str) -> str:
    """`new` with a capital where `old` has one at its start and is not all capitals."""
    return new[:1].upper() + new[1:] if old[:1].isupper() and not old[1:].isupper() else new
