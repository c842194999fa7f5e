"""The files of a model's folder: its JSON, its weights in one or several files, and adapters, which are not models."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError, ModelError
from textome.formats.reading.json_values import parse_json

WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_ADAPTER = "adapter_config.json"
# The number types of weights, as safetensors calls them; bf16 is the upper half of a float32, which numpy has not.
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a bundle. Raises ModelError where there is none."""
    try:
        values = parse_json(path.read_bytes())
    except (OSError, InputError) as error:
        raise ModelError(f"{path} cannot be read ({error})") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: expected a JSON object")
    return values


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files of a folder: one, or the shards that its index names; none where there are none.

    Raises ModelError for an index that is damaged, or names a file that is not in the folder.
    """
    if (directory / WEIGHTS).is_file():
        return [directory / WEIGHTS]
    index = directory / _INDEX
    if not index.is_file():
        return []
    values = read_json(index)
    names = values.get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise ModelError(f"{index}: expected an object weight_map of files by the names of their tensors")
    shards = sorted(set(names.values()))
    if missing := [name for name in shards if Path(name).name != name or not (directory / name).is_file()]:
        raise ModelError(f"{index}: there is no file {missing[0]!r} in this folder; fetch all shards of the model")
    return [directory / name for name in shards]


def refuse_adapter(directory: Path) -> None:
    """Raises ModelError where a folder holds an adapter, as those of PEFT, which is not a model by itself."""
    if not (directory / _ADAPTER).is_file() or (directory / "textome.json").is_file():
        return
    values = read_json(directory / _ADAPTER)
    kind, base = str(values.get("peft_type", "unknown kind")), str(values.get("base_model_name_or_path", "its base"))
    raise ModelError(
        f"{directory}: this is an adapter ({kind}) for {base}, and no model by itself; load both with peft, merge them "
        "(`merge_and_unload`), save the result with `save_pretrained`, and give that folder"
    )


def read_weights(files: Iterable[Path]) -> dict[str, NDArray[np.float32]]:
    """The tensors of safetensors files in float32, also where they are stored as fp16, bf16 or fp64.

    Tensors of integers, as buffers of positions, are not weights and are left out. Raises ModelError for a file that is
    damaged, and for number types of 8 bits and less, which need scales to be read.
    """
    from safetensors import SafetensorError, deserialize

    tensors: dict[str, NDArray[np.float32]] = {}
    for path in files:
        try:
            stored = deserialize(path.read_bytes())
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path}: the weights cannot be read ({error})") from error
        for name, about in stored:
            kind, shape = str(about["dtype"]), tuple(about["shape"])
            if kind[0] in "IUB" and kind != "BF16":
                continue
            if kind not in _FLOATS:
                raise ModelError(
                    f"{path}: the tensor {name} has numbers of the type {kind}; save the weights in float32"
                )
            values = np.frombuffer(about["data"], _FLOATS[kind]).reshape(shape)
            wide = (values.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else values.astype(np.float32)
            tensors[name] = wide
    return tensors
