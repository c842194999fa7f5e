"""int8 graphs that round by ranges measured beforehand: a text gets the same scores whatever stands beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file

from one_model import entities_of
from textome.datasets.labelled import LabelledText
from textome.encoders.graph import scale_and_zero
from textome.runtime.bundle import Bundle
from textome.runtime.calibration import activation_ranges, sequences
from textome.runtime.export import export_bundle
from textome.runtime.graph import build_graph
from textome.runtime.model import Model
from textome.text.tokenization import Tokenizer
from tiny import make_texts

DEFAULT = Path(__file__).resolve().parents[2] / "src" / "textome" / "bundled" / "default"


def kinds(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(str(path)).graph.node}


def test_a_text_is_scored_alike_alone_and_among_others(tiny_bundle: Path) -> None:
    assert "DynamicQuantizeLinear" not in kinds(tiny_bundle / "model.int8.onnx")
    texts = [" ".join(parts) for parts in make_texts(40)] + ["! ? x", "Gout."]
    annotator = entities_of(tiny_bundle, precision="int8", sentences=False)
    together = annotator.annotate(texts)
    alone = [annotator.annotate(text) for text in texts]
    assert sum(len(item.entities) for item in together) > 40
    for one, other in zip(together, alone, strict=True):
        assert [(item.spans, item.type) for item in one.entities] == [
            (item.spans, item.type) for item in other.entities
        ]
        for item, same in zip(one.entities, other.entities, strict=True):
            # Sums over batches of other sizes differ in their last bit, which may tip a rounding.
            assert item.confidence == pytest.approx(same.confidence, abs=1e-3)


@pytest.mark.parametrize("task", ["single", "topics"])
def test_so_are_the_records_of_tasks(tiny_tasks: Path, task: str) -> None:
    bundle = tiny_tasks / "run" / "bundle"
    assert "DynamicQuantizeLinear" not in kinds(bundle / "model.int8.onnx")
    runner = Model.load(bundle, precision="int8")
    items = [
        LabelledText(str(n), text) for n, text in enumerate(["no gout was seen", "patients took aspirin daily", "x"])
    ]
    for item, found in zip(items, runner.predictions(task, items), strict=True):
        (alone,) = runner.predictions(task, [item])
        assert dict(alone.scores) == pytest.approx(dict(found.scores), abs=1e-3)


def test_ranges_hold_all_that_linear_layers_read(tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    graph = build_graph(load_file(tiny_bundle / "model.safetensors"), bundle.config, "fp32")
    inputs = list(sequences(Tokenizer.load(tiny_bundle), 64))
    ranges = activation_ranges(graph, inputs)
    layers = bundle.config["num_hidden_layers"]
    # What queries, keys and values read, the attention's output layer, both layers of the feed-forward part; the head.
    assert len(ranges) == 4 * layers + 1
    assert all(low <= 0 <= high and high > low for low, high in ranges.values())
    narrower = activation_ranges(graph, inputs[:3])
    assert all(ranges[name][0] <= narrower[name][0] and narrower[name][1] <= ranges[name][1] for name in ranges)
    assert activation_ranges(graph, inputs) == ranges


def test_the_same_weights_give_the_same_graph(tiny_bundle: Path, tmp_path: Path) -> None:
    path = export_bundle(Bundle.load(tiny_bundle), tmp_path, "int8")
    assert path.read_bytes() == (tiny_bundle / "model.int8.onnx").read_bytes()


@pytest.mark.parametrize(("low", "high"), [(-3.0, 5.0), (0.5, 2.0), (-2.0, -1.0), (0.0, 0.0), (-0.17, 28.0)])
def test_scale_and_zero_cover_the_range_and_nothing(low: float, high: float) -> None:
    scale, zero = scale_and_zero(low, high)
    assert scale.dtype == np.float32
    assert zero.dtype == np.uint8
    least, greatest = (0 - int(zero)) * float(scale), (255 - int(zero)) * float(scale)
    assert least <= min(low, 0) + float(scale) / 2
    assert greatest >= max(high, 0) - float(scale) / 2


def test_sequences_fit_the_model_and_hold_every_kind_of_token(tiny_bundle: Path) -> None:
    tokenizer = Tokenizer.load(tiny_bundle)
    some = list(sequences(tokenizer, 20))
    assert max(map(len, some)) <= 20
    assert all(ids[0] == tokenizer.start_id and ids[-1] == tokenizer.end_id for ids in some)
    seen = set(np.concatenate(some).tolist())
    assert set(range(tokenizer.vocabulary_size)) - set(tokenizer.special_ids) <= seen
    assert all(np.array_equal(one, other) for one, other in zip(some, sequences(tokenizer, 20), strict=True))
    assert len(list(sequences(Tokenizer.load(DEFAULT), 512))) == 40 + 64
