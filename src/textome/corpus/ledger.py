"""What a build has done so far, on disk: the texts of each part and what was counted, so that a stopped build goes on.

In the folder `.work` of a corpus that is being made stand, for each part of the inputs, chunks of kept documents

    part-00000-000.jsonl.gz                  a line for each document: its id and its sentences
    part-00000-000.{digests,signatures,bands}.npy   their fingerprints (duplicates)
    part-00000-000.words.npy                 (documents,) int64
    part-00000-000.json                      what was counted; written last, so that all before it is there

and `part-00000.json`, which says that the part is done. Nothing here has a name before it is complete on disk.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.corpus.duplicates import Fingerprints
from textome.errors import InputError, UnfinishedError
from textome.formats.reading.sources import atomic_file

WORK = ".work"
_FINGERPRINTS = ("digests", "signatures", "bands")


def part_name(part: int) -> str:
    return f"part-{part:05}"


def chunk_name(part: int, chunk: int) -> str:
    return f"part-{part:05}-{chunk:03}"


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON so that the file is whole or not there. Raises UnfinishedError where the disk is full."""
    try:
        with atomic_file(path) as stream:
            stream.write(json.dumps(values, ensure_ascii=False).encode())
    except OSError as error:
        raise no_room(path, error) from error


def read_json(path: Path) -> dict[str, Any] | None:
    """What `write_json` wrote, or None where it did not. Raises InputError where it is something else."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete the folder and build the corpus anew") from error
    return values


def write_chunk(
    path: Path, documents: Sequence[tuple[str, Sequence[str]]], fingerprints: Fingerprints, counted: Mapping[str, Any]
) -> None:
    """Write one chunk of kept documents, each its id and sentences. Raises UnfinishedError where the disk is full."""
    words = np.array([sum(len(text.split()) for text in sentences) for _, sentences in documents], np.int64)
    arrays = {name: getattr(fingerprints, name) for name in _FINGERPRINTS} | {"words": words}
    try:
        for name, values in arrays.items():
            with atomic_file(path.with_name(f"{path.name}.{name}.npy")) as stream:
                np.save(stream, values)
        with (
            atomic_file(path.with_name(f"{path.name}.jsonl.gz")) as stream,
            gzip.GzipFile("", "wb", 1, stream, mtime=0) as packed,
        ):
            for id, sentences in documents:
                packed.write(json.dumps([id, list(sentences)], ensure_ascii=False).encode("utf-8") + b"\n")
    except OSError as error:
        raise no_room(path, error) from error
    write_json(path.with_name(f"{path.name}.json"), counted)


def read_documents_of(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The id and the sentences of each document of a chunk."""
    with gzip.open(path.with_name(f"{path.name}.jsonl.gz"), "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            id, sentences = json.loads(line)
            yield id, sentences


def words_of_chunk(path: Path) -> NDArray[np.int64]:
    """(documents,) the number of words of each document of a chunk."""
    words: NDArray[np.int64] = np.load(path.with_name(f"{path.name}.words.npy"))
    return words


@contextmanager
def only_builder(work: Path) -> Iterator[None]:
    """Keep other builds out of the same folder. Raises InputError where another is at work in it."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UnfinishedError(f"{work.parent}: another textome preprocess is at work here; wait for it") from error
        yield


def no_room(path: Path, error: OSError) -> UnfinishedError:
    return UnfinishedError(
        f"{path}: cannot be written ({error.strerror or error}); make room and go on with --resume, what is done is kept"
    )
