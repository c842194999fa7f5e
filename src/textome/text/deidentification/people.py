"""Names of people and places that stand in lists, and names that a document says again.

The lists are names.txt.gz, made by recipes/deidentification_names.py. A word that texts write with a small letter too, as
"Will" or "Reading", counts only beside another name, or after a word that says so.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from textome.text.deidentification.rules import Finding, Rules, phrases

_PATH = Path(__file__).with_name("names.txt.gz")
_WORD = re.compile(r"[^\W\d_ºª]+(?:['’-][^\W\d_ºª]+)*(?!\w)")
# A postal code before a town.
_CODE = re.compile(r"(?<![\w.,])(?:[A-Z]-)?\d{4,5}\s\Z")
_MAX_TOWN_WORDS = 4
_MAX_NAME_WORDS = 5
# What may stand between two words of a name.
_GAPS = frozenset((" ", ". ", "\n", "  ", ".", "\t"))
_MIN_AGAIN = 3
_GENITIVES = ("'s", "’s")


@lru_cache(maxsize=1)
def load_names() -> Mapping[str, frozenset[str]]:
    """The lists by name: given, surname, town, country, word; in small letters."""
    lists: dict[str, set[str]] = {}
    for line in gzip.decompress(_PATH.read_bytes()).decode("utf-8").splitlines():
        if line.startswith("["):
            names = lists.setdefault(line[1:-1], set())
        else:
            names.add(line)
    return {name: frozenset(items) for name, items in lists.items()}


@dataclass(slots=True)
class _Word:
    start: int
    end: int
    text: str
    lower: str = field(init=False)
    capital: bool = field(init=False)
    all_capitals: bool = field(init=False)

    def __post_init__(self) -> None:
        self.lower = self.text.lower().removesuffix("'s").removesuffix("’s")
        self.capital = self.text[0].isupper()
        self.all_capitals = len(self.text) > 1 and self.text.isupper()


class People:
    """The names of a text, by lists and rules."""

    def __init__(self, text: str, rules: Rules) -> None:
        self._text = text
        self._names = load_names()
        self._words = [_Word(match.start(), match.end(), match[0]) for match in _WORD.finditer(text)]
        names, locations = rules.words["name"], rules.words["location"]
        self._never = frozenset(names["never"])
        self._eponyms = frozenset(names["eponyms"])
        self._particles = frozenset(word for item in names["particles"] for word in item.split())
        self._before = re.compile(rf"(?<!\w){phrases(names['before'])},?\s\Z", re.IGNORECASE)
        self._weak_before = re.compile(rf"(?<!\w){phrases(names['weak_before'])}\s\Z", re.IGNORECASE)
        self._before_town = re.compile(rf"(?<!\w){phrases(locations['before'])}\s\Z", re.IGNORECASE)

    def find(self) -> Iterator[Finding]:
        """Names of people, towns and countries; they may overlap."""
        number = 0
        while number < len(self._words):
            last = self._person(number)
            if last is not None:
                yield Finding(self._words[number].start, self._words[last].end, "NAME")
                number = last
            elif (located := self._location(number)) is not None:
                last, kind = located
                start = self._words[number].start
                if code := _CODE.search(self._text[max(0, start - 8) : start]):
                    yield Finding(start - len(code[0]), start - 1, "ADDRESS")
                yield Finding(start, self._words[last].end, kind)
                number = last
            number += 1

    def again(self, findings: Sequence[Finding], known: frozenset[str]) -> Iterator[Finding]:
        """The words of names that were found, wherever else they stand with a capital; `known` ones in any case."""
        words = self._names["word"] | self._never
        spoken = {
            match[0].lower()
            for item in findings
            if item.kind == "NAME"
            for match in _WORD.finditer(self._text, item.start, item.end)
            if len(match[0]) >= _MIN_AGAIN and match[0][0].isupper()
        }
        for number, word in enumerate(self._words):
            if word.lower in known:
                yield Finding(word.start, word.end, "NAME")
            elif (
                word.capital
                and word.lower in spoken
                and not self._is_eponym(number)
                and (word.lower not in words or self._is_between(number))
            ):
                yield Finding(word.start, word.end - 2 * word.text.endswith(_GENITIVES), "NAME")

    def _is_between(self, number: int) -> bool:
        """Is a word that is also an ordinary one written with a capital though no sentence begins with it?"""
        before = self._text[max(0, self._words[number].start - 2) : self._words[number].start].rstrip()
        return bool(before) and (before[-1].isalnum() or before[-1] == ",") and not self._words[number].all_capitals

    def _is(self, number: int, *lists: str) -> bool:
        return any(self._words[number].lower in self._names[name] for name in lists)

    def _is_eponym(self, number: int) -> bool:
        """Is it the name of a disease or a method: does such a word follow, with at most two names between?"""
        for after in range(number + 1, min(number + 4, len(self._words))):
            between = self._text[self._words[after - 1].end : self._words[after].start]
            if between not in (" ", "-", "–", "'s ", "’s ", "' ", "’ "):
                return False
            if self._words[after].lower in self._eponyms or self._words[after].lower.removesuffix("s") in self._eponyms:
                return True
            if not self._words[after].capital and self._words[after].lower not in ("and", "s"):
                return False
        return False

    def _is_sure_given_name(self, number: int) -> bool:
        word = self._words[number]
        return self._is(number, "given") and not self._is(number, "word", "country") and word.lower not in self._never

    def _is_rare(self, number: int) -> bool:
        """No ordinary word, and no name of a disease or method."""
        return not self._is(number, "word") and self._words[number].lower not in self._never

    def _person(self, number: int) -> int | None:
        """The last word of a name that begins with this word, or None."""
        word = self._words[number]
        if not word.capital or len(word.text) < 2 or self._is_eponym(number):
            return None
        if self._text.startswith(",", word.end) and self._is(number, "surname") and self._is_rare(number):
            return self._reversed(number)
        is_given_name = self._is(number, "given")
        last = self._extent(number)
        beside = range(number + 1, last + 1)
        if is_given_name and self._is_sure_given_name(number) and not word.all_capitals:
            return last
        is_name = [self._is_rare(other) and self._is(other, "given", "surname") for other in beside]
        if is_given_name and word.lower not in self._never and any(is_name):
            return last
        rare = self._is_rare(number) and not self._is(number, "country")
        if rare and self._is(number, "surname") and any(self._is_sure_given_name(other) for other in beside):
            return last
        before = self._text[max(0, word.start - 20) : word.start]
        if word.lower not in self._never and self._before.search(before):
            return last if is_given_name or rare else None
        spoken = self._weak_before.search(before) or not before.strip() or before.endswith("\n")
        return last if rare and spoken and any(is_name) and not word.all_capitals else None

    def _reversed(self, number: int) -> int | None:
        """`Roe, Jane A.`: the last word, or None where no given name follows the comma."""
        after = number + 1
        if after >= len(self._words) or self._text[self._words[number].end : self._words[after].start] != ", ":
            return None
        if not self._words[after].capital or not self._is_sure_given_name(after):
            return None
        return self._extent(after, 2)

    def _extent(self, number: int, most: int = _MAX_NAME_WORDS) -> int:
        """The last word of a name that goes on from this word: names, initials, and words that are in no list."""
        last = other = number
        while other + 1 < len(self._words) and other + 1 - number < most:
            other += 1
            word = self._words[other]
            gap = self._text[self._words[other - 1].end : word.start]
            if gap not in _GAPS or (gap.strip() and len(self._words[other - 1].text) > 1):
                break
            if word.lower in self._particles and not word.capital:
                continue  # counts where a name follows
            as_first = word.lower not in self._never and word.all_capitals == self._words[number].all_capitals
            if not (word.capital and (as_first or len(word.text) == 1)):
                break
            is_name = self._is(other, "given", "surname")
            is_ordinary = self._is(other, "word") and not (is_name and gap != "\n")
            if is_ordinary or (gap == "\n" and not is_name) or self._is(other, "country"):
                break
            last = other
        while last > number and len(self._words[last].text) == 1:
            end = self._words[last].end
            if self._text.startswith(".", end) or self._is_followed(last):
                break
            last -= 1
        return last

    def _is_followed(self, number: int) -> bool:
        return number + 1 < len(self._words) and self._words[number + 1].capital

    def _location(self, number: int) -> tuple[int, str] | None:
        """The last word and the kind of a town or country that begins with this word, or None."""
        first = self._words[number]
        if not first.capital or len(first.text) < 3:
            return None
        for last in range(min(number + _MAX_TOWN_WORDS, len(self._words)) - 1, number - 1, -1):
            end = self._words[last].end
            name = self._text[first.start : end].lower().removesuffix("'s").removesuffix("’s")
            if len(name) > 60 or not self._words[last].capital:
                continue
            if name in self._names["country"]:
                return last, "COUNTRY"
            if name not in self._names["town"] or self._is_eponym(last):
                continue
            if first.lower in self._never and first is self._words[last]:
                continue
            if last > number or _CODE.search(self._text[max(0, first.start - 8) : first.start]):
                return last, "LOCATION"
            spoken = self._before_town.search(self._text[max(0, first.start - 20) : first.start])
            sure = self._is_rare(number) and not first.all_capitals
            if (sure and (spoken or not self._is(number, "surname"))) or (spoken and self._is_rare(number)):
                return last, "LOCATION"
            if sure and re.match(r",\s[A-Z]", self._text[end : end + 3]):
                return last, "LOCATION"
        return None


def words_of(text: str) -> Iterator[str]:
    """The words of names, in small letters, without those of one letter and particles that any text has."""
    ordinary = load_names()["word"]
    for match in _WORD.finditer(text):
        if len(match[0]) >= _MIN_AGAIN and match[0].lower() not in ordinary:
            yield match[0].lower()
