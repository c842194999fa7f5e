"""Textome: biomedical text mining on BioBERT-style Transformers.

>>> import textome
>>> annotator = textome.load()
>>> document = annotator.annotate("Metformin lowered glucose in patients with type 2 diabetes.")
>>> [(entity.text, entity.type) for entity in document.entities]  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from textome.documents import Document, Entity, Passage, Relation, Span
    from textome.errors import InputError, ModelError, TextomeError
    from textome.formats import Quarantine, read_documents, write_documents
    from textome.runtime.annotator import Annotator
    from textome.runtime.answerer import Answerer
    from textome.runtime.embedder import Embedder
    from textome.runtime.predictor import Predictor
    from textome.runtime.relations import RelationFinder
    from textome.runtime.tasks import Classifier

__version__ = "0.1.0"

# Imported when first used, so that `import textome` and `textome --help` are quick.
_LAZY = {
    "Annotator": "textome.runtime.annotator",
    "Answerer": "textome.runtime.answerer",
    "Classifier": "textome.runtime.tasks",
    "Document": "textome.documents",
    "Embedder": "textome.runtime.embedder",
    "Entity": "textome.documents",
    "InputError": "textome.errors",
    "ModelError": "textome.errors",
    "Passage": "textome.documents",
    "Predictor": "textome.runtime.predictor",
    "Quarantine": "textome.formats",
    "Relation": "textome.documents",
    "RelationFinder": "textome.runtime.relations",
    "Span": "textome.documents",
    "TextomeError": "textome.errors",
    "read_documents": "textome.formats",
    "write_documents": "textome.formats",
}
__all__ = [
    "Annotator",
    "Answerer",
    "Classifier",
    "Document",
    "Embedder",
    "Entity",
    "InputError",
    "ModelError",
    "Passage",
    "Predictor",
    "Quarantine",
    "Relation",
    "RelationFinder",
    "Span",
    "TextomeError",
    "load",
    "read_documents",
    "write_documents",
]


def load(model: str | Path | None = None, **options: Any) -> Annotator:
    """Load a model for annotation: a bundle directory, a hub name, or None for the bundled default.

    Options are those of `Annotator.load`: `types`, `min_confidence`, `precision`, `threads`, `token_budget`.
    """
    from textome.runtime.annotator import Annotator

    return Annotator.load(model, **options)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'textome' has no attribute {name!r}")
