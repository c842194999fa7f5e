"""Before a run goes on: which inputs are new or changed, which versions of citations count, what is to be done again."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from textome.bulk.inputs import PUBMED, InputFile, content_hash, format_of
from textome.bulk.ledger import Ledger
from textome.bulk.output import drop
from textome.bulk.stored import StoredSource
from textome.errors import InputError
from textome.formats.pubmed_xml import citations

# Small files are read together until they are so many bytes or files, so that results come in files of fair size.
PART_BYTES = 8 << 20
PART_FILES = 5000
# pubmed24n1220.xml.gz: the year of the baseline and the number of the file. A higher number is newer.
_PUBMED_NAME = re.compile(r"pubmed(\d\d)n(\d{4,5})\.xml")


@dataclass
class Plan:
    """What `prepare` found: numbers of files and chunks, for telling.

    beside   files of input folders that lie beside data and are passed over
    """

    new: int = 0
    changed: int = 0
    same: int = 0
    trimmed: int = 0
    redone: int = 0
    beside: int = 0


@dataclass
class _Group:
    """The part that new small files are put in until it is full."""

    part: int | None = None
    bytes: int = 0
    files: int = 0

    def add(self, size: int, new_part: Callable[[], int]) -> int:
        if self.part is None or self.bytes + size > PART_BYTES or self.files >= PART_FILES:
            self.part, self.bytes, self.files = new_part(), 0, 0
        self.bytes += size
        self.files += 1
        return self.part


def prepare(
    ledger: Ledger,
    files: Sequence[InputFile],
    *,
    chunk_documents: int,
    format: str | None,
    to: str,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> Plan:
    """Bring the ledger up to date with the inputs. Stopped anywhere, it goes on where it was.

    Every file is hashed; a file whose hash changed is done again, with the small files that share its part. Files of
    earlier runs that are not named now stay. `tell` hears how many files are looked at, of how many.

    Raises InputError for a file that cannot be read.
    """
    plan, group = Plan(), _Group()
    for number, file in enumerate(files):
        tell(number, len(files))
        known = ledger.known_hash(file.address)
        hash = content_hash(file)
        if known and known[1] == hash:
            ledger.touch(file)
            plan.same += 1
            continue
        kind = _format(file, format)
        with ledger.changes():
            if known:
                part = known[2]
                ledger.forget_part(part)
                plan.changed += 1
            else:
                part = group.add(file.size, lambda: ledger.add_part(chunk_documents))
                plan.new += 1
            id = ledger.set_file(file, hash, kind, _rank(file), part)
            source = StoredSource.at(file.address, file.name)
            ledger.set_citations(id, citations(source) if kind == PUBMED else ())
            if known or kind == PUBMED:
                ledger.mark_index(False)
    tell(len(files), len(files))
    if not ledger.index_is_current():
        _replace_superseded(ledger, to, plan)
    return plan


def _replace_superseded(ledger: Ledger, to: str, plan: Plan) -> None:
    """Work out the newest versions; take older ones out of results, and have chunks that miss one done again."""
    with ledger.changes():
        ledger.work_out_superseded()
    for part, number, now, missing in list(ledger.outdated()):
        if missing:
            with ledger.changes():
                ledger.forget_chunk(part, number)
            plan.redone += 1
            continue
        gone = set(now) - ledger.left_out(part, number)
        left = ledger.counts(part, number)
        if left[0]:
            left = drop(ledger.path, to, part, number, ledger.pmids(gone))
        with ledger.changes():
            ledger.set_left_out(part, number, now, left)
        plan.trimmed += 1
    with ledger.changes():
        ledger.mark_index(True)


def _format(file: InputFile, format: str | None) -> str:
    try:
        return format_of(file, format)
    except InputError:
        return ""  # reading says why, and puts it in quarantine


def _rank(file: InputFile) -> int | None:
    """The place of a PubMed file among all: later replaces earlier. None is by the order of the inputs."""
    match = _PUBMED_NAME.search(PurePosixPath(file.address).name)
    return int(match[1]) * 10**6 + int(match[2]) if match else None
