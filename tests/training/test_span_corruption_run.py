"""A tiny T5 from text to a model that `transformers` loads: vocabulary, corpus, span corruption, resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from typer.testing import CliRunner

from textome.cli.main import application
from textome.corpus.store import write_description, write_shard
from textome.corpus.vocabulary import train_with_sentinels, write_vocabulary
from textome.encoders.layers.packing import Layout
from textome.errors import InputError
from textome.training.finetune import finetune
from textome.training.recipe import load_recipe
from textome.training.text_to_text.model import load_t5
from tiny import make_texts
from training_runs import same_weights, stopped


def make_t5_recipe(folder: Path, **training: object) -> Path:
    """A recipe over a small corpus, which `folder` is given with its vocabulary."""
    documents = make_texts(60)
    tokenizer = train_with_sentinels((sentence for document in documents for sentence in document), 250)
    write_vocabulary(tokenizer, folder / "vocabulary", lowercase=False, sentinels=True)
    write_description(folder / "texts", tokenizer, [write_shard(folder / "texts", 0, documents, tokenizer)], {})
    values = {"tokens": 6000, "learning_rate": 5e-3, "token_budget": 256, "precision": "fp32", "seed": 7} | training
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    path = folder / "pretrain.toml"
    path.write_text(
        f"""
name = "tiny-t5"
[model]
tokenizer = "{folder / "vocabulary"}"
hidden_size = 16
head_size = 8
num_attention_heads = 2
encoder_layers = 1
decoder_layers = 1
intermediate_size = 32
dropout = 0.0
[data]
root = "{folder}"
[[tasks]]
name = "spans"
kind = "span_corruption"
texts = [{{ name = "texts", path = "texts" }}]
held_out = 0.25
[training]
stages = [{{ until = 1.0, length = 32 }}]
"""
        + "\n".join(lines)
    )
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("t5")
    arguments = ["pretrain", str(make_t5_recipe(folder)), "--output", str(folder / "run")]
    result = CliRunner().invoke(application(), arguments)
    assert result.exit_code == 0, result.output
    assert "tokens/s" in result.stderr
    return folder


def scores_of(run: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line["scores"]["texts"] for line in lines if line["event"] == "validation"]


def test_held_out_spans_become_less_surprising(run: Path) -> None:
    first, *_, last = scores_of(run / "run")
    assert last["perplexity"] < first["perplexity"] / 3


def test_transformers_loads_the_model_and_its_vocabulary(run: Path) -> None:
    folder = run / "run" / "model"
    theirs = transformers.T5ForConditionalGeneration.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("aspirin <extra_id_0> headache.", add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_tokens_to_ids("<extra_id_0>") in ids
    ours = load_t5(folder).eval()
    source, target = torch.tensor([*ids, 1]), torch.tensor([0, ids[0], ids[1]])
    with torch.no_grad():
        logits = ours(source, Layout.of([len(source)]), target, Layout.of([3]))
        expected = theirs(input_ids=source[None], decoder_input_ids=target[None]).logits[0]
    assert (logits - expected).abs().max() < 1e-4


def test_a_resumed_run_gives_the_same_weights(run: Path, tmp_path: Path) -> None:
    from textome.training.pretraining.spans import SpanCorruptionJob

    recipe = load_recipe(run / "pretrain.toml", ["training.checkpoint_minutes=0.00001"])
    with stopped(SpanCorruptionJob, "loss", 9):
        finetune(recipe, tmp_path / "run")
    finetune(recipe, tmp_path / "run", resume=True)
    assert same_weights(run / "run" / "model", tmp_path / "run" / "model")


def test_a_model_needs_one_origin(run: Path) -> None:
    with pytest.raises(InputError, match=r"model\.tokenizer for a fresh model"):
        load_recipe(run / "pretrain.toml", ["model.base=default"])
