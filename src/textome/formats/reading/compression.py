"""Compressed files: told by their first bytes, and read only while what comes out is in proportion to what went in."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
# What a damaged compressed file raises while it is read; formats turn these into a quarantined rest of the file.
DECOMPRESSION_ERRORS = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, OSError)
# Text packs to a tenth, very uniform text to a fiftieth; what packs better beyond the first part is made to fill memory.
MAX_RATIO = 200
RATIO_COUNTS_FROM = 256 * 1024**2


def is_bomb(packed: int, size: int) -> bool:
    """Whether `size` bytes out of `packed` bytes are more than text can be packed."""
    return size > max(RATIO_COUNTS_FROM, MAX_RATIO * packed)


@contextmanager
def decompressed(raw: BinaryIO) -> Iterator[BinaryIO]:
    """What a file holds: `raw` itself, or the content where it begins like gzip, bzip2 or xz.

    Reading raises one of `DECOMPRESSION_ERRORS` where the file is damaged or cut short, and where it is a bomb.
    """
    start = raw.read(6)
    for magic, opener in _OPENERS.items():
        if start.startswith(magic):
            size = raw.seek(0, io.SEEK_END)
            raw.seek(0)
            with opener(raw, "rb") as stream, io.BufferedReader(_Measured(stream, size), 1 << 16) as measured:
                yield measured
            return
    raw.seek(0)
    yield raw


class _Measured(io.RawIOBase):
    """What comes out of a compressed file, as long as it stands in some proportion to what went in."""

    def __init__(self, stream: BinaryIO, packed_size: int) -> None:
        self._stream = stream
        self._packed_size = packed_size
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = cast(io.BufferedIOBase, self._stream).read1(len(buffer))
        self._size += len(data)
        if is_bomb(self._packed_size, self._size):
            raise OSError(f"it unpacks to more than {MAX_RATIO} times its size")
        buffer[: len(data)] = data
        return len(data)
