"""PubMed XML: what a citation becomes, what is written, and files that are damaged or hostile."""

from __future__ import annotations

import gzip
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textome.documents import Document, Passage
from textome.errors import InputError
from textome.formats import Quarantine, Source, guess_format, read_documents, write_documents
from textome.formats.pubmed_xml import citations as citations_of
from textome.formats.pubmed_xml import numbered

ARTICLE = (
    "<PubmedArticle><MedlineCitation><PMID>{pmid}</PMID><Article>{date}<ArticleTitle>{title}</ArticleTitle>"
    "{rest}</Article></MedlineCitation></PubmedArticle>"
)


def article(pmid: object = 1, title: str = "A title.", rest: str = "", date: str = "") -> str:
    return ARTICLE.format(pmid=pmid, title=title, rest=rest, date=date)


def citations(*articles: str, head: str = '<?xml version="1.0"?>\n') -> str:
    return f"{head}<PubmedArticleSet>\n" + "\n".join(articles) + "\n</PubmedArticleSet>"


def read(data: str | bytes, format: str | None = "pubmed-xml") -> tuple[list[Document], list[str]]:
    """The documents, and what was quarantined as sentences."""
    source = Source("a.xml", data=data.encode() if isinstance(data, str) else data)
    quarantine = Quarantine()
    return list(read_documents(source, format, quarantine)), [str(record) for record in quarantine.records]


def only(data: str | bytes) -> Document:
    """The one document of a file in which nothing is wrong, its format told from its content."""
    (document,), problems = read(data, None)
    assert problems == []
    return document


def test_title_and_sections_are_passages_with_one_separator() -> None:
    rest = (
        '<Abstract><AbstractText Label="AIMS" NlmCategory="OBJECTIVE">We ask.</AbstractText>'
        '<AbstractText NlmCategory="RESULTS">We know.</AbstractText><AbstractText>Bare.</AbstractText>'
        "<AbstractText/><CopyrightInformation>None.</CopyrightInformation></Abstract>"
    )
    document = only(citations(article(title="Gout.", rest=rest)))
    assert document.passages == (
        Passage("Gout.", 0, "title"),
        Passage("We ask.", 6, "AIMS", {"Label": "AIMS", "NlmCategory": "OBJECTIVE"}),
        Passage("We know.", 14, "RESULTS", {"NlmCategory": "RESULTS"}),
        Passage("Bare.", 23, "abstract"),
    )
    assert document.text == "Gout.\nWe ask.\nWe know.\nBare."


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("IFN-<i>γ<sup>+</sup></i> cells", "IFN-γ+ cells"),
        ("H<sub>2</sub>O and Ca<sup>2+</sup>", "H2O and Ca2+"),
        ("fast-acting β\n\t\t\t<sub>2</sub>-agonist", "fast-acting β2-agonist"),
        ("the gene\n\t\t<i>TP53</i>\n\t\tis", "the gene TP53 is"),
        ("\n\t  One\n\t  two.  \n", "One two."),
        ("a <!-- no --> b<?no no?>", "a b"),
        ("<sub>1</sub>\n<sub>2</sub>", "12"),
        ('<mml:math xmlns:mml="m"><mml:mi>x</mml:mi><mml:mo>&lt;</mml:mo><mml:mn>5</mml:mn></mml:math> mg', "x<5 mg"),
        ("<![CDATA[a <b> & c]]> &#x1F9EC; e&#x301; \u05d0", "a <b> & c \U0001f9ec e\u0301 \u05d0"),
        ("1\u00a0mg in\u2009all", "1\u00a0mg in\u2009all"),
    ],
)
def test_inline_markup_goes_and_its_text_stays(markup: str, text: str) -> None:
    assert only(citations(article(title=markup))).text == text


