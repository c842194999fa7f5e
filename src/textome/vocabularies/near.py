"""Near names: the names of a section that resemble one that it does not hold.

Names are compared word by word, in any order (soft TF-IDF; Cohen, Ravikumar and Fienberg, "A comparison of string distance
metrics for name-matching tasks", 2003). Words resemble each other by their trigrams (Dice's coefficient), so that
`hypotensive` finds `hypotension`. The similarity of a mention q and a name n is

    sum over words w of q of idf(w) * max over words v of n of sim(w, v) * idf(v), divided by |q| * |n|

where sim below `_MIN_SIMILARITY` counts as 0, idf(w) = log(1 + names / names with w), and |x| is the root of the sum of
idf(w)^2. An unknown word counts as one that a single name has.
"""

from __future__ import annotations

import math
import zlib
from array import array
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from textome.vocabularies.keys import bag_of
from textome.vocabularies.layout import MappedFile, Writer

_MIN_SIMILARITY = 0.55
_MAX_WORDS = 12
_NORM_SCALE = 1024
_WORDS_KEPT = 4096
Array = np.ndarray[Any, np.dtype[Any]]


class Near(NamedTuple):
    """A concept of the section by its number, and how much the mention resembles one of its names, in [0, 1]."""

    number: int
    similarity: float


