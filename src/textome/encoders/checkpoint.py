"""Checkpoints in the Hugging Face layout: their tensor names and ours, both ways, with every name and shape checked.

The only differences of substance: their query, key and value matrices are one matrix here, and some architectures have
matrices transposed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from textome.encoders.interface import CheckpointModel
from textome.errors import ModelError

_OLD_NORM = {".gamma": ".weight", ".beta": ".bias"}


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a checkpoint held beyond what was needed, and which tensors of the model start afresh."""

    unused: tuple[str, ...]
    fresh: tuple[str, ...]


def to_hugging_face(model: CheckpointModel) -> dict[str, Tensor]:
    """The model's tensors under their Hugging Face names, ready for `model.safetensors`."""
    state, known = model.state_dict(), model.tensor_names()
    tensors: dict[str, Tensor] = {}
    for own_name, checkpoint_names in known.names.items():
        whole = state[own_name].t() if own_name in known.transposed else state[own_name]
        for name, part in zip(checkpoint_names, whole.chunk(len(checkpoint_names)), strict=True):
            tensors[name] = part.detach().cpu().contiguous().clone()
    return tensors


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file with the rights of a new file; the library itself lets nobody but the owner read it."""
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), path, metadata={"format": "pt"})
    path.chmod(mode)


def modern_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names of today, where early checkpoints said `gamma` and `beta` of a norm."""
    return {_modern(name): tensor for name, tensor in tensors.items()}


def load_tensors(
    model: CheckpointModel, tensors: Mapping[str, Tensor], source: str, fresh: Iterable[str] = ()
) -> LoadReport:
    """Fill `model` from Hugging Face tensors; the encoder's prefix, as `bert.`, may be there or not.

    fresh   beginnings of our tensor names that may be missing and then keep their initial values, for instance
            ("classifier.",) when a new head is put on a published encoder

    Raises ModelError naming `source` and every tensor that is missing, of another shape, or not known.
    """
    available, known = modern_names(tensors), model.tensor_names()
    state = model.state_dict()
    used: set[str] = set()
    missing: list[str] = []
    mismatches: list[str] = []
    kept: list[str] = []
    expected = {name: tuple(tensor.shape) for name, tensor in state.items()}
    expected |= {name: expected[name][::-1] for name in known.transposed}
    for own_name, checkpoint_names in known.names.items():
        sources = [_find(available, name, known.prefix) for name in checkpoint_names]
        if own_name.startswith(tuple(fresh)) and (None in sources or _shape(available, sources) != expected[own_name]):
            kept.append(own_name)
        elif None in sources:
            missing += [name for name, key in zip(checkpoint_names, sources, strict=True) if key is None]
        elif (shape := _shape(available, sources)) != expected[own_name]:
            mismatches.append(f"{' + '.join(checkpoint_names)} has shape {shape}, expected {expected[own_name]}")
        else:
            keys = [key for key in sources if key is not None]
            used.update(keys)
            whole = torch.cat([available[key] for key in keys]).to(state[own_name].dtype)
            state[own_name] = whole.t() if own_name in known.transposed else whole
    left = sorted(available.keys() - used)
    unknown = [name for name in left if not re.match(known.unused, name)]
    problems = (
        [f"missing: {', '.join(missing)}"] * bool(missing)
        + mismatches
        + ([f"not part of this architecture: {', '.join(unknown[:8])}"] * bool(unknown))
    )
    if problems:
        raise ModelError(f"{source}: the checkpoint does not fit the model ({'; '.join(problems)})")
    model.load_state_dict(state)
    return LoadReport(tuple(left), tuple(kept))


def _modern(name: str) -> str:
    """LayerNorm's `gamma` and `beta` of early checkpoints under their present names."""
    for old, new in _OLD_NORM.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _find(available: Mapping[str, Tensor], name: str, prefix: str) -> str | None:
    bare = name.removeprefix(prefix)
    return next((candidate for candidate in (name, bare, prefix + bare) if candidate in available), None)


def _shape(available: Mapping[str, Tensor], names: list[str | None]) -> tuple[int, ...]:
    shapes = [tuple(available[name].shape) for name in names if name is not None]
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])
