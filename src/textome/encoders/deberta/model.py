"""DeBERTa v2 and v3 (He et al. 2021; He et al. 2023), encoders with disentangled attention, over packed tokens.

A token is two vectors: what it says and where it stands relative to others. Equation numbers are those of He et al. 2021,
"DeBERTa: Decoding-enhanced BERT with disentangled attention".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.encoders.deberta.checkpoint import mask_decoder_names, tensor_names
from textome.encoders.deberta.fused_relative import Tiles, fused, runs_fused
from textome.encoders.deberta.relative import disentangled, distance_buckets
from textome.encoders.interface import EncoderModel, MaskedLM, TensorNames
from textome.encoders.layers.attention import attend
from textome.encoders.layers.dropout import Dropout
from textome.encoders.layers.feed_forward import ACTIVATIONS
from textome.encoders.layers.initialisation import initialise_weights
from textome.encoders.layers.packing import Layout
from textome.encoders.layers.post_norm import PostNormLayer
from textome.encoders.layers.sizes import EncoderSizes


@dataclass(frozen=True)
class DebertaConfig(EncoderSizes):
    """The sizes of a DeBERTa v2 or v3 encoder, under the names of the Hugging Face `config.json`."""

    model_type: ClassVar[str] = "deberta-v2"

    vocab_size: int = 128100
    type_vocab_size: int = 0
    layer_norm_eps: float = 1e-7
    relative_attention: bool = False
    max_relative_positions: int = -1
    position_buckets: int = -1
    pos_att_type: tuple[str, ...] = ()
    share_att_key: bool = False
    position_biased_input: bool = True
    norm_rel_ebd: str = "none"
    conv_kernel_size: int = 0
    conv_groups: int = 1
    conv_act: str = "tanh"
    embedding_size: int | None = None
    attention_head_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.conv_act not in _CONVOLUTION:
            raise ValueError(f"conv_act {self.conv_act!r} is not one of {', '.join(_CONVOLUTION)}")
        if unknown := set(self.pos_att_type) - {"c2p", "p2c"}:
            raise ValueError(f"pos_att_type {', '.join(sorted(unknown))} is not supported; only c2p and p2c are")
        if self.conv_kernel_size > 0 and self.conv_kernel_size % 2 == 0:
            raise ValueError(f"conv_kernel_size {self.conv_kernel_size} is even; it must be odd to keep the length")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        kinds = values.get("pos_att_type") or ()
        parts = tuple(kinds.lower().split("|") if isinstance(kinds, str) else kinds)
        return super().from_dict({**values, "pos_att_type": parts})

    @property
    def head_size(self) -> int:
        return self.attention_head_size or super().head_size

    @property
    def max_relative_position(self) -> int:
        return self.max_relative_positions if self.max_relative_positions > 0 else self.max_position_embeddings

    @property
    def buckets(self) -> int:
        return max(0, self.position_buckets)


_CONVOLUTION = ACTIVATIONS | {"tanh": torch.tanh}


class DebertaEmbeddings(nn.Module):
    """Word embeddings, with token types and absolute positions where the model has them, normalised.

    Input   input_ids (T,), layout, token_type_ids (T,) or None for all zero
    Output  (T, hidden_size)
    """

    def __init__(self, config: DebertaConfig) -> None:
        super().__init__()
        size = config.embedding_size or config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, size)
        absolute, types = config.position_biased_input, config.type_vocab_size
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, size) if absolute else None
        self.token_type_embeddings = nn.Embedding(types, size) if types else None
        self.project = nn.Linear(size, config.hidden_size, bias=False) if size != config.hidden_size else None
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, layout: Layout, token_type_ids: Tensor | None) -> Tensor:
        total = self.word_embeddings(input_ids)
        if self.position_embeddings is not None:
            total = total + self.position_embeddings(layout.position_ids)
        if self.token_type_embeddings is not None:
            kinds = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
            total = total + self.token_type_embeddings(kinds)
        if self.project is not None:
            total = self.project(total)
        return self.dropout(self.norm(total))  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Positions:
    """The relative embeddings that a batch needs, and which of them stands at each distance.

    embeddings  (R, hidden_size): the rows from the first to the last that any distance in the batch falls in
    rows        (2 max_seqlen - 1,) int64: for distances from max_seqlen - 1 down, rows of `embeddings`
    tiles       where attention runs in one fused kernel, which reads the rows of `embeddings` by their numbers
    """

    embeddings: Tensor
    rows: Tensor
    tiles: Tiles | None = None


class DisentangledAttention(nn.Module):
    """Disentangled self-attention (eq. 4): content to content, content to position and position to content.

    Input   hidden (T, hidden_size), layout, positions or None, and for the mask decoder queries (T, hidden_size)
    Output  (T, num_heads * head_size) through the output layer: (T, hidden_size)

    The distance from i to j has one row of the relative embeddings, so both position terms read the same row: the
    second term of eq. 4 with the query of i, the third with the key of j.
    """

    def __init__(self, config: DebertaConfig) -> None:
        super().__init__()
        inner = config.num_attention_heads * config.head_size
        self.num_heads, self.head_size = config.num_attention_heads, config.head_size
        self.kinds, self.dropout = config.pos_att_type, config.attention_probs_dropout_prob
        self.scale = 1 / math.sqrt(config.head_size * (1 + len(set(config.pos_att_type))))
        self.project = nn.Linear(config.hidden_size, 3 * inner)
        own = config.relative_attention and not config.share_att_key
        self.position_key = nn.Linear(config.hidden_size, inner) if own and "c2p" in self.kinds else None
        self.position_query = nn.Linear(config.hidden_size, inner) if own and "p2c" in self.kinds else None
        self.position_dropout = Dropout(config.hidden_dropout_prob)
        self.output = nn.Linear(inner, config.hidden_size)

    def forward(
        self, hidden: Tensor, layout: Layout, positions: Positions | None, queries: Tensor | None = None
    ) -> Tensor:
        query, key, value = self._project(hidden, queries)
        dropout = self.dropout if self.training else 0.0
        if positions is None:
            query, key, value = (part.view(-1, self.num_heads, self.head_size) for part in (query, key, value))
            return self.output(attend(query, key, value, layout, dropout).flatten(1))  # type: ignore[no-any-return]
        tables = self._tables(positions)
        if positions.tiles is not None:
            query, key, value = (self._heads(part) for part in (query * self.scale, key, value))
            by_query, by_key = tables
            scaled = by_query, None if by_key is None else by_key * self.scale
            attended = fused(query, key, value, scaled, positions.tiles, dropout)
            return self.output(attended.transpose(0, 1).flatten(1))  # type: ignore[no-any-return]
        sizes = [group.count * group.length for group in layout.groups]
        pieces = []
        for group, *rows in zip(
            layout.groups, *(torch.split(part, sizes) for part in (query, key, value)), strict=True
        ):
            # Heads first, (num_heads, count, length, head_size): the tables have a matrix for each head.
            shape = (group.count, group.length, self.num_heads, self.head_size)
            queried, keys, values = (row.reshape(shape).permute(2, 0, 1, 3) for row in rows)
            by_query, by_key = (_middle(table, group.length) for table in tables)
            attended = disentangled(queried, keys, values, by_query, by_key, self.scale, dropout)
            pieces.append(attended.permute(1, 2, 0, 3).reshape(-1, self.num_heads * self.head_size))
        return self.output(pieces[0] if len(pieces) == 1 else torch.cat(pieces))  # type: ignore[no-any-return]

    def _project(self, hidden: Tensor, queries: Tensor | None) -> tuple[Tensor, ...]:
        if queries is None:
            return self.project(hidden).chunk(3, dim=-1)  # type: ignore[no-any-return]
        inner = self.num_heads * self.head_size
        weight, bias = self.project.weight, self.project.bias
        query = functional.linear(queries, weight[:inner], bias[:inner])
        return query, *functional.linear(hidden, weight[inner:], bias[inner:]).chunk(2, dim=-1)

    def _tables(self, positions: Positions) -> tuple[Tensor | None, Tensor | None]:
        """Keys and queries of each distance, (num_heads, 2 max_seqlen, head_size).

        For the fused kernel those of each row, (num_heads, R, head_size) both.
        """
        inner = self.num_heads * self.head_size
        embeddings = self.position_dropout(positions.embeddings)
        weight, bias = self.project.weight, self.project.bias
        tables: list[Tensor | None] = []
        # Without matrices of their own, distances go through those of the content, which stand as queries, keys, values.
        for kind, own, first in (("c2p", self.position_key, inner), ("p2c", self.position_query, 0)):
            if kind not in self.kinds:
                tables.append(None)
                continue
            shared = slice(first, first + inner)
            rows = functional.linear(embeddings, weight[shared], bias[shared]) if own is None else own(embeddings)
            tables.append(self._heads(rows if positions.tiles else rows[_even(positions.rows)]))
        key, query = tables
        return key, query

    def _heads(self, rows: Tensor) -> Tensor:
        return rows.view(-1, self.num_heads, self.head_size).transpose(0, 1)


def _even(rows: Tensor) -> Tensor:
    """One row more, of no meaning: matrix products are faster where sizes are even."""
    return functional.pad(rows, (0, 1))


def _middle(table: Tensor | None, length: int) -> Tensor | None:
    """The rows of a table of distances that sequences of this length need."""
    if table is None:
        return None
    middle = table.shape[1] // 2
    return table[:, middle - length : middle + length]


class DebertaLayer(PostNormLayer):
    """A layer with disentangled attention.

    Input   hidden (T, hidden_size), layout, positions, queries (T, hidden_size) of the mask decoder or None
    Output  (T, hidden_size)
    """

    def __init__(self, config: DebertaConfig) -> None:
        super().__init__(config, DisentangledAttention(config))

    def forward(
        self, hidden: Tensor, layout: Layout, positions: Positions | None, queries: Tensor | None = None
    ) -> Tensor:
        attended = self.attention(hidden, layout, positions, queries)
        return self.completed(hidden if queries is None else queries, attended)


class Convolution(nn.Module):
    """The convolution of v2 over the embeddings, added to what the first layer gives (DeBERTa v2's n-gram induced input).

    Input   embedded (T, hidden_size), hidden (T, hidden_size) from the first layer, layout
    Output  (T, hidden_size)
    """

    def __init__(self, config: DebertaConfig) -> None:
        super().__init__()
        self.reach = (config.conv_kernel_size - 1) // 2
        size = config.hidden_size
        self.conv = nn.Conv1d(size, size, config.conv_kernel_size, padding=self.reach, groups=config.conv_groups)
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.activation = _CONVOLUTION[config.conv_act]

    def forward(self, embedded: Tensor, hidden: Tensor, layout: Layout) -> Tensor:
        # Zeros between neighbours keep sequences apart; then one convolution does for the whole batch.
        positions = torch.arange(len(embedded), device=embedded.device)
        starts = (layout.position_ids == 0).cumsum(0) - 1
        positions = positions + starts * self.reach
        spaced = embedded.new_zeros(len(embedded) + (len(layout.cu_seqlens) - 2) * self.reach, embedded.shape[1])
        convolved = self.conv(spaced.index_copy(0, positions, embedded).t().unsqueeze(0)).squeeze(0).t()[positions]
        return self.norm(hidden + self.activation(self.dropout(convolved)))  # type: ignore[no-any-return]


class Deberta(EncoderModel):
    """The DeBERTa v2/v3 encoder. Without absolute positions a sequence may be longer than `max_position_embeddings`."""

    config: DebertaConfig

    def __init__(self, config: DebertaConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = DebertaEmbeddings(config)
        self.layers = nn.ModuleList(DebertaLayer(config) for _ in range(config.num_hidden_layers))
        relative, size = config.relative_attention, config.hidden_size
        self.relative = nn.Embedding(2 * (config.buckets or config.max_relative_position), size) if relative else None
        normed = relative and "layer_norm" in config.norm_rel_ebd.lower()
        self.relative_norm = nn.LayerNorm(size, eps=config.layer_norm_eps) if normed else None
        self.convolution = Convolution(config) if config.conv_kernel_size > 0 else None
        self.apply(lambda module: initialise_weights(module, config.initializer_range))

    def forward(self, input_ids: Tensor, layout: Layout, token_type_ids: Tensor | None = None) -> Tensor:
        return self.run(input_ids, layout, token_type_ids, len(self.layers))

    def run(self, input_ids: Tensor, layout: Layout, token_type_ids: Tensor | None, layers: int) -> Tensor:
        """The hidden states after that many layers."""
        if self.embeddings.position_embeddings is not None:
            self.check_lengths(layout)
        embedded = hidden = self.embeddings(input_ids, layout, token_type_ids)
        positions = self.positions(layout)
        for number, layer in enumerate(self.layers[:layers]):
            hidden = layer(hidden, layout, positions)
            if number == 0 and self.convolution is not None:
                hidden = self.convolution(embedded, hidden, layout)
        return hidden  # type: ignore[no-any-return]

    def tensor_names(self) -> TensorNames:
        return tensor_names(name for name, _ in self.named_parameters())

    def positions(self, layout: Layout) -> Positions | None:
        """The relative embeddings for a batch, normalised where the model does so; None without relative attention."""
        if self.relative is None:
            return None
        config = self.config
        device = layout.position_ids.device
        rows = distance_buckets(layout.max_seqlen, config.buckets, config.max_relative_position, torch.device("cpu"))
        first, last = int(rows[-1]), int(rows[0])  # distances fall, and so do their rows
        embeddings = self.relative.weight[first : last + 1]
        if self.relative_norm is not None:
            embeddings = self.relative_norm(embeddings)
        tiles = None
        if config.pos_att_type and runs_fused(layout):
            tiles = Tiles.of(layout, first, last + 1 - first, config.buckets, config.max_relative_position)
        return Positions(embeddings, (rows - first).to(device), tiles)


class EnhancedMaskDecoder(MaskedLM):
    """Guesses hidden tokens with absolute positions brought in only at the end (He et al. 2021, section 3.2, figure 2).

    Runs the last layer twice, with the weights it has in the encoder: its keys and values are the states of the layer
    below, its queries first these states plus absolute positions and then its own output. Used for pretraining only.
    """

    encoder: Deberta

    def __init__(self, config: DebertaConfig) -> None:
        super().__init__()
        if config.num_hidden_layers < 2:
            raise ValueError("the enhanced mask decoder needs an encoder of at least 2 layers")
        size = config.embedding_size or config.hidden_size
        self.encoder = Deberta(config)
        self.next_sentence = None
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.transform = nn.Linear(config.hidden_size, size)
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.activation = ACTIVATIONS[config.hidden_act]
        for layer in (self.position_embeddings, self.transform):
            initialise_weights(layer, config.initializer_range)

    def forward(
        self, input_ids: Tensor, layout: Layout, positions: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, None]:
        if layout.max_seqlen > self.position_embeddings.num_embeddings:
            raise ValueError(
                f"a sequence of {layout.max_seqlen} tokens is longer than the mask decoder's "
                f"{self.position_embeddings.num_embeddings} positions; cut it into windows first"
            )
        hidden = self.encoder.run(input_ids, layout, token_type_ids, len(self.encoder.layers) - 1)
        relative = self.encoder.positions(layout)
        queries = hidden + self.position_embeddings(layout.position_ids)
        for _ in range(2):
            queries = self.encoder.layers[-1](hidden, layout, relative, queries)
        transformed = self.norm(self.activation(self.transform(queries[positions])))
        return functional.linear(transformed, self.encoder.embeddings.word_embeddings.weight, self.bias), None

    def tensor_names(self) -> TensorNames:
        return mask_decoder_names(self.encoder.tensor_names())

    def multiplications(self, layout: Layout) -> int:
        """Those of the encoder, whose last layer runs twice."""
        layers = self.encoder.config.num_hidden_layers
        return self.encoder.multiplications(layout) // layers * (layers + 1)


read_config, build = DebertaConfig.from_dict, Deberta


def build_masked_lm(config: DebertaConfig, next_sentence: bool = False) -> MaskedLM:
    """A fresh encoder with the mask decoder."""
    return EnhancedMaskDecoder(config)
