"""A run that goes on from a model of entities keeps the heads of the types that it shares with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from textome.tasks.iob import LABELS
from textome.training.bundles import label_names, read_config, read_weights
from textome.training.finetune import finetune
from textome.training.kept_heads import keep_heads
from textome.training.recipe import load_recipe
from tiny import make_recipe


def _classifier(types: list[str]) -> tuple[dict[str, torch.Tensor], dict[str, dict[str, str]]]:
    """Rows that are all different, and the configuration that names them."""
    names = label_names(types)
    weight = torch.arange(len(names) * 4, dtype=torch.float32).reshape(len(names), 4)
    tensors = {"classifier.weight": weight, "classifier.bias": weight[:, 0] + 0.5, "bert.x": torch.ones(2)}
    return tensors, {"id2label": {str(number): name for number, name in enumerate(names)}}


@pytest.mark.parametrize("old", [["Disease"], ["Chemical", "Disease"], ["Disease", "Gene", "Chemical"]])
@pytest.mark.parametrize("new", [["Disease"], ["Disease", "Chemical"], ["Variant", "Chemical", "Disease", "Gene"]])
def test_each_shared_type_keeps_its_rows_wherever_they_stand(old: list[str], new: list[str]) -> None:
    tensors, config = _classifier(old)
    found, kept = keep_heads(tensors, config, new)
    assert kept == [name for name in new if name in old]
    assert found["bert.x"] is tensors["bert.x"]
    for name in ("classifier.weight", "classifier.bias"):
        assert len(found[name]) == len(new) * len(LABELS)
        there, here = tensors[name].split(len(LABELS)), found[name].split(len(LABELS))
        for place, kind in enumerate(new):
            if kind in old:
                assert torch.equal(here[place], there[old.index(kind)])
            else:
                assert not torch.equal(here[place], torch.zeros_like(here[place])) or name.endswith("bias")


@pytest.mark.parametrize("new", [[], ["Variant"]])
def test_where_nothing_is_shared_the_classifier_begins_anew(new: list[str]) -> None:
    tensors, config = _classifier(["Disease", "Chemical"])
    found, kept = keep_heads(tensors, config, new)
    assert kept == []
    assert set(found) == {"bert.x"}


def test_a_plain_encoder_has_no_heads_to_keep() -> None:
    found, kept = keep_heads({"bert.x": torch.ones(2)}, {}, ["Disease"])
    assert kept == []
    assert set(found) == {"bert.x"}


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
