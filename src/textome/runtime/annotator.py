"""From documents to documents with entities, without PyTorch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, overload

import numpy as np

from textome.documents import Document, Entity, Span
from textome.errors import InputError, ModelError
from textome.runtime.bundle import ENTITIES, Bundle, resolve_model
from textome.runtime.session import EntityHead, Session, TaskSession
from textome.tasks.entities import with_entities
from textome.tasks.iob import Floats, Found, decode, log_probabilities, without_overlaps
from textome.tasks.windows import Window, windows, with_special_tokens
from textome.text.sentences import split_sentences
from textome.text.tokenization import Tokenizer, Tokens, end_of_character

# Characters of documents that are cut into sentences and sorted by length together: enough that batches hold equal
# lengths, few enough that memory stays small and flat.
POOL_CHARACTERS = 400_000


Ids = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True, slots=True)
class Unit:
    """One sentence of one document of a pool, and the windows in which the model reads it (one, unless it is long)."""

    document: int
    offset: int
    tokens: Tokens
    windows: tuple[Window, ...]


class Annotator:
    """A loaded model bundle that finds entities in texts and documents.

    types           the entity types to look for; by default those that the bundle names as its defaults
    min_confidence  entities below it are left out; None: the thresholds that the bundle names for its types, if any
    flat            of entities that overlap, only the most probable is found
    token_budget    tokens, padding included, of one batch
    sentences       False takes each passage as one sentence, for corpora that are cut into sentences already
    """

    def __init__(
        self,
        bundle: Bundle,
        session: Session | EntityHead,
        *,
        types: Collection[str] | None = None,
        min_confidence: float | None = None,
        flat: bool = False,
        token_budget: int = 1024,
        sentences: bool = True,
    ) -> None:
        if session.num_heads != len(bundle.types):
            raise ModelError(
                f"{bundle.directory}: textome.json names {len(bundle.types)} types, but the exported graph has "
                f"{session.num_heads} heads; export the model again with `textome export`"
            )
        self.bundle = bundle
        self.token_budget = token_budget
        self.sentences = sentences
        self._session = session
        self.tokenizer = Tokenizer.load(bundle.directory)
        self._choose(types, min_confidence, flat)

    def _choose(self, types: Collection[str] | None, min_confidence: float | None, flat: bool) -> None:
        bundle = self.bundle
        self.types = tuple(types or bundle.default_types)
        if unknown := [name for name in self.types if name not in bundle.types]:
            raise InputError(
                f"model {bundle.name!r} does not know the type {unknown[0]!r}; it knows {', '.join(bundle.types)}"
            )
        if min_confidence is not None and not 0.0 <= min_confidence <= 1.0:
            raise InputError(f"the minimum confidence is {min_confidence}; give a probability from 0 to 1")
        self.min_confidence, self.flat = min_confidence, flat
        found = bundle.thresholds if min_confidence is None else dict.fromkeys(self.types, min_confidence)
        self._least = [found.get(name, 0.0) for name in self.types]
        self._heads = np.array([bundle.types.index(name) for name in self.types])
        self._temperature = np.array([bundle.temperature.get(name, 1.0) for name in self.types], np.float32)

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        precision: str | None = None,
        threads: int | None = None,
        **options: Any,
    ) -> Self:
        """Load a bundle by directory or hub name; None is the bundled default. `options` as for the class."""
        bundle = Bundle.load(resolve_model(model))
        _ = bundle.entities  # a bundle of other tasks says so, before its graph is found to be another one
        path = bundle.onnx_path(precision)
        if bundle.heads:
            return cls(bundle, TaskSession(path, bundle.heads, threads).entities(ENTITIES), **options)
        return cls(bundle, Session(path, threads=threads), **options)

    def choosing(
        self, types: Collection[str] | None = None, min_confidence: float | None = None, flat: bool = False
    ) -> Self:
        """The same loaded model with other choices of what to find; nothing is loaded again."""
        other = copy(self)
        other._choose(types, min_confidence, flat)
        return other

    @overload
    def annotate(self, documents: str | Document, *, replace: bool = False) -> Document: ...  # type: ignore[overload-overlap]
    @overload
    def annotate(self, documents: Iterable[str | Document], *, replace: bool = False) -> list[Document]: ...
    def annotate(
        self, documents: str | Document | Iterable[str | Document], *, replace: bool = False
    ) -> Document | list[Document]:
        """Find entities: a text or document gives a document, several give a list in the same order.

        replace   drop the annotations that a document already has; by default they stay and new ones are added
        """
        if isinstance(documents, str | Document):
            return next(self.stream([_document(documents, 0)], replace=replace))
        numbered = (_document(item, number) for number, item in enumerate(documents, 1))
        return list(self.stream(numbered, replace=replace))

    def stream(self, documents: Iterable[Document], *, replace: bool = False) -> Iterator[Document]:
        """Annotate documents one pool after another, in order; memory does not grow with their number."""
        pool: list[Document] = []
        characters = 0
        for document in documents:
            pool.append(document)
            characters += len(document.text) + 1
            if characters >= POOL_CHARACTERS:
                yield from self._annotate_pool(pool, replace)
                pool, characters = [], 0
        if pool:
            yield from self._annotate_pool(pool, replace)

    def _annotate_pool(self, pool: Sequence[Document], replace: bool) -> Iterator[Document]:
        units = self.units(pool)
        found: list[list[Entity]] = [[] for _ in pool]
        for unit, labels in zip(units, self.read(units), strict=True):
            document = pool[unit.document]
            found[unit.document] += (self.entity(document, unit, item) for item in self.found(labels))
        for document, entities in zip(pool, found, strict=True):
            yield with_entities(document, entities, replace)

    def units(self, pool: Sequence[Document]) -> list[Unit]:
        """The sentences of documents that hold any word, in order of their place."""
        places = [
            (number, Span(place.start + passage.offset, place.end + passage.offset))
            for number, document in enumerate(pool)
            for passage in document.passages
            for place in (split_sentences(passage.text) if self.sentences else [Span(0, len(passage.text))])
        ]
        texts = [pool[number].text[start:end] for number, (start, end) in places]
        encoded = self.tokenizer.encode(texts)
        size, overlap = self.bundle.window - 2, self.bundle.overlap
        return [
            Unit(number, span.start, tokens, tuple(windows(tokens, size, overlap)))
            for (number, span), tokens in zip(places, encoded, strict=True)
            if len(tokens.ids)
        ]

    def inputs(self, unit: Unit) -> list[Ids]:
        """The model's input (n,) for each window of a sentence."""
        return [with_special_tokens(unit.tokens, window, self.tokenizer) for window in unit.windows]

    def run(self, inputs: Sequence[Ids]) -> list[Floats]:
        """The model's scores (n, num_heads, 3) of each input (n,), computed as one batch padded to the longest."""
        lengths = np.array([len(ids) for ids in inputs])
        input_ids = np.zeros((len(inputs), int(lengths.max())), np.int64)
        for row, ids in enumerate(inputs):
            input_ids[row, : len(ids)] = ids
        scores = self._session.logits(input_ids, lengths)
        return [scores[row, :length] for row, length in enumerate(lengths)]

    def entities(self, document: Document, unit: Unit, logits: Sequence[Floats]) -> Iterator[Entity]:
        """The entities of one sentence of `document`, from the scores of each of its windows."""
        for item in self.found(self.labels(unit, logits)):
            yield self.entity(document, unit, item)

    def labels(self, unit: Unit, logits: Sequence[Floats]) -> Floats:
        """Log probabilities (m, num_types, 3) of a sentence's m words, in the order of `types`."""
        pieces = [_kept_words(scores, unit.tokens, window) for scores, window in zip(logits, unit.windows, strict=True)]
        joined = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return log_probabilities(joined[:, self._heads], self._temperature)

    def found(self, labels: Floats) -> list[Found]:
        """The entities of a sentence that are sure enough; their heads count in the order of `types`."""
        found = [item for item in decode(labels) if item.confidence >= self._least[item.head]]
        return without_overlaps(found) if self.flat else found

    def entity(self, document: Document, unit: Unit, found: Found) -> Entity:
        """What was found in a sentence of `document`, as its entity."""
        start = unit.offset + int(unit.tokens.word_starts[found.first])
        end = end_of_character(document.text, unit.offset + int(unit.tokens.word_ends[found.last]))
        return document.entity([(start, end)], self.types[found.head], confidence=round(found.confidence, 6))

    def read(self, units: Sequence[Unit]) -> Iterator[Floats]:
        """The `labels` of each sentence, computed in batches of nearly equal length."""
        logits = iter(self._logits([ids for unit in units for ids in self.inputs(unit)]))
        for unit in units:
            yield self.labels(unit, [next(logits) for _ in unit.windows])

    def _logits(self, inputs: Sequence[Ids]) -> list[Floats]:
        """The model's scores of each input, run in batches of nearly equal length."""
        results: list[Floats] = [np.empty(0, np.float32)] * len(inputs)
        for batch in batches(np.array([len(ids) for ids in inputs]), self.token_budget):
            for index, scores in zip(batch, self.run([inputs[index] for index in batch]), strict=True):
                results[index] = scores
        return results


def batches(lengths: np.ndarray[Any, np.dtype[np.int64]], token_budget: int) -> list[list[int]]:
    """Indices of inputs, longest first, in groups whose padded size (rows times longest) is within `token_budget`.

    The longest come first so that the memory arena takes its final size at once.
    """
    groups: list[list[int]] = []
    width = 0
    for index in np.argsort(-lengths, kind="stable").tolist():
        if not groups or (len(groups[-1]) + 1) * width > token_budget:
            groups.append([])
            width = int(lengths[index])
        groups[-1].append(index)
    return groups


def _kept_words(logits: Floats, tokens: Tokens, window: Window) -> Floats:
    """The rows of a window's logits at the first sub-word of each word that the window answers for."""
    words = tokens.first[(tokens.first >= window.keep_start) & (tokens.first < window.keep_end)]
    return logits[words - window.start + 1]


def _document(item: str | Document, number: int) -> Document:
    if isinstance(item, str):
        return Document.from_text(item, id=str(number) if number else "")
    if isinstance(item, Document):
        return item
    raise InputError(f"input {number}: expected a text or a Document, found {type(item).__name__}")
