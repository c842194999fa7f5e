"""One encoder for whatever becomes a sequence of vectors: image patches, sound, signals, bases, atoms, words.

Each segment of a sequence (one modality's part) has an embedder; behind them all stand BERT's layers, over packed tokens,
and a head over each sequence or each token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.encoders.bert.model import Bert, BertConfig, BertLayer
from textome.encoders.checkpoint import load_tensors
from textome.encoders.interface import CheckpointModel, TensorNames
from textome.encoders.layers.dropout import Dropout
from textome.encoders.layers.feed_forward import ACTIVATIONS
from textome.encoders.layers.initialisation import initialise_weights
from textome.encoders.layers.packing import Layout
from textome.encoders.sequence import Shape
from textome.encoders.sequence.checkpoint import tensor_names

Pooling = Literal["first", "mean"]
# The layers are those of BERT, and so are their sizes.
SequenceConfig = BertConfig


@dataclass(frozen=True, slots=True)
class PackedSegment:
    """One segment of all the sequences of a batch that have it, end to end.

    values     (F, size) float32 of vectors, (F,) int64 of tokens
    layouts    of the frames of `values`, and again after each halving; the last one is that of the N tokens
    positions  (N, axes) int64
    rows       (N,) int64, where in the packed batch each token stands
    """

    values: Tensor
    layouts: tuple[Layout, ...]
    positions: Tensor
    rows: Tensor


@dataclass(frozen=True, slots=True)
class PackedSequences:
    """A batch: `layout` of the whole sequences, each a start token and then its segments."""

    layout: Layout
    segments: Mapping[str, PackedSegment]


class Halving(nn.Module):
    """A convolution over time, three frames wide with stride 2, and GELU: half as many frames, rounded up.

    Input   frames (F, size), their layout, and the layout of the halved sequences
    Output  (N, hidden_size), where frame i of a sequence sees the frames 2i - 1 to 2i + 1, zero outside the sequence

    On packed frames a strided convolution is a linear layer over three neighbours laid side by side. As in Gulati et al.
    2020, section 2, where two of them stand before the encoder.
    """

    def __init__(self, size: int, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * size, hidden_size)

    def forward(self, frames: Tensor, layout: Layout, halved: Layout) -> Tensor:
        starts = torch.repeat_interleave(layout.cu_seqlens[:-1].long(), halved.lengths, output_size=halved.num_tokens)
        lengths = torch.repeat_interleave(layout.lengths, halved.lengths, output_size=halved.num_tokens)
        middle = 2 * halved.position_ids
        inside = ((middle > 0)[:, None], (middle + 1 < lengths)[:, None])
        centre = starts + middle
        before = frames[(centre - 1).clamp(min=0)] * inside[0]
        after = frames[(centre + 1).clamp(max=len(frames) - 1)] * inside[1]
        return functional.gelu(self.linear(torch.cat([before, frames[centre], after], 1)))


class Embedder(nn.Module):
    """A segment's values and positions as vectors of the encoder (Dosovitskiy et al. 2021, equation 1; for tokens Devlin et
    al. 2019, figure 2): projection or table, plus a learnt vector of the position on each axis, normalised.

    Input   a PackedSegment
    Output  (N, hidden_size)
    """

    def __init__(self, shape: Shape, config: BertConfig) -> None:
        super().__init__()
        sizes = [shape.size, *[config.hidden_size] * shape.downsamplings]
        self.halvings = nn.ModuleList(Halving(size, config.hidden_size) for size in sizes[:-1])
        tokens = shape.kind == "tokens"
        self.table = nn.Embedding(shape.size, config.hidden_size) if tokens else None
        self.project = None if tokens else nn.Linear(sizes[-1], config.hidden_size)
        self.positions = nn.ModuleList(nn.Embedding(count, config.hidden_size) for count in shape.axes)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, segment: PackedSegment) -> Tensor:
        values = segment.values
        for halving, layout, halved in zip(self.halvings, segment.layouts, segment.layouts[1:], strict=False):
            values = halving(values, layout, halved)
        total = self.table(values) if self.table is not None else self.project(values)  # type: ignore[misc]
        for number, table in enumerate(self.positions):
            total = total + table(segment.positions[:, number])
        return self.dropout(self.norm(total))  # type: ignore[no-any-return]


class EncoderLayers(nn.Module):
    """The layers of a BERT encoder without its embeddings: hidden (T, hidden_size) and layout to (T, hidden_size)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))

    def forward(self, hidden: Tensor, layout: Layout) -> Tensor:
        for layer in self.layers:
            hidden = layer(hidden, layout)
        return hidden


class TokenScores(nn.Module):
    """BERT's head for hidden tokens (Devlin et al. 2019, section 3.1): hidden states (M, hidden_size) and the table of the
    tokens (vocabulary, hidden_size) to logits (M, vocabulary)."""

    def __init__(self, config: BertConfig, vocabulary: int) -> None:
        super().__init__()
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        return functional.linear(self.norm(self.activation(self.transform(hidden))), table, self.bias)


