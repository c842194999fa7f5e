"""`textome info`: what a model or a file holds."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from textome.cli.streams import finish


def info(
    place: Annotated[str, typer.Argument(metavar="MODEL_OR_FILE", help="A bundle, a file, or 'default'.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what a model or a file of documents holds.

    Example: textome info default
    """
    from textome.formats import Quarantine

    quarantine = Quarantine()
    bundle = place == "default" or (Path(place).is_dir() and (Path(place) / "config.json").exists())
    facts = _model_facts(place) if bundle else _file_facts(place, quarantine)
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        for name, value in facts.items():
            shown = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else value
            typer.echo(f"{name:18}{', '.join(shown) if isinstance(shown, list) else shown}")
    finish(quarantine, facts.get("documents", 1))


def _model_facts(place: str) -> dict[str, Any]:
    from textome.runtime.bundle import Bundle, resolve_model

    bundle = Bundle.load(resolve_model(None if place == "default" else place))
    files = {file.name: f"{file.stat().st_size / 1e6:.1f} MB" for file in sorted(bundle.directory.iterdir())}
    return {
        "name": bundle.name,
        "directory": str(bundle.directory),
        "types": list(bundle.types),
        "default types": list(bundle.default_types),
        "window": bundle.window,
        "files": files,
    }


def _file_facts(place: str, quarantine: Any) -> dict[str, Any]:
    from textome.formats import Source, guess_format, read_documents

    source = Source.of(place)
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
