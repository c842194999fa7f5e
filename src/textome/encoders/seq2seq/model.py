"""The Transformer, encoder and decoder (Vaswani et al. 2017, "Attention is all you need"), over packed tokens.

Equation and section numbers are those of the paper. The layer norms stand behind each residual as there, or with
`normalize_before` in front of each part (Xiong et al. 2020). Sources and targets are packed, each by a layout of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.encoders.build import build_encoder, read_encoder_config
from textome.encoders.encoder_decoder import Cache, EncoderDecoder, HeadedAttention, LayerCache
from textome.encoders.interface import EncoderModel, TensorNames
from textome.encoders.layers.attention import attend, attend_across
from textome.encoders.layers.dropout import Dropout
from textome.encoders.layers.feed_forward import ACTIVATIONS
from textome.encoders.layers.packing import Layout
from textome.encoders.seq2seq.checkpoint import tensor_names


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes of an encoder-decoder, under the names that Hugging Face's Marian gives them.

    scale_embedding       embeddings are multiplied by the root of d_model (section 3.4)
    learned_positions     a table of positions that is trained, in place of sines (section 3.5)
    decoder_start_token_id, eos_token_id   what a target begins with, and ends with
    encoder               the configuration of another encoder of d_model, as in its `config.json`; None for the paper's own
    """

    vocab_size: int
    d_model: int = 512
    encoder_layers: int = 6
    decoder_layers: int = 6
    encoder_attention_heads: int = 8
    decoder_attention_heads: int = 8
    encoder_ffn_dim: int = 2048
    decoder_ffn_dim: int = 2048
    max_position_embeddings: int = 1024
    activation_function: str = "relu"
    dropout: float = 0.1
    attention_dropout: float = 0.0
    scale_embedding: bool = True
    normalize_before: bool = False
    learned_positions: bool = False
    pad_token_id: int = 0
    eos_token_id: int = 2
    decoder_start_token_id: int = 1
    encoder: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.activation_function not in ACTIVATIONS:
            raise ValueError(f"activation_function {self.activation_function!r} is not one of {', '.join(ACTIVATIONS)}")
        for side in ("encoder", "decoder"):
            heads = getattr(self, f"{side}_attention_heads")
            if self.d_model % heads:
                raise ValueError(f"d_model {self.d_model} is not a multiple of {side}_attention_heads {heads}")
        if self.encoder is not None and self.encoder["hidden_size"] != self.d_model:
            raise ValueError(f"the encoder has hidden_size {self.encoder['hidden_size']}, the decoder {self.d_model}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TransformerConfig:
        """From a parsed `config.json`; keys that do not describe the model are left alone."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


def sinusoids(length: int, size: int) -> Tensor:
    """Positions as sines and cosines of ten thousand wavelengths (section 3.5), (length, size) in float32.

    Sines fill the first half of a row and cosines the second, as in Marian; the paper has them in turn, which is the same
    up to the order of dimensions.
    """
    rates = torch.arange(length, dtype=torch.float64)[:, None] / 10000 ** (
        2 * (torch.arange(size, dtype=torch.float64) // 2) / size
    )
    return torch.cat([rates[:, 0::2].sin(), rates[:, 1::2].cos()], 1).float()


class Positions(nn.Module):
    """The vectors of positions, (T,) to (T, d_model)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        table = sinusoids(config.max_position_embeddings, config.d_model)
        if config.learned_positions:
            self.weight: Tensor = nn.Parameter(torch.randn_like(table) * config.d_model**-0.5)
        else:
            self.register_buffer("weight", table, persistent=False)

    def forward(self, position_ids: Tensor) -> Tensor:
        return self.weight[position_ids]


class Attention(HeadedAttention):
    """Multi-head attention (section 3.2.2) of tokens over themselves, or with `memory` over another sequence.

    Input   hidden (T, d_model), layout, and for attention across memory (U, d_model) with its layout
    Output  (T, d_model)
    """

    def __init__(self, config: TransformerConfig, heads: int) -> None:
        super().__init__()
        self.heads, self.size, self.rate = heads, config.d_model // heads, config.attention_dropout
        self.query = nn.Linear(config.d_model, config.d_model)
        self.memory = nn.Linear(config.d_model, 2 * config.d_model)
        self.output = nn.Linear(config.d_model, config.d_model)

    def forward(
        self,
        hidden: Tensor,
        layout: Layout,
        memory: Tensor | None = None,
        memory_layout: Layout | None = None,
        causal: bool = False,
    ) -> Tensor:
        rate = self.rate if self.training else 0.0
        query = self.split(self.query(hidden))
        key, value = self.keys(hidden if memory is None else memory)
        if memory is None and not causal:
            attended = attend(query, key, value, layout, rate)
        else:
            attended = attend_across(query, key, value, layout, memory_layout or layout, rate, causal)
        return self.output(attended.reshape(hidden.shape))  # type: ignore[no-any-return]

    def step(self, hidden: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """One token of each sequence over keys that are there already.

        Input   hidden (B, d_model), key and value (B, heads, n, size), mask (B, 1, 1, n) bool or None
        Output  (B, d_model)
        """
        query = self.split(self.query(hidden))[:, :, None]
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.output(attended.reshape(hidden.shape))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear layers with an activation between (equation 2), (T, d_model) to (T, d_model)."""

    def __init__(self, config: TransformerConfig, inner: int) -> None:
        super().__init__()
        self.expand = nn.Linear(config.d_model, inner)
        self.contract = nn.Linear(inner, config.d_model)
        self.activation = ACTIVATIONS[config.activation_function]

    def forward(self, hidden: Tensor) -> Tensor:
        return self.contract(self.activation(self.expand(hidden)))  # type: ignore[no-any-return]


class _Layer(nn.Module):
    """What layers of both sides share: residuals with dropout and a norm behind or in front (section 3.1)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.before = config.normalize_before
        self.dropout = Dropout(config.dropout)

    def residual(self, hidden: Tensor, norm: nn.Module, part: Any) -> Tensor:
        if self.before:
            return hidden + self.dropout(part(norm(hidden)))  # type: ignore[no-any-return]
        return norm(hidden + self.dropout(part(hidden)))  # type: ignore[no-any-return]


class EncoderLayer(_Layer):
    """Self-attention and feed-forward (section 3.1, figure 1 on the left)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.attention = Attention(config, config.encoder_attention_heads)
        self.attention_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = FeedForward(config, config.encoder_ffn_dim)
        self.feed_forward_norm = nn.LayerNorm(config.d_model)

    def forward(self, hidden: Tensor, layout: Layout) -> Tensor:
        hidden = self.residual(hidden, self.attention_norm, lambda hidden: self.attention(hidden, layout))
        return self.residual(hidden, self.feed_forward_norm, self.feed_forward)


class DecoderLayer(_Layer):
    """Causal self-attention, attention over the source, and feed-forward (section 3.1, figure 1 on the right)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.attention = Attention(config, config.decoder_attention_heads)
        self.attention_norm = nn.LayerNorm(config.d_model)
        self.across = Attention(config, config.decoder_attention_heads)
        self.across_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = FeedForward(config, config.decoder_ffn_dim)
        self.feed_forward_norm = nn.LayerNorm(config.d_model)

    def forward(self, hidden: Tensor, layout: Layout, memory: Tensor, memory_layout: Layout) -> Tensor:
        hidden = self.residual(hidden, self.attention_norm, lambda hidden: self.attention(hidden, layout, causal=True))
        hidden = self.residual(
            hidden, self.across_norm, lambda hidden: self.across(hidden, layout, memory, memory_layout)
        )
        return self.residual(hidden, self.feed_forward_norm, self.feed_forward)

    def step(self, hidden: Tensor, cache: LayerCache, mask: Tensor | None) -> Tensor:
        """One more token (B, d_model) of each sequence; its key and value join the cache."""

        def attention(hidden: Tensor) -> Tensor:
            cache.append(*self.attention.keys(hidden))
            return self.attention.step(hidden, cache.key, cache.value)

        hidden = self.residual(hidden, self.attention_norm, attention)
        hidden = self.residual(
            hidden,
            self.across_norm,
            lambda hidden: self.across.step(hidden, cache.source_key, cache.source_value, mask),
        )
        return self.residual(hidden, self.feed_forward_norm, self.feed_forward)


class Transformer(EncoderDecoder):
    """Encoder and decoder with one table of embeddings for sources, targets and output (section 3.4); another encoder
    (encoders), where the configuration names one, has embeddings of its own.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.bias = nn.Parameter(torch.zeros(1, config.vocab_size))
        self.positions = nn.ModuleDict({side: Positions(config) for side in ("encoder", "decoder")})
        self.encoder: nn.Module = (
            nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
            if config.encoder is None
            else build_encoder(read_encoder_config(config.encoder))
        )
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        before = config.normalize_before
        self.encoder_norm = nn.LayerNorm(config.d_model) if before and config.encoder is None else None
        self.decoder_norm = nn.LayerNorm(config.d_model) if before else None
        self.dropout = Dropout(config.dropout)
        self.scale = math.sqrt(config.d_model) if config.scale_embedding else 1.0
        foreign = set() if config.encoder is None else set(self.encoder.modules())
        for module in self.modules():
            if isinstance(module, nn.Linear) and module not in foreign:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.shared.weight, std=config.d_model**-0.5 if config.scale_embedding else 0.02)

    @property
    def layers(self) -> nn.ModuleList:
        """The layers of both sides, the encoder's first."""
        encoder = self.encoder if isinstance(self.encoder, nn.ModuleList) else self.encoder.get_submodule("layers")
        return nn.ModuleList([*encoder.children(), *self.decoder])

    def decoder_layers(self) -> nn.ModuleList:
        return self.decoder

    def encode(self, source: Tensor, layout: Layout) -> Tensor:
        self._check(layout.max_seqlen)
        if not isinstance(self.encoder, nn.ModuleList):
            return self.encoder(source, layout)  # type: ignore[no-any-return]
        hidden = self._embed(source, layout.position_ids, "encoder")
        for layer in self.encoder:
            hidden = layer(hidden, layout)
        return hidden if self.encoder_norm is None else self.encoder_norm(hidden)

    def decode(self, target: Tensor, layout: Layout, memory: Tensor, memory_layout: Layout) -> Tensor:
        self._check(layout.max_seqlen)
        hidden = self._embed(target, layout.position_ids, "decoder")
        for layer in self.decoder:
            hidden = layer(hidden, layout, memory, memory_layout)
        return self._score(hidden)

    def step(self, tokens: Tensor, cache: Cache) -> Tensor:
        self._check(cache.length + 1)
        hidden = self._embed(tokens, torch.full_like(tokens, cache.length), "decoder")
        for layer, own in zip(self.decoder, cache.layers, strict=True):
            assert isinstance(layer, DecoderLayer)
            hidden = layer.step(hidden, own, cache.mask)
        cache.length += 1
        return self._score(hidden)

    def tensor_names(self) -> TensorNames:
        names = (name for name, _ in self.named_parameters())
        return tensor_names(names, self.encoder if isinstance(self.encoder, EncoderModel) else None)

    def _embed(self, tokens: Tensor, position_ids: Tensor, side: str) -> Tensor:
        return self.dropout(self.shared(tokens) * self.scale + self.positions[side](position_ids))  # type: ignore[no-any-return]

    def _score(self, hidden: Tensor) -> Tensor:
        if self.decoder_norm is not None:
            hidden = self.decoder_norm(hidden)
        return functional.linear(hidden, self.shared.weight, self.bias[0])

    def _check(self, length: int) -> None:
        if length > self.config.max_position_embeddings:
            raise ValueError(
                f"a sequence of {length} tokens is longer than the model's {self.config.max_position_embeddings} positions"
            )
