"""Variants of sequences by their notation: `rs1800562`, `c.35delG`, `677C>T`, `IVS3+18C>T`, `p.Val600Glu`, `V600E`.

Rules after HGVS (den Dunnen et al., Human Mutation 2016) and what authors write instead. What is found is normalised to
HGVS, and to the components of tmVar (Wei et al., Bioinformatics 2013): `p|SUB|V|600|E`. One letter, a number and one letter
are also names of cells and genes ("T47D", "S100P"): such a substitution counts only where the text speaks of mutations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from textome.documents import Span
from textome.patterns import lazy_pattern

_THREE = {
    **{
        "Ala": "A",
        "Arg": "R",
        "Asn": "N",
        "Asp": "D",
        "Cys": "C",
        "Gln": "Q",
        "Glu": "E",
        "Gly": "G",
        "His": "H",
        "Ile": "I",
    },
    **{
        "Leu": "L",
        "Lys": "K",
        "Met": "M",
        "Phe": "F",
        "Pro": "P",
        "Ser": "S",
        "Thr": "T",
        "Trp": "W",
        "Tyr": "Y",
        "Val": "V",
    },
    **{"Ter": "X", "Stop": "X", "stop": "X", "ter": "X", "*": "X", "X": "X"},
}
_ONE = {one: three for three, one in list(_THREE.items())[:20]} | {"X": "Ter"}
_AA3 = "|".join(list(_THREE)[:20])
_AA1 = "ACDEFGHIKLMNPQRSTVWY"
_ARROW = r"\s?(?:--?>|>|→|⟶|/|to)\s?"
_BASES = "[ACGT]"
_BEFORE, _AFTER = r"(?<![\w.>-])", r"(?![\w>])"
_POSITION = r"[-+*−–]?\d+(?:\s?[+−–-]\s?\d+)?"
# Names of cells, genes and the like that are written as a substitution.
_NAMES = frozenset(
    ["T47D", "S100P", "S100A", "S100G", "R2D", "H295R", "C57L", "N2A", "C2C", "K12P", "E14T", "P388D", "A20V"]
)
_MIN_BASE = 100
_WORDS_OF_MUTATION = (
    *(
        "mutat",
        "mutant",
        "variant",
        "substitut",
        "polymorphi",
        "allel",
        "snp",
        "genotyp",
        "missense",
        "nonsense",
        "residue",
    ),
    *("codon", "frameshift", "splic", "wild-type", "wild type", "zygo"),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant in a text.

    span        where it stands, in code points
    hgvs        its notation after HGVS, such as `p.Val600Glu`; or its number in dbSNP, such as `rs1800562`
    components  those of tmVar, such as `p|SUB|V|600|E`; the number itself for one of dbSNP
    """

    span: Span
    hgvs: str
    components: str

    @property
    def curie(self) -> str:
        """`dbsnp:rs1800562` or `hgvs:p.Val600Glu`."""
        return f"{'dbsnp' if self.hgvs.startswith('rs') else 'hgvs'}:{self.hgvs}"


def find_variants(text: str, document: str | None = None) -> list[Variant]:
    """The variants of a text, in order, none over another. Time is linear in the length of the text.

    document   the text of the whole document, in which words of mutations are looked for; None is `text`
    """
    variants: list[Variant] = []
    for needed, pattern, read in _RULES:
        if needed.search(text):
            variants += (variant for match in re.finditer(pattern, text) if (variant := read(match)) is not None)
            if pattern is _ONE_LETTER and variants and not _speaks_of_mutations(document or text):
                one_letter = re.compile(_ONE_LETTER)
                variants = [variant for variant in variants if not one_letter.fullmatch(text, *variant.span)]
    # Of two that begin at one place the longer one counts.
    variants.sort(key=lambda variant: (variant.span.start, -variant.span.end))
    return list(_without_overlaps(variants))


def _speaks_of_mutations(text: str) -> bool:
    lowered = text.lower()
    return any(word in lowered for word in _WORDS_OF_MUTATION)


def _without_overlaps(variants: list[Variant]) -> Iterator[Variant]:
    end = 0
    for variant in variants:
        if variant.span.start >= end:
            yield variant
            end = variant.span.end


def _dbsnp(match: re.Match[str]) -> Variant:
    number = f"rs{match['number']}"
    return Variant(Span(*match.span()), number, number)


def _substitution(match: re.Match[str]) -> Variant | None:
    """A protein's substitution, in letters or in words of three letters."""
    old, position, new = match["old"], match["position"], match["new"]
    if match[0] in _NAMES:
        return None
    old, new = _THREE.get(old, old), "=" if new == "=" else _THREE.get(new, new)
    # "C677T" are bases, "A53T" and "G93A" amino acids: which, only the gene would say.
    if match.re.pattern == _ONE_LETTER and {old, new} <= set("ACGT") and int(position) >= _MIN_BASE:
        return Variant(Span(*match.span()), f"c.{position}{old}>{new}", f"c|SUB|{old}|{position}|{new}")
    hgvs = f"p.{_ONE[old]}{position}{'=' if new in ('=', old) else _ONE[new]}"
    return Variant(Span(*match.span()), hgvs, f"p|SUB|{old}|{position}|{old if new == '=' else new}")


def _frame_shift(match: re.Match[str]) -> Variant:
    old, position = _THREE.get(match["old"], match["old"]), match["position"]
    new = _THREE.get(match["new"] or "", match["new"] or "")
    stop = match["stop"] or ""
    hgvs = f"p.{_ONE[old]}{position}{_ONE.get(new, '')}fs{'Ter' + stop if stop else ''}"
    return Variant(Span(*match.span()), hgvs, f"p|FS|{old}|{position}|{new}|{stop}")


