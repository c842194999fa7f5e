"""Annotations of recent texts, so that a text that comes again is not computed again. Off unless it is given a size."""

from __future__ import annotations

import hashlib
import struct
import threading
from collections import OrderedDict
from dataclasses import dataclass

from textome.documents import Document, Entity, Label, Relation
from textome.runtime.model import Model


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a model made of a text, without the text itself."""

    characters: int
    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...]
    labels: tuple[Label, ...]

    def restored(self, document: Document) -> Document:
        """A document of the same text with these annotations."""
        return document.with_annotations(self.entities, self.relations).with_labels(self.labels)


class Cache:
    """The annotations of the texts asked for last, up to `size` characters of text. Safe to use from several threads.

    The texts themselves are not kept, but the entities' texts are.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._entries: OrderedDict[bytes, Annotations] = OrderedDict()
        self._characters = 0
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Annotations | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def put(self, key: bytes, document: Document) -> None:
        """Keep a document's annotations; the texts not asked for longest make room. One beyond the cache is not kept."""
        entry = Annotations(len(document.text), document.entities, document.relations, document.labels)
        if entry.characters > self.size:
            return
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = entry
            self._characters += entry.characters
            while self._characters > self.size:
                _, freed = self._entries.popitem(last=False)
                self._characters -= freed.characters


def cache_key(document: Document, model: Model) -> bytes:
    """A digest of all that the annotations depend on: the passages' texts and offsets, and the model's settings.

    Empty for a document that has annotations already: what the model adds depends on them.
    """
    if document.entities or document.relations or document.labels:
        return b""
    digest = hashlib.blake2b(repr(model.settings).encode(), digest_size=32)
    for passage in document.passages:
        text = passage.text.encode("utf-8")
        digest.update(struct.pack("<qq", passage.offset, len(text)))
        digest.update(text)
    return digest.digest()
