"""Questions with the texts that answer them: SQuAD 1.1 and 2.0, and BioASQ factoid and list questions with snippets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from textome.errors import InputError
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.json_values import parse_json
from textome.formats.reading.members import described, id_of, label_of, list_of, object_of, required_text, text_of
from textome.formats.reading.sources import Quarantine, Source, guarded

LAYOUTS = ("squad", "bioasq-factoid", "bioasq-list")
# An offset may miss its answer by so many characters, as where somebody cleaned the text or counted other units.
_NEAR = 32


class AnswerPosition(NamedTuple):
    """A span `[start, end)` of code points in a question's context number `context`."""

    context: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the texts to look for its answer in.

    answers  what is right: one group of synonyms for each thing that is asked for (one group for factoid and SQuAD)
    positions   where answers stand, for training; none where the contexts hold no answer
    kind     "squad", "factoid" or "list"
    teaches  whether a model learns from it: then its answers are read wherever they stand
    """

    id: str
    question: str
    contexts: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...] = ()
    positions: tuple[AnswerPosition, ...] = ()
    kind: str = "squad"
    teaches: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A predicted answer: code points `[start, end)` of context number `context`, its most probable mention."""

    text: str
    probability: float
    context: int
    start: int
    end: int


def listed(answers: Sequence[Answer], threshold: float) -> list[Answer]:
    """The answers to a list question: those with `threshold` times the best one's probability, no one inside another."""
    chosen: list[Answer] = []
    for answer in answers:
        if answer.probability >= threshold * answers[0].probability and not any(
            answer.context == other.context and answer.start < other.end and other.start < answer.end
            for other in chosen
        ):
            chosen.append(answer)
    return chosen


def read_questions(path: str, layout: str, quarantine: Quarantine) -> Iterator[Question]:
    """The questions of a file in the layout "squad", "bioasq-factoid" or "bioasq-list"; bad ones are quarantined.

    An answer that does not stand at its offset is looked for with the blanks at its ends taken off, and as whole words
    within 32 characters of it, where every other occurrence is at least twice as far; where it is not there, the question
    is quarantined. Of a BioASQ question, every position where a synonym stands as whole
    words in a snippet is taken for its answer.
    """
    source = Source.of(path)
    with source.open_text() as raw:
        try:
            values = parse_json(raw.read())
        except (InputError, *DECOMPRESSION_ERRORS) as error:
            raise InputError(f"{path}: this is not valid JSON ({error})") from error
    if layout == "squad":
        questions = _squad(values, source.name, quarantine)
    elif layout in ("bioasq-factoid", "bioasq-list"):
        questions = _bioasq(values, layout.removeprefix("bioasq-"), source.name, quarantine)
    else:
        raise InputError(f"{path}: the layout {layout!r} is unknown; choose one of: {', '.join(LAYOUTS)}")
    seen: set[str] = set()
    for item in guarded(questions, source.name, quarantine):
        if item.id in seen:
            quarantine.add(source.name, f"question {item.id}", "this id stands twice; the second question is left out")
            continue
        seen.add(item.id)
        yield item


def snippet_texts(record: dict[str, Any]) -> list[str]:
    """The texts of a BioASQ question's snippets, each once. Raises InputError where one is not text."""
    snippets = [object_of(item, "a snippet") for item in list_of(record, "snippets")]
    texts = [label_of(item["text"], "a snippet") if item.get("text", "") != "" else "" for item in snippets]
    return list(dict.fromkeys(text for text in texts if text.strip()))


def _squad(values: Any, name: str, quarantine: Quarantine) -> Iterator[Question]:
    for article in _members(values, "data", name):
        identity = ""
        try:
            for paragraph in map(object_of, list_of(object_of(article, "an article"), "paragraphs")):
                for value in list_of(paragraph, "qas"):
                    identity = ""
                    record = object_of(value, "a question")
                    identity = id_of(record, "id")
                    try:
                        yield _squad_question(identity, text_of(paragraph, "context"), record)
                    except InputError as error:
                        quarantine.add(name, f"question {identity}", error)
        except InputError as error:
            quarantine.add(name, f"after question {identity}" if identity else "", error)


