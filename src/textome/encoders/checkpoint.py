"""Checkpoints in the Hugging Face layout: their tensor names and ours, both ways, with every name and shape checked.

The only difference of substance: their query, key and value matrices are one matrix here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from textome.encoders.bert.model import Bert
from textome.encoders.deberta.checkpoint import deberta_names, mask_decoder_names
from textome.encoders.deberta.model import Deberta, EnhancedMaskDecoder
from textome.encoders.heads import Head, MaskedLanguageModel, TaskModel, TokenClassifier
from textome.encoders.seq2seq.checkpoint import transformer_names
from textome.encoders.seq2seq.model import Transformer
from textome.encoders.sequence.model import SequenceModel
from textome.errors import ModelError

# Ours -> theirs. A fused tensor names its parts in the order in which they are stacked.
_EMBEDDINGS = {
    "embeddings.word_embeddings.weight": "embeddings.word_embeddings.weight",
    "embeddings.position_embeddings.weight": "embeddings.position_embeddings.weight",
    "embeddings.token_type_embeddings.weight": "embeddings.token_type_embeddings.weight",
    "embeddings.norm.weight": "embeddings.LayerNorm.weight",
    "embeddings.norm.bias": "embeddings.LayerNorm.bias",
}
_LAYER = {
    "attention.project": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.output": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "feed_forward.expand": ("intermediate.dense",),
    "feed_forward.contract": ("output.dense",),
    "feed_forward_norm": ("output.LayerNorm",),
}
_HEADS: dict[type[nn.Module], dict[str, str]] = {
    TokenClassifier: {f"classifier.{kind}": f"classifier.{kind}" for kind in ("weight", "bias")},
    # The product with the word embeddings has no matrix of its own: theirs is tied too.
    MaskedLanguageModel: {
        "transform.weight": "cls.predictions.transform.dense.weight",
        "transform.bias": "cls.predictions.transform.dense.bias",
        "norm.weight": "cls.predictions.transform.LayerNorm.weight",
        "norm.bias": "cls.predictions.transform.LayerNorm.bias",
        "bias": "cls.predictions.bias",
        "next_sentence.weight": "cls.seq_relationship.weight",
        "next_sentence.bias": "cls.seq_relationship.bias",
    },
}
# Tensors of heads that a published encoder may carry and that another task does not need, and buffers of old versions.
# DeBERTa v3 carries the positions of its mask decoder among the embeddings; Marian's positions are computed, and its tables
# for both sides are copies of the shared one.
_UNUSED = re.compile(
    r"^((bert|deberta)\.)?(cls\.|lm_predictions\.|mask_predictions\.|embeddings\.position_ids$|pooler\.)"
    r"|^(deberta\.)?embeddings\.position_embeddings\.weight$"
    r"|^model\.(encoder|decoder)\.embed_(positions|tokens)\.weight$|^lm_head\.weight$"
    r"|^(classifier|qa_outputs)\."
)
_OLD_NORM = {".gamma": ".weight", ".beta": ".bias"}


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a checkpoint held beyond what was needed, and which tensors of the model start afresh."""

    unused: tuple[str, ...]
    fresh: tuple[str, ...]


