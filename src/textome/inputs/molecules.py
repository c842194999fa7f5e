"""Molecules: tokens of SMILES, or a fingerprint. One molecule has many spellings; training draws one for each reading."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, Self

import numpy as np
from pydantic import Field

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source
from textome.inputs.chemistry import FINGERPRINT_SIZE, fingerprint_counts, prepared
from textome.inputs.molecule_files import MoleculeTable, is_prepared, read_molecules
from textome.inputs.records import Modality, Record, Segment, Segments, Shape
from textome.inputs.smiles import MASK, PAD, UNKNOWN, VOCABULARY, encode


class Molecules(Modality):
    """Rows of a CSV file with a column of SMILES. A record's content is a tuple of spellings of one molecule.

    smiles       the column of the SMILES
    name         the column of the names, which must be unique; empty: the number of the line
    targets      the columns of what was measured; an empty cell is missing. A file to predict may have none of them
    descriptors  names of RDKit's descriptors, as "MolLogP", that are targets too: to pretrain on molecules without any
                 measurement (Ahmad et al. 2022, section 3.2)
    scheme       "tokens" of SMILES, or "fingerprint": one vector of how often each of 2,048 environments of atoms occurs
                 (Morgan of radius 2, Rogers and Hahn 2010), as the logarithm of 1 + count, which needs RDKit
    window       the most tokens of a molecule; longer ones are quarantined
    spellings    so many random SMILES of each molecule are made (Bjerrum 2017), of which training draws one each time
    averaged     a prediction is the mean over so many of the spellings
    chemistry    false: without RDKit, so that there is no check of validity, no other spelling and no split

    The attribute `split` is "train", "validation" or "test" by scaffold (see molecule_files.split_by_scaffold), and
    `scaffold` the scaffold itself. A file that benchmarks/prepare_molecules.py wrote holds all this and needs no RDKit.
    """

    kind: Literal["molecules"] = "molecules"
    smiles: str = "smiles"
    name: str = ""
    targets: tuple[str, ...] = ()
    descriptors: tuple[str, ...] = ()
    scheme: Literal["tokens", "fingerprint"] = "tokens"
    window: int = Field(256, ge=8)
    spellings: int = Field(20, ge=0)
    averaged: int = Field(1, ge=1)
    chemistry: bool = True

    def read(self, path: str, quarantine: Quarantine) -> Iterator[Record]:
        table = self.table(path, quarantine)
        for molecule in table.molecules:
            spellings: tuple[str, ...] = (molecule.smiles,)
            if self.scheme == "tokens":
                spellings = tuple(dict.fromkeys((molecule.smiles, *molecule.spellings[: self.spellings])))
                spellings = tuple(smiles for smiles in spellings if len(encode(smiles)) <= self.window)
            if not spellings:
                reason = f"{molecule.smiles!r} has more than the {self.window} tokens of modality.window"
                quarantine.add(path, molecule.position, reason)
                continue
            values = {
                name: value for name, value in zip(table.targets, molecule.values, strict=True) if not math.isnan(value)
            }
            attributes = {"scaffold": molecule.scaffold or ""} | ({"split": molecule.split} if molecule.split else {})
            target = values if table.targets else None
            yield Record(molecule.name, metadata=attributes, content=spellings, target=target)

    def from_text(self, text: str) -> Sequence[str]:
        return (text,)

    def table(self, path: str, quarantine: Quarantine) -> MoleculeTable:
        """The molecules of a file with all that RDKit adds. Raises InputError as `read_molecules` does."""
        source = Source.of(path)
        if is_prepared(source):
            return read_molecules(source, self.smiles, (*self.targets, *self.descriptors), quarantine)
        table = read_molecules(source, self.smiles, self.targets, quarantine, self.name or None)
        if not self.chemistry:
            if self.descriptors:
                raise InputError("modality.descriptors are computed by RDKit, so they need modality.chemistry = true")
            return table
        spellings = self.spellings if self.scheme == "tokens" else 0
        return prepared(table, source.name, quarantine, spellings, descriptors=self.descriptors)

    def continuing(self, base: Modality) -> Self:
        if isinstance(base, Molecules) and base.window != self.window:
            raise InputError(f"the model to start from reads {base.window} tokens; set modality.window to this")
        return self

    def shapes(self) -> dict[str, Shape]:
        if self.scheme == "fingerprint":
            return {"molecule": Shape("vectors", FINGERPRINT_SIZE, (1,))}
        shape = Shape("tokens", len(VOCABULARY), (self.window,), mask_id=MASK, special=(PAD, UNKNOWN, MASK))
        return {"molecule": shape}

    def features(self, content: Sequence[str]) -> Segments:
        if self.scheme == "fingerprint":
            return {"molecule": Segment(fingerprint_counts(content[0])[None], np.zeros((1, 1), np.int64))}
        ids = encode(content[0])
        if len(ids) > self.window:
            raise InputError(f"{content[0]!r} has {len(ids)} tokens, more than the model's window of {self.window}")
        return {"molecule": Segment(ids, np.arange(len(ids))[:, None])}

    def token_names(self, content: Sequence[str]) -> dict[str, list[str]]:
        if self.scheme == "fingerprint":
            return {"molecule": ["fingerprint"]}
        return {"molecule": [VOCABULARY[number] for number in encode(content[0]).tolist()]}

    def augmented(self, content: Sequence[str], generator: np.random.Generator) -> Sequence[str]:
        return (content[int(generator.integers(len(content)))],)

    def views(self, content: Sequence[str]) -> Sequence[Sequence[str]]:
        return [(smiles,) for smiles in content[: self.averaged]]
