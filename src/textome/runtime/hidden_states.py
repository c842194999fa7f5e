"""The encoder's last hidden states out of an exported graph, whose outputs are only the scores of its heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from textome.encoders import encoder_of


@dataclass(frozen=True, slots=True)
class HiddenStatesOutput:
    """Where a graph has the last hidden states: the tensor's name, and whether it is (B, S, H) or time first, (S, B, H)."""

    name: str
    batch_first: bool


# The output of a graph without any head.
ONLY_HIDDEN_STATES = HiddenStatesOutput("hidden_states", batch_first=True)


def hidden_states_output(config: Mapping[str, Any], several_heads: bool) -> HiddenStatesOutput:
    """Where `runtime.graph` puts them in the graph of a model with heads and this `config.json`."""
    if several_heads:
        return HiddenStatesOutput("encoder.hidden_states", batch_first=True)
    return HiddenStatesOutput(
        encoder_of(config).hidden_states.format(last=int(config["num_hidden_layers"]) - 1), batch_first=False
    )


def with_output(graph: bytes, name: str) -> bytes:
    """A serialised graph with one of its float tensors as a further output.

    Messages of Protocol Buffers laid end to end are one message, whose repeated fields are joined
    (https://protobuf.dev/programming-guides/encoding/#last-one-wins). So an output is added by what is written behind the
    graph: neither the package `onnx` nor the weights are needed, and the graphs of older bundles will do.
    """
    # Field numbers of onnx.proto: ModelProto.graph 7, GraphProto.output 12, ValueInfoProto.name 1 and type 2,
    # TypeProto.tensor_type 1, Tensor.elem_type 1 with FLOAT = 1.
    kind = _field(2, _field(1, b"\x08\x01"))
    return graph + _field(7, _field(12, _field(1, name.encode()) + kind))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field (wire type 2)."""
    size, length = [], len(content)
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + content
