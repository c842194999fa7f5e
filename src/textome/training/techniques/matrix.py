"""Which technique of training works for which task, and why another does not: one table, by which recipes are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from textome.tasks import TASKS, Task, task_class

# What pretraining learns, beside the kinds of tasks.
MASKED_LM = "masked_lm"
_NO_HEADS = "it is for encoders with heads"
_NO_TEXT = "it is for tasks over text"


# Why a technique does not work for a task, of the run, the kind and the class of the task; "" where it works.
Reason = Callable[[str, str, type[Task[Any, Any]] | None], str]


def _always(run: str, kind: str, task: type[Task[Any, Any]] | None) -> str:
    return ""


def _only(reason: str, *names: str) -> Reason:
    """Works in these runs, or for these kinds, alone."""
    return lambda run, kind, task: "" if {run, kind} & set(names) else reason


def _with(feature: str, reason: str) -> Reason:
    """Works for tasks with this feature, see `Task.features`."""
    return lambda run, kind, task: "" if task is not None and feature in task.features(kind) else reason


def _for_mentions(reason: str, *others: str) -> Reason:
    """Works for tasks about mentions, and in these runs."""

    def answer(run: str, kind: str, task: type[Task[Any, Any]] | None) -> str:
        from textome.tasks.mentions import MentionTask

        return "" if run in others or (task is not None and issubclass(task, MentionTask)) else reason

    return answer


@dataclass(frozen=True, slots=True)
class Technique:
    """A technique of training, the key of a recipe that switches it on, and where it works."""

    name: str
    key: str
    reason: Reason = _always


_ENCODERS = ("text", "modality", MASKED_LM)
_LOOP = ("text", "modality", "translation")
TECHNIQUES = (
    Technique("several processes (torchrun)", ""),
    Technique("sharding", "training.sharding", _only("its decoder is not spread", *_ENCODERS)),
    Technique("smaller parts of a batch", "training.micro_budget"),
    Technique("activations computed again", "training.gradient_checkpointing", _only(_NO_HEADS, *_ENCODERS)),
    Technique("compilation", "training.compile", _only(_NO_HEADS, *_ENCODERS)),
    Technique("layer decay", "training.layer_decay", _only("its layers learn alike", "text", "modality")),
    Technique("frozen layers", "training.frozen_layers", _only("its layers learn alike", "text", "modality")),
    Technique("running mean of weights", "training.average", _only("its last weights are kept", *_LOOP)),
    Technique("LoRA", "training.lora_rank", _only(_NO_HEADS, "text", "modality")),
    Technique("rounding as int8 does", "training.int8_aware", _only(_NO_TEXT, "text")),
    Technique("adversarial step of embeddings", "training.adversarial", _only(_NO_TEXT, "text")),
    Technique("R-Drop", "training.r_drop", _only(_NO_TEXT, "text")),
    Technique("token masking", "training.token_masking", _only(_NO_TEXT, "text")),
    Technique("word mixing", "training.word_mixing", _for_mentions("it mixes the words of mentions")),
    Technique(
        "label smoothing",
        "training.label_smoothing",
        _with("smoothing", "its loss has no single right label to smooth"),
    ),
    Technique("distillation", "distillation", _only(_NO_TEXT, "text")),
    Technique("differential privacy", "privacy", _only("its records have no gradients of their own", "text")),
    Technique("heads of the base go on", "model.heads", _only("its head begins anew", "text")),
    Technique("pruned layers", "model.layers", _only("it keeps all layers", "text", "modality")),
    Technique("changed readings", "corpora.repeat", _for_mentions("its records are read as they are", "modality")),
    Technique("mixed records", "mixing.mixup", _with("mixing", "its inputs or targets cannot be added")),
    Technique("balanced classes", "class_weights", _with("class_weights", "it has no classes that are rare")),
    Technique("focal loss", "focal", _with("focal", "it is for classes of texts")),
    Technique("contrastive loss", "contrastive", _with("contrastive", "it needs texts of one class each")),
    Technique("few examples", "shots", _with("classes", "it has no classes of texts")),
    Technique("calibration", "", _with("calibration", "it has no temperature or threshold to fit")),
)


def runs() -> dict[str, tuple[str, type[Task[Any, Any]] | None]]:
    """By the kind of each task that can be trained, its run and its class."""
    found: dict[str, tuple[str, type[Task[Any, Any]] | None]] = {}
    for kind in TASKS:
        task = task_class(kind)
        if task.trained_by:
            found[kind] = task.trained_by, task
    return found | {MASKED_LM: (MASKED_LM, None)}


def check_techniques(recipe: BaseModel, run: str, tasks: Iterable[Task[Any, Any]]) -> None:
    """Raises ValueError for a technique that a recipe asks for and that does not work for one of its tasks."""
    for technique in TECHNIQUES:
        if not _asked(recipe, technique.key):
            continue
        for task in tasks:
            if reason := technique.reason(run, task.kind, type(task)):
                raise ValueError(f"{technique.key} does not work for this kind of task: {reason}; leave it out")


def _asked(recipe: Any, key: str) -> bool:
    """Whether a recipe has another value than the default one under a key of its tables; those of tasks are their own."""
    *tables, name = key.split(".")
    for table in tables:
        recipe = getattr(recipe, table, None)
    field = getattr(type(recipe), "model_fields", {}).get(name)
    return field is not None and getattr(recipe, name) != field.default


def matrix() -> str:
    """A table in Markdown: a row for each technique, a column for each kind of task, and the reasons below."""
    columns = runs()
    reasons: dict[str, int] = {}
    lines = [f"| technique | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for technique in TECHNIQUES:
        cells = []
        for kind, (run, task) in columns.items():
            reason = technique.reason(run, kind, task)
            cells.append(f"{reasons.setdefault(reason, len(reasons) + 1)}" if reason else "yes")
        key = f" `{technique.key}`" if technique.key else ""
        lines.append(f"| {technique.name}{key} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"{number}. {reason}" for reason, number in reasons.items())]) + "\n"
