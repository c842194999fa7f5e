"""Several modalities of one record, as a report and an image: each has its segment in one sequence, and may be missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source
from textome.inputs.dna import Dna
from textome.inputs.images import Images
from textome.inputs.molecules import Molecules
from textome.inputs.proteins import Proteins
from textome.inputs.records import Modality, Record, Segment, Segments, Shape
from textome.inputs.sensors import Sensors
from textome.inputs.speech import Speech
from textome.inputs.tables import Tables
from textome.inputs.words import Words

Part = Annotated[Images | Sensors | Speech | Dna | Molecules | Proteins | Tables | Words, Field(discriminator="kind")]
# Between the file that holds a part's content and the id of the record in it.
SEPARATOR = "::"


class Together(Modality):
    """JSON lines that bring the parts of each record together:

        {"id": "17", "label": "WBC", "split": "train", "parts": {"cell": "bccd.tar::17/0", "note": "a large cell"}}

    `label`, `labels` (a list of all that hold), or `values` by name for numbers; other texts are attributes. A part that is
    text stands there itself; any other is FILE::ID, the record of that id in a file of its modality, or FILE alone where it
    holds one record, relative to the lines' own folder. A part that is missing, null or empty is not there.

    parts   the modality of each part, by name, with its settings
    drop    while training, the share of records with several parts that lose one of them, drawn anew for each reading
    """

    kind: Literal["together"] = "together"
    parts: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")], Part] = Field(min_length=1)
    drop: float = Field(0.0, ge=0, lt=1)

    def read(self, path: str, quarantine: Quarantine) -> Iterator[Record]:
        source = Source.of(path)
        if source.is_directory:
            raise InputError(f"{path}: a directory; give the file of JSON lines that names the parts of each record")
        folder = source.path.parent if source.path is not None else Path()
        shelves: dict[tuple[str, str], dict[str, Any]] = {}
        with source.open() as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                try:
                    yield self._record(json.loads(line), number, folder, shelves, quarantine)
                except (InputError, ValueError) as error:
                    reason = error if isinstance(error, InputError) else f"this is not a line of JSON ({error})"
                    quarantine.add(path, f"line {number}", reason)

    def fitted(self, records: Sequence[Record]) -> Self:
        def learn(name: str, part: Modality) -> Modality:
            having = [replace(record, content=record.content[name]) for record in records if name in record.content]
            if not having:
                raise InputError(f"no training record has the part {name!r}; leave it out of modality.parts")
            return part.fitted(having)

        return self._each(learn)

    def continuing(self, base: Modality) -> Self:
        others = base.parts if isinstance(base, Together) else {}
        return self._each(lambda name, part: part.continuing(others[name]) if name in others else part)

    def with_tokenizer(self, tokenizer: str) -> Self:
        return self._each(lambda name, part: part.with_tokenizer(tokenizer))

    def shapes(self) -> dict[str, Shape]:
        return {name: _only(part.shapes(), name) for name, part in self.parts.items()}

    def features(self, content: Mapping[str, Any]) -> Segments:
        together: dict[str, Segment] = {}
        for name, part in self.parts.items():
            if name in content and (segments := part.features(content[name])):
                together[name] = _only(segments, name)
        if not together:
            raise InputError(f"the record has none of the parts that the model reads: {', '.join(self.parts)}")
        return together

    def augmented(self, content: Mapping[str, Any], generator: np.random.Generator) -> Mapping[str, Any]:
        names = list(content)
        if len(names) > 1 and generator.random() < self.drop:
            del names[int(generator.integers(len(names)))]
        return {name: self.parts[name].augmented(content[name], generator) for name in names}

    def without(self, content: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Each part, where another one is left, and what can be taken away of each, as a word or a column."""
        for name in content if len(content) > 1 else ():
            yield name, {key: value for key, value in content.items() if key != name}
        for name, value in content.items():
            for piece, rest in self.parts[name].without(value):
                yield f"{name}: {piece}", {**content, name: rest}

    def token_names(self, content: Mapping[str, Any]) -> dict[str, list[str]]:
        names = {name: part.token_names(content[name]) for name, part in self.parts.items() if name in content}
        return {name: _only(own, name) for name, own in names.items() if own}

    def varied(self, segments: Segments, generator: np.random.Generator) -> Segments:
        def change(name: str, segment: Segment) -> Segment:
            part = self.parts[name]
            (own,) = part.shapes()  # the part knows its segment by its own name
            changed: Segment = _only(part.varied({own: segment}, generator), name)
            return changed

        return {name: change(name, segment) for name, segment in segments.items()}

    def views(self, content: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        choices = [self.parts[name].views(part) for name, part in content.items()]
        return [dict(zip(content, chosen, strict=True)) for chosen in product(*choices)]

    def _each(self, change: Callable[[str, Any], Any]) -> Self:
        return self.model_copy(update={"parts": {name: change(name, part) for name, part in self.parts.items()}})

    def _record(
        self,
        values: Any,
        number: int,
        folder: Path,
        shelves: dict[tuple[str, str], dict[str, Any]],
        quarantine: Quarantine,
    ) -> Record:
        named = values.get("parts") if isinstance(values, dict) else None
        if not isinstance(named, dict):
            raise InputError('expected an object with "parts", a text for each part')
        content: dict[str, Any] = {}
        for name, value in named.items():
            if name not in self.parts or value is None:
                continue  # a model of the image alone reads the same lines as one of both
            if not isinstance(value, str):
                raise InputError(
                    f"part {name!r} is {json.dumps(value)[:40]}; expected a text, or null where it is missing"
                )
            if value.strip():
                content[name] = self._content(name, value, folder, shelves, quarantine)
        if not content:
            raise InputError(f"the record has none of the parts that are read here: {', '.join(self.parts)}")
        attributes = {name: value for name, value in values.items() if isinstance(value, str)}
        target = attributes.pop("label", None) or _labels(values.get("labels")) or _numbers(values.get("values"))
        return Record(attributes.pop("id", f"line-{number}"), metadata=attributes, content=content, target=target)

    def _content(
        self,
        name: str,
        value: str,
        folder: Path,
        shelves: dict[tuple[str, str], dict[str, Any]],
        quarantine: Quarantine,
    ) -> Any:
        part = self.parts[name]
        if isinstance(part, Words):
            return value
        path, _, key = value.partition(SEPARATOR)
        if (name, path) not in shelves:
            # A file is read once for all its records, not once for each.
            read = part.read(str(folder / path), quarantine)
            shelves[name, path] = {record.id: record.content for record in read}
        shelf = shelves[name, path]
        if not key and len(shelf) == 1:
            (key,) = shelf
        if key not in shelf:
            raise InputError(
                f"part {name!r}: {path} has no record {key!r} that can be read"
                if key
                else f"part {name!r}: {path} has {len(shelf)} records; say which, as {path}{SEPARATOR}ID"
            )
        return shelf[key]


def _only(segments: Mapping[str, Any], name: str) -> Any:
    """The one segment, or shape, of a part."""
    if len(segments) != 1:
        raise InputError(f"part {name!r} has {len(segments)} segments; a part is one")
    return next(iter(segments.values()))


def _labels(values: Any) -> tuple[str, ...] | None:
    if values is None:
        return None
    if not isinstance(values, list) or not all(isinstance(name, str) for name in values):
        raise InputError(f"labels is {json.dumps(values)[:40]}; expected a list of texts")
    return tuple(dict.fromkeys(values))


def _numbers(values: Any) -> dict[str, float] | None:
    if not isinstance(values, dict):
        return None
    not_numeric = next((name for name, value in values.items() if value is not None and not _is_number(value)), None)
    if not_numeric is not None:
        raise InputError(f"values: {not_numeric!r} is not a number; leave it out, or null, where it is not known")
    return {name: float(value) for name, value in values.items() if value is not None}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
