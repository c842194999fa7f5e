"""Checkpoints of a run: everything that is needed to go on as if it had never stopped, without pickle.

A checkpoint is a folder `step-N` with `model.safetensors`, `optimizer.safetensors`, `state.json`, and `sha256.json` with
the hashes of the others. It is written under another name and renamed when it is complete, so one that exists under its
own name was whole when it was written; whether the disk kept it so, the hashes tell.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from textome.encoders.checkpoint import write_tensors
from textome.errors import InputError
from textome.formats.reading.folders import hash_of
from textome.formats.reading.sources import to_disk, whole_folder
from textome.training.parallel.sharding import like, load_whole_state, sharded, whole, whole_state

_FILES = ("model.safetensors", "optimizer.safetensors", "state.json")


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
    average: Mapping[str, Tensor] | None = None,
    keep: int = 2,
    write: bool = True,
) -> Path:
    """Write the checkpoint of `state["step"]` under `folder`, then delete all but the newest `keep`.

    average   the running mean of the weights, where the run keeps one
    write     false in all processes of a run but the first: they only take part in bringing a sharded model together

    Raises InputError where the disk is full or gone; the checkpoints before stay as they are.
    """
    final = folder / f"step-{state['step']:07d}"
    try:
        if not write and not sharded(model):
            return final
        weights = {name: tensor.contiguous() for name, tensor in whole_state(model).items()}
        tensors = _optimizer_tensors(optimizer) | {"random": torch.get_rng_state()}
        tensors |= {f"average.{name}": whole(tensor) for name, tensor in (average or {}).items()}
        if not write:
            return final
        with whole_folder(final) as draft:
            write_tensors(draft / _FILES[0], weights)
            if torch.cuda.is_available():
                tensors["random.cuda"] = torch.cuda.get_rng_state()
            write_tensors(draft / _FILES[1], tensors)
            (draft / _FILES[2]).write_text(json.dumps(state, indent=1), encoding="utf-8")
            hashes = {name: hash_of(draft / name) for name in _FILES}
            (draft / "sha256.json").write_text(json.dumps(hashes, indent=1), encoding="utf-8")
            for file in draft.iterdir():
                to_disk(file)
        to_disk(folder)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{final}: the checkpoint cannot be written ({error}); make room, then go on from the one before with --resume"
        ) from error
    for old in sorted(folder.glob("step-*"))[:-keep]:
        shutil.rmtree(old)
    return final


def load_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any] | None:
    """Put the newest whole checkpoint under `folder` into model, optimiser and random state; returns its `state`.

    average   takes the running mean of the weights, where the checkpoint has one
    tell      is called with a sentence for each damaged checkpoint that is passed over

    Returns None where there is no checkpoint. Raises InputError where all are damaged, or belong to another model.
    """
    checkpoints = sorted(folder.glob("step-*"), reverse=True)
    for checkpoint in checkpoints:
        try:
            weights, tensors, state = _read(checkpoint)
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            tell(f"{checkpoint}: the checkpoint is damaged ({error}); going on from the one before")
            continue
        try:
            load_whole_state(model, weights)
        except RuntimeError as error:
            raise InputError(f"{checkpoint}: the checkpoint belongs to another model ({error})") from error
        torch.set_rng_state(tensors.pop("random"))
        cuda = tensors.pop("random.cuda", None)
        if cuda is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(cuda)
        means = {name: tensors.pop(name) for name in list(tensors) if name.startswith("average.")}
        if average is not None:
            own = model.state_dict()
            bare = {name.removeprefix("average."): tensor for name, tensor in means.items()}
            average.update({name: like(tensor, own.get(name, tensor)) for name, tensor in bare.items()})
        optimizer.load_state_dict(
            {"state": _optimizer_state(tensors, optimizer), "param_groups": optimizer.state_dict()["param_groups"]}
        )
        return state
    if checkpoints:
        raise InputError(f"{folder}: every checkpoint is damaged; delete the folder to start the run anew")
    return None


def _read(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    hashes = json.loads((checkpoint / "sha256.json").read_text(encoding="utf-8"))
    for name in _FILES:
        if hash_of(checkpoint / name) != hashes[name]:
            raise ValueError(f"{name} is not what was written")
    state: dict[str, Any] = json.loads((checkpoint / _FILES[2]).read_text(encoding="utf-8"))
    return load_file(checkpoint / _FILES[0]), load_file(checkpoint / _FILES[1]), state


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{number}.{name}": whole(torch.as_tensor(value)).clone()
        for number, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def _optimizer_state(tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = like(tensor, parameters[int(number)])
    return state