def names_of(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """For each tensor of `model`, the Hugging Face name or names (in stacking order) that hold it."""
    if isinstance(model, TaskModel):
        return {
            f"encoder.{ours}": tuple(f"{_prefix(model.encoder)}.{name}" for name in theirs)
            for ours, theirs in names_of(model.encoder).items()
        } | _task_heads(model)
    if isinstance(model, TokenClassifier | MaskedLanguageModel):
        inner = {
            f"encoder.{ours}": tuple(f"{_prefix(model.encoder)}.{name}" for name in theirs)
            for ours, theirs in names_of(model.encoder).items()
        }
        head = _HEADS[type(model)]
        return inner | {ours: (theirs,) for ours, theirs in head.items() if ours in dict(model.named_parameters())}
    if isinstance(model, SequenceModel):
        layers = {f"encoder.{ours}": theirs for ours, theirs in _layers(model.config.num_hidden_layers).items()}
        layers = {ours: tuple(f"bert.{name}" for name in theirs) for ours, theirs in layers.items()}
        return layers | {name: (name,) for name, _ in model.named_parameters() if name not in layers}
    if isinstance(model, Deberta):
        return deberta_names(model)
    if isinstance(model, EnhancedMaskDecoder):
        return mask_decoder_names(model)
    if isinstance(model, Transformer):
        if isinstance(model.encoder, nn.ModuleList):
            return transformer_names(model)
        # As `transformers` names the encoder of a pair of models.
        own = {
            f"encoder.{ours}": tuple(f"encoder.{name}" for name in theirs)
            for ours, theirs in names_of(model.encoder).items()
        }
        return transformer_names(model) | own
    if not isinstance(model, Bert):
        raise TypeError(f"no tensor names are known for {type(model).__name__}")
    names: dict[str, tuple[str, ...]] = {ours: (theirs,) for ours, theirs in _EMBEDDINGS.items()}
    names |= _layers(model.config.num_hidden_layers)
    if model.pooler is not None:
        names |= {f"pooler.{kind}": (f"pooler.dense.{kind}",) for kind in ("weight", "bias")}
    return names


def _layers(count: int) -> dict[str, tuple[str, ...]]:
    return {
        f"layers.{number}.{ours}.{kind}": tuple(f"encoder.layer.{number}.{name}.{kind}" for name in theirs)
        for number in range(count)
        for ours, theirs in _LAYER.items()
        for kind in ("weight", "bias")
    }


def _task_heads(model: TaskModel) -> dict[str, tuple[str, ...]]:
    """One head over [CLS] or over single tokens has the names that `transformers` gives it; others their own."""
    names: dict[str, tuple[str, ...]] = {}
    for task, head in model.heads.items():
        assert isinstance(head, Head)
        plain = len(model.heads) == 1 and head.states <= 1
        for kind in ("weight", "bias"):
            ours = f"heads.{task}"
            if head.states:
                names[f"{ours}.dense.{kind}"] = (
                    f"{_pooler(model.encoder)}.{kind}" if plain else f"{ours}.dense.{kind}",
                )
            names[f"{ours}.classifier.{kind}"] = (f"classifier.{kind}" if plain else f"{ours}.classifier.{kind}",)
    return names


def _prefix(encoder: nn.Module) -> str:
    return "deberta" if isinstance(encoder, Deberta) else "bert"


def _pooler(encoder: nn.Module) -> str:
    """Where a classifier of whole texts keeps the layer over [CLS]: inside BERT, beside DeBERTa."""
    return "pooler.dense" if isinstance(encoder, Deberta) else "bert.pooler.dense"


def to_hugging_face(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors under their Hugging Face names, ready for `model.safetensors`."""
    state = model.state_dict()
    tensors: dict[str, Tensor] = {}
    for ours, theirs in names_of(model).items():
        for name, part in zip(theirs, state[ours].chunk(len(theirs)), strict=True):
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


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], source: str, fresh: Iterable[str] = ()) -> LoadReport:
    """Fill `model` from Hugging Face tensors; the prefix `bert.` or `deberta.` may be there or not.

    fresh   beginnings of our tensor names that may be missing and then keep their initial values, for instance
            ("classifier.",) when a new head is put on a published encoder

    Raises ModelError naming `source` and every tensor that is missing, of another shape, or not known.
    """
    available = modern_names(tensors)
    state = model.state_dict()
    used: set[str] = set()
    missing: list[str] = []
    wrong: list[str] = []
    kept: list[str] = []
    for ours, theirs in names_of(model).items():
        found = [_find(available, name) for name in theirs]
        if ours.startswith(tuple(fresh)) and (None in found or _shape(available, found) != tuple(state[ours].shape)):
            kept.append(ours)
        elif None in found:
            missing += [name for name, key in zip(theirs, found, strict=True) if key is None]
        elif (shape := _shape(available, found)) != tuple(state[ours].shape):
            wrong.append(f"{' + '.join(theirs)} has shape {shape}, expected {tuple(state[ours].shape)}")
        else:
            keys = [key for key in found if key is not None]
            used.update(keys)
            state[ours] = torch.cat([available[key] for key in keys]).to(state[ours].dtype)
    left = sorted(available.keys() - used)
    unknown = [name for name in left if not _UNUSED.match(name)]
    problems = (
        [f"missing: {', '.join(missing)}"] * bool(missing)
        + wrong
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


def _find(available: Mapping[str, Tensor], name: str) -> str | None:
    bare = name.removeprefix("bert.").removeprefix("deberta.")
    for candidate in (name, bare, f"bert.{bare}", f"deberta.{bare}"):
        if candidate in available:
            return candidate
    return None


def _shape(available: Mapping[str, Tensor], names: list[str | None]) -> tuple[int, ...]:
    shapes = [tuple(available[name].shape) for name in names if name is not None]
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])
