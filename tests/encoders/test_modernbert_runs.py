"""A ModernBERT named in a recipe is pretrained, fine-tuned, read by `transformers`, exported, and run without PyTorch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from onnxruntime import InferenceSession
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from captured import captured_job
from one_model import entities_of
from textome.corpus.store import write_description, write_shard
from textome.encoders.build import build_masked_lm, read_encoder_config
from textome.encoders.checkpoint import load_tensors, to_hugging_face
from textome.encoders.heads import TokenClassifier
from textome.encoders.layers.packing import Layout
from textome.errors import InputError
from textome.runtime.bundle import PRECISIONS, Bundle
from textome.runtime.embedder import Embedder
from textome.runtime.export import export_bundle, export_encoder
from textome.text.tokenization import Tokenizer as WordTokenizer
from textome.training.finetune import finetune
from textome.training.kinds import plan_run
from textome.training.recipe import load_recipe
from textome.training.techniques.record_gradients import Owners, add_clipped, packable, watched
from tiny import DISEASES, DRUGS, TEMPLATES, make_pretraining_recipe, make_recipe, make_texts
from tiny_tasks import PARTS, make_task_recipe

CONFIG = {
    "model_type": "modernbert",
    "architectures": ["ModernBertForMaskedLM"],
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "local_attention": 8,
    "initializer_range": 0.2,
}


def make_modern(base: Path) -> None:
    """Put a byte-level tokenizer and a random ModernBERT in the place of a tiny base."""
    texts = [sentence for texts in make_texts(200) for sentence in texts] + [*DISEASES, *DRUGS, *TEMPLATES]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True)])
    ids = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", ids)
    tokenizer.save(str(base / "tokenizer.json"))
    (base / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    config = CONFIG | {"vocab_size": tokenizer.get_vocab_size()}
    config |= {"pad_token_id": 0, "cls_token_id": 2, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3}
    (base / "config.json").write_text(json.dumps(config))
    torch.manual_seed(1)
    save_file(to_hugging_face(build_masked_lm(read_encoder_config(config))), base / "model.safetensors")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modernbert")
    path = make_recipe(folder, epochs=6)
    make_modern(folder / "base")
    return plan_run(path).start(folder / "run", False, lambda record: None)


def test_entities_are_learnt_and_the_bundle_is_that_of_transformers(bundle: Path) -> None:
    records = [json.loads(line) for line in (bundle.parent / "metrics.jsonl").read_text().splitlines()]
    losses = [record["loss"] for record in records if "loss" in record]
    assert losses[-1] < 0.3  # guessing one of three labels costs ln 3 = 1.1
    theirs = transformers.AutoModelForTokenClassification.from_pretrained(bundle).eval()
    assert isinstance(theirs, transformers.ModernBertForTokenClassification)
    ours = TokenClassifier(read_encoder_config(json.loads((bundle / "config.json").read_text())), 6).eval()
    load_tensors(ours, load_file(bundle / "model.safetensors"), "bundle")
    input_ids = torch.arange(5, 45)
    with torch.no_grad():
        difference = ours(input_ids, Layout.of([40])) - theirs(input_ids[None]).logits[0]
    assert difference.abs().max() < 1e-4


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_exported_bundle_finds_entities_at_their_places(bundle: Path, precision: str) -> None:
    export_bundle(Bundle.load(bundle), bundle, precision)
    text = "no gout was seen\n\n  aspirin is given for type 2 diabetes ."
    annotator = entities_of(bundle, precision=precision)
    document = annotator.annotate(text)
    found = {(entity.text, entity.type) for entity in document.entities}
    assert found >= {("aspirin", "Chemical"), ("type 2 diabetes", "Disease")}
    assert all(text[span.start : span.end] == entity.text for entity in document.entities for span in entity.spans[:1])
    among, *_ = annotator.annotate([text, *(" ".join(texts) for texts in make_texts(6))])
    assert [(entity.text, entity.type) for entity in among.entities] == [
        (entity.text, entity.type) for entity in document.entities
    ]
    for mine, theirs in zip(among.entities, document.entities, strict=True):
        assert mine.confidence == pytest.approx(theirs.confidence, abs=1e-5)


def test_training_rounds_as_int8_does_and_prunes_nothing(bundle: Path) -> None:
    recipe = bundle.parent.parent / "recipe.toml"
    run = plan_run(recipe, ["training.int8_aware=true", "training.epochs=1"])
    assert (run.start(recipe.parent / "int8", False, lambda record: None) / "model.safetensors").is_file()
    with pytest.raises(InputError, match=r"model\.layers cannot prune .* ModernBert"):
        plan_run(recipe, ["model.layers=2"]).start(recipe.parent / "pruned", False, lambda record: None)


def test_gradients_of_records_in_one_pass_are_those_of_single_ones(bundle: Path, tmp_path: Path) -> None:
    still = ("model.hidden_dropout=0.0", "model.attention_dropout=0.0", "model.window=12", "model.overlap=2")
    job = captured_job(bundle.parent.parent / "recipe.toml", tmp_path / "run", *still)
    records = [[0, 1, 2], [3], [4], [5, 6]]
    assert packable(job.model)
    with watched(job.model) as calls:
        each = job.each(records)
    norms = add_clipped(each.losses, calls, Owners(each.tokens, len(records)), Owners(each.rows, len(records)), 1e6)
    for record, norm in zip(records, norms, strict=True):
        loss = job.each([record]).losses[0]
        gradients = torch.autograd.grad(loss, list(job.model.parameters()))
        assert norm == pytest.approx(float(torch.cat([item.flatten() for item in gradients]).norm()), rel=1e-4)


def test_every_task_is_learnt_and_exported_in_every_precision(tmp_path: Path) -> None:
    path = make_task_recipe(tmp_path, *PARTS, epochs=6)
    make_modern(tmp_path / "base")
    records: list[Mapping[str, Any]] = []
    folder = plan_run(path).start(tmp_path / "run", False, records.append)
    scores = [record["scores"] for record in records if record["event"] == "validation"]
    assert min(scores[-1].values()) > 0.8
    ids, found = np.arange(5, 35)[None], {}
    for precision in PRECISIONS:
        session = InferenceSession(export_bundle(Bundle.load(folder), folder, precision))
        feeds = {item.name: np.ones((1, 1, item.shape[-1]), np.int64) for item in session.get_inputs()[3:]}
        feeds |= {"input_ids": ids, "attention_mask": np.ones((1, 30), np.int32), "token_type_ids": np.zeros_like(ids)}
        found[precision] = session.run(None, feeds)
    for precision in ("bf16", "int8"):
        for rounded, exact in zip(found[precision], found["fp32"], strict=True):
            assert np.abs(rounded - exact).mean() < 0.1 * np.abs(exact).mean()


def test_pretraining_goes_on_and_its_encoder_gives_vectors(tmp_path: Path) -> None:
    path = make_pretraining_recipe(tmp_path)
    make_modern(tmp_path / "base")
    tokenizer = WordTokenizer.load(tmp_path / "base")
    shards = [write_shard(tmp_path / "texts", number, make_texts(40, number), tokenizer) for number in range(2)]
    write_description(tmp_path / "texts", tokenizer, shards, {})
    model = finetune(load_recipe(path), tmp_path / "run")
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    scores = [record["scores"]["texts"]["perplexity"] for record in records if record["event"] == "validation"]
    assert scores[-1] < scores[0]
    _, report = transformers.AutoModelForMaskedLM.from_pretrained(model, output_loading_info=True)
    assert not report["missing_keys"]
    export_encoder(model, tmp_path / "vectors", "fp32")
    vectors = Embedder.load(tmp_path / "vectors").embed(["aspirin", "no gout was seen"])
    assert vectors.shape == (2, 32)
