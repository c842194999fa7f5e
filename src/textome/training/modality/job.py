"""The job of a run over something else than text: a sequence model, and the target that it answers with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from textome.encoders.checkpoint import load_tensors
from textome.encoders.sequence.model import PackedSequences, SequenceConfig, SequenceModel, load_text_encoder
from textome.errors import InputError
from textome.inputs.records import Floats, Modality, Record, Segment, Segments, Shape
from textome.metrics.outputs import score_outputs
from textome.runtime.bundle import Bundle, reads_records
from textome.tasks.masked_lm import Masker
from textome.tasks.target import Target
from textome.training.batches import plan
from textome.training.bundles import base_directory, read_config
from textome.training.job import Batch, Described, Job, TrainingTask
from textome.training.losses import LOSSES, target_options
from textome.training.modality.data import ModalityRecords, length_of, load_records, mixed, pack_sequences
from textome.training.models import SequenceEncoder
from textome.training.parallel.processes import Processes
from textome.training.preparation import prepare_encoder, with_layers
from textome.training.recipe import Recipe
from textome.training.run import Report

# The `model_type` in the `config.json` of a sequence model.
_SEQUENCE_MODEL = "textome-sequence"
HIDDEN_SHARE = 0.15
# Tokens that a model reads at once where it does not learn.
_TOKEN_BUDGET = 16384


@dataclass(frozen=True)
class PackedRecords:
    """Sequences end to end, sorted by length.

    positions   (M,) int64 of the hidden tokens in the packed batch; None where each sequence has one answer
    targets     (M,) int64 of hidden tokens, else (B, num_labels) float32 of sequences
    """

    sequences: PackedSequences
    positions: Tensor | None
    targets: Tensor
    sizes: list[int]

    @property
    def num_tokens(self) -> int:
        return self.sequences.layout.num_tokens


class SequenceTask(TrainingTask[PackedRecords]):
    """A target with records that are augmented anew in every epoch."""

    task: Target

    def __init__(self, recipe: Recipe[SequenceEncoder], data: ModalityRecords, device: torch.device) -> None:
        assert isinstance(data.target, Target)
        self.data, self.task, self.name = data, data.target, recipe.tasks[0].name
        self.quarantine, self.hashes, self.leaks = data.quarantine, data.hashes, data.leaks
        self._recipe, self._device, self._seed = recipe, device, recipe.training.seed
        self._shapes = data.modality.shapes()
        self._guesses = data.target.kind == "masked_tokens"
        if self._guesses and any(shape.mask_id is None for shape in self._shapes.values()):
            raise InputError(
                f"recipe {recipe.name}: target.kind = 'masked' needs a modality of tokens that can be hidden and guessed; "
                f"this one, {data.modality.kind}, has none with these settings"
            )
        self.lengths = [length_of(data.modality.features(record.content)) for record in data.train]
        self._targets = self._rows(data.train)
        self.loss = LOSSES[data.target.loss]
        self.options = target_options(data.target, self._targets, recipe.training.label_smoothing, device)

    def packed(self, batch: Batch) -> PackedRecords:
        items = [self._drawn(batch.epoch, index) for index in batch.indices]
        generator = np.random.default_rng([self._seed, batch.epoch, batch.indices[0], 1])
        if self._guesses:
            return self._masked(items, generator)
        items, targets = mixed(items, self._targets[batch.indices], self._recipe.mixing, generator)
        order = np.argsort([length_of(item) for item in items], kind="stable")
        packed = pack_sequences([items[number] for number in order], self._shapes, self._device)
        return PackedRecords(packed, None, torch.from_numpy(targets[order]).to(self._device), [1] * len(items))

    def logits(self, model: SequenceModel, packed: PackedRecords) -> tuple[Tensor, Tensor]:
        logits = model(packed.sequences, packed.positions).float()
        return logits, logits

    def count(self, indices: Sequence[int]) -> int:
        """Known values (of a masked model: records, over which parts are weighed)."""
        if self._guesses:
            return len(indices)
        known = np.isfinite(self._targets[indices])
        return int(known.all(1).sum() if self.task.kind == "sequence_classification" else known.sum())

    def score(self, model: SequenceModel) -> tuple[dict[str, float], int]:
        records, metric = self.data.validation, self.task.main_metric
        if not records:
            return {}, 0
        value = self.scores(model, records)[metric]
        return {"validation": value if self._guesses else self.task.comparable(metric, value)}, 0

    def scores(self, model: SequenceModel, records: Sequence[Record]) -> dict[str, float]:
        """All scores of a model on records, see metrics.outputs."""
        if self._guesses:
            return {"accuracy": self._guessed(model, records)}
        return score_outputs(self.task.kind, self._rows(records), self.answers(model, records))

    def calibrate(self, model: SequenceModel) -> None:
        """Fit the temperature of a classification, or what else the target learns of a trained model."""
        if self.task.needs_training_outputs:
            outputs, owners = self._outputs(model, self.data.train)
            self.task = self.task.completed(self._targets[owners], outputs)
        if self.data.validation and not self._guesses:
            outputs, owners = self._outputs(model, self.data.validation)
            self.task = self.task.with_confidences(self._rows(self.data.validation)[owners], outputs)

    def test(self, model: SequenceModel) -> dict[str, Any]:
        records = self.data.test
        return {"records": len(records)} | self.scores(model, records) if records else {}

    def answers(self, model: SequenceModel, records: Sequence[Record]) -> Floats:
        """(B, num_labels): means over each record's views."""
        outputs, owners = self._outputs(model, records)
        answers = self.task.answers(outputs)
        total = np.zeros((len(records), answers.shape[1]), np.float64)
        np.add.at(total, owners, answers)
        return (total / np.bincount(owners, minlength=len(records))[:, None]).astype(np.float32)

    def counts(self) -> dict[str, Any]:
        data = self.data
        records = {"train_records": data.train, "validation_records": data.validation, "test_records": data.test}
        return {name: len(some) for name, some in records.items()} | {"train_tokens": sum(self.lengths)}

    def _rows(self, records: Sequence[Record]) -> Floats:
        if self._guesses:
            return np.zeros((len(records), 0), np.float32)
        return np.stack([self.task.encode(record) for record in records])

    def _outputs(self, model: SequenceModel, records: Sequence[Record]) -> tuple[Floats, NDArray[np.int64]]:
        """(V, num_labels) of each view of each record, and the number of its record (V,)."""
        modality = self.data.modality
        views = [(number, view) for number, item in enumerate(records) for view in modality.views(item.content)]
        items = [modality.features(view) for _, view in views]
        outputs = np.empty((len(items), len(self.task.labels)), np.float32)
        for indices in plan([length_of(item) for item in items], _TOKEN_BUDGET, None):
            with torch.no_grad():
                packed = pack_sequences([items[index] for index in indices], self._shapes, self._device)
                outputs[indices] = model(packed).float().cpu().numpy()
        return outputs, np.array([number for number, _ in views])

    def _guessed(self, model: SequenceModel, records: Sequence[Record]) -> float:
        """The share of hidden tokens that a model guesses; the same ones are hidden each time."""
        items = [self.data.modality.features(record.content) for record in records]
        right = hidden = 0
        for indices in plan([length_of(item) for item in items], _TOKEN_BUDGET, None):
            packed = self._masked([items[index] for index in indices], np.random.default_rng([0, indices[0]]))
            with torch.no_grad():
                logits, _ = self.logits(model, packed)
            right, hidden = right + int((logits.argmax(1) == packed.targets).sum()), hidden + len(packed.targets)
        return right / hidden

    def _drawn(self, epoch: int, index: int) -> Segments:
        """A training record as it is read in an epoch: the same whenever it is asked for."""
        generator = np.random.default_rng([self._seed, epoch, index])
        content = self.data.modality.augmented(self.data.train[index].content, generator)
        return self.data.modality.varied(self.data.modality.features(content), generator)

    def _masked(self, items: Sequence[Segments], generator: np.random.Generator) -> PackedRecords:
        """Sequences with some of their tokens hidden, which are to be guessed (Devlin et al. 2019, section 3.1)."""
        ((name, shape),) = self._shapes.items()
        assert shape.mask_id is not None
        others = np.setdiff1d(np.arange(shape.size), [*shape.special, shape.mask_id])
        masker = Masker("token", HIDDEN_SHARE, shape.mask_id, np.zeros(shape.size, bool), others)
        changed, targets, positions, sizes = [], [], [], []
        start = 1  # behind the start token
        for item in sorted(items, key=length_of):
            values = item[name].values
            shown, chosen = values.copy(), np.flatnonzero(~np.isin(values, shape.special))
            if len(chosen):
                shown[chosen], hidden = masker.mask(values[chosen], generator)
                chosen = chosen[hidden]
            changed.append({name: Segment(shown, item[name].positions)})
            positions.append(chosen + start)
            targets.append(values[chosen])
            sizes.append(len(chosen))
            start += 1 + len(values)
        packed = pack_sequences(changed, self._shapes, self._device)
        where, what = (torch.from_numpy(np.concatenate(rows)).to(self._device) for rows in (positions, targets))
        return PackedRecords(packed, where, what, sizes)


