"""Pretraining end to end on a tiny model: it learns, it can be stopped anywhere, and two processes are as good as one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from processes import run_together
from textome.corpus.store import write_description, write_shard
from textome.errors import InputError
from textome.runtime.bundle import resolve_model
from textome.text.tokenization import Tokenizer
from textome.training.finetune import finetune
from textome.training.recipe import load_recipe
from tiny import make_base, make_pretraining_recipe, make_recipe, make_texts
from training_runs import records, same_weights, stopped


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pretraining")
    recipe = make_pretraining_recipe(folder, tokens=15_000, evaluate_every=6_000, learning_rate=3e-3)
    finetune(load_recipe(recipe), folder / "run")
    return folder / "run"


def test_held_out_text_becomes_less_surprising(run):
    scores = [record["scores"]["texts"] for record in records(run, "validation")]
    assert len(scores) == 4  # at the start, twice on the way, at the end
    assert scores[-1]["perplexity"] < scores[0]["perplexity"] / 5
    assert scores[-1]["accuracy"] > scores[0]["accuracy"]


def test_the_log_tells_speed_and_use_of_the_device(run):
    steps = records(run, "step")
    assert all(record["tokens_per_second"] > 0 and record["utilisation"] > 0 for record in steps)
    assert list((run / "tensorboard").glob("events.*"))


def test_the_encoder_loads_in_transformers_and_in_finetuning(run, tmp_path):
    model = transformers.AutoModelForMaskedLM.from_pretrained(run / "model")
    saved = load_file(run / "model" / "model.safetensors")
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, saved["bert.embeddings.word_embeddings.weight"])
    assert torch.equal(model.cls.predictions.decoder.weight, saved["bert.embeddings.word_embeddings.weight"])
    recipe = load_recipe(make_recipe(tmp_path, epochs=1), [f'model.base="{run / "model"}"'])
    assert finetune(recipe, tmp_path / "run").is_dir()
    provenance = json.loads((run / "model" / "pretraining.json").read_text())
    assert provenance["data"]["texts"]["documents"] == 80
    assert "root" not in provenance["recipe"]["data"]


def test_deberta_is_pretrained_with_its_mask_decoder_and_fine_tuned(tmp_path):
    path = make_pretraining_recipe(tmp_path, tokens=12_000, learning_rate=3e-3)
    chosen = ["model.scratch=true", "model.encoder=deberta"]
    folder = finetune(load_recipe(path, chosen), tmp_path / "run")
    scores = [record["scores"]["texts"] for record in records(tmp_path / "run", "validation")]
    assert scores[-1]["perplexity"] < scores[0]["perplexity"] / 3

    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["DebertaV2ForMaskedLM"]
    saved = load_file(folder / "model.safetensors")
    theirs, loading = transformers.DebertaV2ForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert set(loading["unexpected_keys"]) <= {"deberta.embeddings.position_embeddings.weight"}
    assert all(torch.equal(value, saved[name]) for name, value in theirs.state_dict().items() if name in saved)
    assert {name for name in theirs.state_dict() if name not in saved} <= {
        "cls.predictions.decoder.weight",
        "cls.predictions.decoder.bias",
    }
    (tmp_path / "entities").mkdir()
    recipe = load_recipe(make_recipe(tmp_path / "entities", epochs=1), [f'model.base="{folder}"'])
    assert finetune(recipe, tmp_path / "entities" / "run").is_dir()

    # Pretraining goes on from there, mask decoder and all.
    again = load_recipe(path, [f'model.base="{folder}"'])
    finetune(again, tmp_path / "again")
    first = records(tmp_path / "again", "validation")[0]["scores"]["texts"]
    assert first["perplexity"] == pytest.approx(scores[-1]["perplexity"], rel=1e-4)


def test_a_deberta_goes_on_from_a_bert(tmp_path):
    path = make_pretraining_recipe(tmp_path, tokens=12_000, learning_rate=3e-3)
    bert = finetune(load_recipe(path), tmp_path / "bert")
    chosen = [f'model.base="{bert}"', "model.encoder=deberta", "training.tokens=3000"]
    folder = finetune(load_recipe(path, chosen), tmp_path / "deberta")
    assert json.loads((folder / "config.json").read_text())["model_type"] == "deberta-v2"
    fresh, *_ = (record["scores"]["texts"]["perplexity"] for record in records(tmp_path / "bert", "validation"))
    start, *_, end = (record["scores"]["texts"]["perplexity"] for record in records(tmp_path / "deberta", "validation"))
    assert start < fresh / 2
    assert end < start


def test_what_deberta_cannot_be_pretrained_with_is_told(tmp_path):
    path = make_pretraining_recipe(tmp_path)
    chosen = ["model.scratch=true", "model.encoder=deberta", "masking.next_sentence=true"]
    with pytest.raises(InputError, match="next_sentence"):
        finetune(load_recipe(path, chosen), tmp_path / "run")


@pytest.mark.parametrize("step", [3, 12, 17])
def test_a_run_stopped_anywhere_and_resumed_gives_the_same_weights(tmp_path, step):
    path = make_pretraining_recipe(tmp_path, tokens=2500, checkpoint_minutes=1e-9, evaluate_every=1000)
    whole = finetune(load_recipe(path), tmp_path / "whole")
    with stopped(torch.optim.AdamW, "step", step):
        finetune(load_recipe(path), tmp_path / "stopped")
    torch.manual_seed(99)
    resumed = finetune(load_recipe(path), tmp_path / "stopped", resume=True)
    assert same_weights(whole, resumed)
    assert records(tmp_path / "stopped", "validation") == records(tmp_path / "whole", "validation")


@pytest.mark.parametrize(
    "overrides",
    [
        ["masking.unit=span"],
        ["masking.unit=token", "masking.dynamic=false"],
        ["masking.next_sentence=true"],
        ["model.scratch=true"],
    ],
)
def test_every_way_of_masking_trains(tmp_path, overrides):
    path = make_pretraining_recipe(tmp_path, tokens=1500)
    model = finetune(load_recipe(path, overrides), tmp_path / "run")
    first, last = (records(tmp_path / "run", "validation")[place]["scores"]["texts"] for place in (0, -1))
    assert last["perplexity"] < first["perplexity"]
    kind = "BertForPreTraining" if "masking.next_sentence=true" in overrides else "BertForMaskedLM"
    assert json.loads((model / "config.json").read_text())["architectures"] == [kind]


def told(run: Path) -> tuple[list[float], float]:
    """The losses of a run, and what it says of held-out text at the end."""
    losses = [record["loss"] for record in records(run, "step")]
    return losses, records(run, "validation")[-1]["scores"]["texts"]["perplexity"]


@pytest.mark.parametrize(
    ("sharding", "encoder"),
    [
        ("none", []),
        ("full", []),
        pytest.param("full", ["model.scratch=true", "model.encoder=deberta"], marks=pytest.mark.slow),
    ],
)
def test_two_processes_give_the_losses_of_one(tmp_path, sharding, encoder):
    """Equal batches, gradients summed: the losses differ only by rounding (dropout is off: its lots would differ)."""
    path = make_pretraining_recipe(tmp_path, tokens=8000)
    chosen = ["model.hidden_dropout=0.0", f"training.sharding={sharding}", *encoder]
    command = ["-m", "textome.cli.main", "pretrain", str(path), *(f"--set={item}" for item in chosen), "--output"]
    one, two = tmp_path / "one", tmp_path / "two"
    run_together([*command, str(one)], count=1)
    run_together([*command, str(two)])
    (losses, said), (others, also) = told(one), told(two)
    assert len(losses) >= 3
    assert losses == pytest.approx(others, rel=1e-3)
    # Adam makes whole steps of gradients that are nothing but rounding, so weights without a use differ; what they say not.
    assert said == pytest.approx(also, rel=1e-3)
    shapes = [
        {name: value.shape for name, value in load_file(run / "model" / "model.safetensors").items()}
        for run in (one, two)
    ]
    assert shapes[0] == shapes[1]


STOPPED = """
import sys
from pathlib import Path

