"""Keeping test sets out of a corpus: a document is left out if it shares a long run of words, or its PMID, with one.

A model that has read a test sentence in pretraining has seen part of the exam. Texts come in many spellings (lower-cased,
tokenised, with placeholders for digits), so words are compared by their letters alone, and numbers are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from hashlib import blake2b
from typing import TypeVar

from textome.documents import Document

Key = TypeVar("Key", int, str)

# A run of this many common words is not an accident: set phrases of abstracts are shorter. Brown et al. 2020 (appendix C)
# take 13 words; test sentences are short, and with numbers passed over 12 words are about 14 of running text.
RUN = 12
# A test sentence of fewer words is looked for whole, if it has at least this many; shorter ones stand in many texts.
SHORTEST = 8

_WORD = re.compile(r"[^\W\d_]+")
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_PMID = re.compile(r"\d{4,8}")
_PLACEHOLDER = re.compile(r"<\s*(?:dig|cit)\s*>")

# What publishers have every article say: sharing it proves nothing. Without these, a test set of full texts would take one
# in seven articles of any other.
_FORMULAS = """
The authors declare that they have no competing interests.
The author declares that he has no competing interests.
The author declares that she has no competing interests.
The author(s) declare that they have no competing interests.
The authors declare that they have no conflict of interest.
The authors have declared that no competing interests exist.
All authors read and approved the final manuscript.
All authors have read and approved the final manuscript.
All authors contributed to the writing of the manuscript.
All authors read and approved the final version of the manuscript.
The pre-publication history for this paper can be accessed here:
Written informed consent was obtained from all participants.
The authors declare that the research was conducted in the absence of any commercial or financial relationships that could
be construed as a potential conflict of interest.
The funders had no role in study design, data collection and analysis, decision to publish, or preparation of the
manuscript.
He conceived of the study, and participated in its design and coordination and helped to draft the manuscript.
He conceived of the study, participated in its design and coordination and helped to draft the manuscript.
This study was approved by the ethics committee of the university of
"""


def words_of(text: str) -> list[str]:
    """The letters of each word, without case; numbers and the placeholders of SumPubMed give nothing."""
    return _WORD.findall(_PLACEHOLDER.sub(" ", text.casefold()))


class TestSets:
    """The runs of words and the PMIDs of named test sets. Memory: about 100 bytes for each word of the sets."""

    __test__ = False  # no collection of tests, whatever pytest thinks of the name

    def __init__(self) -> None:
        # What is known of a run, a short sentence or a PMID: which sets hold it, a bit for each in the order of `names`.
        self._runs: dict[int, int] = {}
        self._short: dict[int, int] = {}
        self._pmids: dict[str, int] = {}
        self._same: dict[int, int] = {}
        self.names: list[str] = []

    def add(self, name: str, sentences: Iterable[str], pmids: Iterable[str] = ()) -> None:
        """Remember a test set, or more of it.

        Each sentence is also remembered without what stands in brackets, which some corpora have dropped.
        """
        if name not in self.names:
            self.names.append(name)
        bit = 1 << self.names.index(name)
        for sentence in sentences:
            for text in {sentence, _BRACKETS.sub(" ", sentence)}:
                words = words_of(text)
                if len(words) >= RUN:
                    for run in set(_runs(words, RUN)) - _runs_of_formulas():
                        self._mark(self._runs, run, bit)
                elif len(words) >= SHORTEST and tuple(words) not in _formulas():
                    self._mark(self._short, next(_runs(words, len(words))), bit)
        for pmid in pmids:
            self._mark(self._pmids, pmid, bit)

    def sets_with(self, sentences: Iterable[str], pmid: str | None = None) -> tuple[str, ...]:
        """The names of the test sets with which a document shares a run of words or its PMID.

        Runs are looked for over the bounds of sentences, since other tools split otherwise; a short test sentence counts
        only where it is a whole sentence.
        """
        bits = self._pmids.get(pmid, 0) if pmid is not None else 0
        everything: list[str] = []
        for sentence in sentences:
            words = words_of(sentence)
            if self._short and SHORTEST <= len(words) < RUN:
                bits |= self._short.get(next(_runs(words, len(words))), 0)
            everything += words
        if known := self._runs:
            for run in _runs(everything, RUN):
                if run in known:
                    bits |= known[run]
        return tuple(name for number, name in enumerate(self.names) if bits >> number & 1)

    def _mark(self, known: dict[Key, int], key: Key, bit: int) -> None:
        bits = known.get(key, 0) | bit
        known[key] = self._same.setdefault(bits, bits)


def pmid_of(document: Document) -> str | None:
    """The PubMed identifier of a document: its metadata's, or its id where that looks like one (4 to 8 digits)."""
    if value := document.metadata.get("pmid"):
        return value
    return document.id if _PMID.fullmatch(document.id) else None


def _runs(words: list[str], length: int) -> Iterator[int]:
    """Hashes of all runs of `length` words."""
    numbers = [_number(word) for word in words]
    for start in range(len(numbers) - length + 1):
        yield hash(tuple(numbers[start : start + length]))


@cache
def _runs_of_formulas() -> frozenset[int]:
    return frozenset(_runs(words_of(_FORMULAS), RUN))


@cache
def _formulas() -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(words_of(line)) for line in _FORMULAS.strip().splitlines())


@lru_cache(maxsize=1 << 18)
def _number(word: str) -> int:
    """A number for a word that is the same in every process, as Python's own hash of a string is not."""
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=7).digest(), "big")
