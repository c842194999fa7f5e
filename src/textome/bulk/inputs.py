"""The inputs of a bulk run: which files there are, what they hold, and their documents in a fixed order.

An input is a file, a folder, a glob, a list (`@files.txt`, one input a line), a tar or zip archive, or an fsspec
address such as `s3://bucket/pubmed/*.xml.gz`. Files are opened when they are read and never loaded as a whole, except
by formats that cannot be streamed (docs/reference/formats.md).
"""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from glob import has_magic, iglob
from pathlib import Path
from typing import Any, BinaryIO

from textome.bulk.stored import ADDRESS, StoredSource, filesystem_of
from textome.documents import Document
from textome.errors import InputError
from textome.formats import Quarantine, Source, guess_format, read_documents
from textome.formats.reading.archives import check_name
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.folders import STANDOFF, files_of, hash_of, inputs_in, lies_beside, once

_BLOCK = 1 << 20
# A member of an archive is read as a whole; one that is larger could fill the memory.
MAX_MEMBER = 1 << 30
ARCHIVE, PUBMED = "archive", "pubmed-xml"


@dataclass(frozen=True)
class InputFile:
    """A file that is known but not read.

    name      as the user gave it, and as results name it
    address   the absolute path or fsspec address: one file has one address
    size      in bytes, as stored
    stamp     the time of the last change, or what a store gives in its place; another stamp is another content
    """

    name: str
    address: str
    size: int
    stamp: str


def find_files(inputs: Sequence[str], output: Path | None = None) -> list[InputFile]:
    """All files that `inputs` name, each once, in the order of the inputs; folders and globs sorted by name.

    output   a folder whose files are not input, though it may lie inside an input folder

    Raises InputError for an input that is not there, or where nothing is found.
    """
    files: dict[str, InputFile] = {}
    for item in once(inputs):
        before = len(files)
        for file in _find(item):
            inside = output is not None and Path(file.address).is_relative_to(output.resolve())
            if not inside:
                files.setdefault(file.address, file)
        if len(files) == before and not files:
            raise InputError(f"{item}: no files are there")
    return list(files.values())


def content_hash(file: InputFile) -> str:
    """The sha256 of what is stored; of a brat folder that of its names and contents."""
    path = Path(file.address)
    if path.is_dir() or path.suffix in STANDOFF:
        return hash_of(path)
    digest = hashlib.sha256()
    _feed(digest, StoredSource.at(file.address, file.name).open_raw())
    return digest.hexdigest()


def stamp_of(address: str) -> str:
    """The stamp of a file now; see InputFile. Raises InputError where it is gone."""
    if ADDRESS.match(address):
        filesystem, path = filesystem_of(address)
        return _remote_stamp(filesystem.info(path))
    return _local(Path(address), address).stamp


def format_of(file: InputFile, format: str | None) -> str:
    """What a file holds: `archive`, or the name of a format; `format` overrides the last.

    Raises InputError where it is not recognised.
    """
    source = StoredSource.at(file.address, file.name)
    if source.is_directory:
        return "brat"
    head = source.head()
    if head[:4] == b"PK\x03\x04" or head[257:262] == b"ustar":
        return ARCHIVE
    return format or guess_format(source)


def documents_of(
    source: StoredSource, format: str, member_format: str | None, quarantine: Quarantine, text_column: str | None = None
) -> Iterator[tuple[int, Document]]:
    """The documents of a file, each with the number of its record: for PubMed XML as `citations` counts them.

    format   what `format_of` told; empty where it is not recognised, which raises InputError again
    member_format   the format of an archive's members; None guesses each
    text_column   the column of tables that holds the texts, where its name does not tell
    """
    options = {"text_column": text_column} if text_column else {}
    if format == PUBMED:
        from textome.formats.pubmed_xml import numbered

        yield from numbered(source, quarantine)
    elif format == ARCHIVE:
        yield from enumerate(_archived(source, member_format, quarantine, options), 1)
    else:
        yield from enumerate(read_documents(source, format or None, quarantine, **options), 1)


