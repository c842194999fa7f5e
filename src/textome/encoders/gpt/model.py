"""GPT-2 (Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.3), over packed tokens.

Norms stand in front of each part and behind the last layer; the output is the product with the word embeddings. Positions
are learnt as in GPT-2, or rotary (Su et al. 2021), which changes nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor, nn
from torch.nn import functional

from textome.encoders.gpt import check_config
from textome.encoders.gpt.checkpoint import tensor_names
from textome.encoders.interface import EncoderModel, MaskedLM, TensorNames, with_prefix
from textome.encoders.layers.attention import SelfAttention
from textome.encoders.layers.dropout import Dropout
from textome.encoders.layers.feed_forward import FeedForward
from textome.encoders.layers.initialisation import initialise_weights
from textome.encoders.layers.packing import Layout
from textome.encoders.layers.rotary import Rotation
from textome.encoders.layers.sizes import EncoderSizes

# Our names, and GPT-2's in `config.json`.
_KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "intermediate_size": "n_inner",
    "max_position_embeddings": "n_positions",
    "hidden_act": "activation_function",
    "layer_norm_eps": "layer_norm_epsilon",
    "hidden_dropout_prob": "resid_pdrop",
    "attention_probs_dropout_prob": "attn_pdrop",
    "initializer_range": "initializer_range",
    "rotary_theta": "rotary_theta",
}


@dataclass(frozen=True)
class GptConfig(EncoderSizes):
    """The sizes of a GPT-2.

    rotary_theta   of rotary positions (see layers/rotary.py); None for learnt ones
    """

    model_type: ClassVar[str] = "gpt2"

    vocab_size: int = 50257
    max_position_embeddings: int = 1024
    hidden_act: str = "gelu_new"
    layer_norm_eps: float = 1e-5
    rotary_theta: float | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From a parsed `config.json`; keys that do not describe the model are left alone.

        Raises ValueError for a setting that is not supported.
        """
        check_config(values)
        known = {own_key: values[key] for own_key, key in _KEYS.items() if values.get(key) is not None}
        return cls(**{"intermediate_size": 4 * known.get("hidden_size", cls.hidden_size)} | known)


class GptEmbeddings(nn.Module):
    """The sum of word and position embeddings; without the latter where positions are rotary.

    Input   input_ids (T,), layout
    Output  (T, hidden_size)
    """

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embeddings = (
            nn.Embedding(config.max_position_embeddings, config.hidden_size) if config.rotary_theta is None else None
        )
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, layout: Layout) -> Tensor:
        hidden = self.word_embeddings(input_ids)
        if self.position_embeddings is not None:
            hidden = hidden + self.position_embeddings(layout.position_ids)
        return self.dropout(hidden)  # type: ignore[no-any-return]


class GptLayer(nn.Module):
    """Causal self-attention and feed-forward, each with a norm in front, dropout and a residual.

    Input   hidden (T, hidden_size), layout, rotation of the tokens' positions or None
    Output  (T, hidden_size)
    """

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = SelfAttention(
            config.hidden_size,
            config.num_attention_heads,
            config.head_size,
            config.attention_probs_dropout_prob,
            causal=True,
        )
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: Tensor, layout: Layout, rotation: Rotation | None) -> Tensor:
        hidden = hidden + self.dropout(self.attention(self.attention_norm(hidden), layout, rotation))
        return hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))  # type: ignore[no-any-return]


class Gpt(EncoderModel):
    """GPT-2 without its output layer. It has no token types."""

    config: GptConfig

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = GptEmbeddings(config)
        self.layers = nn.ModuleList(GptLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.apply(self._initialise)

    def forward(self, input_ids: Tensor, layout: Layout, token_type_ids: Tensor | None = None) -> Tensor:
        config = self.config
        self.check_lengths(layout)
        theta = config.rotary_theta
        rotation = None if theta is None else Rotation.of(layout.position_ids, config.head_size, theta)
        hidden = self.embeddings(input_ids, layout)
        for layer in self.layers:
            hidden = layer(hidden, layout, rotation)
        return self.norm(hidden)  # type: ignore[no-any-return]

    def tensor_names(self) -> TensorNames:
        return tensor_names(name for name, _ in self.named_parameters())

    def _initialise(self, module: nn.Module) -> None:
        """Normal weights; those that write into the residual are smaller by the root of their number (section 2.3)."""
        config = self.config
        initialise_weights(module, config.initializer_range)
        if isinstance(module, GptLayer):
            deviation = config.initializer_range / math.sqrt(2 * config.num_hidden_layers)
            for layer in (module.attention.output, module.feed_forward.contract):
                nn.init.normal_(layer.weight, std=deviation)


class GptLanguageModel(MaskedLM):
    """GPT-2: what follows a token is scored by the product of its hidden state with the word embeddings.

    Input   input_ids (T,) int64, layout, positions (M,) int64 of the tokens whose successors are scored
    Output  logits (M, vocab_size), and None
    """

    next_sentence = None

    def __init__(self, encoder: Gpt) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, input_ids: Tensor, layout: Layout, positions: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, None]:
        hidden = self.encoder(input_ids, layout)[positions]
        return functional.linear(hidden, self.encoder.word_embeddings.weight), None

    def tensor_names(self) -> TensorNames:
        own = self.encoder.tensor_names()
        transposed = frozenset(f"encoder.{name}" for name in own.transposed)
        return TensorNames(with_prefix(own), own.prefix, own.unused, transposed)


read_config = GptConfig.from_dict


def build(config: GptConfig, pooler: bool = False) -> Gpt:
    """A fresh model without its output layer. Raises ValueError if a pooler is asked of it: it has none."""
    if pooler:
        raise ValueError("GPT-2 has no pooler and no next-sentence task; use BERT for these")
    return Gpt(config)


def build_masked_lm(config: GptConfig, next_sentence: bool = False) -> MaskedLM:
    """A fresh model that predicts next tokens. Raises ValueError if it shall know pairs of sentences too."""
    if next_sentence:
        raise ValueError("GPT-2 has no head for masking.next_sentence; set it to false")
    return GptLanguageModel(Gpt(config))
