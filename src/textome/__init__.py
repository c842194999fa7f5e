"""Textome: biomedical text mining on BioBERT-style Transformers.

>>> import textome
>>> pipeline = textome.load()
>>> document = pipeline("Metformin lowered glucose in patients with type 2 diabetes.")
>>> [(entity.text, entity.type) for entity in document.entities]  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textome.version import __version__ as __version__

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from textome.documents import Document, Entity, Identifier, Label, Passage, Record, Relation, Span
    from textome.errors import InputError, ModelError, TextomeError
    from textome.formats import Quarantine, read_documents, write_documents
    from textome.formats.dataframes import documents_to_dataframe
    from textome.pipeline import Pipeline
    from textome.runtime.answerer import Answerer
    from textome.runtime.embedder import Embedder
    from textome.runtime.generation.writer import Writer
    from textome.runtime.predictor import Predictor
    from textome.steps.linker import Linker

# Imported when first used, so that `import textome` and `textome --help` are quick.
_LAZY = {
    "Answerer": "textome.runtime.answerer",
    "Document": "textome.documents",
    "Embedder": "textome.runtime.embedder",
    "Entity": "textome.documents",
    "Identifier": "textome.documents",
    "InputError": "textome.errors",
    "Label": "textome.documents",
    "Linker": "textome.steps.linker",
    "ModelError": "textome.errors",
    "Passage": "textome.documents",
    "Pipeline": "textome.pipeline",
    "Predictor": "textome.runtime.predictor",
    "Quarantine": "textome.formats",
    "Record": "textome.documents",
    "Relation": "textome.documents",
    "Span": "textome.documents",
    "TextomeError": "textome.errors",
    "Writer": "textome.runtime.generation.writer",
    "documents_to_dataframe": "textome.formats.dataframes",
    "read_documents": "textome.formats",
    "write_documents": "textome.formats",
}
__all__ = [
    "Answerer",
    "Document",
    "Embedder",
    "Entity",
    "Identifier",
    "InputError",
    "Label",
    "Linker",
    "ModelError",
    "Passage",
    "Pipeline",
    "Predictor",
    "Quarantine",
    "Record",
    "Relation",
    "Span",
    "TextomeError",
    "Writer",
    "documents_to_dataframe",
    "load",
    "read_documents",
    "write_documents",
]


def load(
    model: str | Path | None = None,
    *,
    pipeline: str | Path | None = None,
    add: Collection[str] = (),
    leave_out: Collection[str] = (),
    settings: Mapping[str, Mapping[str, object]] | None = None,
    **model_settings: object,
) -> Pipeline:
    """Load a pipeline: a model with the default steps behind it, as `textome annotate` has them.

    model            a bundle's folder, a name on the hub, or None for the bundled one; whatever tasks it has
    pipeline         a pipeline file in place of a model, see `textome.pipeline`
    add, leave_out   names of steps that the pipeline has besides, or has not
    settings         of steps, by name
    model_settings   `types`, `min_confidence`, `precision`, `threads` and what else `runtime.model.ModelSettings` has

    Raises InputError for settings that are wrong, and ModelError where the model cannot be loaded.
    """
    from textome.pipeline import MODEL, choose_pipeline

    all_settings = dict(settings or {}) | ({MODEL: model_settings} if model_settings else {})
    models = () if model is None else (model,)
    return choose_pipeline(pipeline, models, add=add, leave_out=leave_out, settings=all_settings).load()


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'textome' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