def test_metadata() -> None:
    date = (
        "<Journal><JournalIssue><PubDate><MedlineDate>Spring 1998-1999</MedlineDate></PubDate></JournalIssue>"
        "<Title>Our journal</Title></Journal>"
    )
    rest = (
        '<ELocationID EIdType="doi">10.1/x</ELocationID><AuthorList><Author><LastName>Doe</LastName><Initials>J'
        "</Initials></Author><Author><CollectiveName>The group</CollectiveName></Author></AuthorList>"
        "<Language>eng</Language><Language>fre</Language><PublicationTypeList><PublicationType>Review</PublicationType>"
        "</PublicationTypeList>"
    )
    after = (
        '<MeshHeadingList><MeshHeading><DescriptorName UI="D006073">Gout</DescriptorName></MeshHeading><MeshHeading>'
        '<DescriptorName UI="D000001">B</DescriptorName></MeshHeading></MeshHeadingList><OtherAbstract Language="fre">'
        "<AbstractText>Autre.</AbstractText></OtherAbstract></MedlineCitation><PubmedData><ArticleIdList>"
        '<ArticleId IdType="pmc">PMC7</ArticleId></ArticleIdList><ReferenceList><Reference><ArticleIdList>'
        '<ArticleId IdType="pmc">PMC999</ArticleId></ArticleIdList></Reference></ReferenceList></PubmedData>'
    )
    text = citations(article(rest=rest, date=date).replace("</MedlineCitation>", after))
    document = only(text)
    assert document.metadata == {
        "journal": "Our journal",
        "year": "1998",
        "doi": "10.1/x",
        "pmcid": "PMC7",
        "language": "eng; fre",
        "publication_types": "Review",
        "mesh": "mesh:D006073; mesh:D000001",
        "authors": "Doe J; The group",
        "other_abstract_fre": "Autre.",
    }
    assert document.text == "A title."


def test_bare_citations_books_and_deleted_ones(tmp_path: Path) -> None:
    citation = article(5).removeprefix("<PubmedArticle>").removesuffix("</PubmedArticle>")
    assert only(f"<MedlineCitationSet>{citation}</MedlineCitationSet>").id == "5"
    assert only(citation).id == "5"
    assert only(article(6)).id == "6"
    book = (
        "<PubmedBookArticle><BookDocument><PMID>7</PMID><Book><BookTitle>A book</BookTitle></Book>"
        "<Abstract><AbstractText>Its text.</AbstractText></Abstract></BookDocument></PubmedBookArticle>"
    )
    assert only(citations(book)).text == "A book\nIts text."
    deleted = "<DeleteCitation><PMID>8</PMID><PMID>9</PMID></DeleteCitation>"
    assert [document.id for document in read(citations(article(1), deleted))[0]] == ["1"]
    assert read(citations(deleted)) == ([], [])


def test_missing_parts() -> None:
    empty = "<PubmedArticle><MedlineCitation><PMID>3</PMID><Article/></MedlineCitation></PubmedArticle>"
    found, problems = read(citations(article(1), article(""), empty))
    assert [(document.id, document.text) for document in found] == [("1", "A title."), ("3", "")]
    assert problems == ["a.xml, record 2: the citation has no PMID"]


# Texts as reading gives them: no white space at the ends, and single spaces inside.
_texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40).map(
    lambda text: " ".join(text.replace("\ufffe", "").replace("\uffff", "").split(" ")).strip()
)


@st.composite
def pubmed_documents(draw: st.DrawFn) -> Document:
    """Documents as `read` makes them."""
    passages: list[Passage] = []
    sections = draw(
        st.lists(st.dictionaries(st.sampled_from(["Label", "NlmCategory"]), _texts.filter(bool)), max_size=3)
    )
    for number, names in enumerate([{}, *sections]):
        text = " ".join(filter(None, draw(_texts).split(" ")))
        section = (names.get("Label") or names.get("NlmCategory") or "abstract") if number else "title"
        if text:
            passages.append(Passage(text, passages[-1].end + 1 if passages else 0, section, names))
    keys = st.sampled_from(["journal", "journal_abbreviation", "doi", "pmcid", "language", "authors", "keywords"])
    values = st.text(st.sampled_from("abcβ1./-\U0001f9ec"), min_size=1, max_size=8)
    metadata = draw(st.dictionaries(keys, values, max_size=4))
    metadata |= draw(st.sampled_from([{}, {"year": "1998"}, {"mesh": "mesh:D006073; mesh:D000001"}]))
    metadata |= draw(st.sampled_from([{}, {"other_abstract_fre": "Autre."}, {"publication_types": "Review; Letter"}]))
    return Document(str(draw(st.integers(1, 10**8))), tuple(passages), metadata=metadata)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(pubmed_documents(), max_size=3))
