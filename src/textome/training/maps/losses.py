"""The losses of maps (B, num_maps, H, W) with what they should be, (B, planes, H, W)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# By which pixels near a centre count less, and easy pixels (Zhou et al. 2019, equation 1: beta and alpha).
_NEAR, _EASY = 4, 2
# Of sizes and offsets beside centres (Zhou et al. 2019, equation 4).
_SIZE_WEIGHT, _OFFSET_WEIGHT = 0.1, 1.0


def areas(scores: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each pixel's class, and one minus the soft Dice coefficient of each class but the first, over the
    batch (Milletari et al. 2016, section 3).

    targets   (B, 1, H, W) numbers of classes
    """
    classes = targets[:, 0].long()
    shares = scores.softmax(1)
    truth = functional.one_hot(classes, scores.shape[1]).permute(0, 3, 1, 2)[:, 1:].to(shares.dtype)
    both = (shares[:, 1:] * truth).sum((0, 2, 3))
    sizes = (shares[:, 1:] ** 2).sum((0, 2, 3)) + truth.sum((0, 2, 3))
    dice = (2 * both + 1) / (sizes + 1)
    return functional.cross_entropy(scores, classes) + (1 - dice).mean()


def areas_and_depths(scores: Tensor, targets: Tensor) -> Tensor:
    """`areas` of all maps but the last, and the binary cross-entropy of the last with depths in [0, 1].

    targets   (B, 2, H, W): numbers of classes, and depths
    """
    depths = functional.binary_cross_entropy_with_logits(scores[:, -1], targets[:, 1])
    return areas(scores[:, :-1], targets[:, :1]) + depths


def centres(scores: Tensor, targets: Tensor) -> Tensor:
    """The loss of centres, sizes and offsets (Zhou et al. 2019, equations 1 to 4), divided by the number of things.

    scores    (B, labels + 4, H, W): of centres, then width, height, and the offset across and down
    targets   (B, labels + 5, H, W): the same, centres being 1 and falling off around; last 1 where a thing's centre is
    """
    count = targets[:, -1].sum().clamp(min=1)
    labels = scores.shape[1] - 4
    heat, logits = targets[:, :labels], scores[:, :labels]
    shares = torch.sigmoid(logits)
    centre = heat >= 1
    right = functional.logsigmoid(logits) * (1 - shares) ** _EASY
    other = functional.logsigmoid(-logits) * shares**_EASY * (1 - heat) ** _NEAR
    focal = -torch.where(centre, right, other).sum() / count
    errors = (scores[:, labels:] - targets[:, labels:-1]).abs() * targets[:, -1:]
    sizes, offsets = errors[:, :2].sum() / count, errors[:, 2:].sum() / count
    return focal + _SIZE_WEIGHT * sizes + _OFFSET_WEIGHT * offsets
