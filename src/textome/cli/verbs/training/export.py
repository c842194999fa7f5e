"""`textome export`: a bundle's weights as an ONNX graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textome.cli.streams import echo, say
from textome.errors import InputError


def export(
    model: Annotated[str, typer.Argument(help="A bundle or checkpoint with model.safetensors.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write; may be the bundle itself.")],
    precision: Annotated[list[str] | None, typer.Option(help="int8, bf16 or fp32; may be repeated.")] = None,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="MODEL is a sentence encoder; make a bundle of it that gives vectors.")
    ] = False,
    transformers: Annotated[
        bool, typer.Option("--transformers", help="Write the entity model for the pipelines of transformers instead.")
    ] = False,
) -> None:
    """Export a model to ONNX, so that it annotates without PyTorch.

    Example: textome export runs/ncbi/bundle --output runs/ncbi/bundle --precision int8
    """
    from textome.runtime.bundle import ENTITIES, Bundle, resolve_model
    from textome.runtime.export import export_bundle, export_encoder
    from textome.runtime.hugging_face import write_token_classifier

    directory = resolve_model(model)
    bundle = None if embeddings else Bundle.load(directory)
    if transformers:
        if bundle is None or [*bundle.tasks] != [ENTITIES]:
            raise InputError(f"{directory}: --transformers is for models that find entities and do nothing else")
        echo(
            write_token_classifier(
                directory, bundle.config, bundle.description.model_dump(mode="json"), bundle.entities, output
            )
        )
        return
    for name in precision or ["int8"]:
        path = export_bundle(bundle, output, name) if bundle else export_encoder(directory, output, name)
        say(f"{name}: {path.stat().st_size / 1e6:.1f} MB")
        echo(path)
