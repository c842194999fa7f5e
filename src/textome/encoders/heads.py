"""What stands on top of an encoder: one module for each kind of prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from textome.encoders import num_joined
from textome.encoders.build import architecture, build_encoder
from textome.encoders.interface import CheckpointModel, EncoderConfig, EncoderModel, MaskedLM, TensorNames, with_prefix
from textome.encoders.layers.dropout import Dropout
from textome.encoders.layers.feed_forward import ACTIVATIONS
from textome.encoders.layers.initialisation import initialise_weights
from textome.encoders.layers.packing import Layout
from textome.errors import InputError

_ACTIVATIONS = ACTIVATIONS | {"tanh": torch.tanh}


class Head(nn.Module):
    """Scores labels from the hidden states at chosen tokens.

    Input   hidden (T, hidden_size), positions (M,) int64, or (M, num_pooled) of those that are joined, layout
    Output  logits (M, num_labels)

    With `num_pooled` 0 this is a linear layer over single tokens. Otherwise hidden states are joined and pass another layer
    first, as `HeadLayer` describes it: over that of [CLS] it is BERT's pooler (Devlin et al. 2019, section 3); several are
    those of the markers at which two entities start (Soares et al. 2019, section 3.2).

    The last positions may be `groups` of these sizes, as the mentions of a concept: the elementwise maximum of each group
    is joined instead, and behind them the product of the first two maxima.

    With `recurrent` units an LSTM reads the hidden states of each sequence in both directions first, and the linear layer
    scores its outputs (Huang et al. 2015, section 2.3); only over single tokens.
    """

    def __init__(
        self, config: EncoderConfig, num_labels: int, num_pooled: int, groups: Sequence[int] = (), recurrent: int = 0
    ) -> None:
        super().__init__()
        self.num_pooled, self.groups = num_pooled, tuple(groups)
        if architecture(config).causal:
            raise InputError(
                f"{config.model_type} sees only the tokens before each, so it has no heads over texts; pretrain it, and "
                "write with `textome generate`"
            )
        self.layer = layer = architecture(config).head_layer(vars(config))
        there, size = num_pooled > 0 or layer.over_tokens, config.hidden_size
        self.lstm = nn.LSTM(size, recurrent, bidirectional=True) if recurrent else None
        if recurrent and there:
            raise InputError(
                f"heads of {config.model_type} have another layer where an LSTM would be: choose one without"
            )
        joined = num_joined(max(1, num_pooled), self.groups)
        self.dense = nn.Linear(joined * size, size, bias=layer.bias) if there else None
        self.norm = nn.LayerNorm(size, eps=layer.epsilon, bias=layer.norm_bias) if there and layer.norm else None
        self.activation = _ACTIVATIONS[layer.activation]
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(2 * recurrent or size, num_labels)
        for linear in (self.dense, self.classifier):
            if linear is not None:
                initialise_weights(linear, config.initializer_range)

    def pooled(self, hidden: Tensor, positions: Tensor, layout: Layout) -> Tensor:
        """What the last layer scores, (M, hidden_size), or (M, 2 recurrent)."""
        chosen = self._both_ways(hidden, layout)[positions]
        if self.groups:
            alone = self.num_pooled - sum(self.groups)
            single, *several = torch.split(chosen, [alone, *self.groups], dim=1)
            maxima = [group.amax(1) for group in several]
            chosen = torch.cat([single.flatten(1), *maxima, maxima[0] * maxima[1]], dim=1)
        return self.transformed(chosen.flatten(1))

    def _both_ways(self, hidden: Tensor, layout: Layout) -> Tensor:
        """The LSTM's outputs for packed hidden states, (T, 2 recurrent); without one the states."""
        if self.lstm is None:
            return hidden
        rows = pack_sequence(list(torch.split(hidden, layout.lengths.tolist())), enforce_sorted=False)
        return torch.cat(unpack_sequence(self.lstm(rows)[0]))

    def transformed(self, chosen: Tensor) -> Tensor:
        """The layer before the last, (M, num_joined hidden_size) to (M, hidden_size)."""
        if self.dense is None:
            return chosen
        activated = self.activation(self.dense(chosen))
        return activated if self.norm is None else self.norm(activated)

    def scored(self, pooled: Tensor) -> Tensor:
        """(M, num_labels) of what `pooled` gives."""
        return self.classifier(self.dropout(pooled))  # type: ignore[no-any-return]

    def forward(self, hidden: Tensor, positions: Tensor, layout: Layout) -> Tensor:
        return self.scored(self.pooled(hidden, positions, layout))

    def names(self, task: str, num_heads: int) -> dict[str, tuple[str, ...]]:
        """The names of its tensors in the checkpoint of a model with `num_heads` heads, this one for `task`."""
        layer = self.layer.of(task, num_heads, self.num_pooled)
        lstm = layer.classifier.removesuffix("classifier") + "lstm"
        modules = {"dense": layer.dense, "norm": layer.norm, "classifier": layer.classifier, "lstm": lstm}
        return {name: (f"{modules[name.split('.')[0]]}.{name.split('.')[1]}",) for name, _ in self.named_parameters()}


