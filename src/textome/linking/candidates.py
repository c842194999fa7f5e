"""The concepts that a mention may name, by the ways in which a name can be found, the surest first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import chain
from typing import NamedTuple

from textome.linking.binomials import species_of_strain
from textome.linking.composites import parts_of
from textome.linking.disease_names import is_general, other_heads
from textome.linking.gene_names import series_of, spellings
from textome.linking.reranking import Context, features, probabilities
from textome.patterns import lazy_pattern
from textome.vocabularies import Hit, NameKind, Section
from textome.vocabularies.keys import SYMBOL_TYPES, key_of, words_of


class Way(StrEnum):
    """How a concept was found."""

    CURATED = "curated"
    CONFIRMED = "confirmed"
    LEARNT = "learnt"
    LABEL = "label"
    SYNONYM = "synonym"
    RELATED = "related"
    REORDERED = "reordered"
    SHORTENED = "shortened"
    COMPOSITE = "composite"
    NEAR = "near"
    CONTEXT = "context"


class Candidate(NamedTuple):
    """A concept of a section.

    rank    of its section's vocabulary in the order of preference
    score   how sure it is, in [0, 1]
    """

    section: Section
    number: int
    way: Way
    score: float
    rank: int = 0

    @property
    def curie(self) -> str:
        return self.section.curie(self.number)

    @property
    def taxon(self) -> int:
        return self.section.taxon(self.number)


# How often the first answer of each way was right, on development documents (docs/results/linking.md).
_SCORES: dict[Way, float] = {
    Way.CURATED: 0.95,
    Way.CONFIRMED: 0.97,
    Way.LEARNT: 0.95,
    Way.LABEL: 0.93,
    Way.SYNONYM: 0.9,
    Way.RELATED: 0.75,
    Way.REORDERED: 0.85,
    Way.SHORTENED: 0.6,
    Way.COMPOSITE: 0.8,
}
_NO_CONTEXT = Context()
_NUM_NEAR, _NUM_RERANKED = 5, 12
_SAME = 0.99
_SUPPLEMENTARY = "mesh:C"
_MAIN_DISEASES = ("mesh:", "omim:")
_WAY_OF_KIND = {kind: Way[kind.name] for kind in NameKind}
# A name of few signs, as `CHF`: other corpora's use of it says less than the dictionary.
_SHORT = lazy_pattern(r"[A-Za-z0-9αβγ-]{1,6}")
# The symbol of an element with its charge: Co2+ is Co, and not CO2.
_ION = lazy_pattern(r"([A-Z][a-z]?)\s?(?:\d?\+|\(?[IV]+\)|\(\d?\+\))")
# Keys have no charges and radicals: without this, superoxide is oxygen.
_SUPEROXIDE = lazy_pattern(r"[·•.*˙∙]?\(?O2\)?[·•.*˙∙]?[-−–⁻]")
_WORD = lazy_pattern(r"[a-z]{4}")
_IN_BRACKETS = lazy_pattern(r"\s*[(\[][^()\[\]]*[)\]]")
_PLURAL = lazy_pattern(r"[A-Z0-9]s$")
_SPECIES_LETTER = lazy_pattern(r"(?:[rR]?h|r?m|r|[dzxy])-?(\w.{2,})")
# A Greek letter that the text writes as a Latin one: b-thalassemia.
_GREEK_LETTER = lazy_pattern(r"([abg])-(?=[a-z0-9-]{4})")
_GREEK = {"a": "alpha-", "b": "beta-", "g": "gamma-"}
_JOINED = lazy_pattern(r"\b(?:and|or)\b")
_PREPOSITION = lazy_pattern(r"\b(?:of|in|with|to|from|by|and|or)\b")
_STRAIN = lazy_pattern(r"\b(?:strain|isolate|type)\s+(?=\S*[A-Z\d])")
# Words around a name that say nothing of which concept it is.
_FRINGE = lazy_pattern(
    r"^(?:the|a|an|human|mouse|murine|rat|recombinant|anti|nude|patients? with|hereditary|familial|inherited|"
    r"sporadic|severe|acute|chronic|primary|secondary|recurrent|drug-induced|\w+-induced|\w+-associated|\w+-related|type)\s+"
    r"|\s+(?:patients?|families|family|gene|genes|protein|proteins|mRNA|locus|phenotypes?|trait|in humans?|type|"
    r"symptoms?|manifestations?|episodes?|attacks?)$",
    re.IGNORECASE,
)


def exact(sections: Sequence[Section], name: str) -> list[Candidate]:
    """The concepts that have this name, in the order of preference: of vocabularies, then of kinds of names."""
    matches = []
    written = _SUPEROXIDE.sub("superoxide", name) if "O2" in name else name
    for rank, section in enumerate(sections):
        hits = section.look_up(written)
        if len(hits) > 1:
            if ion := _ION.fullmatch(name):
                elements = {hit.number for hit in section.look_up(ion[1])}
                hits = [hit for hit in hits if hit.number in elements] or hits
            hits = sorted(hits, key=_kind_of_short) if _SHORT.fullmatch(name) else hits
            hits = _in_number(section, hits, name)
            if section.type == "Chemical":
                hits = _by_terminology(section, hits)
        matches += [_candidate(section, hit, rank, len(hits)) for hit in hits]
    return matches


def reordered(sections: Sequence[Section], name: str) -> list[Candidate]:
    """The concepts that have a name of these words in another order."""
    return [
        _candidate(section, hit, rank, len(hits))
        for rank, section in enumerate(sections)
        for hits in [section.look_up_reordered(name)]
        for hit in hits
    ]


def shortened(name: str, type: str) -> Iterator[str]:
    """The name without what stands in brackets, and without words around it that do not change what it names.

    Before that with a Greek letter for a Latin one. A symbol also without the s of a plural, as in `BMPs`, and the letter
    of a species, as in `hTau`.
    """
    if letter := _GREEK_LETTER.match(name):
        yield _GREEK[letter[1]] + name[letter.end() :]
    without = _IN_BRACKETS.sub("", name).strip()
    if without and without != name:
        yield without
    current = without or name
    while (shorter := _FRINGE.sub("", current).strip()) and shorter != current:
        yield shorter
        current = shorter
    if current.endswith("viruses"):
        yield current[:-2]
    if (bare := _STRAIN.sub("", current)) != current:
        yield bare
    if type == "Species" and (binomial := species_of_strain(current)):
        yield binomial
    if type in SYMBOL_TYPES:
        if _PLURAL.search(current):
            yield current[:-1]
        if match := _SPECIES_LETTER.fullmatch(current):
            yield match[1]


def candidates(sections: Sequence[Section], name: str) -> list[list[Candidate]]:
    """What a name stands for: for each concept that it names, the candidates. One list, or several for a composite name.

    Nothing where the vocabularies do not hold the name in any of these ways; near names are not among them.
    """
    if matches := exact(sections, name):
        return [matches]
    section, is_words = sections[0], sections[0].profile == "words"
    if is_words and _JOINED.search(name) and (groups := _composite(sections, parts_of(name))):
        return groups
    if matches := reordered(sections, name):
        return [matches]
    if is_words and (groups := _composite(sections, parts_of(name))):
        return groups
    shorter_names = shortened(name, section.type)
    for shorter in chain(shorter_names, other_heads(name)) if section.type == "Disease" else shorter_names:
        if matches := exact(sections, shorter) or reordered(sections, shorter):
            return [[_as(Way.SHORTENED, item) for item in matches]]
    if section.type == "Gene":
        for form in spellings(name):
            if matches := exact(sections, form):
                return [[_as(Way.SHORTENED, item) for item in matches]]
    return [] if is_words else _composite(sections, filter(None, [series_of(name)]))


def _composite(sections: Sequence[Section], divisions: Iterable[Sequence[str]]) -> list[list[Candidate]]:
    """The candidates of each part, for the first division of a name of which all parts are known; none if there is none."""
    for parts in divisions:
        each = [_of_part(sections, part) for part in parts]
        if all(each):
            if len(each) == 2 and (together := _combination(sections, each)):
                return [together]
            return [[_as(Way.COMPOSITE, item) for item in matches] for matches in each]
    return []


def _combination(sections: Sequence[Section], each: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """The combination of two drugs, which MeSH names "carbidopa, levodopa drug combination"; none if there is none."""
    if sections[0].type != "Chemical":
        return []
    labels = [items[0].section.label(items[0].number) for items in each]
    forms = (f"{first} {second} drug combination" for first, second in (labels, labels[::-1]))
    return next((matches for form in forms if (matches := exact(sections, form))), [])


def _of_part(sections: Sequence[Section], part: str) -> list[Candidate]:
    forms = chain([part], other_heads(part) if sections[0].type == "Disease" else ())
    return next((matches for form in forms if (matches := exact(sections, form) or reordered(sections, form))), [])


def two_conditions(sections: Sequence[Section], name: str) -> list[list[Candidate]]:
    """The candidates of both conditions of a name like "eosinophilic myocarditis", which no vocabulary has as one.

    Nothing where one of them is a general word, as in "malaria infection", a broader concept of the other, or known only to
    ontologies besides MeSH and OMIM.
    """
    words = name.split()
    if _PREPOSITION.search(name):
        return []
    for count in range(1, len(words)):
        parts = " ".join(words[:count]), " ".join(words[count:])
        if any(is_general(part) for part in parts):
            continue
        each = [_of_part(sections, part) for part in parts]
        if all(items and _is_main_disease(items[0]) for items in each) and not _is_same_branch(each):
            return [[_as(Way.COMPOSITE, item) for item in matches] for matches in each]
    return []


def _is_main_disease(item: Candidate) -> bool:
    return item.way is not Way.RELATED and item.curie.startswith(_MAIN_DISEASES)


def _is_same_branch(each: Sequence[Sequence[Candidate]]) -> bool:
    (first, *_), (second, *_) = each
    one, other = first.curie, second.curie
    return one == other or one in second.section.ancestors(other) or other in first.section.ancestors(one)


def near(
    sections: Sequence[Section],
    name: str,
    related: Sequence[Candidate] = (),
    context: Context = _NO_CONTEXT,
) -> list[list[Candidate]]:
    """The concepts with names that resemble this one, the likeliest first, as one list; nothing if there are none.

    related   candidates that have the name as a related one: of diseases they compete with the near names
    context   what the document says
    """
    matches = similar(sections, name, related)
    if matches and matches[0].section.type == "Disease":
        scores = probabilities(near_features(name, matches, context))
    else:
        is_code = _WORD.search(name) is None
        scores = [_near_score(item.score, is_code) for item in matches]
    matches = [item._replace(score=score) for item, score in zip(matches, scores, strict=True)]
    return [sorted(matches, key=lambda item: (-item.score, item.rank))] if matches else []


def similar(sections: Sequence[Section], name: str, related: Sequence[Candidate] = ()) -> list[Candidate]:
    """The concepts with names that resemble this one, with the similarity as score; of diseases also the related ones."""
    is_disease = bool(sections) and sections[0].type == "Disease"
    matches = (
        Candidate(section, item.number, Way.NEAR, item.similarity, rank)
        for rank, section in enumerate(sections)
        for item in section.nearest(name, _NUM_RERANKED if is_disease else _NUM_NEAR)
    )
    return distinct([*(item._replace(score=1.0) for item in related if is_disease), *matches])


def near_features(name: str, matches: Sequence[Candidate], context: Context) -> list[list[float]]:
    """The values of `reranking.FEATURES` for candidates whose scores are similarities."""
    return features(
        name,
        [item.section.label(item.number) for item in matches],
        [item.score for item in matches],
        [item.curie for item in matches],
        [item.section.uses(item.number) for item in matches],
        [item.section.parents(item.number) for item in matches],
        context,
    )


def _candidate(section: Section, hit: Hit, rank: int, number: int) -> Candidate:
    way = _WAY_OF_KIND[hit.kind]
    return Candidate(section, hit.number, way, _SCORES[way], rank)


def _near_score(similarity: float, is_code: bool) -> float:
    """How often a name of this similarity is right: of diseases 22 % near 0.65, 38 % near 0.75, 68 % from 0.8 on.

    Codes and symbols without a word, as PGI2 and 7-NI, name something else where a sign differs.
    """
    if is_code and similarity < _SAME:
        return 0.3 * similarity
    return min(0.7, max(0.3 * similarity, 0.38 + 3 * (similarity - 0.75))) + 0.01 * similarity


def _as(way: Way, item: Candidate) -> Candidate:
    return item._replace(way=way, score=min(item.score, _SCORES[way]))


def _in_number(section: Section, hits: list[Hit], name: str) -> list[Hit]:
    """The hits with those last whose label is the plural of the name, or its singular, where another's is the name itself:
    MeSH has Phenol, and Phenols for the class. Of a supplementary record and a heading none is preferred by this."""
    if section.profile != "words":
        return hits
    key, written = key_of(name), words_of(name, "symbols")
    labels = {hit.number: section.label(hit.number) for hit in hits}
    same = {number for number, label in labels.items() if words_of(label, "symbols") == written}
    twins = {number for number, label in labels.items() if number not in same and key_of(label) == key}
    if all(section.curie(number).startswith(_SUPPLEMENTARY) for number in same):
        return hits
    return sorted(hits, key=lambda hit: hit.number in twins)


def _by_terminology(section: Section, hits: list[Hit]) -> list[Hit]:
    """The hits with those of ChEBI and UNII last, and of synonyms those of MeSH's headings before supplementary records'.

    Of equal labels, as Purines and purine, `_in_number` decides.
    """
    curies = {hit.number: section.curie(hit.number) for hit in hits}
    ranks = {hit.kind: rank for rank, hit in reversed(list(enumerate(hits)))}

    def order(hit: Hit) -> tuple[bool, int, bool]:
        curie = curies[hit.number]
        is_last = hit.kind is not NameKind.CURATED and curie.startswith(("chebi:", "unii:"))
        return is_last, ranks[hit.kind], hit.kind is not NameKind.LABEL and curie.startswith(_SUPPLEMENTARY)

    return sorted(hits, key=order)


def _kind_of_short(hit: Hit) -> float:
    """The order of kinds for a short name: the dictionary before what was learnt."""
    return NameKind.SYNONYM + 0.5 if hit.kind is NameKind.LEARNT else hit.kind


def distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates, each CURIE once: the first one."""
    first: dict[str, Candidate] = {}
    for item in candidates:
        first.setdefault(item.curie, item)
    return list(first.values())
