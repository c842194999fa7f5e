"""What travels from raw files to a model: records with their content, and segments, the sequences that a model reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from textome.datasets.labelled import chosen_part
from textome.documents import Document
from textome.documents import Record as Record
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source, guarded
from textome.settings import Fields

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a segment is made of, from which a model makes its embedder.

    kind      "vectors", each of `size` numbers, or "tokens" of a vocabulary of `size`
    axes      how many positions there are on each axis: one for a series, two for an image
    downsamplings   so many convolutions with stride 2 each halve a segment of vectors before the encoder
    mask_id   of tokens: the one that hides another in masked pretraining
    special   of tokens: ids that are never hidden
    text      of tokens: words in the vocabulary of the text encoder that the model starts from
    """

    kind: Literal["vectors", "tokens"]
    size: int
    axes: tuple[int, ...]
    downsamplings: int = 0
    mask_id: int | None = None
    special: tuple[int, ...] = ()
    text: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """One modality's part of a sequence.

    values     (frames, size) float32 of vectors, (frames,) int64 of tokens
    positions  (tokens, axes) int64, where each stands; tokens = frames, halved (rounded up) `downsamplings` times
    """

    values: NDArray[Any]
    positions: NDArray[np.int64]


Segments = Mapping[str, Segment]


class Modality(Fields):
    """A way from raw files to segments. The fields of a modality are its settings, as a recipe and a bundle write them.

    Beside `kind`, by which recipes and bundles name it, it has these methods; those after `features` may stay as they are.
    """

    kind: str

    def read(self, path: str, quarantine: Quarantine) -> Iterator[Record]:
        """The records of a file or folder. Bad ones are quarantined with their path and reason.

        Raises InputError where the path cannot be read at all.
        """
        raise NotImplementedError

    def other_files(self, path: str) -> list[str]:
        """The files that are read along with this one."""
        return []

    def content_of(self, document: Document) -> Any:
        """The content of a record, or of a document whose text is one. Raises InputError for any other."""
        if isinstance(document, Record):
            return document.content
        return self.from_text(document.text.strip())

    def from_text(self, text: str) -> Any:
        """The content that a text writes down, as a sequence's letters. Raises InputError where no text can."""
        raise InputError(f"the model reads {self.kind}, which a text cannot write down; give it files")

    def shapes(self) -> dict[str, Shape]:
        """The segments that a sequence may have, by name and in their order. Called after `fitted`."""
        raise NotImplementedError

    def features(self, content: Any) -> Segments:
        """The segments of one record, without those that are missing. Raises InputError where nothing can be made of it."""
        raise NotImplementedError

    def check(self, content: Any) -> None:
        """Raises InputError where nothing can be made of a content."""
        self.features(content)

    def fitted(self, records: Sequence[Record]) -> Self:
        """The modality with what it learns from training records: means, vocabularies."""
        return self

    def continuing(self, base: Modality) -> Self:
        """The modality with what another model's, which training starts from, has learnt, as its vocabulary."""
        return self

    def with_tokenizer(self, tokenizer: str) -> Self:
        """The modality with the words of the text encoder that training starts from: the text of its `tokenizer.json`."""
        return self

    def augmented(self, content: Any, generator: np.random.Generator) -> Any:
        """Another content that means the same, drawn anew for each reading while training."""
        return content

    def without(self, content: Any) -> Iterator[tuple[str, Any]]:
        """The name of each part of a content that can be taken away, as a column, and the content without it."""
        yield from ()

    def token_names(self, content: Any) -> dict[str, list[str]]:
        """What people call each token of each segment: its position from 1, unless the modality knows a better word."""
        return {
            name: [",".join(str(number + 1) for number in position) for position in segment.positions.tolist()]
            for name, segment in self.features(content).items()
        }

    def varied(self, segments: Segments, generator: np.random.Generator) -> Segments:
        """Augmentation of the segments themselves, as hidden stretches of time."""
        return segments

    def views(self, content: Any) -> Sequence[Any]:
        """Contents that mean the same, over whose scores a prediction is averaged."""
        return [content]

    @property
    def follows(self) -> bool:
        """Whether records are moments in the life of a patient, see `moment_of`."""
        return False

    def moment_of(self, record: Record) -> tuple[str, float] | None:
        """Whose record it is and of when, where one patient has several records; they stay together in a split."""
        return None


def beside(path: str, file: str) -> Path:
    """A file that is named relative to the folder of another one; that of standard input is where the process is."""
    source = Source.of(path)
    return (source.path.parent if source.path is not None else Path()) / file


def read_records(modality: Modality, path: str, quarantine: Quarantine) -> Iterator[Record]:
    """The records at `PLACE` or `PLACE#RULE`, where rules are joined by `&` and each is one of

        0-80%            records whose id falls there (by sha256, so the same everywhere); of visits, the patient's id
        in:FILE, out:FILE   records that a JSON list or object names, or does not
        NAME=A,B         records with one of these values of an attribute, as speaker=theo
        NAME:0-80%       records whose value of an attribute falls there, so that no value is on both sides of a split
        !RULE            the others

    A second record of an id is quarantined. Raises InputError for an unknown rule or attribute, and as `Modality.read`.
    """
    file, is_chosen = part_of(path, modality)
    yield from filter(is_chosen, unique_records(modality, file, quarantine))


def unique_records(modality: Modality, path: str, quarantine: Quarantine) -> Iterator[Record]:
    """The records of a file or folder; a second one of an id is quarantined."""
    seen: set[str] = set()
    for record in guarded(modality.read(path, quarantine), path, quarantine):
        if record.id in seen:
            quarantine.add(path, f"record {record.id}", "this id stands twice; the second record is left out")
            continue
        seen.add(record.id)
        yield record


def part_of(path: str, modality: Modality) -> tuple[str, Callable[[Record], bool]]:
    """The file of `PLACE#RULE`, and which of its records the rules choose. Raises InputError for an unknown rule."""
    file, _, rules = path.partition("#")
    chosen = [_rule(rule, file, path, modality) for rule in rules.split("&") if rule]
    return file, lambda record: all(holds(record) for holds in chosen)


def _rule(rule: str, path: str, where: str, modality: Modality) -> Callable[[Record], bool]:
    if rule.startswith("!"):
        inner = _rule(rule[1:], path, where, modality)
        return lambda record: not inner(record)
    name, equals, values = rule.partition("=")
    if equals:
        allowed = set(values.split(","))
        return lambda record: _attribute(record, name, where) in allowed
    name, colon, share = rule.partition(":")
    if colon and share.endswith("%"):
        by_value = chosen_part(share, Path(path).parent, where)
        return lambda record: by_value(_attribute(record, name, where))
    by_id = chosen_part(rule, Path(path).parent, where)

    def falls(record: Record) -> bool:
        moment = modality.moment_of(record)
        return by_id(record.id if moment is None else moment[0])

    return falls


def _attribute(record: Record, name: str, where: str) -> str:
    """Raises InputError where the record has no such attribute."""
    if name not in record.metadata:
        known = ", ".join(record.metadata) or "none"
        raise InputError(f"{where}: record {record.id} has no attribute {name!r}; it has: {known}")
    return record.metadata[name]


def typical_distances(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median distance of (rows, columns) from the median of each column; 1 where that is 0, NaN left out."""
    distances = np.nanmedian(np.abs(values - np.nanmedian(values, 0)), 0)
    return np.where(distances > 0, distances, 1.0)
