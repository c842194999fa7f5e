"""The recipe of a run: a model, the tasks that it learns with their data, and how it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal

from pydantic import AliasChoices, Field, PrivateAttr, model_validator
from typing_extensions import TypeVar

from textome.errors import InputError
from textome.inputs import AnyModality
from textome.settings import Fields
from textome.tasks import task_class
from textome.training.models import (
    MapEncoder,
    Model,
    PairEncoder,
    PretrainedModel,
    SequenceEncoder,
    TextToTextModel,
    TranslationModel,
)
from textome.training.recipe_files import from_folder, is_beside, parse, read_recipe
from textome.training.short_forms import NAMES, in_full
from textome.training.task_table import TaskTable, with_paths
from textome.training.techniques.matrix import check_techniques

DeviceName = Literal["auto", "cpu", "cuda", "mps", "xla"]
PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]


class Data(Fields):
    """The folder of the corpora. `drop_leaks` leaves out training sentences that also occur in a test file."""

    root: str = "."
    drop_leaks: bool = True
    _recipe_folder: Path = PrivateAttr(Path())

    def path(self, path: str) -> str:
        """A path of the recipe as seen from the folder of the process."""
        return str((self._recipe_folder if is_beside(path) else Path(self.root)) / path)


class Distillation(Fields):
    """A larger model as the teacher; see distillation.py.

    teacher      the folder of its bundle, which has the recipe's types and the same tokenizer; several teachers form an
                 ensemble: scores are averaged, hidden states are those of the first
    temperature  both models' scores are divided by it before they are compared
    scores       share of the loss that comes from the teacher's scores; the rest comes from the labels
    hidden_states   weight of the distance of the hidden states
    once         the teacher reads every record once, before training, and its probabilities have the share `scores` of each
                 target; it may have another tokenizer, and `temperature` and `hidden_states` say nothing
    texts        with `once`: files of documents without labels, for which the teacher alone speaks
    """

    old_keys: ClassVar[Mapping[str, str]] = {"states": "hidden_states"}

    teacher: str | list[str] = Field(min_length=1)
    temperature: float = Field(2.0, gt=0)
    scores: float = Field(0.5, ge=0, le=1)
    hidden_states: float = Field(1.0, ge=0)
    once: bool = False
    texts: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _texts_are_read_once(self) -> Distillation:
        if self.texts and not self.once:
            raise ValueError("distillation.texts needs distillation.once = true")
        return self


class Privacy(Fields):
    """Differentially private training (Abadi et al. 2016); see privacy.py.

    epsilon, delta    the budget of the run; the noise is then as small as the number of steps allows
    noise_multiplier  the noise, in place of `epsilon`: its standard deviation as a multiple of `max_grad_norm`
    max_grad_norm     the norm to which the gradient of each record is clipped
    batch_records     the mean number of records in a step; each record is drawn independently
    accountant        how steps are accounted for: "prv" (Gopi et al. 2021), or "rdp" (Mironov 2017), which is looser
    runs              how many runs on the same records share `epsilon`; federated training sets it to its rounds
    """

    delta: float = Field(gt=0, lt=1)
    epsilon: float | None = Field(None, gt=0)
    noise_multiplier: float | None = Field(None, gt=0)
    max_grad_norm: float = Field(1.0, gt=0)
    batch_records: int = Field(ge=1)
    accountant: Literal["prv", "rdp"] = "prv"
    runs: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _one_of_both(self) -> Privacy:
        if (self.epsilon is None) == (self.noise_multiplier is None):
            raise ValueError("give either epsilon or noise_multiplier")
        return self


class Stage(Fields):
    """Up to this share of the training, sequences have at most `length` tokens."""

    until: float = Field(gt=0, le=1)
    length: int = Field(ge=8)


class Training(Fields):
    """Sizes and rates. `token_budget` is the number of tokens of one batch; `select` the checkpoint that is kept.

    epochs         number of passes over the training data
    tokens         for pretraining, in place of `epochs`: the number of training tokens; pretraining has a token budget of
                   8192, a warm-up of 0.06, and keeps the last weights by default
    stages         for pretraining: later stages have longer sequences
    evaluate_every   for pretraining: tokens between evaluations; 0 evaluates at the start and the end only
    workers        for pretraining: processes that prepare batches ahead; by default some for a GPU, none otherwise
    micro_budget   tokens that are computed at once; a larger batch is computed in parts, whose gradients are summed
    gradient_checkpointing   computes the inside of each layer again in the backward pass, to save memory
    out_of_memory  what to do when memory runs out: "stop" with advice, or "halve" the micro budget and go on
    compile        PyTorch's compiler joins the small operations of each layer: faster steps after a slow start
    sharding       with several processes, "full" spreads weights, gradients and the optimiser's state over them
    layer_decay    learning rate of each layer, as a share of that of the layer above it (Howard and Ruder 2018)
    frozen_layers  how many layers, counted from the lowest, keep their weights, and the embeddings, of distances too
    lora_rank      trains only the heads and products of this rank beside the encoder's matrices (Hu et al. 2022)
    lora_alpha     the products are scaled by lora_alpha / lora_rank
    int8_aware     rounds weights and activations in the forward pass as the int8 graph does; see fake_int8.py
    adversarial    length of the worst step of the word embeddings, at which a second loss is added (Miyato et al. 2017)
    r_drop         weight of the divergence of two passes with different dropout masks (Liang et al. 2021)
    token_masking  share of tokens that [MASK] replaces, drawn anew in each step; labels stay
    word_mixing    mixes words of mentions with others of the same labels inside the encoder, with shares from a Beta
                   distribution of this parameter (entities only); see word_mixing.py
    early_exit     the layer behind which tokens that are plainly outside every entity leave half of the batches, 0 for
                   none (entities only); see early_exit.py
    average        decay of the running mean of the weights, which is validated and kept instead of the last ones
    schedule       after the warm-up the rate falls linearly to 0, or with the root of the step (Vaswani et al. 2017)
    beta2, epsilon of Adam
    min_steps      the least number of batches; small data are read in more epochs until it is reached
    patience       stops after this many epochs without a better validation score
    mlflow         the address of an MLflow server or database, as "sqlite:///runs.db" or "http://host:5000"
    """

    epochs: int = Field(0, ge=0)
    tokens: int = Field(0, ge=0)
    stages: tuple[Stage, ...] = (Stage(until=1.0, length=128),)
    evaluate_every: int = Field(0, ge=0)
    workers: int | None = Field(None, ge=0)
    learning_rate: float = Field(gt=0)
    head_learning_rate: float | None = Field(None, gt=0)
    token_budget: int = Field(2048, ge=16)
    micro_budget: int | None = Field(None, ge=1)
    gradient_checkpointing: bool = False
    out_of_memory: Literal["stop", "halve"] = "stop"
    warmup: float = Field(0.1, ge=0, le=1)
    weight_decay: float = Field(0.01, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    seed: int = 42
    precision: PrecisionName = "auto"
    device: DeviceName = "auto"
    compile: bool = False
    sharding: Literal["none", "full"] = "none"
    select: Literal["best", "last"] = "best"
    checkpoint_minutes: float = Field(5.0, gt=0)
    layer_decay: float = Field(1.0, gt=0, le=1)
    frozen_layers: int = Field(0, ge=0)
    lora_rank: int = Field(0, ge=0)
    lora_alpha: float = Field(16.0, gt=0)
    int8_aware: bool = False
    adversarial: float = Field(0.0, ge=0)
    r_drop: float = Field(0.0, ge=0)
    token_masking: float = Field(0.0, ge=0, lt=1)
    word_mixing: float = Field(0.0, ge=0)
    early_exit: int = Field(0, ge=0)
    average: float = Field(0.0, ge=0, lt=1)
    schedule: Literal["linear", "inverse_sqrt"] = "linear"
    beta2: float = Field(0.999, gt=0, lt=1)
    epsilon: float = Field(1e-8, gt=0)
    min_steps: int = Field(0, ge=0)
    patience: int | None = Field(None, ge=1)
    mlflow: str | None = None

    @model_validator(mode="after")
    def _has_an_end(self) -> Training:
        if bool(self.epochs) == bool(self.tokens):
            raise ValueError("give training.epochs, 1 or more, or training.tokens for pretraining")
        ends = [stage.until for stage in self.stages]
        if not ends or ends != sorted(set(ends)) or ends[-1] != 1.0:
            raise ValueError("training.stages must have rising `until` values, the last of them 1.0")
        return self


class Mixing(Fields):
    """How several tasks share a run, and how two records and their targets are mixed.

    temperature  a task with n tokens is drawn in proportion to n ** (1 / temperature): 1 draws tasks by their size, above 1
                 small tasks are drawn more often (Devlin 2018; Raffel et al. 2020, section 3.5.2)
    loss         "fixed" weighs losses by each task's `weight`; "uncertainty" learns a weight (Kendall et al. 2018)
    mixup        alpha of the beta distribution of the shares (Zhang et al. 2018, equation 1), 0 for none; works for single
                 labels and numbers, and for vectors of one length
    cutmix       the same for a box of patches, or a stretch of time, of the other record (Yun et al. 2019, equation 1)
    """

    temperature: float = Field(1.0, ge=1)
    loss: Literal["fixed", "uncertainty"] = "fixed"
    mixup: float = Field(0.0, ge=0)
    cutmix: float = Field(0.0, ge=0)


ModelSection = TypeVar("ModelSection", bound=Fields, default=Model)


class Recipe(Fields, Generic[ModelSection]):
    """A run: a model learns one or several tasks. What `[model]` may say depends on the kind of the tasks.

    A recipe with one task may write its table outside `[[tasks]]`: entities as `[entities]` and `[[corpora]]`, what is not
    text as `[target]`, with its files in `[data]`; translation, with `task = "translation"`, in `[data]` alone;
    pretraining as `[masking]`, `[data]` and `[[corpora]]` that have a path.

    model   the base of the model, and its sizes
    input   how the records of a task over something else than text become sequences; `[modality]` is the same
    """

    name: str
    description: str = ""
    licence: str = ""
    input: AnyModality | None = Field(None, validation_alias=AliasChoices("modality", "input"))
    model: ModelSection
    data: Data = Data()
    tasks: list[TaskTable] = Field(min_length=1)
    mixing: Mixing = Field(default_factory=lambda: Mixing.model_validate({}))
    distillation: Distillation | None = None
    privacy: Privacy | None = None
    training: Training

    @model_validator(mode="before")
    @classmethod
    def _read_short_forms(cls, values: Any) -> Any:
        return in_full(values)

    @model_validator(mode="after")
    def _tasks_go_together(self) -> Recipe[ModelSection]:
        names = [table.name for table in self.tasks]
        if len(set(names)) < len(names):
            raise ValueError("two tasks have the same name")
        if self.kind not in ("text", "text_to_text") and len(names) > 1:
            raise ValueError("several tasks share a run only where all of them read text")
        if any(table.task.trained_by != self.kind for table in self.tasks):
            raise ValueError("tasks over text and others do not share a run")
        if (self.tasks[0].task.data_key == "texts") != bool(self.training.tokens):
            raise ValueError("training.tokens is for pretraining, and training.epochs for all else")
        if (self.input is None) == (self.kind in ("modality", "pairs", "maps")):
            raise ValueError("tasks over something else than text need [modality], and no other task has it")
        return self

    @model_validator(mode="after")
    def _techniques_fit(self) -> Recipe[ModelSection]:
        check_techniques(self, self.kind, [table.task for table in self.tasks])
        if self.privacy is not None:
            if len(self.tasks) > 1:
                raise ValueError("[privacy] is for recipes with one task")
            self.tasks[0].check_private()
        return self

    @property
    def kind(self) -> str:
        """The kind of run that trains its tasks, see `Task.trained_by`."""
        return self.tasks[0].task.trained_by

    def path(self, path: str) -> str:
        """Where a file of the recipe's data lies."""
        return self.data.path(path)


