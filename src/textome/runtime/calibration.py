"""The ranges of what goes into the linear layers of an encoder, by which an int8 graph rounds.

Ranges that are fixed beforehand give a text the same scores whatever stands beside it in a batch; a range taken from each
batch does not. They are measured with the fp32 graph on sentences written for this (calibration.txt) and on sequences drawn
from the vocabulary, so that every kind of token takes part, whatever the language. What lies outside a range is cut to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from textome.text.tokenization import Tokenizer

Range = tuple[float, float]
# Sequences of tokens drawn from the vocabulary, and how long they are.
_DRAWN, _LENGTHS = 64, (4, 120)
_TEXTS = Path(__file__).with_name("calibration.txt")


def sequences(tokenizer: Tokenizer, max_length: int) -> Iterator[NDArray[np.int64]]:
    """Token ids (n,) with [CLS] and [SEP], of at most `longest` tokens: the texts, then what is drawn, always the same."""
    for tokens in tokenizer.encode(_TEXTS.read_text(encoding="utf-8").splitlines()):
        yield _whole(tokens.ids[: max_length - 2], tokenizer)
    ordinary = np.setdiff1d(np.arange(tokenizer.vocabulary_size), tokenizer.special_ids)
    generator = np.random.default_rng(0)
    for length in generator.integers(*_LENGTHS, _DRAWN):
        yield _whole(generator.choice(ordinary, min(int(length), max_length - 2)), tokenizer)


def activation_ranges(model: onnx.ModelProto, inputs: Iterable[NDArray[np.int64]]) -> dict[str, Range]:
    """The least and the greatest value that each matrix product with constant weights reads, by its name in the graph.

    model    an fp32 graph of graph.build_graph, which gets these values as outputs
    inputs   token ids (n,) with special tokens, one sequence at a time; where the graph takes token types, the second half
             of every other one is of the second type
    """
    constant = {item.name for item in model.graph.initializer}
    read = {node.input[0] for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in constant}
    outputs = {item.name for item in model.graph.output}
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in sorted(read - outputs)
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ranges = dict.fromkeys(sorted(read), (0.0, 0.0))
    for number, ids in enumerate(inputs):
        tensors = session.run(list(ranges), _feeds(session, ids, number))
        for name, values in zip(ranges, tensors, strict=True):
            low, high = ranges[name]
            ranges[name] = (min(low, float(values.min())), max(high, float(values.max())))
    return ranges


def _whole(ids: NDArray[np.integer], tokenizer: Tokenizer) -> NDArray[np.int64]:
    return np.array([tokenizer.start_id, *ids.tolist(), tokenizer.end_id], np.int64)


def _feeds(
    session: onnxruntime.InferenceSession, ids: NDArray[np.int64], number: int
) -> dict[str, NDArray[np.integer]]:
    feeds: dict[str, NDArray[np.integer]] = {}
    for item in session.get_inputs():
        if item.name == "input_ids":
            feeds[item.name] = ids[None]
        elif item.name == "attention_mask":
            feeds[item.name] = np.ones((1, len(ids)), np.int32)
        elif item.name == "token_type_ids":
            second = (np.arange(len(ids)) >= len(ids) // 2) & bool(number % 2)
            feeds[item.name] = second[None].astype(np.int64)
        else:  # TASK.places: which states a head joins changes nothing below it
            feeds[item.name] = np.zeros((1, 1, item.shape[2]), np.int64)
    return feeds
