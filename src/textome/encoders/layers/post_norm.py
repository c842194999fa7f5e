"""The encoder layer of BERT, which DeBERTa and MPNet share but for its attention."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from textome.encoders.layers.dropout import Dropout
from textome.encoders.layers.feed_forward import FeedForward
from textome.encoders.layers.sizes import EncoderSizes


class PostNormLayer(nn.Module):
    """Self-attention and feed-forward, each with dropout, residual and post-norm (Vaswani et al. 2017, 3.1).

    Input   hidden (T, hidden_size), and what its attention reads besides: a layout first
    Output  (T, hidden_size)
    """

    def __init__(self, config: EncoderSizes, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: Tensor, *context: Any) -> Tensor:
        return self.completed(hidden, self.attention(hidden, *context))

    def completed(self, hidden: Tensor, attended: Tensor) -> Tensor:
        """The layer's output from its input and what its attention gives."""
        hidden = self.attention_norm(hidden + self.dropout(attended))
        return self.feed_forward_norm(hidden + self.dropout(self.feed_forward(hidden)))  # type: ignore[no-any-return]
