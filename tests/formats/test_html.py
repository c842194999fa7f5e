"""The page: well formed, self-contained, with every entity marked once and the text exactly as it was."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings

from strategies import documents
from textome.documents import Document, Identifier, Label, Passage, Relation, Span
from textome.formats import Target, write_documents
from textome.formats.html import _COLOURS, write

VOID = {"meta"}


class Page(HTMLParser):
    """Checks that tags nest, and gathers the texts of the passages and of the marks in them, without their names."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.passages: list[str] = []
        self.marks: list[str] = []
        self.open_marks: list[list[str]] = []
        self.tips: list[str] = []
        self.names: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag in VOID:
            return
        self.stack.append(tag)
        if tag == "p":
            self.passages.append("")
        if tag == "small" and "p" in self.stack:
            self.names.append("")
        if tag == "mark" and "p" in self.stack:
            self.open_marks.append([])
            self.tips.append(dict(attributes).get("title") or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag
        if tag == "mark" and self.open_marks:
            self.marks.append("".join(self.open_marks.pop()))

    def handle_data(self, data: str) -> None:
        if "small" in self.stack and "p" in self.stack:
            self.names[-1] += data
        elif "p" in self.stack:
            self.passages[-1] += data
            for mark in self.open_marks:
                mark.append(data)


def page(found: list[Document], folder: Path) -> tuple[Page, str]:
    assert write(found, Target(folder / "page.html")) == len(found)
    text = (folder / "page.html").read_bytes().decode("utf-8")
    return Page(text), text


def marked(text: str, *spans: list[tuple[int, int]]) -> Document:
    document = Document("a", (Passage(text),))
    return document.with_annotations(
        document.entity(where, f"Type{number}", confidence=0.5) for number, where in enumerate(spans)
    )


@pytest.mark.parametrize(
    ("spans", "marks"),
    [
        ([[(0, 4)]], ["left"]),
        ([[(0, 19)], [(15, 19)]], ["gout", "left and right gout"]),
        ([[(0, 4)], [(0, 4)]], ["left", "left"]),
        ([[(0, 4), (15, 19)]], ["left", "gout"]),
        ([[(0, 8)], [(5, 14)]], ["and", "left and", " right"]),
        ([[(0, 8)], [(5, 14)], [(7, 19)]], ["d", "and", "left and", " right", " right gout"]),
    ],
)
def test_nested_crossing_and_discontinuous_marks(
    spans: list[list[tuple[int, int]]], marks: list[str], tmp_path: Path
) -> None:
    found, _ = page([marked("left and right gout", *spans)], tmp_path)
    assert found.passages == ["left and right gout"]
    assert found.marks == marks
    assert len(found.names) == len(spans), "each entity is named once"


def test_type_and_confidence_are_told_on_hover_and_to_a_reader(tmp_path: Path) -> None:
    found, _ = page([marked("left and right gout", [(0, 4), (15, 19)])], tmp_path)
    assert found.tips == ["Type0, confidence 0.50: left gout"] * 2
    assert found.names == [" [Type0, confidence 0.50]"]


def test_what_is_denied_is_struck_through_and_what_is_doubted_dotted(tmp_path: Path) -> None:
    document = Document.from_text("no gout, maybe asthma, flu")
    manners: list[dict[str, str]] = [{"negated": "true"}, {"uncertain": "true"}, {}]
    spans = [(3, 7), (15, 21), (23, 26)]
    entities = [document.entity([span], "D", attributes=one) for span, one in zip(spans, manners, strict=True)]
    write_documents([document.with_annotations(entities)], tmp_path / "a.html", "html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert text.count('<mark class="negated" style') == text.count('<mark class="doubtful" style') == 1


def test_attributes_identifiers_and_labels_are_shown(tmp_path: Path) -> None:
    document = Document("a", (Passage("no gout"),), labels=(Label("yes", "flu", 0.75), Label("no", span=Span(3, 7))))
    attributes = {"negated": "true", "certainty": "low"}
    gout = document.entity([(3, 7)], "D", identifiers=[Identifier("mesh:D006073", 0.5, "Gout")], attributes=attributes)
    found, text = page([document.with_annotations([gout])], tmp_path)
    assert found.tips == ["D, negated, certainty: low, mesh:D006073 (Gout)"]
    assert "<td>mesh:D006073 (Gout)</td><td>negated, certainty: low</td>" in text
    assert "<td>the text</td><td>yes</td><td>flu</td><td>0.75</td>" in text
    assert "<td>gout</td><td>no</td><td></td><td></td>" in text


def test_an_entity_over_two_passages_is_marked_in_both(tmp_path: Path) -> None:
    document = Document("a", (Passage("bad"), Passage("gout", 4, "RESULTS")))
    found, _ = page([document.with_annotations([document.entity([(0, 8)], "D")])], tmp_path)
    assert found.passages == ["bad", "gout"]
    assert found.marks == ["bad", "gout"]


def test_nothing_in_a_document_becomes_markup(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>&lt;\"</p>"
    document = Document(evil, (Passage(evil, 0, evil),))
    entity = document.entity([(0, 8)], evil, id="1", identifiers=[evil])
    relation = Relation(evil, ((evil, "1"),))
    found, text = page([document.with_annotations([entity], [relation])], tmp_path)
    assert "script" not in found.tags
    assert "<script" not in text
    assert found.passages == [evil]


def test_the_page_asks_nothing_of_a_network(tmp_path: Path) -> None:
    found, text = page([marked("left gout", [(0, 4)])], tmp_path)
    assert not found.tags & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text


def test_the_legend_counts_types_and_gives_them_different_colours(tmp_path: Path) -> None:
    names = ["Disease", "Mine", "Chemical", "cell_type", "Yours"]
    document = Document("a", (Passage("word " * 6),))
    entities = [document.entity([(5 * number, 5 * number + 4)], name) for number, name in enumerate([*names, "Mine"])]
    _, text = page([document.with_annotations(entities)], tmp_path)
    assert "<h1>6 entities in 1 text</h1>" in text
    for name in names:
        assert f">{name}</mark> <small>{2 if name == 'Mine' else 1}</small>" in text
    used = [colour for colour in _COLOURS for number in range(len(names)) if f"--t{number}: {colour};" in text]
    assert len(used) == len(set(used)) == len(names)


def test_a_page_without_texts_and_a_text_without_entities(tmp_path: Path) -> None:
    assert "0 entities in 0 texts" in page([], tmp_path)[1]
    assert page([Document.from_text("quiet")], tmp_path)[0].passages == ["quiet"]


# A name that goes on into an empty passage, and ends nowhere in a text that is shown.
ENDING_NOWHERE = Document("", (Passage("gouty", 0), Passage("", 5), Passage("", 6)))


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(document=ENDING_NOWHERE.with_annotations([ENDING_NOWHERE.entity([(0, 6)], "Disease")]))
@given(document=documents())
def test_every_document_gives_a_well_formed_page_with_its_text(document: Document, tmp_path: Path) -> None:
    found, _ = page([document], tmp_path)

    def as_html(text: str) -> str:
        return text.replace("\r\n", "\n").replace("\r", "\n")

    assert list(map(as_html, found.passages)) == [as_html(passage.text) for passage in document.passages]
    shown = {index for passage in document.passages for index in range(passage.offset, passage.end)}
    visible = [item for item in document.entities if any(shown.intersection(range(*span)) for span in item.spans)]
    assert len(found.names) == len(visible)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=30)
@given(documents())
def test_a_notebook_shows_the_same_article(document: Document) -> None:
    page = Page(document._repr_html_())
    assert page.passages == [passage.text for passage in document.passages]
    style = document._repr_html_().partition("</style>")[0]
    assert style.startswith("<style>\n.textome {")  # every rule stands inside, so that none reaches the notebook
    depths = 0
    for number, sign in enumerate(character for character in style if character in "{}"):
        depths += 1 if sign == "{" else -1
        assert depths > 0 or number == sum(style.count(brace) for brace in "{}") - 1
    assert depths == 0
