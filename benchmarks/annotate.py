"""Speed of annotation beside `transformers`, on the same weights, the same texts and the same cores.

    python benchmarks/annotate.py [--model BUNDLE] [--texts FILE] [--sentences N] [--rounds R] [--threads T] [--json]

Needs the extra `train` and `transformers`. Without --model, the bundled model is measured; its weights are read from its
graph. Runs alternate, and the median of the rounds counts. Tokens are sub-words without special tokens, the same number for
every row; words are what stands between white space. "All layers" is the graph without early exit, as it was before. The
seconds are those of the clock, or with --processor-time those of the process, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import transformers
from one_sentence import in_one_sentence
from onnx import TensorProto, helper
from safetensors.numpy import save_file

from textome.formats import read_documents
from textome.pipeline import Pipeline
from textome.processors import available_threads
from textome.runtime.batching import Batch, batches
from textome.runtime.bundle import ENTITIES, Bundle, resolve_model
from textome.runtime.export import export_bundle
from textome.runtime.graph_weights import graph_weights
from textome.runtime.model import Model
from textome.runtime.session import Session
from textome.text.sentences import split_sentences
from textome.text.tokenization import Tokenizer

ROOT = Path(__file__).resolve().parent.parent
INT8 = "textome int8, from raw text"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a bundle with model.safetensors")
    parser.add_argument("--texts", type=Path, default=ROOT / "examples" / "abstracts.xml")
    parser.add_argument("--sentences", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Bundle.load(prepared(options.model, Path(folder)))
        texts = sentences(options.texts, options.sentences)
        clock = time.process_time if options.processor_time else time.perf_counter
        seconds = measured(bundle, texts, options.rounds, options.threads, clock)
        report(seconds, bundle, texts, int8_limit(bundle, options.threads, clock), options.threads, options.json)


def measured(
    bundle: Bundle, texts: list[str], rounds: int, threads: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """The seconds of each way in each round."""
    model = transformers.AutoModelForTokenClassification.from_pretrained(bundle.directory).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(bundle.directory)
    outside = [name for name in model.config.id2label.values() if name == "O" or name.endswith(":O")]
    pipeline = transformers.pipeline(
        "token-classification", model=model, tokenizer=tokenizer, device=-1, ignore_labels=outside
    )
    int8 = Pipeline([Model.load(bundle.directory, precision="int8", threads=threads)])
    whole = Pipeline([Model.load(bundle.directory, precision="int8", threads=threads, early_exit=False)])
    fp32 = Pipeline([Model.load(bundle.directory, precision="fp32", threads=threads)])
    session = Session.of(bundle, "int8", threads)
    ways: dict[str, Callable[[], object]] = {
        "transformers pipeline, as it comes (batch 1)": lambda: [pipeline(text) for text in texts],
        "transformers pipeline, batch 8": lambda: list(pipeline(list(texts), batch_size=8)),
        "transformers model, sorted batches of 16": lambda: batched(model, tokenizer, texts),
        "textome fp32, from raw text": lambda: fp32.annotate(texts),
        "textome int8, all layers, from raw text": lambda: whole.annotate(texts),
        INT8: lambda: int8.annotate(texts),
        "textome int8, the model alone": lambda: model_alone(session, bundle, texts),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, run in ways.items():
            started = clock()
            run()
            if number:  # the first round warms up
                seconds[name].append(clock() - started)
    return seconds


def report(
    seconds: dict[str, list[float]], bundle: Bundle, texts: list[str], limit: float, threads: int, as_json: bool
) -> None:
    """limit   the tokens/s of `int8_limit`"""
    tokens = sum(len(item.ids) for item in Tokenizer.load(bundle.directory).encode(texts))
    words = sum(len(text.split()) for text in texts)
    pipeline, _, careful = list(seconds)[:3]
    rows: list[tuple[Any, ...]] = []
    for name, times in seconds.items():
        middle = statistics.median(times)
        ratios = [
            statistics.median(a / b for a, b in zip(seconds[base], times, strict=True)) for base in (pipeline, careful)
        ]
        rows.append((name, len(texts) / middle, words / middle, tokens / middle, *ratios))
    reached = tokens / statistics.median(seconds[INT8]) / limit
    if as_json:
        columns = ("way", "sentences_per_s", "words_per_s", "tokens_per_s", "x_pipeline", "x_batched")
        found = [dict(zip(columns, row, strict=True)) for row in rows]
        print(json.dumps({"rows": found, "limit_tokens_per_s": limit, "reached": reached} | machine(threads), indent=2))
        return
    print(f"{len(texts)} sentences, {words} words, {tokens} tokens, mean {tokens / len(texts):.1f}")
    print_machine(threads)
    print(f"\n{'':46}{'sentences/s':>12}{'words/s':>10}{'tokens/s':>10}{'x pipeline':>12}{'x batched':>11}")
    for name, *values in rows:
        print("{:46}{:12,.0f}{:10,.0f}{:10,.0f}{:12.2f}{:11.2f}".format(name, *values))
    print(f"\nThe linear layers alone could do {limit:,.0f} tokens/s in int8 here, each token in all of them;")
    print(f"{100 * reached:.0f} % of it is reached.")


def prepared(model: Path | None, folder: Path) -> Path:
    """A bundle with weights and both graphs, in `folder`; the int8 graph that there is already stays as it is."""
    target = folder / "bundle"
    if model is None:
        model = folder / "weights"
        bundled = Bundle.load(resolve_model(None))
        shutil.copytree(bundled.directory, model)
        weights = graph_weights(bundled.onnx_path(), bundled.config)
        save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    bundle = Bundle.load(model)
    for precision in ("int8", "fp32"):
        export_bundle(bundle, target, precision)
        if (own := model / f"model.{precision}.onnx").is_file():
            shutil.copyfile(own, target / own.name)
    shutil.copyfile(model / "model.safetensors", target / "model.safetensors")
    return target


def sentences(path: Path, number: int) -> list[str]:
    """`number` sentences of the documents at `path`, from the beginning again where there are fewer."""
    found = [
        document.text[passage.offset + start : passage.offset + end]
        for document in read_documents(path)
        for passage in document.passages
        for start, end in split_sentences(passage.text)
        if end - start < 1500
    ]
    return [found[index % len(found)] for index in range(number)]


def batched(model: torch.nn.Module, tokenizer: transformers.PreTrainedTokenizerBase, texts: list[str]) -> None:
    ordered = sorted(texts, key=len)
    with torch.inference_mode():
        for start in range(0, len(ordered), 16):
            model(**tokenizer(ordered[start : start + 16], padding=True, return_tensors="pt")).logits.argmax(-1)


def model_alone(session: Session, bundle: Bundle, texts: list[str]) -> None:
    encoded = Tokenizer.load(bundle.directory).encode(texts)
    lengths = np.array([len(item.ids) + 2 for item in encoded])
    for group in batches(lengths, 1024):
        ids = np.zeros((len(group), int(lengths[group].max())), np.int64)
        session.run([ENTITIES], Batch(ids, None, lengths[group]))


def int8_limit(bundle: Bundle, threads: int, clock: Callable[[], float]) -> float:
    """Tokens/s if there were nothing but the int8 products of the linear layers, at the best speed of one large one."""
    hidden, inner = bundle.config["hidden_size"], bundle.config["intermediate_size"]
    rows = 2048
    node = helper.make_node("MatMulInteger", ["a", "b"], ["y"])
    graph = helper.make_graph(
        [node], "limit",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [rows, hidden])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [rows, inner])],
        [helper.make_tensor("b", TensorProto.INT8, [hidden, inner], np.ones((hidden, inner), np.int8).tobytes(), raw=True)],
    )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    values = {"a": np.ones((rows, hidden), np.uint8)}
    times = []
    for _ in range(30):
        started = clock()
        session.run(None, values)
        times.append(clock() - started)
    rate = 2 * rows * hidden * inner / statistics.median(times)
    per_token = 2 * bundle.config["num_hidden_layers"] * (4 * hidden * hidden + 2 * hidden * inner)
    return float(rate / per_token)


def machine(threads: int) -> dict[str, object]:
    names = ("textome", "torch", "transformers", "tokenizers", "onnxruntime", "numpy")
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in flags.splitlines() if line.startswith("model name")), "")
    known = [flag for flag in ("avx2", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16") if f" {flag}" in flags]
    return {
        "versions": {name: version(name) for name in names} | {"Python": platform.python_version()},
        "threads": threads,
        "processor": model or platform.processor(),
        "instructions": known,
    }


def print_machine(threads: int) -> None:
    found = machine(threads)
    versions = found["versions"]
    assert isinstance(versions, dict)
    print(", ".join(f"{name} {number}" for name, number in versions.items()))
    print(f"{threads} threads on {found['processor']} ({json.dumps(found['instructions'])})")


if __name__ == "__main__":
    in_one_sentence(main)
