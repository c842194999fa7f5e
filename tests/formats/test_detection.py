"""The format of a file is recognised by its content; what is not text is refused in one sentence."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from strategies import documents
from textome.documents import Document, Passage
from textome.errors import InputError
from textome.formats import FORMATS, Source, guess_format, read_documents, write_documents

HEADS = {
    "uima-xmi": ['<?xml version="1.0" encoding="UTF-8"?>\n<xmi:XMI xmlns:xmi="http://www.omg.org/XMI">'],
    "uima-json": ['{"%TYPES": {}, "%FEATURE_STRUCTURES": []}', '{\n  "%TYPES" : {'],
    "ddi-xml": ['<?xml version="1.0"?>\n<document id="DDI-Own.d1"><sentence id="s0" text="Drugala.">'],
    "pubmed-xml": [
        '<?xml version="1.0"?>\n<PubmedArticleSet><PubmedArticle>',
        "<!DOCTYPE MedlineCitationSet>\n<MedlineCitationSet>",
    ],
    "jats": [
        '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Archiving DTD v1.0//EN" "JATS.dtd">\n<article>',
        '<?xml version="1.0"?><article xml:lang="en" article-type="letter"><front>',
        '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><request verb="GetRecord" metadataPrefix="pmc">',
    ],
    "bioc-xml": [
        '<?xml version="1.0"?><!DOCTYPE collection SYSTEM "BioC.dtd"><collection><source>',
        "<collection><document>",
    ],
    "bioc-json": [
        '{"source": "x", "documents": []}',
        '{\n  "infons": {},\n  "documents": [',
        '[{"bioctype": "a", "documents": []}]',
    ],
    "jsonl": [
        '{"text": "Gout."}\n{"text": "Ague."}\n',
        '"Gout."\n',
        '{"id": "1", "passages": [{"text": "' + "long " * 2000,
    ],
    "pubtator": ["12|t|Gout\n12|a|\n", "\ufeff12|t|Gout\n", "\n\nPMC12|a|No title\n"],
    "medline": ["PMID- 12\nOWN - NLM\n", "\n\nPMID- 12\r\nTI  - Gout\r\n"],
    "ris": ["TY  - JOUR\nTI  - Gout\n", "\ufeffTY  - JOUR\r\nT1  - Gout\r\n", "\nTY - JOUR\n"],
    "csv": [
        "pmid,title,abstract\n1,Gout,Gout hurts.\n",
        'note id;Text\r\n7;"Gout; hurts"\r\n',
        "\ufeffdoc-id\ttext\tyear\n1\tGout\t2001\n",
    ],
    "parquet": ["PAR1\x15\x04"],
    "brat": ["T1\tDisease 0 4\tGout\n", "T1\tDisease 0 4;9 12\tleft gout\n"],
    "conll": [
        "Gout\tB-Disease\nhurts\tO\n\n",
        "Mouse\tB\ncells\tI\n",
        "-DOCSTART- -X- O O\n\nGout NNP B-NP B-D\nhurts V B-VP O\n",
    ],
    "plain": [
        "Gout hurts.\n",
        "text\n",
        "Text, and more of it.\n",
        "p\n",
        "Name:\tA. B.\nAge:\t45\n",
        "a|b|c\n",
        "Is it T1\tor T2?",
        "gène\n",
    ],
}
# Told by the name of the file, or as JSON lines, which read them.
WITHOUT_SNIFFING = {"docbin", "doccano", "label-studio", "prodigy"}
READABLE = {name for name, row in FORMATS.items() if row.readable} - WITHOUT_SNIFFING


def guess(data: bytes) -> str:
    return guess_format(Source("file", data=data))


def test_every_readable_format_is_here() -> None:
    assert set(HEADS) == READABLE


@pytest.mark.parametrize(("name", "head"), [(name, head) for name, heads in HEADS.items() for head in heads])
def test_each_format_is_told_by_its_beginning(name: str, head: str) -> None:
    assert guess(head.encode()) == name


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files_are_looked_into(compress: object) -> None:
    for name, heads in HEADS.items():
        assert guess(compress(heads[0].encode())) == name  # type: ignore[operator]


def test_only_one_format_claims_each_beginning() -> None:
    """Plain text apart, which takes what no other knows: so the order of the table decides nothing."""
    from importlib import import_module

    for name, heads in HEADS.items():
        for head in heads:
            claims = {
                key
                for key in READABLE - {"plain"}
                if (sniff := getattr(import_module(f"textome.formats.{FORMATS[key].module}"), "sniff", None))
                and sniff(head.removeprefix("\ufeff"), "file")
            }
            assert claims == {name} - {"plain"}, head


def archive(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind in ("zip", "docx"):
        with zipfile.ZipFile(stream, "w") as members:
            members.writestr("a.txt" if kind == "zip" else "[Content_Types].xml", "gout")
    else:
        with tarfile.open(fileobj=stream, mode=kind) as members:
            members.addfile(tarfile.TarInfo("a.txt"))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (gzip.compress(b""), "the file is empty"),
        (gzip.compress(b"gout")[:10], "its compression is damaged at the start"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "binary file"),
        (bytes(range(256)), "binary file"),
        (bytes(range(1, 32)) * 9, "not recognised; name it with --from"),
        (archive("zip"), "this is an archive, perhaps a damaged one; unpack it, or name a file"),
        (archive("w:gz"), "this is an archive"),
        (b"<!DOCTYPE html><html><p>Gout</p>", "this is a web page, which is not read; save it as text"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "this is a PDF; take its text out first"),
        (archive("docx"), "this is an office document; save it as plain text first"),
        (b"<?xml version='1.0'?><article><info>", "not recognised"),
        (b'[{"id": 3}]', "not recognised"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match="file") as caught:
        guess(data)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_brat(tmp_path: Path) -> None:
    assert guess_format(Source.of(tmp_path)) == "brat"


def test_text_in_utf16_is_told_by_its_mark() -> None:
    assert guess("Gout hurts".encode("utf-16")) == "plain"


def test_text_in_another_encoding_is_still_text_so_that_the_reader_can_say_what_is_wrong() -> None:
    assert guess("Der Gehörgang schmerzt".encode("latin-1")) == "plain"


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents(xml=True))
def test_what_a_format_writes_is_told_as_that_format(document: Document, tmp_path: Path) -> None:
    for name in ("pubmed-xml", "bioc-xml", "bioc-json", "jsonl", "pubtator"):
        write_documents([document], tmp_path / "out", name)
        assert guess_format(Source.of(tmp_path / "out")) == name


def test_conll_that_was_written_is_told(tmp_path: Path) -> None:
    text = Document("a", (Passage("Gout hurts."),))
    write_documents([text.with_annotations([text.entity([(0, 4)], "Disease")])], tmp_path / "out", "conll")
    assert guess_format(Source.of(tmp_path / "out")) == "conll"


def test_an_unknown_format_or_option_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("gout")
    with pytest.raises(InputError, match="'html' is not readable; choose one of: pubmed-xml"):
        list(read_documents(tmp_path / "a.txt", "html"))
    with pytest.raises(InputError, match="'word' is not writable"):
        write_documents([], tmp_path / "b", "word")
    with pytest.raises(InputError, match="plain has no option 'entity_type'"):
        list(read_documents(tmp_path / "a.txt", entity_type="Disease"))


def test_every_real_file_is_told(shared_data: Path) -> None:
    expected = {
        "ner/*/*.tsv": "conll",
        "re/BC5CDR-relations/*.gz": "pubtator",
        "pretrain/PubMed-XML-samples/pubmed*.xml*": "pubmed-xml",
    }
    for pattern, name in expected.items():
        files = sorted(shared_data.glob(pattern))
        assert files
        assert {guess_format(Source.of(file)) for file in files} == {name}
    for inner, name in {
        "Train.PubTator.txt": "pubtator",
        "Train.BioC.XML": "bioc-xml",
        "Train.BioC.JSON": "bioc-json",
    }.items():
        assert guess_format(Source.of(f"{shared_data}/re/BioRED/BioRED.zip!BioRED/{inner}")) == name
