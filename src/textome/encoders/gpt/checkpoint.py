"""The tensor names of GPT-2 in the Hugging Face layout, whose linear layers (`Conv1D`) have their matrices transposed."""

from __future__ import annotations

from collections.abc import Iterable

from textome.encoders.gpt import CONV1D, ENCODER
from textome.encoders.interface import Names, TensorNames

_NAMES = {
    "embeddings.word_embeddings": "wte",
    "embeddings.position_embeddings": "wpe",
    "norm": "ln_f",
}
_LAYER = {
    "attention.project": "attn.c_attn",
    "attention.output": "attn.c_proj",
    "attention_norm": "ln_1",
    "feed_forward.expand": "mlp.c_fc",
    "feed_forward.contract": "mlp.c_proj",
    "feed_forward_norm": "ln_2",
}


def tensor_names(parameters: Iterable[str]) -> TensorNames:
    """The names of an encoder that has these parameters."""
    names: Names = {}
    for key in parameters:
        module, kind = key.rsplit(".", 1)
        if module.startswith("layers."):
            _, number, inner = module.split(".", 2)
            names[key] = (f"h.{number}.{_LAYER[inner]}.{kind}",)
        else:
            names[key] = (f"{_NAMES[module]}.{kind}",)
    transposed = frozenset(key for key, (source,) in names.items() if source.endswith(CONV1D))
    return TensorNames(names, ENCODER.prefix, ENCODER.unused, transposed)
