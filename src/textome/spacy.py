"""Textome as a component of spaCy: `nlp.add_pipe("textome")`.

    import spacy

    nlp = spacy.blank("en")
    nlp.add_pipe("textome")
    doc = nlp("No evidence of pneumonia. Metformin lowered HbA1c.")
    [(span.text, span.label_, span.kb_id_, span._.attributes) for span in doc.ents]

What a Doc then has:

    doc.ents               the entities, of those that overlap the longest; `kb_id_` is the first identifier
    doc.spans["textome"]   all entities
    span._.confidence      a probability, or None
    span._.identifiers     a list of `textome.Identifier`, the most probable first
    span._.attributes      {"negated": "true", ...}
    doc._.relations        a list of `SpanRelation`
    doc._.textome          the whole `textome.Document`; made anew at each use

The values are those of Textome's offsets: spaCy's tokens may be wider than an entity, `doc._.textome` never is. spaCy finds
this module by its entry point; it need not be imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import minibatch

from textome.documents import Document, Identifier
from textome.formats.docbin import KEY, annotate_doc, document_of
from textome.formats.jsonl import identifier_from
from textome.pipeline import Pipeline, choose_pipeline


@dataclass(frozen=True, slots=True)
class SpanRelation:
    """A relation between spans of a Doc; `arguments` are (role, span) in order."""

    type: str
    arguments: tuple[tuple[str, Span], ...]
    confidence: float | None = None


class TextomeComponent:
    """A pipeline of Textome as a component of spaCy; see the module's text.

    group      the key of the span group in `doc.spans`
    set_ents   whether `doc.ents` gets the entities
    """

    def __init__(self, pipeline: Pipeline, group: str = KEY, set_ents: bool = True) -> None:
        self.pipeline = pipeline
        self.group = group
        self.set_ents = set_ents

    def __call__(self, doc: Doc) -> Doc:
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], batch_size: int = 128) -> Iterator[Doc]:
        """The Docs with annotations, in order; `batch_size` of them are read together."""
        for batch in minibatch(stream, batch_size):
            documents = self.pipeline.stream(Document.from_text(doc.text) for doc in batch)
            for doc, document in zip(batch, documents, strict=True):
                annotate_doc(doc, document, self.group, self.set_ents)
                yield doc


def create(
    nlp: Language,
    name: str,
    model: str | None,
    pipeline: str | None,
    add: Sequence[str],
    leave_out: Sequence[str],
    settings: dict[str, dict[str, Any]],
    group: str,
    set_ents: bool,
) -> TextomeComponent:
    """The component by its config.

    model, pipeline, add, leave_out   as for `textome.load`
    settings                          of steps by name, and of all models under "model", as {"model": {"threads": 1}}
    group, set_ents                   as for `TextomeComponent`

    Raises InputError for settings that are wrong, ModelError where the model cannot be loaded.
    """
    models = () if model is None else (model,)
    chosen = choose_pipeline(pipeline, models, add=add, leave_out=leave_out, settings=settings)
    return TextomeComponent(chosen.load(), group, set_ents)


def _entity(span: Span) -> dict[str, Any]:
    """What Textome says of a span: of the entity with its id, or else with its offsets and type."""
    entities = span.doc.user_data.get(KEY, {}).get("entities", ())
    for entity in entities:
        if span.id_ and entity["id"] == span.id_:
            return dict(entity)
    for entity in entities:
        spans = entity["spans"]
        if (spans[0][0], spans[-1][1], entity["type"]) == (span.start_char, span.end_char, span.label_):
            return dict(entity)
    return {}


def _identifiers(span: Span) -> list[Identifier]:
    return [identifier_from(item) for item in _entity(span).get("identifiers", ())]


def _relations(doc: Doc) -> list[SpanRelation]:
    spans = {span.id_: span for group in doc.spans.values() for span in group if span.id_}
    relations = []
    for item in doc.user_data.get(KEY, {}).get("relations", ()):
        arguments = tuple((role, spans[target]) for role, target in item["arguments"] if target in spans)
        relations.append(SpanRelation(item["type"], arguments, item.get("confidence")))
    return relations


def _extend(kind: type[Doc] | type[Span], name: str, getter: Any) -> None:
    """An extension, unless another package has one of this name."""
    if not kind.has_extension(name):
        kind.set_extension(name, getter=getter)


_extend(Doc, KEY, document_of)
_extend(Doc, "relations", _relations)
_extend(Span, "confidence", lambda span: _entity(span).get("confidence"))
_extend(Span, "identifiers", _identifiers)
_extend(Span, "attributes", lambda span: dict(_entity(span).get("attributes", {})))
Language.factory(
    KEY,
    default_config={
        "model": None,
        "pipeline": None,
        "add": [],
        "leave_out": [],
        "settings": {},
        "group": KEY,
        "set_ents": True,
    },
    assigns=["doc.ents", "doc.spans"],
    func=create,
)