class SequenceJob(Job):
    """Trains a sequence model."""

    bare: SequenceModel
    tasks: Sequence[SequenceTask]

    @classmethod
    def of(cls, recipe: Recipe[SequenceEncoder], folder: Path, processes: Processes, report: Report) -> SequenceJob:
        """The job of a recipe, its data read and its model built."""
        base, device = base_directory(recipe.model.base) if recipe.model.base else None, processes.device
        assert recipe.input is not None
        data = load_records(recipe, _continued(recipe.input, base))
        model = build_model(recipe.model, base, data.modality.shapes(), len(data.target.label_names))
        finish = prepare_encoder(model.encoder, recipe.training)
        model.to(device)
        return cls(recipe, model, [SequenceTask(recipe, data, device)], device, finish=finish)

    def described(self) -> Described:
        (task,) = self.tasks
        modality, settings = task.data.modality, self.recipe.model
        config = {"model_type": _SEQUENCE_MODEL, "architectures": ["SequenceModel"]} | asdict(self.bare.config)
        lines = [f"Reads: {modality.kind}. Answers: {task.task.kind}", ""]
        lines += [f"Labels: {', '.join(task.task.labels)}", ""] * bool(task.task.labels)
        lines += [f"Started from `{settings.base}`.", ""] * bool(settings.base and settings.pretrained)
        return Described(config, Path(), modality.model_dump(mode="json"), lines)


