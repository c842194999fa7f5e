"""The species of a gene: which organism a text speaks of where it names the gene.

A log-linear model scores each species for a name in a document: by the organisms that the text names before, after and far
from it, by the capitals of this and of all names (`Brca1` is how mouse genes are written), by how often texts speak of the
species at all, and by all words of the text (`subjects` are human, `littermates` are mice), which a softmax over bags of
words weighs. All weights were learnt by recipes/vocabulary/gene_species.py.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from textome.documents import Document
from textome.patterns import lazy_pattern

HUMAN, MOUSE, RAT = 9606, 10090, 10116
# Words for the organisms whose genes texts speak of, in small letters.
_WORDS: dict[int, str] = {
    HUMAN: "humans?|patients?|m[ae]n|wom[ae]n|child(?:ren)?|boys?|girls?|persons?|people|infants?|homo sapiens|individuals|"
    "famil(?:y|ies)|subjects|probands?|hela|(?:hek)? ?293t?|mcf-?7|hepg2|caucasians?|volunteers|cohorts?|jurkat|thp-?1",
    MOUSE: "mouse|mice|murine|mus musculus|c57bl/6j?|nih[ -]?3t3|balb/c|transgenic|knock-?out|knock-?in|wild-?type|"
    "[^\\W\\d]\\w*-/-|null|raw ?264\\.7|3t3-l1|mefs?",
    RAT: "rats?|rattus norvegicus|sprague[ -]dawley|wistar|pc12|h9c2",
    7227: "drosophila(?: melanogaster)?|fl(?:y|ies)|d\\. melanogaster",
    6239: "caenorhabditis elegans|c\\. elegans|nematodes?|worms?",
    7955: "zebrafish|danio rerio",
    4932: "saccharomyces cerevisiae|s\\. cerevisiae|yeasts?|budding yeast",
    4896: "schizosaccharomyces pombe|s\\. pombe|fission yeast",
    3702: "arabidopsis(?: thaliana)?|a\\. thaliana",
    9031: "chickens?|chicks?|avian|gallus gallus",
    9913: "bovine|cows?|cattle|calf|calves|bos taurus",
    9823: "pigs?|porcine|swine|sus scrofa",
    9986: "rabbits?",
    9615: "dogs?|canines?",
    8355: "xenopus(?: laevis)?",
    562: "escherichia coli|e\\. coli",
    10029: "chinese hamsters?|cho",
    9544: "rhesus|macaques?",
}
_PATTERN = lazy_pattern(
    rf"(?<![\w-])(?:{'|'.join(f'(?P<t{taxon}>{words})' for taxon, words in _WORDS.items())})(?![\w])"
)
# Letters before a symbol that name a species: hLysoPLA, mGluR1.
_PREFIXES = {"h": HUMAN, "m": MOUSE, "r": RAT, "d": 7227, "z": 7955, "x": 8355, "y": 4932}
_PREFIX = lazy_pattern(r"(?:r(?=h))?([hmrdzxy])-?(?=[A-Z0-9][A-Za-z0-9])")
_SENTENCE_END = lazy_pattern(r"[.!?]\s+(?=[A-Z])")

FEATURES = (
    "right before", "before in the sentence", "after in the sentence", "last one before", "share", "count", "in the title",
    "most frequent", "in capitals, human", "in capitals, rodent", "one capital, rodent", "one capital, human", "human",
    "mouse", "rat", "no organism, human", "prefix", "fly, small letters", "names that are symbols of the species",
    "names in capitals, human", "names with one capital, rodent", "names with one capital, human", "words of the text",
)  # fmt: skip
WEIGHTS: tuple[float, ...] = (
    2.04, 1.33, 0.88, 0.97, 0.67, 0.67, 1.42, -0.42, 0.47, 0.13, -0.56, -0.66, -0.63, -0.84, -0.65, 0.52, 1.36, 0.92,
    2.26, -0.08, 0.68, -0.41, 0.59,
)  # fmt: skip
# The species that the words of a text are weighed for, in the order of the columns of the table; 0 is any other.
WORD_TAXA = (HUMAN, MOUSE, RAT, 7227, 0)
_WORDS_PATH = Path(__file__).parent.parent / "bundled" / "gene_species.tsv"
_WORD = lazy_pattern(r"[a-z][a-z0-9-]{2,}")
_WORD_SCALE = 5.0


@dataclass(frozen=True, slots=True)
class SpeciesMention:
    start: int
    end: int
    taxon: int


class GeneSpecies:
    """The organisms of a document, and how much speaks for each where a gene is named."""

    def __init__(self, document: Document, symbols: Mapping[str, Collection[int]] | None = None) -> None:
        """symbols   the names of genes in the document, each with the species that have a gene of exactly this symbol"""
        text = document.text
        names = symbols or {}
        self._text = text
        self._mentions = _species_mentions(document)
        self._starts = [mention.start for mention in self._mentions]
        self._sentence_ends = [match.end() for match in _SENTENCE_END.finditer(text)]
        title_end = document.passages[0].end if document.passages else 0
        self._counts = Counter(mention.taxon for mention in self._mentions)
        self._in_title = {mention.taxon for mention in self._mentions if mention.end <= title_end}
        self._most = max(self._counts.values(), default=0)
        self._by_words = by_words(text)
        forms = [_Form.of(name) for name in names]
        num_symbols = max(sum(form.is_symbol for form in forms), 1)
        self._in_capitals = sum(form.in_capitals for form in forms) / num_symbols
        self._one_capital = sum(form.one_capital for form in forms) / num_symbols
        counts = Counter(taxon for taxa in names.values() for taxon in set(taxa))
        self._of_symbols = {taxon: count / len(names) for taxon, count in counts.items()}

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
        form = _Form.of(name)
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
            float(form.in_capitals and taxon == HUMAN),
            float(form.in_capitals and is_rodent),
            float(form.one_capital and is_rodent),
            float(form.one_capital and taxon == HUMAN),
            float(taxon == HUMAN),
            float(taxon == MOUSE),
            float(taxon == RAT),
            float(not self._mentions and taxon == default),
            float(prefix is not None and _PREFIXES[prefix[1]] == taxon),
            float(taxon == 7227 and name[:1].islower()),
            self._of_symbols.get(taxon, 0.0),
            self._in_capitals * (taxon == HUMAN),
            self._one_capital * is_rodent,
            self._one_capital * (taxon == HUMAN),
            self._by_words.get(taxon, self._by_words[0] - 1),
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


@dataclass(frozen=True, slots=True)
class _Form:
    """How a name is written: as a symbol, and if so, in capitals or with a capital at its beginning alone."""

    is_symbol: bool
    in_capitals: bool
    one_capital: bool

    @classmethod
    def of(cls, name: str) -> _Form:
        letters = [character for character in name if character.isalpha()]
        is_symbol = len(letters) > 1 and " " not in name and len(name) < 12
        in_capitals = is_symbol and all(character.isupper() for character in letters)
        one_capital = is_symbol and name[0].isupper() and all(character.islower() for character in letters[1:])
        return cls(is_symbol, in_capitals, one_capital)


def word_values(words: Collection[str], weights: Mapping[str, Sequence[float]]) -> list[float]:
    """The sums of the weights of a text's words, each word once, for `WORD_TAXA`; long texts do not weigh more."""
    known = [weights[word] for word in words if word in weights]
    scale = _WORD_SCALE / math.sqrt(max(len(known), 1))
    return [bias + scale * sum(column) for bias, *column in zip(weights[""], *known, strict=True)]


