"""MPNet over packed tokens (Song et al. 2020): BERT's layers, whose scores of attention have a bias for each distance.

The bias is that of T5 (Raffel et al. 2020, section 2.1), one table for all layers. There are no token types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.encoders.distances import bucket_of_distance
from textome.encoders.heads import MaskedLanguageModel
from textome.encoders.interface import EncoderModel, MaskedLM, TensorNames
from textome.encoders.layers.attention import attend, biases_of
from textome.encoders.layers.dropout import Dropout
from textome.encoders.layers.initialisation import initialise_weights
from textome.encoders.layers.packing import Layout
from textome.encoders.layers.post_norm import PostNormLayer
from textome.encoders.layers.sizes import EncoderSizes
from textome.encoders.mpnet import BUCKETS, ENCODER
from textome.encoders.mpnet.checkpoint import MASKED_LM, tensor_names


@dataclass(frozen=True)
class MPNetConfig(EncoderSizes):
    """The sizes of an MPNet, under the names of the Hugging Face `config.json`."""

    model_type: ClassVar[str] = "mpnet"

    vocab_size: int = 30527
    relative_attention_num_buckets: int = BUCKETS

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.relative_attention_num_buckets != BUCKETS:
            raise ValueError(f"relative_attention_num_buckets must be {BUCKETS}, which `transformers` computes with")


class MPNetEmbeddings(nn.Module):
    """Sum of word and position embeddings, normalised: input_ids (T,) and layout to (T, hidden_size)."""

    def __init__(self, config: MPNetConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, layout: Layout) -> Tensor:
        positions = self.position_embeddings(layout.position_ids + ENCODER.unused_positions)
        return self.dropout(self.norm(self.word_embeddings(input_ids) + positions))  # type: ignore[no-any-return]


class BiasedAttention(nn.Module):
    """Multi-head self-attention whose scores have a bias for the distance of query and key.

    Input   hidden (T, hidden_size), layout, and the bias of each of its groups, see `attend`
    Output  (T, hidden_size)
    """

    def __init__(self, config: MPNetConfig) -> None:
        super().__init__()
        self.num_heads, self.head_size = config.num_attention_heads, config.head_size
        self.dropout = config.attention_probs_dropout_prob
        self.project = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor, layout: Layout, biases: Sequence[Tensor]) -> Tensor:
        projected = self.project(hidden).view(len(hidden), 3, self.num_heads, self.head_size)
        dropout = self.dropout if self.training else 0.0
        query, key, value = projected.unbind(1)
        attended = attend(query, key, value, layout, dropout, biases=biases)
        return self.output(attended.flatten(1))  # type: ignore[no-any-return]


class MPNet(EncoderModel):
    """The MPNet encoder."""

    config: MPNetConfig

    def __init__(self, config: MPNetConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = MPNetEmbeddings(config)
        self.layers = nn.ModuleList(
            PostNormLayer(config, BiasedAttention(config)) for _ in range(config.num_hidden_layers)
        )
        self.relative = nn.Embedding(BUCKETS, config.num_attention_heads)
        self.apply(lambda module: initialise_weights(module, config.initializer_range))

    def forward(self, input_ids: Tensor, layout: Layout, token_type_ids: Tensor | None = None) -> Tensor:
        if layout.max_seqlen > (max_length := ENCODER.max_length(vars(self.config))):
            raise ValueError(
                f"a sequence of {layout.max_seqlen} tokens is longer than the model's {max_length} positions; cut it into "
                f"windows first"
            )
        steps = torch.arange(layout.max_seqlen)
        buckets = torch.from_numpy(bucket_of_distance((steps - steps[:, None]).numpy())).to(input_ids.device)
        biases = biases_of(self.relative(buckets).permute(2, 0, 1), layout)
        hidden = self.embeddings(input_ids, layout)
        for layer in self.layers:
            hidden = layer(hidden, layout, biases)
        return hidden  # type: ignore[no-any-return]

    def tensor_names(self) -> TensorNames:
        return tensor_names(name for name, _ in self.named_parameters())


read_config, build = MPNetConfig.from_dict, MPNet


def build_masked_lm(config: MPNetConfig, next_sentence: bool = False) -> MaskedLM:
    """A fresh encoder with its head for hidden tokens."""
    return MaskedLanguageModel(MPNet(config), functional.gelu, config.layer_norm_eps, MASKED_LM)
