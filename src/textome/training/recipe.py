"""Recipes: TOML files that describe a whole run, checked strictly.

An unknown key is an error that names the nearest valid one. Paths in a recipe are relative to `data.root`, which is
relative to the recipe's own folder; the environment variable TEXTOME_DATA takes its place where it is set. A path of
training data that begins with `./` or `../` is relative to the recipe's folder instead.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from textome.errors import InputError
from textome.tasks.entities import Entities

# What of a recipe no bundle tells: where the data lay, and where the run was watched.
_NOT_TOLD: Any = {"data": {"root"}, "training": {"mlflow"}}
DeviceName = Literal["auto", "cpu", "cuda", "mps", "xla"]
PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]


class Section(BaseModel):
    """A table of a recipe: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Kind = TypeVar("Kind", bound=Section)


def told(recipe: Section) -> dict[str, Any]:
    """A recipe as a bundle records it: without folders of this machine, which are nobody else's business."""
    values: dict[str, Any] = recipe.model_dump(mode="json", exclude=_NOT_TOLD)
    for name in ("base", "tokenizer"):
        place = values["model"].get(name)
        if place and Path(place).is_absolute():
            values["model"][name] = "/".join(Path(place).parts[-2:])
    return values


class Model(Section):
    """`base` is a directory in the Hugging Face layout, or `package:NAME/FOLDER` inside an installed package; of its layers
    so many as `layers` says are kept, the last one and the others evenly below it, and of each layer the `attention_heads`,
    and the `intermediate_size` neurons of the feed-forward part, with the largest weights.

    heads   of a base that finds entities: "kept", those of types that the recipe has too go on, or "fresh", all begin
            anew (entities only)
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

    def path(self, place: str) -> str:
        """A path of the recipe as seen from the folder of the process."""
        return str((self._recipe_folder if place.startswith(("./", "../")) else Path(self.root)) / place)


class Corpus(Section):
    """A corpus and the types that it annotates everywhere: `types` maps its labels to the model's types.

    repeat            how many times a sentence is read in an epoch
    replace_mentions  the share of mentions that are replaced by other names of their type in every reading but the first,
                      which then holds only sentences with mentions; names are those of the training part and of `lexicon`
    lexicon           files with more names, one a line, by the model's type; relative to the recipe's folder
    back_translation  the folders of two translation bundles, there and back; relative to the recipe's folder
    back_translate    the share of stretches outside mentions that are translated there and back
    synonyms          a file of sets of words that mean the same; relative to the recipe's folder
    replace_synonyms  the share of these words, outside mentions, that become another of their set
    drop_words        the share of words outside mentions that are left out
    join              so many sentences, drawn at random, become one text
    All from back_translate on, too, concern every reading but the first.
    """

    name: str
    train: list[str]
    validation: list[str] = []
    test: list[str] = []
    format: str = "conll"
    entity_type: str | None = None
    types: dict[str, str]
    repeat: int = Field(1, ge=1)
    replace_mentions: float = Field(0.0, ge=0, le=1)
    lexicon: dict[str, str] = {}
    back_translation: list[str] = Field([], max_length=2)
    back_translate: float = Field(0.0, ge=0, le=1)
    synonyms: str | None = None
    replace_synonyms: float = Field(0.0, ge=0, le=1)
    drop_words: float = Field(0.0, ge=0, lt=1)
    join: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _replacing_needs_another_reading(self) -> Corpus:
        for name in ("replace_mentions", "back_translate", "replace_synonyms", "drop_words"):
            if getattr(self, name) and self.repeat < 2:
                raise ValueError(f"{name} changes every reading but the first, so it needs repeat = 2 or more")
        if self.join > 1 and self.repeat < 2:
            raise ValueError("join changes every reading but the first, so it needs repeat = 2 or more")
        if len(self.back_translation) != 2 * bool(self.back_translate):
            raise ValueError("back_translate needs two models in back_translation, there and back, and they need it")
        if bool(self.replace_synonyms) != (self.synonyms is not None):
            raise ValueError("synonyms and replace_synonyms need each other")
        if self.lexicon and not self.replace_mentions:
            raise ValueError("a lexicon is for replace_mentions, which is not set")
        return self


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
    token_masking  the share of tokens that are hidden, anew in each step; their labels stay (entities only)
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


class Recipe(Section):
    """A fine-tuning run for entities."""

    task: Literal["entities"] = "entities"
    name: str
    description: str = ""
    licence: str = ""
    model: Model
    data: Data = Data()
    entities: Entities
    corpora: list[Corpus] = Field(min_length=1)
    distillation: Distillation | None = None
    privacy: Privacy | None = None
    training: Training

    @model_validator(mode="after")
    def _privacy_holds(self) -> Recipe:
        if self.privacy is not None:
            self.privacy.check(self.training)
            if self.distillation is not None:
                raise ValueError("distillation does not go with [privacy]; leave one of them out")
            if any(corpus.repeat > 1 for corpus in self.corpora):
                raise ValueError("repeat and changed readings of a corpus do not go with [privacy]; leave them out")
        return self

    @model_validator(mode="after")
    def _types_are_known(self) -> Recipe:
        for name in ("r_drop", "word_mixing"):
            if self.distillation is not None and getattr(self.training, name):
                raise ValueError(f"training.{name} and distillation do not go together; leave one of them out")
        known = set(self.entities.types)
        for corpus in self.corpora:
            for label, name in [*corpus.types.items(), *((place, kind) for kind, place in corpus.lexicon.items())]:
                if name not in known:
                    raise ValueError(
                        f"corpus {corpus.name!r} maps {label!r} to {name!r}, which is not in entities.types"
                    )
        return self

    def path(self, place: str) -> str:
        """Where a file of the recipe's data lies."""
        return self.data.path(place)


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a fine-tuning recipe; see `read_recipe`."""
    recipe = read_recipe(Recipe, path, overrides, "TEXTOME_DATA")
    return recipe.model_copy(update={"corpora": with_lexicons(recipe.corpora, Path(path).parent)})


def with_lexicons(corpora: Sequence[Corpus], folder: Path) -> list[Corpus]:
    """Corpora whose lexicons are found from anywhere; they are named from the recipe's `folder`."""
    return [
        corpus.model_copy(
            update={
                "lexicon": {kind: str(folder / place) for kind, place in corpus.lexicon.items()},
                "synonyms": corpus.synonyms and str(folder / corpus.synonyms),
                "back_translation": [str(folder / place) for place in corpus.back_translation],
            }
        )
        for corpus in corpora
    ]


