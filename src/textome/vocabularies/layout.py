"""The file of an index: arrays that are used where they lie, and a description of them at its end.

    8 bytes    `TXMVOCAB`
    u32        version of the format
    u32        length of the header
    u64        position of the header
    32 bytes   SHA-256 of the header
    ...        the arrays, each from a multiple of 8 bytes, all numbers little-endian
    header     JSON: the card, the sections with their arrays' positions, the SHA-256 of all bytes from 56 to the header

The header is checked whenever a file is opened, which takes no time; the arrays by `Vocabulary.verify`.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from textome.errors import InputError

MAGIC = b"TXMVOCAB"
FORMAT_VERSION = 2
_PREAMBLE = struct.Struct("<8sIIQ32s")
_CHUNK = 1 << 20
# The letters of `memoryview.cast` for the arrays of an index; `B` is also text.
_SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8}


class Writer:
    """Writes arrays one after another into a file, then the header. The file must be open for reading too."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._position = _PREAMBLE.size
        stream.write(bytes(_PREAMBLE.size))

    def array(self, code: str, pieces: Iterable[bytes]) -> list[int | str]:
        """Append one array, given in pieces of bytes; returns its letter, position and number of items."""
        start, size = self._position, 0
        for piece in pieces:
            self._write(piece)
            size += len(piece)
        self._write(bytes(-size % 8))
        return [code, start, size // _SIZES[code]]

    def finish(self, header: dict[str, Any]) -> None:
        """Write the header and, at the start of the file, where it is."""
        header = header | {"sha256": self._digest.hexdigest()}
        data = json.dumps(header, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        position = self._position
        self._stream.write(data)
        self._stream.seek(0)
        digest = hashlib.sha256(data).digest()
        self._stream.write(_PREAMBLE.pack(MAGIC, FORMAT_VERSION, len(data), position, digest))

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._digest.update(data)
        self._position += len(data)


class MappedFile:
    """An index file in memory: pages are read when they are first used, and shared between processes."""

    def __init__(self, path: Path) -> None:
        """Raises InputError where the file is not an index, of another version, cut short or damaged in its header."""
        if sys.byteorder != "little":
            raise InputError(f"{path}: vocabulary indexes need a little-endian processor")
        try:
            with path.open("rb") as stream:
                size = stream.seek(0, 2)
                if size < _PREAMBLE.size:
                    raise InputError(f"{path}: this is not a vocabulary index; make one with textome vocabulary build")
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise InputError(f"{path}: the vocabulary index cannot be opened ({error.strerror})") from error
        self.path, self._view = path, memoryview(self._map)
        self.header = self._read_header(size)

    def array(self, entry: list[Any]) -> memoryview:
        """An array by its entry in the header, as a sequence of numbers."""
        code, start, length = entry
        return self._view[start : start + length * _SIZES[code]].cast(code)

    def numpy(self, entry: list[Any]) -> np.ndarray[Any, np.dtype[Any]]:
        """An array by its entry in the header, as a numpy array."""
        code, start, length = entry
        return np.frombuffer(self._map, {"B": "u1", "H": "<u2", "I": "<u4", "Q": "<u8"}[code], length, start)

    def verify(self) -> None:
        """Read the whole file. Raises InputError where its bytes are not those that were written."""
        digest = hashlib.sha256()
        for start in range(_PREAMBLE.size, self._end, _CHUNK):
            digest.update(self._view[start : min(start + _CHUNK, self._end)])
        if digest.hexdigest() != self.header["sha256"]:
            raise InputError(f"{self.path}: the vocabulary index is damaged; build it again, or copy it again")

    def _read_header(self, size: int) -> dict[str, Any]:
        magic, version, length, position, digest = _PREAMBLE.unpack_from(self._view)
        if magic != MAGIC:
            raise InputError(f"{self.path}: this is not a vocabulary index; make one with textome vocabulary build")
        if version != FORMAT_VERSION:
            raise InputError(
                f"{self.path}: the vocabulary index has format {version}, and this Textome reads format "
                f"{FORMAT_VERSION}; build it again from its sources"
            )
        if size != position + length:
            raise InputError(
                f"{self.path}: the vocabulary index has {size:,} bytes and should have {position + length:,}; "
                f"it was cut short: copy or build it again"
            )
        data = bytes(self._view[position : position + length])
        if hashlib.sha256(data).digest() != digest:
            raise InputError(f"{self.path}: the vocabulary index is damaged; build it again, or copy it again")
        self._end = position
        header: dict[str, Any] = json.loads(data)
        return header