# By the kind of run.
RECIPES: dict[str, type[Recipe[Any]]] = {
    "text": Recipe[Model],
    "modality": Recipe[SequenceEncoder],
    "pairs": Recipe[PairEncoder],
    "maps": Recipe[MapEncoder],
    "translation": Recipe[TranslationModel],
    "masked_lm": Recipe[PretrainedModel],
    "span_corruption": Recipe[TextToTextModel],
    "text_to_text": Recipe[TextToTextModel],
}


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe[Any]:
    """Read a recipe of any kind; see `read_recipe`."""
    recipe = read_recipe(_class_of, path, overrides)
    folder = Path(path).parent
    recipe.data._recipe_folder = folder
    update: dict[str, Any] = {
        "tasks": [table.model_copy(update={"corpora": with_paths(table.corpora, folder)}) for table in recipe.tasks]
    }
    if getattr(recipe.model, "base", None) and not _is_set("model.base", overrides):
        base = from_folder(recipe.model.base, folder, "model.base")
        update["model"] = recipe.model.model_copy(update={"base": base})
    if recipe.distillation is not None and not _is_set("distillation.teacher", overrides):
        named = recipe.distillation.teacher
        several = [
            from_folder(path, folder, "distillation.teacher") for path in ([named] if isinstance(named, str) else named)
        ]
        teacher = several[0] if isinstance(named, str) else several
        update["distillation"] = recipe.distillation.model_copy(update={"teacher": teacher})
    return recipe.model_copy(update=update)


def _is_set(key: str, overrides: Sequence[str]) -> bool:
    """Whether the command line gives a key: paths that are written there start from where they are written."""
    return any(item.partition("=")[0].strip() == key for item in overrides)


def parse_recipe(values: dict[str, Any], source: str) -> Recipe[Any]:
    """A recipe from parsed values; see `parse`."""
    return parse(_class_of(values, source), values, source)


def _class_of(values: Mapping[str, Any], source: str) -> type[Recipe[Any]]:
    """The class of a recipe with these values. Raises InputError for a `task` that there is not."""
    if (named := values.get("task", NAMES[0])) not in NAMES:
        raise InputError(f"{source}: task is {named!r}; a recipe can train {', '.join(NAMES)}")
    tables = in_full(values).get("tasks")
    table = tables[0] if isinstance(tables, list) and tables and isinstance(tables[0], Mapping) else {}
    try:
        run = task_class(str(table.get("kind"))).trained_by
    except ValueError:  # which the recipe itself reports
        run = "modality" if {"input", "modality"} & set(values) else "text"
    return RECIPES.get(run, Recipe[Model])
