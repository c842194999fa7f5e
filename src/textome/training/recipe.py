"""The recipe of a fine-tuning run over text: one encoder, and a head for each of one or several tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from textome.training.recipe_files import Section, parse, read_recipe
from textome.training.task_table import TaskTable, with_paths
from textome.training.techniques.matrix import check_techniques

DeviceName = Literal["auto", "cpu", "cuda", "mps", "xla"]
PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]


class Model(Section):
    """`base` is a directory in the Hugging Face layout, or `package:NAME/FOLDER` inside an installed package; of its layers
    so many as `layers` says are kept, the last one and the others evenly below it, and of each layer the `attention_heads`,
    and the `intermediate_size` neurons of the feed-forward part, with the largest weights.

    heads   of a base that has tasks of the recipe: "kept", the labels of both go on, or "fresh", all begin anew
    """

    base: str
    heads: Literal["kept", "fresh"] = "kept"
    layers: int | None = Field(None, ge=1)
    attention_heads: int | None = Field(None, ge=1)
    intermediate_size: int | None = Field(None, ge=1)
    hidden_dropout: float = Field(0.1, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    window: int = Field(512, ge=8)
    overlap: int = Field(128, ge=0)


class Data(Section):
    """Where the corpora lie. With `drop_leaks`, training sentences that stand in any test file are left out."""

    root: str = "."
    drop_leaks: bool = True
    _recipe_folder: Path = PrivateAttr(Path())

    def path(self, path: str) -> str:
        """A path of the recipe as seen from the folder of the process."""
        return str((self._recipe_folder if path.startswith(("./", "../")) else Path(self.root)) / path)


class Distillation(Section):
    """A larger model that teaches; see distillation.py.

    teacher      the folder of its bundle, which knows at least the recipe's types and has the same tokenizer; of several
                 teachers the scores are averaged, and the hidden states are those of the first
    temperature  by which both models' scores are divided before they are compared
    scores       share of the loss that comes from the teacher's scores, the rest from the labels
    states       weight of the distance of the hidden states
    """

    teacher: str | list[str] = Field(min_length=1)
    temperature: float = Field(2.0, gt=0)
    scores: float = Field(0.5, ge=0, le=1)
    states: float = Field(1.0, ge=0)


class Privacy(Section):
    """Differentially private training (Abadi et al. 2016); see privacy.py.

    epsilon, delta    what the run may spend; the noise is then as small as the number of steps allows
    noise_multiplier  the noise instead of `epsilon`: its standard deviation is so many times `max_grad_norm`
    max_grad_norm     to which the gradient of each record is cut
    batch_records     how many records a step draws on average, each by a lot of its own
    accountant        how steps are added up: "prv" (Gopi et al. 2021), or "rdp" (Mironov 2017), which is looser
    """

    delta: float = Field(gt=0, lt=1)
    epsilon: float | None = Field(None, gt=0)
    noise_multiplier: float | None = Field(None, gt=0)
    max_grad_norm: float = Field(1.0, gt=0)
    batch_records: int = Field(ge=1)
    accountant: Literal["prv", "rdp"] = "prv"

    @model_validator(mode="after")
    def _one_of_both(self) -> Privacy:
        if (self.epsilon is None) == (self.noise_multiplier is None):
            raise ValueError("give either epsilon or noise_multiplier")
        return self

    def check(self, training: Training) -> None:
        """Raises ValueError for settings under which the guarantee would not hold, or that do nothing."""
        for name in (
            "adversarial",
            "r_drop",
            "word_mixing",
            "int8_aware",
            "gradient_checkpointing",
            "compile",
            "min_steps",
        ):
            if getattr(training, name):
                raise ValueError(f"training.{name} does not go with [privacy]; leave it out")
        if training.precision == "fp16":
            raise ValueError('training.precision = "fp16" does not go with [privacy]; take fp32 or bf16')


class Training(Section):
    """Sizes and rates. `token_budget` is the number of tokens of one batch; `select` the checkpoint that is kept.

    micro_budget   a batch of more tokens is computed in parts of so many, whose gradients are summed
    gradient_checkpointing   what is inside a layer is computed again in the backward pass, for memory
    out_of_memory  what to do where memory does not suffice: "stop" with advice, or "halve" the micro budget and go on
    compile        PyTorch's compiler joins the small operations of each layer: faster steps after a slow start
    sharding       with several processes, "full" spreads weights, gradients and the optimiser's state over them
    layer_decay    each layer learns at this share of the rate of the one above it (Howard and Ruder 2018)
    frozen_layers  so many layers, from the lowest, and the embeddings keep their weights
    lora_rank      only products of this rank beside the encoder's matrices learn, and the heads (Hu et al. 2022)
    lora_alpha     the products count lora_alpha / lora_rank times
    int8_aware     weights and activations are rounded in the forward pass as the int8 graph will; see fake_int8.py
    adversarial    length of the worst step of the word embeddings on which the loss is taken too (Miyato et al. 2017)
    r_drop         weight of how far two passes with other dropout masks are apart (Liang et al. 2021)
    token_masking  the share of tokens that are hidden, anew in each step; their labels stay
    word_mixing    words of mentions are mixed with others of the same labels inside the encoder, by shares from a Beta
                   distribution of this parameter (entities only); see word_mixing.py
    average        decay of the running mean of the weights, which is validated and kept instead of the last ones
    schedule       after the warm-up the rate falls on a line to 0, or with the root of the step (Vaswani et al. 2017)
    beta2, epsilon of Adam
    min_steps      where the data are few, further epochs follow until so many batches are done
    patience       stop after so many epochs without a better validation score
    mlflow         where MLflow keeps the run's numbers too, as "sqlite:///runs.db" or "http://host:5000"
    """

    epochs: int = Field(ge=1)
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
    average: float = Field(0.0, ge=0, lt=1)
    schedule: Literal["linear", "inverse_sqrt"] = "linear"
    beta2: float = Field(0.999, gt=0, lt=1)
    epsilon: float = Field(1e-8, gt=0)
    min_steps: int = Field(0, ge=0)
    patience: int | None = Field(None, ge=1)
    mlflow: str | None = None

    @model_validator(mode="after")
    def _one_kind_of_weights(self) -> Training:
        for name in ("lora_rank", "compile"):
            if self.int8_aware and getattr(self, name):
                raise ValueError(f"int8_aware and {name} do not go together; leave one of them out")
        return self


class Mixing(Section):
    """How several tasks share a run.

    temperature  a task with n tokens is drawn in proportion to n ** (1 / temperature): 1 as often as it is large, more
                 raises the small ones (Devlin 2018; Raffel et al. 2020, section 3.5.2)
    loss         "fixed" weighs losses by each task's `weight`; "uncertainty" learns a weight (Kendall et al. 2018)
    """

    temperature: float = Field(1.0, ge=1)
    loss: Literal["fixed", "uncertainty"] = "fixed"


class Recipe(Section):
    """A fine-tuning run for one or several tasks over one encoder.

    A recipe with `[entities]` and `[[corpora]]` in place of `[[tasks]]` has the one task of the kind entities.
    """

    task: Literal["tasks"] = "tasks"
    name: str
    description: str = ""
    licence: str = ""
    model: Model
    data: Data = Data()
    tasks: list[TaskTable] = Field(min_length=1)
    mixing: Mixing = Mixing(temperature=1.0)
    distillation: Distillation | None = None
    privacy: Privacy | None = None
    training: Training

    @model_validator(mode="before")
    @classmethod
    def _read_entities_alone(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not {"entities", "corpora"} & set(values):
            return values
        table = values.get("entities", {}) | {"kind": "entities", "corpora": values.get("corpora", [])}
        rest = {key: value for key, value in values.items() if key not in ("entities", "corpora", "task")}
        return rest | {"tasks": [table, *values.get("tasks", [])]}

    @model_validator(mode="after")
    def _names_differ(self) -> Recipe:
        names = [table.name for table in self.tasks]
        if len(set(names)) < len(names):
            raise ValueError("two tasks have the same name")
        return self

    @model_validator(mode="after")
    def _techniques_fit(self) -> Recipe:
        if self.distillation is not None:
            for name in ("r_drop", "word_mixing"):
                if getattr(self.training, name):
                    raise ValueError(f"training.{name} and distillation do not go together; leave one of them out")
        check_techniques(self.training, "text", [type(table.task) for table in self.tasks])
        if self.privacy is not None:
            self.privacy.check(self.training)
            if self.distillation is not None:
                raise ValueError("distillation does not go with [privacy]; leave one of them out")
            if len(self.tasks) > 1:
                raise ValueError("[privacy] is for recipes with one task")
            self.tasks[0].check_private()
        return self

    def path(self, path: str) -> str:
        """Where a file of the recipe's data lies."""
        return self.data.path(path)


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe; see `read_recipe`."""
    recipe = read_recipe(Recipe, path, overrides, "TEXTOME_DATA")
    folder = Path(path).parent
    recipe.data._recipe_folder = folder
    tasks = [table.model_copy(update={"corpora": with_paths(table.corpora, folder)}) for table in recipe.tasks]
    return recipe.model_copy(update={"tasks": tasks})


def parse_recipe(values: dict[str, Any], source: str) -> Recipe:
    """A recipe from parsed values; see `parse`."""
    return parse(Recipe, values, source)
