"""`textome info`: what a model or a file holds."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from textome.cli.options import AsJson
from textome.cli.streams import echo, finish
from textome.steps import STEPS, Row


def info(
    path: Annotated[
        str,
        typer.Argument(metavar="MODEL_OR_FILE", help="A model (a folder, 'default', 'relations'), a corpus or a file."),
    ] = "default",
    as_json: AsJson = False,
) -> None:
    """Tell what a model and the steps behind it, a corpus, or a file of documents hold.

    Example: textome info default
    """
    from textome.corpus.store import is_corpus
    from textome.formats import Quarantine
    from textome.runtime.bundle import is_installed

    quarantine = Quarantine()
    folder = Path(path)
    if is_installed(path) or (folder / "textome.json").exists():
        description = _describe_model(path)
    elif (folder / "config.json").exists():
        description = _describe_encoder(folder)
    elif is_corpus(path):
        description = _describe_corpus(folder)
    else:
        description = _describe_file(path, quarantine)
    if as_json:
        echo(json.dumps(description, indent=2, ensure_ascii=False))
    else:
        width = max(18, *(len(name) + 2 for name in description))
        for name, value in description.items():
            echo(f"{name:{width}}{_shown(value) or 'none'}")
    finish(quarantine, description.get("documents", 1))


def _shown(value: Any) -> str:
    """A fact for people."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if not isinstance(value, dict):
        return str(value)
    if "kind" in value:
        return ": ".join([value["kind"], *([", ".join(value["labels"])] if value["labels"] else [])])
    return ", ".join(f"{key} {item}" for key, item in value.items())


def _describe_model(path: str) -> dict[str, Any]:
    from textome.runtime.bundle import Bundle, resolve_model

    bundle = Bundle.load(resolve_model(path))
    description: dict[str, Any] = {"name": bundle.name, "directory": str(bundle.directory), "reads": bundle.reads}
    for name, task in bundle.tasks.items():
        description[f"task {name}"] = {"kind": task.kind, "labels": list(task.label_names)}
    if bundle.has_entities:
        description |= {"types": list(bundle.types), "default types": list(bundle.default_types)}
        if bundle.thresholds:
            description["thresholds"] = dict(bundle.thresholds)
    if bundle.embeddings:
        description["embeddings"] = f"{bundle.embeddings.pooling} of {bundle.config['hidden_size']} numbers"
    if bundle.reads == "text":
        description["window"] = bundle.window
    description["files"] = _sizes(bundle.directory)
    return description | {f"step {name}": _step(row) for name, row in STEPS.items()}


def _step(row: Row) -> str:
    return f"{row.summary} ({'part of the default pipeline' if row.default else 'added by --with'})"


def _describe_encoder(folder: Path) -> dict[str, Any]:
    """A model without entity heads: a published encoder, or what `textome pretrain` leaves."""
    from textome.errors import ModelError

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        notes = folder / "pretraining.json"
        pretraining = json.loads(notes.read_text(encoding="utf-8")) if notes.exists() else {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: config.json or pretraining.json cannot be read ({error})") from error
    sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings")
    description: dict[str, Any] = {
        "directory": str(folder),
        "architecture": ", ".join(config.get("architectures") or ["-"]),
    }
    description |= {"sizes": {name: config[name] for name in sizes if name in config}, "files": _sizes(folder)}
    if pretraining:
        scores = pretraining["held_out"].items()
        description["pretrained on"] = {
            name: f"({item['tokens']:,} tokens)" for name, item in pretraining["data"].items()
        }
        description["perplexity"] = {name: f"{item['perplexity']:.2f}" for name, item in scores}
    return description


def _describe_corpus(folder: Path) -> dict[str, Any]:
    from textome.corpus.store import Corpus

    corpus = Corpus.open(folder)
    return {
        "directory": str(folder),
        "documents": corpus.num_documents,
        "tokens": corpus.num_tokens,
        "shards": len(corpus.shards),
        "vocabulary": corpus.described["tokenizer"]["vocabulary_size"],
        "tokenizer sha256": corpus.described["tokenizer"]["sha256"],
        "report": corpus.described["settings"].get("report", {}),
    }


def _sizes(folder: Path) -> dict[str, str]:
    return {file.name: _size(file.stat().st_size) for file in sorted(folder.iterdir()) if file.is_file()}


def _size(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1e5 else f"{number / 1e3:.1f} kB"


def _describe_file(path: str, quarantine: Any) -> dict[str, Any]:
    from textome.formats import Source, guess_format, read_documents

    source = Source.of(path)
    format = guess_format(source)
    documents = passages = characters = relations = 0
    entities: Counter[str] = Counter()
    for document in read_documents(source, format, quarantine):
        documents += 1
        passages += len(document.passages)
        characters += sum(len(passage.text) for passage in document.passages)
        relations += len(document.relations)
        entities.update(entity.type for entity in document.entities)
    return {
        "format": format,
        "documents": documents,
        "passages": passages,
        "characters": characters,
        "entities": dict(entities.most_common()),
        "relations": relations,
        "quarantined": quarantine.count,
    }
