"""Questions with the texts that answer them: SQuAD 1.1 and 2.0, and BioASQ factoid and list questions with snippets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from textome.errors import InputError
from textome.formats.sources import Quarantine, Source


class Place(NamedTuple):
    """A span `[start, end)` of code points in a question's context number `context`."""

    context: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the texts to look for its answer in.

    answers  what is right: one group of synonyms for each thing that is asked for (one group for factoid and SQuAD)
    places   where answers stand, for training; none where the contexts hold no answer
    kind     "squad", "factoid" or "list"
    """

    id: str
    question: str
    contexts: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...] = ()
    places: tuple[Place, ...] = ()
    kind: str = "squad"


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


def read_questions(place: str, layout: str, quarantine: Quarantine) -> Iterator[Question]:
    """The questions of a file in the layout "squad", "bioasq-factoid" or "bioasq-list"; bad ones are quarantined.

    An answer that does not stand at its offset is looked for with the blanks at its ends taken off, within as many signs;
    where it is not there, the question is quarantined. Of a BioASQ question, every place where a synonym stands as whole
    words in a snippet is taken for its answer.
    """
    source = Source.of(place)
    with source.open() as raw:
        try:
            values = json.load(raw)
        except ValueError as error:
            raise InputError(f"{place}: this is no valid JSON ({error})") from error
    if layout == "squad":
        found = _squad(values, source.name, quarantine)
    elif layout in ("bioasq-factoid", "bioasq-list"):
        found = _bioasq(values, layout.removeprefix("bioasq-"), source.name, quarantine)
    else:
        raise InputError(f"{place}: the layout {layout!r} is unknown; choose squad, bioasq-factoid or bioasq-list")
    seen: set[str] = set()
    for item in found:
        if item.id in seen:
            quarantine.add(source.name, f"question {item.id}", "this id stands twice; the second question is left out")
            continue
        seen.add(item.id)
        yield item


def _squad(values: Any, name: str, quarantine: Quarantine) -> Iterator[Question]:
    for article in _members(values, "data", name):
        for paragraph in article.get("paragraphs", []):
            context = paragraph.get("context", "")
            for record in paragraph.get("qas", []):
                identity = str(record.get("id", ""))
                try:
                    if not context.strip():
                        raise InputError("the question has no context")
                    answers = [] if record.get("is_impossible") else record.get("answers", [])
                    texts = tuple(dict.fromkeys(answer["text"].strip() for answer in answers))
                    places = tuple(dict.fromkeys(_found(context, answer) for answer in answers))
                    groups = (texts,) if texts else ()
                    yield Question(identity, record["question"], (context,), groups, places)
                except (KeyError, TypeError, InputError) as error:
                    reason = f"the member {error} is missing" if isinstance(error, KeyError) else error
                    quarantine.add(name, f"question {identity}", reason)


def _found(context: str, answer: Any) -> Place:
    text, start = answer["text"], int(answer["answer_start"])
    blanks = len(text) - len(text.lstrip())
    text = text.strip()
    for place in (start + blanks, start, start - blanks):
        if text and place >= 0 and context[place : place + len(text)] == text:
            return Place(0, place, place + len(text))
    raise InputError(
        f"the answer {text!r} does not stand at {start}, where the text is {context[start : start + 40]!r}"
    )


def _bioasq(values: Any, kind: str, name: str, quarantine: Quarantine) -> Iterator[Question]:
    for record in _members(values, "questions", name):
        if record.get("type") != kind:
            continue
        identity = str(record.get("id", ""))
        contexts = tuple(
            dict.fromkeys(text for snippet in record.get("snippets", []) if (text := snippet.get("text", "")).strip())
        )
        groups = _groups(record.get("exact_answer", []), kind)
        if not contexts or not record.get("body"):
            quarantine.add(name, f"question {identity}", "the question has no text or no snippets")
            continue
        places = [
            Place(number, match.start(), match.end())
            for number, context in enumerate(contexts)
            for group in groups
            for text in group
            for match in re.finditer(rf"(?<!\w){re.escape(text)}(?!\w)", context, re.IGNORECASE)
        ]
        yield Question(identity, record["body"], contexts, groups, tuple(dict.fromkeys(places)), kind)


def _groups(answer: Any, kind: str) -> tuple[tuple[str, ...], ...]:
    """The groups of synonyms; files of different years nest them differently."""
    items = [answer] if isinstance(answer, str) else answer
    groups = [tuple(map(str, item)) if isinstance(item, list) else (str(item),) for item in items]
    if kind == "factoid":
        groups = [tuple(text for group in groups for text in group)]
    return tuple(kept for group in groups if (kept := tuple(text.strip() for text in group if text.strip())))


def _members(values: Any, key: str, name: str) -> Sequence[Any]:
    if not isinstance(values, dict) or not isinstance(values.get(key), list):
        raise InputError(f"{name}: expected a JSON object with a list {key!r}")
    return values[key]  # type: ignore[no-any-return]
