"""Look-up: from a name to its concepts, and from a concept to its label, parents and cross-references.

One section a type of entity. A section's names are a hash table without names: the 64-bit hash of a name's key (see
`keys`) picks a bucket by its first `bits` bits, and the next 24 bits, of large sections 32, are looked for among the sorted
ones of that bucket. They are enough to tell all known names apart; a name that the vocabulary does not hold is taken for
one that it holds with a probability below 2^-20, since `bits` is at least log2(names) - 4.

The first 16 of these bits lie in one array and the others in a second, and so do the 16 lower and the 16 upper bits of an
entry: apart they compress better in a wheel.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from textome.vocabularies.concepts import NameKind
from textome.vocabularies.keys import bag_of, hash_of, key_of
from textome.vocabularies.layout import MappedFile, Writer
from textome.vocabularies.near import Array, Near, NearNames

# An entry is a concept's number with the kind of its name above.
KIND_SHIFT = 28
REMAINDER_BITS = 16
TAIL_CODES = {8: "B", 16: "H"}
MAX_CONCEPTS = 1 << KIND_SHIFT
BLOCK = 256  # concepts in one compressed block of text
# Of each text of a section, what was used last is kept: blocks of about 8 kB, and lines.
_BLOCKS_KEPT = 256
_LINES_KEPT = 2048
_KINDS = tuple(NameKind)


class Hit(NamedTuple):
    """A concept of a section by its number, and what the name is to it."""

    number: int
    kind: NameKind


@dataclass(frozen=True, slots=True)
class Card:
    """What an index says of itself: title, sources (name, file, sha256, version, terms) and counts of each type."""

    title: str
    sources: tuple[dict[str, str], ...] = ()
    counts: dict[str, dict[str, int]] = field(default_factory=dict)


class Section:
    """The concepts of one type of entity."""

    def __init__(self, file: MappedFile, type: str, header: dict[str, Any]) -> None:
        arrays = header["arrays"]
        self.type, self.profile = type, str(header["profile"])
        self.has_reordered = bool(header["reordered"])
        self.num_concepts, self.num_names = int(header["concepts"]), int(header["names"])
        self._shift, self._tail_bits = 64 - int(header["bits"]), int(header["tail_bits"])
        self._buckets = file.array(arrays["buckets"])
        self._remainders, self._tails = file.array(arrays["remainders"]), file.array(arrays["tails"])
        self._low, self._high = file.array(arrays["entries_low"]), file.array(arrays["entries_high"])
        self._taxa = file.array(arrays["taxa"]) if "taxa" in arrays else None
        self._uses = file.array(arrays["uses"]) if "uses" in arrays else None
        self._labels, self._details = _Blocks(file, arrays, "labels"), _Blocks(file, arrays, "details")
        self._near = NearNames(file, arrays, self.profile) if "near_concepts" in arrays else None

    def look_up(self, name: str) -> list[Hit]:
        """The concepts of a name, the preferred first; none where the vocabulary does not hold the name."""
        return self.look_up_key(key_of(name, self.profile))

    def look_up_reordered(self, name: str) -> list[Hit]:
        """The concepts that have a name of the same words in another order. None where the section keeps no such names."""
        return self.look_up_key(bag_of(name, self.profile)) if self.has_reordered else []

    @property
    def has_near(self) -> bool:
        """Whether names that resemble a given one can be looked up."""
        return self._near is not None

    def nearest(self, name: str, count: int = 5) -> list[Near]:
        """The concepts with names that resemble this one, the nearest first. None where the section keeps no such names."""
        return self._near.nearest(name, count) if self._near else []

    def look_up_key(self, key: str) -> list[Hit]:
        """The concepts of a key as `keys.key_of` makes it, the preferred first."""
        if not key:
            return []
        number = hash_of(key)
        bucket, remainder = number >> self._shift, number >> (self._shift - REMAINDER_BITS) & 0xFFFF
        tail = number >> (self._shift - REMAINDER_BITS - self._tail_bits) & (1 << self._tail_bits) - 1
        end = self._buckets[bucket + 1]
        index = bisect_left(self._remainders, remainder, self._buckets[bucket], end)
        hits = []
        while index < end and self._remainders[index] == remainder:
            if self._tails[index] == tail:
                entry = self._high[index] << 16 | self._low[index]
                hits.append(Hit(entry & (MAX_CONCEPTS - 1), _KINDS[entry >> KIND_SHIFT]))
            index += 1
        return hits

    def curie(self, number: int) -> str:
        return self._labels.columns(number)[0]

    def label(self, number: int) -> str:
        return self._labels.columns(number)[1]

    def taxon(self, number: int) -> int:
        """The species of a gene, as a number of the NCBI Taxonomy; 0 if there is none."""
        return self._taxa[number] if self._taxa else 0

    def uses(self, number: int) -> int:
        """How many mentions in annotated corpora a concept has, at most 255."""
        return self._uses[number] if self._uses else 0

    def current(self, curie: str) -> str:
        """The CURIE that has replaced this one, where the section knows one; else this one."""
        hits = self.look_up(curie) if self.find(curie) is None else []
        return self.curie(hits[0].number) if hits else curie

    def parents(self, number: int) -> list[str]:
        """The CURIEs of the next broader concepts."""
        return self._detail(number, 0)

    def xrefs(self, number: int) -> list[str]:
        """The CURIEs of the same concept in other terminologies."""
        return self._detail(number, 1)

    def find(self, curie: str) -> int | None:
        """The number of a concept by its CURIE; None where the section does not hold it."""
        number = bisect_left(range(self.num_concepts), curie, key=self.curie)
        return number if number < self.num_concepts and self.curie(number) == curie else None

    def ancestors(self, curie: str) -> Iterator[str]:
        """The CURIEs of all broader concepts, the nearest first, each once."""
        seen, queue = {curie}, [curie]
        while queue:
            number = self.find(queue.pop(0))
            for parent in self.parents(number) if number is not None else []:
                if parent not in seen:
                    seen.add(parent)
                    queue.append(parent)
                    yield parent

    def labels_with(self, text: str) -> Iterator[tuple[int, str]]:
        """The concepts whose label holds a text, in any case, by number and label. Reads all labels, and keeps none."""
        lowered = text.lower()
        pattern = lowered.encode("utf-8", "surrogatepass")
        for block, data in enumerate(self._labels.blocks()):
            if pattern in data.lower() or (not pattern.isascii() and lowered in data.decode().lower()):
                for offset, line in enumerate(data.decode().split("\n")):
                    label = line.partition("\t")[2]
                    if lowered in label.lower():
                        yield block * BLOCK + offset, label

    def _detail(self, number: int, column: int) -> list[str]:
        columns = self._details.columns(number)
        return columns[column].split() if column < len(columns) else []


class Vocabulary:
    """An index of one or several terminologies: a memory-mapped file, with no load time, shared between processes."""

    def __init__(self, file: MappedFile) -> None:
        card = file.header["card"]
        sections = file.header["sections"]
        counts = {type: {"concepts": each["concepts"], "names": each["names"]} for type, each in sections.items()}
        self.path, self.sha256 = file.path, str(file.header["sha256"])
        self.card = Card(card["title"], tuple(card["sources"]), counts)
        self._file = file
        self._sections = {type: Section(file, type, each) for type, each in sections.items()}

    @classmethod
    def open(cls, path: str | Path) -> Vocabulary:
        """The index at `path`. Raises InputError where the file is not an index, of another version, or cut short."""
        return cls(MappedFile(Path(path)))

    @property
    def types(self) -> Sequence[str]:
        return tuple(self._sections)

    def section(self, type: str) -> Section | None:
        return self._sections.get(type)

    def find(self, curie: str) -> tuple[Section, int] | None:
        """The section and the number of a concept by its CURIE."""
        for section in self._sections.values():
            if (number := section.find(curie)) is not None:
                return section, number
        return None

    def copy_section(self, type: str, writer: Writer) -> dict[str, Any]:
        """Write the arrays of a section into another index; returns its entry in that one's header."""
        header: dict[str, Any] = self._file.header["sections"][type]
        # In the order of the file, empty arrays before the ones that begin where they do.
        arrays = sorted(header["arrays"].items(), key=lambda item: item[1][1:])
        copied = {name: writer.array(entry[0], [self._file.array(entry).tobytes()]) for name, entry in arrays}
        return header | {"arrays": copied}

    def verify(self) -> None:
        """Read the whole file. Raises InputError where it is damaged."""
        self._file.verify()