def _squad_question(identity: str, context: str, record: dict[str, Any]) -> Question:
    if not context.strip():
        raise InputError("the question has no context")
    answers = (
        [] if record.get("is_impossible") else [object_of(item, "an answer") for item in list_of(record, "answers")]
    )
    texts = tuple(dict.fromkeys(required_text(answer, "text").strip() for answer in answers))
    positions = tuple(dict.fromkeys(_answer_position(context, answer) for answer in answers))
    return Question(identity, required_text(record, "question"), (context,), (texts,) if texts else (), positions)


def _answer_position(context: str, answer: dict[str, Any]) -> AnswerPosition:
    text, start = required_text(answer, "text"), answer.get("answer_start")
    if type(start) is not int:
        raise InputError(f"answer_start: expected a whole number, found {described(start)}")
    blanks = len(text) - len(text.lstrip())
    text = text.strip()
    for position in (start + blanks, start, start - blanks):
        if text and position >= 0 and context[position : position + len(text)] == text:
            return AnswerPosition(0, position, position + len(text))
    matches = re.finditer(rf"(?<!\w){re.escape(text)}(?!\w)", context)
    near, *others = sorted((abs(match.start() - start), match.start()) for match in matches) or [(_NEAR + 1, 0)]
    if near[0] <= _NEAR and not (others and others[0][0] < 2 * near[0]):
        return AnswerPosition(0, near[1], near[1] + len(text))
    raise InputError(
        f"the answer {text!r} does not stand at {start}, where the text is {context[max(start, 0) :][:40]!r}"
    )


def _bioasq(values: Any, kind: str, name: str, quarantine: Quarantine) -> Iterator[Question]:
    for number, value in enumerate(_members(values, "questions", name), 1):
        identity = str(number)
        try:
            record = object_of(value, "a question")
            identity = id_of(record, "id") or identity
            if record.get("type") == kind:
                yield _bioasq_question(identity, record, kind)
        except InputError as error:
            quarantine.add(name, f"question {identity}", error)


def _bioasq_question(identity: str, record: dict[str, Any], kind: str) -> Question:
    contexts = tuple(snippet_texts(record))
    if not contexts or not text_of(record, "body"):
        raise InputError("the question has no text or no snippets")
    groups = _groups(record.get("exact_answer", []), kind)
    positions = [
        AnswerPosition(number, match.start(), match.end())
        for number, context in enumerate(contexts)
        for group in groups
        for text in group
        for match in re.finditer(rf"(?<!\w){re.escape(text)}(?!\w)", context, re.IGNORECASE)
    ]
    return Question(identity, text_of(record, "body"), contexts, groups, tuple(dict.fromkeys(positions)), kind)


def _groups(answer: Any, kind: str) -> tuple[tuple[str, ...], ...]:
    """The groups of synonyms; files of different years nest them differently."""
    if not isinstance(answer, str | list):
        raise InputError(f"exact_answer: expected a text or a list, found {described(answer)}; leave it out if unknown")
    items = [answer] if isinstance(answer, str) else answer
    groups = [
        tuple(label_of(text, "exact_answer") for text in (item if isinstance(item, list) else [item])) for item in items
    ]
    if kind == "factoid":
        groups = [tuple(text for group in groups for text in group)]
    return tuple(kept for group in groups if (kept := tuple(text.strip() for text in group if text.strip())))


def _members(values: Any, key: str, name: str) -> Sequence[Any]:
    if not isinstance(values, dict) or not isinstance(values.get(key), list):
        raise InputError(f"{name}: expected a JSON object with a list {key!r}")
    return values[key]  # type: ignore[no-any-return]
