"""Mentions that agree within a document: a name that is surely an entity somewhere is one wherever it stands.

A model reads sentence by sentence, so it finds a gene where the words around it say what it is, and overlooks the same name
elsewhere in the document. Authors keep to one sense of a name in a document (Gale, Church and Yarowsky 1992, "One sense per
discourse").
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from pydantic import Field

from textome.documents import Document, Entity, Span
from textome.patterns import lazy_pattern
from textome.steps.step import StepSettings

_WORD = lazy_pattern(r"\w+")
_HYPHENS = "-\u2010\u2011"
# Names that are written with a capital only where a sentence begins: no short ones, and no symbols.
_CAPITALISED = lazy_pattern(r"[A-Z][a-z]{4,}\b")


class RepeatedMentions(StepSettings):
    """Entities at the other places of names that a document has as entities.

    min_confidence   of the entity that others follow; theirs is its confidence
    min_length       of its text, in characters

    A name that has entities of several types follows the type that most of them have. What overlaps another entity stays as
    it is. Human annotations, which have no confidence, are not followed.
    """

    min_confidence: float = Field(0.7, ge=0, le=1)
    min_length: int = Field(3, ge=1)

    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            names = self._names(document.entities)
            yield document.with_new_entities(_further_mentions(document, names)) if names else document

    def _names(self, entities: Iterable[Entity]) -> dict[str, dict[str, list[float]]]:
        """By the text of a name and the types of its entities, their confidences."""
        names: dict[str, dict[str, list[float]]] = {}
        for entity in entities:
            if len(entity.spans) > 1 or len(entity.text) < self.min_length or entity.confidence is None:
                continue
            if entity.confidence >= self.min_confidence:
                names.setdefault(entity.text, {}).setdefault(entity.type, []).append(entity.confidence)
                if _CAPITALISED.match(entity.text):
                    lower = entity.text[0].lower() + entity.text[1:]
                    names.setdefault(lower, {}).setdefault(entity.type, []).append(entity.confidence)
        return names


def _further_mentions(document: Document, names: dict[str, dict[str, list[float]]]) -> list[Entity]:
    """The entities of names where no entity stands yet, the longest name first."""
    by_word: dict[str, list[str]] = {}
    for name in sorted(names, key=len, reverse=True):
        if word := _WORD.match(name):
            by_word.setdefault(word[0], []).append(name)
    covered = sorted((span.start, span.end) for entity in document.entities for span in entity.spans)
    starts = [start for start, _ in covered]
    reach = _reach(covered)
    text, end, further = document.text, 0, list[Entity]()
    for word in _WORD.finditer(text):
        start = word.start()
        if start < end:
            continue
        for name in by_word.get(word[0], ()):
            if not _stands_at(text, name, start):
                continue
            before = bisect_left(starts, start + len(name))
            if before and reach[before - 1] > start:
                continue
            type, confidences = max(names[name].items(), key=lambda item: (len(item[1]), max(item[1])))
            end = start + len(name)
            further.append(document.entity([Span(start, end)], type, confidence=max(confidences)))
            break
    return further


def _reach(covered: list[tuple[int, int]]) -> list[int]:
    """How far the spans up to each one reach."""
    ends: list[int] = []
    for _, end in covered:
        ends.append(max(end, ends[-1]) if ends else end)
    return ends


def _stands_at(text: str, name: str, start: int) -> bool:
    """Whether the name stands here as words of its own; a hyphen may follow, as in "BRCA1-mutated", but not precede it."""
    end = start + len(name)
    return (
        text.startswith(name, start)
        and not (start and text[start - 1] in _HYPHENS)
        and not (end < len(text) and (text[end].isalnum() or text[end] == "_"))
    )
