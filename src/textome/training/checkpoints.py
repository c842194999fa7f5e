"""Checkpoints of a run: everything that is needed to go on as if it had never stopped, without pickle.

A checkpoint is a folder `step-N` with `model.safetensors`, `optimizer.safetensors` and `state.json`. It is written under
another name and renamed when it is complete, so one that exists under its own name is whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from textome.errors import InputError


def save_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Any], keep: int = 2
) -> Path:
    """Write the checkpoint of `state["step"]` under `folder`, then delete all but the newest `keep`."""
    final = folder / f"step-{state['step']:07d}"
    draft = folder / f".{final.name}.partial"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, draft / "model.safetensors")
    save_file(_optimizer_tensors(optimizer) | {"random": torch.get_rng_state()}, draft / "optimizer.safetensors")
    (draft / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
    for file in draft.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    shutil.rmtree(final, ignore_errors=True)
    draft.replace(final)
    for old in sorted(folder.glob("step-*"))[:-keep]:
        shutil.rmtree(old)
    return final


def load_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Put the newest checkpoint under `folder` into model, optimiser and random state; returns its `state`.

    Returns None where there is none. Raises InputError where it is damaged or belongs to another model.
    """
    found = sorted(folder.glob("step-*"))
    if not found:
        return None
    newest = found[-1]
    try:
        model.load_state_dict(load_file(newest / "model.safetensors"))
        tensors = load_file(newest / "optimizer.safetensors")
        state: dict[str, Any] = json.loads((newest / "state.json").read_text(encoding="utf-8"))
    except (OSError, SafetensorError, RuntimeError, json.JSONDecodeError) as error:
        raise InputError(
            f"{newest}: the checkpoint cannot be resumed ({error}); delete it to go on from the one before"
        ) from error
    torch.set_rng_state(tensors.pop("random"))
    optimizer.load_state_dict(
        {"state": _optimizer_state(tensors), "param_groups": optimizer.state_dict()["param_groups"]}
    )
    return state


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{number}.{name}": torch.as_tensor(value).clone()
        for number, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def _optimizer_state(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    return state
