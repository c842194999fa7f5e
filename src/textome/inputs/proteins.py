"""Proteins: residues are tokens, or a sequence is one vector of counts of its short words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from textome.errors import InputError
from textome.formats.reading.rows import check_decoded, check_width, read_rows
from textome.formats.reading.sources import Quarantine, Source, guarded
from textome.inputs.dna_files import read_fasta
from textome.inputs.molecule_files import value_of
from textome.inputs.mutations import mutated
from textome.inputs.records import Floats, Modality, Record, Segment, Segments, Shape, beside

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
# Residues that `explain` takes away together.
_STRETCH = 10


class Proteins(Modality):
    """Sequences of amino acids out of FASTA files, or of tables with a header. A record's content is its letters.

    scheme   "residues": a token for each residue; "convolved": `downsamplings` convolutions that each halve the
             sequence stand before the encoder; "sites": tokens of those residues alone that differ between the training
             sequences, which have one length, as in a library of variants; "kmers": one vector of how often each of the 400
             dipeptides occurs, and each of the 343 triads of seven classes of residues (Shen et al. 2007), as the logarithm
             of 1 + count
    window   the most residues that are read; longer sequences are quarantined. "kmers" reads any length
    downsamplings   of "convolved"
    crop     while training, at most so many neighbouring residues are read, drawn anew for each reading; 0 for all
    sequence, name   columns of a table: the letters, a unique name ("": the number of the line)
    label, labels    a column with a class, or with any number of them and `;` between ("": none)
    targets          the columns of what was measured; an empty cell is missing. A table to predict may have none of them
    mutations        instead of `sequence`: a column of mutations as V39A;D40G of the one protein in the FASTA file
                     `wild_type`, relative to the table's folder
    sites            of "sites": the positions that are read, from 0, in order; empty: those where training sequences differ
    reference        of "sites", learnt: the most frequent residue at each position

    Letters are those of IUPAC in either case; a stop (*) at the end is left out. Any other letter, a sequence of which more
    than half is X, and a mutation that the wild type cannot have are bad records. A table's other columns are attributes,
    so that `#set=train` chooses rows.
    """

    kind: Literal["proteins"] = "proteins"
    scheme: Literal["residues", "convolved", "sites", "kmers"] = "residues"
    window: int = Field(1024, ge=8)
    downsamplings: int = Field(3, ge=1, le=5)
    crop: int = Field(0, ge=0)
    sequence: str = "sequence"
    name: str = "name"
    label: str = ""
    labels: str = ""
    targets: tuple[str, ...] = ()
    mutations: str = ""
    wild_type: str = ""
    reference: str = ""
    sites: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if bool(self.mutations) != bool(self.wild_type):
            raise ValueError("mutations, a column of a table, and wild_type, a FASTA file, go together")
        if sum(map(bool, (self.label, self.labels, self.targets))) > 1:
            raise ValueError("give one of label, labels and targets")
        if self.crop and self.scheme not in ("residues", "convolved"):
            raise ValueError(f"scheme = {self.scheme!r} reads whole sequences; leave crop out")
        return self

    def read(self, path: str, quarantine: Quarantine) -> Iterator[Record]:
        source = Source.of(path)
        if source.is_directory:
            raise InputError(f"{path}: a directory; give a FASTA file or a table of sequences")
        is_fasta = source.head().lstrip()[:1] in (b">", b";")
        records = self._fasta(source, quarantine) if is_fasta else self._table(source, quarantine)
        for record, position in guarded(records, source.name, quarantine):
            try:
                self._check_length(record.content)
            except InputError as error:
                quarantine.add(source.name, position, error)
                continue
            yield record

    def other_files(self, path: str) -> list[str]:
        return [str(beside(path, self.wild_type))] if self.wild_type else []

    def from_text(self, text: str) -> str:
        return normalised(text)

    def fitted(self, records: Sequence[Record]) -> Self:
        if self.scheme != "sites" or self.reference:
            return self
        lengths = Counter(len(record.content) for record in records)
        if len(lengths) > 1:
            (one, count), (other, _) = lengths.most_common(2)
            raise InputError(
                f"scheme = 'sites' reads sequences of one length, and {count:,} training sequences have {one} residues, "
                f"others {other}; take scheme = 'residues' or align them"
            )
        columns = [Counter(column) for column in zip(*(record.content for record in records), strict=True)]
        sites = self.sites or tuple(number for number, column in enumerate(columns) if len(column) > 1)
        if sites and sites[-1] >= len(columns):
            raise InputError(
                f"modality.sites has {sites[-1]}, and the sequences have {len(columns)} residues, the first is 0"
            )
        if not sites:
            raise InputError("scheme = 'sites': all training sequences are the same; there is nothing to learn")
        reference = "".join(column.most_common(1)[0][0] for column in columns)
        return self.model_copy(update={"reference": reference, "sites": sites})

    def continuing(self, base: Modality) -> Self:
        if isinstance(base, Proteins) and base.shapes() != self.shapes():
            raise InputError(
                f"the model to start from reads scheme = {base.scheme!r} with window = {base.window}; set modality.scheme "
                "and modality.window to these ('sites' may start from 'residues')"
            )
        return self

    def shapes(self) -> dict[str, Shape]:
        if self.scheme == "kmers":
            return {"protein": Shape("vectors", len(DIPEPTIDES) + len(CLASSES) ** 3, (1,))}
        if self.scheme == "convolved":
            return {"protein": Shape("vectors", len(_NUMBERS), (self._tokens(self.window),), self.downsamplings)}
        size = len(SPECIAL) + len(_NUMBERS)
        return {
            "protein": Shape("tokens", size, (self.window,), mask_id=MASK, special=(PAD, UNKNOWN, MASK)),
        }

    def features(self, content: str) -> Segments:
        if self.scheme == "kmers":
            return {"protein": Segment(kmer_counts(content)[None], np.zeros((1, 1), np.int64))}
        self._check_length(content)
        ids = np.array([_NUMBERS[letter] for letter in content], np.int64)
        if self.scheme == "convolved":
            values = np.eye(len(_NUMBERS), dtype=np.float32)[ids - len(SPECIAL)]
            return {"protein": Segment(values, np.arange(self._tokens(len(ids)))[:, None])}
        if self.scheme == "residues":
            return {"protein": Segment(ids, np.arange(len(ids))[:, None])}
        sites = np.array(self.sites, np.int64)
        return {"protein": Segment(ids[sites], sites[:, None])}

    def varied(self, segments: Segments, generator: np.random.Generator) -> Segments:
        segment, stride = segments["protein"], 2**self.downsamplings if self.scheme == "convolved" else 1
        if not self.crop or len(segment.values) <= self.crop:
            return segments
        first = int(generator.integers(0, (len(segment.values) - self.crop) // stride, endpoint=True))
        values = segment.values[first * stride : first * stride + self.crop]
        tokens = self._tokens(len(values)) if stride > 1 else len(values)
        return {"protein": Segment(values, segment.positions[first : first + tokens])}

    def without(self, content: str) -> Iterator[tuple[str, str]]:
        """The sequence without each of its mutations, or with each stretch of ten residues unknown."""
        if self.scheme == "sites":
            for site in self.sites:
                if content[site] != (before := self.reference[site]):
                    yield f"{before}{site + 1}{content[site]}", content[:site] + before + content[site + 1 :]
            return
        for start in range(0, len(content), _STRETCH):
            end = min(start + _STRETCH, len(content))
            yield f"{start + 1}-{end}", content[:start] + "X" * (end - start) + content[end:]

    def token_names(self, content: str) -> dict[str, list[str]]:
        if self.scheme == "kmers":
            return {"protein": ["words"]}
        if self.scheme == "convolved":
            stride = 2**self.downsamplings
            ends = [(start, min(start + stride, len(content))) for start in range(0, len(content), stride)]
            return {"protein": [f"{start + 1}-{end}" for start, end in ends]}
        positions = self.sites if self.scheme == "sites" else range(len(content))
        return {"protein": [f"{content[position]}{position + 1}" for position in positions]}

    def _tokens(self, residues: int) -> int:
        """How many tokens the convolutions leave."""
        for _ in range(self.downsamplings):
            residues = -(-residues // 2)
        return residues

    def _check_length(self, content: str) -> None:
        """Raises InputError for a sequence that the scheme cannot read."""
        if self.scheme == "kmers":
            return
        if len(content) > self.window:
            raise InputError(f"{len(content):,} residues, more than the {self.window:,} of modality.window")
        if self.scheme != "sites" or not self.reference:
            return
        if len(content) != len(self.reference):
            raise InputError(
                f"{len(content):,} residues; the model reads variants of a protein of {len(self.reference):,}"
            )
        sites = set(self.sites)
        for number, (letter, usual) in enumerate(zip(content, self.reference, strict=True)):
            if letter != usual and number not in sites:
                raise InputError(
                    f"{usual}{number + 1}{letter}: no training sequence differs at position {number + 1}, so the model "
                    "cannot tell what this does"
                )

    def _fasta(self, source: Source, quarantine: Quarantine) -> Iterator[tuple[Record, str]]:
        for record in read_fasta(source, quarantine, normalised):
            yield Record(record.name, content=record.sequence, target=record.label), record.position

    def _table(self, source: Source, quarantine: Quarantine) -> Iterator[tuple[Record, str]]:
        wild_type = self._wild_type(source.path, quarantine) if self.wild_type else ""
        rows = read_rows(source, quarantine)
        header = [cell.strip() for cell in next(rows, (0, []))[1]]
        text = self.mutations or self.sequence
        for column in filter(None, (text, self.name, self.label, self.labels)):
            if column not in header:
                raise InputError(f"{source.name}: there is no column {column!r}; the header has {', '.join(header)}")
        targets = [name for name in self.targets if name in header]
        own = {text, self.name, self.label, self.labels, *targets}
        for line, cells in rows:
            position = f"line {line}"
            try:
                check_decoded(cells)
                check_width(cells, header)
                row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
                content = normalised(mutated(wild_type, row[text]) if self.mutations else row[text])
                values = {name: value_of(row[name], name) for name in targets}
            except InputError as error:
                quarantine.add(source.name, position, error)
                continue
            target: str | tuple[str, ...] | dict[str, float] | None = row[self.label] if self.label else None
            if self.labels:
                target = tuple(dict.fromkeys(filter(None, (item.strip() for item in row[self.labels].split(";")))))
            elif targets:
                target = {name: value for name, value in values.items() if not math.isnan(value)}
            attributes = {name: cell for name, cell in row.items() if name not in own}
            name = row[self.name] if self.name else position
            yield Record(name, metadata=attributes, content=content, target=target or None), position

    def _wild_type(self, table: Path | None, quarantine: Quarantine) -> str:
        """Raises InputError where the file does not hold one protein."""
        path = beside(str(table or ""), self.wild_type)
        proteins = list(read_fasta(Source.of(str(path)), quarantine, normalised))
        if len(proteins) != 1:
            raise InputError(f"{path}: {len(proteins)} proteins can be read; the wild type is one")
        return proteins[0].sequence


def normalised(sequence: str) -> str:
    """The sequence in capitals. Raises InputError for an empty one, a letter that is not a residue, and too many X."""
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
    """(size ** length,) how often each word of `length` numbers occurs; -1 is not a number."""
    values = np.array(numbers, np.int64)
    if len(values) < length:
        return np.zeros(size**length, np.float32)
    words = np.lib.stride_tricks.sliding_window_view(values, length)
    known = words[(words >= 0).all(1)]
    return np.bincount(known @ size ** np.arange(length)[::-1], minlength=size**length).astype(np.float32)
