"""T5 over packed tokens (Raffel et al. 2020): encoder and decoder with norms in front, no biases of layers, scores of
attention that are not scaled, and a bias of these for each distance, one table a side for all its layers (section 2.1).

Sources and targets are packed, each by a layout of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.encoders.distances import bucket_of_distance
from textome.encoders.encoder_decoder import Cache, EncoderDecoder, HeadedAttention, LayerCache
from textome.encoders.interface import TensorNames
from textome.encoders.layers.attention import attend, attend_across, biases_of
from textome.encoders.layers.dropout import Dropout
from textome.encoders.layers.feed_forward import ACTIVATIONS, in_rows
from textome.encoders.layers.packing import Layout
from textome.encoders.t5 import FEED_FORWARD, T5Config
from textome.encoders.t5.checkpoint import tensor_names

# The layers before the activation, without a gate and with one.
_EXPANDING = (("expand",), ("gate", "value"))


def _norm(config: T5Config) -> nn.RMSNorm:
    """The norm of each side and part: only scale, neither mean nor bias (Zhang and Sennrich 2019)."""
    return nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)


class Attention(HeadedAttention):
    """Multi-head attention without biases, over the sequence itself with a bias for each distance, or over another.

    The root of the head's size is multiplied into the queries, by which attention divides again: T5 does not scale.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.heads, self.size, self.rate = config.num_heads, config.d_kv, config.dropout_rate
        inner = config.num_heads * config.d_kv
        self.query = nn.Linear(config.d_model, inner, bias=False)
        self.memory = nn.Linear(config.d_model, 2 * inner, bias=False)
        self.output = nn.Linear(inner, config.d_model, bias=False)
        nn.init.normal_(self.query.weight, std=(config.d_model * config.d_kv) ** -0.5)
        nn.init.normal_(self.memory.weight, std=config.d_model**-0.5)
        nn.init.normal_(self.output.weight, std=inner**-0.5)

    def forward(self, hidden: Tensor, layout: Layout, biases: Sequence[Tensor]) -> Tensor:
        """Over the sequence itself: hidden (T, d_model) and the bias of each group, see `attend`, to (T, d_model)."""
        query = self.split(self.query(hidden)) * math.sqrt(self.size)
        attended = attend(query, *self.keys(hidden), layout, self.rate if self.training else 0.0, biases=biases)
        return self.output(attended.flatten(1))  # type: ignore[no-any-return]

    def across(self, hidden: Tensor, layout: Layout, memory: Tensor, memory_layout: Layout) -> Tensor:
        """Over another sequence, memory (U, d_model), without biases."""
        query = self.split(self.query(hidden)) * math.sqrt(self.size)
        rate = self.rate if self.training else 0.0
        attended = attend_across(query, *self.keys(memory), layout, memory_layout, rate)
        return self.output(attended.reshape(len(hidden), -1))  # type: ignore[no-any-return]

    def step(self, hidden: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        """One token of each sequence over keys that are there already.

        Input   hidden (B, d_model), key and value (B, heads, n, size), what is added to scores (.., .., 1, n) or None
        Output  (B, d_model)
        """
        query = self.split(self.query(hidden))[:, :, None]
        attended = functional.scaled_dot_product_attention(query, key, value, bias, scale=1.0)
        return self.output(attended.reshape(len(hidden), -1))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear layers with an activation between, or in v1.1 with one that gates a third: (T, d_model) to the same."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        activation, gated = FEED_FORWARD[config.feed_forward_proj]
        self.activation = ACTIVATIONS[activation]
        layers = {name: nn.Linear(config.d_model, config.d_ff, bias=False) for name in _EXPANDING[gated]}
        self.gate, self.value, self.expand = (layers.get(name) for name in ("gate", "value", "expand"))
        for layer in layers.values():
            nn.init.normal_(layer.weight, std=config.d_model**-0.5)
        self.dropout = Dropout(config.dropout_rate)
        self.contract = nn.Linear(config.d_ff, config.d_model, bias=False)
        nn.init.normal_(self.contract.weight, std=config.d_ff**-0.5)

    def forward(self, hidden: Tensor) -> Tensor:
        return in_rows(self._rows, hidden)

    def _rows(self, hidden: Tensor) -> Tensor:
        if self.gate is not None and self.value is not None:
            inner = self.activation(self.gate(hidden)) * self.value(hidden)
        else:
            assert self.expand is not None
            inner = self.activation(self.expand(hidden))
        return self.contract(self.dropout(inner))  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each with a norm in front, dropout and a residual."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.attention, self.attention_norm = Attention(config), _norm(config)
        self.feed_forward, self.feed_forward_norm = FeedForward(config), _norm(config)
        self.dropout = Dropout(config.dropout_rate)

    def forward(self, hidden: Tensor, layout: Layout, biases: Sequence[Tensor]) -> Tensor:
        hidden = hidden + self.dropout(self.attention(self.attention_norm(hidden), layout, biases))
        return hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))  # type: ignore[no-any-return]


