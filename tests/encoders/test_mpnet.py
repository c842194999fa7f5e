"""MPNet against `transformers`: same weights, same numbers, in ragged batches without padding."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file

from graphs import logits, lone_session
from textome.encoders.build import build_encoder, build_masked_lm, read_encoder_config
from textome.encoders.checkpoint import load_tensors, to_hugging_face
from textome.encoders.distances import bucket_of_distance
from textome.encoders.heads import TaskModel, TokenClassifier
from textome.encoders.interface import CheckpointModel
from textome.encoders.layers.packing import Layout
from textome.runtime.batching import Batch
from textome.runtime.embedder import Embedder
from textome.runtime.export import export_encoder
from textome.runtime.graph import Precision, build_graph
from textome.runtime.graph_weights import graph_weights
from textome.runtime.session import Session
from textome.tasks import HeadShape
from textome.text.tokenization import Tokenizer
from textome.training.kinds import plan_run
from tiny import make_recipe

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
    "initializer_range": 0.2,
}
LENGTHS = [3, 7, 7, 40, 128, 1]


def reference(cls: type = transformers.MPNetModel, **extra: object) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    model = cls(transformers.MPNetConfig(**(SIZES | extra)))
    for parameter in model.parameters():  # also what starts as one or zero
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def filled(model: CheckpointModel, theirs: transformers.PreTrainedModel) -> CheckpointModel:
    load_tensors(model, theirs.state_dict(), "reference")
    return model.eval()


def sequences() -> list[torch.Tensor]:
    """The id of padding, 1, stands in no text."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(3, 97, (length,), generator=generator) for length in LENGTHS]


def test_distances_fall_into_the_buckets_of_transformers() -> None:
    distances = torch.arange(-600, 601)
    expected = transformers.models.mpnet.modeling_mpnet.MPNetEncoder.relative_position_bucket(distances)
    assert np.array_equal(bucket_of_distance(distances.numpy()), expected.numpy())


def test_hidden_states_and_gradients_equal_those_of_transformers() -> None:
    theirs = reference()
    ours = filled(build_encoder(read_encoder_config(theirs.config.to_dict())), theirs)
    ids, weights = sequences(), torch.randn(sum(LENGTHS), 32)
    found = ours(torch.cat(ids), Layout.of(LENGTHS))
    expected = torch.cat([theirs(row[None]).last_hidden_state[0] for row in ids])
    assert (found - expected).abs().max() < 1e-5
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    names = ours.tensor_names().names
    for name, parameter in ours.named_parameters():
        gradient = torch.cat([theirs.get_parameter(item).grad for item in names[name]])
        # A position that is padding's takes no gradient there.
        assert torch.allclose(parameter.grad, gradient, atol=1e-4 * float(gradient.abs().max()) + 1e-5), name


def test_masked_words_are_scored_as_in_transformers() -> None:
    theirs = reference(transformers.MPNetForMaskedLM)
    ours = filled(build_masked_lm(read_encoder_config(theirs.config.to_dict())), theirs)
    ids, positions = sequences()[3], torch.tensor([0, 5, 39])
    with torch.no_grad():
        difference = ours(ids, Layout.of([40]), positions)[0] - theirs(ids[None]).logits[0][positions]
    assert difference.abs().max() < 1e-4


def test_labels_are_scored_as_in_transformers_and_checkpoints_go_both_ways(tmp_path: Path) -> None:
    ids, layout = sequences(), Layout.of(LENGTHS)
    starts = layout.cu_seqlens[:-1].long()[:, None]
    for cls in (transformers.MPNetForTokenClassification, transformers.MPNetForSequenceClassification):
        theirs = reference(cls, num_labels=6)
        config = read_encoder_config(theirs.config.to_dict())
        tokens = cls is transformers.MPNetForTokenClassification
        ours = filled(TokenClassifier(config, 6) if tokens else TaskModel(config, {"topic": (6, 1)}), theirs)
        with torch.no_grad():
            found = ours(torch.cat(ids), layout) if tokens else ours("topic", torch.cat(ids), layout, starts)
            expected = [theirs(row[None]).logits for row in ids]
        assert (found - torch.cat([item.flatten(0, -2) for item in expected])).abs().max() < 1e-4
        theirs.config.save_pretrained(tmp_path)
        save_file(to_hugging_face(ours), tmp_path / "model.safetensors", metadata={"format": "pt"})
        again, report = cls.from_pretrained(tmp_path, output_loading_info=True)
        assert not report["missing_keys"] | report["unexpected_keys"]
        for name, tensor in theirs.state_dict().items():
            assert torch.equal(again.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_act": "quick_gelu"}, "'quick_gelu' is not one of"),
        ({"hidden_size": 100, "num_attention_heads": 3}, "not a multiple"),
        ({"relative_attention_num_buckets": 64}, "must be 32"),
    ],
)
def test_what_is_not_supported_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_encoder_config({"model_type": "mpnet"} | values)
    config = read_encoder_config({"model_type": "mpnet"} | SIZES)
    with pytest.raises(ValueError, match="longer than the model's 128 positions"):
        build_encoder(config)(torch.zeros(129, dtype=torch.long), Layout.of([129]))
    for build in (build_encoder, build_masked_lm):
        with pytest.raises(ValueError, match=r"use BERT|next_sentence"):
            build(config, True)


