"""PubMed XML: citation sets as the PubMed baseline, update files and E-utilities give them (NLM PubMed DTD).

A citation becomes a document: the PMID is its id, the title and each part of the abstract a passage, one separator
between them. Inline markup goes and its text stays. The format holds no annotations: writing leaves them out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lxml import etree

from textome.documents import Document, Passage, replace_lone_surrogates
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source, Target
from textome.formats.reading.xml_reading import another_key, child_text, inner_text, records, writable, xml_text

_TAGS = ("PubmedArticle", "PubmedBookArticle", "MedlineCitation", "BookDocument")
_DELETION = "DeleteCitation"
_SETS = ("PubmedArticleSet", "PubmedBookArticleSet", "MedlineCitationSet")
_YEAR = re.compile("[0-9]{4}")
_SPACE = re.compile("[ \t\r\n]+")
# Where a file was pretty-printed, a line break stands before a sub- or superscript that belongs to the word before it.
_ATTACHED = ("sub", "sup")
_BROKEN = re.compile(r"[ \t\r]*\n[ \t\r\n]*$")


def sniff(head: str, name: str) -> bool:
    return bool(
        re.search(r"<(PubmedArticleSet|PubmedArticle|MedlineCitationSet|MedlineCitation|PubmedBookArticle)\b", head)
    )


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """Documents as the file is read. A citation without PMID, or one that cannot be read, is quarantined.

    Deleted citations (`DeleteCitation` in update files) are not documents and are passed over.
    """
    for _, document in numbered(source, quarantine):
        yield document


def numbered(source: Source, quarantine: Quarantine) -> Iterator[tuple[int, Document]]:
    """As `read`, each document with the number of its record in the file, from 1, as `citations` counts them."""
    for number, element in records(source, _TAGS, _SETS, quarantine):
        pmid = _text(element.find(".//PMID"))
        try:
            if not pmid:
                raise InputError("the citation has no PMID")
            yield number, _document(element, pmid)
        except InputError as error:
            quarantine.add(source.name, f"record {number}" + (f", PMID {pmid}" if pmid else ""), error)


class Citation(NamedTuple):
    """A citation as an update needs it: which version of which PMID stands in which record of a file.

    `deleted` says that the file takes the PMID back (`DeleteCitation`); `record` is 0 then.
    """

    pmid: str
    version: int
    record: int
    deleted: bool


def citations(source: Source) -> Iterator[Citation]:
    """What a file adds, replaces and deletes, in its order. Where the file is broken it ends; `read` says so."""
    number = 0
    for _, element in records(source, (*_TAGS, _DELETION), _SETS, Quarantine(keep=0)):
        if element.tag == _DELETION:
            for gone in element.iter("PMID"):
                yield Citation(_text(gone), 0, 0, True)
            continue
        number += 1
        item = element.find(".//PMID")
        if item is not None and (pmid := _text(item)):
            version = str(item.get("Version", "1"))
            yield Citation(pmid, int(version) if version.isdecimal() else 1, number, False)


def write(documents: Iterable[Document], target: Target) -> int:
    """A citation set. What `read` gave is written so that it reads the same; annotations are left out.

    Of other documents the texts, labels and the metadata that `read` knows are kept. PubMed XML does not keep their
    white space (reading makes runs of it one space), nor gaps between passages; a document without an id cannot be
    read again, since a citation needs its PMID. Characters that XML cannot hold become U+FFFD.
    """
    number = 0
    with target.open() as stream, etree.xmlfile(stream, encoding="utf-8") as file:
        file.write_declaration()
        with file.element("PubmedArticleSet"):
            file.write("\n")
            for number, document in enumerate(documents, 1):
                file.write(_article(writable(document)))
                file.write("\n")
    return number


def _document(element: etree._Element, pmid: str) -> Document:
    passages: list[Passage] = []

    def add(text: str, section: str, metadata: dict[str, str]) -> None:
        if text:
            passages.append(Passage(text, passages[-1].end + 1 if passages else 0, section, metadata))

    add(_text(element.find(".//ArticleTitle")) or _text(element.find(".//BookTitle")), "title", {})
    abstract = element.find(".//Abstract")
    for part in abstract.findall("AbstractText") if abstract is not None else ():
        names = {str(key): replace_lone_surrogates(str(value)) for key, value in part.attrib.items() if value}
        add(_text(part), names.get("Label") or names.get("NlmCategory") or "abstract", names)
    return Document(pmid, tuple(passages), metadata=_metadata(element))


def _metadata(element: etree._Element) -> dict[str, str]:
    lists = (
        "./PubmedData/ArticleIdList/ArticleId",
        ".//BookDocument/ArticleIdList/ArticleId",
        "./ArticleIdList/ArticleId",
    )
    identifiers = {item.get("IdType"): _text(item) for path in lists for item in element.findall(path)}
    # "1998 Dec-1999 Jan", "Spring 2000": the first year that is named.
    named = _YEAR.search(child_text(element, ".//PubDate/MedlineDate"))
    year = child_text(element, ".//PubDate/Year") or (named[0] if named else "")
    values = {
        "journal": child_text(element, ".//Journal/Title"),
        "journal_abbreviation": child_text(element, ".//Journal/ISOAbbreviation"),
        "year": year,
        "doi": _doi(element) or identifiers.get("doi") or "",
        "pmcid": identifiers.get("pmc", ""),
        "language": _joined(element, ".//Article/Language") or _joined(element, ".//BookDocument/Language"),
        "publication_types": _joined(element, ".//PublicationTypeList/PublicationType")
        or _joined(element, ".//BookDocument/PublicationType"),
        "mesh": "; ".join(
            f"mesh:{item.get('UI')}" for item in element.findall(".//MeshHeading/DescriptorName") if item.get("UI")
        ),
        "keywords": _joined(element, ".//KeywordList/Keyword"),
        "authors": "; ".join(filter(None, map(_author, _authors(element)))),
        "vernacular_title": child_text(element, ".//VernacularTitle"),
    }
    if _text(element.find(".//ArticleTitle")):
        values["book"] = _text(element.find(".//BookTitle"))
    for other in element.findall(".//OtherAbstract"):
        text = " ".join(filter(None, (_text(part) for part in other.findall("AbstractText"))))
        kind = other.get("Type") or ""
        values[another_key(values, "other_abstract", other.get("Language") or kind or "unknown", kind)] = text
    return {key: value for key, value in values.items() if value}


def _doi(element: etree._Element) -> str:
    """The first DOI that is not marked as wrong."""
    locations = element.findall(".//ELocationID[@EIdType='doi']")
    return next((text for item in locations if item.get("ValidYN") != "N" and (text := _text(item))), "")


def _authors(element: etree._Element) -> list[etree._Element]:
    """The authors of an article or of a chapter; of a book without them its editors. Names marked as wrong are left out."""
    for path in (
        ".//Article/AuthorList/Author",
        ".//BookDocument/AuthorList/Author",
        "./AuthorList/Author",
        ".//Book/AuthorList/Author",
    ):
        if authors := [item for item in element.findall(path) if item.get("ValidYN") != "N"]:
            return authors
    return []


def _joined(element: etree._Element, path: str) -> str:
    return "; ".join(filter(None, (_text(item) for item in element.findall(path))))


def _author(element: etree._Element) -> str:
    name = child_text(element, "CollectiveName")
    return name or " ".join(filter(None, (child_text(element, "LastName"), child_text(element, "Initials"))))


def _text(element: etree._Element | None) -> str:
    """The text of an element on one line: runs of XML white space become one space."""
    if element is None:
        return ""
    for script in element.iter(*_ATTACHED):
        before = script.getprevious()
        if before is not None:
            before.tail = _BROKEN.sub("", before.tail or "")
        elif (parent := script.getparent()) is not None:
            parent.text = _BROKEN.sub("", parent.text or "")
    return _SPACE.sub(" ", replace_lone_surrogates(inner_text(element))).strip(" ")


def _article(document: Document) -> etree._Element:
    metadata = {key: xml_text(value) for key, value in document.metadata.items()}
    article = etree.Element("PubmedArticle")
    citation = etree.SubElement(article, "MedlineCitation", Status="MEDLINE", Owner="NLM")
    _sub(citation, "PMID", xml_text(document.id), Version="1")
    inner = etree.SubElement(citation, "Article", PubModel="Print")
    journal = etree.SubElement(inner, "Journal")
    date = etree.SubElement(etree.SubElement(journal, "JournalIssue", CitedMedium="Internet"), "PubDate")
    _sub(date, "Year", metadata.get("year", ""))
    _sub(journal, "Title", metadata.get("journal", ""))
    _sub(journal, "ISOAbbreviation", metadata.get("journal_abbreviation", ""))
    passages = list(document.passages)
    title = passages.pop(0).text if passages and passages[0].section == "title" and not passages[0].metadata else ""
    etree.SubElement(inner, "ArticleTitle").text = title
    _sub(inner, "ELocationID", metadata.get("doi", ""), EIdType="doi", ValidYN="Y")
    if passages:
        abstract = etree.SubElement(inner, "Abstract")
        for passage in passages:
            names: dict[str, str] = {
                key: xml_text(passage.metadata[key]) for key in ("Label", "NlmCategory") if key in passage.metadata
            }
            if not names and passage.section not in ("", "abstract"):
                names = {"Label": xml_text(passage.section)}
            etree.SubElement(abstract, "AbstractText", names).text = passage.text
    authors = etree.SubElement(inner, "AuthorList")
    for author in filter(None, metadata.get("authors", "").split("; ")):
        _sub(etree.SubElement(authors, "Author"), "CollectiveName", author)
    for language in filter(None, metadata.get("language", "").split("; ")):
        _sub(inner, "Language", language)
    _sub(inner, "VernacularTitle", metadata.get("vernacular_title", ""))
    kinds = etree.SubElement(inner, "PublicationTypeList")
    for kind in filter(None, metadata.get("publication_types", "").split("; ")):
        _sub(kinds, "PublicationType", kind)
    headings = etree.SubElement(citation, "MeshHeadingList")
    for heading in filter(None, metadata.get("mesh", "").split("; ")):
        etree.SubElement(etree.SubElement(headings, "MeshHeading"), "DescriptorName", UI=heading.removeprefix("mesh:"))
    for key, text in metadata.items():
        if key.startswith("other_abstract_"):
            language, _, kind = key.removeprefix("other_abstract_").partition("_")
            other = etree.SubElement(citation, "OtherAbstract", {"Type": kind} if kind else {}, Language=language)
            _sub(other, "AbstractText", text)
    keywords = etree.SubElement(citation, "KeywordList")
    for keyword in filter(None, metadata.get("keywords", "").split("; ")):
        _sub(keywords, "Keyword", keyword)
    for parent in (inner, citation):  # the DTD allows no empty list
        for part in parent:
            if not len(part) and str(part.tag).endswith("List"):
                parent.remove(part)
    identifiers = etree.SubElement(etree.SubElement(article, "PubmedData"), "ArticleIdList")
    _sub(identifiers, "ArticleId", xml_text(document.id), IdType="pubmed")
    _sub(identifiers, "ArticleId", metadata.get("pmcid", ""), IdType="pmc")
    return article


def _sub(parent: etree._Element, tag: str, text: str, **attributes: str) -> None:
    if text:
        etree.SubElement(parent, tag, attributes).text = text
