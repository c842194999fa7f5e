"""What a file is that no format knows: tables, tagged files and sequences that must never pass for prose.

A text is whatever is left; so a file that is shaped or named as something else is named here, with what to do about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath

from textome.errors import InputError
from textome.patterns import lazy_pattern

# The control characters (category Cc) that no text holds. A stray one is a fault of its text; many are not text.
_CONTROL = lazy_pattern("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
_MAX_CONTROL = 0.05
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"))
_MARKS_OF_TWO = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_NUMBERS = lazy_pattern(
    r"(?:\s*(?:PMID:?\s*)?\d{1,8}[,;]?\s*)+|(?:\s*(?:PMCID:?\s*)?PMC\d{4,9}[,;]?\s*)+", re.IGNORECASE
)
# MEDLINE pads a tag to four characters, RIS has two and two spaces; other exports are like one of them.
_TAGGED = lazy_pattern(r"(?=.{4}- )[A-Z][A-Z0-9]{1,3} *- |%[0-9A-Z@] ")
_COLUMN = lazy_pattern(r"[\"']?[^\W\d][\w .:/()#-]{0,39}[\"']?")
# Names of columns that no line of prose consists of.
_NAMES = frozenset(
    "id pmid doi title abstract text label note sentence year journal authors date type name category class".split()  # noqa: SIM905
)
# Bases with the codes for several of them, or at least twenty amino acids.
_SEQUENCE = lazy_pattern(r"[ACGTUNRYSWKMBDHV*.-]{4,}|[acgtun]{4,}|[A-Z*-]{20,}")

_TAGGED_ADVICE = (
    "this is a file of tagged references that is not read as it is; export them as RIS (--from ris) or MEDLINE "
    "(--from medline)"
)
_SYNTAX_ADVICE = (
    "words with their syntax; write the texts behind `# text =` to a file of their own and give that "
    "(sed -n 's/^# text = //p')"
)
_SEQUENCES_ADVICE = "sequences, not texts; a model of DNA reads it (textome predict --model MODEL)"


def decode_head(head: bytes, name: str) -> str:
    """The beginning of a file as text, its line ends as line feeds.

    Raises InputError for what is not text: PDF, office documents, archives, other binary files.
    """
    encoding = next((code for mark, code in (*_MARKS, *_MARKS_OF_TWO) if head.startswith(mark)), "")
    if not encoding:
        _check_text(head, name)
    text = head.decode(encoding or "utf-8", errors="ignore" if encoding else "replace")
    return re.sub("\r\n?", "\n", text)


def _check_text(head: bytes, name: str) -> None:
    if head.startswith(b"%PDF-"):
        raise InputError(
            f"{name}: this is a PDF; take its text out first (as pdftotext does), or take the article's XML"
        )
    if head.startswith(b"PK\x03\x04") and b"[Content_Types].xml" in head:
        raise InputError(f"{name}: this is an office document; save it as plain text first, or a table as CSV")
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(f"{name}: this is an old office document; save it as plain text first, or a table as CSV")
    if head.startswith(b"PK\x03\x04") or head[257:262] == b"ustar":
        raise InputError(
            f"{name}: this is an archive, perhaps a damaged one; unpack it, or name a file or folder inside it "
            "(ARCHIVE!FOLDER)"
        )
    zeros = head.count(0)
    if zeros and 0.3 * len(head) <= zeros <= 0.7 * len(head):
        raise InputError(
            f"{name}: this looks like UTF-16 without a byte order mark; convert it, as with iconv -f utf-16le -t utf-8"
        )
    if zeros and has_many_controls(head.decode("ascii", "ignore")):
        raise InputError(f"{name}: this is a binary file, not text; give a text, XML or JSON file")


def has_many_controls(text: str) -> bool:
    """Whether a text has so many control characters that it is none."""
    return len(_CONTROL.findall(text)) > 1 + _MAX_CONTROL * len(text)


def why_no_text(head: str, name: str) -> str | None:
    """What a file is and what to do with it, where it is shaped or named as something that is not plain text.

    head   its beginning, with line feeds as line ends
    """
    text = head.lstrip("\ufeff")
    if has_many_controls(text):
        return None  # no text of any shape
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > 2 and not head.endswith("\n"):
        lines.pop()  # the head may end amid a line
    endings = PurePath(re.sub(r"\.(gz|bz2|xz)$", "", name.lower())).suffixes[-1:]
    ending = endings[0] if endings else ""
    for recognise in (_web_page, _list_of_numbers, _other_markup, _sequences, _tagged, _table):
        if advice := recognise(text, lines, ending):
            return advice
    return None


def _web_page(text: str, lines: list[str], ending: str) -> str | None:
    if ending in (".parquet", ".xlsx", ".xls", ".docx", ".pdf"):
        return f"the file is called {ending} and is none: it is damaged, or another kind of file under that name"
    if re.match(r"\s*(<!doctype html|<html)\b", text, re.IGNORECASE):
        return "this is a web page, which is not read; save it as text, or take the article's XML"
    if text.startswith("{\\rtf"):
        return "this is Rich Text Format; save it as plain text first"
    return None


def _list_of_numbers(text: str, lines: list[str], ending: str) -> str | None:
    # A single small number may be anything.
    if len(lines) > 1 and re.fullmatch(
        r"[\"']?(?:pmid|pmcid|pubmed[ _]?id|uid)s?[\"']?", lines[0].strip(), re.IGNORECASE
    ):
        lines = lines[1:]
    if all(_NUMBERS.fullmatch(line) for line in lines) and (len(lines) > 1 or len(text.strip()) > 3):
        return (
            "this is a list of PMIDs or PMCIDs, not of texts; textome fetch gets their citations, or take them from PubMed "
            "(Save, format PubMed) and give that file"
        )
    return None


def _other_markup(text: str, lines: list[str], ending: str) -> str | None:
    if re.match(r"Record #\d+ of \d+\n|FN (?:Clarivate|Thomson|ISI)|<1>\s*\n", text):
        return _TAGGED_ADVICE
    known = {
        "#FORMAT=WebAnno TSV": "WebAnno TSV; export brat or BioC, or CoNLL 2002 (--from conll)",
        "##fileformat=VCF": "VCF, a table of variants; textome variants scores it",
        "##gff-version": "GFF, a table of genes",
        "@HD\t": "SAM, aligned sequences",
        "LOCUS       ": f"GenBank, {_SEQUENCES_ADVICE}",
        "HEADER    ": "PDB, the structure of a protein",
        "MSH|^~\\&|": "HL7 version 2; take the texts of its OBX segments out first",
        "# global.columns": f"CoNLL-U Plus, {_SYNTAX_ADVICE}",
    }
    for start, kind in known.items():
        if text.startswith(start):
            return f"this is {kind}"
    if re.match(r"#\S+ \| ", text) and any(re.match(r"\d+-\d+\t", line) for line in lines[:20]):
        return "this is WebAnno TSV 2; export brat or BioC, or CoNLL 2002 (--from conll)"
    words = [line.split("\t") for line in lines if not line.startswith("#")]
    if words and all(len(row) == 10 and re.fullmatch(r"\d+(?:[-.]\d+)?", row[0]) for row in words):
        return f"this is CoNLL-U, {_SYNTAX_ADVICE}"
    if ending in (".toml", ".yaml", ".yml", ".ini", ".cfg"):
        return "this is a file of settings, by its name; if it is prose all the same, say --from plain"
    if ending == ".bib" or re.match(r"\s*(?:%.*\n\s*)*@\s*[a-z]+\s*[{(]", text, re.IGNORECASE):
        return "this is BibTeX; export the references as RIS (--from ris) or as a table (--from csv)"
    return None


def _sequences(text: str, lines: list[str], ending: str) -> str | None:
    if ending in (".fasta", ".fa", ".fna", ".faa", ".ffn") or (
        text.startswith(">") and len(lines) > 1 and _SEQUENCE.fullmatch(lines[1].strip())
    ):
        return f"this is FASTA, {_SEQUENCES_ADVICE}"
    if ending in (".fastq", ".fq") or (
        text.startswith("@") and len(lines) > 3 and _SEQUENCE.fullmatch(lines[1].strip()) and lines[2].startswith("+")
    ):
        return f"this is FASTQ, {_SEQUENCES_ADVICE}"
    return None


def _tagged(text: str, lines: list[str], ending: str) -> str | None:
    tagged = [line for line in lines if not line.startswith(" ")]
    tags = {line[:2] for line in tagged if _TAGGED.match(line)}
    many = len(tags) > 1 and sum(1 for line in tagged if _TAGGED.match(line)) >= 0.5 * len(tagged)
    if many or ending in (".ris", ".nbib", ".enw", ".ciw"):
        return _TAGGED_ADVICE
    return None


def _table(text: str, lines: list[str], ending: str) -> str | None:
    if ending not in (".csv", ".tsv", ".tab") and not any(_is_table(lines, delimiter) for delimiter in "\t,;|"):
        return None
    return (
        "this is a table, and no column of it is known to hold the texts; name that column with --from csv "
        "--text-column NAME"
    )


def _is_table(lines: list[str], delimiter: str) -> bool:
    """Rows of equal length; but for tabs, which prose has not, they need a header of names as columns have them."""
    split: Callable[[str], list[str]] = lambda line: line.split(delimiter)  # noqa: E731
    widths = [len(split(line)) for line in lines[:40]]
    if len(widths) < 2 or widths[0] < 2:
        return False
    equal = sum(1 for width in widths[1:] if width == widths[0])
    if delimiter == "\t":
        forms = sum(1 for line in lines[:40] if split(line)[0].rstrip().endswith(":"))
        return forms < 0.5 * len(widths) and equal >= 0.6 * (len(widths) - 1)
    header = [cell.strip() for cell in split(lines[0])]
    names = {cell.strip("\"'").casefold() for cell in header}
    named = all(_COLUMN.fullmatch(cell) for cell in header)
    known = any(set(re.split(r"[\s_-]", name)) & _NAMES for name in names)
    # Cells in quotation marks may hold the delimiter, so rows have at least as many of it.
    return named and known and sum(1 for width in widths[1:] if width >= widths[0]) >= 0.8 * (len(widths) - 1)
