"""Doubles in a corpus: the same text again, and nearly the same text (MinHash with banding).

Each document leaves fingerprints when it is read: a hash of its words, and 128 MinHash values of its runs of five words
(Broder 1997). Afterwards all fingerprints are compared on disk. A document is a double where a document before it has the
same words, or shares a band of MinHash values with it and an estimated Jaccard similarity of at least the threshold. The
first one stays. The outcome depends on the order of the documents alone.

Memory: `GROUP` fingerprints at a time (about 200 MB) and a byte for each document, however many there are. On disk 600
bytes for each document while the corpus is built. Where more than `COMPARED` documents share a band, each is compared with
the `COMPARED` before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textome.errors import MissingExtraError

PERMUTATIONS = 128
SHINGLE_WORDS = 5
THRESHOLD = 0.8
GROUP = 4_000_000
COMPARED = 20
KEPT, EXACT, NEAR = 0, 1, 2
_SEED = 1
_WORD = re.compile(r"\w+")
_PAIRS_AT_ONCE = 8192

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Fingerprints:
    """Those of n documents, in memory or mapped from disk; mapped ones are opened when needed, since files are limited.

    digests      (n, 2) uint64, the hash of a document's words
    signatures   (n, PERMUTATIONS) uint32, or (n, 0) where near doubles are not looked for
    bands        (b, n) uint64, a hash of each band of the signature
    """

    digests: Hashes
    signatures: NDArray[np.uint32]
    bands: Hashes

    @classmethod
    def map(cls, path: Path) -> Fingerprints:
        """The fingerprints of the chunk at `path` (ledger), mapped."""
        names = ("digests", "signatures", "bands")
        return cls(*(np.load(path.with_name(f"{path.name}.{name}.npy"), mmap_mode="r") for name in names))


class Fingerprinter:
    """Makes fingerprints. With `near`, raises MissingExtraError where datasketch is not installed."""

    def __init__(self, near: bool, threshold: float = THRESHOLD) -> None:
        self._near = near
        self._rows = self._bands = 0
        if near:
            try:
                from datasketch import MinHash
            except ImportError as error:
                raise MissingExtraError("the search for near doubles", "corpus") from error
            self._minhash = MinHash(num_perm=PERMUTATIONS, seed=_SEED)
            self._bands, self._rows = _bands(threshold)
        self.clear()

    def clear(self) -> None:
        self._digests: list[bytes] = []
        self._signatures: list[NDArray[np.uint32]] = []

    def add(self, sentences: Sequence[str]) -> None:
        """Take the fingerprints of one document."""
        words = [word for sentence in sentences for word in _WORD.findall(sentence.casefold())]
        self._digests.append(blake2b(" ".join(words).encode(), digest_size=16).digest())
        if self._near:
            last = max(1, len(words) - SHINGLE_WORDS + 1)
            shingles = {" ".join(words[start : start + SHINGLE_WORDS]).encode() for start in range(last)}
            signature = self._minhash.copy()
            signature.update_batch(sorted(shingles))
            self._signatures.append(signature.hashvalues.astype(np.uint32))

    def fingerprints(self) -> Fingerprints:
        """Those of all documents since `clear`."""
        number = len(self._digests)
        digests = np.frombuffer(b"".join(self._digests), np.uint64).reshape(number, 2)
        width = PERMUTATIONS if self._near else 0
        signatures = np.array(self._signatures, np.uint32).reshape(number, width)
        return Fingerprints(digests, signatures, self._band_hashes(signatures))

    def _band_hashes(self, signatures: NDArray[np.uint32]) -> Hashes:
        """(bands, n): each band's values mixed into one number, so that equal bands have equal numbers."""
        hashes = np.zeros((self._bands, len(signatures)), np.uint64)
        factor = np.uint64(0x9E3779B97F4A7C15)
        for band in range(self._bands):
            for value in signatures[:, band * self._rows : (band + 1) * self._rows].T:
                mixed = (hashes[band] ^ value.astype(np.uint64)) * factor
                hashes[band] = mixed ^ (mixed >> np.uint64(29))
        return hashes