class SequenceModel(CheckpointModel):
    """Embedders of segments, an encoder over whole sequences, and a head.

    shapes    of the segments by name
    outputs   how many numbers the head gives for each sequence; 0: scores of the vocabulary at chosen tokens instead, for
              which there is one segment and it is of tokens
    pooling   what the head sees: the state of the start token, or the mean of all
    """

    def __init__(
        self, config: BertConfig, shapes: Mapping[str, Shape], outputs: int, pooling: Pooling = "first"
    ) -> None:
        super().__init__()
        self.config, self.pooling = config, pooling
        self.start = nn.Parameter(torch.zeros(config.hidden_size))
        self.embedders = nn.ModuleDict({name: Embedder(shape, config) for name, shape in shapes.items()})
        self.encoder = EncoderLayers(config)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, outputs) if outputs else None
        self.token_scores = None
        if not outputs:
            (shape,) = shapes.values()
            if shape.kind != "tokens":
                raise ValueError("only tokens can be hidden and guessed; this segment is of vectors")
            self.token_scores = TokenScores(config, shape.size)
        self.apply(lambda module: initialise_weights(module, config.initializer_range))
        nn.init.normal_(self.start)  # of the size of the other embeddings, which are normalised

    def hidden(self, batch: PackedSequences) -> Tensor:
        """The states of all tokens, (T, hidden_size)."""
        starts = batch.layout.cu_seqlens[:-1].long()
        rows = self.start.new_zeros(batch.layout.num_tokens, self.config.hidden_size)
        rows = rows.index_copy(0, starts, self.start.expand(len(starts), -1))
        for name, segment in batch.segments.items():
            rows = rows.index_copy(0, segment.rows, self.embedders[name](segment).to(rows.dtype))
        return self.encoder(rows, batch.layout)  # type: ignore[no-any-return]

    def forward(self, batch: PackedSequences, positions: Tensor | None = None) -> Tensor:
        """Logits (B, outputs), or of a model that guesses tokens (M, vocabulary) at `positions` (M,) of the batch."""
        hidden = self.hidden(batch)
        if self.token_scores is not None:
            (embedder,) = self.embedders.values()
            chosen = hidden if positions is None else hidden[positions]
            return self.token_scores(chosen, embedder.table.weight)  # type: ignore[no-any-return, union-attr]
        assert self.classifier is not None
        return self.classifier(self.dropout(self.pooled(hidden, batch.layout)))  # type: ignore[no-any-return]

    def pooled(self, hidden: Tensor, layout: Layout) -> Tensor:
        """What the head sees of each sequence, (T, hidden_size) to (B, hidden_size)."""
        if self.pooling == "first":
            return hidden[layout.cu_seqlens[:-1].long()]
        sequences = torch.repeat_interleave(
            torch.arange(len(layout.cu_seqlens) - 1, device=hidden.device),
            layout.lengths,
            output_size=layout.num_tokens,
        )
        total = hidden.new_zeros(len(layout.cu_seqlens) - 1, hidden.shape[1]).index_add(0, sequences, hidden)
        return total / layout.lengths[:, None]

    def tensor_names(self) -> TensorNames:
        return tensor_names(name for name, _ in self.named_parameters())

    @torch.no_grad()
    def start_from(self, text: Bert, start_id: int, segments: tuple[str, ...] = ()) -> None:
        """Take the layers of a text encoder; its [CLS], of id `start_id`, becomes the start token.

        segments   those that are text in the encoder's own vocabulary, and take its embeddings too. Every other embedder
                   takes its norm, so that what enters the layers is of the size they were trained on.
        """
        own = text.embeddings
        self.encoder.layers.load_state_dict(text.layers.state_dict())
        kind = own.token_type_embeddings.weight[0]
        self.start.copy_(own.norm(own.word_embeddings.weight[start_id] + own.position_embeddings.weight[0] + kind))
        for name, embedder in self.embedders.items():
            embedder.norm.load_state_dict(own.norm.state_dict())  # type: ignore[union-attr]
            if name in segments:
                embedder.table.load_state_dict(own.word_embeddings.state_dict())  # type: ignore[union-attr]
                positions = embedder.positions[0].weight  # type: ignore[union-attr, index]
                # The first position is the start token's, as in the text encoder.
                count = min(len(positions), len(own.position_embeddings.weight) - 1)
                positions[:count].copy_(own.position_embeddings.weight[1 : count + 1] + kind)


def load_text_encoder(
    model: SequenceModel, tensors: Mapping[str, Tensor], source: str, start_id: int, segments: tuple[str, ...]
) -> None:
    """`start_from` the tensors of a text encoder's checkpoint. Raises ModelError that names `source` if they do not fit."""
    text = Bert(model.config)
    load_tensors(text, tensors, source)
    model.start_from(text, start_id, segments)
