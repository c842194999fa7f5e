"""Tokens that are plainly outside every entity leave an encoder's ONNX graph after a few of its layers.

A gate, a small network over the hidden states behind one layer, scores how likely a token belongs to an entity. A token
whose score is not above the threshold leaves: the layers above compute queries, attention and feed-forward only for the
tokens that stay. Those that left keep serving as keys and values, with the hidden state they left with (Li et al. 2021,
"Accelerating BERT Inference for Sequence Labeling via Early-Exit", sections 3.2 and 3.3, TOKEE with their copies); a
sentence that no token of stays leaves as a whole (as in DeeBERT, Xin et al. 2020). Unlike theirs, a gate knows no classes:
all that leave have the scores of a word outside.

What a sentence's tokens do depends on that sentence alone. With the threshold at minus infinity all tokens stay, and the
scores are those of the graph without gate, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from onnx import TensorProto, helper

from textome.encoders import EXIT_THRESHOLD, Encoder
from textome.encoders.graph import Array, Builder, onnx_of


@dataclass(frozen=True, slots=True)
class EarlyExit:
    """A gate and where it stands.

    depth       the layers that every token passes
    dense, dense_bias, classifier, classifier_bias   (K, hidden_size), (K,), (1, K), (1,): a linear layer, ReLU, a score
    threshold   the score that a token must exceed to stay; minus infinity keeps all
    outside     (num_labels,) the scores of a token that left
    """

    depth: int
    dense: Array
    dense_bias: Array
    classifier: Array
    classifier_bias: Array
    threshold: float
    outside: Array


@dataclass(frozen=True, slots=True)
class Staying:
    """Tensors of a graph about the N tokens that stay, in the B' sentences that have any.

    hidden     (N, hidden_size) float32, their hidden states
    all_hidden (S, B', hidden_size), the hidden states of all tokens of these sentences
    padding    (B', 1, 1, S), as of `graph.padding_scores`
    token      (N, 1) the position of each in (S * B')
    target     (N, 1) its position in (Q * B'), where each sentence's tokens that stay lie one after another
    source     (Q * B') for each of these positions the token, 0 where there is none
    original   (N, 1) the position of each in (S * B), the batch as it came
    by_head    (4,) the shape (Q, B', heads, head_size) of their queries
    """

    hidden: str
    all_hidden: str
    padding: str
    token: str
    target: str
    source: str
    original: str
    by_head: str


class ExitModule(Protocol):
    """What the `onnx.py` of an architecture with `Encoder.early_exit` has besides."""

    def encode_with_exit(self, builder: Builder, config: Mapping[str, Any], exit_: EarlyExit) -> tuple[str, Staying]:
        """The hidden states (S, B, hidden_size) of all tokens, for those that left as they left, and what stays to the
        end."""


def exit_module_of(encoder: Encoder) -> ExitModule:
    """The `onnx.py` of an architecture whose tokens can leave early."""
    return cast(ExitModule, onnx_of(encoder))


def leave(builder: Builder, exit_: EarlyExit, hidden: str, padding: str, heads: int, head_size: int) -> Staying:
    """What stays of hidden states (S, B, hidden_size); `padding` as of `graph.padding_scores`."""
    node, number = builder.node, builder.number
    stays = _stays(builder, exit_, hidden)
    counts = node("ReduceSum", [stays, number(0)], "exit.counts_of_all", keepdims=0)
    rows = node("Squeeze", [node("NonZero", [counts], "exit.rows_2d"), number(0)], "exit.rows")
    kept = node("Gather", [hidden, rows], f"{hidden}.all", axis=1)
    builder.share_range(kept, hidden)
    kept_padding = node("Gather", [padding, rows], "exit.padding", axis=0)
    stays = node("Gather", [stays, rows], "exit.stays_of_rows", axis=1)
    coordinates = ["exit.position", "exit.row"]
    builder.nodes.append(
        helper.make_node("Split", [node("NonZero", [stays], "exit.indices")], coordinates, name="exit.split", axis=0)
    )
    position, row = (node("Squeeze", [name, number(0)], f"{name}.flat") for name in coordinates)
    num_rows, num_all = (
        node("Shape", [name], f"exit.num_{label}", start=1, end=2) for name, label in ((kept, "rows"), (hidden, "all"))
    )
    token = _position(builder, position, num_rows, row, "exit.token")
    original = _position(builder, position, num_all, node("Gather", [rows, row], "exit.original_row"), "exit.original")
    ranks = node("CumSum", [stays, number_scalar(builder, 0)], "exit.ranks", exclusive=1)
    rank = node("GatherND", [node("Reshape", [ranks, number(-1)], "exit.ranks_flat"), token], "exit.rank")
    target = _position(builder, rank, num_rows, row, "exit.target")
    counts = node("Concat", [node("Gather", [counts, rows], "exit.counts"), number(1)], "exit.counts_and_1", axis=0)
    max_count = node("ReduceMax", [counts], "exit.longest", axes=[0], keepdims=1)
    size = node("Mul", [max_count, num_rows], "exit.size")
    empty = node("ConstantOfShape", [size], "exit.no_source", value=helper.make_tensor("", TensorProto.INT64, [1], [0]))
    num_tokens = node("Shape", [token], "exit.num_tokens", start=0, end=1)
    order = node(
        "Range",
        [number_scalar(builder, 0), node("Squeeze", [num_tokens], "exit.end"), number_scalar(builder, 1)],
        "exit.order",
    )
    source = node("ScatterND", [empty, target, order], "exit.source")
    by_head = node("Concat", [max_count, num_rows, number(heads), number(head_size)], "exit.by_head", axis=0)
    flat = node("Reshape", [kept, _flat(builder, exit_.dense.shape[1])], "exit.flat")
    staying = node("GatherND", [flat, token], f"{hidden}.staying")
    builder.share_range(staying, hidden)
    return Staying(staying, kept, kept_padding, token, target, source, original, by_head)


def spread_queries(builder: Builder, query: str, staying: Staying, output: str) -> str:
    """Queries (N, size) as (Q, B', heads, head_size), with any others where a sentence has fewer than Q."""
    rows = builder.node("Gather", [query, staying.source], f"{output}.rows", axis=0)
    return builder.node("Reshape", [rows, staying.by_head], output, allowzero=1)


def gather_context(builder: Builder, context: str, staying: Staying, size: int, output: str) -> str:
    """(N, size) of the tokens that stay, from (Q, B', heads, head_size)."""
    flat = builder.node("Reshape", [context, _flat(builder, size)], f"{output}.flat")
    return builder.node("GatherND", [flat, staying.target], output)


def update_all(builder: Builder, staying: Staying, hidden: str, size: int) -> str:
    """The hidden states (S, B', size) of all tokens, with these (N, size) for those that stay."""
    flat = builder.node("Reshape", [staying.all_hidden, _flat(builder, size)], f"{hidden}.old")
    flat = builder.node("ScatterND", [flat, staying.token, hidden], f"{hidden}.new")
    shape = builder.node("Shape", [staying.all_hidden], f"{hidden}.shape")
    updated = builder.node("Reshape", [flat, shape], f"{hidden}.all", allowzero=1)
    builder.share_range(updated, hidden)
    return updated


def give_back(builder: Builder, values: str, staying: Staying, others: str, output: str) -> str:
    """`others` (S, B, size) with `values` (N, size) for the tokens that stay."""
    size = builder.node("Shape", [others], f"{output}.shape")
    last = builder.node("Shape", [others], f"{output}.last", start=2, end=3)
    shape = builder.node("Concat", [builder.number(-1), last], f"{output}.flat_shape", axis=0)
    flat = builder.node("Reshape", [others, shape], f"{output}.others")
    flat = builder.node("ScatterND", [flat, staying.original, values], f"{output}.new")
    return builder.node("Reshape", [flat, size], output, allowzero=1)


def outside_scores(builder: Builder, exit_: EarlyExit, hidden: str) -> str:
    """(S, B, num_labels) the scores of a word outside at every token of `hidden` (S, B, hidden_size)."""
    shape = builder.node("Shape", [hidden], "exit.batch_shape", start=0, end=2)
    shape = builder.node("Concat", [shape, builder.number(len(exit_.outside))], "exit.scores_shape", axis=0)
    return builder.node(
        "Expand", [builder.constant("exit.outside", np.asarray(exit_.outside, np.float32)), shape], "exit.outside_all"
    )


def number_scalar(builder: Builder, value: int) -> str:
    """A constant of one integer without an axis."""
    return builder.constant(f"scalar.{value}", np.array(value, np.int64))


def _stays(builder: Builder, exit_: EarlyExit, hidden: str) -> str:
    """(S, B) int64, 1 for each token that stays and 0 for those that leave, and for padding."""
    weights = {
        "dense.weight": exit_.dense.T,
        "dense.bias": exit_.dense_bias,
        "classifier.weight": exit_.classifier.T,
        "classifier.bias": exit_.classifier_bias,
    }
    names = {key: builder.constant(f"exit.{key}", np.asarray(value, np.float32)) for key, value in weights.items()}
    source = hidden
    for layer in ("dense", "classifier"):
        product = builder.node("MatMul", [source, names[f"{layer}.weight"]], f"exit.{layer}.product")
        source = builder.node("Add", [product, names[f"{layer}.bias"]], f"exit.{layer}.output")
        if layer == "dense":
            source = builder.node("Relu", [source], "exit.activated")
    scores = builder.node("Squeeze", [source, builder.number(2)], "exit.scores")
    builder.constant(EXIT_THRESHOLD, np.array(exit_.threshold, np.float32))
    above = builder.node("Greater", [scores, EXIT_THRESHOLD], "exit.above")
    mask = builder.node("Transpose", ["attention_mask"], "exit.mask", perm=[1, 0])
    mask = builder.node("Cast", [mask], "exit.is_token", to=TensorProto.BOOL)
    return builder.node(
        "Cast", [builder.node("And", [above, mask], "exit.staying")], "exit.stays", to=TensorProto.INT64
    )


def _position(builder: Builder, row: str, width: str, column: str, output: str) -> str:
    """(N, 1) `row * width + column`."""
    start = builder.node("Mul", [row, width], f"{output}.start")
    flat = builder.node("Add", [start, column], f"{output}.flat")
    return builder.node("Unsqueeze", [flat, builder.number(1)], output)


def _flat(builder: Builder, size: int) -> str:
    return builder.integers(f"shape.flat.{size}", -1, size)
