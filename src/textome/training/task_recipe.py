"""Recipes of classification, relations and question answering: one task, or several over one encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from textome.errors import InputError
from textome.training.recipe import (
    Corpus,
    Data,
    Entities,
    Model,
    Privacy,
    Recipe,
    Section,
    Training,
    read_recipe,
    with_lexicons,
)

Layout = Literal["tsv", "jsonl", "hallmarks", "pubmedqa", "pubmedqa-long", "entailment", "yesno"]


class _Part(Section):
    """What every task of a recipe has.

    name    of the task and of its head, in letters, digits, - and _
    train, validation, test   files of the task's layout; `PLACE#RULE` takes a part (see formats.labelled). Training texts
                              that stand in a test file are left out
    weight  of the loss beside the other tasks' losses
    shots   so many training records of each class, drawn by the seed, and no more
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    train: list[str] = Field(min_length=1)
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    weight: float = Field(1.0, gt=0)
    shots: int | None = Field(None, ge=1)


class ClassificationPart(_Part):
    """Texts or pairs of texts; see formats.labelled for `layout`.

    labels         in the order of the model's outputs; empty: those of the training data in alphabetical order
    negative       labels that mean "nothing" and do not count in F1
    more           further training files by their layout, with the same labels
    markers        words that mark what the label is about, as "@GENE$": their states are joined to that of [CLS]
    class_weights  "balanced" weighs a class by 1 / its frequency, so that rare ones count as much
    focal          gamma of the focal loss (Lin et al. 2017), which turns the loss to what is still hard; 0 is cross-entropy
    contrastive    the share of the loss that draws texts of one class together and apart from the others in their batch,
                   before the last layer (Gunel et al. 2021, equations 1 to 3); helps where there are few examples
    """

    kind: Literal["classification"]
    layout: Layout
    more: dict[Layout, tuple[str, ...]] = Field(default_factory=dict)
    labels: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    multi_label: bool = False
    markers: tuple[str, ...] = ()
    class_weights: Literal["none", "balanced"] = "none"
    focal: float = Field(0.0, ge=0)
    contrastive: float = Field(0.0, ge=0, lt=1)
    metric: Literal["accuracy", "micro_f1", "macro_f1", "weighted_f1", "example_f1"] = "micro_f1"

    @model_validator(mode="after")
    def _one_class_each(self) -> ClassificationPart:
        if self.contrastive and self.multi_label:
            raise ValueError("contrastive needs texts of one class each, so it does not go with multi_label")
        return self


class SentencesPart(_Part):
    """Sentences in their abstract, each with one label."""

    kind: Literal["sentences"]
    layout: Literal["sentences"] = "sentences"
    labels: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    class_weights: Literal["none", "balanced"] = "none"
    focal: float = Field(0.0, ge=0)
    metric: Literal["accuracy", "micro_f1", "macro_f1", "weighted_f1"] = "weighted_f1"


class RelationsPart(_Part):
    """Relations between the entities of documents in one of the formats; see tasks.relation.

    labels          the relation types, other relations of the data are left out
    none            the label of pairs without a relation; no such label with `multi_label`
    pairs           [head type, tail type] of entities that may be related; empty: any two
    split           false where each passage of the data is one sentence
    negative_ratio  at most so many training pairs without a relation for each with one, drawn by the seed
    one_pass        a text is read once for all its pairs, which makes documents with many pairs many times as fast
    """

    kind: Literal["relations"]
    format: str
    labels: tuple[str, ...] = Field(min_length=1)
    none: str = "none"
    pairs: tuple[tuple[str, str], ...] = ()
    scope: Literal["sentence", "document"] = "sentence"
    directed: bool = False
    split: bool = True
    multi_label: bool = False
    negative_ratio: float | None = Field(None, gt=0)
    one_pass: bool = False
    class_weights: Literal["none", "balanced"] = "none"
    focal: float = Field(0.0, ge=0)
    metric: Literal["micro_f1", "macro_f1", "weighted_f1"] = "micro_f1"

    @property
    def negative(self) -> tuple[str, ...]:
        """The labels that do not count."""
        return () if self.multi_label else (self.none,)


class AnswersPart(_Part):
    """Questions whose answers are spans of texts; see formats.questions for `layout`, and tasks.question_answering.

    longest   the most words of an answer
    """

    kind: Literal["answers"]
    layout: Literal["squad", "bioasq-factoid", "bioasq-list"]
    longest: int = Field(12, ge=1)
    metric: Literal["exact_match", "f1", "strict", "lenient", "mrr", "list_f1"] = "f1"
    negative: tuple[str, ...] = ()


