"""Old checkpoints, as BioBERT was published: pickled weights and a bare vocabulary, made into what Textome loads.

A pickle can run code when it is read. PyTorch's reader for weights alone refuses all but tensors; nothing else of
Textome reads pickles at all.
"""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import models
from torch import Tensor

from textome.encoders import UNNAMED
from textome.encoders.build import build_encoder, read_encoder_config
from textome.encoders.checkpoint import load_tensors, modern_names, write_tensors
from textome.errors import InputError, ModelError
from textome.formats.reading.sources import whole_folder
from textome.runtime.model_files import read_json, refuse_adapter, weight_files
from textome.text.wordpiece import add_marks, bert_tokenizer, is_cased, read_vocabulary
from textome.training.bundles import TOKENIZER_FILES
from textome.training.run import written

_PICKLED, _SAFE = "pytorch_model.bin", "model.safetensors"


@dataclass(frozen=True, slots=True)
class Converted:
    """What a converted checkpoint holds.

    parameters   of all tensors
    heads        tensors that are not the encoder's, which are kept too
    lowercase    whether the tokenizer takes capitals for small letters; None where it came ready-made
    contradicts  whether `tokenizer_config.json` says the opposite of the vocabulary
    """

    parameters: int
    heads: tuple[str, ...]
    lowercase: bool | None
    contradicts: bool


def convert_checkpoint(source: Path, output: Path, lowercase: bool | None = None) -> Converted:
    """Write the checkpoint in `source` to the folder `output` with safe weights and a `tokenizer.json`.

    source      `config.json`, weights (`pytorch_model.bin`, also in several files with an index, or `model.safetensors`),
                and `tokenizer.json` or `vocab.txt`
    lowercase   for a bare vocabulary: whether capitals are small letters; None: where the vocabulary has no capitals

    Raises InputError where `output` exists, ModelError where a file is missing or is something else, a tensor of the
    encoder is missing or has another shape, or the architecture is none that Textome has.
    """
    if output.exists():
        raise InputError(f"{output} exists already; name another folder")
    config = {"model_type": UNNAMED} | read_json(source / "config.json")
    tensors = modern_names(_tensors(source))
    try:
        encoder = build_encoder(read_encoder_config(config))
    except ValueError as error:
        raise ModelError(f"{source / 'config.json'}: {error}") from error
    report = load_tensors(encoder, tensors, str(source))
    with written(output), whole_folder(output) as draft:
        lower, contradicts = _write_tokenizer(source, draft, config, lowercase)
        write_tensors(draft / _SAFE, tensors)
        (draft / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return Converted(sum(tensor.numel() for tensor in tensors.values()), report.unused, lower, contradicts)


def _tensors(source: Path) -> dict[str, Tensor]:
    index = source / f"{_PICKLED}.index.json"
    refuse_adapter(source)
    if safe := weight_files(source):
        checkpoint: Mapping[str, Any] = {name: tensor for path in safe for name, tensor in load_file(path).items()}
    elif (source / _PICKLED).is_file():
        checkpoint = _unpickled(source / _PICKLED)
    elif index.is_file():
        shards = sorted({str(name) for name in dict(read_json(index).get("weight_map", {})).values()})
        if outside := [name for name in shards if Path(name).name != name]:
            raise ModelError(f"{index}: {outside[0]!r} is not a file of this folder")
        checkpoint = {key: value for name in shards for key, value in _unpickled(source / name).items()}
    else:
        hint = ""
        if any(source.glob("*.ckpt*")):
            hint = "; files of TensorFlow are not read: convert them with transformers first"
        raise ModelError(f"{source}: there is neither {_PICKLED} nor {_SAFE}{hint}")
    tensors = {name: value for name, value in checkpoint.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ModelError(f"{source}: the weights hold no tensors by their names")
    if all(name.startswith("module.") for name in tensors):  # of several devices
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    # Tensors of an old file may share memory, which a safetensors file cannot; a buffer of positions is not a weight.
    # Weights in half precision become float32, as all that trains and exports them has them.
    return {
        name: tensor.detach().clone().float().contiguous()
        for name, tensor in tensors.items()
        if tensor.is_floating_point()
    }


def _unpickled(path: Path) -> Mapping[str, Any]:
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{path}: it does not hold weights alone, or is damaged ({reason}); nothing of it was run"
        ) from error
    if not isinstance(tensors, Mapping):
        raise ModelError(f"{path}: expected tensors by their names, found {type(tensors).__name__}")
    return tensors


def _write_tokenizer(
    source: Path, draft: Path, config: Mapping[str, Any], lowercase: bool | None
) -> tuple[bool | None, bool]:
    """Copy or make `tokenizer.json`; returns whether it lowercases, and whether the configuration says otherwise."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, draft / name)
    if (source / "tokenizer.json").is_file():
        return None, False
    if not (source / "vocab.txt").is_file():
        hint = "; have transformers save its fast tokenizer there" if (source / "spm.model").is_file() else ""
        raise ModelError(f"{source}: there is neither tokenizer.json nor vocab.txt{hint}")
    vocabulary = read_vocabulary(source / "vocab.txt")
    if len(vocabulary) > (size := int(config.get("vocab_size", 0))):
        raise ModelError(
            f"{source / 'vocab.txt'}: {len(vocabulary):,} tokens, but the model knows {size:,}; it belongs to another model"
        )
    file = source / "tokenizer_config.json"
    settings = read_json(file) if file.is_file() else {}
    configured = settings.get("do_lower_case")
    lower = lowercase if lowercase is not None else not is_cased(vocabulary)
    tokenizer = bert_tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100), lower)
    add_marks(tokenizer)
    tokenizer.save(str(draft / "tokenizer.json"))
    settings = settings | {"tokenizer_class": "BertTokenizer", "do_lower_case": lower}
    (draft / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    return lower, configured is not None and bool(configured) != lower
