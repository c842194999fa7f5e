"""Translation of texts from one language to another by an encoder-decoder, see encoders.seq2seq."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray
from pydantic import Field

from textome.datasets.parallel import Pair, read_pairs
from textome.documents import Document, Label, Passage, Span
from textome.formats.reading.sources import Quarantine
from textome.metrics.translation import bleu_counts, bleu_of, score_translations
from textome.tasks.task import Task


class Translation(Task[Pair, str]):
    """Texts in one language to texts in another.

    source, target   codes of the languages, as "en"
    max_length       sub-words of a source, or of a target, at most
    """

    has_graph: ClassVar[bool] = False
    trained_by: ClassVar[str] = "translation"
    run_by: ClassVar[str] = "decoder"
    losses: ClassVar[tuple[str, ...]] = ("next_token",)
    old_keys: ClassVar[Mapping[str, str]] = {"longest": "max_length"}
    output_kind: ClassVar[str] = "labels"
    has_confidence: ClassVar[bool] = False

    kind: Literal["translation"] = "translation"
    metric: Literal["bleu"] = "bleu"
    source: str = Field(pattern=r"^[A-Za-z-]+$")
    target: str = Field(pattern=r"^[A-Za-z-]+$")
    max_length: int = Field(256, ge=8)

    @property
    def main_metric(self) -> str:
        return "BLEU"

    @property
    def label_names(self) -> tuple[str, ...]:
        return (f"{self.source} to {self.target}",)

    def read(self, path: str, layout: str | None, quarantine: Quarantine) -> Iterator[Pair]:
        return read_pairs(path, self.source, self.target, quarantine)

    def records(self, document: Document, question: str | None = None) -> list[Pair]:
        """The passages that have words."""
        return [Pair(document.id, passage.text, "") for passage in _with_words(document)]

    def texts_of(self, record: Pair) -> tuple[str, ...]:
        """The source, by which a pair is recognised in a test file."""
        return (record.source,)

    def score(self, records: Sequence[Pair], predictions: Sequence[str]) -> dict[str, float]:
        return {name: score for name, (score, _) in _scores(records, predictions).items()}

    def score_of_rows(self, records: Sequence[Pair], predictions: Sequence[str]) -> Callable[[NDArray[Any]], float]:
        """By adding up what each pair counts, since sacrebleu takes too long for each draw."""
        counts = bleu_counts(predictions, [record.target for record in records])
        return lambda rows: bleu_of(counts[rows])

    def score_notes(self, records: Sequence[Pair], predictions: Sequence[str]) -> dict[str, str]:
        """sacrebleu's signatures."""
        return {name: signature for name, (_, signature) in _scores(records, predictions).items()}

    def annotate(self, name: str, document: Document, records: Sequence[Pair], predictions: Sequence[str]) -> Document:
        """The document with a label for each passage that has words: its translation, at the passage's span."""
        labels = [
            Label(text, name, span=Span(passage.offset, passage.end), metadata={"language": self.target})
            for passage, text in zip(_with_words(document), predictions, strict=True)
        ]
        return document.with_labels([*document.labels, *labels])


def _scores(records: Sequence[Pair], predictions: Sequence[str]) -> dict[str, tuple[float, str]]:
    return score_translations(predictions, [record.target for record in records])


def _with_words(document: Document) -> list[Passage]:
    return [passage for passage in document.passages if passage.text.strip()]
