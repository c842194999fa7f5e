"""A T5 in PyTorch that writes, for validation while it is trained; finished bundles are run by runtime.text_to_text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from textome.encoders.layers.packing import Layout
from textome.encoders.t5.model import T5
from textome.runtime.generation.decoding import Decoder
from textome.tasks.examples import Integers
from textome.training.translation.translator import SourceDecoder


def opens(model: T5) -> Callable[[Sequence[Integers]], Decoder]:
    """What makes a decoder of a batch of sources, see runtime.generation.targets."""

    def open_batch(sources: Sequence[Integers]) -> Decoder:
        device = model.shared.weight.device
        layout = Layout.of([len(ids) for ids in sources], device)
        flat = torch.from_numpy(np.concatenate(sources).astype(np.int64)).to(device)
        return SourceDecoder(model, model.cache(model.encode(flat, layout), layout))

    return open_batch
