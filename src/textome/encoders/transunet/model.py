"""TransUNet (Chen et al. 2021, section 3), small: a convolutional stem, BERT's layers over patches, a light decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.encoders.bert.model import BertConfig
from textome.encoders.interface import CheckpointModel, TensorNames
from textome.encoders.layers.initialisation import initialise_weights
from textome.encoders.layers.packing import Layout
from textome.encoders.sequence.checkpoint import tensor_names
from textome.encoders.sequence.model import EncoderLayers
from textome.encoders.transunet import EPSILON, GROUPS, MODEL_TYPE, PATCH


@dataclass(frozen=True)
class TransUNetConfig(BertConfig):
    """The sizes of the Transformer, under BERT's names, and of what stands around it.

    channels   of the image
    tile       pixels along a side of what is read at once, a multiple of PATCH
    widths     channels at half and at a quarter of the tile's side
    stride     pixels of the image along a side of a pixel of the maps: 1, 2 or 4
    num_maps   numbers for each pixel of the maps
    """

    model_type: ClassVar[str] = MODEL_TYPE

    channels: int = 1
    tile: int = 128
    widths: Sequence[int] = (24, 48)
    stride: int = 1
    num_maps: int = 1

    @property
    def side(self) -> int:
        """Patches along a side."""
        return self.tile // PATCH


class Convolution(nn.Module):
    """A convolution of 3 x 3 pixels, a norm over groups of channels (Wu and He 2018) and ReLU: (B, from, H, W) to
    (B, to, H / stride, W / stride)."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(before, after, 3, stride, 1)
        self.norm = nn.GroupNorm(GROUPS, after, eps=EPSILON)

    def forward(self, values: Tensor) -> Tensor:
        return functional.relu(self.norm(self.convolve(values)))


class Doubling(nn.Module):
    """Twice as many pixels along each side, and beside them those of the stem: (B, from, H, W) and (B, to, 2 H, 2 W) to
    (B, to, 2 H, 2 W)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.spread = nn.ConvTranspose2d(before, after, 2, 2)
        self.join = Convolution(2 * after, after)

    def forward(self, values: Tensor, skipped: Tensor) -> Tensor:
        return self.join(torch.cat([self.spread(values), skipped], 1))  # type: ignore[no-any-return]


class Head(nn.Module):
    """The maps, of what the decoder gives: a convolution of 3 x 3, ReLU and one of 1 x 1. At full size the features are
    spread once more, and the image itself stands beside them."""

    def __init__(self, config: TransUNetConfig) -> None:
        super().__init__()
        half, quarter = config.widths
        self.spread = nn.ConvTranspose2d(half, GROUPS, 2, 2) if config.stride == 1 else None
        inner = {1: 2 * GROUPS, 2: half, 4: quarter}[config.stride]
        self.convolve = nn.Conv2d({1: GROUPS + config.channels, 2: half, 4: quarter}[config.stride], inner, 3, 1, 1)
        self.score = nn.Conv2d(inner, config.num_maps, 1)

    def forward(self, values: Tensor, image: Tensor) -> Tensor:
        if self.spread is not None:
            values = torch.cat([functional.relu(self.spread(values)), image], 1)
        return self.score(functional.relu(self.convolve(values)))  # type: ignore[no-any-return]


class TransUNet(CheckpointModel):
    """Maps of an image.

    Input   (B, channels, tile, tile) float32, standardised
    Output  (B, num_maps, tile / stride, tile / stride)

    biases   of the maps, before training
    """

    def __init__(self, config: TransUNetConfig, biases: Sequence[float] = ()) -> None:
        super().__init__()
        self.config = config
        half, quarter = config.widths
        self.halved = nn.Sequential(Convolution(config.channels, half, 2), Convolution(half, half))
        self.quartered = nn.Sequential(Convolution(half, quarter, 2), Convolution(quarter, quarter))
        self.patches = nn.Conv2d(quarter, config.hidden_size, 2, 2)
        self.positions = nn.Parameter(torch.zeros(config.side**2, config.hidden_size))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.encoder = EncoderLayers(config)
        self.to_quarter = Doubling(config.hidden_size, quarter)
        self.to_half = Doubling(quarter, half) if config.stride < 4 else None
        self.head = Head(config)
        self.apply(lambda module: initialise_weights(module, config.initializer_range))
        nn.init.normal_(self.positions, std=config.initializer_range)
        if biases:
            self.head.score.bias = nn.Parameter(torch.tensor(biases))

    def forward(self, images: Tensor) -> Tensor:
        half = self.halved(images)
        quarter = self.quartered(half)
        patches = self.patches(quarter)
        count, size, side = patches.shape[0], self.config.hidden_size, self.config.side
        tokens = patches.flatten(2).transpose(1, 2) + self.positions
        layout = Layout.of([side**2] * count, images.device)
        hidden = self.encoder(self.norm(tokens).reshape(-1, size), layout)
        grid = hidden.view(count, side, side, size).permute(0, 3, 1, 2)
        values = self.to_quarter(grid, quarter)
        if self.to_half is not None:
            values = self.to_half(values, half)
        return self.head(values, images)  # type: ignore[no-any-return]

    def tensor_names(self) -> TensorNames:
        return tensor_names(name for name, _ in self.named_parameters())
