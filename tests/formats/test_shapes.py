"""What is not prose is never read as prose: tables, tagged files and sequences are read as such or refused by name."""

from __future__ import annotations

import gzip
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from textome.documents import Document
from textome.errors import InputError
from textome.formats import FORMATS, Quarantine, Source, StrictQuarantine, guess_format, read_documents


def read(text: str | bytes, name: str = "file.txt", **options: str) -> list[Document]:
    data = text.encode() if isinstance(text, str) else text
    return list(read_documents(Source(name, data=data), None, StrictQuarantine(), **options))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.bib", "@article{a, title={Gout}}\n", "BibTeX; export the references as RIS (--from ris)"),
        ("a", "% refs\n@Book{b,\n title = {Gout}}\n", "BibTeX"),
        ("a.enw", "%0 Journal Article\n%T Gout\n%X It hurts.\n", "tagged references"),
        ("a.ciw", "FN Clarivate\nPT J\nTI Gout\n", "tagged references"),
        ("a.txt", "FN Clarivate Analytics Web of Science\nPT J\nTI Gout\n", "tagged references"),
        ("a.txt", "Record #1 of 2\nID: X-1\nTI: Gout\nAB: It hurts.\n", "tagged references"),
        ("a.gb", "LOCUS       OWN1  12 bp\n", "GenBank"),
        ("a.hl7", "MSH|^~\\&|OWN|OWN\nOBX|1|TX|||Gout\n", "HL7"),
        ("a.txt", "OWN - NLM\nTI  - Gout\nAB  - It hurts.\n", "MEDLINE (--from medline)"),
        ("a.tsv", "#FORMAT=WebAnno TSV 3.3\n\n#Text=Gout\n1-1\t0-4\tGout\tDisease\n", "WebAnno TSV; export brat"),
        ("a", "#own.Entity | value\n#text=Gout\n1-1\tGout\tB-Disease\n", "WebAnno TSV 2"),
        ("a.csv", "pmid\n31452104\n31452105\n", "a list of PMIDs"),
        ("a", "text,text\nGout,Ague\n", "a table"),
        ("a", b"PK\x03\x04 cut short", "perhaps a damaged one"),
        ("a", "# text = Gout hurts\n" + "1\tGout\tgout\tNOUN\t_\t_\t2\tnsubj\t_\t_\n", "CoNLL-U"),
        ("a.csv", "nr,narrative\n1,Gout hurts.\n", "--text-column"),
        ("a.txt", "nr\tnarrative\n1\tGout hurts.\n2\tAgue.\n", "a table"),
        ("a.txt", "id;diagnosis;year\n1;Gout;2001\n", "a table"),
        ("a.txt", "patient_id|narrative\n1|Gout\n", "a table"),
        ("a.txt", "11\tT1\tDisease\t0\t4\tGout\n11\tT2\tDisease\t9\t12\tflu\n", "a table"),
        ("a.fa", ">chr1 own\nACGTACGTTT\n", "FASTA, sequences"),
        ("a.txt", ">p1\nMKTAYIAKQRQISFVKSHFSRQLEERLG\n", "FASTA"),
        ("a.txt", "@r1\nACGT\n+\nFFFF\n", "FASTQ"),
        ("a.vcf", "##fileformat=VCFv4.3\n#CHROM\tPOS\n", "a table of variants"),
        ("a.txt", "31452104\n31452105\n", "a list of PMIDs"),
        ("a.txt", "1\n22\n333\n", "a list of PMIDs"),
        ("a.txt", "PMID: 31452104\n", "textome fetch"),
        ("a.txt", "PMC31452\nPMC31453\n", "PMCIDs"),
        ("a.parquet", "bad\n", "called .parquet and is none"),
        ("a.rtf", "{\\rtf1\\ansi Gout}", "Rich Text Format"),
        ("a.txt", "Gout".encode("utf-16-le"), "UTF-16 without a byte order mark"),
    ],
)
def test_is_refused_in_a_sentence_that_says_what_to_do(name: str, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text, name)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "Gout\rhurts.",
        "Gout\r\nhurts.\r",
        "Allergies:\tnone\nHeart rate:\t80\n",
        "BP - 120/80\nHR - 80\n",
        "Gout, asthma, lupus\nand pain, fever, cough\n",
        "- gout\n- asthma; mild\n",
        "> Gout hurts, she wrote.\nYes.\n",
        "@home he rests.\nGout hurts.\n",
        "3 of 5 patients had gout.\n",
        "Gout\x00 hurts.",
        "Seen in 2001; see notes\nIn 2002; again\n",
    ],
)
def test_prose_stays_prose_to_the_last_character(text: str) -> None:
    (document,) = read(text)
    assert document.text == text


