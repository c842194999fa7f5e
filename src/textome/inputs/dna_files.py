"""DNA out of FASTA files and tables.

A sequence is made of A, C, G, T and N. Lower case (soft-masked repeats) counts as upper case, U as T, and the IUPAC codes
for "one of several bases" as N; any other letter is a bad record.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from textome.documents import replace_lone_surrogates
from textome.errors import InputError
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.rows import check_decoded, read_rows
from textome.formats.reading.sources import Quarantine, Source, guarded

_AMBIGUOUS = "RYSWKMBDHVN"
_UPPER = str.maketrans(dict.fromkeys(_AMBIGUOUS, "N") | {"U": "T"})
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
# What the last column of a header may be called.
_HEADERS = frozenset("sequence seq dna".split())  # noqa: SIM905
_FOREIGN = re.compile(r"[^ACGTN]")


@dataclass(frozen=True, slots=True)
class DnaRecord:
    """A sequence of A, C, G, T and N, its name, where it was read, and its label if the file has labels."""

    name: str
    sequence: str
    position: str
    label: str | None = None


def normalised(sequence: str) -> str:
    """The sequence in A, C, G, T and N. Raises InputError for an empty one and for a letter that is not a base."""
    upper = sequence.upper().translate(_UPPER)
    if not upper:
        raise InputError("the sequence is empty")
    if foreign := _FOREIGN.search(upper):
        letter = sequence[foreign.start()]
        raise InputError(f"letter {foreign.start() + 1} is {letter!r}, which stands for no base; is this DNA?")
    return upper


def reverse_complement(sequence: str) -> str:
    """The other strand, read in its own direction: "AACGN" gives "NCGTT"."""
    return sequence.translate(_COMPLEMENT)[::-1]


def read_dna(path: str, quarantine: Quarantine) -> Iterator[DnaRecord]:
    """The sequences of a FASTA or FASTQ file or of a table, told by the first letter.

    See `read_fasta`, `read_fastq` and `read_table`.
    """
    source = Source.of(path)
    if source.is_directory:
        raise InputError(f"{path}: a directory; give a FASTA file or a table of sequences")
    readers = {b">": read_fasta, b";": read_fasta, b"@": read_fastq}
    return guarded(readers.get(source.head().lstrip()[:1], read_table)(source, quarantine), source.name, quarantine)


def read_fasta(
    source: Source, quarantine: Quarantine, normalise: Callable[[str], str] = normalised
) -> Iterator[DnaRecord]:
    """The records of a FASTA file. The name is the header up to the first blank; `label=X` in the header is the label.

    normalise   the letters of a sequence as they are wanted; raises InputError for a foreign one

    A record with an empty sequence or a foreign letter, text before the first header, and the record in which a damaged
    compressed file breaks off go to the quarantine.
    """
    header, start, number, pieces = "", 0, 0, list[str]()
    try:
        for number, line in _lines(source):
            if line.startswith(">"):
                yield from _fasta_record(source, quarantine, header, start, pieces, normalise)
                header, start, pieces = line[1:].strip() or f"sequence-{number}", number, []
            elif line.strip() and not line.startswith(";"):
                if not header and not pieces:
                    start = number
                pieces.append("".join(line.split()))
    except DECOMPRESSION_ERRORS as error:
        quarantine.add(source.name, f"after line {number}", f"the file is damaged or cut short ({error})")
        return
    yield from _fasta_record(source, quarantine, header, start, pieces, normalise)


def _fasta_record(
    source: Source,
    quarantine: Quarantine,
    header: str,
    start: int,
    pieces: list[str],
    normalise: Callable[[str], str],
) -> Iterator[DnaRecord]:
    if not header:
        if pieces:
            quarantine.add(source.name, f"line {start}", "there is text before the first header; is this a FASTA file?")
        return
    name, *rest = header.split()
    label = next((word.removeprefix("label=") for word in rest if word.startswith("label=")), None)
    try:
        yield DnaRecord(name, normalise("".join(pieces)), f"line {start}", label)
    except InputError as error:
        quarantine.add(source.name, f"line {start}, record {name}", error)


def read_fastq(source: Source, quarantine: Quarantine) -> Iterator[DnaRecord]:
    """The reads of a FASTQ file (Cock et al. 2010): four lines each, of which the qualities are passed over.

    A read whose lines are not as they should be, or with a foreign letter, goes to the quarantine.
    """
    number, block = 0, list[str]()
    try:
        for number, line in _lines(source):
            if not block and not line.strip():
                continue
            block.append(line)
            if len(block) == 4:
                yield from _read_of(block, number - 3, source, quarantine)
                block = []
    except DECOMPRESSION_ERRORS as error:
        quarantine.add(source.name, f"after line {number}", f"the file is damaged or cut short ({error})")
        return
    if block:
        quarantine.add(source.name, f"line {number}", "the last read is cut short")


def _read_of(block: list[str], line: int, source: Source, quarantine: Quarantine) -> Iterator[DnaRecord]:
    header, sequence, plus, qualities = block
    name = (header[1:].split() or [f"read-{line}"])[0]
    try:
        if not header.startswith("@") or not plus.startswith("+") or len(sequence) != len(qualities):
            raise InputError("expected a line @NAME, a sequence, a line +, and a quality for each base")
        yield DnaRecord(name, normalised(sequence.strip()), f"line {line}")
    except InputError as error:
        quarantine.add(source.name, f"line {line}, read {name}", error)


def read_table(source: Source, quarantine: Quarantine) -> Iterator[DnaRecord]:
    """The rows of a table of label, name and sequence, as the UCI sets have them, split by commas or tabs.

    Blanks and tabs around the values are cut. A first row that names its columns is the header. With two columns the
    name is left out; with one there is only the sequence.
    """
    first = True
    for line, cells in read_rows(source, quarantine, "," if b"," in source.head() else "\t"):
        columns = [cell.strip() for cell in cells]
        if not (first and _is_header(columns[-1])):
            yield from _row(columns, f"line {line}", source, quarantine)
        first = False


def _is_header(cell: str) -> bool:
    """Whether the last cell of the first row names a column: a sequence is mostly bases, also one with a foreign letter."""
    return cell.casefold() in _HEADERS or sum(letter in "ACGTUN" for letter in cell.upper()) < 0.5 * len(cell)


def _row(columns: list[str], position: str, source: Source, quarantine: Quarantine) -> Iterator[DnaRecord]:
    if len(columns) > 3:
        quarantine.add(
            source.name, position, f"expected at most 3 columns (label, name, sequence), found {len(columns)}"
        )
        return
    label = columns[0] if len(columns) > 1 else None
    try:
        check_decoded(columns)
        sequence = normalised(columns[-1])
    except InputError as error:
        quarantine.add(source.name, f"{position}, column {len(columns)}", error)
        return
    if label == "":
        quarantine.add(source.name, position, "the label is empty")
        return
    name = columns[1] if len(columns) == 3 else position.replace("line ", "row-")
    yield DnaRecord(name, sequence, position, label)


def _lines(source: Source) -> Iterator[tuple[int, str]]:
    """Numbered lines without their ends."""
    with source.open_text() as raw:
        for number, line in enumerate(io.TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape"), start=1):
            yield number, replace_lone_surrogates(line.rstrip("\r\n"))
