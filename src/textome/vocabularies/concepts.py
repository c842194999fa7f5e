"""Concepts of a terminology: what every reader gives and every index is built from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class NameKind(IntEnum):
    """What a name is to its concept. Where concepts share a name, the lower kind is preferred.

    CURATED   of a short table that was written by hand, as the symbols of the elements
    CONFIRMED what the terminology and an annotated corpus call the concept
    LEARNT    what an annotated corpus calls the concept
    LABEL     the preferred name
    SYNONYM   another name
    RELATED   a name that is broader, narrower or only near
    REORDERED the words of another name in any order
    """

    CURATED = 0
    CONFIRMED = 1
    LEARNT = 2
    LABEL = 3
    SYNONYM = 4
    RELATED = 5
    REORDERED = 6


@dataclass(frozen=True, slots=True)
class Concept:
    """A concept: its Bioregistry CURIE, preferred name, other names, and where it stands among others.

    type          of the entities that name it, as "Disease"; empty if the terminology does not say
    synonyms      other names, exact ones
    related       names that are broader, narrower or only near
    curated       names of the kind CURATED
    learnt        names of the kind LEARNT
    parents       CURIEs of the broader concepts
    tree_numbers  positions in a tree, as MeSH's `C04.557.337`; the number without its last step is the parent's
    xrefs         CURIEs of the same concept in other terminologies
    taxon         the species of a gene, as a number of the NCBI Taxonomy; 0 if there is none
    uses          mentions in annotated corpora
    """

    curie: str
    label: str
    type: str = ""
    synonyms: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    curated: tuple[str, ...] = ()
    learnt: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    tree_numbers: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()
    taxon: int = 0
    uses: int = 0

    def names(self) -> Iterable[tuple[NameKind, str]]:
        """All names with their kinds, the preferred ones first."""
        yield from ((NameKind.CURATED, name) for name in self.curated)
        yield from ((NameKind.LEARNT, name) for name in self.learnt)
        if self.label:
            yield NameKind.LABEL, self.label
        yield from ((NameKind.SYNONYM, name) for name in self.synonyms)
        yield from ((NameKind.RELATED, name) for name in self.related)