def test_what_was_read_is_written_and_read_the_same(found: list[Document], tmp_path: Path) -> None:
    path = tmp_path / "a.xml.gz"
    assert write_documents(found, path, "pubmed-xml") == len(found)
    assert list(read_documents(path, "pubmed-xml")) == found


def test_a_section_called_title_is_no_title(tmp_path: Path) -> None:
    document = only(
        citations(article(title="", rest='<Abstract><AbstractText Label="title">A.</AbstractText></Abstract>'))
    )
    write_documents([document], tmp_path / "a.xml", "pubmed-xml")
    assert list(read_documents(tmp_path / "a.xml")) == [document]


def test_annotations_and_control_characters_are_left_out_in_writing(tmp_path: Path) -> None:
    document = Document("1", (Passage("Go\x01ut & <b>.", 0, "title"),))
    document = document.with_annotations([document.entity([(0, 5)], "Disease")])
    write_documents([document], tmp_path / "a.xml", "pubmed-xml")
    (found,) = read_documents(tmp_path / "a.xml")
    assert (found.text, found.entities) == ("Go\ufffdut & <b>.", ())


def test_the_sample_of_a_pretty_printed_citation(shared_data: Path) -> None:
    (document,) = read_documents(shared_data / "pretrain/PubMed-XML-samples/pubmed-29768149.xml")
    assert document.id == "29768149"
    assert [passage.section for passage in document.passages] == [
        "title",
        "BACKGROUND",
        "METHODS",
        "RESULTS",
        "CONCLUSIONS",
    ]
    assert "β2-agonist" in document.text
    assert not any(mark in document.text for mark in ("\t", "  ", "<", "β "))
    assert document.metadata["doi"] == "10.1056/NEJMoa1715274"


# Damaged and hostile files. What comes before the damage is read; the rest is told in one sentence with its place.


def test_broken_xml_after_good_records() -> None:
    found, problems = read(citations(article(1), article(2), "<PubmedArticle><PMID>3</PubmedArticle>", article(4)))
    assert [document.id for document in found] == ["1", "2"]
    (problem,) = problems
    assert problem.startswith("a.xml, after record 2: the XML is broken (")
    assert "line 5" in problem


def test_a_file_that_stops_in_the_middle() -> None:
    found, problems = read(citations(article(1), article(2))[:-60])
    assert [document.id for document in found] == ["1"]
    assert len(problems) == 1
    assert "line 4" in problems[0]


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_truncated_gzip_gives_all_records_before_the_cut(keep: float) -> None:
    import random
    import zlib

    chance = random.Random(1)
    whole = citations(*(article(number, f"Title {chance.random()}.") for number in range(4000))).encode()
    packed = gzip.compress(whole)
    packed = packed[: int(len(packed) * keep)]
    there = zlib.decompressobj(wbits=31).decompress(packed).count(b"</PubmedArticle>")
    found, problems = read(packed)
    # The decompressor holds back a little of what it could give.
    assert there - 100 <= len(found) <= there
    assert [document.id for document in found] == [str(number) for number in range(len(found))]
    (problem,) = problems
    line = len(found) + 3  # the next record's, or the one after where the cut lies between them
    assert problem.startswith(f"a.xml, after record {len(found)}: the file is cut short or damaged at line ")
    assert abs(int(problem.split(" at line ")[1].split()[0]) - line) <= 1


def test_damaged_bytes_inside_gzip() -> None:
    packed = bytearray(gzip.compress(citations(*(article(number) for number in range(300))).encode()))
    packed[-6] ^= 0xFF  # the checksum
    found, problems = read(bytes(packed))
    assert len(found) == 300
    assert "damaged" in problems[0]


