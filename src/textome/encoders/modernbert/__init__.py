"""ModernBERT (Warner et al. 2024, arXiv:2412.13663), an encoder for texts of up to 8,192 tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from textome.encoders import Encoder, HeadLayer

_LOCAL, _GLOBAL = "sliding_attention", "full_attention"


@dataclass(frozen=True)
class ModernBertConfig:
    """The sizes of a ModernBERT, under the names of the Hugging Face `config.json`.

    layer_types   for each layer whether its tokens attend to all others or to those nearby
    local_attention   tokens that those layers attend to, half of them on each side
    global_rope_theta, local_rope_theta   of the rotary positions in both kinds of layers
    """

    model_type: ClassVar[str] = "modernbert"

    vocab_size: int = 50368
    hidden_size: int = 768
    intermediate_size: int = 1152
    num_hidden_layers: int = 22
    num_attention_heads: int = 12
    max_position_embeddings: int = 8192
    hidden_activation: str = "gelu"
    initializer_range: float = 0.02
    initializer_cutoff_factor: float = 2.0
    norm_eps: float = 1e-5
    norm_bias: bool = False
    attention_bias: bool = False
    attention_dropout: float = 0.0
    mlp_bias: bool = False
    mlp_dropout: float = 0.0
    embedding_dropout: float = 0.0
    classifier_dropout: float = 0.0
    classifier_bias: bool = False
    classifier_activation: str = "gelu"
    local_attention: int = 128
    layer_types: tuple[str, ...] = ()
    global_rope_theta: float = 160_000.0
    local_rope_theta: float = 10_000.0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModernBertConfig:
        """From a parsed `config.json`, of today or of the first checkpoints, which say how many layers are global.

        Raises ValueError for an unknown kind of layer, and for rotary positions that are scaled.
        """
        known = {field.name: values[field.name] for field in fields(cls) if values.get(field.name) is not None}
        every = values.get("global_attn_every_n_layers", 3)
        kinds = known.get("layer_types") or [
            _LOCAL if number % every else _GLOBAL
            for number in range(known.get("num_hidden_layers", cls.num_hidden_layers))
        ]
        if unknown := set(kinds) - {_LOCAL, _GLOBAL}:
            raise ValueError(
                f"layer_types names {', '.join(sorted(unknown))}; only {_LOCAL} and {_GLOBAL} are supported"
            )
        for kind, name in ((_LOCAL, "local_rope_theta"), (_GLOBAL, "global_rope_theta")):
            rotary = (values.get("rope_parameters") or {}).get(kind) or {}
            if (scaled := rotary.get("rope_type", "default")) != "default":
                raise ValueError(f"rope_parameters of {scaled!r} are not supported; only unscaled ones are")
            known[name] = float(rotary.get("rope_theta") or known.get(name) or getattr(cls, name))
        return cls(**known | {"layer_types": tuple(kinds)})

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        if len(self.layer_types) != self.num_hidden_layers:
            raise ValueError(f"layer_types has {len(self.layer_types)} of {self.num_hidden_layers} layers")

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def hidden_dropout_prob(self) -> float:
        return self.classifier_dropout

    @property
    def windows(self) -> tuple[int | None, ...]:
        """For each layer the largest distance of a key, or None if there is no limit."""
        return tuple(self.local_attention // 2 if kind == _LOCAL else None for kind in self.layer_types)

    def theta(self, window: int | None) -> float:
        """Of the rotary positions in layers with this window."""
        return self.global_rope_theta if window is None else self.local_rope_theta


def _head_layer(config: Mapping[str, Any]) -> HeadLayer:
    return HeadLayer(
        "head.dense",
        activation=str(config.get("classifier_activation", "gelu")),
        bias=bool(config.get("classifier_bias", False)),
        norm="head.norm",
        norm_bias=bool(config.get("norm_bias", False)),
        epsilon=float(config.get("norm_eps", 1e-5)),
        over_tokens=True,
    )


ENCODER = Encoder(
    folder="modernbert",
    transformers="ModernBert",
    prefix="model.",
    hidden_states="modernbert.hidden",
    head_layer=_head_layer,
    unused=r"(decoder|head|classifier)\.",
    config={"classifier_pooling": "cls"},
    dropout=("embedding_dropout", "mlp_dropout", "classifier_dropout"),
    attention_dropout=("attention_dropout",),
    int8_aware=True,
    layers_called_once=True,
)
