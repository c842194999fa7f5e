"""Writes the reference pages that are generated from the code: commands.md, recipes.md, techniques.md, rest.md, and the
table in formats.md.

    python docs/reference/generate.py [--check]

With --check nothing is written; the exit code is 1 where a page is not what the code says.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from typing_extensions import TypeVar

HERE = Path(__file__).resolve().parent
_GENERATED = "<!-- Written by docs/reference/generate.py; do not edit. -->\n"
_GENERATED_END = "<!-- Here ends what is generated. -->\n"
_INTRODUCTION = """
A recipe is a TOML file. These are its tables and keys; any other key is an error that names the nearest. Every value can be
given on the command line: `--set training.epochs=3`. A table that was explained above is not explained again.
"""
_TECHNIQUES = """# Techniques of training and tasks

Printed by `textome finetune --techniques`. A technique that does not work for a task is an error of the recipe, with
the reason.
"""
# The kinds of runs, see `Task.trained_by`.
_RUNS = {
    "text": "Tasks over text",
    "modality": "Images, speech, sensors, DNA and molecules",
    "pairs": "Pairs of two things",
    "maps": "Pixels of images",
    "translation": "Translation",
    "masked_lm": "Pretraining",
    "span_corruption": "Pretraining of text-to-text models",
    "text_to_text": "Text-to-text models",
}
# Keys that mean the same in every table; a class explains those that are its own.
_COMMON = {
    "attention_dropout": "share of attention weights that are dropped in training",
    "attention_heads": "how many of each layer's heads are kept, those with the largest weights",
    "base": "where the weights begin: a folder in the Hugging Face layout, a hub name, `default` for the bundled model, or "
    "`package:NAME/FOLDER` inside an installed package",
    "beta2": "of Adam",
    "checkpoint_minutes": "time between checkpoints; one is written after each epoch too",
    "choices": "the values to try",
    "compile": "PyTorch's compiler joins small operations: for GPUs",
    "data": "overrides of the recipe's data",
    "decoder_layers": "layers of the decoder",
    "description": "one or two sentences for the model card",
    "device": "where to compute; a stopped run may go on with another one",
    "drop_leaks": "leave out training texts that stand in a test file",
    "dropout": "share of activations that are dropped in training",
    "dynamic": "hide other tokens in each reading",
    "encoder_layers": "layers of the encoder",
    "entity_type": "the type of bare tags `B` and `I`",
    "epochs": "how often the training data are read",
    "epsilon": "of Adam",
    "evaluate_every": "steps between two evaluations; 0: at the end only",
    "format": "of the files; `textome convert --help` lists the formats",
    "gradient_checkpointing": "compute what is inside a layer again in the backward pass: less memory, a third more work",
    "head_learning_rate": "of the layers on top of the encoder; by default the same",
    "head_size": "size of each head's queries, keys and values",
    "held_out": "share of each corpus that is kept back for evaluation",
    "held_out_tokens": "the most tokens that are kept back",
    "hidden_dropout": "share of activations that are dropped in training",
    "hidden_size": "size of a token's vector",
    "high": "the greatest value to try",
    "intermediate_size": "neurons of the feed-forward layer",
    "label_smoothing": "share of the target that is spread over all labels",
    "layers": "how many of the base's layers are kept",
    "learning_rate": "the highest, reached after the warm-up",
    "length": "the most tokens of a sequence",
    "licence": "of the weights, for the model card",
    "log": "draw evenly on a logarithmic scale",
    "low": "the least value to try",
    "max_grad_norm": "gradients are scaled down to this norm",
    "micro_budget": "a batch of more tokens is computed in several passes of so many",
    "mlflow": "where MLflow keeps the run's numbers, as `sqlite:///runs.db`",
    "name": "by which the run, the model or the table is known",
    "next_sentence": "also learn whether two sentences follow each other, as the first BERT did",
    "normalize_before": "normalise before each layer instead of after it",
    "num_attention_heads": "heads of attention",
    "overlap": "tokens that two windows of a long text share",
    "path": "of the file or folder",
    "patience": "stop after so many epochs, or trials, without a better score",
    "precision": "of matrix products; auto: bf16 on processors with AMX and on GPUs that have it, else fp32",
    "pretrained": "take the base's weights, and not its sizes alone",
    "probability": "share of tokens that are chosen",
    "root": "the folder that other paths start from; the environment variable `TEXTOME_DATA` takes its place",
    "scope": "a pair is of one sentence, or of the whole document",
    "seed": "of all random draws",
    "select": "keep the weights of the best epoch by validation score, or the last ones",
    "sharding": "with several processes, spread weights and the optimiser's state over them",
    "task": "the kind of the recipe",
    "test": "files whose texts are kept out of training; they score the finished model",
    "token_budget": "tokens of one batch",
    "tokens": "how many to train on in all",
    "train": "files to learn from",
    "types": "from the labels of the files to the types of the model",
    "unit": "what is hidden together: a word, a token, or a span of words",
    "until": "share of the training at which the stage ends",
    "validation": "files that choose the best epoch, the temperature and thresholds",
    "warmup": "share of the steps in which the learning rate rises",
    "weight": "how much it counts beside the others",
    "weight_decay": "of AdamW",
    "wild_type": "the FASTA file of the one protein whose `mutations` a table has, relative to the table's folder",
    "window": "the most tokens that are read at once, special ones included",
    "workers": "processes that prepare batches",
}
# A line of a docstring that explains fields: their names, two or more spaces, the text. Further lines are indented.
_FIELDS = re.compile(r"^([a-z][a-z0-9_]*(?:, [a-z][a-z0-9_]*)*)  +(\S.*)$")


def commands() -> str:
    """The help of every verb as the terminal shows it."""
    os.environ |= {"COLUMNS": "110", "TERM": "dumb", "NO_COLOR": "1"}
    from typer.testing import CliRunner

    from textome.cli.main import VERBS, application

    pages = [_GENERATED, "# Commands\n", "Every verb with its options, as `textome VERB --help` prints them.\n"]
    for name in VERBS:
        result = CliRunner().invoke(application([name]), [name, "--help"], prog_name="textome")
        text = "\n".join(line.rstrip() for line in result.output.strip("\n").splitlines())
        pages.append(f"## {name}\n```text\n{text.strip()}\n```\n")
    return "\n".join(pages)


def recipes() -> str:
    """Every table of every kind of recipe with its keys, from the classes that read recipes."""
    from textome.inputs import AnyModality
    from textome.tasks import TASKS, task_class
    from textome.training.recipe import RECIPES, Recipe
    from textome.training.tuning import Search

    pages = [_GENERATED, "# Recipe keys\n", _INTRODUCTION]
    seen: set[type[BaseModel]] = set()

    def add(title: str, *tables: tuple[str, type[BaseModel]]) -> None:
        pages.append(f"## {title}\n")
        pages.extend(f"### {heading}\n\n{_table(table)}" for heading, table in tables)

    add("Every run", *_tables(Recipe, "top level", seen))
    for kind, recipe in RECIPES.items():
        add(_RUNS[kind], *_tables(recipe.model_fields["model"].annotation, "`[model]`", seen))
    add("Tasks", *((f"Task `{kind}`", task_class(kind)) for kind in TASKS))
    inputs = ((model.model_fields["kind"].default, model) for model in _models(AnyModality))
    add("What is not text", *((f"`[modality]` of kind `{kind}`", model) for kind, model in inputs))
    add("Search for settings", *_tables(Search, "top level", seen))
    return "\n".join(pages)


def _tables(table: type[BaseModel], heading: str, seen: set[type[BaseModel]]) -> Iterator[tuple[str, type[BaseModel]]]:
    """A table and those inside it that were not there yet, each with its heading."""
    if table in seen:
        return
    seen.add(table)
    yield heading, table
    for name, field in table.model_fields.items():
        inside = [item for item in _models(field.annotation) if item.__module__.startswith("textome.training")]
        path = name if heading == "top level" else f"{heading.strip('`[]')}.{name}"
        several = get_origin(field.annotation) in (list, tuple)
        for model in inside:
            yield from _tables(model, f"`[[{path}]]`" if several else f"`[{path}]`", seen)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _table(table: type[BaseModel]) -> str:
    prose, _ = documented(table)
    lines = [prose, "", "| key | value | default | what |", "|---|---|---|---|"]
    for name, field in table.model_fields.items():
        default = f"`{_plain(field.get_default(call_default_factory=True))}`"
        if field.is_required():
            default = "must be given"
        what = explanation(table, name).replace("|", "\\|")
        lines.append(f"| `{name}` | {type_name(field.annotation)} | {default} | {what} |")
    return "\n".join(lines) + "\n"


def explanation(table: type[BaseModel], name: str) -> str:
    """What a key does: from the class's docstring, or what it means everywhere; empty where nothing says it."""
    _, explained = documented(table)
    annotation = table.model_fields[name].annotation
    if name in explained:
        return explained[name]
    if get_origin(annotation) is Literal and len(get_args(annotation)) == 1:
        return "always this"
    if any(_models(annotation)):
        return "see its table"
    return _COMMON.get(name, "")


