"""Archives: `corpus.tar.xz!standoff/train` is that folder, unpacked where nothing can climb out; or members one by one."""

from __future__ import annotations

import atexit
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, NamedTuple, cast

from textome.errors import InputError
from textome.formats.reading.compression import DECOMPRESSION_ERRORS, MAX_RATIO, decompressed, is_bomb

SEPARATOR = "!"
MAX_UNPACKED = 8 * 1024**3
MAX_MEMBERS = 2_000_000
_BLOCK = 512
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, *DECOMPRESSION_ERRORS)


class Member(NamedTuple):
    """A file in an archive. `stream` is valid only until the next member is asked for."""

    name: str
    size: int
    stream: BinaryIO
    packed_position: int  # how many bytes of the archive have been read, to tell how far things are


@cache
def unpacked(archive: Path) -> Path:
    """A temporary folder with the content of a tar (plain, gzip, bzip2, xz) or zip file; it goes when the program ends.

    Raises InputError for a damaged archive, one with a path that leaves its folder, and one that unpacks to more than
    `MAX_UNPACKED` bytes or `MAX_MEMBERS` files, or to more than `MAX_RATIO` times its size.
    """
    folder = Path(tempfile.mkdtemp(prefix="textome-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder)
        elif tarfile.is_tarfile(archive):
            _unpack_tar(archive, folder)
        else:
            raise InputError(f"{archive}: this is not a tar or zip archive, so nothing can be read inside it")
    except _DAMAGE as error:
        raise InputError(f"{archive}: the archive cannot be unpacked ({error})") from error
    return folder


def is_archive(path: Path, head: bytes) -> bool:
    """Whether a file is a tar or zip archive; `head` is its beginning, decompressed."""
    return head[257:262] == b"ustar" or (head.startswith(b"PK\x03\x04") and zipfile.is_zipfile(path))


def members(archive: Path, inside: str = "") -> Iterator[Member]:
    """The files of a tar or zip archive in its order, or those at `inside`, a file or folder in it; nothing is unpacked.

    Memory does not grow with the archive. Raises InputError where the archive is damaged (what stands before is given
    first), has a path that leaves its folder, or unpacks to more than `MAX_RATIO` times its size.
    """
    path_inside = PurePosixPath(inside)
    total = 0
    for member in _zip_members(archive) if zipfile.is_zipfile(archive) else _tar_members(archive):
        check_name(str(archive), member.name)
        total += member.size + _BLOCK
        _check_ratio(archive, total)
        if PurePosixPath(member.name).is_relative_to(path_inside):
            yield member


def check_name(archive: str, name: str) -> None:
    """Raises InputError where the path of a member leads out of the archive's folder."""
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or ".." in PurePosixPath(name).parts:
        raise InputError(f"{archive}: the member {name!r} leaves the archive's folder; the archive is not read")


def _tar_members(archive: Path) -> Iterator[Member]:
    last = ""
    try:
        with archive.open("rb") as packed, decompressed(packed) as content:
            stream = _LastBlock(content)
            with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r|") as tar:
                for member in tar:
                    last = member.name
                    # Links lead to members that are read anyway, or out of the archive; devices hold no text.
                    if member.isfile() and (data := tar.extractfile(member)) is not None:
                        yield Member(member.name, member.size, cast(BinaryIO, data), packed.tell())
                    tar.members = []  # type: ignore[attr-defined]  # tarfile would remember them all
            if stream.last.strip(b"\0"):  # an archive ends in blocks of zeros; tarfile does not miss them
                raise EOFError("its end is missing")
    except _DAMAGE as error:
        where = f"after {last}" if last else "at the start"
        raise InputError(f"{archive}: the archive is cut short or damaged {where} ({error})") from error


class _LastBlock:
    """A stream that remembers the last block that was read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.last = b""

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.last = (self.last + data)[-_BLOCK:]
        return data


def _zip_members(archive: Path) -> Iterator[Member]:
    done = 0
    try:
        with zipfile.ZipFile(archive) as files:
            for item in files.infolist():
                done += item.compress_size
                if not item.is_dir():
                    # The size in the directory may lie, but ZipExtFile reads no more than it.
                    with files.open(item) as stream:
                        yield Member(item.filename, item.file_size, cast(BinaryIO, stream), done)
    except (*_DAMAGE, NotImplementedError, RuntimeError) as error:  # an unknown method of packing, or a password
        raise InputError(f"{archive}: the archive cannot be read ({error})") from error


def _unpack_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as files:
        total = 0
        for number, member in enumerate(files):
            total += member.size
            _check_size(archive, total, number)
            files.extract(member, folder, filter="data")


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as files:
        _check_size(archive, sum(member.file_size for member in files.infolist()), len(files.infolist()))
        for member in files.infolist():
            if not (folder / member.filename).resolve().is_relative_to(folder.resolve()):
                raise InputError(
                    f"{archive}: the member {member.filename!r} leaves the archive's folder; it was not read"
                )
            # The sizes in the directory may lie, but ZipExtFile reads no more than the size that was checked above.
            files.extract(member, folder)


def _check_size(archive: Path, total: int, number: int) -> None:
    if total > MAX_UNPACKED or number > MAX_MEMBERS:
        raise InputError(f"{archive}: the archive unpacks to more than {MAX_UNPACKED} bytes or {MAX_MEMBERS} files")
    _check_ratio(archive, total)


def _check_ratio(archive: Path, total: int) -> None:
    if is_bomb(archive.stat().st_size, total):
        raise InputError(f"{archive}: the archive unpacks to more than {MAX_RATIO} times its size; it is not read")
