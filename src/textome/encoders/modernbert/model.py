"""ModernBERT over packed tokens (Warner et al. 2024, section 2.1).

Rotary positions, a gated feed-forward layer, norms in front of each part and almost no biases. Two layers of three attend
within a window; the others attend to the whole sequence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from textome.encoders.heads import MaskedLanguageModel
from textome.encoders.interface import EncoderModel, MaskedLM, TensorNames
from textome.encoders.layers.attention import SelfAttention
from textome.encoders.layers.dropout import Dropout
from textome.encoders.layers.feed_forward import ACTIVATIONS, in_rows
from textome.encoders.layers.packing import Layout
from textome.encoders.layers.rotary import Rotation
from textome.encoders.modernbert import ModernBertConfig
from textome.encoders.modernbert.checkpoint import MASKED_LM, tensor_names


class ModernBertEmbeddings(nn.Module):
    """Word embeddings, normalised: input_ids (T,) to (T, hidden_size)."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.norm = _norm(config)
        self.dropout = Dropout(config.embedding_dropout)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.dropout(self.norm(self.word_embeddings(input_ids)))  # type: ignore[no-any-return]


class GatedFeedForward(nn.Module):
    """GeGLU (Shazeer 2020, equation 6): (activation(x W) * x V) W2, where W and V are one matrix.

    Input   (T, hidden_size)
    Output  (T, hidden_size)
    """

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        self.expand = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=config.mlp_bias)
        self.contract = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.mlp_bias)
        self.activation = ACTIVATIONS[config.hidden_activation]
        self.dropout = Dropout(config.mlp_dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        return in_rows(self._rows, hidden)

    def _rows(self, hidden: Tensor) -> Tensor:
        inner, gate = self.expand(hidden).chunk(2, dim=-1)
        return self.contract(self.dropout(self.activation(inner) * gate))  # type: ignore[no-any-return]


class ModernBertLayer(nn.Module):
    """Attention and feed-forward, each with a norm in front and a residual; the first layer has no norm for attention.

    Input   hidden (T, hidden_size), layout, rotation of the tokens' positions
    Output  (T, hidden_size)
    """

    def __init__(self, config: ModernBertConfig, number: int) -> None:
        super().__init__()
        self.attention_norm = _norm(config) if number else nn.Identity()
        self.attention = SelfAttention(
            config.hidden_size,
            config.num_attention_heads,
            config.head_size,
            config.attention_dropout,
            bias=config.attention_bias,
            window=config.windows[number],
        )
        self.attention_dropout = Dropout(config.attention_dropout)
        self.feed_forward_norm = _norm(config)
        self.feed_forward = GatedFeedForward(config)

    def forward(self, hidden: Tensor, layout: Layout, rotation: Rotation) -> Tensor:
        hidden = hidden + self.attention_dropout(self.attention(self.attention_norm(hidden), layout, rotation))
        return hidden + self.feed_forward(self.feed_forward_norm(hidden))  # type: ignore[no-any-return]


class ModernBert(EncoderModel):
    """The ModernBERT encoder. It has no token types: those of a pair are told apart by [SEP] alone."""

    config: ModernBertConfig

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = ModernBertEmbeddings(config)
        self.layers = nn.ModuleList(ModernBertLayer(config, number) for number in range(config.num_hidden_layers))
        self.norm = _norm(config)
        self.apply(self._initialise)

    def forward(self, input_ids: Tensor, layout: Layout, token_type_ids: Tensor | None = None) -> Tensor:
        config = self.config
        self.check_lengths(layout)
        rotations = {
            window: Rotation.of(layout.position_ids, config.head_size, config.theta(window))
            for window in set(config.windows)
        }
        hidden = self.embeddings(input_ids)
        for layer, window in zip(self.layers, config.windows, strict=True):
            hidden = layer(hidden, layout, rotations[window])
        return self.norm(hidden)  # type: ignore[no-any-return]

    def tensor_names(self) -> TensorNames:
        return tensor_names(name for name, _ in self.named_parameters())

    def multiplications(self, layout: Layout) -> int:
        config = self.config
        linear = (4 * config.hidden_size**2 + 3 * config.hidden_size * config.intermediate_size) * layout.num_tokens
        pairs = sum(
            group.count * group.length * min(group.length, group.length if window is None else 2 * window + 1)
            for group in layout.groups
            for window in config.windows
        )
        return config.num_hidden_layers * linear + 2 * config.hidden_size * pairs

    def _initialise(self, module: nn.Module) -> None:
        """Normal weights, cut at a few standard deviations; those that write into the residual are smaller (Radford et al.
        2019, section 2.3)."""
        config = self.config
        if isinstance(module, nn.Linear | nn.Embedding):
            _initialise(module, config.initializer_range, config.initializer_cutoff_factor)
        if isinstance(module, ModernBertLayer):
            deviation = config.initializer_range / math.sqrt(2 * config.num_hidden_layers)
            for layer in (module.attention.output, module.feed_forward.contract):
                _initialise(layer, deviation, config.initializer_cutoff_factor)


def read_config(values: Mapping[str, Any]) -> ModernBertConfig:
    """From a parsed `config.json`. Raises ValueError for a setting that is not supported."""
    config = ModernBertConfig.from_dict(values)
    for name in ("hidden_activation", "classifier_activation"):
        if (activation := getattr(config, name)) not in ACTIVATIONS:
            raise ValueError(f"{name} {activation!r} is not one of {', '.join(ACTIVATIONS)}")
    return config


build = ModernBert


def build_masked_lm(config: ModernBertConfig, next_sentence: bool = False) -> MaskedLM:
    """A fresh encoder with its head for hidden tokens."""
    activation = ACTIVATIONS[config.classifier_activation]
    biases = {"bias": config.classifier_bias, "norm_bias": config.norm_bias}
    return MaskedLanguageModel(ModernBert(config), activation, config.norm_eps, MASKED_LM, **biases)


def _norm(config: ModernBertConfig) -> nn.LayerNorm:
    return nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.norm_bias)


def _initialise(layer: nn.Linear | nn.Embedding, deviation: float, cutoff: float) -> None:
    nn.init.trunc_normal_(layer.weight, std=deviation, a=-cutoff * deviation, b=cutoff * deviation)
    if isinstance(layer, nn.Linear) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
