"""Concepts of single names, and of what a user types: the step `linking` for programs, the service and its page."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from textome.documents import Document, Identifier
from textome.errors import InputError
from textome.steps.linking import Linking, section_type, sections_of
from textome.vocabularies import Section

MAX_NAME = 1000  # code points of a name, or of what is typed
MIN_PREFIX = 2
_MIN_SCANNED = 3  # shorter ones stand in too many names


@dataclass(frozen=True, slots=True)
class ConceptCard:
    """A concept of a vocabulary: its CURIE, preferred name, the type of entities that name it, broader concepts, and the
    same concept in other terminologies."""

    curie: str
    label: str
    type: str
    parents: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()


class Linker:
    """Gives names, entities and typed text the concepts of vocabularies, offline.

    >>> linker = Linker()
    >>> linker.link("renal failure", "Disease")[0].curie
    'mesh:D051437'
    """

    def __init__(self, vocabularies: Sequence[str] | None = None, **settings: object) -> None:
        """vocabularies   indexes by path, the preferred first; by default the bundled one
        settings       of the step `linking`, as `min_score` and `xrefs`

        Raises InputError for a wrong setting or an index that cannot be read.
        """
        values = settings if vocabularies is None else {"vocabularies": tuple(vocabularies)} | settings
        self._step = Linking.model_validate(values)
        self._sections = sections_of(self._step.vocabularies)

    @classmethod
    def of(cls, steps: Iterable[object]) -> Linker:
        """The linker with the settings of the first step `linking` among these; with the default ones if there is none."""
        settings = next((step for step in steps if isinstance(step, Linking)), Linking())
        linker = cls.__new__(cls)
        linker._step, linker._sections = settings, sections_of(settings.vocabularies)
        return linker

    @property
    def types(self) -> list[str]:
        """The types of entities that the vocabularies have concepts for."""
        return sorted(self._sections)

    def link(self, name: str, type: str, text: str = "", candidates: int = 1) -> list[Identifier]:
        """The concepts that a name stands for, the likeliest first; none where the vocabularies do not say.

        type         of the entity, as "Disease", also as corpora write it
        text         where the name stands, for the species of a gene and what is abbreviated; the name stands in it
        candidates   how many concepts an ambiguous name gets
        """
        self._check(type, name)
        start_of_name = text.find(name)
        document = Document.from_text(text if start_of_name >= 0 else name)
        start = max(start_of_name, 0)
        entity = document.entity([(start, start + len(name))], type)
        step = self._step.model_copy(update={"candidates": candidates})
        return list(step.link(document.with_annotations([entity])).entities[0].identifiers)

    def annotate(
        self, documents: Iterable[Document], replace: bool | None = None, candidates: int | None = None
    ) -> Iterator[Document]:
        """The documents, their entities with identifiers; `replace` also links those that have some.

        candidates   how many concepts an ambiguous name gets; by default the number among the settings
        """
        changes = {"replace": replace, "candidates": candidates}
        step = self._step.model_copy(update={name: value for name, value in changes.items() if value is not None})
        return step(documents)

    def concept(self, curie: str) -> ConceptCard | None:
        """The concept of a CURIE, also of one that has been replaced; None where no vocabulary has it."""
        for type, sections in self._sections.items():
            for section in sections:
                if (number := section.find(section.current(curie))) is not None:
                    return _concept(section, number, type)
        return None

    def look_up(self, prefix: str, type: str | None = None, limit: int = 10) -> list[ConceptCard]:
        """The concepts that a typed text may mean: one with this CURIE or exactly this name first, then, from three letters
        on, those whose preferred name begins with it, then those of which a word does; the shorter ones first.

        Raises InputError where the text is shorter than two letters, or longer than 1,000, or the type is unknown.
        """
        typed = " ".join(prefix.split())
        self._check(type, typed)
        if len(typed) < MIN_PREFIX:
            raise InputError(f"type at least {MIN_PREFIX} letters of the name of a concept")
        cards: dict[str, ConceptCard] = {}
        if ":" in typed and (concept := self.concept(typed)):
            cards[concept.curie] = concept
        chosen = [self._type(type)] if type else self.types
        pairs = [(name, section) for name in chosen for section in self._sections[name]]
        for name, section in pairs:
            for hit in section.look_up(typed):
                cards.setdefault(section.curie(hit.number), _concept(section, hit.number, name))
        if len(cards) < limit and len(typed) >= _MIN_SCANNED and ":" not in typed:
            matches = heapq.nsmallest(limit, _matches(pairs, typed.lower()), key=lambda match: match[:4])
            for *_, number, name, section in matches:
                cards.setdefault(section.curie(number), _concept(section, number, name))
        return list(cards.values())[:limit]

    def _check(self, type: str | None, name: str) -> None:
        if len(name) > MAX_NAME:
            raise InputError(f"a name has at most {MAX_NAME:,} characters, and this one has {len(name):,}")
        if not name.strip():
            raise InputError("the name is empty; give the name of a concept")
        if type is not None:
            self._type(type)

    def _type(self, type: str) -> str:
        known = section_type(type, self._sections)
        if known is None:
            raise InputError(f"no vocabulary has concepts of the type {type!r}; there are {', '.join(self.types)}")
        return known


_Match = tuple[int, int, str, int, int, str, Section]


def _matches(pairs: Iterable[tuple[str, Section]], typed: str) -> Iterator[_Match]:
    """Concepts whose label holds the text at the beginning of a word: how good, length, label, and which one."""
    for order, (type, section) in enumerate(pairs):
        for number, label in section.labels_with(typed):
            folded = label.lower()
            if folded.startswith(typed):
                yield 0, len(label), label, order, number, type, section
            elif re.search(rf"\b{re.escape(typed)}", folded):
                yield 1, len(label), label, order, number, type, section


def _concept(section: Section, number: int, type: str) -> ConceptCard:
    parents, xrefs = tuple(section.parents(number)), tuple(section.xrefs(number))
    return ConceptCard(section.curie(number), section.label(number), type, parents, xrefs)
