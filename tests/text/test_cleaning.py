"""The cleaned text is right, and the way back to the original is never lost, whatever Unicode comes."""

from __future__ import annotations

import sys
import time
import unicodedata
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from strategies import documents
from textome.documents import Document, Identifier, Label, Passage, Relation, Span
from textome.text.cleaning import CleaningOptions, clean, clean_document

IDENTITY = CleaningOptions(False, False, False, None, False, False)
QUICK = settings(deadline=None, max_examples=150)

# What hypothesis would seldom draw on its own: marks, Hangul and vowel signs that compose, astral, right-to-left,
# invisible and white characters, pieces of markup, characters that change length.
_PIECES = st.one_of(
    st.sampled_from(
        [*"aZé-&<>;´²ﬁÅİΣẞ가ｶ𝛽🧬 \n\r\t", "\r\n", "e\u0301", "\u0301", "\u0323", "\u0b47", "\u0b3e", "\uff9e"]
    ),
    st.sampled_from(
        ["\u1100", "\u1161", "\u11a8", "\uffa1", "\uffc2", "👩\u200d🔬", "שלום", "\u200f", "\u202b", "\u200b"]
    ),
    st.sampled_from(["\xad", "\ufeff", "\xa0", "\u2009", "\u3000", "\u2028", "\x00", "\x1f", "\x85", "<sub>", "</i>"]),
    st.sampled_from(["<br/>", '<a href="x">', "&lt;", "&amp;", "&#946;", "&#x3b2;", "&amp;lt;", "&notit;", "&#1;"]),
)
texts = st.lists(_PIECES | st.characters(exclude_categories=["Cs"]), max_size=25).map("".join)
options = st.builds(
    CleaningOptions,
    markup=st.booleans(),
    control=st.booleans(),
    dehyphenate=st.booleans(),
    unicode_form=st.sampled_from([None, "NFC", "NFKC"]),
    lowercase=st.booleans(),
    white_space=st.booleans(),
)


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("TNF-&#945; and IFN-&gamma;", "TNF-α and IFN-γ"),
        ("p &lt; 0.05 &amp; n &#x3e; 3", "p < 0.05 & n > 3"),
        ("p &amp;lt; 0.05", "p < 0.05"),
        ("CO<sub>2</sub> and Ca<sup>2+</sup> in <i>E. coli</i>", "CO2 and Ca2+ in E. coli"),
        ("H&lt;sub&gt;2&lt;/sub&gt;O", "H2O"),
        ("<p>One.</p><p>Two<br/>three</p>", "One. Two three"),
        ('see <a href="http://x.org">here</a> <jats:italic toggle="yes">x</jats:italic>', "see here x"),
        ("if a<b and c>d, p<i or q>s", "if a<b and c>d, p<i or q>s"),
        ("R&D; AT&T &unknown; &notit; &", "R&D; AT&T &unknown; &notit; &"),
        ("  one\u00a0two\u2009 three\r\n\tfour\u3000 ", "one two three four"),
        ("inter\u00adleukin\u200b-2\ufeff\x00", "interleukin-2"),
        ("field\x1cseparator", "field separator"),
        ("cafe\u0301 m²", "café m²"),
        ("can-\ncer", "can- cer"),
        ("\u202bשלום\u202c", "שלום"),
        ("می\u200cخواهم 👩\u200d🔬", "می\u200cخواهم 👩\u200d🔬"),
        ("", ""),
        (" \r\n ", ""),
    ],
)
def test_default_cleaning(original, expected):
    assert clean(original).text == expected


@pytest.mark.parametrize(
    ("changes", "original", "expected"),
    [
        ({"unicode_form": "NFKC"}, "m² ﬁbrosis ＩＬ－２ ㎎", "m2 fibrosis IL-2 mg"),
        ({"unicode_form": None}, "cafe\u0301", "cafe\u0301"),
        ({"dehyphenate": True}, "can-\n  cer and IL-\n2", "cancer and IL- 2"),
        ({"lowercase": True}, "İL-2 ΟΔΟΣ Straße ẞ", "i̇l-2 οδος straße ß"),
        ({"white_space": False}, " a\r\n b", " a\r\n b"),
        ({"markup": False}, "<i>&lt;", "<i>&lt;"),
        ({"control": False}, "a\u200bb\x00", "a\u200bb\x00"),
    ],
)
def test_options(changes, original, expected):
    assert clean(original, replace(CleaningOptions(), **changes)).text == expected


