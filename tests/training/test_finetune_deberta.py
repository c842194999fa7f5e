"""A DeBERTa encoder named in a recipe is trained, saved and read by `transformers`."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

from one_model import entities_of
from textome.encoders.build import read_encoder_config
from textome.encoders.checkpoint import load_tensors, to_hugging_face
from textome.encoders.deberta.model import Deberta, DebertaConfig
from textome.encoders.heads import TokenClassifier
from textome.encoders.layers.packing import Layout
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.training.finetune import finetune
from textome.training.recipe import load_recipe
from tiny import make_recipe


def test_entities_with_deberta(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=3)
    base = tmp_path / "base"
    values = json.loads((base / "config.json").read_text()) | {
        "model_type": "deberta-v2",
        "relative_attention": True,
        "position_buckets": 8,
        "share_att_key": True,
        "pos_att_type": "p2c|c2p",
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "type_vocab_size": 0,
    }
    (base / "config.json").write_text(json.dumps(values))
    torch.manual_seed(1)
    save_file(to_hugging_face(Deberta(DebertaConfig.from_dict(values))), base / "model.safetensors")

    bundle = finetune(load_recipe(path), tmp_path / "run")
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [record["loss"] for record in records if "loss" in record]
    assert losses[-1] < 0.5  # guessing one of three labels costs ln 3 = 1.1

    theirs = transformers.DebertaV2ForTokenClassification.from_pretrained(bundle).eval()
    config = json.loads((bundle / "config.json").read_text())
    assert config["architectures"] == ["DebertaV2ForTokenClassification"]
    ours = TokenClassifier(read_encoder_config(config), 6).eval()
    load_tensors(ours, load_file(bundle / "model.safetensors"), "bundle")
    input_ids = torch.arange(5, 25)
    with torch.no_grad():
        difference = ours(input_ids, Layout.of([20])) - theirs(input_ids[None]).logits[0]
    assert difference.abs().max() < 1e-4
    export_bundle(Bundle.load(bundle), bundle, "int8")
    document = entities_of(bundle).annotate("aspirin is given for gout .")
    assert {(entity.text, entity.type) for entity in document.entities} >= {("gout", "Disease")}