def words_of_text(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def by_words(text: str) -> dict[int, float]:
    """The logarithm of the probability that the genes of a text are of each of `WORD_TAXA`, by its words."""
    words = words_of_text(text)
    known = words & _rows().keys()
    values = word_values(words, {word: _weights(word) for word in ("", *known)})
    highest = max(values)
    total = highest + math.log(sum(math.exp(value - highest) for value in values))
    return {taxon: value - total for taxon, value in zip(WORD_TAXA, values, strict=True)}


@cache
def _rows() -> dict[str, str]:
    """The table of weights: a row of a column for each of `WORD_TAXA` by its word; the empty word has the biases."""
    lines = _WORDS_PATH.read_text(encoding="utf-8").splitlines()
    return {word: row for word, _, row in (line.partition("\t") for line in lines)}


@cache
def _weights(word: str) -> tuple[float, ...]:
    """The weights of a word, which the table has in hundredths."""
    return tuple(int(value) / 100 for value in _rows()[word].split("\t"))


def _species_mentions(document: Document) -> list[SpeciesMention]:
    """Where the text names an organism: entities with an NCBI Taxonomy identifier, and everyday words."""
    mentions = {}
    lowered = document.text.replace("İ", "i").lower()  # of all letters İ alone becomes two
    for match in _PATTERN.finditer(lowered):
        taxon = int(str(match.lastgroup)[1:])
        mentions[match.start()] = SpeciesMention(match.start(), match.end(), taxon)
    for entity in document.entities:
        for curie in entity.curies:
            if curie.startswith("ncbitaxon:") and curie[10:].isdigit():
                mentions[entity.start] = SpeciesMention(entity.start, entity.end, int(curie[10:]))
    return [mentions[start] for start in sorted(mentions)]
