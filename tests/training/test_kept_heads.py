"""A run that goes on from a model of entities keeps the heads of the types that it shares with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from textome.encoders.bert.model import BertConfig
from textome.encoders.checkpoint import to_hugging_face
from textome.encoders.heads import TaskModel
from textome.tasks import Task
from textome.tasks.classification import Classification
from textome.tasks.entities import Entities
from textome.tasks.relations import Relations
from textome.tasks.spans.iob import LABELS
from textome.training.bundles import read_config, read_weights
from textome.training.finetune import finetune
from textome.training.recipe import load_recipe
from textome.training.techniques.kept_heads import load_base
from tiny import CONFIG as TINY
from tiny import make_recipe

CONFIG = BertConfig.from_dict(TINY | {"vocab_size": 50, "initializer_range": 0.02})


def _written(folder: Path, tasks: dict[str, Task[Any, Any]]) -> dict[str, torch.Tensor]:
    """A bundle whose heads have rows that are all different; returns its tensors."""
    folder.mkdir()
    model = TaskModel(CONFIG, {name: task.head_shape for name, task in tasks.items()})
    labels = {str(number): str(number) for number in range(next(iter(tasks.values())).head_shape.num_labels)}
    (folder / "config.json").write_text(json.dumps(TINY | {"id2label": labels}))
    (folder / "tokenizer.json").write_text("{}")
    entries = {name: task.model_dump(mode="json") for name, task in tasks.items()}
    description = {"format_version": 2, "name": "base", "input": {"kind": "text", "window": 32}, "tasks": entries}
    (folder / "textome.json").write_text(json.dumps(description))
    return to_hugging_face(model)


def _loaded(
    folder: Path, tensors: dict[str, torch.Tensor], tasks: dict[str, Task[Any, Any]], fresh: bool = False
) -> Any:
    model = TaskModel(CONFIG, {name: task.head_shape for name, task in tasks.items()})
    return model, *load_base(model, tasks, folder, TINY, tensors, fresh)


@pytest.mark.parametrize("old", [["Disease"], ["Chemical", "Disease"], ["Disease", "Gene", "Chemical"]])
@pytest.mark.parametrize("new", [["Disease"], ["Disease", "Chemical"], ["Variant", "Chemical", "Disease", "Gene"]])
def test_each_shared_type_keeps_its_rows_wherever_they_stand(tmp_path: Path, old: list[str], new: list[str]) -> None:
    tensors = _written(tmp_path / "base", {"entities": Entities(types=tuple(old))})
    model, kept, fresh = _loaded(tmp_path / "base", tensors, {"entities": Entities(types=tuple(new))})
    assert kept == [name for name in new if name in old]
    assert fresh == [name for name in new if name not in old]
    for name in ("weight", "bias"):
        there = tensors[f"classifier.{name}"].split(len(LABELS))
        here = getattr(model.heads.entities.classifier, name).data.split(len(LABELS))
        for at, kind in enumerate(new):
            assert kind not in old or torch.equal(here[at], there[old.index(kind)])


def test_a_linear_head_goes_on_as_a_chain_that_gives_the_same(tmp_path: Path) -> None:
    """Its scores of a label are the same whatever label was before, so both heads find the same entities."""
    tensors = _written(tmp_path / "base", {"entities": Entities(types=("Disease", "Gene"))})
    model, kept, fresh = _loaded(tmp_path / "base", tensors, {"entities": Entities(types=("Gene", "Cell"), head="crf")})
    assert (kept, fresh) == (["Gene"], ["Cell"])
    weight = model.heads.entities.classifier.weight.data.view(2, len(LABELS), len(LABELS), -1)
    assert all(torch.equal(rows, tensors["classifier.weight"][len(LABELS) :]) for rows in weight[0])


def test_a_chain_does_not_go_on_as_a_linear_head(tmp_path: Path) -> None:
    tensors = _written(tmp_path / "base", {"entities": Entities(types=("Disease",), head="crf")})
    _, kept, fresh = _loaded(tmp_path / "base", tensors, {"entities": Entities(types=("Disease",))})
    assert (kept, fresh) == ([], ["Disease"])


def test_heads_of_any_task_go_on_with_their_labels(tmp_path: Path) -> None:
    base = {
        "topic": Classification(labels=("a", "b", "c")),
        "treats": Relations(labels=("treats",)),
        "other": Classification(labels=("x", "y")),
    }
    tensors = _written(tmp_path / "base", base)
    tasks = {
        "topic": Classification(labels=("c", "d", "a")),
        "treats": Relations(labels=("causes", "treats")),
        "other": Relations(labels=("x", "y")),
    }
    model, kept, fresh = _loaded(tmp_path / "base", tensors, tasks)
    assert kept == ["c", "a", "none", "treats"]
    assert fresh == ["d", "causes", "x", "y"]
    head = model.heads.topic
    assert torch.equal(head.dense.weight.data, tensors["heads.topic.dense.weight"])
    assert torch.equal(head.classifier.weight.data[[0, 2]], tensors["heads.topic.classifier.weight"][[2, 0]])
    assert torch.equal(model.heads.treats.classifier.bias.data[[0, 2]], tensors["heads.treats.classifier.bias"][[0, 1]])


def test_nothing_goes_on_where_it_is_not_wanted_or_there_is_nothing(tmp_path: Path) -> None:
    tasks: dict[str, Task[Any, Any]] = {"entities": Entities(types=("Disease",))}
    tensors = _written(tmp_path / "base", tasks)
    for folder, fresh in ((tmp_path / "base", True), (tmp_path / "plain", False)):
        model, kept, new = _loaded(folder, tensors, tasks, fresh)
        assert (kept, new) == ([], ["Disease"])
        assert not torch.equal(model.heads.entities.classifier.weight.data, tensors["classifier.weight"])


def test_a_new_type_costs_the_others_nothing(tmp_path: Path, tiny_bundle: Path) -> None:
    """After steps too small to learn anything, the shared types are found as well as before, in whatever order."""
    path = make_recipe(tmp_path, epochs=1, learning_rate=1e-9, warmup=0.0)
    overrides = [f"model.base={tiny_bundle}", "entities.types=['Chemical', 'Variant', 'Disease']"]
    told: list[dict[str, object]] = []
    bundle = finetune(load_recipe(path, overrides), tmp_path / "kept", report=told.append)
    heads = next(item for item in told if item["event"] == "heads")
    assert (heads["kept"], heads["new"]) == (["Chemical", "Disease"], ["Variant"])
    scores = json.loads((bundle / "textome.json").read_text())["provenance"]["validation"][0]
    assert min(scores.values()) > 0.9
    before = read_weights(tiny_bundle, read_config(tiny_bundle))["classifier.weight"].split(3)
    after = load_file(bundle / "model.safetensors")["classifier.weight"].split(3)
    assert torch.allclose(after[0], before[1], atol=1e-4)
    assert torch.allclose(after[2], before[0], atol=1e-4)

    anew = finetune(load_recipe(path, [*overrides, "model.heads=fresh"]), tmp_path / "fresh", report=told.append)
    scores = json.loads((anew / "textome.json").read_text())["provenance"]["validation"][0]
    assert max(scores.values()) < 0.5


@pytest.mark.parametrize(
    ("overrides", "head"), [([], "crf"), (["entities.head=linear"], "linear"), (["model.heads=fresh"], "linear")]
)
def test_a_recipe_without_a_head_goes_on_with_that_of_its_base(tmp_path: Path, overrides: list[str], head: str) -> None:
    path = make_recipe(tmp_path, epochs=1, learning_rate=1e-9, warmup=0.0)
    base = finetune(load_recipe(path, ["entities.head=crf"]), tmp_path / "first")
    told: list[dict[str, object]] = []
    bundle = finetune(load_recipe(path, [f"model.base={base}", *overrides]), tmp_path / "next", report=told.append)
    assert json.loads((bundle / "textome.json").read_text())["tasks"]["entities"]["head"] == head
    kept = [event["kept"] for event in told if event["event"] == "heads"]
    assert kept == ([["Disease", "Chemical"]] if head == "crf" else kept)
    assert head == "crf" or not any(kept)
