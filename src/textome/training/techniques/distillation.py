"""A small model taught by a large one: by its scores (Hinton et al. 2015) and by its hidden states (Jiao et al. 2020)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.encoders import encoder_of
from textome.encoders.build import read_encoder_config
from textome.encoders.checkpoint import load_tensors
from textome.encoders.heads import TaskModel
from textome.encoders.pruning import spread
from textome.errors import InputError
from textome.runtime.bundle import Bundle
from textome.tasks import SomeTask
from textome.text.tokenization import Tokenizer
from textome.training.bundles import base_directory, read_weights
from textome.training.recipe import Distillation


class Teacher:
    """Finished models that score the same batches, never trained; each has the outputs of the student's heads only.

    model    the first, whose hidden states are read too
    others   of which only the scores are
    """

    def __init__(
        self,
        recipe: Distillation,
        tasks: Mapping[str, SomeTask],
        tokenizer: Tokenizer,
        window: int,
        device: torch.device,
    ) -> None:
        """Read the teachers' bundles.

        tasks   the student's by name, all of whose labels a teacher must know; it may know more

        Raises InputError where it does not, cuts texts differently, or reads shorter windows; ModelError for no bundle.
        """
        names = [recipe.teacher] if isinstance(recipe.teacher, str) else recipe.teacher
        self.model, *self.others = (_read_teacher(name, tasks, tokenizer, window).to(device) for name in names)

    def read(self, logits: Callable[[nn.Module], Tensor], positions: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The mean over teachers of what `logits` gives for each; and the first one's `watched_hidden_states`."""
        with torch.no_grad(), watched_hidden_states(self.model.encoder, positions) as watched:
            total = logits(self.model)
        with torch.no_grad():
            for other in self.others:
                total = total + logits(other)
        return total / (1 + len(self.others)), watched.values


def _read_teacher(name: str, tasks: Mapping[str, SomeTask], tokenizer: Tokenizer, window: int) -> TaskModel:
    directory = base_directory(name, "distillation.teacher")
    bundle = Bundle.load(directory)
    if Tokenizer.load(directory).fingerprint != tokenizer.fingerprint:
        raise InputError(
            f"distillation.teacher {name}: it cuts texts in other tokens than model.base; take a base with the tokenizer "
            f"of the teacher"
        )
    config = read_encoder_config(bundle.config)
    if window > (max_length := encoder_of(bundle.config).max_length(bundle.config)):
        raise InputError(f"model.window is {window}, but the teacher has only {max_length} positions")
    rows = {task: _rows(name, bundle, task, own_task) for task, own_task in tasks.items()}
    model = TaskModel(config, {task: other.head_shape for task, other in bundle.tasks.items()})
    load_tensors(model, read_weights(directory, bundle.config), str(directory))
    for task, chosen in rows.items():
        classifier = model.get_submodule(f"heads.{task}.classifier")
        for key, tensor in list(classifier.named_parameters()):
            setattr(classifier, key, nn.Parameter(tensor.detach()[chosen]))
    return model.eval().requires_grad_(False)


def _rows(teacher: str, bundle: Bundle, name: str, task: SomeTask) -> list[int]:
    """The rows of a teacher's head for each output of the student's. Raises InputError where one is missing."""
    own = bundle.tasks.get(name)
    if own is None or own.kind != task.kind:
        raise InputError(f"distillation.teacher {teacher}: it has no task {name!r} of the kind {task.kind}")
    known = {output: number for number, output in enumerate(own.output_names)}
    if missing := [label for label in task.label_names if label not in own.label_names]:
        raise InputError(f"distillation.teacher {teacher}: it does not know {', '.join(missing)}")
    if not {*task.output_names} <= known.keys():
        raise InputError(f"distillation.teacher {teacher}: its labels are those of one softmax over all types")
    if own.head_shape[1:] != task.head_shape[1:]:
        raise InputError(f"distillation.teacher {teacher}: its task {name!r} joins other hidden states")
    return [known[output] for output in task.output_names]


class watched_hidden_states:  # noqa: N801 - a context, named as what it gives
    """Collects, while it is open, the hidden states after the embeddings and each layer at `positions`: (M, hidden_size)
    each, or of joined positions (M, num_pooled_positions, hidden_size)."""

    def __init__(self, encoder: nn.Module, positions: Tensor) -> None:
        self.values: list[Tensor] = []
        self._encoder, self._positions = encoder, positions

    def __enter__(self) -> watched_hidden_states:
        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.values.append(output[self._positions])

        layers = self._encoder.get_submodule("layers").children()
        watched = [self._encoder.get_submodule("embeddings"), *layers]
        self._hooks = [module.register_forward_hook(keep) for module in watched]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()


def hidden_state_distance(student: Sequence[Tensor], teacher: Sequence[Tensor], widen: nn.Module) -> Tensor:
    """The mean squared distance of the student's states from those of the teacher's layers that stand at the same share of
    the depth (Jiao et al. 2020, equations 8 and 9), over embeddings and layers, positions and dimensions."""
    chosen = [0, *(number + 1 for number in spread(len(teacher) - 1, len(student) - 1))]
    return torch.stack(
        [
            functional.mse_loss(widen(state).float(), teacher[number].float())
            for state, number in zip(student, chosen, strict=True)
        ]
    ).mean()


@dataclass(frozen=True, slots=True)
class Measured:
    """A model's size, scores on the validation sets, and speed on these in tokens a second."""

    layers: int
    parameters: int
    megabytes: float
    scores: dict[str, float]
    tokens_per_second: float


def compared(
    models: dict[str, nn.Module], score: Callable[[nn.Module], tuple[dict[str, float], int]]
) -> dict[str, dict[str, Any]]:
    """Size, scores and speed of models side by side, as dictionaries of `Measured`.

    score   gives the scores of a model and the number of tokens that it read for them; run twice for each model, in turn,
            and the faster counts
    """
    results: dict[str, tuple[dict[str, float], float]] = {}
    for _ in range(2):
        for name, model in models.items():
            started = time.perf_counter()
            scores, tokens = score(model.eval())
            speed = tokens / (time.perf_counter() - started)
            results[name] = scores, max(speed, results.get(name, ({}, 0.0))[1])
    return {
        name: asdict(
            Measured(
                sum(1 for _ in model.get_submodule("encoder.layers").children()),
                (size := sum(item.numel() for item in model.parameters())),
                round(size * 4 / 1e6, 1),
                *results[name],
            )
        )
        for name, model in models.items()
    }
