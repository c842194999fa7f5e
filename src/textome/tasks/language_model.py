"""A language model: it writes on from a text, and says how probable a text is (Radford et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from textome.documents import Document, Label
from textome.formats import read_documents
from textome.formats.reading.sources import Quarantine
from textome.tasks.pretraining import Pretraining
from textome.text.tokenization import Tokenizer


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The natural logarithm of a text's probability, and the tokens that it is a sum over."""

    log_probability: float
    num_tokens: int


class LanguageModel(Pretraining):
    """Predicts what follows each token, by which a decoder is pretrained.

    begins          whether each text begins with the start token, as where Textome trained the model
    max_new_tokens  tokens that are written behind a document at most, where a pipeline annotates
    """

    run_by: ClassVar[str] = "language_model"
    causal: ClassVar[bool] = True
    output_kind: ClassVar[str] = "labels"
    has_confidence: ClassVar[bool] = False

    kind: Literal["language_model"] = "language_model"
    metric: Literal["word_perplexity"] = "word_perplexity"
    begins: bool = True
    max_new_tokens: int = Field(64, ge=1)

    def masker(self, tokenizer: Tokenizer) -> None:
        """Nothing is hidden."""

    def read(self, path: str, layout: str | None, quarantine: Quarantine) -> Iterator[Document]:
        """The documents of a file in any format."""
        return read_documents(path, layout, quarantine)

    def records(self, document: Document, question: str | None = None) -> list[Document]:
        return [document] if document.text.strip() else []

    def check_labels(self, record: Document) -> None:
        """There are none."""

    def texts_of(self, record: Document) -> tuple[str, ...]:
        return (record.text,)

    def score(self, records: Sequence[Document], predictions: Sequence[Likelihood]) -> dict[str, float]:
        """Perplexity for each word (a run between white space) and each token, and bits for each byte of UTF-8.

        Only the first and the last compare models of different vocabularies. Source: Jelinek et al. 1977 (perplexity).
        """
        total = -sum(item.log_probability for item in predictions)
        words = sum(len(record.text.split()) for record in records)
        tokens = sum(item.num_tokens for item in predictions)
        size = sum(len(record.text.encode()) for record in records)
        return {
            "word_perplexity": _exponential(total / max(words, 1)),
            "token_perplexity": _exponential(total / max(tokens, 1)),
            "bits_per_byte": total / math.log(2) / max(size, 1),
        }

    def annotate(
        self, name: str, document: Document, records: Sequence[Document], predictions: Sequence[str]
    ) -> Document:
        """The document with what is written behind it as a label."""
        return document.with_labels([*document.labels, *(Label(text, name) for text in predictions if text)])


def _exponential(value: float) -> float:
    return math.exp(min(value, 700.0))
