"""The sizes that encoders with BERT's layers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from textome.encoders.layers.feed_forward import ACTIVATIONS


@dataclass(frozen=True)
class EncoderSizes:
    """Sizes under the names of the Hugging Face `config.json`, with BERT-base's as defaults.

    Raises ValueError for an activation that is not known, and for heads that do not fill the hidden size.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        if self.hidden_act not in ACTIVATIONS:
            raise ValueError(f"hidden_act {self.hidden_act!r} is not one of {', '.join(ACTIVATIONS)}")
        if self.own_head_size is None and self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )

    @property
    def own_head_size(self) -> int | None:
        """The size of a head where heads do not fill the hidden size."""
        return None

    @property
    def head_size(self) -> int:
        return self.own_head_size or self.hidden_size // self.num_attention_heads

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From a parsed `config.json`; keys that do not describe the encoder are left alone."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})
