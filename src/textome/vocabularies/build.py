"""Building an index from streams of concepts, in memory that does not grow with their number.

Concepts are sorted by type and CURIE on disk, those with one CURIE are merged, and their names' hashes go to 256 files by
their first byte, which are sorted one at a time. So the same concepts give the same bytes, in whatever order they come.
"""

from __future__ import annotations

import heapq
import json
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from textome.errors import InputError
from textome.formats.reading.sources import atomic_file
from textome.vocabularies.concepts import Concept, NameKind
from textome.vocabularies.index import BLOCK, KIND_SHIFT, MAX_CONCEPTS, REMAINDER_BITS, TAIL_CODES, Vocabulary, to_line
from textome.vocabularies.keys import MAX_NAME, bag_of, hash_of, key_of, profile_of
from textome.vocabularies.layout import Writer
from textome.vocabularies.near import NearNamesBuilder

REORDERED_TYPES = frozenset({"Disease"})
NEAR_TYPES = frozenset({"Disease"})
_NAMES_IN_MEMORY = 400_000
_PARTITIONS = 256
_RECORD = np.dtype([("hash", "<u8"), ("entry", "<u4")])
_TUPLES = ("synonyms", "related", "curated", "learnt", "parents", "tree_numbers", "xrefs")
# A concept as JSON holds it: type, CURIE, its position in the input, label, taxon, uses, and the tuples of `_TUPLES`.
_Record = tuple[Any, ...]
_FIRST_TUPLE = 6
_MAX_USES = 255
_MAX_DICTIONARY = 32_768  # what zlib looks back
_DICTIONARY_SHARE = 64


