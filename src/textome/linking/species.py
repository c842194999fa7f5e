"""The species of a gene: which organism a text speaks of where it names the gene.

A log-linear model scores each species for a name in a document: by the organisms that the text names before, after and far
from it, by its capitals (`Brca1` is how mouse genes are written) and by how often texts speak of the species at all. Its
weights were learnt by recipes/vocabulary/gene_species.py.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from textome.documents import Document

HUMAN, MOUSE, RAT = 9606, 10090, 10116
# Words for the organisms whose genes texts speak of.
_WORDS: dict[int, str] = {
    HUMAN: "humans?|patients?|m[ae]n|wom[ae]n|child(?:ren)?|boys?|girls?|persons?|people|infants?|Homo sapiens|individuals|"
    "famil(?:y|ies)|subjects|probands?|HeLa|(?:HEK)? ?293T?|MCF-?7|HepG2|Caucasians?|volunteers|cohorts?|Jurkat|THP-?1",
    MOUSE: "mouse|mice|murine|Mus musculus|C57BL/6J?|NIH[ -]?3T3|BALB/c|transgenic|knock-?out|knock-?in|wild-?type|"
    "[^\\W\\d]\\w*-/-|null|RAW ?264\\.7|3T3-L1|MEFs?",
    RAT: "rats?|Rattus norvegicus|Sprague[ -]Dawley|Wistar|PC12|H9c2",
    7227: "Drosophila(?: melanogaster)?|fl(?:y|ies)|D\\. melanogaster",
    6239: "Caenorhabditis elegans|C\\. elegans|nematodes?|worms?",
    7955: "zebrafish|Danio rerio",
    4932: "Saccharomyces cerevisiae|S\\. cerevisiae|yeasts?|budding yeast",
    4896: "Schizosaccharomyces pombe|S\\. pombe|fission yeast",
    3702: "Arabidopsis(?: thaliana)?|A\\. thaliana",
    9031: "chickens?|chicks?|avian|Gallus gallus",
    9913: "bovine|cows?|cattle|calf|calves|Bos taurus",
    9823: "pigs?|porcine|swine|Sus scrofa",
    9986: "rabbits?",
    9615: "dogs?|canines?",
    8355: "Xenopus(?: laevis)?",
    562: "Escherichia coli|E\\. coli",
    10029: "Chinese hamsters?|CHO",
    9544: "rhesus|macaques?",
}
_PATTERN = re.compile(
    rf"(?<![\w-])(?:{'|'.join(f'(?P<t{taxon}>{words})' for taxon, words in _WORDS.items())})(?![\w])", re.IGNORECASE
)
# Letters before a symbol that name a species: hLysoPLA, mGluR1.
_PREFIXES = {"h": HUMAN, "m": MOUSE, "r": RAT, "d": 7227, "z": 7955, "x": 8355, "y": 4932}
_PREFIX = re.compile(r"(?:r(?=h))?([hmrdzxy])-?(?=[A-Z0-9][A-Za-z0-9])")
_SENTENCE_END = re.compile(r"[.!?]\s+(?=[A-Z])")

FEATURES = (
    "right before", "before in the sentence", "after in the sentence", "last one before", "share", "count", "in the title",
    "most frequent", "in capitals, human", "in capitals, rodent", "one capital, rodent", "one capital, human", "human",
    "mouse", "rat", "no organism, human", "prefix", "fly, small letters",
)  # fmt: skip
WEIGHTS: tuple[float, ...] = (
    1.18, 1.38, 0.61, 0.98, 0.62, 1.59, 1.02, -0.36, 1.28, 0.65, 0.11, -0.73, 2.31, 1.4, 0.93, 0.55, 1.63, 1.56,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SpeciesMention:
    start: int
    end: int
    taxon: int


class GeneSpecies:
    """The organisms of a document, and how much speaks for each where a gene is named."""

    def __init__(self, document: Document) -> None:
        text = document.text
        self._text = text
        self._mentions = _species_mentions(document)
        self._starts = [mention.start for mention in self._mentions]
        self._sentence_ends = [match.end() for match in _SENTENCE_END.finditer(text)]
        title_end = document.passages[0].end if document.passages else 0
        self._counts = Counter(mention.taxon for mention in self._mentions)
        self._in_title = {mention.taxon for mention in self._mentions if mention.end <= title_end}
        self._most = max(self._counts.values(), default=0)

    @property
    def taxa(self) -> set[int]:
        """The species that the text names."""
        return set(self._counts)

    def probabilities(
        self, name: str, spans: Sequence[tuple[int, int]], taxa: Sequence[int], default: int = HUMAN
    ) -> dict[int, float]:
        """How probable each species is for a gene with this name at these spans.

        The probabilities are over `taxa` and the species of the text together, so that they sum to at most 1.
        """
        positions = self._positions(spans)
        everything = {*taxa, *self._counts, default}
        scores = {
            taxon: sum(map(float.__mul__, WEIGHTS, self._features(name, positions, taxon, default)))
            for taxon in everything
        }
        highest = max(scores.values())
        total = sum(math.exp(score - highest) for score in scores.values())
        return {taxon: math.exp(scores[taxon] - highest) / total for taxon in taxa}

    def features(self, name: str, spans: Sequence[tuple[int, int]], taxon: int, default: int = HUMAN) -> list[float]:
        """The values of `FEATURES` for one species."""
        return self._features(name, self._positions(spans), taxon, default)

    def _features(self, name: str, positions: list[_Position], taxon: int, default: int) -> list[float]:
        share = self._counts[taxon] / max(len(self._mentions), 1)
        letters = [character for character in name if character.isalpha()]
        is_symbol = len(letters) > 1 and " " not in name and len(name) < 12
        in_capitals = is_symbol and all(character.isupper() for character in letters)
        one_capital = is_symbol and name[0].isupper() and all(character.islower() for character in letters[1:])
        prefix = _PREFIX.match(name)
        count = len(positions) or 1
        is_rodent = taxon in (MOUSE, RAT)
        return [
            sum(position.right_before == taxon for position in positions) / count,
            sum(position.before == taxon for position in positions) / count,
            sum(position.after == taxon for position in positions) / count,
            sum(position.last == taxon for position in positions) / count,
            share,
            math.log1p(self._counts[taxon]),
            float(taxon in self._in_title),
            float(self._counts[taxon] == self._most > 0),
            float(in_capitals and taxon == HUMAN),
            float(in_capitals and is_rodent),
            float(one_capital and is_rodent),
            float(one_capital and taxon == HUMAN),
            float(taxon == HUMAN),
            float(taxon == MOUSE),
            float(taxon == RAT),
            float(not self._mentions and taxon == default),
            float(prefix is not None and _PREFIXES[prefix[1]] == taxon),
            float(taxon == 7227 and name[:1].islower()),
        ]

    def _positions(self, spans: Sequence[tuple[int, int]]) -> list[_Position]:
        return [self._position(start, end) for start, end in spans]

    def _position(self, start: int, end: int) -> _Position:
        """The organisms nearest to a gene at this span."""
        index = bisect_left(self._starts, start)
        sentence = bisect_left(self._sentence_ends, start + 1)
        low = self._sentence_ends[sentence - 1] if sentence else 0
        high = self._sentence_ends[sentence] if sentence < len(self._sentence_ends) else len(self._text)
        previous = self._mentions[index - 1] if index else None
        following = next((item for item in self._mentions[index:] if item.start >= end), None)
        adjacent = previous is not None and previous.end <= start and not self._text[previous.end : start].strip(" -")
        return _Position(
            previous.taxon if previous and adjacent else 0,
            previous.taxon if previous and previous.start >= low else 0,
            following.taxon if following and following.end <= high else 0,
            previous.taxon if previous else 0,
        )


@dataclass(frozen=True, slots=True)
class _Position:
    """The organisms next to a mention: directly before, before and after in its sentence, the last before; 0: none."""

    right_before: int
    before: int
    after: int
    last: int


def _species_mentions(document: Document) -> list[SpeciesMention]:
    """Where the text names an organism: entities with an NCBI Taxonomy identifier, and everyday words."""
    found = {}
    for match in _PATTERN.finditer(document.text):
        taxon = int(str(match.lastgroup)[1:])
        found[match.start()] = SpeciesMention(match.start(), match.end(), taxon)
    for entity in document.entities:
        for curie in entity.curies:
            if curie.startswith("ncbitaxon:") and curie[10:].isdigit():
                found[entity.start] = SpeciesMention(entity.start, entity.end, int(curie[10:]))
    return [found[start] for start in sorted(found)]
