"""Names of organisms that only their document explains: strains, everyday names, and names with more words than a name has.

A text says what it means once: "brown trout (Salmo trutta)", "Cryptococcus neoformans strain JEC21". What no vocabulary
has then goes by the document, in these ways, the surest first:

    inside      a name within the words: "Indian rhesus macaques", "HIV-1 strain NL4-3"
    beside      the scientific name that stands next to it, as in a bracket
    head        the last word of a name that is known by now: "trout" after "brown trout"
    narrower    an everyday name of a wider group is the only species of it in the document: "elephants"
    strain      a code, as "JEC21", is of the species that the text names before it, else after it
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

from textome.documents import Span
from textome.linking.binomials import FAMILY, any_genus, is_scientific
from textome.linking.candidates import Candidate, Way, exact
from textome.patterns import lazy_pattern
from textome.vocabularies import Section
from textome.vocabularies.keys import key_of, words_of

_BESIDE = lazy_pattern(r"\s*[(\[,]?\s*(?:or|i\.e\.|=)?\s*")
_MAX_GAP = 6
_MAX_WORDS = 8
_MAX_STEPS = 3  # from a species up to the group whose everyday name stands for it
_CODE = lazy_pattern(r"(?=.*\d)(?=.*[A-Z])[\w./:()+ -]{2,30}|[A-Z][A-Z0-9]+-[\w-]+")
_LONG_WORD = lazy_pattern(r"[a-z]{5}")
_NAMED_STRAIN = lazy_pattern(r"([A-Z][a-z]+ [a-z-]+) (?:str\. |strain )?(?=\S*[A-Z0-9])[^.]+|H\d+N\d+ subtype")
_STATED = (Way.CURATED, Way.LEARNT, Way.CONFIRMED)
_SUFFIXED = lazy_pattern(r"([A-Z]{2,}(?:-\d+)?)[a-z]+[\w-]*")
_STRAIN = lazy_pattern(r"\b(?:strains?|isolates?|serotypes?|mutants?|cultivars?|cv\.?)\s*$", re.IGNORECASE)
_SPLIT = lazy_pattern(r"[\s()\[\]/]+|-(?=[a-z]{3})")


@dataclass(slots=True)
class Organism:
    """A name in a document, where it stands, and the taxon that it names by itself, if any."""

    text: str
    spans: list[Span]
    candidate: Candidate | None

    @property
    def is_species(self) -> bool:
        """Whether it is the scientific name of a species that is known."""
        return self.candidate is not None and is_scientific(self.text)


def resolve(organisms: Sequence[Organism], text: str, sections: Sequence[Section]) -> None:
    """Give the organisms that are not known, or only widely, the taxa that the document says."""
    _resolve_beside(organisms, text)
    _resolve_heads(organisms)
    known = {key_of(item.text): item.candidate for item in organisms if item.candidate}
    for item in organisms:
        if item.candidate is None:
            item.candidate = _inside(item.text, known, sections)
    for item in organisms:
        if item.candidate:
            item.candidate = _to_species(item.candidate)
    _resolve_wide(organisms)
    _resolve_strains(organisms, text)


def under_other_genera(name: str, sections: Sequence[Section]) -> Iterator[str]:
    """The names that an index has for a species whatever its genus: under any genus of all, and of the family of this one,
    as of `Magnaporthe oryzae` for what is now Pyricularia oryzae."""
    if form := any_genus(name):
        yield form
        for genus in exact(sections, name.partition(" ")[0])[:1]:
            for curie in genus.section.ancestors(genus.curie):
                number = genus.section.find(curie)
                if number is not None and FAMILY.fullmatch(genus.section.label(number)):
                    yield any_genus(name, curie) or form
                    return


def _inside(name: str, known: Mapping[str, Candidate], sections: Sequence[Section]) -> Candidate | None:
    """The longest name within the words of this one; of equally long ones the last, since the head stands there.

    A single word counts where the document has it as a name, as the NDV of "NDV isolates" and the SIV of "SIVmac".
    """
    words = [word for word in _SPLIT.split(name) if word][:_MAX_WORDS]
    if match := _SUFFIXED.fullmatch(name):
        words = [match[1], ""]
    for length in range(len(words) - 1, 0, -1):
        for start in range(len(words) - length, -1, -1):
            part = " ".join(words[start : start + length])
            if is_scientific(name) and not is_scientific(part):
                continue
            if organism := known.get(key_of(part)):
                return _in_context(organism)
            is_head = start + length == len(words)
            names = exact(sections, part) if length > 1 or is_head else []
            if names and (length > 1 or names[0].way is Way.CURATED):
                return _in_context(names[0])
    names = exact(sections, f"{name} virus")
    return _in_context(names[0]) if names else None


def _resolve_beside(organisms: Sequence[Organism], text: str) -> None:
    """An everyday name next to a scientific one is the same species; so is a scientific one that is not known."""
    mentions = [(span, item) for item in organisms for span in item.spans]
    for (before, first), (after, second) in pairwise(sorted(mentions, key=itemgetter(0))):
        gap = text[before.end : after.start]
        if not 0 < len(gap) <= _MAX_GAP or not _BESIDE.fullmatch(gap) or first.text == second.text:
            continue
        for known, other in ((first, second), (second, first)):
            if known.candidate is None or is_scientific(known.text) == is_scientific(other.text):
                continue
            if not known.is_species and "(" not in gap:
                continue
            is_wide = (
                other.candidate is not None
                and other.candidate.way not in _STATED
                and known.is_species
                and _is_above(other.candidate, known.candidate)
            )
            if other.candidate is None or is_wide:
                other.candidate = _in_context(known.candidate)


def _resolve_heads(organisms: Sequence[Organism]) -> None:
    heads: dict[str, Candidate] = {}
    for item in organisms:
        words = words_of(item.text)
        if item.candidate and len(words) > 1 and not is_scientific(item.text):
            heads.setdefault(words[-1], item.candidate)
    for item in organisms:
        words = words_of(item.text)
        if item.candidate is None and len(words) == 1 and words[0] in heads:
            item.candidate = _in_context(heads[words[0]])


def _resolve_wide(organisms: Sequence[Organism]) -> None:
    species = {item.candidate.curie: item.candidate for item in organisms if item.candidate and item.is_species}
    for item in organisms:
        if item.candidate and item.candidate.way not in _STATED and (item.text[0].islower() or item.text.isalpha()):
            below = [each for each in species.values() if _is_above(item.candidate, each)]
            if len(below) == 1:
                item.candidate = _in_context(below[0])


def _to_species(item: Candidate) -> Candidate:
    """The species of a strain, as `Vibrio vulnificus` for `Vibrio vulnificus CMCP6`, or of a subtype of influenza viruses;
    what is not a strain stays as it is."""
    match = _NAMED_STRAIN.fullmatch(item.section.label(item.number))
    if match is None:
        return item
    numbers = [item.section.find(parent) for parent in item.section.parents(item.number)]
    species = [number for number in numbers if number is not None and match[1] in (None, item.section.label(number))]
    return item._replace(number=species[0]) if species else item


def _resolve_strains(organisms: Sequence[Organism], text: str) -> None:
    named = [(span.start, item.candidate) for item in organisms for span in item.spans if item.is_species]
    species = [(start, candidate) for start, candidate in sorted(named, key=itemgetter(0)) if candidate]
    for item in organisms:
        if item.candidate is None and species and _is_strain(item, text):
            before = [candidate for start, candidate in species if start < item.spans[0].start]
            item.candidate = _in_context(before[-1] if before else species[0][1])


def _is_strain(item: Organism, text: str) -> bool:
    if _CODE.fullmatch(item.text) and not _LONG_WORD.search(item.text):
        return True
    return any(_STRAIN.search(text, max(0, start - 12), start) for start, _ in item.spans)


def _is_above(wide: Candidate, narrow: Candidate) -> bool:
    """Whether a taxon is one of the next ones above another."""
    return wide.curie in _above(narrow)


def _above(candidate: Candidate) -> Iterator[str]:
    level = [candidate.curie]
    for _ in range(_MAX_STEPS):
        numbers = [candidate.section.find(curie) for curie in level]
        level = [parent for number in numbers if number is not None for parent in candidate.section.parents(number)]
        yield from level


def _in_context(item: Candidate) -> Candidate:
    return item._replace(way=Way.CONTEXT, score=min(item.score, _SCORE))


_SCORE = 0.7