import torch
from textome.training import loop
from textome.training.kinds import plan_run

loop.REPORT_EVERY = 1  # sharded runs save with the reports
steps = 0
step = torch.optim.AdamW.step

def stopping(*arguments, **keywords):
    global steps
    steps += 1
    if steps == int(sys.argv[3]):
        sys.exit(9)
    return step(*arguments, **keywords)

torch.optim.AdamW.step = stopping
plan_run(Path(sys.argv[1]), sys.argv[4:]).start(Path(sys.argv[2]), True, lambda record: None)
"""


@pytest.mark.slow
def test_a_sharded_run_goes_on_from_its_checkpoint_in_any_number_of_processes(tmp_path):
    path = make_pretraining_recipe(tmp_path, tokens=4000, checkpoint_minutes=1e-9)
    chosen = ["model.hidden_dropout=0.0", "training.sharding=full"]
    whole, stopped, alone = tmp_path / "whole", tmp_path / "stopped", tmp_path / "alone"
    run_together(["-c", STOPPED, str(path), str(whole), "-1", *chosen])
    run_together(["-c", STOPPED, str(path), str(stopped), "12", *chosen], expected=9)
    assert not (stopped / "model").exists()
    shutil.copytree(stopped, alone)
    run_together(["-c", STOPPED, str(path), str(stopped), "-1", *chosen])
    assert same_weights(whole / "model", stopped / "model")
    finetune(load_recipe(path, ["model.hidden_dropout=0.0"]), alone, resume=True)
    assert told(alone)[1] == pytest.approx(told(whole)[1], rel=1e-3)


def test_a_new_vocabulary_is_taken_over(tmp_path):
    path = make_pretraining_recipe(tmp_path, tokens=600)
    new = make_base(tmp_path / "new") / "tokenizer.json"
    new.write_text(new.read_text().replace('"asthma"', '"aspen"'))
    recipe = load_recipe(path, ['model.tokenizer="new"'])
    with pytest.raises(InputError, match="cut by another tokenizer"):
        finetune(recipe, tmp_path / "run")


def test_corpora_cut_by_the_bundled_vocabulary_go_with_a_recipe_that_names_it(tmp_path):
    path = make_pretraining_recipe(tmp_path, tokens=300)
    default = Tokenizer.load(resolve_model("default"))
    shard = write_shard(tmp_path / "own", 0, make_texts(40, 0), default)
    write_description(tmp_path / "own", default, [shard], {})
    recipe = load_recipe(path, ['model.tokenizer="default"', 'corpora=[{path="own"}]'])
    model = finetune(recipe, tmp_path / "run")
    assert Tokenizer.load(model).fingerprint == default.fingerprint
    assert json.loads((model / "config.json").read_text())["vocab_size"] == default.vocabulary_size


def test_sequences_longer_than_the_model_are_refused(tmp_path):
    path = make_pretraining_recipe(tmp_path)
    recipe = load_recipe(path, ["training.stages=[{until=1.0, length=65}]"])
    with pytest.raises(InputError, match=r"65 tokens, but .* has only 64 positions"):
        finetune(recipe, tmp_path / "run")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.stages=[{until=0.5, length=16}]", "the last of them 1.0"),
        ('corpora=[{path="a", weight=1.0}, {path="b"}]', "to every corpus or to none"),
        ("masking.units=word", "did you mean 'unit'"),
    ],
)
def test_wrong_recipes_are_refused(tmp_path, override, message):
    path = make_pretraining_recipe(tmp_path)
    with pytest.raises(InputError, match=message):
        load_recipe(path, [override])