class TokenClassifier(CheckpointModel):
    """An encoder and a head that scores labels for each token (Devlin et al. 2019, section 5.3).

    Input   input_ids (T,) int64, layout, token_type_ids (T,) int64 or None
    Output  logits (T, num_labels)

    Several heads over one encoder are slices of the one linear layer, so a checkpoint stays in the plain layout.
    """

    def __init__(self, config: EncoderConfig, num_labels: int) -> None:
        super().__init__()
        self.encoder = build_encoder(config)
        self.head = Head(config, num_labels, 0)

    def forward(self, input_ids: Tensor, layout: Layout, token_type_ids: Tensor | None = None) -> Tensor:
        hidden = self.encoder(input_ids, layout, token_type_ids)
        return self.head.scored(self.head.transformed(hidden))

    def tensor_names(self) -> TensorNames:
        encoder = self.encoder.tensor_names()
        head = {f"head.{key}": sources for key, sources in self.head.names("", 1).items()}
        return replace(encoder, names=with_prefix(encoder) | head)


class TaskModel(CheckpointModel):
    """One encoder and a head for each task, by the task's name.

    sizes   for each task (num_labels, num_pooled), and as far as there are any groups and recurrent units, see `Head`
    """

    def __init__(self, config: EncoderConfig, sizes: Mapping[str, tuple[Any, ...]]) -> None:
        super().__init__()
        self.encoder = build_encoder(config)
        self.heads = nn.ModuleDict({name: Head(config, *size) for name, size in sizes.items()})

    def forward(
        self, name: str, input_ids: Tensor, layout: Layout, positions: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """The scores of the head `name` at `positions`; shapes as for `EncoderModel` and `Head`."""
        return self.with_pooled(name, input_ids, layout, positions, token_type_ids)[0]

    def with_pooled(
        self, name: str, input_ids: Tensor, layout: Layout, positions: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The scores of the head `name`, and what they are taken from (`Head.pooled`)."""
        head: Any = self.heads[name]
        pooled = head.pooled(self.encoder(input_ids, layout, token_type_ids), positions, layout)
        return head.scored(pooled), pooled

    def tensor_names(self) -> TensorNames:
        encoder = self.encoder.tensor_names()
        names = with_prefix(encoder)
        for task, head in self.heads.items():
            assert isinstance(head, Head)
            names |= {f"heads.{task}.{key}": sources for key, sources in head.names(task, len(self.heads)).items()}
        return replace(encoder, names=names)


class MaskedLanguageModel(MaskedLM):
    """An encoder that guesses hidden tokens, and with `next_sentence` whether the second part of a pair follows the first.

    activation, bias, norm_bias, epsilon   of the layer in front of the product with the word embeddings
    checkpoint_names                       of the head's tensors by their own

    Devlin et al. 2019, section 3.1: a linear layer with activation and norm, then the product with the word embeddings and
    a bias for each word. Only hidden tokens pass through it: 85 % of the work of scoring a vocabulary is not done.
    """

    def __init__(
        self,
        encoder: EncoderModel,
        activation: Callable[[Tensor], Tensor],
        epsilon: float,
        checkpoint_names: Mapping[str, str],
        *,
        bias: bool = True,
        norm_bias: bool = True,
        next_sentence: bool = False,
    ) -> None:
        super().__init__()
        size = encoder.config.hidden_size
        self.encoder = encoder
        self.transform = nn.Linear(size, size, bias=bias)
        self.norm = nn.LayerNorm(size, eps=epsilon, bias=norm_bias)
        self.bias = nn.Parameter(torch.zeros(encoder.config.vocab_size))
        self.next_sentence = nn.Linear(size, 2) if next_sentence else None
        self.activation, self.checkpoint_names = activation, checkpoint_names
        for layer in (self.transform, self.next_sentence):
            if layer is not None:
                initialise_weights(layer, encoder.config.initializer_range)

    def forward(
        self, input_ids: Tensor, layout: Layout, positions: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        hidden = self.encoder(input_ids, layout, token_type_ids)
        transformed = self.norm(self.activation(self.transform(hidden[positions])))
        logits = functional.linear(transformed, self.encoder.word_embeddings.weight, self.bias)
        follows = None if self.next_sentence is None else self.next_sentence(self.encoder.pooled(hidden, layout))
        return logits, follows

    def tensor_names(self) -> TensorNames:
        encoder = self.encoder.tensor_names()
        own = (name for name, _ in self.named_parameters() if not name.startswith("encoder."))
        return replace(encoder, names=with_prefix(encoder) | {name: (self.checkpoint_names[name],) for name in own})
