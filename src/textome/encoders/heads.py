"""What stands on top of an encoder: one module for each kind of prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.encoders.bert.model import ACTIVATIONS, Bert, BertConfig, initialise_weights
from textome.encoders.layers.dropout import Dropout
from textome.encoders.layers.packing import Layout
from textome.encoders.table import EncoderConfig, build_encoder


class TokenClassifier(nn.Module):
    """An encoder and a linear layer that scores labels for each token (Devlin et al. 2019, section 5.3).

    Input   input_ids (T,) int64, layout, token_type_ids (T,) int64 or None
    Output  logits (T, num_labels)

    Several heads over one encoder are slices of the one linear layer, so a checkpoint stays in the plain layout.
    """

    def __init__(self, config: EncoderConfig, num_labels: int) -> None:
        super().__init__()
        self.encoder = build_encoder(config)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, num_labels)
        initialise_weights(self.classifier, config.initializer_range)

    def forward(self, input_ids: Tensor, layout: Layout, token_type_ids: Tensor | None = None) -> Tensor:
        hidden = self.encoder(input_ids, layout, token_type_ids)
        return self.classifier(self.dropout(hidden))  # type: ignore[no-any-return]


class Head(nn.Module):
    """Scores labels from the hidden states at chosen tokens.

    Input   hidden (T, hidden_size), places (M,) int64, or (M, states) where `states` are joined
    Output  logits (M, num_labels)

    With `states` 0 this is a linear layer over single tokens. Otherwise the states are joined and pass a tanh layer first:
    one state, [CLS], is BERT's pooler (Devlin et al. 2019, section 3); several are the markers at which two entities start
    (Soares et al. 2019, section 3.2).
    """

    def __init__(self, config: EncoderConfig, num_labels: int, states: int) -> None:
        super().__init__()
        self.states = states
        self.dense = nn.Linear(states * config.hidden_size, config.hidden_size) if states else None
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, num_labels)
        for layer in (self.dense, self.classifier):
            if layer is not None:
                initialise_weights(layer, config.initializer_range)

    def pooled(self, hidden: Tensor, places: Tensor) -> Tensor:
        """What the last layer scores, (M, hidden_size)."""
        chosen = hidden[places].flatten(1)
        return chosen if self.dense is None else torch.tanh(self.dense(chosen))

    def scored(self, pooled: Tensor) -> Tensor:
        """(M, num_labels) of what `pooled` gives."""
        return self.classifier(self.dropout(pooled))  # type: ignore[no-any-return]

    def forward(self, hidden: Tensor, places: Tensor) -> Tensor:
        return self.scored(self.pooled(hidden, places))


class TaskModel(nn.Module):
    """One encoder and a head for each task, by the task's name.

    sizes   for each task (num_labels, states), see `Head`
    """

    def __init__(self, config: EncoderConfig, sizes: Mapping[str, tuple[int, int]]) -> None:
        super().__init__()
        self.encoder = build_encoder(config)
        self.heads = nn.ModuleDict({name: Head(config, *size) for name, size in sizes.items()})

    def forward(
        self, name: str, input_ids: Tensor, layout: Layout, places: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """The scores of the head `name` at `places`; shapes as for `Bert` and `Head`."""
        return self.with_pooled(name, input_ids, layout, places, token_type_ids)[0]

    def with_pooled(
        self, name: str, input_ids: Tensor, layout: Layout, places: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The scores of the head `name`, and what they are taken from (`Head.pooled`)."""
        head: Any = self.heads[name]
        pooled = head.pooled(self.encoder(input_ids, layout, token_type_ids), places)
        return head.scored(pooled), pooled


class MaskedLanguageModel(nn.Module):
    """An encoder that guesses hidden tokens, and with `next_sentence` whether the second part of a pair follows the first.

    Input   input_ids (T,) int64, layout, places (M,) int64 of the hidden tokens in the packed batch,
            token_type_ids (T,) int64 or None
    Output  logits (M, vocab_size); with `next_sentence` also (B, 2), where index 0 means that it follows

    Devlin et al. 2019, section 3.1: a linear layer with activation and norm, then the product with the word embeddings and
    a bias for each word. Only hidden tokens pass through it: 85 % of the work of scoring a vocabulary is not done.
    """

    def __init__(self, config: BertConfig, next_sentence: bool = False) -> None:
        super().__init__()
        self.encoder = Bert(config, pooler=next_sentence)
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.next_sentence = nn.Linear(config.hidden_size, 2) if next_sentence else None
        self.activation = ACTIVATIONS[config.hidden_act]
        for layer in (self.transform, self.next_sentence):
            if layer is not None:
                initialise_weights(layer, config.initializer_range)

    def forward(
        self, input_ids: Tensor, layout: Layout, places: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        hidden = self.encoder(input_ids, layout, token_type_ids)
        transformed = self.norm(self.activation(self.transform(hidden[places])))
        logits = functional.linear(transformed, self.encoder.embeddings.word_embeddings.weight, self.bias)
        follows = None if self.next_sentence is None else self.next_sentence(self.encoder.pooled(hidden, layout))
        return logits, follows
