"""T5, the text-to-text Transformer (Raffel et al. 2020, JMLR 21:140), v1.0 and v1.1 (so also Flan-T5): encoder and decoder
with biases of attention by distance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

MODEL_TYPE = "t5"
# What `feed_forward_proj` may be: the activation, and whether it gates a second matrix (Shazeer 2020, "GLU variants").
FEED_FORWARD = {
    "relu": ("relu", False),
    "gelu": ("gelu", False),
    "gated-gelu": ("gelu_new", True),
    "gated-relu": ("relu", True),
    "gated-silu": ("silu", True),
}


@dataclass(frozen=True)
class T5Config:
    """The sizes of a T5, under the names of the Hugging Face `config.json`; the defaults are those of T5-small.

    d_kv                    the size of a head; heads need not fill d_model
    feed_forward_proj       "relu" in v1.0, "gated-gelu" in v1.1
    tie_word_embeddings     the output scores by the table of embeddings (v1.0), or by a matrix of its own (v1.1)
    scale_decoder_outputs   what is scored is divided by the root of d_model (v1.0); None: where embeddings are tied

    Raises ValueError for a `feed_forward_proj` that is not known, and for a number of buckets that is not a multiple of 4.
    """

    vocab_size: int = 32128
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_decoder_layers: int | None = None
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dropout_rate: float = 0.1
    layer_norm_epsilon: float = 1e-6
    feed_forward_proj: str = "relu"
    tie_word_embeddings: bool = True
    scale_decoder_outputs: bool | None = None
    pad_token_id: int = 0
    eos_token_id: int = 1
    decoder_start_token_id: int = 0

    def __post_init__(self) -> None:
        if self.feed_forward_proj not in FEED_FORWARD:
            raise ValueError(f"feed_forward_proj {self.feed_forward_proj!r} is not one of {', '.join(FEED_FORWARD)}")
        if self.relative_attention_num_buckets % 4:
            raise ValueError(
                f"relative_attention_num_buckets {self.relative_attention_num_buckets} is not a multiple of 4"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> T5Config:
        """From a parsed `config.json`; keys that do not describe the model are left alone.

        Raises ValueError for another architecture, and as the class.
        """
        if (kind := values.get("model_type", MODEL_TYPE)) != MODEL_TYPE:
            raise ValueError(f"the architecture is {kind!r}; only {MODEL_TYPE!r} can be loaded here")
        return cls(
            **{
                field.name: values[field.name]
                for field in fields(cls)
                if field.name in values and values[field.name] is not None
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The `config.json` that `transformers` loads as T5ForConditionalGeneration."""
        return {
            "model_type": MODEL_TYPE,
            "architectures": ["T5ForConditionalGeneration"],
            "is_encoder_decoder": True,
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "num_decoder_layers": self.decoder_layers,
            "scale_decoder_outputs": self.scales_outputs,
        }

    @property
    def decoder_layers(self) -> int:
        return self.num_layers if self.num_decoder_layers is None else self.num_decoder_layers

    @property
    def scales_outputs(self) -> bool:
        return self.tie_word_embeddings if self.scale_decoder_outputs is None else self.scale_decoder_outputs

    @property
    def hidden_size(self) -> int:
        """The same as encoders name it."""
        return self.d_model