class EntitiesPart(Section):
    """Entities, from one or several corpora that each annotate some of `types`; as in a recipe for entities alone.

    name   always "entities", by which the bundle finds the head again
    """

    kind: Literal["entities"]
    name: Literal["entities"] = "entities"
    types: list[str] = Field(min_length=1)
    default_types: list[str] = Field(default_factory=list)
    exclusive: list[list[str]] = Field(default_factory=list)
    corpora: list[Corpus] = Field(min_length=1)
    weight: float = Field(1.0, gt=0)
    metric: Literal["entity_f1"] = "entity_f1"
    negative: tuple[str, ...] = ()


Part = Annotated[
    ClassificationPart | SentencesPart | RelationsPart | AnswersPart | EntitiesPart, Field(discriminator="kind")
]


class Mixing(Section):
    """How several tasks share a run.

    temperature  a task with n tokens is drawn in proportion to n ** (1 / temperature): 1 as often as it is large, more
                 raises the small ones (Devlin 2018; Raffel et al. 2020, section 3.5.2)
    loss         "fixed" weighs losses by each task's `weight`; "uncertainty" learns a weight (Kendall et al. 2018)
    """

    temperature: float = Field(1.0, ge=1)
    loss: Literal["fixed", "uncertainty"] = "fixed"


class TaskRecipe(Section):
    """A fine-tuning run for one or several tasks over one encoder."""

    task: Literal["tasks"] = "tasks"
    name: str
    description: str = ""
    licence: str = ""
    model: Model
    data: Data = Data()
    tasks: list[Part] = Field(min_length=1)
    mixing: Mixing = Mixing(temperature=1.0)
    privacy: Privacy | None = None
    training: Training

    @model_validator(mode="after")
    def _privacy_holds(self) -> TaskRecipe:
        if self.privacy is not None:
            self.privacy.check(self.training)
            if len(self.tasks) > 1 or isinstance(self.tasks[0], EntitiesPart):
                raise ValueError("[privacy] is for recipes with one task")
            for name in ("shots", "contrastive", "negative_ratio", "more"):
                if getattr(self.tasks[0], name, None):
                    raise ValueError(f"{name} does not go with [privacy]; leave it out")
            if getattr(self.tasks[0], "class_weights", "none") != "none":
                raise ValueError("class_weights are counted in the training data, so they do not go with [privacy]")
            if not getattr(self.tasks[0], "labels", True):
                raise ValueError("[privacy] needs the labels of the task, which else are read from the training data")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> TaskRecipe:
        for name in ("token_masking", "word_mixing"):
            if getattr(self.training, name):
                raise ValueError(f"training.{name} is for recipes for entities alone")
        names = [part.name for part in self.tasks]
        if len(set(names)) < len(names):
            raise ValueError("two tasks have the same name")
        for part in self.tasks:
            if isinstance(part, EntitiesPart):
                self.for_entities(part)  # checks that every corpus maps to known types
                if len(self.tasks) == 1:
                    raise ValueError("entities alone have a recipe of their own, with [entities] and [[corpora]]")
            elif part.name == "entities":
                raise ValueError('the name "entities" is for a task of that kind')
        return self

    def for_entities(self, part: EntitiesPart) -> Recipe:
        """The recipe that would train the entities alone."""
        entities = Entities(types=part.types, default_types=part.default_types, exclusive=part.exclusive)
        return Recipe(
            name=self.name,
            model=self.model,
            data=self.data,
            entities=entities,
            corpora=part.corpora,
            training=self.training,
        )

    def path(self, place: str) -> str:
        """Where a file of the recipe's data lies."""
        return self.data.path(place)


def load_task_recipe(path: Path, overrides: Sequence[str] = ()) -> TaskRecipe:
    """Read a recipe with `[[tasks]]`; see `read_recipe`."""
    recipe = read_recipe(TaskRecipe, path, overrides, "TEXTOME_DATA")
    if not recipe.tasks:
        raise InputError(f"{path}: there is no task")
    tasks = [
        part.model_copy(update={"corpora": with_lexicons(part.corpora, path.parent)})
        if isinstance(part, EntitiesPart)
        else part
        for part in recipe.tasks
    ]
    return recipe.model_copy(update={"tasks": tasks})