def _find(item: str) -> Iterator[InputFile]:
    if item == "-":
        raise InputError("standard input cannot be read again after a stop; save it to a file and name that")
    if item.startswith("@"):
        try:
            lines = Path(item[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{item[1:]}: the list of inputs cannot be read ({error})") from error
        for line in once(line.strip() for line in lines if line.strip() and not line.startswith("#")):
            yield from _find(line)
    elif ADDRESS.match(item):
        yield from _find_remote(item)
    elif Path(item).is_dir():
        for path in inputs_in(Path(item)):
            yield _local(path, str(path))
    elif Path(item).exists() or not has_magic(item):
        yield _local(Path(item), item)
    else:
        for name in once(sorted(iglob(item, recursive=True))):  # noqa: PTH207 - the pattern may be absolute
            if Path(name).is_file() and not lies_beside(Path(name).name):
                yield _local(Path(name), name)


def _local(path: Path, name: str) -> InputFile:
    try:
        status = path.stat()
        if path.is_dir() or path.suffix in STANDOFF:
            several = [member.stat() for member in files_of(path)]
            newest = max((item.st_mtime_ns for item in several), default=0)
            return InputFile(name, str(path.resolve()), sum(item.st_size for item in several), str(newest))
    except OSError as error:
        raise InputError(f"{name}: no such file or folder ({error.strerror})") from error
    return InputFile(name, str(path.resolve()), status.st_size, str(status.st_mtime_ns))


def _find_remote(item: str) -> Iterator[InputFile]:
    filesystem, path = filesystem_of(item)
    try:
        if has_magic(path):
            several = sorted(filesystem.glob(path))
        else:
            several = sorted(filesystem.find(path)) if filesystem.isdir(path) else [path]
        for one in several:
            if not lies_beside(one.rsplit("/", 1)[-1]):
                address = str(filesystem.unstrip_protocol(one))
                about = filesystem.info(one)
                yield InputFile(address, address, int(about.get("size") or 0), _remote_stamp(about))
    except OSError as error:
        raise InputError(f"{item}: cannot be listed ({error}); check the address and your rights to it") from error


def _remote_stamp(about: dict[str, Any]) -> str:
    names = ("ETag", "etag", "mtime", "LastModified", "last_modified", "created")
    return f"{next((str(about[name]) for name in names if about.get(name)), '')} {about.get('size')}"


def _feed(digest: Any, stream: BinaryIO) -> None:
    with stream:
        while block := stream.read(_BLOCK):
            digest.update(block)


def _archived(
    source: StoredSource, member_format: str | None, quarantine: Quarantine, options: dict[str, str]
) -> Iterator[Document]:
    """The documents of an archive's members, one member in memory at a time; hidden members are passed over."""
    try:
        for name, size, load in _unpacked(source):
            inner = f"{source.name}!{name}"
            check_name(source.name, name)
            if not size or lies_beside(name):
                continue
            if size > MAX_MEMBER:
                quarantine.add(inner, "", f"the file is larger than {MAX_MEMBER} bytes; unpack the archive first")
                continue
            try:
                yield from read_documents(Source(inner, data=load()), member_format, quarantine, **options)
            except InputError as error:
                quarantine.add(inner, "", str(error).removeprefix(f"{inner}: "))
    except (tarfile.TarError, zipfile.BadZipFile, *DECOMPRESSION_ERRORS) as error:
        quarantine.add(source.name, "", f"the archive is cut short or damaged ({error}); the rest is not read")
    except InputError as error:
        quarantine.add(source.name, "", str(error).removeprefix(f"{source.name}: "))


def _unpacked(source: StoredSource) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """Name, size and content of each file in an archive. A tar is read as a stream, so load before you go on."""
    if source.head(4)[:4] == b"PK\x03\x04":
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    yield info.filename, info.file_size, partial(archive.read, info)
        return
    with source.open() as stream, tarfile.open(fileobj=stream, mode="r|") as members:
        for member in members:
            if member.isfile():
                yield member.name, member.size, partial(_member, members, member)


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = archive.extractfile(member)
    assert opened is not None  # it is a file
    return opened.read()
