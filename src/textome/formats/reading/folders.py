"""Which files of a folder, an archive or a list of names hold documents: the same for every entrance.

Texts with stand-off annotations (brat's .ann, BioNLP's .a1 and .a2) are several files and one document each.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath

from textome.errors import InputError
from textome.patterns import lazy_pattern

_BLOCK = 1 << 20
STANDOFF = (".ann", ".a1", ".a2")
# Checksums, what Spark, Hive and Delta write beside a table, brat's settings, and what systems and archivers leave.
_BESIDE = lazy_pattern(
    r"(?:^|/)(?:\.[^/]*|__MACOSX(?:/.*)?|Thumbs\.db|desktop\.ini|_SUCCESS|_(?:common_)?metadata|_temporary(?:/.*)?"
    r"|_(?:committed|started)_[^/]*|_delta_log(?:/.*)?|(?:annotation|visual|tools|kb_shortcuts)\.conf|[^/]*\.(?:md5|sha1|sha256|crc))$",
    re.IGNORECASE,
)


def lies_beside(name: str) -> bool:
    """Whether a file, by its path in the folder or archive, lies beside data and is none itself."""
    parts = PurePath(name).parts
    return any(_BESIDE.search("/".join(parts[: end + 1])) for end in range(len(parts)))


def files_in(folder: Path) -> list[Path]:
    """The files below a folder that may hold documents, in a fixed order."""
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and not lies_beside(path.relative_to(folder).as_posix())
    )


def num_beside(inputs: Iterable[str], output: Path | None = None) -> int:
    """How many files of the folders among inputs lie beside data and are passed over; those in `output` do not count."""
    folders = [Path(item) for item in dict.fromkeys(inputs) if Path(item).is_dir()]
    return sum(
        path.is_file()
        and lies_beside(path.relative_to(folder).as_posix())
        and not (output is not None and path.resolve().is_relative_to(output.resolve()))
        for folder in folders
        for path in folder.rglob("*")
    )


def inputs_in(folder: Path) -> list[Path]:
    """What to read of a folder: its files; of one with stand-off annotations the folder itself, which is read as a whole,
    and the files that are neither texts nor annotations of it."""
    files = files_in(folder)
    texts = set(texts_with_annotations(files))
    if not texts:
        return files
    return [folder, *(file for file in files if file.suffix not in STANDOFF and file not in texts)]


def texts_with_annotations(files: Iterable[Path]) -> list[Path]:
    """The texts of files with stand-off annotations and those in folders of such and below them, in a fixed order."""
    listed = list(files)
    folders = {file.parent for file in listed if file.suffix in STANDOFF}
    endings = (".txt", *STANDOFF)  # since annotations may stand without their text
    texts = {file.with_suffix(".txt") for file in listed if file.suffix in endings}
    return sorted(text for text in texts if not folders.isdisjoint(text.parents))


def once(names: Iterable[str]) -> list[str]:
    """The names with each text that has stand-off annotations among them named once, by its first annotations."""
    listed = list(dict.fromkeys(names))
    annotated: dict[str, str] = {}
    for name in listed:
        if PurePath(name).suffix in STANDOFF:
            annotated.setdefault(str(PurePath(name).with_suffix("")), name)
    return list(_first_of_each(listed, annotated))


def _first_of_each(listed: list[str], annotated: dict[str, str]) -> Iterator[str]:
    for name in listed:
        path = PurePath(name)
        first = annotated.get(str(path.with_suffix("")))
        if first is None or path.suffix not in (".txt", *STANDOFF) or name == first:
            yield name


def files_of(path: Path) -> list[Path]:
    """The files that an input consists of: those of a folder, a text with its annotations, or the one that it is."""
    if path.is_dir():
        return files_in(path)
    if path.suffix in STANDOFF:
        return [file for ending in (".txt", *STANDOFF) if (file := path.with_suffix(ending)).is_file()]
    return [path]


def hash_of(path: Path) -> str:
    """The sha256 of a file's bytes; of a folder, or of a text with its annotations, that of names and contents.

    Raises OSError where a file cannot be read.
    """
    files = files_of(path)
    digest = hashlib.sha256()
    for file in files:
        if path.is_dir() or len(files) > 1:
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def expand_inputs(inputs: Sequence[str]) -> list[str]:
    """The inputs with each folder and archive replaced by what to read of it, each text once.

    Raises InputError for a folder without files, and for an archive that is damaged or leads out of itself.
    """
    from textome.formats.reading.archives import SEPARATOR, is_archive, members
    from textome.formats.reading.sources import Source

    paths: list[str] = []
    for item in inputs:
        path = Path(item)
        if item == "-" or not path.exists():
            paths.append(item)
        elif path.is_dir():
            if not (inside := inputs_in(path)):
                raise InputError(f"{item}: the folder holds no files")
            paths += map(str, inside)
        elif is_archive(path, Source.of(path).head()):
            names = [member.name for member in members(path) if not lies_beside(member.name)]
            if not names:
                raise InputError(f"{item}: the archive holds no files")
            paths += [f"{item}{SEPARATOR}{name}" for name in names]
        else:
            paths.append(item)
    return once(paths)
