"""What a corpus is made from: files, folders, archives and other corpora, cut into parts that are worked on by themselves.

A part is some files, or one large one, in the order of the inputs. The parts depend on the inputs alone, so that a build
gives the same with any number of processes, and one that was stopped goes on.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePath
from typing import BinaryIO

from textome.corpus.store import is_corpus
from textome.errors import InputError
from textome.formats import Quarantine, Source
from textome.formats.reading.archives import SEPARATOR, is_archive, members
from textome.formats.reading.folders import STANDOFF, lies_beside, once

PART_FILES = 512
PART_BYTES = 8 * 1024**2
# A member of an archive that is larger goes through the disk, so that it is not in memory whole.
_LARGE_MEMBER = 16 * 1024**2


@dataclass(frozen=True)
class File:
    """One thing to read: a file at `path`, or its content as `data`.

    named        the user named it itself, so that it should hold text
    temporary    to be removed when it has been read
    sentences    texts of a corpus: a sentence a line, blank lines between documents
    """

    name: str
    path: Path | None = None
    data: bytes | None = None
    named: bool = False
    temporary: bool = False
    sentences: bool = False

    def source(self) -> Source:
        return Source(self.name, path=None if self.data is not None else self.path, data=self.data)


@dataclass(frozen=True)
class Part:
    """Some files; `key` tells whether they are the same as in an earlier run, by names and sizes."""

    number: int
    files: tuple[File, ...]
    key: str
    position: int  # how many bytes of all inputs lie before its end, as far as known


class Parts:
    """The parts of all inputs, one after the other.

    An input that cannot be read goes to `problems` and the others go on; where it is the only one, InputError is raised.

    spool     folder for large members of archives, and for standard input (`-`)
    """

    def __init__(self, inputs: Sequence[str], problems: Quarantine, spool: Path) -> None:
        self.skipped_files = 0
        self._inputs = once(inputs)
        self._problems = problems
        self._spool = spool
        self._position = 0
        self._number = 0
        self._spooled = 0

    @property
    def size(self) -> int:
        """Bytes of all inputs together, folders apart; to tell how far things are."""
        return sum(_size(Path(item.partition(SEPARATOR)[0])) for item in self._inputs)

    def __iter__(self) -> Iterator[Part]:
        waiting: list[tuple[File, int]] = []
        weight = 0
        for file, size in self._files():
            if waiting and (weight + size > PART_BYTES or len(waiting) >= PART_FILES):
                yield self._part(waiting)
                waiting, weight = [], 0
            waiting.append((file, size))
            weight += size
        if waiting:
            yield self._part(waiting)

    def _part(self, files: list[tuple[File, int]]) -> Part:
        key = blake2b("\0".join(f"{file.name}\0{size}" for file, size in files).encode("utf-8", "surrogateescape"))
        part = Part(self._number, tuple(file for file, _ in files), key.hexdigest()[:32], self._position)
        self._number += 1
        return part

    def _files(self) -> Iterator[tuple[File, int]]:
        for item in self._inputs:
            try:
                yield from self._files_of(item)
            except InputError as error:
                if len(self._inputs) == 1:
                    raise
                self._problems.add(item, "", str(error).removeprefix(f"{item}: "))

    def _files_of(self, item: str) -> Iterator[tuple[File, int]]:
        archive, _, inside = item.partition(SEPARATOR)
        path = Path(item)
        if inside and not path.exists() and Path(archive).is_file():
            yield from self._members(Path(archive), inside)
        elif item == "-":
            yield self._through_disk("<stdin>", sys.stdin.buffer)
        elif path.is_dir():
            has_files = False
            for file, size in self._walk(path):
                has_files = True
                yield file, size
            if not has_files:
                raise InputError(f"{item}: the folder holds no files that could hold text")
        elif not path.exists():
            raise InputError(f"{item}: no such file or directory")
        elif is_archive(path, Source.of(path).head()):
            yield from self._members(path, "")
        else:
            yield self._file(path, named=True)

    def _walk(self, folder: Path) -> Iterator[tuple[File, int]]:
        """The files of a folder in the order of their names, folder by folder; of a corpus its texts."""
        if is_corpus(folder):
            for path in sorted(folder.glob("shard-*.txt.gz")):
                yield self._file(path, sentences=True)
            return
        try:
            with os.scandir(folder) as entries:
                members = sorted(
                    (entry.name, entry.is_dir(follow_symlinks=False), entry.is_file()) for entry in entries
                )
        except OSError as error:
            self._problems.add(str(folder), "", f"the folder cannot be read ({error.strerror})")
            return
        for name, is_folder, is_file in members:
            path = folder / name
            if is_folder and not lies_beside(name):
                yield from self._walk(path)
            elif is_file and _is_no_text(name):
                self.skipped_files += 1
            elif is_file:  # no pipe or device, and no link to a folder, which could lead round in circles
                try:
                    if is_archive(path, Source.of(path).head()):
                        yield from self._members(path, "")
                    else:
                        yield self._file(path)
                except InputError as error:
                    self._problems.add(str(path), "", str(error).removeprefix(f"{path}: "))

    def _file(self, path: Path, named: bool = False, sentences: bool = False) -> tuple[File, int]:
        size = _size(path)
        self._position += size
        return File(str(path), path, named=named, sentences=sentences), size

    def _members(self, archive: Path, inside: str) -> Iterator[tuple[File, int]]:
        before = self._position
        num_members = 0
        for member in members(archive, inside):
            self._position = before + member.packed_position
            if _is_no_text(member.name):
                self.skipped_files += 1
                continue
            num_members += 1
            name = f"{archive}{SEPARATOR}{member.name}"
            if member.size > _LARGE_MEMBER:
                yield self._through_disk(name, member.stream)
            else:
                yield File(name, data=member.stream.read()), member.size
        self._position = before + _size(archive)
        if not num_members:
            raise InputError(f"{archive}: the archive holds no files" + (f" at {inside}" if inside else ""))

    def _through_disk(self, name: str, stream: BinaryIO) -> tuple[File, int]:
        path = self._spool / f"spooled-{self._spooled}"
        self._spooled += 1
        try:
            with path.open("wb") as copy:
                shutil.copyfileobj(stream, copy, 1 << 20)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise InputError(f"{name}: cannot be copied to {self._spool} ({error.strerror or error})") from error
        return File(name, path, temporary=True), _size(path)


def _is_no_text(name: str) -> bool:
    """Whether a file holds annotations, or lies beside data: it has no text of its own."""
    return lies_beside(name) or PurePath(name).suffix in STANDOFF


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