@cache
def _bands(threshold: float) -> tuple[int, int]:
    """Bands, and values in each, under which most pairs at the threshold are found and few others are."""
    from datasketch import MinHashLSH

    best = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    return int(best.b), int(best.r)


def find_duplicates(
    chunk_paths: Sequence[Path], counts: Sequence[int], threshold: float = THRESHOLD, group: int = GROUP
) -> NDArray[np.uint8]:
    """(documents,) KEPT, EXACT or NEAR for each document of all chunks, in their order.

    chunk_paths   the chunks of the ledger, and `counts` how many documents each holds
    """
    starts = np.cumsum([0, *counts], dtype=np.int64)
    verdicts = np.zeros(starts[-1], np.uint8)
    groups = 1 + int(starts[-1]) // group
    for number in range(groups):
        keys, documents = _gathered(chunk_paths, starts, groups, number, None)
        same = (keys[1:] == keys[:-1]).all(axis=1)
        verdicts[documents[1:][same]] = EXACT
    bands = len(Fingerprints.map(chunk_paths[0]).bands) if chunk_paths else 0
    for band in range(bands):
        for number in range(groups):
            keys, documents = _gathered(chunk_paths, starts, groups, number, band)
            for distance in range(1, COMPARED + 1):
                together = (keys[distance:] == keys[:-distance]).all(axis=1)
                if not together.any():
                    break
                earlier, later = documents[:-distance][together], documents[distance:][together]
                undecided = verdicts[later] == KEPT
                for similar in _similar(chunk_paths, starts, earlier[undecided], later[undecided], threshold):
                    verdicts[similar] = NEAR
    return verdicts


def _gathered(
    chunk_paths: Sequence[Path], starts: NDArray[np.int64], groups: int, number: int, band: int | None
) -> tuple[Hashes, NDArray[np.int64]]:
    """The keys (n, 1 or 2) of one group of all documents, sorted, and the numbers of their documents, rising for a key.

    The keys are the digests, or the hashes of a band.
    """
    keys = [np.empty((0, 2 if band is None else 1), np.uint64)]
    documents = [np.empty(0, np.int64)]
    for path, start in zip(chunk_paths, starts, strict=False):
        fingerprints = Fingerprints.map(path)
        column = fingerprints.digests if band is None else fingerprints.bands[band][:, None]
        chosen = np.arange(len(column)) if groups == 1 else np.flatnonzero(column[:, 0] % np.uint64(groups) == number)
        keys.append(column[chosen])
        documents.append(chosen + start)
    all_keys, all_documents = np.concatenate(keys), np.concatenate(documents)
    order = np.lexsort((all_documents, *all_keys.T))
    return all_keys[order], all_documents[order]


def _similar(
    chunk_paths: Sequence[Path],
    starts: NDArray[np.int64],
    earlier: NDArray[np.int64],
    later: NDArray[np.int64],
    threshold: float,
) -> Iterator[NDArray[np.int64]]:
    """Those of `later` whose signature agrees with that of its `earlier` in enough positions."""
    for start in range(0, len(later), _PAIRS_AT_ONCE):
        some = slice(start, start + _PAIRS_AT_ONCE)
        agreeing = _signatures(chunk_paths, starts, earlier[some]) == _signatures(chunk_paths, starts, later[some])
        yield later[some][agreeing.mean(axis=1) >= threshold]


def _signatures(
    chunk_paths: Sequence[Path], starts: NDArray[np.int64], documents: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """(n, PERMUTATIONS) of documents, wherever they are saved."""
    signatures = np.empty((len(documents), PERMUTATIONS), np.uint32)
    where = np.searchsorted(starts, documents, side="right") - 1
    for chunk in np.unique(where):
        chosen = where == chunk
        signatures[chosen] = Fingerprints.map(chunk_paths[chunk]).signatures[documents[chosen] - starts[chunk]]
    return signatures
