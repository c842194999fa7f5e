"""Entities of recent texts, so that a text that comes again is not computed again. Off unless it is given a size."""

from __future__ import annotations

import hashlib
import struct
import threading
from collections import OrderedDict
from collections.abc import Sequence

from textome.documents import Document, Entity
from textome.runtime.annotator import Annotator


class Cache:
    """The entities of the texts asked for last, up to `size` characters of text. Safe to use from several threads.

    The texts themselves are not kept, but the entities' texts are.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._entries: OrderedDict[bytes, tuple[int, tuple[Entity, ...]]] = OrderedDict()
        self._characters = 0
        self._lock = threading.Lock()

    def get(self, key: bytes) -> tuple[Entity, ...] | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[1]

    def put(self, key: bytes, characters: int, entities: Sequence[Entity]) -> None:
        """Keep a text's entities; the texts not asked for longest make room. One larger than the cache is not kept."""
        if characters > self.size:
            return
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = (characters, tuple(entities))
            self._characters += characters
            while self._characters > self.size:
                _, (freed, _) = self._entries.popitem(last=False)
                self._characters -= freed


def cache_key(document: Document, annotator: Annotator) -> bytes:
    """A digest of all that the entities depend on: the passages' texts and places, and the annotator's choices."""
    digest = hashlib.blake2b(repr((annotator.types, annotator.min_confidence, annotator.flat)).encode(), digest_size=32)
    for passage in document.passages:
        text = passage.text.encode("utf-8")
        digest.update(struct.pack("<qq", passage.offset, len(text)))
        digest.update(text)
    return digest.digest()