def _deleted_residue(match: re.Match[str]) -> Variant:
    old = match["old"] or match["old2"]
    old, position = _THREE.get(old, old), match["position"] or match["position2"]
    return Variant(Span(*match.span()), f"p.{_ONE[old]}{position}del", f"p|DEL|{position}|{old}")


def _base_change(match: re.Match[str]) -> Variant | None:
    groups = match.groupdict()
    kind = (groups.get("kind") or "c").lower()
    position = re.sub(r"\s", "", groups["position"]).replace("−", "-").replace("–", "-")
    if intron := groups.get("intron"):
        position = f"IVS{intron}{position}"
    old, new = match["old"].upper(), match["new"].upper()
    if old == new:
        return None  # a genotype
    return Variant(Span(*match.span()), f"{kind}.{position}{old}>{new}", f"{kind}|SUB|{old}|{position}|{new}")


def _indel(match: re.Match[str]) -> Variant:
    kind = (match["kind"] or "c").lower()
    position = re.sub(r"\s", "", match["position"]).replace("−", "-").replace("–", "-").replace("/", "_")
    first, _, last = position.partition("-")
    if first.isdigit() and last.isdigit() and int(last) > int(first):
        position = f"{first}_{last}"  # a range, and no place in an intron
    change, bases = match["change"].lower(), (match["bases"] or "").upper()
    name = "INDEL" if change in ("delins", "indel") else change.upper()
    components = f"{kind}|{name}|{position}|{bases}" + ("|" if name == "DUP" else "")
    return Variant(Span(*match.span()), f"{kind}.{position}{change}{bases}", components)


_ONE_LETTER = rf"(?<![\w.>])(?P<old>[{_AA1}])(?P<position>[1-9]\d{{1,4}})(?P<new>[{_AA1}X*]|stop|Stop|Ter){_AFTER}"
# What a rule cannot do without is looked for first, since that is quick; the rule itself is compiled when it is needed.
_ARROWED = lazy_pattern(rf"{_BASES}{_ARROW}{_BASES}(?!\w)")
_Reader = Callable[[re.Match[str]], Variant | None]
_RULES: list[tuple[re.Pattern[str], str, _Reader]] = [
    (lazy_pattern(r"rs\s?#?\d"), r"(?<![\w-])rs\s?#?(?P<number>[1-9]\d{1,10})(?!\w)", _dbsnp),
    (
        lazy_pattern(r"p\."),
        rf"{_BEFORE}p\.\s?(?P<open>[(\[])?(?P<old>{_AA3}|[{_AA1}])\s?(?P<position>[1-9]\d*)\s?(?P<new>{_AA3}|[{_AA1}X*=]|Ter|Stop|stop)"
        rf"(?!\w)(?!fs)(?(open)[)\]]?)",
        _substitution,
    ),
    (
        lazy_pattern(rf"(?:{_AA3})[\s-]?\d"),
        rf"{_BEFORE}(?P<old>{_AA3})[\s-]?(?P<position>[1-9]\d*)(?:{_ARROW}|-|\s)?(?P<new>{_AA3}|Ter|Stop|stop|X(?!\w)|\*)"
        rf"(?![a-z\d])(?!fs)",
        _substitution,
    ),
    (
        lazy_pattern("fs"),
        rf"{_BEFORE}(?:p\.\s?(?P<open>\()?)?(?P<old>{_AA3}|[{_AA1}])(?P<position>[1-9]\d*)(?P<new>{_AA3}|[{_AA1}])?\s?fs"
        rf"(?:(?:X|\*|Ter|ter|Stop)(?P<stop>\d+)?)?(?(open)\)?)(?!\w)",
        _frame_shift,
    ),
    (
        lazy_pattern(r"\ddel|Δ|[dD]elta|del[A-Z]"),
        rf"{_BEFORE}(?:p\.)?(?:(?P<old>{_AA3}|[{_AA1}])(?P<position>[1-9]\d*)del|(?:Δ|delta|Delta|del)"
        rf"(?P<old2>{_AA3}|[{_AA1}])(?P<position2>[1-9]\d+))(?!\w)",
        _deleted_residue,
    ),
    (lazy_pattern(_ONE_LETTER), _ONE_LETTER, _substitution),
    (
        _ARROWED,
        rf"(?<![\w>])(?:(?P<kind>[cgmnr])\.\s?[(\[]?)?(?P<position>{_POSITION})\s?(?P<old>{_BASES}){_ARROW}(?P<new>{_BASES})"
        rf"{_AFTER}",
        _base_change,
    ),
    (
        lazy_pattern(rf"{_BASES}[-−–]\d"),
        rf"{_BEFORE}(?P<old>{_BASES})(?P<position>[-−–]\d+)\s?(?P<new>{_BASES}){_AFTER}",
        _base_change,
    ),
    (
        _ARROWED,
        rf"(?<!\w)(?P<position>[-−–]\d+)\s?\((?P<old>{_BASES})[/>](?P<new>{_BASES})\)",
        _base_change,
    ),
    (
        lazy_pattern("IVS"),
        rf"{_BEFORE}(?:c\.)?IVS[\s-]?(?P<intron>\d+)\s?(?P<position>[+−–-]\s?\d+)\s?(?P<old>{_BASES}){_ARROW}(?P<new>{_BASES})"
        rf"{_AFTER}",
        _base_change,
    ),
    (
        lazy_pattern(r"\d\s?(?:del|ins|dup|inv)"),
        rf"(?<![\w>])(?:(?P<kind>[cgmnr])\.\s?\(?)?(?P<position>{_POSITION}(?:\s?[_/]\s?{_POSITION})?)\s?"
        rf"(?P<change>delins|del|ins|dup|inv)\s?(?P<bases>[ACGT]+|\d+)?{_AFTER}",
        _indel,
    ),
]
