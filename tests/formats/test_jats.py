"""JATS: what an article becomes, its many wrappers, and files that are damaged or hostile."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.documents import Document
from textome.errors import InputError
from textome.formats import Quarantine, Source, guess_format, read_documents, write_documents

DOCTYPE = (
    '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Archiving and Interchange DTD v1.0 20120330//EN" '
    '"JATS-archivearticle1.dtd">\n'
)
IDS = (
    '<article-id pub-id-type="pmid">77</article-id><article-id pub-id-type="pmc">123</article-id>'
    '<article-id pub-id-type="doi">10.1/x</article-id>'
)


def article(body: str = "<p>Gout hurts.</p>", title: str = "On gout", front: str = "", ids: str = IDS) -> str:
    return (
        '<article xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:mml="http://www.w3.org/1998/Math/MathML" '
        f'article-type="research-article"><front><article-meta>{ids}<title-group><article-title>{title}</article-title>'
        f"</title-group>{front}</article-meta></front><body>{body}</body><back><ack><p>We thank all.</p></ack><ref-list>"
        "<title>References</title><ref><mixed-citation>Doe J. A paper.</mixed-citation></ref></ref-list></back></article>"
    )


def read(data: str | bytes, format: str | None = "jats", **options: object) -> tuple[list[Document], list[str]]:
    source = Source("a.nxml", data=data.encode() if isinstance(data, str) else data)
    quarantine = Quarantine()
    return list(read_documents(source, format, quarantine, **options)), [str(record) for record in quarantine.records]


def only(data: str | bytes, **options: object) -> Document:
    (document,), problems = read(data, None, **options)
    assert problems == []
    return document


def texts(body: str, **options: object) -> list[str]:
    """The passages of a body, without the title before it."""
    return [passage.text for passage in only(DOCTYPE + article(body), **options).passages[1:]]


def test_an_article_becomes_titles_and_paragraphs() -> None:
    front = (
        "<abstract><sec><title>Aims</title><p>We ask.</p></sec></abstract>"
        '<abstract abstract-type="graphical"><p>A picture.</p></abstract>'
        '<abstract abstract-type="summary"><title>In short</title><p>We know.</p></abstract>'
    )
    body = (
        "<p>Before any section.</p><sec><title>Methods</title><p>First.</p><sec><title>Mice</title><p>Second.</p></sec>"
        "<p>Third.</p></sec>"
    )
    document = only(DOCTYPE + article(body, front=front))
    assert [(passage.section, passage.text) for passage in document.passages] == [
        ("title", "On gout"),
        ("Aims", "Aims"),
        ("Aims", "We ask."),
        ("In short", "In short"),
        ("In short", "We know."),
        ("body", "Before any section."),
        ("Methods", "Methods"),
        ("Methods", "First."),
        ("Mice", "Mice"),
        ("Mice", "Second."),
        ("Methods", "Third."),
    ]
    assert document.passages[9].metadata == {"part": "body", "path": "Methods > Mice"}
    assert document.passages[8].metadata == {"part": "body", "path": "Methods > Mice", "kind": "heading"}
    assert document.text.startswith("On gout\nAims\nWe ask.\nIn short")
    assert "thank" not in document.text
    assert "Doe" not in document.text


def test_identifiers_and_metadata() -> None:
    front = (
        '<contrib-group><contrib contrib-type="author"><name><surname>Doe</surname><given-names>Jo</given-names></name>'
        '</contrib><contrib contrib-type="editor"><name><surname>No</surname></name></contrib><contrib><collab>The group'
        "</collab></contrib></contrib-group><pub-date><year>2012</year></pub-date><pub-date><year>2011</year></pub-date>"
        '<permissions><license license-type="open-access" xlink:href="http://creativecommons.org/licenses/by/4.0/"/>'
        "</permissions><kwd-group><kwd>gout</kwd><kwd>uric <italic>acid</italic></kwd></kwd-group>"
        '<trans-abstract xml:lang="es"><p>La gota.</p></trans-abstract>'
    )
    document = only(DOCTYPE + article(front=front))
    assert document.id == "PMC123"
    assert document.metadata == {
        "pmcid": "PMC123",
        "pmid": "77",
        "doi": "10.1/x",
        "year": "2011",
        "publication_types": "research-article",
        "keywords": "gout; uric acid",
        "authors": "Jo Doe; The group",
        "license": "http://creativecommons.org/licenses/by/4.0/",
        "other_abstract_es": "La gota.",
    }


@pytest.mark.parametrize(
    ("ids", "name"),
    [
        ('<article-id pub-id-type="pmcid">PMC9</article-id>', "PMC9"),
        ('<article-id pub-id-type="doi">10.1/x</article-id><article-id pub-id-type="pmid">77</article-id>', "77"),
        ('<article-id pub-id-type="publisher-id">p-1</article-id>', "p-1"),
        ("", "a-1"),
    ],
)
def test_an_article_is_named_by_the_best_identifier(ids: str, name: str) -> None:
    assert only(DOCTYPE + article(ids=ids)).id == name


XREF = '<xref ref-type="bibr" rid="b1">{}</xref>'
ONE, TWO = XREF.format(1), XREF.format(2)


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<italic>TP53</italic> and H<sub>2</sub>O", "TP53 and H2O"),
        ("<bold><italic>n<sup>2</sup></italic></bold> is", "n2 is"),
        (f"as known [{ONE}]. Yes", "as known. Yes"),
        (f"as known [{ONE},{TWO}–{XREF.format(5)}] and", "as known and"),
        (f"as known.<sup>{ONE},{TWO}</sup> Yes", "as known. Yes"),
        (f"as known <sup>{ONE}</sup>.", "as known."),
        (f"see [{ONE}, pp. 3] for", "see [pp. 3] for"),
        (f"by {XREF.format('[1-4]')} found", "by found"),
        (f"Doe ({XREF.format('2003')}) and {XREF.format('Roe, 2004')}", "Doe (2003) and Roe, 2004"),
        ('in <xref ref-type="fig" rid="f1">Figure 1</xref> (f)', "in Figure 1 (f)"),
        ('them<xref ref-type="fn" rid="n1"><sup>a</sup></xref> all', "them all"),
        ("<inline-formula><mml:math><mml:mi>p</mml:mi><mml:mo>&lt;</mml:mo></mml:math></inline-formula> 5", "p< 5"),
        (
            "so <alternatives><tex-math>\\documentclass{x}</tex-math><mml:math><mml:mi>y</mml:mi></mml:math>"
            "</alternatives> is",
            "so y is",
        ),
        ("as<disp-formula><mml:math><mml:mi>E</mml:mi></mml:math></disp-formula>where", "as where"),
        ("a <!-- no --> b<?no no?>", "a b"),
        ("a<break/>b\n\t  c", "a b c"),
        ('at <ext-link xlink:href="http://x">the site</ext-link>', "at the site"),
        ("text<fn><p>A note.</p></fn> on", "text on"),
        ("<![CDATA[a <b> & c]]> &#x1F9EC; e&#x301;", "a <b> & c \U0001f9ec e\u0301"),
    ],
)
def test_inline_markup_citations_and_formulas(markup: str, text: str) -> None:
    assert texts(f"<p>{markup}</p>") == [text]


def test_blocks_inside_a_paragraph_part_it() -> None:
    body = (
        "<p>Before <list><list-item><label>1.</label><p>one</p></list-item><list-item><p>two</p></list-item></list> after"
        "<disp-quote><p>said</p></disp-quote></p><p> </p>"
        "<def-list><def-item><term>CI</term><def><p>interval</p></def></def-item></def-list>"
    )
    assert texts(body) == ["Before", "one", "two", "after", "said", "CI", "interval"]


def test_captions_can_be_left_out_and_tables_always_are() -> None:
    body = (
        "<sec><title>Results</title><p>See <fig><label>Figure 1</label><caption><title>Mice.</title><p>All of them."
        "</p></caption><graphic/></fig> here.</p><table-wrap><caption><p>A table.</p></caption><table><tr><td>17</td></tr>"
        "</table><table-wrap-foot><fn><p>note</p></fn></table-wrap-foot></table-wrap></sec>"
    )
    with_captions = ["Results", "See", "Mice.", "All of them.", "here.", "A table."]
    assert texts(body) == with_captions
    assert texts(body, captions=False) == ["Results", "See", "here."]
    passages = only(DOCTYPE + article(body)).passages
    assert [passage.section for passage in passages if passage.metadata["part"] == "caption"] == ["caption"] * 3


def test_appendices_are_read_and_replies_are_not() -> None:
    data = DOCTYPE + article().replace(
        "<back>", "<back><app-group><app><title>More</title><p>Text.</p></app></app-group>"
    )
    data = data.replace("</back>", "</back><sub-article><body><p>Reply.</p></body></sub-article>")
    assert [passage.text for passage in only(data).passages] == ["On gout", "Gout hurts.", "More", "Text."]


NAMESPACED = article().replace("<article ", '<article xmlns="https://jats.nlm.nih.gov/ns/archiving/1.4/" ', 1)
OAI = (
    '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><request verb="ListRecords" metadataPrefix="pmc">x</request>'
    "<ListRecords>{}</ListRecords></OAI-PMH>"
)
WRAPPERS = {
    "a doctype": DOCTYPE + article(),
    "nothing": article(),
    "a declaration": '<?xml version="1.0"?>\n' + article().replace(' article-type="research-article"', ""),
    "efetch": f'<?xml version="1.0"?><pmc-articleset>{article()}</pmc-articleset>',
    "OAI-PMH": OAI.format(f"<record><header/><metadata>{NAMESPACED}</metadata></record>"),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers(name: str) -> None:
    document = only(WRAPPERS[name])
    assert (document.id, document.text) == ("PMC123", "On gout\nGout hurts.")
    assert guess_format(Source("a", data=gzip.compress(WRAPPERS[name].encode()))) == "jats"


def test_articles_of_a_set_are_read_one_by_one() -> None:
    bad = article("<p>IFN-&gamma;</p>")
    data = f"<!DOCTYPE pmc-articleset SYSTEM 'NLM//DTD'><pmc-articleset>{article()}{bad}{article()}</pmc-articleset>"
    found, problems = read(data)
    assert [document.id for document in found] == ["PMC123", "PMC123"]
    assert problems == [
        "a.nxml, record 2, PMC123: the entity &gamma; is not defined in XML; write the character itself"
    ]


def test_a_truncated_set_keeps_what_is_whole() -> None:
    data = f"<pmc-articleset>{article()}{article()}"
    found, problems = read(data[:-60])
    assert len(found) == 1
    assert "the XML is broken" in problems[0]


@pytest.mark.parametrize(
    "declared",
    [
        '<!ENTITY x SYSTEM "SECRET">',
        '<!ENTITY % x SYSTEM "SECRET"> %x;',
        '<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghx", strict=True)),
    ],
)
def test_entities_are_never_expanded(declared: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('<!ENTITY x "LEAKED">')
    started = time.process_time()
    found, problems = read(
        f"<!DOCTYPE article [{declared.replace('SECRET', secret.as_uri())}]>" + article("<p>&x;</p>")
    )
    assert time.process_time() - started < 1
    assert found == []
    assert len(problems) == 1
    assert "entit" in problems[0]
    assert "LEAKED" not in problems[0]


def test_what_is_no_article() -> None:
    with pytest.raises(InputError, match="a web page"):
        guess_format(Source("a.html", data=b"<!doctype html><html><body><article><p>x</p></article></body></html>"))
    found, problems = read("<OAI-PMH><error>idDoesNotExist</error></OAI-PMH>")
    assert found == []
    assert "expected <article>" in problems[0]
    with pytest.raises(InputError, match="not writable"):
        write_documents([], "-", "jats")


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff\ufdd0")).filter(
            str.strip
        ),
        max_size=5,
    )
)
def test_any_text_comes_through(paragraphs: list[str]) -> None:
    """Offsets hold (a Document checks them) and every paragraph is there, with XML white space folded."""
    escaped = [text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for text in paragraphs]
    data = DOCTYPE + article("".join(f"<p>{text}</p>" for text in escaped))
    folded = [" ".join(text.strip(" ").split(" ")) for text in paragraphs]
    expected = [" ".join(filter(None, text.split(" "))) for text in folded]
    assert [passage.text for passage in only(data).passages[1:]] == [text for text in expected if text]


def test_real_articles(shared_data: Path) -> None:
    """Eight open-access articles of PubMed Central from 2007 to 2013, of six publishers."""
    for path in sorted((shared_data / "pretrain" / "PubMed-XML-samples").glob("*.nxml")):
        document = only(path.read_bytes())
        assert document.id.startswith("PMC")
        assert document.metadata["pmid"].isdigit()
        assert 10_000 < len(document.text) < 60_000
        assert {"title", "front", "abstract", "body"} >= {passage.metadata["part"] for passage in document.passages[:2]}
        assert not {"[]", "()", "[–", "\n\n"} & {document.text[i : i + 2] for i in range(len(document.text))}
        assert "\ufdd0" not in document.text


def test_glossaries_and_titles_in_other_languages_are_kept() -> None:
    glossary = (
        "<back><glossary><title>Abbreviations</title><def-list><def-item><term>UA</term><def><p>uric acid</p></def>"
        "</def-item></def-list></glossary></back>"
    )
    data = article().replace("</article>", f"{glossary}</article>")
    data = data.replace(
        "</article-title>",
        '</article-title><trans-title-group xml:lang="es"><trans-title>La gota</trans-title></trans-title-group>',
        1,
    )
    document = only(data)
    assert [item.text for item in document.passages][-3:] == ["Abbreviations", "UA", "uric acid"]
    assert document.metadata["other_title_es"] == "La gota"