def written(theirs: transformers.PreTrainedModel, path: Path, precision: Precision, heads: object = None) -> Path:
    tensors = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    path.write_bytes(build_graph(tensors, theirs.config.to_dict(), precision, heads).SerializeToString())  # type: ignore[arg-type]
    return path


def test_the_graph_computes_what_transformers_does_whatever_stands_beside(tmp_path: Path) -> None:
    theirs = reference(transformers.MPNetForTokenClassification, num_labels=6)
    path = written(theirs, tmp_path / "model.fp32.onnx", "fp32")
    session, ids = lone_session(path), sequences()
    rows = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=5).numpy()
    for row, length, found in zip(ids, LENGTHS, logits(session, rows, LENGTHS), strict=True):
        with torch.no_grad():
            expected = theirs(row[None]).logits[0].numpy()
        assert np.abs(found[:length].reshape(length, 6) - expected).max() < 1e-4
    tensors = graph_weights(path, theirs.config.to_dict())
    for name, tensor in theirs.state_dict().items():
        skipped = 2 * name.endswith("position_embeddings.weight")
        assert np.array_equal(tensors[name][skipped:], tensor.numpy()[skipped:]), name
    rounded = lone_session(written(theirs, tmp_path / "model.int8.onnx", "int8"))
    exact, close = (logits(item, rows[4:5], [128]) for item in (session, rounded))
    assert np.abs(exact - close).mean() < 0.1 * np.abs(exact).mean()


def test_the_graph_of_a_classifier_of_texts(tmp_path: Path) -> None:
    theirs = reference(transformers.MPNetForSequenceClassification, num_labels=3)
    path = written(theirs, tmp_path / "model.fp32.onnx", "fp32", {"topic": HeadShape(3, 1)})
    ids = sequences()[3]
    session = Session(path, {"topic": HeadShape(3, 1)}, 1)
    (found,) = session.run(["topic"], Batch(ids[None].numpy(), None, np.array([40])))
    with torch.no_grad():
        assert np.abs(found - theirs(ids[None]).logits.numpy()).max() < 1e-4


def test_a_sentence_encoder_is_exported_and_a_recipe_starts_from_it(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=5)
    base = tmp_path / "base"
    words = json.loads((base / "config.json").read_text())["vocab_size"]
    theirs = reference(vocab_size=words, max_position_embeddings=66)
    theirs.config.save_pretrained(base)
    save_file(theirs.state_dict(), base / "model.safetensors", metadata={"format": "pt"})
    for precision in ("fp32", "int8"):
        export_encoder(base, tmp_path / "vectors", precision)
    tokenizer = Tokenizer.load(base)
    (tokens,) = tokenizer.encode(["aspirin is given for gout"])
    ids = torch.tensor([[tokenizer.start_id, *tokens.ids.tolist(), tokenizer.end_id]])
    with torch.no_grad():
        expected = theirs(ids).last_hidden_state[0].mean(0).numpy()
    vectors = Embedder.load(tmp_path / "vectors", precision="fp32").embed(
        ["aspirin is given for gout"], normalise=False
    )
    assert np.abs(vectors[0] - expected).max() < 1e-5
    run = plan_run(path, ["model.layers=2", "training.int8_aware=true"])
    bundle = run.start(tmp_path / "run", False, lambda record: None)
    losses = [json.loads(line).get("loss") for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [loss for loss in losses if loss is not None][-1] < 0.5
    model = transformers.AutoModelForTokenClassification.from_pretrained(bundle)
    assert isinstance(model, transformers.MPNetForTokenClassification)
