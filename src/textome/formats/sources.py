"""What a format reads from and writes to, and where its bad records go."""

from __future__ import annotations

import gzip
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import BinaryIO, cast

from textome.errors import InputError
from textome.formats.archives import SEPARATOR, unpacked
from textome.formats.compression import DECOMPRESSION_ERRORS, decompressed

HEAD_SIZE = 4096


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that could not be read: the file, the place in it ("line 12", "record 3, PMID 123"), and why."""

    source: str
    position: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}, {self.position}: {self.reason}" if self.position else f"{self.source}: {self.reason}"


@dataclass
class Quarantine:
    """Collects bad records so that the good ones go on. The first `keep` are kept in full; all are counted."""

    keep: int = 1000
    count: int = 0
    records: list[BadRecord] = field(default_factory=list)

    def add(self, source: str, position: str, reason: object) -> None:
        self.count += 1
        if len(self.records) < self.keep:
            self.records.append(BadRecord(source, position, str(reason)))


class StrictQuarantine(Quarantine):
    """Raises InputError at the first bad record: for data where a missing record would be a wrong result."""

    def add(self, source: str, position: str, reason: object) -> None:
        raise InputError(str(BadRecord(source, position, str(reason))))


@dataclass(frozen=True)
class Source:
    """A file, a directory (brat), or standard input, opened as often as needed and decompressed by its content.

    `data` holds the bytes where there is no file: standard input, or a text in a test.
    """

    name: str
    path: Path | None = None
    data: bytes | None = None

    @classmethod
    def of(cls, place: str | Path) -> Source:
        """The source at `place`: "-" is standard input, `a.tar.gz!folder/b.txt` a place inside an archive.

        Raises InputError where there is no such file.
        """
        if str(place) == "-":
            return cls("<stdin>", data=sys.stdin.buffer.read())
        path = Path(place)
        archive, _, inner = str(place).partition(SEPARATOR)
        if inner and not path.exists() and Path(archive).is_file():
            path = unpacked(Path(archive)) / inner
        if not path.exists():
            raise InputError(f"{place}: no such file or directory")
        return cls(str(place), path=path)

    @property
    def stem(self) -> str:
        """The file's name without folders, ending and compression: what documents without an id are called by."""
        return "stdin" if self.name == "<stdin>" else PurePath(re.sub(r"\.(gz|bz2|xz)$", "", self.name)).stem

    @property
    def is_directory(self) -> bool:
        return self.path is not None and self.path.is_dir()

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The content as bytes, decompressed (gzip, bzip2, xz: told by the first bytes, not by the name).

        Reading raises OSError, one of `DECOMPRESSION_ERRORS`, where so much comes out that nobody packed it for reading.
        """
        with self.open_raw() as raw, decompressed(raw) as stream:
            yield stream

    def open_raw(self) -> BinaryIO:
        """The bytes as they are stored. Raises InputError where the file cannot be opened."""
        if self.data is not None:
            return io.BytesIO(self.data)
        assert self.path is not None
        try:
            return self.path.open("rb")
        except OSError as error:
            raise InputError(f"{self.name}: cannot be opened ({error.strerror})") from error

    def head(self, size: int = HEAD_SIZE) -> bytes:
        """The first bytes, decompressed; fewer where the file is short or damaged."""
        found = b""
        with self.open() as stream:
            try:
                # Little by little: a damaged file gives what stands before the damage.
                while len(found) < size and (piece := stream.read(128)):
                    found += piece
            except DECOMPRESSION_ERRORS:
                return found
        return found


@dataclass(frozen=True)
class Target:
    """Where documents are written: a file or directory at `path`, or standard output where `path` is None."""

    path: Path | None = None

    @classmethod
    def of(cls, place: str | Path) -> Target:
        return cls(None if str(place) == "-" else Path(place))

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """A stream to write bytes to. A file appears whole or not at all (temporary, fsync, rename).

        A name that ends in `.gz` is compressed.
        """
        if self.path is None:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        with atomic_file(self.path) as raw:
            if self.path.suffix == ".gz":
                with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as stream:
                    yield cast(BinaryIO, stream)
            else:
                yield raw


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Write `path` so that it is either the old content or the whole new one, also after a crash.

    An OSError names `path`, and not the draft beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = ""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        draft = Path(name)
        draft.chmod(0o666 & ~umask)
        draft.replace(path)
    except BaseException as error:
        if name:
            Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and Path(error.filename or path).parent == path.parent:
            error.filename = str(path)
        raise
