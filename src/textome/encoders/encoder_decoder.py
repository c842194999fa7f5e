"""What encoder-decoders share: the parts of their attention, and the keys and values of the tokens so far."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from textome.encoders.interface import CheckpointModel
from textome.encoders.layers.packing import Layout


class HeadedAttention(nn.Module):
    """Attention of `heads` heads of `size` numbers; the linear layer `memory` gives keys and values."""

    heads: int
    size: int
    memory: nn.Linear

    def keys(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, (..., heads, size) each, of hidden states (..., d_model)."""
        key, value = self.memory(memory).chunk(2, -1)
        return self.split(key), self.split(value)

    def split(self, hidden: Tensor) -> Tensor:
        """(..., heads * size) by head: (..., heads, size)."""
        return hidden.view(*hidden.shape[:-1], self.heads, self.size)


@dataclass
class LayerCache:
    """Keys and values of a decoder layer, (B, heads, n, size): of the target so far, and of the source."""

    key: Tensor
    value: Tensor
    source_key: Tensor
    source_value: Tensor

    def append(self, key: Tensor, value: Tensor) -> None:
        """One token more, (B, heads, size)."""
        self.key = torch.cat([self.key, key[:, :, None]], 2)
        self.value = torch.cat([self.value, value[:, :, None]], 2)


@dataclass
class Cache:
    """What a decoder knows of the sequences in work, so that a step costs one token and not all of them.

    mask     (B, 1, 1, n) bool of the sources; None where all have one length
    length   tokens of the targets so far
    """

    layers: list[LayerCache]
    mask: Tensor | None
    length: int = 0

    def choose(self, rows: Tensor) -> None:
        """Go on with these sequences (M,), in this order; one may be there several times, and those missing are left."""
        for layer in self.layers:
            for name in ("key", "value", "source_key", "source_value"):
                setattr(layer, name, getattr(layer, name).index_select(0, rows))
        if self.mask is not None:
            self.mask = self.mask.index_select(0, rows)


class EncoderDecoder(CheckpointModel):
    """An encoder, and a decoder whose layers have a `HeadedAttention` over the target, `attention`, and one over the
    source, `across`. `shared` has the embeddings of both sides.

    Input   source (T,) int64 and target (U,) int64, with layouts of as many sequences each. A target begins with
            `decoder_start_token_id`; what is scored at a token is the next one.
    Output  logits (U, vocab_size)
    """

    shared: nn.Embedding

    def decoder_layers(self) -> nn.ModuleList:
        raise NotImplementedError

    def encode(self, source: Tensor, layout: Layout) -> Tensor:
        """Hidden states (T, d_model) of the sources."""
        raise NotImplementedError

    def decode(self, target: Tensor, layout: Layout, memory: Tensor, memory_layout: Layout) -> Tensor:
        """Logits (U, vocab_size) of targets that are known already, all at once."""
        raise NotImplementedError

    def step(self, tokens: Tensor, cache: Cache) -> Tensor:
        """The logits (B, vocab_size) of what follows `tokens` (B,), the newest of each target."""
        raise NotImplementedError

    def forward(self, source: Tensor, source_layout: Layout, target: Tensor, target_layout: Layout) -> Tensor:
        return self.decode(target, target_layout, self.encode(source, source_layout), source_layout)

    def cache(self, memory: Tensor, layout: Layout) -> Cache:
        """An empty cache over sources: their keys and values are computed once."""
        rows, layers = layout.padded(memory), []
        for layer in self.decoder_layers():
            attention, across = layer.attention, layer.across
            assert isinstance(attention, HeadedAttention)
            assert isinstance(across, HeadedAttention)
            key, value = (item.transpose(1, 2) for item in across.keys(rows))
            empty = key.new_empty(len(rows), attention.heads, 0, attention.size)
            layers.append(LayerCache(empty, empty, key, value))
        return Cache(layers, None if layout.equal else layout.mask()[:, None, None])
