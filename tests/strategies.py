"""Hypothesis strategies: documents over arbitrary Unicode."""

from __future__ import annotations

from hypothesis import strategies as st

from textome.documents import Document, Entity, Identifier, Label, Passage, Relation, Span

# What breaks offsets: combining marks, astral planes, right-to-left, zero-width, carriage returns, markup, quotes.
_HARD = list("aé\u0301\u0308\U0001f9ec\U0001d6fc\u05d0\u0627\u200b\u200d\u202e\r\n\t \u00a0<&>\"'|;,αβ\ufeff\u2028ﬁİ²")
_characters = st.one_of(
    st.sampled_from(_HARD), st.characters(exclude_categories=["Cs"]), st.sampled_from("abcdefg hij. ")
)
# What XML 1.0 can hold (section 2.2).
_xml_characters = _characters.filter(
    lambda character: (
        character in "\t\n\r"
        or ("\x20" <= character <= "\ud7ff")
        or ("\ue000" <= character <= "\ufffd")
        or character >= "\U00010000"
    )
)
_words = st.text(st.sampled_from("abcXYZ012-_:"), min_size=1, max_size=8)
_PROBABILITIES = st.floats(0, 1)
_identifiers = st.builds(
    Identifier, curie=_words, score=st.none() | _PROBABILITIES, label=st.text(_xml_characters, max_size=8)
)


@st.composite
def documents(draw: st.DrawFn, xml: bool = False) -> Document:
    """A valid document: passages with gaps, overlapping and discontinuous entities, relations, labels, metadata.

    xml   only characters that XML can hold
    """
    characters = _xml_characters if xml else _characters
    strings = st.text(characters, max_size=12)
    metadata = st.dictionaries(strings, strings, max_size=2)
    passages: list[Passage] = []
    position = draw(st.integers(0, 2))
    for _ in range(draw(st.integers(0, 3))):
        passage = Passage(draw(st.text(characters, max_size=30)), position, draw(strings), draw(metadata))
        passages.append(passage)
        position = passage.end + draw(st.integers(0, 3))
    document = Document(draw(strings), tuple(passages), metadata=draw(metadata))
    entities: list[Entity] = []
    for number in range(draw(st.integers(0, 4)) if any(passage.text for passage in passages) else 0):
        entities.append(draw(_entity(document, metadata, f"T{number}" if draw(st.booleans()) else "")))  # noqa: PERF401
    named = [entity.id for entity in entities if entity.id]
    relations = [
        Relation(
            draw(strings),
            tuple((draw(strings), draw(st.sampled_from(named))) for _ in range(draw(st.integers(0, 2))))
            if named
            else (),
            draw(st.sampled_from(["", f"R{number}"])),
            draw(st.none() | _PROBABILITIES),
            draw(metadata),
        )
        for number in range(draw(st.integers(0, 2)))
    ]
    labels = draw(st.lists(_labels(strings, metadata, len(document.text)), max_size=3))
    return document.with_annotations(entities, relations).with_labels(labels)


def _labels(
    strings: st.SearchStrategy[str], metadata: st.SearchStrategy[dict[str, str]], length: int
) -> st.SearchStrategy[Label]:
    """Labels of a document of `length` characters, or of a span of it."""
    spans = st.sets(st.integers(0, length), min_size=2, max_size=2).map(lambda ends: Span(*sorted(ends)))
    return st.builds(
        Label,
        name=strings,
        task=strings,
        confidence=st.none() | _PROBABILITIES,
        span=(st.none() | spans) if length else st.none(),
        scores=st.dictionaries(strings, _PROBABILITIES, max_size=2),
        metadata=metadata,
    )


@st.composite
def _entity(draw: st.DrawFn, document: Document, metadata: st.SearchStrategy[dict[str, str]], name: str) -> Entity:
    places = [passage for passage in document.passages if passage.text]
    first = draw(st.sampled_from(places))
    # Mostly within a passage, sometimes across several and the gaps between them.
    last = draw(st.sampled_from([first, first, places[-1]]))
    cuts = sorted(draw(st.sets(st.integers(first.offset, last.end), min_size=2, max_size=4)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    return document.entity(
        spans,
        draw(_words),
        id=name,
        confidence=draw(st.none() | _PROBABILITIES),
        identifiers=draw(st.lists(_identifiers, max_size=2)),
        metadata=draw(metadata),
        attributes=draw(st.dictionaries(_words, st.just("true") | _words, max_size=2)),
    )
