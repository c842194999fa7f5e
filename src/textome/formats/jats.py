"""JATS: full-text articles as PubMed Central gives them (`.nxml`, efetch, OAI-PMH), NISO Z39.96 and its NLM forerunners.

An article becomes a document: its title, each heading and each paragraph of abstract and body is a passage, one separator
between them. Inline markup goes and its text stays. Read only: a document has too little to make an article of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

from lxml import etree

from textome.documents import Document, Passage, replace_lone_surrogates
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source
from textome.formats.reading.xml_reading import another_key, records

# With any namespace or none: OAI-PMH wraps articles in that of their JATS version, and files have none.
_TAGS = ("{*}article",)
_ROOTS = ("article", "pmc-articleset")
_SNIFF = re.compile(
    r"""<!DOCTYPE\s+(?:article|pmc-articleset)\s[^>]*(?:JATS|NLM//DTD|archivearticle|journalpublishing)
      | <pmc-articleset\b
      | <article\b[^>]*\s(?:article-type|dtd-version)\s*=
      | \A\s*(?:<\?xml[^>]*>\s*)?<article\b[^>]*>\s*<(?:processing-meta|front)\b
      | <OAI-PMH\b.*(?:metadataPrefix="pmc"|jats\.nlm\.nih\.gov|dtd\.nlm\.nih\.gov)""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)

# What is not a running text: tables but their captions, formulas set apart, notes, references, and what belongs to files.
_LEFT_OUT = frozenset(
    """
    alt-text annotation attrib code contrib-group copyright-statement disp-formula disp-formula-group fn fn-group graphic
    index-term inline-graphic inline-media inline-supplementary-material label long-desc media milestone-end
    milestone-start object-id permissions processing-meta ref ref-list related-article related-object sec-meta
    supplementary-material table table-wrap-foot tex-math textual-form
    """.split()  # noqa: SIM905 - a list of strings would be ten times as long
)
# What begins and ends a paragraph. All other elements are inline.
_BLOCKS = frozenset(
    """
    abstract app app-group array boxed-text caption def def-item def-list disp-quote fig fig-group floats-group glossary
    list list-item p preformat question sec speech statement table-wrap table-wrap-group title verse-group verse-line
    """.split()  # noqa: SIM905
)
_IN_BACK = ("sec", "app", "app-group", "glossary", "def-list")
_NO_ABSTRACT = frozenset({"graphical", "teaser", "toc", "precis"})
_SPACE = re.compile(r"[ \t\r\n]+")
_DIGITS = re.compile(r"(?:PMC)?(\d+)", re.IGNORECASE)
# A footnote's sign, or the number of a reference, alone or as a range. A year or a name belongs to its sentence and stays.
_CITATION = re.compile(r"[\[(]?\s*(?:\d{1,3}[a-z]?(?:\s*[,;–—‐-]\s*\d{1,3}[a-z]?)*|[a-z*†‡§¶#]{1,2})\s*[\])]?")
_CITING = ("bibr", "fn", "table-fn")
# Stands for a citation until its brackets are found; a noncharacter, which no text holds.
_CITED = "\ufdd0"
_CITED_ROW = rf"{_CITED}(?:[\s,;–—‐-]*{_CITED})*+"
_DROPPED = re.compile(
    rf"\s*[\[(]\s*{_CITED_ROW}\s*[\])]|(?<=[\[(]){_CITED_ROW}[\s,;]+|(?<=\s){_CITED_ROW}\s+"
    rf"|\s*{_CITED_ROW}(?=[.,;:])|{_CITED_ROW}"
)


def sniff(head: str, name: str) -> bool:
    return bool(_SNIFF.search(head))


def read(source: Source, quarantine: Quarantine, captions: bool = True) -> Iterator[Document]:
    """Articles as the file is read; one that cannot be read is quarantined.

    Left out are references and the numbers that cite them, the cells of tables, formulas set apart, footnotes,
    acknowledgements, supplements and sub-articles. The id is the PMC identifier, else the PMID, the DOI, another
    identifier, or the file's name with the article's number.

    captions   whether the titles and captions of figures and tables are passages
    """
    for number, element in records(source, _TAGS, _ROOTS, quarantine):
        identifiers = _identifiers(element)
        name = next(iter(identifiers.values()), "") or f"{PurePath(source.name).stem}-{number}"
        try:
            yield Document(name, tuple(_passages(element, captions)), metadata=_metadata(element, identifiers))
        except InputError as error:
            quarantine.add(source.name, f"record {number}, {name}", error)


def _passages(article: etree._Element, captions: bool) -> list[Passage]:
    reader = _Reader(captions)
    meta = _child(_child(article, "front"), "article-meta")
    titles = _child(meta, "title-group")
    title = ": ".join(filter(None, (_inline(_child(titles, name)) for name in ("article-title", "subtitle"))))
    reader.add(title, "title", "front")
    for abstract in _children(meta, "abstract"):
        if abstract.get("abstract-type") not in _NO_ABSTRACT:
            reader.read(abstract, "abstract")
    for name in ("body", "floats-group"):
        for part in _children(article, name):
            reader.read(part, "body")
    for part in _children(article, "back"):
        for appendix in part:
            if _local(appendix) in _IN_BACK:
                reader.read(appendix, "back")
    return reader.passages


