"""A small model taught by a large one: by its scores (Hinton et al. 2015) and by its hidden states (Jiao et al. 2020)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from textome.encoders import encoder_of
from textome.encoders.build import read_encoder_config
from textome.encoders.checkpoint import load_tensors
from textome.encoders.heads import TokenClassifier
from textome.encoders.pruning import spread
from textome.errors import InputError
from textome.runtime.bundle import Bundle
from textome.tasks.iob import LABELS
from textome.text.tokenization import Tokenizer
from textome.training.bundles import base_directory, read_weights
from textome.training.recipe import Distillation


class Teacher:
    """Finished models that score the same batches, never trained; each has the heads of the student's types only.

    model    the first, whose hidden states are read too
    others   of which only the scores are
    """

    def __init__(
        self, recipe: Distillation, types: Sequence[str], tokenizer: Tokenizer, window: int, device: torch.device
    ) -> None:
        """Read the teachers' bundles.

        types    the student's, of which a teacher must know each; it may know more

        Raises InputError where it does not, cuts texts differently, or reads shorter windows; ModelError for no bundle.
        """
        names = [recipe.teacher] if isinstance(recipe.teacher, str) else recipe.teacher
        self.model, *self.others = (_read_teacher(name, types, tokenizer, window).to(device) for name in names)

    def read(self, compute: Callable[[TokenClassifier], Tensor], places: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The scores of the student's types in their order, the mean over teachers, and the first one's hidden states; see
        `states`."""
        with torch.no_grad(), states(self.model.encoder, places) as found:
            logits = compute(self.model)
        with torch.no_grad():
            for other in self.others:
                logits = logits + compute(other)
        return logits / (1 + len(self.others)), found.values


def _read_teacher(name: str, types: Sequence[str], tokenizer: Tokenizer, window: int) -> TokenClassifier:
    directory = base_directory(name, "distillation.teacher")
    bundle = Bundle.load(directory)
    known = bundle.types
    if missing := [kind for kind in types if kind not in known]:
        raise InputError(f"distillation.teacher {name}: it does not know {', '.join(missing)}")
    if Tokenizer.load(directory).fingerprint != tokenizer.fingerprint:
        raise InputError(
            f"distillation.teacher {name}: it cuts texts in other tokens than model.base; take a base with the tokenizer "
            f"of the teacher"
        )
    config = read_encoder_config(bundle.config)
    if window > (longest := encoder_of(bundle.config).max_length(bundle.config)):
        raise InputError(f"model.window is {window}, but the teacher has only {longest} positions")
    model = TokenClassifier(config, len(known) * len(LABELS))
    load_tensors(model, read_weights(directory, bundle.config), str(directory))
    size = len(LABELS)
    columns = [known.index(kind) * size + label for kind in types for label in range(size)]
    for key, tensor in list(model.head.classifier.named_parameters()):
        setattr(model.head.classifier, key, nn.Parameter(tensor.detach()[columns]))
    return model.eval().requires_grad_(False)


class states:  # noqa: N801 - a context, named as what it gives
    """Collects, while it is open, the states after the embeddings and each layer at `places`: (M, hidden_size) each."""

    def __init__(self, encoder: nn.Module, places: Tensor) -> None:
        self.values: list[Tensor] = []
        self._encoder, self._places = encoder, places

    def __enter__(self) -> states:
        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.values.append(output[self._places])

        layers = self._encoder.get_submodule("layers").children()
        watched = [self._encoder.get_submodule("embeddings"), *layers]
        self._hooks = [module.register_forward_hook(keep) for module in watched]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()


class Student(nn.Module):
    """A model that is taught, with the layer that makes its states as wide as the teacher's where they are not; that layer
    is only of use while training, and no part of the checkpoint."""

    def __init__(self, model: TokenClassifier, teacher: TokenClassifier) -> None:
        super().__init__()
        self.encoder, self.head = model.encoder, model.head
        narrow, wide = (int(item.encoder.config.hidden_size) for item in (model, teacher))
        self.widen = nn.Identity() if narrow == wide else nn.Linear(narrow, wide)


def taught(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The divergence of a student's distributions from the teacher's, both of logits (M, heads * 3) softened by a
    temperature: summed over heads, the mean over words, times temperature ** 2 (Hinton et al. 2015, section 2)."""
    mine, its = (
        functional.log_softmax(item.view(len(item), -1, len(LABELS)) / temperature, -1) for item in (logits, teacher)
    )
    return functional.kl_div(mine, its, reduction="sum", log_target=True) * temperature**2 / max(1, len(logits))


def states_apart(mine: Sequence[Tensor], its: Sequence[Tensor], widen: nn.Module) -> Tensor:
    """The mean squared distance of the student's states from those of the teacher's layers that stand at the same share of
    the depth (Jiao et al. 2020, equations 8 and 9), over embeddings and layers, words and dimensions."""
    chosen = [0, *(number + 1 for number in spread(len(its) - 1, len(mine) - 1))]
    return torch.stack(
        [
            functional.mse_loss(widen(state).float(), its[place].float())
            for state, place in zip(mine, chosen, strict=True)
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
    models: dict[str, TokenClassifier], score: Callable[[TokenClassifier], tuple[dict[str, float], int]]
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
                int(model.encoder.config.num_hidden_layers),
                (size := sum(item.numel() for item in model.parameters())),
                round(size * 4 / 1e6, 1),
                *results[name],
            )
        )
        for name, model in models.items()
    }
