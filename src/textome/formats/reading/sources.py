"""What a format reads from and writes to, and where its bad records go."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, BinaryIO, TypeVar, cast

from textome.errors import InputError, TextomeError
from textome.escapes import shown_bytes
from textome.formats.reading.archives import SEPARATOR, unpacked
from textome.formats.reading.compression import DECOMPRESSION_ERRORS, decompressed

HEAD_SIZE = 4096
# UTF-32 first, whose mark begins as that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NOT_UTF8 = "not UTF-8; convert the file first, as with iconv -f latin1 -t utf-8"
Record = TypeVar("Record")


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
    """Collects bad records so that the good ones go on. The first `keep` are kept in full; all are counted.

    Every entrance reports it in the same way: `summary` gives the lines for a person, `exit_code` is what the command
    returns. `passed_over` counts, by reason, what a file says is not data: examples that their annotator rejected.
    """

    keep: int = 1000
    count: int = 0
    records: list[BadRecord] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    def add(self, source: str, position: str, reason: object) -> None:
        self.count += 1
        if len(self.records) < self.keep:
            self.records.append(BadRecord(source, position, str(reason)))

    def pass_over(self, reason: str) -> None:
        """Count a record that is left out on purpose, which is not an error."""
        self.passed_over[reason] += 1

    def merge(self, other: Quarantine) -> None:
        """Take over what another quarantine collected."""
        self.count += other.count
        self.records += other.records[: max(0, self.keep - len(self.records))]
        self.passed_over += other.passed_over

    @property
    def exit_code(self) -> int:
        """0, or 1 where records were quarantined."""
        return int(self.count > 0)

    @property
    def first(self) -> str:
        """The first bad record as the end of a message; empty where there is none."""
        return f"; the first of {self.count:,} quarantined: {self.records[0]}" if self.records else ""

    def summary(self, shown: int = 20) -> list[str]:
        """The first `shown` records with position and reason, how many more there are, and what was passed over."""
        lines = [f"quarantined: {record}" for record in self.records[:shown]]
        if self.count > len(lines):
            lines.append(f"... and {self.count - len(lines):,} more")
        return lines + [f"passed over: {number:,}, {reason}" for reason, number in self.passed_over.items()]


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
    def of(cls, path: str | Path) -> Source:
        """The source at `path`: "-" is standard input, `a.tar.gz!folder/b.txt` a path inside an archive.

        Raises InputError where there is no such file.
        """
        if str(path) == "-":
            return cls("<stdin>", data=sys.stdin.buffer.read())
        file = Path(path)
        archive, _, inner = str(path).partition(SEPARATOR)
        if inner and not file.exists() and Path(archive).is_file():
            file = unpacked(Path(archive)) / inner
        if not file.exists():
            raise InputError(f"{path}: no such file or directory")
        return cls(str(path), path=file)

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

    @contextmanager
    def open_text(self, line_ends: bool = True) -> Iterator[BinaryIO]:
        """The content in UTF-8, also where it is stored as UTF-16 or UTF-32 with a byte order mark.

        line_ends   a file whose lines end in carriage returns alone, as on old Macs, gets line feeds, one for one, so
                    that it can be read by lines

        Bytes that are not UTF-8 stay as they are: whoever decodes them says so.
        """
        head = self.head()
        encoding = next((name for mark, name in _MARKS if head.startswith(mark)), "")
        # A head that ends in a carriage return may have its line feed behind it.
        old = line_ends and b"\r" in head.removesuffix(b"\r") and b"\n" not in head
        with self.open() as stream:
            if not encoding and not old:
                yield stream
            else:
                with io.BufferedReader(_Translated(stream, encoding, old), 1 << 16) as translated:
                    yield translated

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
        start = b""
        with self.open() as stream:
            try:
                # Little by little: a damaged file gives what stands before the damage.
                # One read of the file each: a second one may fail, and what the first gave would be gone.
                read = getattr(stream, "read1", stream.read)
                while len(start) < size and (piece := read(128)):
                    start += piece
            except DECOMPRESSION_ERRORS:
                return start
        return start


class _Translated(io.RawIOBase):
    """A stream put into UTF-8 with usual line ends."""

    def __init__(self, stream: BinaryIO, encoding: str, old_line_ends: bool) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass") if encoding else None
        self._old_line_ends = old_line_ends

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data and (piece := self._stream.read(len(buffer) // 4)):
            data = self._translate(piece, final=False)
        if not data:
            data = self._translate(b"", final=True)
        buffer[: len(data)] = data
        return len(data)

    def _translate(self, data: bytes, final: bool) -> bytes:
        if self._decoder is not None:
            try:
                data = self._decoder.decode(data, final).encode("utf-8", "surrogatepass")
            except UnicodeDecodeError as error:
                raise EOFError(f"{error.encoding} breaks off: {error.reason}") from error
        return data.replace(b"\r", b"\n") if self._old_line_ends else data


def guarded(records: Iterable[Record], source: str, quarantine: Quarantine) -> Iterator[Record]:
    """The records of a reader. What it did not foresee in a file ends this file, in one sentence, and not the run."""
    number = 0
    try:
        for number, record in enumerate(records, 1):
            yield record
    except (TextomeError, OSError, MemoryError):
        raise
    except DECOMPRESSION_ERRORS as error:
        position = f"after record {number}" if number else ""
        quarantine.add(source, position, f"the file is cut short or damaged ({error})")
    except Exception as error:
        position = f"after record {number}" if number else ""
        reason = f"the rest of the file cannot be read ({type(error).__name__}: {str(error)[:200]})"
        quarantine.add(source, position, f"{reason}; please report this fault of Textome")


class _Terminal(io.RawIOBase):
    """Standard output on a terminal, which is sent no control characters."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        sys.stdout.buffer.write(shown_bytes(bytes(data)))
        return len(data)


@dataclass(frozen=True)
class Target:
    """Where documents are written: a file or directory at `path`, or standard output where `path` is None.

    On a terminal, control characters are shown and not sent.

    formulas   whether cells of a table may begin as a formula of a spreadsheet; else they get an apostrophe
    """

    path: Path | None = None
    formulas: bool = True

    @classmethod
    def of(cls, path: str | Path, formulas: bool = True) -> Target:
        return cls(None if str(path) == "-" else Path(path), formulas)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """A stream to write bytes to. A file appears whole or not at all (temporary, fsync, rename).

        A name that ends in `.gz` is compressed.
        """
        if self.path is None:
            yield cast(BinaryIO, _Terminal()) if sys.stdout.isatty() else sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        with atomic_file(self.path) as raw:
            if self.path.suffix == ".gz":
                with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as stream:
                    yield cast(BinaryIO, stream)
            else:
                yield raw


@contextmanager
def atomic_file(path: Path, private: bool = False) -> Iterator[BinaryIO]:
    """Write `path` so that it is either the old content or the whole new one, also after a crash.

    private   nobody but the owner may read the file

    What writes to paths alone may write to the stream's `name`. An OSError names `path`, and not the draft beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = ""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        os.close(descriptor)
        with Path(name).open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if not private:  # as `mkstemp` makes it
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException as error:
        if name:
            Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and Path(error.filename or path).parent == path.parent:
            error.filename = str(path)
        raise


def to_disk(path: Path) -> None:
    """Make a file, or the renames in a folder, last: without it a power loss may bring the old state back."""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `folder` where nothing goes wrong."""
    draft = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        yield draft
        shutil.rmtree(folder, ignore_errors=True)
        draft.replace(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