class _Reader:
    """Collects the passages of an article while its elements are visited in order."""

    def __init__(self, captions: bool) -> None:
        self.passages: list[Passage] = []
        self._captions = captions

    def read(self, element: etree._Element, part: str, titles: tuple[str, ...] = ()) -> None:
        """Add the paragraphs of an element. `titles` are those of the sections around it; without one, `part` is it."""
        paragraph: list[str] = []

        def flush() -> None:
            path = {"path": " > ".join(titles)} if titles else {}
            section = titles[-1] if titles and part != "caption" else part
            self.add(_one_line("".join(paragraph)), section, part, **path)
            paragraph.clear()

        for item in _content(element):
            if isinstance(item, str):
                paragraph.append(item)
                continue
            flush()
            name = _local(item)
            if name == "title" and part != "caption":
                if heading := _inline(item):
                    titles = (*titles, heading)
                    self.add(heading, heading, part, kind="heading", path=" > ".join(titles))
            elif name != "caption":
                self.read(item, part, titles)
            elif self._captions:
                self.read(item, "caption", titles)
        flush()

    def add(self, text: str, section: str, part: str, **metadata: str) -> None:
        """Add a passage after the last, with one separator between them."""
        if text:
            offset = self.passages[-1].end + 1 if self.passages else 0
            self.passages.append(Passage(text, offset, section, {"part": part} | metadata))


def _content(element: etree._Element) -> Iterator[str | etree._Element]:
    """What an element holds, in order: pieces of text, inline markup left out, and block elements as they are.

    Raises InputError at a named entity, which is never expanded.
    """
    yield element.text or ""
    for child in element:
        name = _local(child)
        if child.tag is etree.Entity:
            raise InputError(f"the entity {child.text} is not defined in XML; write the character itself")
        if name in _BLOCKS:
            yield child
        elif name in ("break", "disp-formula"):
            yield " "
        elif name == "xref" and child.get("ref-type") in _CITING and _CITATION.fullmatch(text := _inline(child)):
            yield _CITED if text else ""
        elif name and name not in _LEFT_OUT:
            yield from _content(child)
        yield child.tail or ""


def _inline(element: etree._Element | None) -> str:
    """All text of an element on one line; empty where there is no element."""
    if element is None:
        return ""
    return _one_line("".join(item if isinstance(item, str) else f" {_inline(item)} " for item in _content(element)))


def _one_line(text: str) -> str:
    """Runs of XML white space as one space, and no citations."""
    if _CITED in text:
        text = _DROPPED.sub("", text)
    return _SPACE.sub(" ", replace_lone_surrogates(text)).strip(" ")


def _identifiers(article: etree._Element) -> dict[str, str]:
    """The article's identifiers by kind, the one to name it by first; PMC identifiers begin with `PMC`."""
    identifiers: dict[str, str] = {}
    for item in _children(_child(_child(article, "front"), "article-meta"), "article-id"):
        kind, value = item.get("pub-id-type") or "other", (item.text or "").strip()
        if kind in ("pmc", "pmcid") and (match := _DIGITS.fullmatch(value)):
            kind, value = "pmcid", f"PMC{match[1]}"
        if value:
            identifiers.setdefault(kind, value)
    first = {kind: identifiers[kind] for kind in ("pmcid", "pmid", "doi") if kind in identifiers}
    return first | identifiers


def _metadata(article: etree._Element, identifiers: dict[str, str]) -> dict[str, str]:
    front = _child(article, "front")
    journal = _child(front, "journal-meta")
    meta = _child(front, "article-meta")
    journal_title = _child(_child(journal, "journal-title-group"), "journal-title")
    years = [year for date in _children(meta, "pub-date") if (year := _inline(_child(date, "year")))]
    authors = [
        " ".join(filter(None, (_inline(_child(name, "given-names")), _inline(_child(name, "surname")))))
        if (name := _child(author, "name")) is not None
        else _inline(_child(author, "collab"))
        for group in _children(meta, "contrib-group")
        for author in _children(group, "contrib")
        if author.get("contrib-type") in (None, "author")
    ]
    values = {
        "pmcid": identifiers.get("pmcid", ""),
        "pmid": identifiers.get("pmid", ""),
        "doi": identifiers.get("doi", ""),
        "journal": _inline(journal_title) or _inline(_child(journal, "journal-title")),
        "year": min(years, default=""),
        "language": _language(article),
        "publication_types": article.get("article-type") or "",
        "keywords": "; ".join(
            _inline(kwd) for group in _children(meta, "kwd-group") for kwd in _children(group, "kwd")
        ),
        "authors": "; ".join(filter(None, authors)),
        "license": _license(meta),
    }
    for other in _children(meta, "trans-abstract"):
        key = another_key(values, "other_abstract", _language(other) or "unknown", other.get("abstract-type") or "")
        values[key] = _inline(other)
    for group in _children(_child(meta, "title-group"), "trans-title-group"):
        title = _child(group, "trans-title")
        language = _language(group) or ("" if title is None else _language(title))
        values[another_key(values, "other_title", language or "unknown")] = _inline(title)
    return {str(key): replace_lone_surrogates(str(value)) for key, value in values.items() if value}


def _language(element: etree._Element) -> str:
    return str(element.get("{http://www.w3.org/XML/1998/namespace}lang") or "")


def _license(meta: etree._Element | None) -> str:
    """The address of the licence where one is given, else its kind (`open-access`)."""
    for license in _children(_child(meta, "permissions"), "license"):
        addresses = [
            str(value) for item in license.iter() for key, value in item.attrib.items() if str(key).endswith("}href")
        ]
        return next((value for value in addresses if "licen" in value), "") or license.get("license-type") or ""
    return ""


def _local(element: etree._Element) -> str:
    """The name of an element without its namespace; empty for comments and the like."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _children(element: etree._Element | None, name: str) -> list[etree._Element]:
    return [] if element is None else [child for child in element if _local(child) == name]


def _child(element: etree._Element | None, name: str) -> etree._Element | None:
    return next(iter(_children(element, name)), None)