class _Blocks:
    """Lines of text, one a concept, compressed in blocks of `BLOCK` with one dictionary. `columns` splits a line."""

    def __init__(self, file: MappedFile, arrays: dict[str, list[Any]], name: str) -> None:
        text_bytes, bounds = file.array(arrays[name]), file.array(arrays[f"{name}_starts"])
        dictionary = file.array(arrays[f"{name}_dictionary"])

        def text_of(block: int) -> bytes:
            return zlib.decompressobj(zdict=dictionary).decompress(text_bytes[bounds[block] : bounds[block + 1]])

        @lru_cache(maxsize=_BLOCKS_KEPT)
        def lines_of(block: int) -> tuple[bytes, Array]:
            """The text of a block, and where the line breaks before and after its lines are."""
            text = text_of(block)
            breaks = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
            return text, np.concatenate([[-1], breaks, [len(text)]])

        @lru_cache(maxsize=_LINES_KEPT)
        def columns(number: int) -> list[str]:
            text, breaks = lines_of(number // BLOCK)
            before, after = breaks[number % BLOCK :][:2].tolist()
            return text[before + 1 : after].decode().split("\t")

        self._text_of, self._number = text_of, len(bounds) - 1
        self.columns = columns

    def blocks(self) -> Iterator[bytes]:
        """The text of each block as UTF-8; none is kept."""
        return map(self._text_of, range(self._number))


def to_line(*columns: str) -> str:
    """Columns as one line of a block. Tabs and line breaks inside become spaces."""
    return "\t".join(" ".join(column.split()) for column in columns)
