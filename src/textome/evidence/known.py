"""Lists of known pairs, as the indications of DrugCentral: tables of drugs and diseases by name or CURIE."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textome.errors import InputError
from textome.evidence.concepts import Concepts
from textome.evidence.pairs import Pair
from textome.formats.reading.rows import read_rows
from textome.formats.reading.sources import Quarantine, Source

# The columns of a table's header that name the head (a drug) and the tail (a disease), the first that is there.
_COLUMNS = {
    "Chemical": ("drug_curie", "chemical_curie", "drug", "chemical", "drug_name", "drugbank_name", "compound", "head"),
    "Disease": ("disease_curie", "disease", "doid_name", "disease_name", "indication", "condition", "tail"),
}


@dataclass(frozen=True)
class Known:
    """Known pairs, each name as all the keys that it may have.

    pairs    of keys of a drug and a disease
    drugs, diseases   the keys of all that the list names
    unnamed  names that the vocabulary does not hold; they are found by their text only
    """

    pairs: frozenset[tuple[str, str]]
    drugs: frozenset[str]
    diseases: frozenset[str]
    unnamed: tuple[str, ...]

    def holds(self, pair: Pair, concepts: Concepts) -> bool:
        """Whether a pair is known, or one of its drug and a broader disease is."""
        tails = (pair.tail, *concepts.broader(pair.tail))
        return any((pair.head.key, tail.key) in self.pairs for tail in tails)

    def covers(self, pair: Pair, concepts: Concepts) -> bool:
        """Whether the list names both the drug and the disease, or a broader one, of a pair: only then is a pair that it
        lacks counted as wrong."""
        tails = (pair.tail, *concepts.broader(pair.tail))
        return pair.head.key in self.drugs and any(tail.key in self.diseases for tail in tails)

    def mark(self, pairs: Iterable[Pair], concepts: Concepts) -> None:
        """Set `known` of the pairs of a chemical and a disease."""
        for pair in pairs:
            if (pair.head.type, pair.tail.type) == ("Chemical", "Disease"):
                pair.known = self.holds(pair, concepts)


def read_known(path: str, concepts: Concepts, quarantine: Quarantine, categories: Iterable[str] = ()) -> Known:
    """The pairs of a table with a header, separated by tabs or commas.

    categories   of a table with the column `category`, those that count; empty: all

    Bad rows are quarantined. Raises InputError where the header names no drug or no disease.
    """
    source = Source.of(path)
    rows = read_rows(source, quarantine)
    _, header = next(rows, (0, []))
    names = [cell.strip().lower() for cell in header]
    columns = [next((names.index(name) for name in headings if name in names), None) for headings in _COLUMNS.values()]
    if None in columns:
        missing = list(_COLUMNS)[columns.index(None)]
        raise InputError(
            f"{path}: no column of the header ({', '.join(header)[:200]}) names a {missing.lower()}; call it one of "
            f"{', '.join(_COLUMNS[missing])}"
        )
    category = names.index("category") if "category" in names else None
    allowed, pairs = frozenset(categories), set()
    keys: dict[tuple[str, str], frozenset[str]] = {}
    for line, cells in rows:
        if len(cells) != len(header):
            quarantine.add(source.name, f"line {line}", f"{len(cells)} columns where the header has {len(header)}")
            continue
        if allowed and category is not None and cells[category] not in allowed:
            continue
        ends = []
        for type, column in zip(_COLUMNS, columns, strict=True):
            cell = (type, cells[column or 0].strip())
            if cell not in keys:
                keys[cell] = frozenset(concepts.keys(cell[1], type))
            ends.append(keys[cell])
        pairs |= {(drug, disease) for drug in ends[0] for disease in ends[1]}
    unnamed = tuple(name for (_, name), own in keys.items() if own == {name.lower()})
    return Known(
        frozenset(pairs), frozenset(drug for drug, _ in pairs), frozenset(disease for _, disease in pairs), unnamed
    )
