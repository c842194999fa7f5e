"""Cues of context: phrases of a file, found in the words of a sentence.

`context_cues.toml` explains how phrases are written; a file of one's own has the same tables, and adds to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

from textome.errors import InputError
from textome.settings import read_toml
from textome.text.stop_words import STOP_WORDS

CONTEXTS = ("negated", "uncertain", "hypothetical", "historical", "family", "other")
REACHES = ("forward", "noun", "near", "next", "backward", "near_before", "next_before")
NOTHING, STOP, PREPOSITION = "nothing", "stop", "preposition"
_OWN = Path(__file__).with_name("context_cues.toml")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_SPECIAL = ("*", "<year>", "<number>", "<start>", "<end>")
_MARKS = frozenset(".,;:•-–*()")
_COMMON = STOP_WORDS - {"could", "if", "may", "might", "old", "should"}
_MAX_ANY = 3


class Word(NamedTuple):
    """A word or mark of a sentence, in small letters, and where it stands."""

    text: str
    start: int
    end: int
    capitals: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """A phrase in a sentence: its words are `first` to `last`; what it says is (context, reach), or one of the others."""

    first: int
    last: int
    says: frozenset[tuple[str, str]]


class _Phrase(NamedTuple):
    """What is left of a phrase: its parts from this number on."""

    parts: Sequence[str]
    number: int
    says: tuple[str, str]


class _Node:
    """What may follow some words of a phrase, worked out when it is asked for: a text meets few of all phrases."""

    def __init__(self, phrases: Iterable[_Phrase]) -> None:
        self._phrases = list(dict.fromkeys(phrases))

    @cached_property
    def says(self) -> set[tuple[str, str]]:
        """What the phrases say that end here."""
        return {phrase.says for phrase in self._phrases if all(map(_is_optional, phrase.parts[phrase.number :]))}

    @cached_property
    def after(self) -> dict[str, _Node]:
        """By the next word, what may follow it."""
        following: dict[str, list[_Phrase]] = {}
        for parts, start, says in self._phrases:
            for number in _next(parts, start):
                for word in _variants(parts[number]):
                    following.setdefault(word, []).append(_Phrase(parts, number + 1, says))
        return {word: _Node(phrases) for word, phrases in following.items()}


@dataclass(frozen=True)
class Cues:
    """All phrases of some files, as a tree of words, and the kinds of sections that say something of all they hold."""

    root: _Node
    sections: Mapping[str, tuple[str, ...]]
    keywords: frozenset[str]
    first_words: frozenset[str]

    def may_hit(self, text: str) -> bool:
        """Does a text hold a word without which no cue says anything? Much quicker than `hits`."""
        return not self.keywords.isdisjoint(_TOKEN.findall(text.lower()))

    def hits(self, words: Sequence[Word], barred: frozenset[int] = frozenset()) -> list[Hit]:
        """The longest phrases, from left to right, none over another and none with a word whose number is barred."""
        hits = []
        number = 0
        while number < len(words):
            if words[number].text not in self.first_words:
                number += 1
                continue
            last, node = self._end_of_phrase(self.root, words, number, barred)
            if node is None or not _is_spoken(words, number, last):
                number += 1
                continue
            says = {item for item in node.says if item[0] == NOTHING} or node.says
            hits.append(Hit(number, last, frozenset(says)))
            number = last + 1
        return hits

    def _end_of_phrase(
        self, node: _Node, words: Sequence[Word], number: int, barred: frozenset[int]
    ) -> tuple[int, _Node | None]:
        """The last word of the longest phrase that goes on from `node` at word `number`, and the node where it ends."""
        best: tuple[int, _Node | None] = (number - 1, node if node.says else None)
        if (at_start := node.after.get("<start>")) is not None and (not number or words[number - 1].text in _MARKS):
            best = max(best, self._end_of_phrase(at_start, words, number, barred), key=_length)
        if (at_end := node.after.get("<end>")) is not None and (number == len(words) or words[number].text in _MARKS):
            best = (number - 1, at_end)
        if number < len(words) and number not in barred:
            word = words[number].text
            keys = [word]
            if word.isdigit():
                keys.append("<year>" if len(word) == 4 and word[:2] in ("19", "20") else "<number>")
            for key in keys:
                if (child := node.after.get(key)) is not None:
                    best = max(best, self._end_of_phrase(child, words, number + 1, barred), key=_length)
        if (any_words := node.after.get("*")) is not None:
            for skipped in range(_MAX_ANY + 1):
                passed = number + skipped - 1
                if passed >= len(words) or (skipped and (passed in barred or not words[passed].text[0].isalnum())):
                    break
                best = max(best, self._end_of_phrase(any_words, words, number + skipped, barred), key=_length)
        return best


def _length(item: tuple[int, _Node | None]) -> int:
    return -1 if item[1] is None else item[0]


def _is_spoken(words: Sequence[Word], first: int, last: int) -> bool:
    """Not "NO" for nitric oxide or "IF" for immunofluorescence: one word in capitals counts only among others."""
    if first != last or not words[first].capitals:
        return True
    beside = [*words[last + 1 : last + 2], *(words[first - 1 : first] if first else ())]
    return any(word.capitals for word in beside)


def words_of(text: str, start: int, end: int) -> list[Word]:
    """The words and marks of `text` from `start` to `end`."""
    words = []
    for match in _TOKEN.finditer(text, start, end):
        word = "'" if match[0] == "’" else match[0]
        words.append(Word(word.lower(), match.start(), match.end(), len(word) > 1 and word.isupper()))
    return words


@lru_cache(maxsize=8)
def load_cues(path: str | None = None) -> Cues:
    """Textome's own cues, and those of a file. Raises InputError that names the table and the phrase that is wrong."""
    phrases: list[_Phrase] = []
    sections: dict[str, list[str]] = {}
    keywords: set[str] = set(map(str, range(1900, 2100)))
    for file in [_OWN, *([Path(path)] if path else [])]:
        for table, members in read_toml(file, "the file of cues").items():
            _add_table(phrases, sections, keywords, file, table, members)
    root = _Node(phrases)
    first_words = frozenset([*root.after, *(root.after["<start>"].after if "<start>" in root.after else ())])
    return Cues(root, {name: tuple(kinds) for name, kinds in sections.items()}, frozenset(keywords), first_words)