def test_spans_go_there_and_back():
    original = "High  TNF-&#945; and CO<sub>2</sub> in Cafe\u0301."
    cleaned = clean(original)
    assert cleaned.text == "High TNF-α and CO2 in Café."
    for mention, source in [
        ("TNF-α", "TNF-&#945;"),
        ("CO2", "CO<sub>2"),
        ("Café", "Cafe\u0301"),
        ("High TNF", "High  TNF"),
    ]:
        start = cleaned.text.index(mention)
        begin, end = cleaned.alignment.to_original(start, start + len(mention))
        assert original[begin:end] == source
        assert cleaned.alignment.to_cleaned(begin, end) == (start, start + len(mention))
    tag = original.index("<sub>")
    assert cleaned.alignment.to_cleaned(tag, tag + 5) is None


@pytest.mark.parametrize("span", [(0, 0), (2, 1), (-1, 1), (0, 3)])
def test_a_span_outside_the_text_is_an_error(span):
    alignment = clean("ab").alignment
    with pytest.raises(ValueError, match="outside"):
        alignment.to_original(*span)
    with pytest.raises(ValueError, match="outside"):
        alignment.to_cleaned(*span)


@QUICK
@given(texts, options)
@example("Iİ\u0307", CleaningOptions(lowercase=True))
@example("a \u00b4", CleaningOptions(unicode_form="NFKC"))
def test_alignment_holds(text, chosen):
    cleaned = clean(text, chosen)
    starts, ends = cleaned.alignment.starts.tolist(), cleaned.alignment.ends.tolist()
    assert len(starts) == len(ends) == len(cleaned.text)
    assert all(one <= other for one, other in pairwise(starts))
    assert all(one <= other for one, other in pairwise(ends))
    assert all(0 <= start < end <= len(text) for start, end in zip(starts, ends, strict=True))
    # A source is either shared as a whole or not at all.
    for index in range(1, len(starts)):
        assert (starts[index], ends[index]) == (starts[index - 1], ends[index - 1]) or starts[index] >= ends[index - 1]


@QUICK
@given(texts, options, st.data())
def test_a_span_mapped_back_covers_its_sources(text, chosen, data):
    cleaned = clean(text, chosen)
    if not cleaned.text:
        return
    start = data.draw(st.integers(0, len(cleaned.text) - 1))
    end = data.draw(st.integers(start + 1, len(cleaned.text)))
    alignment = cleaned.alignment
    original = alignment.to_original(start, end)
    assert original.start == alignment.starts[start:end].min()
    assert original.end == alignment.ends[start:end].max()
    back = alignment.to_cleaned(*original)
    assert back is not None
    assert back.start <= start
    assert back.end >= end
    # Characters around the range come back only where they share a source with it.
    assert (alignment.starts[back.start : back.end] < original.end).all()
    assert (alignment.ends[back.start : back.end] > original.start).all()


@QUICK
@given(texts)
def test_no_option_is_the_identity(text):
    cleaned = clean(text, IDENTITY)
    assert cleaned.text == text
    assert all(cleaned.alignment.to_original(index, index + 1) == (index, index + 1) for index in range(len(text)))


@QUICK
@given(texts, st.sampled_from(["NFC", "NFKC"]))
@example("\uffa1\uffc2", "NFKC")
@example("ｶ\uff9e", "NFKC")
@example("\u0b47\u0b3e", "NFC")
@example("A\u0323\u030a\u00b4\u0301", "NFC")
def test_normalisation_by_clusters_is_that_of_the_whole(text, form):
    assert clean(text, replace(IDENTITY, unicode_form=form)).text == unicodedata.normalize(form, text)


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_every_character_normalises_as_part_of_a_text(form):
    """All code points after a letter, a Hangul syllable and a vowel sign that it may compose with."""
    every = map(chr, range(sys.maxunicode + 1))
    characters = [character for character in every if unicodedata.category(character) not in ("Cn", "Co", "Cs")]
    text = "".join(f"a{character}\u1100{character}\u0b47{character}가{character}" for character in characters)
    assert clean(text, replace(IDENTITY, unicode_form=form)).text == unicodedata.normalize(form, text)