def parse_recipe(values: dict[str, Any], source: str) -> Recipe:
    """A fine-tuning recipe from parsed values; see `parse`."""
    return parse(Recipe, values, source)


def read_recipe(kind: type[Kind], path: str | Path, overrides: Sequence[str], variable: str) -> Kind:
    """Read a recipe and apply overrides such as `training.learning_rate=3e-5` or, of a table with a
    name, `tasks.NAME.weight=2` (values in TOML; bare words are strings).

    variable   the environment variable that takes the place of `data.root` where it is set

    Raises InputError that says which key is wrong and, for an unknown one, which it is likely to be.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: the recipe cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the recipe is not valid TOML ({error})") from error
    for override in overrides:
        _override(values, override)
    data = values.setdefault("data", {})
    if isinstance(data, dict):
        chosen = any(item.startswith("data.root=") for item in overrides)
        root = data.get("root", ".") if chosen else os.environ.get(variable) or data.get("root", ".")
        data["root"] = str((Path() if chosen else path.parent) / str(root))
    recipe = parse(kind, values, str(path))
    if isinstance(places := getattr(recipe, "data", None), Data):
        places._recipe_folder = path.parent
    return recipe


def parse(kind: type[Kind], values: dict[str, Any], source: str) -> Kind:
    """A recipe from parsed values; raises InputError as `read_recipe` does."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{source}: {'; '.join(_explain(kind, item) for item in error.errors()[:5])}") from error


def _named(tables: list[Any], name: str) -> Any:
    """Of tables that stand under one key, as `[[tasks]]`, the one that has this name."""
    return next((table for table in tables if isinstance(table, dict) and table.get("name") == name), None)


def _override(values: Any, override: str) -> None:
    key, equals, value = override.partition("=")
    *parents, last = key.strip().split(".")
    if not equals or not last:
        raise InputError(f"--set {override!r}: expected KEY=VALUE, for instance training.epochs=3")
    for parent in parents:
        inner: Any = _named(values, parent) if isinstance(values, list) else values.setdefault(parent, {})
        if not isinstance(inner, dict | list):
            raise InputError(f"--set {override!r}: {parent!r} is not a table of the recipe")
        values = inner
    if isinstance(values, list):
        raise InputError(f"--set {override!r}: name one of the tables, as {parents[-1]}.NAME.{last}")
    try:
        values[last] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        values[last] = value


def _explain(section: type[BaseModel], error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{place}: {error['msg'].removeprefix('Value error, ')}".removeprefix(": ")
    for part in error["loc"][:-1]:
        if part in getattr(section, "model_fields", {}):  # and no index, or key of a table with free keys
            kind = section.model_fields[part].annotation
            choices = [item for item in getattr(kind, "__args__", ()) if hasattr(item, "model_fields")]
            section = choices[0] if choices else kind  # type: ignore[assignment]
    if not hasattr(section, "model_fields"):
        return f"{place} is not a key of a recipe"
    near = difflib.get_close_matches(str(error["loc"][-1]), list(section.model_fields), n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else f"; valid keys: {', '.join(section.model_fields)}"
    return f"{place} is not a key of a recipe{hint}"