LAUGHS = (
    '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY a0 "lollollollol">'
    + "".join(f'<!ENTITY a{number} "{f"&a{number - 1};" * 10}">' for number in range(1, 12))
    + "]>"
)
HOSTILE = {
    "billion laughs in a text": citations(article(title="&a11;"), head=LAUGHS),
    "in an attribute": citations(article().replace("<PMID>", '<PMID Version="&a11;">'), head=LAUGHS),
    "outside the records": citations("<x>&a11;</x>", article(), head=LAUGHS),
    "quadratic": citations(article(title="&a;" * 20000), head=f'<!DOCTYPE a [<!ENTITY a "{"b" * 50000}">]>'),
    "external": citations(article(title="&x;"), head='<!DOCTYPE a [<!ENTITY x SYSTEM "SECRET">]>'),
    "parameter": citations(article(title="&x;"), head='<!DOCTYPE a [<!ENTITY % p SYSTEM "SECRET"> %p;]>'),
    "harmless but declared": citations(article(title="&x;"), head='<!DOCTYPE a [<!ENTITY x "y">]>'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_entities_are_never_expanded(name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('<!ENTITY x "LEAKED">')
    started = time.process_time()
    found, problems = read(HOSTILE[name].replace("SECRET", secret.as_uri()))
    assert time.process_time() - started < 1
    assert found == []
    (problem,) = problems
    assert "entit" in problem
    assert "LEAKED" not in problem


def test_an_entity_without_declaration_loses_only_its_record() -> None:
    head = '<!DOCTYPE PubmedArticleSet SYSTEM "pubmed.dtd">'
    found, problems = read(citations(article(1), article(2, "IFN-&gamma;"), article(3), head=head))
    assert [document.id for document in found] == ["1", "3"]
    assert problems == ["a.xml, record 2, PMID 2: the entity &gamma; is not defined in XML; write the character itself"]


def test_no_file_at_all() -> None:
    with pytest.raises(InputError, match=r"a\.xml: the file is empty"):
        guess_format(Source("a.xml", data=b""))
    with pytest.raises(InputError, match="binary file"):
        guess_format(Source("a.xml", data=bytes(range(256)) * 20))
    assert read("") == ([], ["a.xml: the file is empty"])
    found, problems = read(bytes(range(256)))
    assert found == []
    assert "the XML is broken" in problems[0]
    assert read("<html/>") == (
        [],
        ["a.xml: nothing to read here: the outermost element is <html>, expected <PubmedArticleSet>"],
    )


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [("UTF-16", "utf-16"), ("ISO-8859-1", "latin-1"), ("windows-1252", "cp1252"), ("UTF-8", "utf-8-sig")],
)
def test_declared_encodings(declared: str, encoding: str) -> None:
    data = citations(article(title="Sjögren"), head=f'<?xml version="1.0" encoding="{declared}"?>').encode(encoding)
    assert only(data).text == "Sjögren"


def test_a_wrong_encoding_keeps_what_comes_before() -> None:
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    found, problems = read(citations(article(1), article(2, "Sjögren"), article(3), head=head).encode("latin-1"))
    assert [document.id for document in found] == ["1"]
    assert len(problems) == 1
    assert "encod" in problems[0]
    assert "line 4" in problems[0]


@pytest.mark.parametrize("declared", ["US-ASCII", "UTF-16", "no-such-encoding"])
def test_other_wrong_encodings_are_told(declared: str) -> None:
    head = f'<?xml version="1.0" encoding="{declared}"?>\n'
    found, problems = read(citations(article(1, "Sjögren"), head=head).encode("latin-1"))
    assert found == []
    assert len(problems) == 1
    assert "the XML is broken" in problems[0]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Ten times the records, the same memory: 48 MB of XML must not take 10 MB more than 4.8 MB of it."""
    record = article(1, "A title.", f"<Abstract><AbstractText>{'word ' * 300}</AbstractText></Abstract>")
    program = (
        "import resource, sys; from textome.formats import read_documents\n"
        "count = sum(1 for _ in read_documents(sys.argv[1], 'pubmed-xml'))\n"
        "print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for number in (3_000, 30_000):
        path = tmp_path / f"{number}.xml.gz"
        with gzip.open(path, "wt", compresslevel=1) as stream:
            stream.write("<PubmedArticleSet>")
            for _ in range(number):
                stream.write(record)
            stream.write("</PubmedArticleSet>")
        done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
        count, peak = map(int, done.stdout.split())
        assert count == number
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 10_000, "in KiB"


def test_citations_count_records_as_reading_does():
    content = (
        '<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID Version="2">7</PMID><Article>'
        "<ArticleTitle>Gout</ArticleTitle></Article><CommentsCorrectionsList><CommentsCorrections><PMID>1</PMID>"
        "</CommentsCorrections></CommentsCorrectionsList></MedlineCitation></PubmedArticle>"
        "<PubmedArticle><MedlineCitation><Article><ArticleTitle>No number</ArticleTitle></Article></MedlineCitation>"
        "</PubmedArticle><PubmedArticle><MedlineCitation><PMID>8</PMID></MedlineCitation></PubmedArticle>"
        '<DeleteCitation><PMID Version="1">5</PMID><PMID Version="1">6</PMID></DeleteCitation></PubmedArticleSet>'
    )
    source = Source("a.xml", data=content.encode())
    found = list(citations_of(source))
    assert [tuple(item) for item in found] == [
        ("7", 2, 1, False), ("8", 1, 3, False), ("5", 0, 0, True), ("6", 0, 0, True)
    ]  # fmt: skip
    found_numbers = list(numbered(source, Quarantine()))
    assert [(number, document.id) for number, document in found_numbers] == [(1, "7"), (3, "8")]


BOOK = (
    "<PubmedBookArticle><BookDocument><PMID>6</PMID><ArticleIdList><ArticleId IdType='doi'>10.1/book</ArticleId>"
    "</ArticleIdList><Book><BookTitle>Handbook</BookTitle><AuthorList Type='editors'><Author><LastName>Editor</LastName>"
    "</Author></AuthorList></Book>{chapter}</BookDocument></PubmedBookArticle>"
)


def test_a_chapter_and_a_book_keep_doi_authors_and_title() -> None:
    chapter = "<ArticleTitle>Gout</ArticleTitle><AuthorList><Author><LastName>Writer</LastName></Author></AuthorList>"
    document = only(citations(BOOK.format(chapter=chapter)))
    assert document.text == "Gout"
    assert document.metadata == {"doi": "10.1/book", "authors": "Writer", "book": "Handbook"}
    document = only(citations(BOOK.format(chapter="")))
    assert (document.text, document.metadata) == ("Handbook", {"doi": "10.1/book", "authors": "Editor"})


@pytest.mark.parametrize(
    ("locations", "doi"),
    [
        ([("Y", "10.1/right"), ("N", "10.1/wrong")], "10.1/right"),
        ([("N", "10.1/wrong"), ("Y", "10.1/right")], "10.1/right"),
        ([("Y", "10.1/first"), ("Y", "10.1/second")], "10.1/first"),
        ([("N", "10.1/wrong")], ""),
    ],
)
def test_the_first_doi_counts_that_is_not_marked_as_wrong(locations: list[tuple[str, str]], doi: str) -> None:
    rest = "".join(f'<ELocationID EIdType="doi" ValidYN="{valid}">{name}</ELocationID>' for valid, name in locations)
    assert only(citations(article(rest=rest))).metadata.get("doi", "") == doi


def test_several_abstracts_of_one_language_and_the_vernacular_title_are_kept_and_written(tmp_path: Path) -> None:
    other = "".join(
        f'<OtherAbstract Type="{kind}" Language="spa"><AbstractText>{text}</AbstractText></OtherAbstract>'
        for kind, text in (("Publisher", "Uno."), ("plain", "Dos."), ("plain", "Tres."))
    )
    data = citations(article(rest="<VernacularTitle>La gota.</VernacularTitle>")).replace(
        "</MedlineCitation>", f"{other}</MedlineCitation>"
    )
    document = only(data)
    assert document.metadata == {
        "vernacular_title": "La gota.",
        "other_abstract_spa": "Uno.",
        "other_abstract_spa_plain": "Dos.",
        "other_abstract_spa_2": "Tres.",
    }
    write_documents([document], tmp_path / "a.xml", "pubmed-xml")
    (back,) = read_documents(tmp_path / "a.xml")
    assert sorted(back.metadata.values()) == sorted(document.metadata.values())
