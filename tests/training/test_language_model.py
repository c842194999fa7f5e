"""A small GPT-2 is pretrained, loads in transformers, is exported and writes what it has read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers

from textome.corpus.store import write_description, write_shard
from textome.corpus.vocabulary import train_byte_vocabulary, write_vocabulary
from textome.documents import Document
from textome.encoders.build import build_masked_lm, read_encoder_config
from textome.encoders.checkpoint import load_tensors
from textome.encoders.layers.packing import Layout
from textome.errors import InputError
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.generation.model import LanguageModel
from textome.training.bundles import read_weights
from textome.training.finetune import finetune
from textome.training.recipe import load_recipe
from tiny import make_base, make_recipe, make_texts

SIZES = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "initializer_range": 0.1}
ROTARY = {"model_type": "textome-gpt", "rotary_theta": 10000.0}


def make_gpt_recipe(folder: Path, config: dict[str, object], tokens: int = 20_000) -> Path:
    """A recipe over a small corpus, which `folder` is given with the sizes and the vocabulary."""
    (folder / "base").mkdir()
    (folder / "base" / "config.json").write_text(json.dumps({"model_type": "gpt2"} | SIZES | config))
    documents = make_texts(80)
    tokenizer = train_byte_vocabulary((sentence for document in documents for sentence in document), 350)
    write_vocabulary(tokenizer, folder / "vocabulary", lowercase=None)
    write_description(folder / "texts", tokenizer, [write_shard(folder / "texts", 0, documents, tokenizer)], {})
    path = folder / "gpt.toml"
    path.write_text(f"""
name = "tiny-gpt"
[model]
base = "./base"
scratch = true
tokenizer = "./vocabulary"
hidden_dropout = 0.0
[[tasks]]
name = "text"
kind = "language_model"
texts = [{{ name = "texts", path = "./texts" }}]
held_out = 0.2
[training]
tokens = {tokens}
token_budget = 512
learning_rate = 1e-2
stages = [{{ until = 1.0, length = 48 }}]
precision = "fp32"
""")
    return path


@pytest.fixture(scope="module", params=[{}, ROTARY], ids=["learnt", "rotary"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt")
    finetune(load_recipe(make_gpt_recipe(folder, request.param)), folder / "run")
    return folder / "run"


def test_what_was_read_is_learnt_and_written(run: Path) -> None:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    scores = [line["scores"]["texts"]["perplexity"] for line in lines if line["event"] == "validation"]
    assert scores[-1] < 5 < scores[0] / 10
    bundle = run / "model"
    export_bundle(Bundle.load(bundle), bundle, "fp32")
    writer = LanguageModel.load(bundle, precision="fp32", threads=1)
    ((text,),) = writer.generate("patients with breast", max_new_tokens=8)
    assert text.text.startswith(" cancer")
    together = writer.generate(["no", "patients with breast", "aspirin is given for type 2"], max_new_tokens=8)
    assert [item.text for item in together[1]] == [text.text]
    usual, odd = (Document.from_text(text) for text in ("no gout was seen", "gout seen was no"))
    likely, unlikely = (item.log_probability for item in writer.predictions("text", [usual, odd]))
    assert likely > unlikely + 5

    # The graph with its cache, and the model over packed tokens, say the same.
    config = json.loads((bundle / "config.json").read_text())
    model = build_masked_lm(read_encoder_config(config)).eval()
    load_tensors(model, read_weights(bundle, config), str(bundle))
    ids = [writer.tokenizer.start_id, *next(writer.tokenizer.ids([usual.text])).tolist()]
    with torch.no_grad():
        logits, _ = model(torch.tensor(ids), Layout.of([len(ids)]), torch.arange(len(ids) - 1))
    chances = logits.log_softmax(-1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    assert float(chances.sum()) == pytest.approx(likely, abs=1e-3)


def test_transformers_loads_learnt_positions_and_no_rotary_ones(run: Path) -> None:
    config = json.loads((run / "model" / "config.json").read_text())
    if config["model_type"] == "textome-gpt":
        assert config["architectures"] == ["TextomeLMHeadModel"]
        with pytest.raises(ValueError, match="textome-gpt"):
            transformers.AutoModelForCausalLM.from_pretrained(run / "model")
        return
    model, loading = transformers.AutoModelForCausalLM.from_pretrained(run / "model", output_loading_info=True)
    assert isinstance(model, transformers.GPT2LMHeadModel)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(run / "model")
    assert tokenizer("no gout was seen")["input_ids"]


def test_a_task_is_refused_by_a_model_that_cannot_learn_it(run: Path, tmp_path: Path) -> None:
    make_base(tmp_path / "bert")
    recipe = load_recipe(run.parent / "gpt.toml", [f'model.base="{tmp_path / "bert"}"'])
    with pytest.raises(InputError, match="language_model cannot be learnt by bert, which sees all tokens"):
        finetune(recipe, tmp_path / "run")
    (tmp_path / "entities").mkdir()
    entities = load_recipe(make_recipe(tmp_path / "entities", epochs=1), [f'model.base="{run / "model"}"'])
    with pytest.raises(InputError, match="so it has no heads over texts"):
        finetune(entities, tmp_path / "other")
