"""Which technique of training works for which task, and why another does not: one table, by which recipes are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from textome.tasks import TASKS, SomeTask, task_class

_NOT_TEXT = "it is for tasks over text"
_IN_EPOCHS = "it reads its examples whole, in epochs"
_IN_TOKENS = "its length is given in tokens"
_PRETRAINING = dict.fromkeys(("masked_lm", "span_corruption"), _IN_TOKENS)
_TWO_SIDES = "the layers of its two sides have no one order"
_AROUND = "convolutions stand before its layers and behind them"
_TWO_SIDED = dict.fromkeys(("translation", "text_to_text", "span_corruption", "pairs"), _TWO_SIDES) | {"maps": _AROUND}
_NO_INT8 = "it has no int8 graph"
_NO_MASK = "its vocabulary has no mask"
_PARTS = "its sequences are parts of documents"
_OTHER_ROUNDING = "the rounding of its graph is another"


# Why a technique does not work for a task, of the run, the kind and the class of the task; "" where it works.
Reason = Callable[[str, str, type[SomeTask] | None], str]


def _always(run: str, kind: str, task: type[SomeTask] | None) -> str:
    return ""


def _only(reason: str, *names: str) -> Reason:
    """Works in these runs, or for these kinds, alone."""
    return lambda run, kind, task: "" if {run, kind} & set(names) else reason


def _except(**reasons: str) -> Reason:
    """Works but in these runs, or for these kinds."""
    return lambda run, kind, task: reasons.get(kind) or reasons.get(run, "")


def _with(feature: str, reason: str) -> Reason:
    """Works for tasks with this feature, see `Task.features`."""
    return lambda run, kind, task: "" if task is not None and feature in task.features(kind) else reason


def _for_mentions(reason: str, *others: str) -> Reason:
    """Works for tasks about mentions, and in these runs."""

    def answer(run: str, kind: str, task: type[SomeTask] | None) -> str:
        from textome.tasks.spans.mentions import MentionTask

        return "" if run in others or (task is not None and issubclass(task, MentionTask)) else reason

    return answer


@dataclass(frozen=True, slots=True)
class Technique:
    """A technique of training, the key of a recipe that switches it on, and where it works."""

    name: str
    key: str
    reason: Reason = _always


PROCESSES = "several processes (torchrun)"
TECHNIQUES = (
    Technique(PROCESSES, ""),
    Technique(
        "sharding",
        "training.sharding",
        _except(
            translation="it translates beside the call in which spread weights are gathered",
            text_to_text="it writes beside the call in which spread weights are gathered",
            span_corruption="the layers of its two sides are not spread",
            pairs="its towers are too small to spread",
            maps=_AROUND,
        ),
    ),
    Technique("smaller parts of a batch", "training.micro_budget"),
    Technique("activations computed again", "training.gradient_checkpointing"),
    Technique("compilation", "training.compile"),
    Technique("layer decay", "training.layer_decay", _except(**_TWO_SIDED)),
    Technique("frozen layers", "training.frozen_layers", _except(**_TWO_SIDED)),
    Technique("running mean of weights", "training.average"),
    Technique("end without progress", "training.patience"),
    Technique("least number of steps", "training.min_steps", _except(**_PRETRAINING)),
    Technique(
        "rate that falls with the root of the step",
        "training.schedule",
        _except(**_PRETRAINING),
    ),
    Technique("sequences that grow longer", "training.stages", _only(_IN_EPOCHS, "masked_lm", "span_corruption")),
    Technique("evaluations on the way", "training.evaluate_every", _only(_IN_EPOCHS, "masked_lm", "span_corruption")),
    Technique("batches made ahead", "training.workers", _only(_IN_EPOCHS, "masked_lm", "span_corruption")),
    Technique("LoRA", "training.lora_rank"),
    Technique(
        "rounding as int8 does",
        "training.int8_aware",
        _except(
            modality=_OTHER_ROUNDING,
            pairs=_OTHER_ROUNDING,
            maps=_OTHER_ROUNDING,
            translation=_NO_INT8,
            text_to_text=_NO_INT8,
            span_corruption=_NO_INT8,
            language_model=_OTHER_ROUNDING,
        ),
    ),
    Technique(
        "adversarial step of embeddings",
        "training.adversarial",
        _only(
            "it is for tokens of one vocabulary",
            *("text", "text_to_text", "translation", "masked_lm", "span_corruption", "masked_tokens"),
        ),
    ),
    Technique("R-Drop", "training.r_drop"),
    Technique(
        "token masking",
        "training.token_masking",
        _except(
            masked_lm="it hides tokens anyway",
            masked_tokens="it hides tokens anyway",
            modality="its inputs are changed by settings of their own",
            pairs="its inputs are vectors",
            translation=_NO_MASK,
            text_to_text=_NO_MASK,
            span_corruption="it leaves spans out anyway",
            language_model=_NO_MASK,
        ),
    ),
    Technique("word mixing", "training.word_mixing", _for_mentions("it mixes the words of mentions")),
    Technique("tokens that leave early", "training.early_exit", _for_mentions("it has no words outside all mentions")),
    Technique(
        "label smoothing",
        "training.label_smoothing",
        _with("smoothing", "its loss has no single right label to smooth"),
    ),
    Technique("distillation", "distillation", _only(_NOT_TEXT, "text")),
    Technique(
        "targets by a teacher",
        "distillation.once",
        _with("soft_targets", "its targets are no probabilities of single outputs"),
    ),
    Technique(
        "differential privacy",
        "privacy",
        _except(
            modality="what its input learns from the data, as means or vocabularies, is not private",
            pairs="one thing is in many records",
            maps="what its input learns from the data, as means, is not private",
            translation="its vocabulary is learnt from the data",
            masked_lm=_PARTS,
            span_corruption=_PARTS,
            text_to_text="the gradients of single records are not known through two sides",
        ),
    ),
    Technique("heads of the base go on", "model.heads", _only("its head begins anew", "text")),
    Technique("pruned layers", "model.layers", _only("it keeps all layers", "text", "modality")),
    Technique(
        "changed readings",
        "corpora.repeat",
        _for_mentions("its records are read as they are", "modality", "pairs", "maps"),
    ),
    Technique("mixed records", "mixing.mixup", _with("mixing", "its inputs or targets cannot be added")),
    Technique("balanced classes", "class_weights", _with("class_weights", "it has no classes that are rare")),
    Technique("focal loss", "focal", _with("focal", "it is for classes of texts")),
    Technique("contrastive loss", "contrastive", _with("contrastive", "it needs texts of one class each")),
    Technique("few examples", "shots", _with("classes", "it has no classes of texts")),
    Technique("calibration", "", _with("calibration", "it has no temperature or threshold to fit")),
)


# Techniques that do not go together in one run, and why. KEY=VALUE is one value of a key.
CONFLICTS = (
    ("distillation", "training.r_drop", "both read a batch twice"),
    ("distillation", "training.word_mixing", "the teacher reads words that are not mixed"),
    ("distillation.once=False", "training.early_exit", "the teacher's layers have no tokens that left"),
    ("distillation", "privacy", "the teacher may know the records"),
    ("training.int8_aware", "training.lora_rank", "both change the same matrices"),
    ("training.int8_aware", "training.compile", "the rounding is not compiled"),
    ("training.adversarial", "training.lora_rank", "the embeddings do not learn"),
    ("training.adversarial", "training.frozen_layers", "the embeddings do not learn"),
    ("privacy", "training.adversarial", "a second gradient would cost privacy again"),
    ("privacy", "training.r_drop", "a second pass would cost privacy again"),
    ("privacy", "training.word_mixing", "a record's gradient would know of others"),
    ("privacy", "training.early_exit", "the gate would learn from all records together"),
    ("privacy", "training.int8_aware", "layers must be called as they are"),
    ("privacy", "training.gradient_checkpointing", "layers must be called as they are"),
    ("privacy", "training.compile", "layers must be called as they are"),
    ("privacy", "training.min_steps", "the number of steps is part of the guarantee"),
    ("privacy", "training.precision=fp16", "its gradients are scaled"),
    (PROCESSES, "privacy", "each process would draw noise of its own"),
    (PROCESSES, "distillation", "each process would need the teacher"),
    ("training.sharding", "training.adversarial", "no process has all embeddings"),
    ("training.sharding", "training.lora_rank", "the matrices have no weights of their own"),
    ("training.sharding", "training.int8_aware", "no process has all of a matrix"),
    ("training.early_exit", "training.r_drop", "both read a batch in two ways"),
    ("training.early_exit", "training.gradient_checkpointing", "layers are called again behind the pass"),
    (PROCESSES, "training.early_exit", "each process would draw batches of its own"),
    ("training.sharding", "training.compile", "layers are gathered when they are called"),
    ("training.sharding", "training.precision=fp16", "each process would scale gradients for itself"),
)


def runs() -> dict[str, tuple[str, type[SomeTask] | None]]:
    """By the kind of each task that can be trained, its run and its class."""
    run_of_kind: dict[str, tuple[str, type[SomeTask] | None]] = {}
    for kind in TASKS:
        task = task_class(kind)
        if task.trained_by:
            run_of_kind[kind] = task.trained_by, task
    return run_of_kind


def check_techniques(recipe: BaseModel, run: str, tasks: Iterable[SomeTask]) -> None:
    """Raises ValueError for a technique that a recipe asks for and that does not work for one of its tasks."""
    for technique in TECHNIQUES:
        if not _asked(recipe, technique.key):
            continue
        for task in tasks:
            if reason := technique.reason(run, task.kind, type(task)):
                raise ValueError(f"{technique.key} does not work for this kind of task: {reason}; leave it out")
    check_together(recipe)


def check_together(recipe: BaseModel, processes: int = 1) -> None:
    """Raises ValueError for techniques of a recipe that do not go together in a run of so many processes."""
    for first, second, reason in CONFLICTS:
        if {first, second} & {
            PROCESSES,
            "training.sharding",
        } and processes == 1:  # a single process has nothing to spread
            continue
        if all(name == PROCESSES or _asked(recipe, name) for name in (first, second)):
            raise ValueError(f"{first} and {second} do not go together: {reason}; leave one of them out")


def _asked(recipe: Any, key: str) -> bool:
    """Whether a recipe has another value than the default one under a key of its tables, or the one that is named; the keys
    of tasks are checked by the tasks."""
    path, _, value = key.partition("=")
    *tables, name = path.split(".")
    for table in tables:
        recipe = getattr(recipe, table, None)
    field = getattr(type(recipe), "model_fields", {}).get(name)
    if field is None:
        return False
    return str(getattr(recipe, name)) == value if value else bool(getattr(recipe, name) != field.default)


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
    lines += ["", *(f"{number}. {reason}" for reason, number in reasons.items()), "", "These do not go together:", ""]
    lines += [f"- {first} and {second}: {reason}" for first, second, reason in CONFLICTS]
    return "\n".join(lines) + "\n"