def test_a_column_of_another_name_can_be_named() -> None:
    data = b"nr,narrative\n1,Gout hurts.\n"
    (document,) = read_documents(Source("a.csv", data=data), "csv", StrictQuarantine(), text_column="Narrative")
    assert document.text == "Gout hurts."
    with pytest.raises(InputError, match=r"a.csv, line 1: there is no column 'story' \(found: nr, narrative\)"):
        list(read_documents(Source("a.csv", data=data), "csv", text_column="story"))


@pytest.mark.parametrize(
    ("name", "text", "ids"),
    [
        ("mac.csv", "id,text\r1,Gout hurts.\r2,Ague.\r", ["1", "2"]),
        ("quoted.csv", '"text"\n"Gout, hurts"\n', ["quoted-1"]),
        ("excel.csv", "sep=;\r\nPMID;Title\r\n1;Gout\r\n", ["1"]),
        ("excel.txt", b"\xff\xfe" + "ID\tTitle\tAbstract\r\n1\tGout\tβ\r\n".encode("utf-16-le"), ["1"]),
        ("abstracts.tsv", "11808879\tGout.\tIt hurts much.\n17429007\tAgue.\tIt too.\n", ["11808879", "17429007"]),
        (
            "a.ris",
            "Record #1 of 1\nProvider: Own\nContent: x\n\nTY  -  JOUR\nAN  -  X-1\nTI  -  Gout.\nER  -  \n",
            ["X-1"],
        ),
        ("a", "text\tlabel\nGout\tA\n", ["a-1"]),
        ("a.jsonl", gzip.compress(b'{"id": "1", "text": "Gout"}\n'), ["1"]),
        ("a.nbib", "PMID- 12\rTI  - Gout\rAB  - It hurts.\r", ["12"]),
        ("a.pubtator", "12|t|Gout\r12|a|\r12\t0\t4\tGout\tDisease\tD1\r", ["12"]),
        ("nul.pubtator", "12|t|Gout\x00\n12|a|\n", ["12"]),
        ("a.jsonl", b"\xff\xfe" + '{"id": "1", "text": "Gout"}\n'.encode("utf-16-le"), ["1"]),
    ],
)
def test_old_line_ends_other_encodings_and_exports_are_read(name: str, text: str | bytes, ids: list[str]) -> None:
    assert [document.id for document in read(text, name)] == ids


@example(b"\xfd7zXZ\x00")
@example(b"\x1f\x8b\x08")
@example(b"BZh91AY&SY")
@example(b"PK\x03\x04")
@example(b"\xff\xfea")
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
def test_no_bytes_end_a_run(data: bytes) -> None:
    """Whatever a file holds, it is told or refused, and read or quarantined, in any format that is named."""
    source = Source("file", data=data)
    with suppress(InputError):
        guess_format(source)
    for name, row in FORMATS.items():
        quarantine = Quarantine()
        if row.readable and name not in ("brat", "parquet"):
            with suppress(InputError):  # of bare tags of CoNLL, which need a type
                list(read_documents(source, name, quarantine))
        assert not any("please report" in record.reason for record in quarantine.records), name
