"""Annotation on OpenVINO beside ONNX Runtime, on the same weights, texts and cores.

    pip install --no-deps --target DIR openvino && PYTHONPATH=DIR python benchmarks/backends.py [--model BUNDLE]
        [--texts FILE] [--sentences N] [--rounds R] [--threads T]

Needs the extra `train`; options as in `benchmarks/annotate.py`. OpenVINO gets the exported fp32 graph, with the products of
attention written in plain operators, since it does not read the axes of ONNX Runtime's own (it computes in bf16 where it is
told to), and the same graph with int8 weights, whose activations it quantises on the fly, as ONNX Runtime does. Runs
alternate, and the median of the rounds counts. The last column is the largest difference of a score from those in fp32.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
from annotate import ROOT, prepared, print_machine, sentences
from onnx import helper, numpy_helper
from openvino import opset13

from textome.documents import Document
from textome.encoders.graph import quantise_rows
from textome.pipeline import Pipeline
from textome.processors import available_threads
from textome.runtime.batching import Batch
from textome.runtime.bundle import ENTITIES, Bundle
from textome.runtime.model import Model
from textome.runtime.session import Session
from textome.tasks.examples import Floats


class OpenVino(Session):
    """A graph on OpenVINO, asked as a `Session` is."""

    def __init__(self, model: openvino.Model, precision: str, threads: int, **settings: Any) -> None:
        settings |= {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        self._request = compiled.create_infer_request()

    def run(self, heads: Sequence[str], batch: Batch) -> list[Floats]:
        feeds = {"input_ids": batch.input_ids, "attention_mask": batch.mask}
        return [np.array(self._request.infer(feeds, share_inputs=True)[0])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a bundle with model.safetensors")
    parser.add_argument("--texts", type=Path, default=ROOT / "examples" / "abstracts.xml")
    parser.add_argument("--sentences", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=available_threads())
    options = parser.parse_args()
    print_machine(options.threads)
    print(f"openvino {version('openvino')}")
    with tempfile.TemporaryDirectory() as folder:
        bundle = Bundle.load(prepared(options.model, Path(folder)))
        plain = Path(folder) / "plain.onnx"
        onnx.save(in_plain_operators(onnx.load(bundle.onnx_path("fp32"))), plain)
        compare(bundle, plain, sentences(options.texts, options.sentences), options.rounds, options.threads)


def compare(bundle: Bundle, plain: Path, texts: list[str], rounds: int, threads: int) -> None:
    core = openvino.Core()
    size = bundle.config["hidden_size"]
    dynamic = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": size}
    loading: dict[str, Callable[[], Session]] = {
        "ONNX Runtime fp32": lambda: Session.of(bundle, "fp32", threads),
        "ONNX Runtime int8": lambda: Session.of(bundle, "int8", threads),
        "OpenVINO fp32": lambda: OpenVino(core.read_model(plain), "f32", threads),
        "OpenVINO bf16": lambda: OpenVino(core.read_model(plain), "bf16", threads),
        "OpenVINO int8, the rest fp32": lambda: OpenVino(with_int8_weights(plain), "f32", threads, **dynamic),
        "OpenVINO int8, the rest bf16": lambda: OpenVino(with_int8_weights(plain), "bf16", threads, **dynamic),
    }
    sessions: dict[str, Session] = {}
    starting = {}
    for name, load in loading.items():
        started = time.perf_counter()
        sessions[name] = load()
        starting[name] = time.perf_counter() - started
    models = {name: Model(bundle, session) for name, session in sessions.items()}
    first = models["ONNX Runtime fp32"]
    _, _, examples = first.prepare(ENTITIES, [Document.from_text(text) for text in texts])
    tokens = sum(len(example.input_ids) - 2 for example in examples)
    exact = first.scores(ENTITIES, examples[:16])
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for number in range(rounds + 1):
        for name, model in models.items():
            started = time.perf_counter()
            Pipeline([model]).annotate(texts)
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    print(f"\n{len(texts)} sentences, {tokens} tokens\n{'':32}{'tokens/s':>10}{'start, s':>10}{'difference':>12}")
    for name, times in seconds.items():
        found = models[name].scores(ENTITIES, examples[:16])
        difference = max(np.abs(a - b).max() for a, b in zip(found, exact, strict=True))
        print(f"{name:32}{tokens / statistics.median(times):10,.0f}{starting[name]:10.2f}{difference:12.1e}")


def in_plain_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with each FusedMatMul as transpositions, MatMul and Mul.

    `transBatch` takes the first axis of an operand (N, B, heads, size) as its rows: (B, heads, N, size) here.
    """
    nodes = []
    for node in model.graph.node:
        if node.op_type != "FusedMatMul":
            nodes.append(node)
            continue
        given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        operands = []
        for side, name in zip("AB", node.input, strict=True):
            order = [1, 2, 0, 3] if given.get(f"transBatch{side}") else [0, 1, 2, 3]
            order = [*order[:2], order[3], order[2]] if given.get(f"trans{side}") else order
            operands.append(f"{node.name}.{side}")
            nodes.append(helper.make_node("Transpose", [name], [operands[-1]], perm=order))
        factor = f"{node.name}.alpha"
        model.graph.initializer.append(numpy_helper.from_array(np.array(given.get("alpha", 1.0), np.float32), factor))
        nodes.append(helper.make_node("MatMul", operands, [f"{node.name}.product"]))
        nodes.append(helper.make_node("Mul", [f"{node.name}.product", factor], list(node.output)))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def with_int8_weights(path: Path) -> openvino.Model:
    """The graph whose encoder layers have int8 weights with a scale for each output, as OpenVINO's tools write them."""
    model = openvino.Core().read_model(path)
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul" or "classifier" in node.get_friendly_name():
            continue
        weight = node.input_value(1).get_node()
        if weight.get_type_name() == "Constant":
            values, scales = quantise_rows(np.ascontiguousarray(weight.data.T), 8)
            floats = opset13.convert(opset13.constant(values, dtype=np.int8), "f32")
            scaled = opset13.multiply(floats, opset13.constant(scales[:, None]))
            node.output(0).replace(opset13.matmul(node.input_value(0), scaled, False, True).output(0))
    model.validate_nodes_and_infer_types()
    return model


if __name__ == "__main__":
    main()
