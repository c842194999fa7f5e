"""What all encoders in PyTorch have in common, and what heads, checkpoints and training rely on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from textome.encoders.layers.packing import Layout

# For each tensor of ours, the names in a checkpoint of the tensors that it is made of, in stacking order.
Names = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class TensorNames:
    """How a checkpoint in the Hugging Face layout names the tensors of a model.

    names    see `Names`
    prefix   of the encoder's names, which a checkpoint may have or lack
    unused   a pattern of tensors that a checkpoint may have and the model does not need
    transposed   our names of the matrices that a checkpoint has transposed
    """

    names: Names
    prefix: str
    unused: str
    transposed: frozenset[str] = frozenset()


def layered_names(
    parameters: Iterable[str],
    around: Mapping[str, str],
    layer: Mapping[str, tuple[str, ...]],
    layers: str = "encoder.layer",
) -> Names:
    """The names of an encoder that has these parameters.

    around   of the modules that are in no layer, own name -> checkpoint's
    layer    of the modules of `layers.NUMBER`, own name -> checkpoint's
    layers   before the number of a layer
    """
    names: Names = {}
    for key in parameters:
        module, kind = key.rsplit(".", 1)
        if module.startswith("layers."):
            _, number, inner = module.split(".", 2)
            names[key] = tuple(f"{layers}.{number}.{name}.{kind}" for name in layer[inner])
        else:
            names[key] = (f"{around[module]}.{kind}",)
    return names


def with_prefix(encoder: TensorNames) -> Names:
    """The names of an encoder's tensors in a model that has it as `encoder`, and a head."""
    return {
        f"encoder.{key}": tuple(encoder.prefix + name for name in sources) for key, sources in encoder.names.items()
    }


class CheckpointModel(nn.Module):
    """A model whose tensors have names in the Hugging Face layout."""

    def tensor_names(self) -> TensorNames:
        raise NotImplementedError


class EncoderConfig(Protocol):
    """The configuration of an encoder, a dataclass; `model_type` is its key in `ENCODERS`, all names those of BERT."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    model_type: ClassVar[str]

    @property
    def vocab_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def num_hidden_layers(self) -> int: ...
    @property
    def num_attention_heads(self) -> int: ...
    @property
    def head_size(self) -> int: ...
    @property
    def intermediate_size(self) -> int: ...
    @property
    def max_position_embeddings(self) -> int: ...
    @property
    def hidden_dropout_prob(self) -> float: ...
    @property
    def initializer_range(self) -> float: ...


class EncoderModel(CheckpointModel):
    """An encoder over packed tokens. All have the submodules `embeddings`, with a table `word_embeddings`, and `layers`.

    Input   input_ids (T,) int64, layout, token_type_ids (T,) int64 or None for all zero
    Output  hidden states (T, hidden_size)
    """

    config: EncoderConfig
    layers: nn.ModuleList

    def forward(self, input_ids: Tensor, layout: Layout, token_type_ids: Tensor | None = None) -> Tensor:
        raise NotImplementedError

    def check_lengths(self, layout: Layout) -> None:
        """Raises ValueError for a sequence that is longer than the model's positions."""
        if layout.max_seqlen > self.config.max_position_embeddings:
            raise ValueError(
                f"a sequence of {layout.max_seqlen} tokens is longer than the model's "
                f"{self.config.max_position_embeddings} positions; cut it into windows first"
            )

    @property
    def word_embeddings(self) -> nn.Embedding:
        table = self.get_submodule("embeddings.word_embeddings")
        assert isinstance(table, nn.Embedding)
        return table

    def pooled(self, hidden: Tensor, layout: Layout) -> Tensor:
        """The layer over each sequence's first token, (T, hidden_size) to (B, hidden_size); ValueError if none."""
        raise ValueError(f"{type(self).__name__} has no pooler")

    def multiplications(self, layout: Layout) -> int:
        """How many multiplications the linear layers and the attention of a forward pass over a packed batch have."""
        config = self.config
        attended = config.num_attention_heads * config.head_size
        linear = (
            4 * config.hidden_size * attended + 2 * config.hidden_size * config.intermediate_size
        ) * layout.num_tokens
        pairs = sum(group.count * group.length**2 for group in layout.groups)
        return config.num_hidden_layers * (linear + 2 * attended * pairs)


class MaskedLM(CheckpointModel):
    """An encoder that guesses hidden tokens, or what follows a token, for pretraining.

    Input   input_ids (T,) int64, layout, positions (M,) int64 in the packed batch of the hidden tokens, or of those whose
            successors are guessed, token_type_ids (T,) int64 or None
    Output  logits (M, vocab_size); and (B, 2) if it has `next_sentence`, where index 0 means that the second part of a pair
            follows the first, else None
    """

    encoder: EncoderModel
    next_sentence: nn.Linear | None

    def forward(
        self, input_ids: Tensor, layout: Layout, positions: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        raise NotImplementedError

    def multiplications(self, layout: Layout) -> int:
        """Those of the encoder in a forward pass; see `EncoderModel.multiplications`."""
        return self.encoder.multiplications(layout)


class ConversionModule(Protocol):
    """What the `conversion.py` of an architecture has that can start from the weights of another."""

    def config_like(self, values: Mapping[str, Any], position_buckets: int = 256) -> dict[str, Any]:
        """The `config.json` of an encoder as large as the other, with these buckets for relative positions."""

    def take_over(self, source: MaskedLM, target: MaskedLM) -> None:
        """Fill a fresh one. Raises ValueError if sizes or settings differ."""


class ModelModule(Protocol):
    """What the `model.py` of each architecture has."""

    def read_config(self, values: Mapping[str, Any]) -> EncoderConfig:
        """From a parsed `config.json`. Raises ValueError for a setting that is not supported."""

    def build(self, config: Any, pooler: bool = False) -> EncoderModel:
        """A fresh encoder; a pooler is asked only of an architecture that has one."""

    def build_masked_lm(self, config: Any, next_sentence: bool = False) -> MaskedLM:
        """A fresh encoder with the head that pretrains it; one for pairs of sentences is asked only where there is one."""
