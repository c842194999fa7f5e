"""What stands on top of an encoder: one module for each kind of prediction."""

from __future__ import annotations

from torch import Tensor, nn

from textome.models.bert import Bert, BertConfig, initialise_weights
from textome.models.dropout import Dropout
from textome.models.packing import Layout


class TokenClassifier(nn.Module):
    """An encoder and a linear layer that scores labels for each token (Devlin et al. 2019, section 5.3).

    Input   input_ids (T,) int64, layout, token_type_ids (T,) int64 or None
    Output  logits (T, num_labels)

    Several heads over one encoder are slices of the one linear layer, so a checkpoint stays in the plain layout.
    """

    def __init__(self, config: BertConfig, num_labels: int) -> None:
        super().__init__()
        self.encoder = Bert(config)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, num_labels)
        initialise_weights(self.classifier, config.initializer_range)

    def forward(self, input_ids: Tensor, layout: Layout, token_type_ids: Tensor | None = None) -> Tensor:
        hidden = self.encoder(input_ids, layout, token_type_ids)
        return self.classifier(self.dropout(hidden))  # type: ignore[no-any-return]
