"""The shards of a corpus that is being built: which documents each holds, and writing one in a worker process."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.corpus.bag_of_words import line_of
from textome.corpus.duplicates import KEPT
from textome.corpus.ledger import no_room, read_documents_of, words_of_chunk, write_json
from textome.corpus.store import shard_name, write_shard
from textome.errors import InputError, UnfinishedError
from textome.formats.reading.sources import atomic_file
from textome.text.tokenization import Tokenizer


@dataclass(frozen=True)
class Shard:
    """The documents of a shard: chunks, each with the first and last of its documents and where its verdicts begin."""

    number: int
    pieces: tuple[tuple[Path, int, int, int], ...]


def planned_shards(chunk_paths: Sequence[Path], verdicts: NDArray[np.uint8], shard_words: int) -> list[Shard]:
    """Consecutive kept documents of about `shard_words` words for each shard."""
    shards: list[Shard] = []
    pieces: list[tuple[Path, int, int, int]] = []
    begin = weight = 0
    for path in chunk_paths:
        words = words_of_chunk(path)
        first = 0
        for document in np.flatnonzero(verdicts[begin : begin + len(words)] == KEPT):
            weight += int(words[document])
            if weight >= shard_words:
                pieces.append((path, first, int(document) + 1, begin))
                shards.append(Shard(len(shards), tuple(pieces)))
                pieces, weight, first = [], 0, int(document) + 1
        pieces.append((path, first, len(words), begin))
        begin += len(words)
    if weight:
        shards.append(Shard(len(shards), tuple(pieces)))
    return shards


class ShardWorker:
    """Writes shards, in a process of its own.

    drop_stop_words   None where no word counts are wanted; otherwise whether they are without stop words
    """

    def __init__(self, output: Path, work: Path, tokenizer: Path, verdicts: Path, drop_stop_words: bool | None) -> None:
        self._output, self._work, self._drop_stop_words = output, work, drop_stop_words
        self._tokenizer, self._verdicts = Tokenizer.load(tokenizer), np.load(verdicts, mmap_mode="r")

    def __call__(self, shard: Shard) -> dict[str, Any]:
        """Write a shard, and its word counts where they are wanted; returns its row of `corpus.json`."""
        documents = [
            document
            for path, first, end, begin in shard.pieces
            for number, document in enumerate(read_documents_of(path))
            if first <= number < end and self._verdicts[begin + number] == KEPT
        ]
        if self._drop_stop_words is not None:
            counts = self._work / _counts_name(shard.number)
            try:
                with counts.open("w", encoding="utf-8") as stream:
                    stream.writelines(line_of(id, sentences, self._drop_stop_words) for id, sentences in documents)
            except OSError as error:
                counts.unlink(missing_ok=True)
                raise no_room(counts, error) from error
        try:
            texts = [sentences for _, sentences in documents]
            row = write_shard(self._output, shard.number, texts, self._tokenizer)
        except InputError as error:
            raise UnfinishedError(str(error)) from error
        write_json(self._work / f"{shard_name(shard.number)}.json", row)
        return row


def join_word_counts(work: Path, shards: int, target: Path) -> None:
    """One file of the word counts of all shards, compressed where its name ends in .gz."""
    try:
        with atomic_file(target) as raw:
            stream: Any = gzip.GzipFile("", "wb", 6, raw, mtime=0) if target.suffix == ".gz" else raw
            for number in range(shards):
                with (work / _counts_name(number)).open("rb") as source:
                    shutil.copyfileobj(source, stream, 1 << 20)
            if stream is not raw:
                stream.close()
    except OSError as error:
        raise no_room(target, error) from error


def _counts_name(shard: int) -> str:
    return f"words-{shard:05}.jsonl"