class NearNamesBuilder:
    """Collects names as bags of words (`keys.bag_of`). Memory grows with the words, 4 bytes each."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._words, self._ends, self._concepts = array("I"), array("I"), array("I")
        self._seen: tuple[int, set[str]] = -1, set()

    def add(self, bag: str, number: int) -> None:
        """A name of the concept with this number; the concepts come in order."""
        words = bag.split()
        if len(words) > _MAX_WORDS:
            return
        if self._seen[0] != number:
            self._seen = number, set()
        if bag in self._seen[1]:
            return
        self._seen[1].add(bag)
        self._words.extend(self._ids.setdefault(word, len(self._ids)) for word in words)
        self._ends.append(len(self._words))
        self._concepts.append(number)

    def write(self, writer: Writer) -> dict[str, list[int | str]]:
        """Write the arrays; none where there is no name."""
        if not self._concepts:
            return {}
        names = np.repeat(np.arange(len(self._ends)), np.diff(np.array(self._ends), prepend=0))
        old_ids = np.array(self._words)
        ordered = sorted(self._ids)
        new_ids = np.empty(len(ordered), "u4")
        new_ids[[self._ids[word] for word in ordered]] = np.arange(len(ordered), dtype="u4")
        ids = new_ids[old_ids]
        word_starts, names_of_words = _grouped(ids, names, len(ordered))
        idf = _idf(np.diff(word_starts), len(self._ends))
        norms = np.sqrt(np.bincount(names, idf[ids] ** 2, len(self._ends)))
        grams = [(gram, number) for number, word in enumerate(ordered) for gram in _grams(word)]
        gram_names = sorted({gram for gram, _ in grams})
        gram_ids = {gram: index for index, gram in enumerate(gram_names)}
        gram_starts, words_of_grams = _grouped(
            np.array([gram_ids[gram] for gram, _ in grams]), np.array([number for _, number in grams]), len(gram_names)
        )
        arrays = {
            "near_concepts": ("I", np.array(self._concepts)),
            "near_norms": ("H", np.minimum(np.round(norms * _NORM_SCALE), 65535)),
            "near_word_starts": ("I", word_starts),
            "near_word_names": ("I", names_of_words),
            "near_word_sizes": ("B", np.array([min(len(_grams(word)), 255) for word in ordered])),
            "near_grams": ("I", np.array(gram_names)),
            "near_gram_starts": ("I", gram_starts),
            "near_gram_words": ("I", words_of_grams),
        }
        types = {"B": "u1", "H": "<u2", "I": "<u4"}
        return {
            name: writer.array(code, [values.astype(types[code]).tobytes()]) for name, (code, values) in arrays.items()
        }


class NearNames:
    """The near names of a section, from its arrays in the file."""

    def __init__(self, file: MappedFile, arrays: dict[str, list[Any]], profile: str) -> None:
        self._profile = profile
        self._concepts = file.numpy(arrays["near_concepts"])
        self._norms = file.numpy(arrays["near_norms"])
        self._word_starts = file.numpy(arrays["near_word_starts"])
        self._word_names = file.numpy(arrays["near_word_names"])
        self._word_sizes = file.numpy(arrays["near_word_sizes"])
        self._grams = file.numpy(arrays["near_grams"])
        self._gram_starts = file.numpy(arrays["near_gram_starts"])
        self._gram_words = file.numpy(arrays["near_gram_words"])
        self._similar_words = lru_cache(maxsize=_WORDS_KEPT)(self._find_similar_words)

    def nearest(self, name: str, count: int = 5) -> list[Near]:
        """The concepts whose names resemble `name` most, each once, the nearest first."""
        words = bag_of(name, self._profile).split()[:_MAX_WORDS]
        highest = math.log(1 + len(self._concepts))
        squares = 0.0
        parts: list[tuple[int, float, Array]] = []  # which word, what it adds, and to which names
        for number, word in enumerate(words):
            similar = self._similar_words(word)
            own = max((idf for _, similarity, idf in similar if similarity == 1), default=highest)
            squares += own**2
            for value, word_id in sorted((own * similarity * idf, word_id) for word_id, similarity, idf in similar):
                parts.append((number, value, self._names_with(word_id)))
        if not parts:
            return []
        numbers, values, names = zip(*parts, strict=True)
        lengths = [len(each) for each in names]
        candidates, columns = np.unique(np.concatenate(names), return_inverse=True)
        best = np.zeros((len(words), len(candidates)), "f4")
        # The largest value of a word comes last, and stays where a name has several words that resemble it.
        best[np.repeat(numbers, lengths), columns] = np.repeat(np.array(values, "f4"), lengths)
        totals = best.sum(axis=0)
        scores = totals * _NORM_SCALE / (self._norms[candidates] * math.sqrt(squares))
        score_of: dict[int, float] = {}
        for index in _highest(scores, 4 * count):
            score_of.setdefault(int(self._concepts[candidates[index]]), min(float(scores[index]), 1.0))
        return [Near(*item) for item in list(score_of.items())[:count]]

    def _names_with(self, word_id: int) -> Array:
        return self._word_names[self._word_starts[word_id] : self._word_starts[word_id + 1]]

    def _find_similar_words(self, word: str) -> tuple[tuple[int, float, float], ...]:
        """The numbers of the words that resemble a word, with similarity and idf, the most similar first."""
        grams = _grams(word)
        indices = np.searchsorted(self._grams, grams)
        pieces = [
            self._gram_words[self._gram_starts[index] : self._gram_starts[index + 1]]
            for index, gram in zip(indices, grams, strict=True)
            if index < len(self._grams) and self._grams[index] == gram
        ]
        if not pieces:
            return ()
        counts = np.bincount(np.concatenate(pieces), minlength=len(self._word_sizes))
        candidates = np.flatnonzero(counts >= _MIN_SIMILARITY / 2 * len(grams))
        similarities = 2 * counts[candidates] / (len(grams) + self._word_sizes[candidates])
        order = [index for index in _highest(similarities, 12) if similarities[index] >= _MIN_SIMILARITY]
        numbers = candidates[order]
        idf = _idf(self._word_starts[numbers + 1] - self._word_starts[numbers], len(self._concepts))
        return tuple(zip(numbers.tolist(), similarities[order].tolist(), idf.tolist(), strict=True))


def _grams(word: str) -> list[int]:
    """The trigrams of a word with its ends, each once, as CRC-32 of their UTF-8."""
    padded = f"#{word}#"
    grams = {padded[index : index + 3] for index in range(max(1, len(padded) - 2))}
    return sorted({zlib.crc32(gram.encode("utf-8", "surrogatepass")) for gram in grams})


def _idf(counts: Array, num_names: int) -> Array:
    result: Array = np.log(1 + num_names / np.maximum(counts.astype("f4"), 1))
    return result


def _grouped(keys: Array, values: Array, num_keys: int) -> tuple[Array, Array]:
    """Where the values of each key start, and the values by key, ascending."""
    order = np.lexsort((values, keys))
    starts = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=num_keys))])
    return starts, values[order]


def _highest(values: Array, count: int) -> Iterator[int]:
    """The indices of the highest values, the highest first, and of equal ones the first."""
    if len(values) > count:
        top = np.argpartition(-values, count)[:count]
        lowest = values[top].min()
        top = np.flatnonzero(values >= lowest)
    else:
        top = np.arange(len(values))
    yield from top[np.lexsort((top, -values[top]))][:count].tolist()
