"""Concepts by name or identifier, and the broader ones of each, from a vocabulary index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from textome.evidence.statements import Concept
from textome.vocabularies import Vocabulary


class Concepts:
    """The concepts of an index."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._broader = lru_cache(maxsize=100_000)(self._ancestors)

    def keys(self, name: str, type: str | None = None) -> set[str]:
        """What a user may mean by a name: a CURIE alone, else the CURIEs of the concepts of that name, and the name itself
        in small letters, which is the key of a concept without identifier."""
        name = " ".join(name.split())
        if self._vocabulary.find(name) is not None:
            return {name}
        keys = {name.lower()} | ({name} if ":" in name else set())
        for each in self._vocabulary.types if type is None else (type,):
            if section := self._vocabulary.section(each):
                hits = section.look_up(name)
                keys |= {section.curie(hit.number) for hit in hits if hit.kind == hits[0].kind}
        return keys

    def broader(self, concept: Concept) -> Iterable[Concept]:
        """The broader concepts, the nearest first; none where the index does not hold it."""
        return self._broader(concept.type, concept.key)

    def _ancestors(self, type: str, curie: str) -> tuple[Concept, ...]:
        if (entry := self._vocabulary.find(curie)) is None:
            return ()
        section, _ = entry
        return tuple(self._named(type, curies) for curies in section.ancestors(curie))

    def _named(self, type: str, curie: str) -> Concept:
        entry = self._vocabulary.find(curie)
        return Concept(type, curie, curie if entry is None else entry[0].label(entry[1]))


def read_list(path: str) -> Iterator[str]:
    """The names or identifiers of a list, one a line; what follows a tab, empty lines and lines with # are passed over.

    Raises InputError where the file cannot be read.
    """
    from textome.formats import Source

    with Source.of(path).open_text() as stream:
        for raw in stream:
            line = raw.decode("utf-8-sig", errors="replace").split("\t")[0].strip()
            if line and not line.startswith("#"):
                yield line
