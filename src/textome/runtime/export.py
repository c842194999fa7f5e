"""From a bundle's weights to its ONNX graph."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

from textome.errors import MissingExtraError, ModelError
from textome.formats.sources import atomic_file
from textome.runtime.bundle import Bundle
from textome.runtime.modality_bundle import ModalityBundle

# 7 bits lose no F1 against 8 on the bundled model, and never overflow the 16-bit sums of processors without VNNI.
WEIGHT_BITS = 7
_COPIED = ("config.json", "textome.json", "tokenizer.json", "tokenizer_config.json", "README.md")


def export_bundle(bundle: Bundle | ModalityBundle, output: Path, precision: str) -> Path:
    """Write `model.<precision>.onnx` and the files that annotation needs to `output`; returns the graph's path.

    The precision is "int8" or "fp32". Raises ModelError where the bundle has no weights or they do not fit.
    """
    graph = _graph(bundle, precision)
    output.mkdir(parents=True, exist_ok=True)
    for name in _COPIED:
        source = bundle.directory / name
        if source.is_file() and source.resolve() != (output / name).resolve():
            shutil.copyfile(source, output / name)
    path = output / f"model.{precision}.onnx"
    with atomic_file(path) as stream:
        stream.write(graph)
    return path


def _graph(bundle: Bundle | ModalityBundle, precision: str) -> bytes:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        from textome.runtime.graph import HeadShape, Precision, build_graph
        from textome.runtime.graph_sequence import build_sequence_graph
    except ModuleNotFoundError as error:
        raise MissingExtraError("textome export", "train") from error
    if precision not in ("int8", "fp32"):
        raise ModelError(f"precision {precision!r} cannot be exported; choose int8 or fp32")
    path = bundle.directory / "model.safetensors"
    if not path.is_file():
        raise ModelError(
            f"{bundle.directory}: there is no model.safetensors to export; only the exported graph is here"
        )
    try:
        tensors: dict[str, Any] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: the weights cannot be read ({error})") from error
    try:
        if isinstance(bundle, ModalityBundle):
            shapes, outputs = bundle.modality.shapes(), len(bundle.target.labels)
            sequences = build_sequence_graph(
                tensors, bundle.config, shapes, outputs, bundle.pooling, cast(Precision, precision), WEIGHT_BITS
            )
            return cast(bytes, sequences.SerializeToString())
        heads = {name: HeadShape(states, labels) for name, (labels, states) in bundle.heads.items()} or None
        model = build_graph(tensors, bundle.config, cast(Precision, precision), WEIGHT_BITS, heads)
        return cast(bytes, model.SerializeToString())
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
