"""Questions answered from documents, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from textome.datasets.questions import Answer, Question
from textome.documents import Document, Passage, Span
from textome.errors import InputError
from textome.runtime.model import Model
from textome.text.sentences import split_sentences


@dataclass(frozen=True, slots=True)
class LocatedAnswer:
    """An answer where it stands: `[start, end)` of the document's text, and the sentence around it."""

    text: str
    confidence: float
    document: str
    start: int
    end: int
    sentence: str
    sentence_start: int


class Answerer:
    """A loaded bundle that answers questions by spans of texts.

    name   of the task where the bundle has several
    """

    def __init__(self, runner: Model, name: str | None = None) -> None:
        self.runner, self.name = runner, runner.bundle.task_of("question_answering", name)
        self.task: Any = runner.task(self.name)

    @classmethod
    def load(cls, model: str | Path, name: str | None = None, **options: Any) -> Self:
        """Load a bundle; `options` are the fields of `ModelSettings`."""
        return cls(Model.load(model, **options), name)

    def ask(self, question: str, documents: Iterable[Document], number: int = 5) -> list[LocatedAnswer]:
        """The `number` most probable answers that the documents hold, the best first.

        Confidences are probabilities over all spans of all documents and "no answer". Raises InputError for an empty
        question and where there is no text to look in.
        """
        item, passages = asked(question, documents)
        (answers,) = self.runner.predictions(self.name, [item])
        return located(answers[:number], passages)

    def answer(self, items: Sequence[Question]) -> list[list[Answer]]:
        """The answers to questions that come with their texts, as those of a BioASQ file."""
        return self.runner.predictions(self.name, items)

    def submission(self, items: Sequence[Question]) -> dict[str, Any]:
        """The answers as BioASQ takes them: five ranked ones to a factoid question, the chosen ones to a list question."""
        questions = []
        for item, answers in zip(items, self.answer(items), strict=True):
            chosen = self.task.chosen(item, answers)[:100] if item.kind == "list" else answers[:5]
            exact = [[answer.text] for answer in chosen]
            questions.append({"id": item.id, "type": item.kind, "body": item.question, "exact_answer": exact})
        return {"questions": questions}


def asked(question: str, documents: Iterable[Document]) -> tuple[Question, list[tuple[Document, Passage]]]:
    """The question with all passages to look in, and those passages. Raises InputError as `Answerer.ask` does."""
    passages = [(document, passage) for document in documents for passage in document.passages if passage.text.strip()]
    if not question.strip():
        raise InputError("the question is empty")
    if not passages:
        raise InputError("there is no text to look for an answer in")
    return Question("1", question, tuple(passage.text for _, passage in passages)), passages


def located(answers: Iterable[Answer], passages: Sequence[tuple[Document, Passage]]) -> list[LocatedAnswer]:
    """Where answers stand in the documents."""
    answers_at = []
    for answer in answers:
        document, passage = passages[answer.context]
        sentence = _sentence(passage.text, answer.start, answer.end)
        answers_at.append(
            LocatedAnswer(
                answer.text,
                round(answer.probability, 6),
                document.id,
                passage.offset + answer.start,
                passage.offset + answer.end,
                passage.text[sentence.start : sentence.end],
                passage.offset + sentence.start,
            )
        )
    return answers_at


def _sentence(text: str, start: int, end: int) -> Span:
    """The sentences that an answer stands in, from the first to the last."""
    touched = [span for span in split_sentences(text) if span.start < end and start < span.end]
    return Span(touched[0].start, touched[-1].end) if touched else Span(start, end)