def _add_table(
    added: list[_Phrase], sections: dict[str, list[str]], keywords: set[str], file: Path, table: str, members: object
) -> None:
    known = {name: set(REACHES) for name in CONTEXTS}
    known |= {NOTHING: {"phrases"}, STOP: {"phrases", "prepositions"}, "sections": set(CONTEXTS)}
    if table not in known or not isinstance(members, dict):
        raise InputError(f"{file}: there is no table [{table}]; the tables are {', '.join(known)}")
    for name, phrases in members.items():
        if name not in known[table] or not isinstance(phrases, list):
            raise InputError(f"{file}: [{table}] has no list {name!r}; its lists are {', '.join(sorted(known[table]))}")
        for phrase in phrases:
            if not isinstance(phrase, str) or not phrase.strip():
                raise InputError(
                    f"{file}: [{table}] {name}: {phrase!r} is not a phrase; a phrase is words between quotes"
                )
            if table == "sections":
                sections.setdefault(name, []).append(phrase)
            else:
                if table in CONTEXTS:
                    keywords.update(_keywords(phrase))
                says = (PREPOSITION, "") if name == "prepositions" else (table, name)
                added.append(_Phrase(_parts(phrase, f"{file}: [{table}] {name}"), 0, says))


def _parts(phrase: str, where: str) -> tuple[str, ...]:
    parts = tuple(phrase.lower().split())
    for word in (word for part in parts for word in _variants(part)):
        if word not in _SPECIAL and not _TOKEN.fullmatch(word):
            raise InputError(f"{where}: {word!r} is not one word; put spaces around marks, as in `r / o`")
    first = {word for number in _next(parts, 0) for word in _variants(parts[number])}
    if all(map(_is_optional, parts)) or not {"*", "<year>", "<number>", "<end>"}.isdisjoint(first):
        raise InputError(f"{where}: {phrase!r} may be empty, or does not begin with a word; begin it with one")
    return parts


def _keywords(phrase: str) -> list[str]:
    """Words of which any text with this phrase has one: those of a part without common words, if there is one."""
    parts = [
        part for part in phrase.lower().split() if part not in _SPECIAL and (part == "?" or not part.endswith("?"))
    ]
    if "<year>" in phrase:
        return []  # years are among the keywords anyway
    rare = [part for part in parts if not _COMMON.intersection(part.split("|")) and part.replace("|", "").isalpha()]
    return min(rare or parts or ["*"], key=lambda part: part.count("|")).split("|")


def _next(parts: Sequence[str], start: int) -> Iterator[int]:
    """The parts that may come next, at `start` of a phrase: those up to the first that must."""
    for number in range(start, len(parts)):
        yield number
        if not _is_optional(parts[number]):
            return


def _is_optional(part: str) -> bool:
    return len(part) > 1 and part.endswith("?")


def _variants(part: str) -> list[str]:
    return part.removesuffix("?").split("|") if _is_optional(part) else part.split("|")
