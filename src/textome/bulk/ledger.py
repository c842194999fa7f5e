"""The ledger of a bulk run: an SQLite file in the output folder that knows what is done.

    files       the input files, with the hash of what was read, and the part each belongs to
    parts       one large file, or several small ones, read one after the other
    chunks      stretches of a part's documents that are done: their results are on disk, whole
    quarantine  bad records, by chunk
    passed_over records that a file says are not data, counted by chunk and reason
    citations   for PubMed XML: which record of which file holds which PMID, so that the newest version wins
    superseded  the records that are not the newest of their PMID, worked out from `citations`
    settings    the model and options that chunks were made with

A chunk enters the ledger in one transaction after its files are on disk. So whatever moment a run dies at, what the
ledger says is true, and what it does not say is done again.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

from textome.bulk.inputs import InputFile
from textome.errors import InputError
from textome.formats.pubmed_xml import Citation
from textome.formats.reading.sources import BadRecord

NAME = "ledger.sqlite"
VERSION = 1
_SCHEMA = """
CREATE TABLE settings (id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE, since REAL NOT NULL);
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE files (
    id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE, name TEXT NOT NULL, size INTEGER NOT NULL,
    stamp TEXT NOT NULL, hash TEXT NOT NULL, format TEXT NOT NULL, rank INTEGER NOT NULL,
    part INTEGER NOT NULL REFERENCES parts (id));
CREATE INDEX files_of_part ON files (part);
CREATE TABLE parts (id INTEGER PRIMARY KEY, chunk_documents INTEGER NOT NULL, chunks INTEGER);
CREATE TABLE chunks (
    part INTEGER NOT NULL, number INTEGER NOT NULL, documents INTEGER NOT NULL, entities INTEGER NOT NULL,
    relations INTEGER NOT NULL, quarantined INTEGER NOT NULL, position INTEGER NOT NULL, covers TEXT NOT NULL,
    left_out TEXT NOT NULL, settings INTEGER NOT NULL, finished REAL NOT NULL,
    PRIMARY KEY (part, number)) WITHOUT ROWID;
CREATE TABLE quarantine (
    part INTEGER NOT NULL, chunk INTEGER NOT NULL, source TEXT NOT NULL, position TEXT NOT NULL, reason TEXT NOT NULL);
CREATE INDEX quarantine_of_chunk ON quarantine (part, chunk);
CREATE TABLE citations (
    pmid, file INTEGER, record INTEGER, version INTEGER NOT NULL, deleted INTEGER NOT NULL,
    PRIMARY KEY (pmid, file, record)) WITHOUT ROWID;
CREATE TABLE superseded (file INTEGER, record INTEGER, PRIMARY KEY (file, record)) WITHOUT ROWID;
"""
# Ledgers of earlier versions get it when they are opened.
_PASSED_OVER = """
CREATE TABLE IF NOT EXISTS passed_over (
    part INTEGER, chunk INTEGER, reason TEXT, number INTEGER NOT NULL, PRIMARY KEY (part, chunk, reason)) WITHOUT ROWID