@QUICK
@given(texts)
def test_lower_casing_is_that_of_the_whole(text):
    assert clean(text, replace(IDENTITY, lowercase=True)).text == text.lower()


def test_one_letter_becomes_longer_when_lower_cased():
    assert [chr(code) for code in range(sys.maxunicode + 1) if len(chr(code).lower()) != 1] == ["İ"]


@QUICK
@given(texts, options.map(lambda chosen: replace(chosen, markup=False, dehyphenate=False)))
@example("\u1fbc\u0301", CleaningOptions(lowercase=True))
def test_cleaning_twice_is_cleaning_once(text, chosen):
    once = clean(text, chosen).text
    assert clean(once, chosen).text == once


@QUICK
@given(documents(), options)
def test_a_cleaned_document_is_a_valid_one_and_keeps_what_is_left(document, chosen):
    cleaned = clean_document(document, chosen)  # a Document that exists is right: offsets were checked
    assert [passage.text for passage in cleaned.passages] == [clean(p.text, chosen).text for p in document.passages]
    assert [passage.section for passage in cleaned.passages] == [passage.section for passage in document.passages]
    assert {entity.id for entity in cleaned.entities} <= {entity.id for entity in document.entities}
    if chosen == IDENTITY:
        assert cleaned == document


@QUICK
@given(documents())
def test_a_document_cleaned_without_steps_stays_equal(document):
    assert clean_document(document, IDENTITY) == document


def test_annotations_of_a_document_move_along():
    title, abstract = "  TNF-&#945; in <i>E. coli</i> ", "Its &amp;lt; effect on <b> </b>cells"
    document = Document("1", (Passage(title, 0, "title"), Passage(abstract, len(title) + 2, "abstract")))

    def place(mention: str) -> tuple[int, int]:
        return document.text.index(mention), document.text.index(mention) + len(mention)

    tnf = Identifier("ncbigene:7124", 0.75, "TNF")
    gene = document.entity(
        [place("TNF-&#945;")], "Gene", id="T1", confidence=0.5, identifiers=[tnf], attributes={"negated": "true"}
    )
    labels = [Label("a"), Label("b", span=Span(*place("&amp;lt; effect"))), Label("c", span=Span(*place("<b>")))]
    pieces = document.entity([place("coli"), place("cells")], "Thing", id="T2")
    markup = document.entity([place("<b>")], "Thing", id="T3")
    relations = [
        Relation("of", (("a", "T1"), ("b", "T2")), "R1"),
        Relation("of", (("a", "T1"), ("b", "T3")), "R2"),
        Relation("of", (("a", "R2"),), "R3"),
    ]
    cleaned = clean_document(document.with_annotations([gene, pieces, markup], relations).with_labels(labels))
    assert cleaned.text == "TNF-α in E. coli\n\nIts < effect on cells"
    assert [entity.text for entity in cleaned.entities] == ["TNF-α", "coli cells"]
    assert cleaned.entities[0].confidence == 0.5
    assert cleaned.entities[0].identifiers == (tnf,)
    assert cleaned.entities[0].attributes == {"negated": "true"}
    assert [(label.name, label.span and cleaned.text[slice(*label.span)]) for label in cleaned.labels] == [
        ("a", None),
        ("b", "< effect"),
    ]
    assert [relation.id for relation in cleaned.relations] == ["R1"]


@pytest.mark.parametrize(
    "unit", ["<", "<p ", "&", "&amp;", "-\n", "e\u0301", " \n", "İ", "<a b='", "x <i>y</i> &lt; Ab\u0301 "]
)
def test_long_text_is_not_slow(unit):
    """Twice the text takes about twice the time: nothing here is quadratic, whatever it repeats."""
    every = CleaningOptions(dehyphenate=True, lowercase=True, unicode_form="NFKC")

    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        started = time.process_time()
        clean(text, every)
        return time.process_time() - started

    assert seconds(1_000_000) < 5 * max(min(seconds(250_000) for _ in range(3)), 0.02) * 2
