"""Proteins: residues are tokens, or a sequence is one vector of counts of its short words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Literal

import numpy as np
from pydantic import Field

from textome.errors import InputError
from textome.formats.reading.rows import check_decoded, check_width, read_rows
from textome.formats.reading.sources import Quarantine, Source, guarded
from textome.inputs.dna_files import read_fasta
from textome.inputs.records import Floats, Modality, Record, Segment, Segments, Shape

SPECIAL = ("[PAD]", "[UNK]", "[MASK]")
PAD, UNKNOWN, MASK = range(len(SPECIAL))
# The twenty residues, then selenocysteine, pyrrolysine and the codes for one of several (IUPAC-IUB 1984).
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
OTHERS = "UOBJZX"
_NUMBERS = {letter: number for number, letter in enumerate(RESIDUES + OTHERS, len(SPECIAL))}
# The seven classes of residues by dipole and volume of side chains (Shen et al. 2007, table 1).
CLASSES = ("AGV", "ILFP", "YMTS", "HNQW", "RK", "DE", "C")
_CLASS_OF = {letter: number for number, letters in enumerate(CLASSES) for letter in letters}
_FOREIGN = re.compile(f"[^{RESIDUES}{OTHERS}]")
DIPEPTIDES = tuple(map("".join, product(RESIDUES, repeat=2)))
# More unknown residues than this share say nothing about a protein.
_MAX_UNKNOWN = 0.5


class Proteins(Modality):
    """Sequences of amino acids out of FASTA files, or of tables with a header. A record's content is its letters.

    scheme   "residues": a token for each residue; "kmers": one vector of how often each of the 400 dipeptides occurs, and
             each of the 343 triads of seven classes of residues (Shen et al. 2007), as the logarithm of 1 + count
    window   the most residues that "residues" reads; longer sequences are quarantined. "kmers" reads any length
    sequence, name, label   columns of a table: the letters, a unique name ("": the number of the line), a class ("": none)

    Letters are those of IUPAC in either case; a stop (*) at the end is left out. Any other letter, and a sequence of which
    more than half is X, is a bad record.
    """

    kind: Literal["proteins"] = "proteins"
    scheme: Literal["residues", "kmers"] = "residues"
    window: int = Field(1024, ge=8)
    sequence: str = "sequence"
    name: str = "name"
    label: str = ""

    def read(self, path: str, quarantine: Quarantine) -> Iterator[Record]:
        source = Source.of(path)
        if source.is_directory:
            raise InputError(f"{path}: a directory; give a FASTA file or a table of sequences")
        is_fasta = source.head().lstrip()[:1] in (b">", b";")
        records = self._fasta(source, quarantine) if is_fasta else self._table(source, quarantine)
        for record, position in guarded(records, source.name, quarantine):
            if self.scheme == "residues" and len(record.content) > self.window:
                reason = f"{len(record.content):,} residues, more than the {self.window:,} of modality.window"
                quarantine.add(source.name, position, reason)
                continue
            yield record

    def from_text(self, text: str) -> str:
        return normalised(text)

    def shapes(self) -> dict[str, Shape]:
        if self.scheme == "kmers":
            return {"protein": Shape("vectors", len(DIPEPTIDES) + len(CLASSES) ** 3, (1,))}
        size = len(SPECIAL) + len(RESIDUES + OTHERS)
        return {
            "protein": Shape("tokens", size, (self.window,), mask_id=MASK, special=(PAD, UNKNOWN, MASK)),
        }

    def features(self, content: str) -> Segments:
        if self.scheme == "kmers":
            return {"protein": Segment(kmer_counts(content)[None], np.zeros((1, 1), np.int64))}
        if len(content) > self.window:
            raise InputError(f"the protein has {len(content)} residues, more than the model's window of {self.window}")
        ids = np.array([_NUMBERS[letter] for letter in content], np.int64)
        return {"protein": Segment(ids, np.arange(len(ids))[:, None])}

    def _fasta(self, source: Source, quarantine: Quarantine) -> Iterator[tuple[Record, str]]:
        for record in read_fasta(source, quarantine, normalised):
            yield Record(record.name, content=record.sequence, target=record.label), record.position

    def _table(self, source: Source, quarantine: Quarantine) -> Iterator[tuple[Record, str]]:
        rows = read_rows(source, quarantine)
        header = [cell.strip() for cell in next(rows, (0, []))[1]]
        for column in filter(None, (self.sequence, self.name, self.label)):
            if column not in header:
                raise InputError(f"{source.name}: there is no column {column!r}; the header has {', '.join(header)}")
        for line, cells in rows:
            position = f"line {line}"
            try:
                check_decoded(cells)
                check_width(cells, header)
                row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
                content = normalised(row[self.sequence])
            except InputError as error:
                quarantine.add(source.name, position, error)
                continue
            label = row[self.label] if self.label else None
            yield Record(row[self.name] if self.name else position, content=content, target=label or None), position


def normalised(sequence: str) -> str:
    """The sequence in capital letters. Raises InputError for an empty one, a letter that is no residue, and too many X."""
    letters = sequence.upper().removesuffix("*")
    if not letters:
        raise InputError("the sequence is empty")
    if foreign := _FOREIGN.search(letters):
        raise InputError(
            f"letter {foreign.start() + 1} is {sequence[foreign.start()]!r}, which stands for no amino acid; "
            "is this a protein?"
        )
    if (unknown := letters.count("X")) > _MAX_UNKNOWN * len(letters):
        raise InputError(
            f"{unknown:,} of {len(letters):,} residues are unknown (X); nothing can be said of such a protein"
        )
    return letters


@lru_cache(maxsize=4096)
def kmer_counts(sequence: str) -> Floats:
    """(743,) the logarithms of 1 + count of the 400 dipeptides, by alphabet, and of the 343 triads of residue classes.

    Words with other letters than the twenty residues count for nothing.
    """
    dipeptides = _counts([RESIDUES.find(letter) for letter in sequence], len(RESIDUES), 2)
    triads = _counts([_CLASS_OF.get(letter, -1) for letter in sequence], len(CLASSES), 3)
    return np.asarray(np.log1p(np.concatenate([dipeptides, triads])), np.float32)


def _counts(numbers: list[int], size: int, length: int) -> Floats:
    """(size ** length,) how often each word of `length` numbers occurs; -1 is no number."""
    values = np.array(numbers, np.int64)
    if len(values) < length:
        return np.zeros(size**length, np.float32)
    words = np.lib.stride_tricks.sliding_window_view(values, length)
    known = words[(words >= 0).all(1)]
    return np.bincount(known @ size ** np.arange(length)[::-1], minlength=size**length).astype(np.float32)
