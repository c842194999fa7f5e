"""Active learning: which texts are worth labelling next.

The uncertainty of a text is the share of what a model says of it that is expected to be wrong, by its own probabilities
(least confidence: Culotta and McCallum 2005; for tags as a mean over words: Shen et al. 2018, section 4). Of the most
uncertain texts those are chosen, one after another, that are least like the ones chosen already (maximal marginal
relevance: Carbonell and Goldstein 1998). Texts are compared by the cosine of their words' tf-idf.
"""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from textome.documents import Document
from textome.errors import InputError
from textome.runtime.model import Model
from textome.runtime.step import pools

REASON = "selected_because"
# So many times the texts that are asked for are kept as candidates.
CANDIDATES = 10
_WORD = re.compile(r"\w+")
_DIMENSIONS = 1 << 11  # of a text's vector: words share them by their hashes
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Selected:
    """A text to label: its expected share of errors, and its likeness (0 to 1) to the nearest of those chosen before."""

    document: Document
    uncertainty: float
    likeness: float

    @property
    def reason(self) -> str:
        return f"uncertainty {self.uncertainty:.4f}, likeness to the texts chosen before {self.likeness:.2f}"

    def with_reason(self) -> Document:
        """The document with the reason in its metadata."""
        return replace(self.document, metadata=self.document.metadata | {REASON: self.reason})


def uncertainties(model: Model, documents: Iterable[Document]) -> Iterator[tuple[Document, float]]:
    """Each document with its uncertainty, in [0, 1]: the mean over the model's tasks and over what each is asked about.

    Raises InputError where none of the tasks has probabilities.
    """
    names = [name for name, task in model.asked.items() if task.has_uncertainty]
    if not names:
        raise InputError(f"{model.directory}: no task of this model says how sure it is of a text")
    for pool in pools(documents):
        sums = [0.0] * len(pool)
        for name in names:
            _, records, examples = model.prepare(name, pool)
            together = [record for own in records for record in own]
            values = iter(model.tasks[name].uncertainty(together, examples, model.scores(name, examples)))
            for number, own in enumerate(records):
                sums[number] += sum(next(values) for _ in own) / max(1, len(own))
        yield from zip(pool, (total / len(names) for total in sums), strict=True)


def select(
    scored: Iterable[tuple[Document, float]],
    number: int,
    labelled: Iterable[Document] = (),
    diversity: float = 0.5,
) -> list[Selected]:
    """The documents to label next, the most useful first; at most `number`.

    scored      documents with their uncertainty, as `uncertainties` gives them
    labelled    documents that have labels already: they are not chosen again, and what is like them is worth less
    diversity   0 to 1: how much of its uncertainty a text loses that is wholly like one that is chosen

    Memory grows with `number` and the labelled documents, not with the scored ones.
    """
    known = list(labelled)
    seen = {document.text for document in known}
    order = count()
    candidates: list[tuple[float, int, Document]] = []
    for document, uncertainty in scored:
        if document.text in seen or not document.text.strip():
            continue
        seen.add(document.text)
        item = (uncertainty, -next(order), document)
        if len(candidates) < max(1, CANDIDATES * number):
            heapq.heappush(candidates, item)
        else:
            heapq.heappushpop(candidates, item)
    candidates.sort(reverse=True)
    values = np.array([item[0] for item in candidates], np.float64)
    vectors = text_vectors([document.text for *_, document in candidates] + [document.text for document in known])
    chosen = diverse(values, vectors, len(candidates), number, diversity)
    return [Selected(candidates[index][2], float(values[index]), likeness) for index, likeness in chosen]


def diverse(
    values: NDArray[np.float64], vectors: Vectors, num_candidates: int, number: int, diversity: float
) -> Iterator[tuple[int, float]]:
    """Candidates one after another, each the one with the largest value * (1 - diversity * likeness to the nearest before).

    values    (num_candidates,) not negative
    vectors   (num_candidates + n, d) of length 1: those of the candidates, then of n texts that are chosen already
    """
    candidates, others = vectors[:num_candidates], vectors[num_candidates:]
    nearest = np.zeros(num_candidates, np.float32)
    for other in others:
        nearest = np.maximum(nearest, candidates @ other)
    left = np.ones(num_candidates, bool)
    for _ in range(min(number, num_candidates)):
        index = int(np.where(left, values * (1 - diversity * nearest), -1.0).argmax())
        left[index] = False
        yield index, float(min(1.0, nearest[index]))
        nearest = np.maximum(nearest, candidates @ vectors[index])


def text_vectors(texts: Sequence[str]) -> Vectors:
    """(len(texts), 2048) tf-idf of the words in lower case, of length 1; a text without words is 0 everywhere."""
    counts = [Counter(word.lower() for word in _WORD.findall(text)) for text in texts]
    frequency = Counter(word for words in counts for word in words)
    vectors = np.zeros((len(texts), _DIMENSIONS), np.float32)
    for row, words in zip(vectors, counts, strict=True):
        for column, value in _weights(words, frequency, len(texts)):
            row[column] += value
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.maximum(norms, 1e-12)
    return vectors


def _weights(words: Mapping[str, int], frequency: Mapping[str, int], total: int) -> Iterator[tuple[int, float]]:
    for word, times in words.items():
        column = crc32(word.encode()) % _DIMENSIONS  # the same in every process
        yield column, (1 + math.log(times)) * math.log((1 + total) / (1 + frequency[word]) + 1)
