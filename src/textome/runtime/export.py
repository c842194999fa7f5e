"""From a bundle's weights to its ONNX graph."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textome.encoders import encoder_of
from textome.errors import MissingExtraError, ModelError
from textome.formats.reading.sources import atomic_file
from textome.runtime.bundle import PRECISIONS, TEXT, Bundle
from textome.runtime.model_files import read_json, read_weights, refuse_adapter, weight_files
from textome.text.tokenization import Tokenizer

if TYPE_CHECKING:
    from textome.runtime.graph import Precision
    from textome.tasks import HeadShape

# A file of ONNX holds 2 GB: a larger model has no fp32 graph to measure ranges with, and those of each batch are taken.
_LARGEST_GRAPH = 2_000_000_000
_COPIED = ("config.json", "textome.json", "tokenizer.json", "tokenizer_config.json", "README.md")


def export_bundle(bundle: Bundle, output: Path, precision: str) -> Path:
    """Write `model.<precision>.onnx` and the files that annotation needs to `output`; returns the graph's path.

    The precision is "int8", "bf16" or "fp32". Raises ModelError where the bundle has no weights or they do not fit.
    """
    if bundle.config.get("is_encoder_decoder") and any(task.has_graph for task in bundle.tasks.values()):
        encoder, graph = _both_sides(bundle, precision)
        output.mkdir(parents=True, exist_ok=True)
        with atomic_file(output / f"encoder.{precision}.onnx") as stream:
            stream.write(encoder)
    else:
        graph = _graph(bundle, precision)
    path = _written(graph, bundle.directory, output, precision)
    if not (output / "textome.json").is_file():  # of another library
        with atomic_file(output / "textome.json") as stream:
            stream.write(json.dumps(bundle.description.model_dump(mode="json"), indent=2).encode())
    return path


def export_encoder(checkpoint: Path, output: Path, precision: str) -> Path:
    """Make a bundle for embeddings of an encoder's checkpoint, such as those of sentence-transformers; as above.

    How states are pooled is read from `1_Pooling/config.json` where it is there; the mean otherwise. Raises ModelError for
    a checkpoint that lacks a file, or is an encoder of another architecture.
    """
    refuse_adapter(checkpoint)
    config = read_json(checkpoint / "config.json")
    pooling = checkpoint / "1_Pooling" / "config.json"
    chosen = "cls" if pooling.is_file() and read_json(pooling).get("pooling_mode_cls_token") else "mean"
    if not (checkpoint / "tokenizer.json").is_file():
        raise ModelError(f"{checkpoint}: there is no tokenizer.json; a model needs the tokenizer it was trained with")
    graph = _serialised(
        checkpoint,
        precision,
        lambda tensors: _text_graph(checkpoint, config, _encoder_only(tensors, config), precision, {}),
    )
    window = min(512, encoder_of(config).max_length(config))
    description = {
        "format_version": 2,
        "name": checkpoint.resolve().name,
        "input": {"kind": "text", "window": window, "overlap": 0},
        "tasks": {"embeddings": {"kind": "embedding", "pooling": chosen}},
    }
    path = _written(graph, checkpoint, output, precision)
    with atomic_file(output / "textome.json") as stream:
        stream.write(json.dumps(description, indent=2).encode())
    return path


def _encoder_only(tensors: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The encoder's tensors under the names of a model with heads: those of a bare one lack the prefix."""
    from textome.encoders.graph import onnx_of

    encoder = encoder_of(config)
    known = onnx_of(encoder).shapes(config)
    bare = {encoder.prefix + name: value for name, value in tensors.items() if encoder.prefix + name in known}
    return bare | {name: value for name, value in tensors.items() if name in known or not (
        encoder.prefix + name in known or re.match(encoder.unused, name))}  # fmt: skip


def _written(graph: bytes, source: Path, output: Path, precision: str) -> Path:
    output.mkdir(parents=True, exist_ok=True)
    for name in _COPIED:
        file = source / name
        if file.is_file() and file.resolve() != (output / name).resolve():
            shutil.copyfile(file, output / name)
    path = output / f"model.{precision}.onnx"
    with atomic_file(path) as stream:
        stream.write(graph)
    return path


