"""DNA: bases, or words of several, are tokens; both strands say the same where a recipe says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.inputs.dna_files import normalised, read_dna, reverse_complement
from textome.inputs.dna_tokens import BASES, MASK, PAD, UNKNOWN, DnaTokens, Scheme
from textome.inputs.records import Modality, Record, Segment, Segments, Shape


class Dna(Modality):
    """Sequences of FASTA files and tables. A record's content is a text of A, C, G, T and N.

    scheme         what is a token: "base", "kmer" (overlapping words of `k` bases) or "bpe" (learnt words)
    k              bases of a word of "kmer"
    vocabulary     how many words "bpe" learns
    window         the most bases of a record; longer sequences are cut into windows that share `overlap` bases
    strands        "both": training reads either strand, and a prediction is the mean over both, so that a sequence and its
                   reverse complement have exactly one prediction. "given": the strand matters, as for splice sites
    substitutions  while training, the share of bases that become another one, drawn anew for each reading
    tokenizer      of "bpe": the words that were learnt, as the text of a `tokenizer.json`
    """

    kind: Literal["dna"] = "dna"
    scheme: Scheme = "base"
    k: int = Field(1, ge=1, le=8)
    vocabulary: int = Field(512, ge=16)
    window: int = Field(512, ge=8)
    overlap: int = Field(0, ge=0)
    strands: Literal["given", "both"] = "given"
    substitutions: float = Field(0.0, ge=0, lt=1)
    tokenizer: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.overlap >= self.window:
            raise ValueError("overlap must be smaller than window")
        if (self.scheme == "kmer") != (self.k > 1):
            raise ValueError('k is the bases of a word of scheme = "kmer", 2 or more')
        return self

    def read(self, path: str, quarantine: Quarantine) -> Iterator[Record]:
        seen: set[str] = set()
        for sequence in read_dna(path, quarantine):
            # Names are not unique in the sets that people use; the line in the file is.
            name = f"{sequence.name}, {sequence.position}" if sequence.name in seen else sequence.name
            seen.add(sequence.name)
            for start, window in self._windows(sequence.sequence):
                whole = len(window) == len(sequence.sequence)
                yield Record(name if whole else f"{name}@{start}", content=window, target=sequence.label)

    def from_text(self, text: str) -> str:
        return normalised(text)

    def fitted(self, records: Sequence[Record]) -> Self:
        if self.scheme != "bpe" or self.tokenizer:
            return self
        learnt = DnaTokens.of("bpe", sequences=[record.content for record in records], vocab_size=self.vocabulary)
        return self.model_copy(update={"tokenizer": learnt.to_json()})

    def continuing(self, base: Modality) -> Self:
        if not isinstance(base, Dna):
            return self
        if (self.scheme, self.k, self.window) != (base.scheme, base.k, base.window):
            raise InputError(
                f"the model to start from reads scheme = {base.scheme!r}, k = {base.k}, window = {base.window}; "
                "set modality.scheme, modality.k and modality.window to these"
            )
        return self.model_copy(update={"tokenizer": base.tokenizer})

    def shapes(self) -> dict[str, Shape]:
        # Of overlapping words a hidden one stands in its neighbours: there is nothing to guess, so no token hides.
        mask = None if self.scheme == "kmer" else MASK
        size = _tokens(self.scheme, self.k, self.tokenizer).size
        return {"dna": Shape("tokens", size, (self.window,), mask_id=mask, special=(PAD, UNKNOWN, MASK))}

    def features(self, content: str) -> Segments:
        if len(content) > self.window:
            raise InputError(f"the sequence has {len(content)} bases, more than the model's window of {self.window}")
        ids = _tokens(self.scheme, self.k, self.tokenizer).encode(content)
        return {"dna": Segment(ids, np.arange(len(ids))[:, None])}

    def augmented(self, content: str, generator: np.random.Generator) -> str:
        if self.strands == "both" and generator.random() < 0.5:
            content = reverse_complement(content)
        if not self.substitutions:
            return content
        letters = np.array(list(content))
        changed = (generator.random(len(letters)) < self.substitutions) & (letters != "N")
        letters[changed] = generator.choice(list(BASES), changed.sum())
        return "".join(letters)

    def views(self, content: str) -> Sequence[str]:
        # In one order, whichever strand is asked about: then even the rounding is the same.
        return sorted((content, reverse_complement(content))) if self.strands == "both" else [content]

    def _windows(self, sequence: str) -> Iterator[tuple[int, str]]:
        step = self.window - self.overlap
        for start in range(0, max(1, len(sequence) - self.overlap), step):
            yield start, sequence[start : start + self.window]


@lru_cache(maxsize=8)
def _tokens(scheme: Scheme, k: int, tokenizer: str) -> DnaTokens:
    return DnaTokens.from_json(scheme, k, tokenizer) if tokenizer else DnaTokens.of(scheme, k)
