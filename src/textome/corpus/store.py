"""A corpus on disk: shards of token arrays that are mapped into memory, and the sentences that they were made of.

A corpus is a folder:

    corpus.json                 what made it, and its shards with sizes and hashes; written last, so that all is there
    shard-00000.tokens.npy      (tokens,) uint16, or uint32 for a vocabulary of over 65,536; no special tokens
    shard-00000.sentences.npy   (sentences + 1,) int64, where each sentence begins in `tokens`, and the end
    shard-00000.documents.npy   (documents + 1,) int64, the first sentence of each document, and the number of sentences
    shard-00000.txt.gz          the sentences, one a line, a blank line after each document: for another vocabulary later

The arrays are plain NumPy files (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.formats.reading.folders import hash_of
from textome.formats.reading.sources import atomic_file
from textome.text.tokenization import Tokenizer

FORMAT_VERSION = 1
DESCRIPTION = "corpus.json"
_ARRAYS = ("tokens", "sentences", "documents")


def shard_name(number: int) -> str:
    """The name that the files of a shard begin with."""
    return f"shard-{number:05}"


def write_shard(folder: Path, number: int, documents: Sequence[Sequence[str]], tokenizer: Tokenizer) -> dict[str, Any]:
    """Write one shard from documents (each its sentences) and return its row of `corpus.json`.

    White space becomes one blank, since the texts have a line for each sentence; what is empty then is left out. Raises
    InputError where the disk is full or not writable, with nothing of the shard left.
    """
    squeezed = [[line for sentence in document if (line := " ".join(sentence.split()))] for document in documents]
    documents = [document for document in squeezed if document]
    sentences = [sentence for document in documents for sentence in tokenizer.in_running_text(document)]
    kind = np.uint16 if tokenizer.vocabulary_size <= 1 << 16 else np.uint32
    pieces = [ids.astype(kind) for ids in tokenizer.ids(sentences)]
    arrays = {
        "tokens": np.concatenate([*pieces, np.empty(0, kind)]),
        "sentences": np.cumsum([0, *map(len, pieces)], dtype=np.int64),
        "documents": np.cumsum([0, *map(len, documents)], dtype=np.int64),
    }
    text = "".join("".join(f"{sentence}\n" for sentence in document) + "\n" for document in documents)
    name = shard_name(number)
    files = {part: folder / f"{name}.{part}" for part in (*(f"{array}.npy" for array in _ARRAYS), "txt.gz")}
    try:
        for array, values in arrays.items():
            with atomic_file(files[f"{array}.npy"]) as stream:
                np.save(stream, values)
        with atomic_file(files["txt.gz"]) as stream, gzip.GzipFile("", "wb", 5, stream, mtime=0) as packed:
            packed.write(text.encode())
        hashes = {part: hash_of(file) for part, file in files.items()}
    except OSError as error:
        for file in files.values():
            file.unlink(missing_ok=True)
        raise InputError(
            f"{folder / name}: the shard cannot be written ({error.strerror}); make room and start the command again"
        ) from error
    return {
        "name": name,
        "documents": len(documents),
        "sentences": len(sentences),
        "tokens": len(arrays["tokens"]),
        "words": sum(len(sentence.split()) for sentence in sentences),
        "sha256": hashes,
    }


def write_description(
    folder: Path, tokenizer: Tokenizer, shards: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
) -> None:
    """Write `corpus.json`, which makes the folder a corpus. `settings` is kept as it is (steps, inputs, report)."""
    described = {
        "format_version": FORMAT_VERSION,
        "tokenizer": {"sha256": tokenizer.fingerprint, "vocabulary_size": tokenizer.vocabulary_size},
        "shards": list(shards),
        "settings": dict(settings),
    }
    with atomic_file(folder / DESCRIPTION) as stream:
        stream.write(json.dumps(described, indent=1, ensure_ascii=False).encode())


@dataclass(frozen=True)
class Shard:
    """The arrays of one shard, mapped: reading a part of them reads only that part of the file."""

    path: Path
    tokens: NDArray[np.uint16] | NDArray[np.uint32]
    sentences: NDArray[np.int64]
    documents: NDArray[np.int64]

    @property
    def num_documents(self) -> int:
        return len(self.documents) - 1

    def document(self, number: int) -> list[NDArray[Any]]:
        """The token ids of each sentence of a document, as views of the mapped file."""
        bounds = self.sentences[self.documents[number] : self.documents[number + 1] + 1]
        return [self.tokens[start:end] for start, end in pairwise(bounds)]

    def texts(self) -> Iterator[list[str]]:
        """The sentences of each document, read in order."""
        document: list[str] = []
        with gzip.open(self.path.with_name(f"{self.path.name}.txt.gz"), "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                if line == "\n":
                    yield document
                    document = []
                else:
                    document.append(line.removesuffix("\n"))


@dataclass(frozen=True)
class Corpus:
    """A corpus opened for reading. `described` is the content of `corpus.json`."""

    folder: Path
    described: Mapping[str, Any]
    shards: tuple[Shard, ...]

    @classmethod
    def open(cls, folder: str | Path, tokenizer: Tokenizer | None = None) -> Self:
        """Map a corpus; with a tokenizer, check that the corpus was cut by the same one.

        Raises InputError for a folder without `corpus.json` (its build was not finished), a shard that is missing or
        shorter than described, and another tokenizer.
        """
        folder = Path(folder)
        described = _description(folder)
        if tokenizer is not None and described["tokenizer"]["sha256"] != tokenizer.fingerprint:
            raise InputError(
                f"{folder}: the corpus was cut by another tokenizer (vocabulary of "
                f"{described['tokenizer']['vocabulary_size']:,}, sha256 {described['tokenizer']['sha256'][:12]}...) than "
                f"the model's ({tokenizer.vocabulary_size:,}, {tokenizer.fingerprint[:12]}...); cut its sentences anew "
                f"with: textome preprocess {folder} --output NEW --tokenizer MODEL"
            )
        return cls(folder, described, tuple(_open_shard(folder, row) for row in described["shards"]))

    @property
    def num_tokens(self) -> int:
        return sum(len(shard.tokens) for shard in self.shards)

    @property
    def num_documents(self) -> int:
        return sum(shard.num_documents for shard in self.shards)

    def document(self, number: int) -> list[NDArray[Any]]:
        """The token ids of each sentence of document `number`, counted over all shards."""
        for shard in self.shards:
            if 0 <= number < shard.num_documents:
                return shard.document(number)
            number -= shard.num_documents
        raise IndexError(f"{self.folder}: the corpus has {self.num_documents} documents")

    def texts(self) -> Iterator[list[str]]:
        """The sentences of each document, in order."""
        for shard in self.shards:
            yield from shard.texts()

    def verify(self) -> None:
        """Compare the hash of every file with `corpus.json`. Raises InputError that names the first that differs."""
        for row in self.described["shards"]:
            for part, expected in row["sha256"].items():
                path = self.folder / f"{row['name']}.{part}"
                if hash_of(path) != expected:
                    raise InputError(f"{path}: the file is not what was written; build the corpus anew")


def is_corpus(folder: str | Path) -> bool:
    """Whether a folder is a finished corpus."""
    return (Path(folder) / DESCRIPTION).is_file()


def _description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    try:
        described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        half = folder.is_dir() and (any(folder.glob("*shard-*")) or (folder / ".work").is_dir())
        raise InputError(
            f"{folder}: there is no {DESCRIPTION}, "
            + (
                "so the corpus was not finished; go on with: textome preprocess ... --resume"
                if half
                else "so this is not a corpus; make one with: textome preprocess"
            )
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: the description of the corpus cannot be read ({error})") from error
    if not isinstance(described, dict) or described.get("format_version") != FORMAT_VERSION:
        raise InputError(f"{path}: this is not a description of a corpus of format {FORMAT_VERSION}; build it anew")
    return described


def _open_shard(folder: Path, row: Mapping[str, Any]) -> Shard:
    path = folder / str(row["name"])
    arrays: dict[str, Any] = {}
    for name in _ARRAYS:
        file = path.with_name(f"{path.name}.{name}.npy")
        try:
            arrays[name] = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{file}: the shard is missing or damaged ({error}); build the corpus anew") from error
    shard = Shard(path, **arrays)
    expected = (row["tokens"], row["sentences"] + 1, row["documents"] + 1)
    sizes = (len(shard.tokens), len(shard.sentences), len(shard.documents))
    if sizes != expected:
        raise InputError(
            f"{path}: the shard has sizes {sizes}, but {DESCRIPTION} says {expected}; build the corpus anew"
        )
    return shard
