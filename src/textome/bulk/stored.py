"""Sources of a bulk run: files of this machine and fsspec addresses, opened alike."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from textome.errors import InputError, MissingExtraError
from textome.formats import Source

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_BLOCK = 1 << 20


@dataclass(frozen=True)
class StoredSource(Source):
    """A file or fsspec address that tells how far it is read."""

    address: str = ""
    _opened: list[Any] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def at(cls, address: str, name: str = "") -> StoredSource:
        path = None if ADDRESS.match(address) else Path(address)
        return cls(name or address, path=path, address=address)

    def open_raw(self) -> BinaryIO:
        raw = super().open_raw() if self.path is not None else _open_remote(self.address)
        self._opened[:] = [raw]
        return raw

    @property
    def position(self) -> int:
        """Bytes read so far of what is stored, for progress only."""
        try:
            return int(self._opened[0].tell()) if self._opened else 0
        except (ValueError, OSError):  # closed: read to its end
            return 0


def filesystem_of(address: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError(f"reading {address.split('://')[0]}:// addresses", "bulk") from error
    try:
        return fsspec.core.url_to_fs(address)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        raise InputError(f"{address}: this kind of address cannot be read here ({error})") from error


def _open_remote(address: str) -> BinaryIO:
    filesystem, path = filesystem_of(address)
    try:
        # Formats read what is there at once (`read1`), which stores' own files do not offer.
        return cast(BinaryIO, io.BufferedReader(filesystem.open(path, "rb"), _BLOCK))
    except OSError as error:
        raise InputError(f"{address}: cannot be opened ({error})") from error