def build_vocabulary(
    concepts: Iterable[Concept],
    path: Path,
    title: str = "",
    sources: Sequence[dict[str, str]] = (),
    has_near_names: Callable[[Concept], bool] = lambda concept: concept.type in NEAR_TYPES,
    unchanged: Mapping[str, Vocabulary] | None = None,
) -> None:
    """Write the index of these concepts to `path`, whole or not at all.

    title, sources   for the index's card
    has_near_names   which concepts are also found by names that resemble theirs
    unchanged        indexes that have the concepts of further types, by type: these are copied as they are, so that
                     the file has the same bytes as if all were built anew

    Raises InputError where there is no concept with a name, or a concept has no type.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder, atomic_file(path) as stream:
        writer = Writer(stream)
        workspace = Path(folder)
        sections = {}
        copied = sorted((unchanged or {}).items())
        for type, records in groupby(_sorted(concepts, workspace), key=itemgetter(0)):
            while copied and copied[0][0] < type:
                name, vocabulary = copied.pop(0)
                sections[name] = vocabulary.copy_section(name, writer)
            section = _Section(type, workspace, has_near_names)
            for _, same in groupby(records, key=itemgetter(1)):
                section.add(_merged(list(same)))
            if section.num_names:
                sections[type] = section.write(writer)
        sections |= {name: vocabulary.copy_section(name, writer) for name, vocabulary in copied}
        if not sections:
            raise InputError(
                f"{path}: there is no concept with a name in the input; an empty vocabulary is not written"
            )
        writer.finish({"card": {"title": title, "sources": list(sources)}, "sections": sections})


def _sorted(concepts: Iterable[Concept], folder: Path) -> Iterator[_Record]:
    """All concepts as records, sorted by type and CURIE, and equal CURIEs in the order in which they came."""
    runs: list[Path] = []
    pending: list[_Record] = []
    num_names = 0
    for order, concept in enumerate(concepts):
        if not concept.type:
            raise InputError(f"concept {concept.curie}: it has no type; say which entities name it, with --type")
        tuples = (getattr(concept, name) for name in _TUPLES)
        pending.append((concept.type, concept.curie, order, concept.label, concept.taxon, concept.uses, *tuples))
        num_names += 1 + len(concept.synonyms) + len(concept.related) + len(concept.learnt)
        if num_names >= _NAMES_IN_MEMORY:
            runs.append(_write_run(pending, folder / f"run{len(runs)}"))
            pending, num_names = [], 0
    pending.sort(key=_order)
    return heapq.merge(*map(_read_run, runs), pending, key=_order)


def _order(record: _Record) -> tuple[str, str, int]:
    return record[0], record[1], record[2]


def _write_run(records: list[_Record], path: Path) -> Path:
    records.sort(key=_order)
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(record) + "\n" for record in records)
    return path


def _read_run(path: Path) -> Iterator[_Record]:
    with path.open(encoding="utf-8") as stream:
        yield from map(json.loads, stream)


def _merged(records: list[_Record]) -> Concept:
    """One concept of all records with its CURIE: the first label counts, and the other labels are synonyms."""
    labels = [record[3] for record in records if record[3]]
    taxa = [record[4] for record in records if record[4]]
    joined = (dict.fromkeys(chain(*each)) for each in zip(*(record[_FIRST_TUPLE:] for record in records), strict=True))
    tuples = dict(zip(_TUPLES, map(tuple, joined), strict=True))
    tuples["synonyms"] += tuple(labels[1:])
    label, taxon, uses = labels[0] if labels else "", taxa[0] if taxa else 0, sum(record[5] for record in records)
    return Concept(records[0][1], label, records[0][0], taxon=taxon, uses=uses, **tuples)


class _Section:
    """The concepts of one type on their way into the file."""

    def __init__(self, type: str, workspace: Path, has_near_names: Callable[[Concept], bool]) -> None:
        self.type, self.profile = type, profile_of(type)
        self._has_near_names, self._near = has_near_names, NearNamesBuilder()
        self._has_reordered = type in REORDERED_TYPES
        self._folder = Path(tempfile.mkdtemp(dir=workspace))
        self._names = _Partitions(self._folder)
        self._labels = _BlockWriter(self._folder / "labels")
        self._details = (self._folder / "details").open("w+", encoding="utf-8")
        self._taxa = (self._folder / "taxa").open("w+b")
        self._has_taxa = False
        self._uses = bytearray()
        self._curie_of_tree_number: dict[str, str] = {}
        self.num_concepts = self.num_names = 0

    def add(self, concept: Concept) -> None:
        number = self.num_concepts
        if number == MAX_CONCEPTS:
            raise InputError(f"{self.type}: more than {MAX_CONCEPTS:,} concepts; build two vocabularies")
        self.num_concepts += 1
        self._labels.add(to_line(concept.curie, concept.label or concept.curie))
        self._curie_of_tree_number |= dict.fromkeys(concept.tree_numbers, concept.curie)
        details = (concept.parents, concept.tree_numbers, concept.xrefs)
        self._details.write(to_line(*map(" ".join, details)) + "\n")
        self._taxa.write(concept.taxon.to_bytes(4, "little"))
        self._has_taxa |= bool(concept.taxon)
        self._uses.append(min(concept.uses, _MAX_USES))
        for key, kind in self._keys(concept).items():
            self._names.add(hash_of(key), kind << KIND_SHIFT | number)
            self.num_names += 1
        if self._has_near_names(concept):
            for kind, name in concept.names():
                if kind is not NameKind.RELATED and len(name) <= MAX_NAME:
                    self._near.add(bag_of(name, self.profile), number)

    def write(self, writer: Writer) -> dict[str, Any]:
        """Write the section's arrays; returns its entry in the header."""
        count, bits, tail_bits = self._names.sort()
        self._taxa.flush()
        details = _BlockWriter(self._folder / "detail_blocks")
        for line in self._resolved_details():
            details.add(line)
        arrays = {
            "remainders": writer.array("H", self._names.remainders(bits)),
            "tails": writer.array(TAIL_CODES[tail_bits], self._names.tails(bits, tail_bits)),
            "entries_low": writer.array("H", self._names.entries(0)),
            "entries_high": writer.array("H", self._names.entries(16)),
            "buckets": writer.array("I", self._names.buckets(bits)),
            **self._labels.write(writer, "labels"),
            **details.write(writer, "details"),
        }
        if self._has_taxa:
            arrays["taxa"] = writer.array("I", _pieces(self._taxa))
        self._taxa.close()
        if any(self._uses):
            arrays["uses"] = writer.array("B", [bytes(self._uses)])
        arrays |= self._near.write(writer)
        return {
            "arrays": arrays,
            "bits": bits,
            "concepts": self.num_concepts,
            "names": count,
            "profile": self.profile,
            "reordered": self._has_reordered,
            "tail_bits": tail_bits,
        }

    def _resolved_details(self) -> Iterator[str]:
        """Of each concept the parents and the cross-references, now that all tree numbers are known."""
        self._details.seek(0)
        for line in self._details:
            parents, tree_numbers, xrefs = line.removesuffix("\n").split("\t")
            above = (number.rpartition(".")[0] for number in tree_numbers.split())
            above_curies = [
                self._curie_of_tree_number[number] for number in above if number in self._curie_of_tree_number
            ]
            yield to_line(" ".join(dict.fromkeys([*parents.split(), *above_curies])), xrefs)
        self._details.close()

    def _keys(self, concept: Concept) -> dict[str, NameKind]:
        """The keys of all names, each with the best of its kinds. A name that is too long or has no letter gives none."""
        keys: dict[str, NameKind] = {}
        reordered: dict[str, NameKind] = {}
        for kind, name in concept.names():
            if len(name) <= MAX_NAME and (key := key_of(name, self.profile)):
                known = keys.setdefault(key, kind)
                if known is NameKind.LEARNT and kind in (NameKind.LABEL, NameKind.SYNONYM):
                    keys[key] = NameKind.CONFIRMED
                if self._has_reordered and kind is not NameKind.RELATED:
                    reordered.setdefault(bag_of(name, self.profile), NameKind.REORDERED)
        return reordered | keys


