"""Tagged citations: MEDLINE as PubMed saves it, and RIS of reference managers."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.documents import Document
from textome.formats import Quarantine, Source, medline, read_documents, ris
from textome.formats.reading import tagged_lines

MEDLINE = """
PMID- 101
OWN - NLM
DP  - 2019 Mar-Apr
TI  - Colchicine in gout: a study whose title
      goes on.
LID - 10.1000/own.1 [doi]
AB  - BACKGROUND: The \u03b1-subunit was spared.  METHODS: We
      asked. RESULTS: AB  - is no tag here.
FAU - Doe, Jane
AU  - Doe J
AU  - Roe R
LA  - eng
PT  - Journal Article
PT  - Review
TA  - Own J
JT  - Own journal of gout
MH  - Gout/*drug therapy
MH  - Humans
AID - S1-2 [pii]
PMC - PMC77

PMID- 102
TI  - A title alone.
"""
RIS = """TY  - JOUR
AU  - Doe, Jane
AU  - Roe, Richard
T1  - Colchicine in gout
N2  - The first line.
The second line of the abstract.
PY  - 2019/03//
DO  - https://doi.org/10.1000/own.1
AN  - 101
KW  - gout
KW  - colchicine
JF  - Own journal of gout
ER  -

TY  - BOOK
TI  - A title alone
ER  -
"""


def found(module: object, text: str | bytes, name: str = "own.file") -> tuple[list[Document], list[str]]:
    quarantine = Quarantine()
    data = text.encode() if isinstance(text, str) else text
    documents = list(module.read(Source(name, data=data), quarantine))  # type: ignore[attr-defined]
    return documents, [str(record) for record in quarantine.records]


@pytest.mark.parametrize("text", [MEDLINE, MEDLINE.replace("\n", "\r\n"), "\ufeff" + MEDLINE.lstrip()])
def test_a_citation_of_pubmed(text: str) -> None:
    (first, second), problems = found(medline, text)
    assert problems == []
    assert (first.id, second.id) == ("101", "102")
    assert [passage.section for passage in first.passages] == ["title", "abstract"]
    assert first.passages[0].text == "Colchicine in gout: a study whose title goes on."
    abstract = "BACKGROUND: The \u03b1-subunit was spared. METHODS: We asked. RESULTS: AB - is no tag here."
    assert first.passages[1].text == abstract
    assert first.text[first.passages[1].offset :] == abstract
    assert first.metadata == {
        "journal": "Own journal of gout",
        "journal_abbreviation": "Own J",
        "year": "2019",
        "doi": "10.1000/own.1",
        "pmcid": "PMC77",
        "language": "eng",
        "publication_types": "Journal Article; Review",
        "mesh_headings": "Gout/*drug therapy; Humans",
        "authors": "Doe J; Roe R",
    }
    assert second.text == "A title alone."


def test_a_reference_of_a_manager() -> None:
    (first, second), problems = found(ris, RIS, "folder/own.ris.gz")
    assert problems == []
    assert first.text == "Colchicine in gout\nThe first line. The second line of the abstract."
    assert first.id == "101"
    assert first.metadata == {
        "type": "JOUR",
        "journal": "Own journal of gout",
        "year": "2019",
        "doi": "10.1000/own.1",
        "keywords": "gout; colchicine",
        "authors": "Doe, Jane; Roe, Richard",
    }
    assert second.id == "own-2"


def test_the_id_of_a_reference_without_an_accession_number_is_its_doi() -> None:
    (first, _), _ = found(ris, RIS.replace("AN  - 101\n", ""))
    assert first.id == "10.1000/own.1"


def test_a_last_reference_without_its_end_is_read() -> None:
    documents, problems = found(ris, RIS.rstrip().removesuffix("ER  -"))
    assert (len(documents), problems) == (2, [])


@pytest.mark.parametrize(
    ("module", "bad", "message"),
    [
        (medline, "TI  - No number\n", "line 2, record 1: the citation has no PMID"),
        (medline, "one two\nPMID- 3\n", "line 2, record 1: line 2: expected a tag and a value, as 'PMID'"),
        (medline, b"PMID- 3\nTI  - caf\xe9\n", "line 2, record 1: line 3 is not UTF-8"),
        (ris, "TY  - JOUR\nAU  - Doe\nER  - \n", "line 2, record 1: the reference has neither a title"),
        (ris, "TI  - No type\nER  - \n", "line 2, record 1: the reference does not begin with its type"),
    ],
)
def test_a_bad_record_is_set_aside_and_the_next_is_read(module: object, bad: str | bytes, message: str) -> None:
    good = MEDLINE if module is medline else RIS
    data = b"\n" + (bad.encode() if isinstance(bad, str) else bad) + b"\n" + good.encode()
    documents, problems = found(module, data)
    # What stands before a citation without a blank line belongs to no citation; the citation itself is read.
    assert documents[-1].text.startswith("A title alone")
    assert len(documents) >= 2
    assert len(problems) == 1
    assert problems[0].startswith(f"own.file, {message}")


def test_a_record_longer_than_a_citation_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagged_lines, "MAX_RECORD", 2**20)
    long = "PMID- 1\nAB  - " + "gout " * 300_000 + "\n\n"
    documents, problems = found(medline, long + MEDLINE)
    assert [item.id for item in documents] == ["101", "102"]
    assert problems == ["own.file, line 1, record 1: the record is longer than 1 million characters"]


def test_a_file_cut_short_gives_whole_records_only() -> None:
    packed = gzip.compress(
        b"".join(b"PMID- %d\nAB  - Gout number %d hurts.\n\n" % (n, n * 7919) for n in range(3000)), mtime=0
    )
    documents, problems = found(medline, packed[: len(packed) // 2])
    assert 100 < len(documents) < 3000
    assert all(item.text == f"Gout number {int(item.id) * 7919} hurts." for item in documents)
    assert len(problems) == 1
    assert "cut short or damaged" in problems[0]


WORDS = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=9)


@given(st.lists(st.tuples(st.integers(1, 10**8), st.lists(WORDS, min_size=1, max_size=30)), min_size=1, max_size=5))
def test_any_words_come_back_however_the_lines_are_broken(citations: list[tuple[int, list[str]]]) -> None:
    lines = "".join(
        f"PMID- {pmid}\nTI  - " + "\n      ".join(words) + f"\nAB  - {' '.join(words)}\n\n" for pmid, words in citations
    )
    documents, problems = found(medline, lines)
    assert problems == []
    assert [item.id for item in documents] == [str(pmid) for pmid, _ in citations]
    for item, (_, words) in zip(documents, citations, strict=True):
        assert item.text == "\n".join([" ".join(words)] * 2)


def test_read_by_content_alone() -> None:
    assert [item.id for item in read_documents(Source("export.txt", data=MEDLINE.encode()))] == ["101", "102"]
    assert len(list(read_documents(Source("export.txt", data=RIS.encode())))) == 2