"""
# Records of one file from the first to the last, and single records, as the ledger keeps them.
Cover = tuple[int, int, int]
Record = tuple[int, int]


@dataclass(frozen=True)
class Part:
    """What is read in one go: its files in order, and the chunks of it that are done already."""

    id: int
    files: tuple[tuple[int, InputFile, str], ...]
    chunk_documents: int
    done: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Done:
    """What the ledger keeps of a chunk.

    covers       the records of each file that were read for it, (file, first, last)
    left_out     of these the ones that a newer version or a deletion supersedes, (file, record)
    quarantined  all bad records, of which `bad` holds those that are kept
    position     how much of the part is read up to its end, in bytes, for progress
    final        it is the last chunk of its part
    passed_over  how many records the files say are not data, by reason
    """

    part: int
    number: int
    documents: int = 0
    entities: int = 0
    relations: int = 0
    quarantined: int = 0
    position: int = 0
    covers: tuple[Cover, ...] = ()
    left_out: tuple[Record, ...] = ()
    bad: tuple[BadRecord, ...] = ()
    final: bool = False
    passed_over: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Totals:
    """How far a run is. Bytes are those of the input files as stored; `recent` are documents a second of late."""

    files: int = 0
    parts: int = 0
    parts_done: int = 0
    bytes: int = 0
    bytes_done: int = 0
    documents: int = 0
    entities: int = 0
    relations: int = 0
    quarantined: int = 0
    left_out: int = 0
    last: float = 0.0
    passed_over: dict[str, int] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        return self.parts == self.parts_done


@dataclass
class Ledger:
    """An open ledger; see the module's text. `path` is the output folder."""

    path: Path
    _db: sqlite3.Connection = field(repr=False)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The ledger of an output folder, made where there is none."""
        folder.mkdir(parents=True, exist_ok=True)
        ledger = cls(folder, _connect(folder / NAME, "rwc"))
        version = ledger._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            with ledger.changes():
                for statement in _SCHEMA.split(";"):
                    ledger._db.execute(statement)
                ledger._db.execute(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            raise InputError(f"{folder / NAME}: made by another version of Textome (ledger {version}); use that one")
        ledger._db.execute(_PASSED_OVER)
        return ledger

    @classmethod
    def view(cls, folder: Path) -> Self:
        """The ledger of a folder for reading only, also while a run writes it. Raises InputError if there is none."""
        if not (folder / NAME).is_file():
            raise InputError(f"{folder}: there is no {NAME}, so no bulk run has written here")
        # A run that was killed may have left a journal, which only a connection that may write can roll back.
        return cls(folder, _connect(folder / NAME, "rw" if os.access(folder / NAME, os.W_OK) else "ro"))

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def changes(self) -> Iterator[None]:
        """All changes inside happen together or, where anything fails, not at all."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # a full disk ends the transaction by itself
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def last_settings(self) -> tuple[int, dict[str, Any]] | None:
        row = self._db.execute("SELECT id, content FROM settings ORDER BY since DESC, id DESC LIMIT 1").fetchone()
        return (row[0], json.loads(row[1])) if row else None

    def use_settings(self, content: dict[str, Any]) -> int:
        """The number of these settings, from now on the latest."""
        text = json.dumps(content, sort_keys=True)
        self._db.execute(
            "INSERT INTO settings (content, since) VALUES (?, ?) ON CONFLICT (content) DO UPDATE SET since = ?",
            (text, time.time(), time.time()),
        )
        return int(self._db.execute("SELECT id FROM settings WHERE content = ?", (text,)).fetchone()[0])

    def known_hash(self, address: str) -> tuple[int, str, int] | None:
        """(id, hash, part) of a file that was read before."""
        row = self._db.execute("SELECT id, hash, part FROM files WHERE address = ?", (address,)).fetchone()
        return row and tuple(row)

    def add_part(self, chunk_documents: int) -> int:
        cursor = self._db.execute("INSERT INTO parts (chunk_documents) VALUES (?)", (chunk_documents,))
        return int(cursor.lastrowid or 0)

    def set_file(self, file: InputFile, hash: str, format: str, rank: int | None, part: int) -> int:
        """Enter a file with what it holds now; returns its id. `rank` None is newer than all ranked before it."""
        about = (file.name, file.size, file.stamp, hash, format)
        self._db.execute(
            "INSERT INTO files (address, name, size, stamp, hash, format, rank, part) VALUES (?, ?, ?, ?, ?, ?, 0, ?) "
            "ON CONFLICT (address) DO UPDATE SET name = ?, size = ?, stamp = ?, hash = ?, format = ?",
            (file.address, *about, part, *about),
        )
        id = int(self._db.execute("SELECT id FROM files WHERE address = ?", (file.address,)).fetchone()[0])
        self._db.execute("UPDATE files SET rank = ? WHERE id = ?", (10**12 + id if rank is None else rank, id))
        return id

    def touch(self, file: InputFile) -> None:
        """The same content with another time."""
        self._db.execute(
            "UPDATE files SET size = ?, stamp = ? WHERE address = ?", (file.size, file.stamp, file.address)
        )

    def set_citations(self, file: int, citations: Iterable[Citation]) -> None:
        self._db.execute("DELETE FROM citations WHERE file = ?", (file,))
        rows = (
            (int(item.pmid) if item.pmid.isascii() and item.pmid.isdecimal() else item.pmid, file, item.record,
             item.version, item.deleted)
            for item in citations
        )  # fmt: skip
        self._db.executemany("INSERT OR REPLACE INTO citations VALUES (?, ?, ?, ?, ?)", rows)

    def work_out_superseded(self) -> None:
        """Fill `superseded` anew: of each PMID all but the newest version, and all where it is deleted after them.

        Newer is a later file, in it a deletion, then a higher version, then a later record.
        """
        self._db.execute("DELETE FROM superseded")
        rows = self._db.execute(
            "SELECT pmid, file, record, deleted FROM citations JOIN files ON files.id = file "
            "WHERE pmid IN (SELECT pmid FROM citations GROUP BY pmid HAVING COUNT(*) > 1) "
            "ORDER BY pmid, rank, deleted, version, record"
        )
        self._db.executemany("INSERT INTO superseded VALUES (?, ?)", _older(rows))

    def mark_index(self, current: bool) -> None:
        """Remember whether `superseded` and the results agree with `citations`."""
        self._db.execute("INSERT OR REPLACE INTO state VALUES ('index', ?)", ("current" if current else "stale",))

    def index_is_current(self) -> bool:
        row = self._db.execute("SELECT value FROM state WHERE name = 'index'").fetchone()
        return row is None or row[0] == "current"

    def counts(self, part: int, number: int) -> tuple[int, int, int]:
        """Documents, entities and relations of a chunk."""
        query = "SELECT documents, entities, relations FROM chunks WHERE part = ? AND number = ?"
        return tuple(self._db.execute(query, (part, number)).fetchone())

    def superseded(self, file: int) -> frozenset[int]:
        return frozenset(row[0] for row in self._db.execute("SELECT record FROM superseded WHERE file = ?", (file,)))

    def outdated(self) -> Iterator[tuple[int, int, list[Record], bool]]:
        """The chunks that are done but whose documents are no longer the newest.

        Yields (part, number, left out now, a document is missing). Where none is missing, the others need only be
        taken out; else the chunk must be done again.
        """
        for part, number, covers, before in self._db.execute("SELECT part, number, covers, left_out FROM chunks"):
            now = [
                (file, row[0])
                for file, first, last in json.loads(covers)
                for row in self._db.execute(
                    "SELECT record FROM superseded WHERE file = ? AND record BETWEEN ? AND ? ORDER BY record",
                    (file, first, last),
                )
            ]
            if now != (old := [(file, record) for file, record in json.loads(before)]):
                yield part, number, now, bool(set(old) - set(now))

    def pmids(self, records: Iterable[Record]) -> set[str]:
        """The document ids of records of PubMed files."""
        query = "SELECT pmid FROM citations WHERE file = ? AND record = ?"
        return {str(row[0]) for record in records for row in self._db.execute(query, record)}

    def left_out(self, part: int, number: int) -> set[Record]:
        row = self._db.execute("SELECT left_out FROM chunks WHERE part = ? AND number = ?", (part, number)).fetchone()
        return {(file, record) for file, record in json.loads(row[0])}

    def set_left_out(self, part: int, number: int, left_out: list[Record], left: tuple[int, int, int]) -> None:
        """A chunk has lost documents to newer versions; `left` are the documents, entities and relations it has."""
        self._db.execute(
            "UPDATE chunks SET left_out = ?, documents = ?, entities = ?, relations = ? WHERE part = ? AND number = ?",
            (json.dumps(left_out), *left, part, number),
        )

    def forget_chunk(self, part: int, number: int) -> None:
        self._db.execute("DELETE FROM chunks WHERE part = ? AND number = ?", (part, number))
        for table in ("quarantine", "passed_over"):
            self._db.execute(f"DELETE FROM {table} WHERE part = ? AND chunk = ?", (part, number))

    def forget_part(self, part: int) -> None:
        """Everything of a part is to be done again, since one of its files changed."""
        self._db.execute("DELETE FROM chunks WHERE part = ?", (part,))
        for table in ("quarantine", "passed_over"):
            self._db.execute(f"DELETE FROM {table} WHERE part = ?", (part,))
        self._db.execute("UPDATE parts SET chunks = NULL WHERE id = ?", (part,))

    def unfinished(self) -> Iterator[Part]:
        """The parts that are not done, in order, with what of them is done."""
        query = (
            "SELECT id, chunk_documents FROM parts WHERE chunks IS NULL "
            "OR chunks > (SELECT COUNT(*) FROM chunks WHERE part = parts.id) ORDER BY id"
        )
        for id, size in self._db.execute(query).fetchall():
            done = frozenset(row[0] for row in self._db.execute("SELECT number FROM chunks WHERE part = ?", (id,)))
            files = self._db.execute(
                "SELECT id, name, address, size, stamp, format FROM files WHERE part = ? ORDER BY id", (id,)
            )
            yield Part(id, tuple((row[0], InputFile(*row[1:5]), row[5]) for row in files), size, done)

    def add_chunk(self, chunk: Done, settings: int) -> None:
        """A chunk is done: its files are on disk."""
        with self.changes():
            self._db.execute(
                "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (chunk.part, chunk.number, chunk.documents, chunk.entities, chunk.relations, chunk.quarantined,
                 chunk.position, json.dumps(chunk.covers), json.dumps(chunk.left_out), settings, time.time()),
            )  # fmt: skip
            self._db.executemany(
                "INSERT INTO quarantine VALUES (?, ?, ?, ?, ?)",
                ((chunk.part, chunk.number, item.source, item.position, item.reason) for item in chunk.bad),
            )
            self._db.executemany(
                "INSERT INTO passed_over VALUES (?, ?, ?, ?)",
                ((chunk.part, chunk.number, reason, number) for reason, number in chunk.passed_over),
            )
            if chunk.final:
                self._db.execute("UPDATE parts SET chunks = ? WHERE id = ?", (chunk.number + 1, chunk.part))

    def chunks(self) -> Iterator[tuple[int, int]]:
        """(part, number) of the chunks that have documents, so files."""
        yield from self._db.execute("SELECT part, number FROM chunks WHERE documents > 0")

    def quarantine(self) -> Iterator[BadRecord]:
        query = "SELECT source, position, reason FROM quarantine ORDER BY part, chunk, rowid"
        for row in self._db.execute(query):
            yield BadRecord(*row)

    def passed_over(self) -> dict[str, int]:
        """How many records the files say are not data, by reason. A ledger of an earlier version knows of none."""
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'passed_over'").fetchone():
            return {}
        return dict(self._db.execute("SELECT reason, SUM(number) FROM passed_over GROUP BY reason ORDER BY reason"))

    def totals(self) -> Totals:
        one = self._db.execute
        files, size = one("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM files").fetchone()
        parts, done = one(
            "SELECT COUNT(*), COALESCE(SUM(chunks = (SELECT COUNT(*) FROM chunks WHERE part = parts.id)), 0) FROM parts"
        ).fetchone()
        read = one(
            "SELECT COALESCE(SUM(read), 0) FROM (SELECT CASE WHEN p.chunks = COUNT(c.number) THEN "
            "(SELECT SUM(size) FROM files WHERE part = p.id) ELSE MAX(c.position) END AS read "
            "FROM parts p JOIN chunks c ON c.part = p.id GROUP BY p.id)"
        ).fetchone()[0]
        sums = one(
            "SELECT COALESCE(SUM(documents), 0), COALESCE(SUM(entities), 0), COALESCE(SUM(relations), 0), "
            "COALESCE(SUM(quarantined), 0), COALESCE(SUM(json_array_length(left_out)), 0), COALESCE(MAX(finished), 0) "
            "FROM chunks"
        ).fetchone()
        return replace(Totals(files, parts, done, size, read, *sums), passed_over=self.passed_over())

    def begun(self) -> dict[int, int]:
        """How far the parts that are begun but not done are read, in bytes."""
        query = (
            "SELECT p.id, MAX(c.position) FROM parts p JOIN chunks c ON c.part = p.id GROUP BY p.id "
            "HAVING p.chunks IS NULL OR p.chunks > COUNT(*)"
        )
        return dict(self._db.execute(query).fetchall())

    def recent_rate(self, seconds: float = 300.0) -> float:
        """Documents a second over the last `seconds` before the last chunk came; 0 where there are too few."""
        rows = self._db.execute(
            "SELECT documents, finished FROM chunks WHERE finished >= (SELECT MAX(finished) FROM chunks) - ? "
            "ORDER BY finished",
            (seconds,),
        ).fetchall()
        if len(rows) < 2 or rows[-1][1] <= rows[0][1]:
            return 0.0
        return float(sum(row[0] for row in rows[1:]) / (rows[-1][1] - rows[0][1]))


def _older(rows: Iterable[tuple[Any, int, int, int]]) -> Iterator[Record]:
    """All records of each PMID but the last of them; rows are (pmid, file, record, deleted), newest last."""
    for _, versions in groupby(rows, key=itemgetter(0)):
        *older, newest = [(file, record, deleted) for _, file, record, deleted in versions]
        yield from ((file, record) for file, record, deleted in older if not deleted)
        assert newest is not None


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=60, isolation_level=None
        )
        if mode == "rwc":
            # A rollback journal works on network shares too, which a write-ahead log does not.
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA synchronous = FULL")
        connection.execute("SELECT COUNT(*) FROM sqlite_master")
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: the ledger cannot be opened ({error})") from error
    return connection
