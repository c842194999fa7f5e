"""`textome export`: a bundle's weights as an ONNX graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textome.cli.streams import say


def export(
    model: Annotated[str, typer.Argument(help="A bundle with model.safetensors.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write; may be the bundle itself.")],
    precision: Annotated[list[str] | None, typer.Option(help="int8 or fp32; may be given twice.")] = None,
) -> None:
    """Export a model to ONNX, so that it annotates without PyTorch.

    Example: textome export runs/ncbi/bundle --output runs/ncbi/bundle --precision int8
    """
    from textome.runtime.bundle import Bundle, resolve_model
    from textome.runtime.export import export_bundle
    from textome.runtime.modality_bundle import ModalityBundle

    bundle = ModalityBundle.load(model) if ModalityBundle.is_at(model) else Bundle.load(resolve_model(model))
    for name in precision or ["int8"]:
        path = export_bundle(bundle, output, name)
        say(f"{name}: {path.stat().st_size / 1e6:.1f} MB")
        typer.echo(path)