class DecoderLayer(nn.Module):
    """Causal self-attention, attention over the source, and feed-forward."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.attention, self.attention_norm = Attention(config), _norm(config)
        self.across, self.across_norm = Attention(config), _norm(config)
        self.feed_forward, self.feed_forward_norm = FeedForward(config), _norm(config)
        self.dropout = Dropout(config.dropout_rate)

    def forward(
        self, hidden: Tensor, layout: Layout, biases: Sequence[Tensor], memory: Tensor, memory_layout: Layout
    ) -> Tensor:
        hidden = hidden + self.dropout(self.attention(self.attention_norm(hidden), layout, biases))
        hidden = hidden + self.dropout(self.across.across(self.across_norm(hidden), layout, memory, memory_layout))
        return hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))  # type: ignore[no-any-return]

    def step(self, hidden: Tensor, cache: LayerCache, bias: Tensor, mask: Tensor | None) -> Tensor:
        """One more token (B, d_model) of each sequence; its key and value join the cache."""
        normed = self.attention_norm(hidden)
        cache.append(*self.attention.keys(normed))
        hidden = hidden + self.attention.step(normed, cache.key, cache.value, bias)
        normed = self.across_norm(hidden)
        hidden = hidden + self.across.step(normed, cache.source_key, cache.source_value, mask)
        return hidden + self.feed_forward(self.feed_forward_norm(hidden))  # type: ignore[no-any-return]


class Side(nn.Module):
    """Encoder or decoder: its layers, its table of biases (buckets, heads), and the norm behind the last layer."""

    def __init__(self, config: T5Config, layer: Callable[[T5Config], nn.Module], count: int, causal: bool) -> None:
        super().__init__()
        self._buckets, self._farthest = config.relative_attention_num_buckets, config.relative_attention_max_distance
        self._causal = causal
        self.layers = nn.ModuleList(layer(config) for _ in range(count))
        self.biases = nn.Embedding(self._buckets, config.num_heads)
        nn.init.normal_(self.biases.weight, std=config.d_model**-0.5)
        self.norm = _norm(config)
        self.dropout = Dropout(config.dropout_rate)

    def bias(self, queries: range, keys: int) -> Tensor:
        """What is added to scores of the queries at these positions over `keys` keys: (heads, queries, keys)."""
        distance = np.arange(keys)[None] - np.array(queries)[:, None]
        buckets = bucket_of_distance(distance, self._buckets, self._farthest, self._causal)
        device = self.biases.weight.device
        bias = self.biases(torch.from_numpy(buckets).to(device)).permute(2, 0, 1)
        if self._causal:
            bias = bias.masked_fill(torch.from_numpy(distance > 0).to(device), float("-inf"))
        return bias  # type: ignore[no-any-return]


class T5(EncoderDecoder):
    """Encoder and decoder with one table of embeddings for sources and targets."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Side(config, EncoderLayer, config.num_layers, causal=False)
        self.decoder = Side(config, DecoderLayer, config.decoder_layers, causal=True)
        self.lm_head = None if config.tie_word_embeddings else nn.Linear(config.d_model, config.vocab_size, bias=False)

    @property
    def rate_factors(self) -> dict[str, float]:
        """What the learning rates of parameters are multiplied by.

        The table that also scores is drawn with a deviation of 1, and its scores are divided by the root of d_model. At
        the rate of the other matrices, whose deviation is d_model**-0.5, it would hardly move. T5 was trained with steps
        in proportion to the size of each parameter (Shazeer and Stern 2018, section 8), which differ by that root.
        """
        return {"shared.weight": self.config.d_model**0.5} if self.config.scales_outputs else {}

    @property
    def layers(self) -> nn.ModuleList:
        """The layers of both sides, the encoder's first."""
        return nn.ModuleList([*self.encoder.layers, *self.decoder.layers])

    def decoder_layers(self) -> nn.ModuleList:
        return self.decoder.layers

    def encode(self, source: Tensor, layout: Layout) -> Tensor:
        side, hidden = self.encoder, self.encoder.dropout(self.shared(source))
        biases = biases_of(side.bias(range(layout.max_seqlen), layout.max_seqlen), layout)
        for layer in side.layers:
            hidden = layer(hidden, layout, biases)
        return side.dropout(side.norm(hidden))  # type: ignore[no-any-return]

    def decode(self, target: Tensor, layout: Layout, memory: Tensor, memory_layout: Layout) -> Tensor:
        side, hidden = self.decoder, self.decoder.dropout(self.shared(target))
        biases = biases_of(side.bias(range(layout.max_seqlen), layout.max_seqlen), layout)
        for layer in side.layers:
            hidden = layer(hidden, layout, biases, memory, memory_layout)
        return self._score(side.dropout(side.norm(hidden)))

    def step(self, tokens: Tensor, cache: Cache) -> Tensor:
        side, hidden = self.decoder, self.shared(tokens)
        bias = side.bias(range(cache.length, cache.length + 1), cache.length + 1)[None]
        for layer, own in zip(side.layers, cache.layers, strict=True):
            assert isinstance(layer, DecoderLayer)
            hidden = layer.step(hidden, own, bias, cache.mask)
        cache.length += 1
        return self._score(side.norm(hidden))

    def tensor_names(self) -> TensorNames:
        return tensor_names(name for name, _ in self.named_parameters())

    def _score(self, hidden: Tensor) -> Tensor:
        if self.config.scales_outputs:
            hidden = hidden * self.config.d_model**-0.5
        return functional.linear(hidden, self.shared.weight if self.lm_head is None else self.lm_head.weight)