def documented(table: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """What a class's docstring says of itself, and of each field, those of the classes above it included."""
    explained: dict[str, str] = {}
    for above in reversed(table.__mro__[:-1]):
        if issubclass(above, BaseModel) and above is not BaseModel:
            explained |= dict(_explained(cleandoc(above.__doc__ or "")))
    text = cleandoc(table.__doc__ or "")
    return re.split(r"\n\s*\n", text)[0].replace("\n", " "), explained


def _explained(text: str) -> Iterator[tuple[str, str]]:
    names: list[str] = []
    words: list[str] = []
    for line in [*text.splitlines(), ""]:
        match = _FIELDS.match(line)
        if names and (match or not line.startswith("  ")):
            yield from ((name, " ".join(words)) for name in names)
            names = []
        if match:
            names, words = match[1].split(", "), [match[2]]
        elif names:
            words.append(line.strip())


def type_name(annotation: Any) -> str:
    """The type of a key as a reader of TOML would say it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value!r}`".replace("'", '"') for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(type_name(item) for item in arguments if item is not NoneType)
    if origin in (list, tuple, set, frozenset):
        return f"list of {type_name(arguments[0])}" if arguments else "list"
    if origin is dict:
        return f"table of {type_name(arguments[1])}"
    if isinstance(annotation, TypeVar):
        return "table, of the kind of run"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", Any: "any"}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"table {annotation.__name__.partition('[')[0]}"
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _plain(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "its own defaults"
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)


def techniques() -> str:
    """Which technique of training works for which task."""
    from textome.training.techniques.matrix import matrix

    return f"{_TECHNIQUES}\n{matrix()}"


def formats() -> str:
    """formats.md as it is, with the table between its two marks written anew."""
    from formats_matrix import matrix

    page = (HERE / "formats.md").read_text(encoding="utf-8")
    before, rest = page.split(_GENERATED, 1)
    _, after = rest.split(_GENERATED_END, 1)
    return f"{before}{_GENERATED}\n{matrix()}\n{_GENERATED_END}{after}"


def rest() -> str:
    """The routes of the service."""
    from rest_page import page

    return f"{_GENERATED}\n{page()}"


PAGES = {
    "commands.md": commands,
    "recipes.md": recipes,
    "techniques.md": techniques,
    "formats.md": formats,
    "rest.md": rest,
}


def main() -> None:
    stale = []
    for name, page in PAGES.items():
        text, path = page(), HERE / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if "--check" in sys.argv and stale:
        sys.exit(f"not what the code says: {', '.join(stale)}; run: python docs/reference/generate.py")


if __name__ == "__main__":
    main()
