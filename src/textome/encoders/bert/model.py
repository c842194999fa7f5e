"""BERT's encoder (Devlin et al. 2019), which BioBERT, PubMedBERT, SciBERT and MiniLM share, over packed tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from textome.encoders.bert.checkpoint import MASKED_LM, tensor_names
from textome.encoders.heads import MaskedLanguageModel
from textome.encoders.interface import EncoderModel, MaskedLM, TensorNames
from textome.encoders.layers.attention import SelfAttention
from textome.encoders.layers.dropout import Dropout
from textome.encoders.layers.feed_forward import ACTIVATIONS
from textome.encoders.layers.initialisation import initialise_weights
from textome.encoders.layers.packing import Layout
from textome.encoders.layers.post_norm import PostNormLayer
from textome.encoders.layers.sizes import EncoderSizes


@dataclass(frozen=True)
class BertConfig(EncoderSizes):
    """The sizes of a BERT encoder, under the names of the Hugging Face `config.json`.

    head_dim   the size of a head where they do not fill the hidden size, since some were pruned; `transformers` has no BERT
               like that, and refuses its shapes
    """

    model_type: ClassVar[str] = "bert"

    type_vocab_size: int = 2
    head_dim: int | None = None

    @property
    def own_head_size(self) -> int | None:
        return self.head_dim

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From a parsed `config.json`; keys that do not describe the encoder are left alone.

        Raises ValueError for relative positions, which are another architecture under the same model_type.
        """
        if (kind := values.get("position_embedding_type", "absolute")) != "absolute":
            raise ValueError(f"position_embedding_type {kind!r} is not supported; only absolute positions are")
        return super().from_dict(values)


class BertEmbeddings(nn.Module):
    """Sum of word, position and token-type embeddings, normalised (Devlin et al. 2019, section 3 and figure 2).

    Input   input_ids (T,), layout, token_type_ids (T,) or None for all zero
    Output  (T, hidden_size)
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, layout: Layout, token_type_ids: Tensor | None) -> Tensor:
        kind = (
            self.token_type_embeddings.weight[0]
            if token_type_ids is None
            else self.token_type_embeddings(token_type_ids)
        )
        total = self.word_embeddings(input_ids) + kind + self.position_embeddings(layout.position_ids)
        return self.dropout(self.norm(total))  # type: ignore[no-any-return]


class BertLayer(PostNormLayer):
    """Input hidden (T, hidden_size) and layout, output (T, hidden_size)."""

    def __init__(self, config: BertConfig) -> None:
        heads, dropout = config.num_attention_heads, config.attention_probs_dropout_prob
        super().__init__(config, SelfAttention(config.hidden_size, heads, config.head_size, dropout))


class Bert(EncoderModel):
    """The BERT encoder; with `pooler` it keeps the tanh layer over the first token."""

    config: BertConfig

    def __init__(self, config: BertConfig, pooler: bool = False) -> None:
        super().__init__()
        self.config = config
        self.embeddings = BertEmbeddings(config)
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size) if pooler else None
        self.apply(lambda module: initialise_weights(module, config.initializer_range))

    def forward(self, input_ids: Tensor, layout: Layout, token_type_ids: Tensor | None = None) -> Tensor:
        self.check_lengths(layout)
        hidden = self.embeddings(input_ids, layout, token_type_ids)
        for layer in self.layers:
            hidden = layer(hidden, layout)
        return hidden  # type: ignore[no-any-return]

    def pooled(self, hidden: Tensor, layout: Layout) -> Tensor:
        """tanh of a linear layer over each sequence's first token: (T, hidden_size) to (B, hidden_size)."""
        if self.pooler is None:
            raise ValueError("this checkpoint has no pooler")
        return torch.tanh(self.pooler(hidden[layout.cu_seqlens[:-1].long()]))

    def tensor_names(self) -> TensorNames:
        return tensor_names(name for name, _ in self.named_parameters())


read_config, build = BertConfig.from_dict, Bert


def build_masked_lm(config: BertConfig, next_sentence: bool = False) -> MaskedLM:
    """BERT with its head for hidden tokens, and for pairs of sentences (Devlin et al. 2019, section 3.1)."""
    encoder, activation = Bert(config, pooler=next_sentence), ACTIVATIONS[config.hidden_act]
    return MaskedLanguageModel(encoder, activation, config.layer_norm_eps, MASKED_LM, next_sentence=next_sentence)