class _Partitions:
    """Pairs of a hash and an entry, on disk by the first byte of the hash."""

    def __init__(self, folder: Path) -> None:
        self._paths = [folder / f"names{number}" for number in range(_PARTITIONS)]
        self._hashes: list[int] = []
        self._entries: list[int] = []

    def add(self, hash: int, entry: int) -> None:
        self._hashes.append(hash)
        self._entries.append(entry)
        if len(self._hashes) == _NAMES_IN_MEMORY:
            self._spill()

    def sort(self) -> tuple[int, int, int]:
        """Sort all pairs, leave each concept once under a hash; returns their number and the bits that tell hashes apart:
        those of the buckets, and those that follow the 16 bits after them.
        """
        self._spill()
        count = needed = 0
        for path in self._existing():
            pairs = np.sort(np.fromfile(path, _RECORD), order=["hash", "entry"])
            # The first of a concept's entries under a hash has its best kind.
            concepts = pairs["entry"] & np.uint32(MAX_CONCEPTS - 1)
            _, first = np.unique(np.stack([pairs["hash"], concepts.astype("u8")]), axis=1, return_index=True)
            pairs = pairs[np.sort(first)]
            pairs.tofile(path)
            count += len(pairs)
            distinct = np.unique(pairs["hash"])
            if len(distinct) > 1:
                closest = int(np.min(distinct[1:] ^ distinct[:-1]))
                needed = max(needed, 64 - closest.bit_length() + 1)
        bits, rest = max(1, count.bit_length() - 3), needed - REMAINDER_BITS
        tail_bits = 8 if rest - 8 <= bits + 2 else 16
        return count, min(32, max(bits, rest - tail_bits)), tail_bits

    def remainders(self, bits: int) -> Iterator[bytes]:
        """The first 16 of the bits after those of the bucket."""
        shift = np.uint64(64 - bits - REMAINDER_BITS)
        return ((pairs["hash"] >> shift).astype("<u2").tobytes() for pairs in self._read())

    def tails(self, bits: int, tail_bits: int) -> Iterator[bytes]:
        """The bits after those."""
        shift, size = np.uint64(64 - bits - REMAINDER_BITS - tail_bits), f"<u{tail_bits // 8}"
        return ((pairs["hash"] >> shift).astype(size).tobytes() for pairs in self._read())

    def entries(self, shift: int) -> Iterator[bytes]:
        """16 bits of the entries, from this one up."""
        return ((pairs["entry"] >> np.uint32(shift)).astype("<u2").tobytes() for pairs in self._read())

    def buckets(self, bits: int) -> Iterator[bytes]:
        """Where each bucket starts, and the number of all pairs."""
        counts = np.zeros((1 << bits) + 1, "<u4")
        for pairs in self._read():
            numbers, sizes = np.unique(pairs["hash"] >> np.uint64(64 - bits), return_counts=True)
            counts[numbers.astype("i8") + 1] += sizes.astype("u4")
        yield np.cumsum(counts, dtype="<u4").tobytes()

    def _read(self) -> Iterator[np.ndarray[Any, np.dtype[Any]]]:
        return (np.fromfile(path, _RECORD) for path in self._existing())

    def _existing(self) -> list[Path]:
        return [path for path in self._paths if path.exists()]

    def _spill(self) -> None:
        pairs = np.empty(len(self._hashes), _RECORD)
        pairs["hash"], pairs["entry"] = self._hashes, self._entries
        first_bytes = pairs["hash"] >> np.uint64(56)
        for number in np.unique(first_bytes):
            with self._paths[int(number)].open("ab") as stream:
                stream.write(pairs[first_bytes == number].tobytes())
        self._hashes, self._entries = [], []


class _BlockWriter:
    """Lines of text, kept in a file until they are written as compressed blocks that share a dictionary."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("w+b")
        self._starts = [0]
        self._num_lines = self._num_bytes = 0

    def add(self, line: str) -> None:
        data = line.encode("utf-8", "replace") + b"\n"
        self._stream.write(data)
        self._num_lines += 1
        self._num_bytes += len(data)

    def write(self, writer: Writer, name: str) -> dict[str, list[int | str]]:
        """The arrays of the lines: the blocks, where each starts, with the number of all bytes, and the dictionary."""
        dictionary = self._dictionary()
        blocks = writer.array("B", self._blocks(dictionary))
        starts = writer.array("Q", [np.array(self._starts, "<u8").tobytes()])
        self._stream.close()
        return {name: blocks, f"{name}_starts": starts, f"{name}_dictionary": writer.array("B", [dictionary])}

    def _dictionary(self) -> bytes:
        """A small share of the lines, at equal distances: what a block has in common with them is written short."""
        size = min(_MAX_DICTIONARY, self._num_bytes // _DICTIONARY_SHARE)
        step = max(1, self._num_bytes // max(size, 1))
        self._stream.seek(0)
        chosen = b"".join(line for number, line in enumerate(self._stream) if number % step == 0)
        return chosen[:size]

    def _blocks(self, dictionary: bytes) -> Iterator[bytes]:
        self._stream.seek(0)
        for _ in range(0, self._num_lines, BLOCK):
            compressor = zlib.compressobj(9, zdict=dictionary)
            text = b"".join(islice(self._stream, BLOCK)).removesuffix(b"\n")
            data = compressor.compress(text) + compressor.flush()
            self._starts.append(self._starts[-1] + len(data))
            yield data


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    """What was written into a file, from its start."""
    stream.seek(0)
    while piece := stream.read(1 << 20):
        yield piece
