"""A tiny encoder, a tiny corpus and a recipe, so that tests train a real model in seconds."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from textome.corpus.store import write_description, write_shard
from textome.encoders.bert.model import Bert, BertConfig
from textome.encoders.checkpoint import to_hugging_face
from textome.runtime.bundle import Bundle
from textome.runtime.hidden_states import hidden_states_output
from textome.text.tokenization import Tokenizer as Wordpieces
from textome.training.recipe import Recipe
from textome.training.text.corpora import CorpusData, load_corpora

DISEASES = ["asthma", "gout", "breast cancer", "type 2 diabetes", "malaria"]
DRUGS = ["aspirin", "metformin", "allopurinol", "insulin", "quinine"]
TEMPLATES = ["{drug} is given for {disease} .", "patients with {disease} took {drug} daily", "no {disease} was seen"]
CONFIG = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.2,
}


def make_base(folder: Path) -> Path:
    """A random encoder with a WordPiece vocabulary of the corpus's words and all letters."""
    folder.mkdir(parents=True)
    text = " ".join([*DISEASES, *DRUGS, *TEMPLATES]).replace("{", "").replace("}", "")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,-()"
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    names += sorted({word for word in text.split() if len(word) > 1})
    tokenizer = Tokenizer(models.WordPiece({name: number for number, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.enable_truncation(8)  # as published tokenizers do: it must not cut anything here
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    config = CONFIG | {"vocab_size": len(names)}
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(1)
    save_file(to_hugging_face(Bert(BertConfig.from_dict(config), pooler=True)), folder / "model.safetensors")
    return folder


def make_corpus(path: Path, drugs: bool, sentences: int = 60, seed: int = 0) -> Path:
    """A CoNLL file that annotates diseases, or drugs, and not the other."""
    generator = random.Random(seed)
    lines = []
    for _ in range(sentences):
        disease, drug = generator.choice(DISEASES), generator.choice(DRUGS)
        for part in generator.choice(TEMPLATES).split():
            words = part.format(drug=drug, disease=disease).split()
            kind = "Chemical" if drugs and "drug" in part else "Disease" if not drugs and "disease" in part else ""
            for position, word in enumerate(words):
                lines.append(f"{word}\t{'IB'[position == 0]}-{kind}" if kind else f"{word}\tO")
        lines.append("")
    path.write_text("\n".join(lines) + "\n")
    return path


def make_recipe(folder: Path, **training: object) -> Path:
    """A recipe over both corpora, which `folder` is given with the base model."""
    make_base(folder / "base")
    for name, drugs in (("diseases", False), ("drugs", True)):
        make_corpus(folder / f"{name}.tsv", drugs)
        make_corpus(folder / f"{name}-devel.tsv", drugs, sentences=15, seed=1)
    values = {"epochs": 12, "learning_rate": 5e-3, "token_budget": 128, "precision": "fp32", "seed": 7} | training
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    path = folder / "recipe.toml"
    path.write_text(
        f"""
name = "tiny"
[model]
base = "{folder / "base"}"
window = 32
overlap = 8
hidden_dropout = 0.1
attention_dropout = 0.1
[entities]
types = ["Disease", "Chemical"]
[[corpora]]
name = "diseases"
train = ["diseases.tsv"]
validation = ["diseases-devel.tsv"]
types = {{ Disease = "Disease" }}
[[corpora]]
name = "drugs"
train = ["drugs.tsv"]
validation = ["drugs-devel.tsv"]
types = {{ Chemical = "Chemical" }}
[training]
"""
        + "\n".join(lines)
    )
    return path


def corpora_of(recipe: Recipe) -> list[CorpusData]:
    """The corpora of the one task of a recipe."""
    return load_corpora(recipe, recipe.tasks[0])


def make_texts(count: int = 80, seed: int = 0) -> list[list[str]]:
    """Documents of a few sentences in the words of the tiny vocabulary."""
    generator = random.Random(seed)
    return [
        [
            generator.choice(TEMPLATES).format(drug=generator.choice(DRUGS), disease=generator.choice(DISEASES))
            for _ in range(generator.randint(1, 6))
        ]
        for _ in range(count)
    ]


def make_pretraining_recipe(folder: Path, **training: object) -> Path:
    """A recipe over a small corpus in two shards, which `folder` is given with the base model."""
    base = make_base(folder / "base")
    tokenizer = Wordpieces.load(base)
    shards = [write_shard(folder / "texts", number, make_texts(40, number), tokenizer) for number in range(2)]
    write_description(folder / "texts", tokenizer, shards, {})
    values = {"tokens": 3000, "learning_rate": 5e-3, "token_budget": 128, "precision": "fp32", "seed": 7} | training
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    path = folder / "pretrain.toml"
    path.write_text(
        f"""
name = "tiny"
corpora = [{{ name = "texts", path = "texts" }}]
[model]
base = "{base}"
[data]
held_out = 0.25
[masking]
[training]
stages = [{{ until = 0.5, length = 16 }}, {{ until = 1.0, length = 32 }}]
"""
        + "\n".join(lines)
    )
    return path


def without_names(bundle: Path, folder: Path) -> Path:
    """A copy of the bundle whose graph in fp32 computes the same under another name."""
    copied = Path(shutil.copytree(bundle, folder / "other", ignore=shutil.ignore_patterns("*.int8.onnx")))
    path = copied / "model.fp32.onnx"
    name = hidden_states_output(Bundle.load(bundle).config, False).name.encode()
    path.write_bytes(path.read_bytes().replace(name, b"x" * len(name)))
    return copied


def with_twin_heads(bundle: Path, folder: Path) -> Path:
    """A copy of a tiny entity bundle whose chemicals are its diseases, a little surer: each is found twice."""
    from textome.runtime.export import export_bundle

    shutil.copytree(bundle, folder)
    weights = load_file(folder / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        disease, _ = weights[name].split(3)
        weights[name] = torch.cat([disease, disease * 1.01])
    save_file(weights, folder / "model.safetensors")
    export_bundle(Bundle.load(folder), folder, "int8")
    export_bundle(Bundle.load(folder), folder, "fp32")
    return folder
