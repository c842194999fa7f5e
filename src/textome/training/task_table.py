"""The `[[tasks]]` of a recipe: a task's own fields, and beside them the data that it learns from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from textome.settings import Fields
from textome.tasks import AnyTask, kind_named, task_class
from textome.tasks.spans.mentions import MentionTask


class Corpus(Fields):
    """A corpus and the types that it annotates everywhere: `types` maps its labels to the model's types.

    repeat            how many times a sentence is read in an epoch
    replace_mentions  the share of mentions that another name of their type replaces; later readings then hold only
                      sentences with mentions; names come from the training part and from `lexicon`
    lexicon           files with more names, one on each line, by the model's type; relative to the recipe's folder
    back_translation  the folders of two translation bundles, for the way there and back; relative to the recipe's folder
    back_translate    the share of stretches outside mentions that are translated there and back
    synonyms          a file with a set of synonyms on each line; relative to the recipe's folder
    replace_synonyms  the share of these words, outside mentions, that another word of their set replaces
    drop_words        the share of words outside mentions that are left out
    join              how many sentences, drawn at random, form one text
    All changes affect every reading but the first.
    """

    name: str
    train: list[str]
    validation: list[str] = Field(default_factory=list)
    test: list[str] = Field(default_factory=list)
    format: str = "conll"
    entity_type: str | None = None
    types: dict[str, str]
    repeat: int = Field(1, ge=1)
    replace_mentions: float = Field(0.0, ge=0, le=1)
    lexicon: dict[str, str] = Field(default_factory=dict)
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


class Source(Fields):
    """A corpus made by `textome preprocess`. `weight` is its share of the sequences, relative to the other weights; without
    weights corpora are drawn by their size."""

    path: str
    name: str = ""
    weight: float | None = Field(None, gt=0)


class TaskTable(Fields):
    """A task, and the data that it learns from.

    name    of the task and of its head, in letters, digits, - and _
    train, validation, test   files of the task's layout; `PATH#RULE` selects records (see datasets.labelled). Training
                              texts that also occur in a test file are left out
    layout  of the files; by default the first one of the task
    more    further training files by their layout, with the same labels
    corpora for entities, in place of `train`: each annotates some of the types
    texts   for pretraining, in place of `train`: corpora made by `textome preprocess`
    weight  of the task's loss relative to other tasks
    shots   the number of training records of each class, drawn by the seed
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    task: AnyTask
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    layout: str | None = None
    more: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    corpora: list[Corpus] = Field(default_factory=list)
    texts: list[Source] = Field(default_factory=list)
    weight: float = Field(1.0, gt=0)
    shots: int | None = Field(None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _split(cls, values: Any) -> Any:
        """A table has the fields of both; those that are not the data's are the task's."""
        if not isinstance(values, dict) or "task" in values:
            return values
        values = {{"format": "layout"}.get(key, key): value for key, value in values.items()}
        task = {key: values.pop(key) for key in list(values) if key not in cls.model_fields}
        kind = kind_named(str(task.get("kind")))
        own_name = {"name": kind} if issubclass(task_class(kind), MentionTask) else {}
        return own_name | values | {"task": task | {"kind": kind}}

    @model_validator(mode="after")
    def _data_fit(self) -> Self:
        needed = "corpora" if isinstance(self.task, MentionTask) else self.task.data_key
        if [key for key in ("train", "corpora", "texts") if getattr(self, key)] != [needed]:
            needed = "[[tasks.corpora]]" if needed == "corpora" else needed
            raise ValueError(f"task {self.name!r} needs {needed}, and has no other training data")
        if 0 < sum(source.weight is not None for source in self.texts) < len(self.texts):
            raise ValueError("give a weight to every corpus or to none")
        layouts = self.task.layouts
        for layout in (self.layout, *self.more):
            if layout is not None and layouts and layout not in layouts:
                raise ValueError(f"layout {layout!r} is none of a {self.task.kind} task: {', '.join(layouts)}")
        for corpus in self.corpora:
            self._check_types(corpus)
        return self

    def check_private(self) -> None:
        """Raises ValueError for what would tell of single records beside the gradients."""
        for name in ("shots", "more"):
            if getattr(self, name):
                raise ValueError(f"{name} does not go with [privacy]; leave it out")
        for name in ("contrastive", "negative_ratio"):
            if getattr(self.task, name, None):
                raise ValueError(f"{name} does not go with [privacy]; leave it out")
        if any(corpus.repeat > 1 for corpus in self.corpora):
            raise ValueError("repeat and changed readings of a corpus do not go with [privacy]; leave them out")
        if getattr(self.task, "class_weights", "none") != "none":
            raise ValueError("class_weights are counted in the training data, so they do not go with [privacy]")
        if not self.task.label_names:
            raise ValueError("[privacy] needs the labels of the task, which else are read from the training data")

    def _check_types(self, corpus: Corpus) -> None:
        assert isinstance(self.task, MentionTask)
        lexicons = ((path, kind) for kind, path in corpus.lexicon.items())
        for label, name in [*corpus.types.items(), *lexicons]:
            if name not in self.task.types:
                raise ValueError(
                    f"corpus {corpus.name!r} maps {label!r} to {name!r}, which is not in {self.name}.types"
                )


def with_paths(corpora: Sequence[Corpus], folder: Path) -> list[Corpus]:
    """Corpora whose lists and models can be read from anywhere; a recipe names them from its own `folder`."""
    return [
        corpus.model_copy(
            update={
                "lexicon": {kind: str(folder / path) for kind, path in corpus.lexicon.items()},
                "synonyms": corpus.synonyms and str(folder / corpus.synonyms),
                "back_translation": [str(folder / path) for path in corpus.back_translation],
            }
        )
        for corpus in corpora
    ]