def build_model(
    settings: SequenceEncoder, base: Path | None, shapes: Mapping[str, Shape], outputs: int
) -> SequenceModel:
    """The model of a recipe, with fresh weights or those of `base`: a text encoder, or another sequence model's bundle.

    outputs   0 for a model that guesses hidden tokens

    Raises InputError and ModelError where the base does not fit.
    """
    dropouts: dict[str, Any] = {
        "hidden_dropout_prob": settings.hidden_dropout,
        "attention_probs_dropout_prob": settings.attention_dropout,
    }
    if base is None:
        config = SequenceConfig(
            vocab_size=1,
            hidden_size=settings.hidden_size,
            num_hidden_layers=settings.layers or 4,
            num_attention_heads=settings.num_attention_heads,
            intermediate_size=settings.intermediate_size,
            max_position_embeddings=1,
            type_vocab_size=1,
            initializer_range=_spread(settings.hidden_size),
            **dropouts,
        )
        return SequenceModel(config, shapes, outputs, settings.pooling)
    values = read_config(base, (SequenceConfig.model_type, _SEQUENCE_MODEL)) | dropouts
    tensors = load_file(base / "model.safetensors") if settings.pretrained else {}
    tensors = with_layers(settings.layers, values, tensors, base)
    if not settings.pretrained:
        values["initializer_range"] = _spread(values["hidden_size"])
    config = SequenceConfig.from_dict(values)
    model = SequenceModel(config, shapes, outputs, settings.pooling)
    if not settings.pretrained:
        return model
    if values["model_type"] == _SEQUENCE_MODEL:
        known = {
            name: tensor for name, tensor in tensors.items() if not name.startswith("token_scores.") or not outputs
        }
        load_tensors(model, known, str(base), fresh=("classifier.", "token_scores."))
    else:
        vocabulary = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        segments = tuple(name for name, shape in shapes.items() if shape.text)
        load_text_encoder(model, tensors, str(base), vocabulary["[CLS]"], segments)
    return model


def _spread(hidden_size: int) -> float:
    """The standard deviation of fresh weights with which a layer's output is as large as its input (LeCun et al. 1998).

    BERT's own 0.02 suits a hidden size of 768 and many steps; small models on small data learn several times faster so.
    """
    return float(hidden_size**-0.5)


def _continued(modality: Modality, base: Path | None) -> Modality:
    """The modality with what that of the base knows: its vocabulary, be it of the same kind or of text."""
    if base is None:
        return modality
    if reads_records(base):
        return modality.continuing(Bundle.load(base).modality)
    words = base / "tokenizer.json"
    return modality.with_tokenizer(words.read_text(encoding="utf-8")) if words.is_file() else modality
