"""A page of ranked pairs with the sentences behind each: one self-contained HTML file, no script, links to PubMed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from textome.documents import Span
from textome.evaluation.html_parts import page, table, write_page
from textome.evidence.pairs import TRUST, Bridge, Pair
from textome.evidence.statements import Concept, Statement

SENTENCES = 5
_PMID = re.compile(r"[1-9][0-9]{0,8}")
_HEAD = ("", "score", "probability", "documents", "against", "supposed", "first year")
_FORMULA = (
    "<p>Pairs are ranked by score: the sum of c over supporting documents less that over contradicting ones, where c is "
    "the confidence of a document's most confident statement. A document contradicts where it denies the relation or "
    "asserts the opposite one. For a treatment that more documents support than contradict, the documents count too that "
    "mention both in one sentence, beyond the number expected by chance.</p><p>The probability takes each document as "
    f"independent evidence: (1 - product over supporting documents of (1 - {TRUST} c)) times the product over "
    f"contradicting ones of (1 - {TRUST} c).</p>"
)


def write_report(pairs: Sequence[Pair], path: Path, title: str, notes: Sequence[str] = ()) -> None:
    """Write pairs in their order, each with the sentences of up to `SENTENCES` documents.

    notes   what the reader must know, a paragraph each
    """
    parts = [*(f"<p>{escape(note)}</p>" for note in notes), _FORMULA]
    parts.append(table(_HEAD, [_row(number, pair) for number, pair in enumerate(pairs, 1)]))
    for number, pair in enumerate(pairs, 1):
        parts.append(f"<h2 id='p{number}'>{number}. {_named(pair)}</h2>")
        parts += [_evidence(pair, item) for item in list(pair.statements)[:SENTENCES]]
    write_page(path, page(title, parts))


def write_bridges(bridges: Sequence[Bridge], path: Path, title: str) -> None:
    """Write what two lists have in common, with the best sentence for each relation."""
    parts = [table(("", "score"), [[_concept(item.concept), f"{item.score:.3f}"] for item in bridges])]
    for bridge in bridges:
        parts.append(f"<h2>{_concept(bridge.concept)}</h2>")
        both = (*bridge.first, *bridge.second)
        parts += [f"<p>{_named(pair)}</p>{_evidence(pair, next(pair.statements))}" for pair in both]
    write_page(path, page(title, parts))


def _row(number: int, pair: Pair) -> list[str]:
    mark = {True: " (known)", False: " (new)", None: ""}[pair.known]
    return [
        f"<a href='#p{number}'>{escape(pair.head.name)} {escape(pair.verb)} {escape(pair.tail.name)}</a>{mark}",
        f"{pair.score:.2f}",
        f"{pair.probability:.3f}",
        str(len(pair.supporting)),
        str(len(pair.contradicting)),
        str(len(pair.speculated)),
        "" if pair.first_year is None else str(pair.first_year),
    ]


def _named(pair: Pair) -> str:
    return f"{_concept(pair.head)} {escape(pair.verb)} {_concept(pair.tail)}"


def _concept(concept: Concept) -> str:
    name = escape(concept.name)
    if not concept.has_identifier:
        return name
    return f"<a href='https://bioregistry.io/{escape(concept.key, quote=True)}'>{name}</a>"


def _evidence(pair: Pair, statement: Statement) -> str:
    """A document's sentences with the two mentions marked, and where they stand."""
    kind = "supports"
    if statement.assertion == "speculated":
        kind = "supposes"
    elif statement.assertion == "negated" or statement.document_id in pair.contradicting:
        kind = "against"
    name = escape(statement.document_id)
    if _PMID.fullmatch(statement.document_id):
        name = f"<a href='https://pubmed.ncbi.nlm.nih.gov/{statement.document_id}/'>PMID {name}</a>"
    about = [name, *(str(item) for item in (statement.year, escape(statement.section)) if item)]
    marked = " … ".join(
        "".join(_marked(sentence.text, sentence.start, (statement.head_span, statement.tail_span)))
        for sentence in statement.sentences
    )
    return f"<p>{kind}, {statement.confidence:.2f}: {marked} <small>({', '.join(about)})</small></p>"


def _marked(text: str, start: int, spans: Sequence[Span]) -> Iterator[str]:
    position = 0
    for span in sorted(spans):
        first, last = max(span.start - start, position), min(span.end - start, len(text))
        if first < last:
            yield f"{escape(text[position:first])}<mark>{escape(text[first:last])}</mark>"
            position = last
    yield escape(text[position:])
