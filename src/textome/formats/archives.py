"""Folders inside archives: `corpus.tar.xz!standoff/train` is that folder, unpacked where nothing can climb out."""

from __future__ import annotations

import atexit
import shutil
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from textome.errors import InputError

SEPARATOR = "!"
MAX_UNPACKED = 8 * 1024**3
MAX_MEMBERS = 2_000_000


@cache
def unpacked(archive: Path) -> Path:
    """A temporary folder with the content of a tar (plain, gzip, bzip2, xz) or zip file; it goes when the program ends.

    Raises InputError for a damaged archive, one with a path that leaves its folder, and one that unpacks to more than
    `MAX_UNPACKED` bytes or `MAX_MEMBERS` files.
    """
    folder = Path(tempfile.mkdtemp(prefix="textome-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder)
        elif tarfile.is_tarfile(archive):
            _unpack_tar(archive, folder)
        else:
            raise InputError(f"{archive}: this is no tar or zip archive, so nothing can be read inside it")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise InputError(f"{archive}: the archive cannot be unpacked ({error})") from error
    return folder


def _unpack_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as members:
        total = 0
        for number, member in enumerate(members):
            total += member.size
            _check_size(archive, total, number)
            members.extract(member, folder, filter="data")


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as members:
        _check_size(archive, sum(member.file_size for member in members.infolist()), len(members.infolist()))
        for member in members.infolist():
            if not (folder / member.filename).resolve().is_relative_to(folder.resolve()):
                raise InputError(
                    f"{archive}: the member {member.filename!r} leaves the archive's folder; it was not read"
                )
            # The sizes in the directory may lie, but ZipExtFile reads no more than the size that was checked above.
            members.extract(member, folder)


def _check_size(archive: Path, total: int, number: int) -> None:
    if total > MAX_UNPACKED or number > MAX_MEMBERS:
        raise InputError(f"{archive}: the archive unpacks to more than {MAX_UNPACKED} bytes or {MAX_MEMBERS} files")
