"""DNA as tokens: single bases, overlapping words of k bases, or words learnt by byte-pair encoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from textome.errors import InputError

BASES = "ACGT"
SPECIAL = ("[PAD]", "[UNK]", "[MASK]")
PAD, UNKNOWN, MASK = range(len(SPECIAL))
Scheme = Literal["base", "kmer", "bpe"]


@dataclass(frozen=True)
class DnaTokens:
    """Cuts sequences into tokens.

    scheme   "base" single bases; "kmer" overlapping words of `k` bases, one at each base but the last k - 1 (Ji et al.
             2021, section 2.2); "bpe" words learnt by byte-pair encoding (Zhou et al. 2024, section 3.1)
    k        the bases of a word of the scheme "kmer"; a word with an N in it is [UNK]
    """

    scheme: Scheme
    k: int
    tokenizer: Tokenizer

    @classmethod
    def of(cls, scheme: Scheme, k: int = 1, sequences: Iterable[str] = (), vocab_size: int = 512) -> DnaTokens:
        """The tokens of a scheme; "bpe" learns `vocab_size` words from `sequences`. Raises InputError without them."""
        if scheme == "bpe":
            return cls(scheme, 1, _learn(sequences, vocab_size))
        k = 1 if scheme == "base" else k
        if not 1 <= k <= 8:
            raise InputError(f"k is {k}; words of 1 to 8 bases can be told apart")
        words = ["".join(letters) for letters in product(BASES, repeat=k)] + (["N"] if k == 1 else [])
        vocabulary = {word: number for number, word in enumerate((*SPECIAL, *words))}
        return cls(scheme, k, Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]")))

    @classmethod
    def from_json(cls, scheme: Scheme, k: int, text: str) -> DnaTokens:
        """The tokens that `to_json` described."""
        return cls(scheme, k, Tokenizer.from_str(text))

    def to_json(self) -> str:
        """The content of a `tokenizer.json`."""
        return self.tokenizer.to_str(pretty=True)

    @property
    def size(self) -> int:
        return self.tokenizer.get_vocab_size()

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return self.tokenizer.get_vocab()

    def encode(self, sequence: str) -> NDArray[np.int64]:
        """(tokens,) ids of a normalised sequence. Raises InputError where it is shorter than `k`."""
        if self.scheme == "bpe":
            ids = self.tokenizer.encode(sequence, add_special_tokens=False).ids
        else:
            if len(sequence) < self.k:
                raise InputError(f"the sequence has {len(sequence)} bases, fewer than a word of {self.k}")
            words = [sequence[start : start + self.k] for start in range(len(sequence) - self.k + 1)]
            ids = [self._numbers.get(word, UNKNOWN) for word in words]
        return np.array(ids, np.int64)


def _learn(sequences: Iterable[str], vocab_size: int) -> Tokenizer:
    """Byte-pair words over bases. A run without N is one "word" to learn from, an N always stands alone."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("N", "isolated")
    tokenizer.decoder = decoders.Fuse()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=list(SPECIAL), initial_alphabet=[*BASES, "N"], show_progress=False
    )
    texts = list(sequences)
    if not texts:
        raise InputError("byte-pair tokens are learnt from sequences, and there are none")
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def kmer_counts(sequences: Sequence[str], k: int) -> NDArray[np.float32]:
    """(n, 4**1 + ... + 4**k) how often each word of 1 to `k` bases stands in a sequence: what a classical model reads."""
    numbers = {
        "".join(letters): number
        for number, letters in enumerate(
            letters for length in range(1, k + 1) for letters in product(BASES, repeat=length)
        )
    }
    counts = np.zeros((len(sequences), len(numbers)), np.float32)
    for row, sequence in enumerate(sequences):
        for length in range(1, k + 1):
            for start in range(len(sequence) - length + 1):
                if (number := numbers.get(sequence[start : start + length])) is not None:
                    counts[row, number] += 1
    return counts


def one_hot(sequences: Sequence[str]) -> NDArray[np.float32]:
    """(n, length * 4) which base stands at each place, all zero for N: for sequences of one length that are aligned.

    Raises InputError where the lengths differ.
    """
    lengths = {len(sequence) for sequence in sequences}
    if len(lengths) != 1:
        raise InputError(f"one-hot places need sequences of one length, found {len(lengths)} lengths")
    letters = np.array([list(sequence) for sequence in sequences])
    is_base: NDArray[np.bool_] = letters[:, :, None] == np.array(list(BASES))
    return is_base.reshape(len(sequences), -1).astype(np.float32)