def _graph(bundle: Bundle, precision: str) -> bytes:
    if bundle.reads != TEXT:
        return _serialised(bundle.directory, precision, lambda tensors: _sequence_graph(bundle, tensors, precision))
    bundle.check_graph()
    if encoder_of(bundle.config).causal:
        return _decoder(bundle.directory, bundle.config, precision)
    heads = None if bundle.has_entities and not bundle.heads else bundle.heads
    return _serialised(
        bundle.directory,
        precision,
        lambda tensors: _text_graph(bundle.directory, bundle.config, tensors, precision, heads),
    )


def _decoder(directory: Path, config: Mapping[str, Any], precision: str) -> bytes:
    from textome.encoders.graph import decoder_onnx_of

    build = decoder_onnx_of(encoder_of(config)).build_decoder
    return _serialised(directory, precision, lambda tensors: build(tensors, config, cast("Precision", precision)))


def _both_sides(bundle: Bundle, precision: str) -> tuple[bytes, bytes]:
    """The graphs of encoder and decoder of a text-to-text model."""
    from textome.encoders.t5 import T5Config

    def build(side: int) -> Callable[[Mapping[str, Any]], Any]:
        from textome.encoders.t5.onnx import build_graphs

        config = T5Config.from_dict(bundle.config)
        return lambda tensors: build_graphs(tensors, config, cast("Precision", precision))[side]

    encoder, decoder = (_serialised(bundle.directory, precision, build(side)) for side in (0, 1))
    return encoder, decoder


def _sequence_graph(bundle: Bundle, tensors: Mapping[str, Any], precision: str) -> Any:
    from textome.encoders.sequence.onnx import build_sequence_graph
    from textome.encoders.towers import MODEL_TYPE
    from textome.encoders.towers.onnx import build_pair_graph
    from textome.encoders.transunet import MODEL_TYPE as MAPS
    from textome.encoders.transunet.onnx import build_map_graph

    if bundle.config.get("model_type") == MODEL_TYPE:
        return build_pair_graph(tensors, bundle.config, cast("Precision", precision))
    if bundle.config.get("model_type") == MAPS:
        return build_map_graph(tensors, bundle.config, cast("Precision", precision))
    shapes, outputs, kind = bundle.modality.shapes(), len(bundle.target.labels), cast("Precision", precision)
    return build_sequence_graph(tensors, bundle.config, shapes, outputs, bundle.target.pooling, kind)


def _text_graph(
    directory: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Any],
    precision: str,
    heads: Mapping[str, HeadShape] | None,
) -> Any:
    """heads   the shape of each head by name; None of a token classifier, {} of the encoder alone"""
    from textome.runtime.calibration import activation_ranges, sequences
    from textome.runtime.graph import build_graph

    ranges = None
    if precision == "int8" and sum(tensor.nbytes for tensor in tensors.values()) < _LARGEST_GRAPH:
        max_length = min(512, encoder_of(config).max_length(config))
        whole = build_graph(tensors, config, "fp32", heads=heads)
        ranges = activation_ranges(whole, sequences(Tokenizer.load(directory), max_length))
    return build_graph(tensors, config, cast("Precision", precision), heads, ranges)


def _serialised(directory: Path, precision: str, build: Callable[[Mapping[str, Any]], Any]) -> bytes:
    """The bytes of the graph that `build` makes of the weights in a directory."""
    try:
        import onnx  # noqa: F401 - what builds graphs needs it
        import safetensors  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("textome export", "train") from error
    if precision not in PRECISIONS:
        raise ModelError(f"precision {precision!r} cannot be exported; choose one of: {', '.join(PRECISIONS)}")
    if not (files := weight_files(directory)):
        raise ModelError(f"{directory}: there is no model.safetensors to export; only the exported graph is here")
    try:
        return cast(bytes, build(read_weights(files)).SerializeToString())
    except ModelError as error:
        raise error if str(directory) in str(error) else ModelError(f"{files[0]}: {error}") from error
