"""A small model taught by a large one: what is compared with what, and that it learns, with labels and without."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from typer.testing import CliRunner

from captured import captured_job
from graphs import logits, lone_session
from one_model import entities_of
from textome.cli.main import application
from textome.encoders.bert.model import Bert, BertConfig
from textome.encoders.checkpoint import load_tensors, to_hugging_face
from textome.encoders.heads import TokenClassifier
from textome.encoders.layers.packing import Layout
from textome.encoders.pruning import keep_heads, keep_layers, keep_neurons, spread
from textome.errors import InputError
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.tasks.spans.iob import IGNORED
from textome.text.tokenization import Tokenizer
from textome.training.divergence import softened_divergence
from textome.training.job import Batch
from textome.training.kinds import plan_run
from textome.training.recipe import load_recipe
from textome.training.techniques.distillation import Teacher, hidden_state_distance, watched_hidden_states
from textome.training.text.data import load_task
from textome.training.text.job import TextJob, build_model
from tiny import CONFIG, make_base, make_recipe
from training.test_gradients import STILL, agree
from training_runs import same_weights


def test_kept_layers_are_spread_evenly_and_end_with_the_last() -> None:
    assert spread(12, 4) == (2, 5, 8, 11)
    assert spread(12, 6) == (1, 3, 5, 7, 9, 11)
    assert spread(6, 4) == (0, 2, 3, 5)
    assert spread(6, 6) == tuple(range(6))
    for kept in range(1, 13):
        chosen = spread(12, kept)
        assert len(set(chosen)) == kept
        assert chosen[-1] == 11
    for kept in (0, 7):
        with pytest.raises(ValueError, match="cannot be kept"):
            spread(6, kept)


def test_a_model_of_kept_layers_computes_what_these_layers_do() -> None:
    torch.manual_seed(0)
    values = CONFIG | {"vocab_size": 50, "num_hidden_layers": 4}
    whole = Bert(BertConfig.from_dict(values)).eval()
    small = Bert(BertConfig.from_dict(values | {"num_hidden_layers": 2})).eval()
    load_tensors(small, keep_layers(to_hugging_face(whole), spread(4, 2)), "here")
    layout = Layout.of([5, 7])
    hidden = whole.embeddings(torch.arange(12), layout, None)
    for number in (1, 3):
        hidden = whole.layers[number](hidden, layout)
    assert torch.equal(small(torch.arange(12), layout), hidden)
    named = keep_layers({"bert.encoder.layer.3.x": torch.ones(1), "bert.encoder.layer.0.x": torch.zeros(1)}, (3,))
    assert list(named) == ["bert.encoder.layer.0.x"]
    assert named["bert.encoder.layer.0.x"].item() == 1.0


def test_neurons_that_say_nothing_go_first() -> None:
    torch.manual_seed(0)
    values = CONFIG | {"vocab_size": 50}
    whole = Bert(BertConfig.from_dict(values)).eval()
    silent = torch.randperm(64)[:24]
    with torch.no_grad():
        for layer in whole.layers:
            layer.feed_forward.contract.weight[:, silent] = 0.0  # type: ignore[union-attr, index]
    small = Bert(BertConfig.from_dict(values | {"intermediate_size": 40})).eval()
    load_tensors(small, keep_neurons(to_hugging_face(whole), 40), "here")
    layout = Layout.of([5, 7])
    assert torch.allclose(small(torch.arange(12), layout), whole(torch.arange(12), layout), atol=1e-5)
    assert small.layers[1].feed_forward.expand.weight.shape == (40, 32)


def test_heads_that_say_nothing_go_first() -> None:
    """In each layer others; what is left gives what the whole gave."""
    torch.manual_seed(0)
    values = CONFIG | {"vocab_size": 50, "hidden_size": 40, "num_attention_heads": 5}
    whole = Bert(BertConfig.from_dict(values)).eval()
    with torch.no_grad():
        for layer, silent in zip(whole.layers, ([0, 3], [1, 2]), strict=True):
            for head in silent:
                layer.attention.output.weight[:, 8 * head : 8 * head + 8] = 0.0  # type: ignore[union-attr, index]
    small = Bert(BertConfig.from_dict(values | {"num_attention_heads": 3, "head_dim": 8})).eval()
    load_tensors(small, keep_heads(to_hugging_face(whole), 3, 8), "here")
    layout = Layout.of([5, 7])
    assert torch.allclose(small(torch.arange(12), layout), whole(torch.arange(12), layout), atol=1e-5)
    assert small.layers[1].attention.project.weight.shape == (72, 40)


def test_a_student_with_fewer_heads_is_exported_and_pruned_again(tmp_path: Path, tiny_bundle: Path) -> None:
    path, overrides = distilled(tmp_path, tiny_bundle, "model.attention_heads=2")
    bundle = plan_run(path, overrides).start(tmp_path / "run", False, lambda record: None)
    heads, size = (Bundle.load(bundle).config[name] for name in ("num_attention_heads", "head_dim"))
    names = load_file(bundle / "model.safetensors")
    assert names["bert.encoder.layer.0.attention.self.value.weight"].shape == (2 * size, 32)
    assert heads == 2
    export_bundle(Bundle.load(bundle), bundle, "fp32")
    model = TokenClassifier(BertConfig.from_dict(Bundle.load(bundle).config), 6).eval()
    load_tensors(model, names, "here")
    ids = np.arange(1, 15)
    found = logits(lone_session(bundle / "model.fp32.onnx"), ids[None], [len(ids)])
    wanted = model(torch.from_numpy(ids), Layout.of([len(ids)])).detach().numpy()
    assert np.abs(found.reshape(wanted.shape) - wanted).max() < 1e-5
    again = [*overrides, f"model.base={bundle}", "model.attention_heads=1", "training.epochs=1"]
    bundle = plan_run(path, again).start(tmp_path / "again", False, lambda record: None)
    assert load_file(bundle / "model.safetensors")["bert.encoder.layer.0.attention.output.dense.weight"].shape == (
        32,
        size,
    )


def test_scores_are_compared_head_by_head_at_their_temperature() -> None:
    torch.manual_seed(0)
    mine, its = torch.randn(4, 6), torch.randn(4, 6)
    wanted = 0.0
    for row in range(4):
        for head in (slice(0, 3), slice(3, 6)):
            p, q = (its[row, head] / 2).softmax(-1), (mine[row, head] / 2).softmax(-1)
            wanted += float((p * (p / q).log()).sum()) * 4 / 4
    assert softened_divergence(mine, its, 2.0, 3).item() == pytest.approx(wanted, rel=1e-5)
    assert softened_divergence(its, its, 2.0, 3).item() == pytest.approx(0.0, abs=1e-6)


def test_states_are_those_after_the_embeddings_and_each_layer_and_are_paired_by_depth() -> None:
    torch.manual_seed(0)
    net = Bert(BertConfig.from_dict(CONFIG | {"vocab_size": 50, "num_hidden_layers": 4})).eval()
    places, layout = torch.tensor([0, 3, 11]), Layout.of([5, 7])
    with watched_hidden_states(net, places) as found:
        output = net(torch.arange(12), layout)
    net(torch.arange(12), layout)  # watched no longer
    assert len(found.values) == 5
    assert torch.equal(found.values[-1], output[places])
    assert torch.equal(found.values[0], net.embeddings(torch.arange(12), layout, None)[places])
    its = found.values
    assert hidden_state_distance([its[0], its[2], its[4]], its, nn.Identity()).item() == 0.0
    wanted = functional.mse_loss(its[1], its[2]) / 3
    assert torch.allclose(hidden_state_distance([its[0], its[1], its[4]], its, nn.Identity()), wanted)


def distilled(folder: Path, teacher: Path, *overrides: str) -> tuple[Path, list[str]]:
    """A recipe whose base and teacher are a bundle of two layers, and overrides for a student of one."""
    path = make_recipe(folder, epochs=4)
    chosen = [f"model.base={teacher}", "model.layers=1", f"distillation.teacher={teacher}", *overrides]
    return path, chosen


def test_a_student_learns_from_the_teacher_alone(tmp_path: Path, tiny_bundle: Path) -> None:
    """The labels count for nothing (scores = 1) and the head starts afresh."""
    before = (tiny_bundle / "model.safetensors").read_bytes()
    path, overrides = distilled(tmp_path, tiny_bundle, "distillation.scores=1.0", f"model.base={tmp_path / 'base'}")
    overrides += ["training.epochs=10", "model.hidden_dropout=0.0", "model.attention_dropout=0.0"]
    bundle = plan_run(path, overrides).start(tmp_path / "run", False, lambda record: None)
    measured = json.loads((tmp_path / "run/distillation.json").read_text())
    assert (measured["teacher"]["layers"], measured["student"]["layers"]) == (2, 1)
    assert measured["student"]["parameters"] < measured["teacher"]["parameters"]
    assert measured["student"]["tokens_per_second"] > 0
    assert min(measured["teacher"]["scores"].values()) > 0.95
    assert min(measured["student"]["scores"].values()) > 0.9
    assert (tiny_bundle / "model.safetensors").read_bytes() == before
    export_bundle(Bundle.load(bundle), bundle, "fp32")
    document = entities_of(bundle).annotate("aspirin is given for gout .")
    assert [(entity.text, entity.type) for entity in document.entities] == [
        ("aspirin", "Chemical"),
        ("gout", "Disease"),
    ]


def test_a_student_knows_fewer_types(tmp_path: Path, tiny_bundle: Path) -> None:
    path, overrides = distilled(tmp_path, tiny_bundle, "distillation.scores=1.0", "training.epochs=15")
    corpora = (
        'corpora=[{name="drugs", train=["drugs.tsv"], validation=["drugs-devel.tsv"], types={Chemical="Chemical"}}]'
    )
    plan_run(path, [*overrides, 'entities.types=["Chemical"]', corpora]).start(tmp_path / "run", False, lambda _: None)
    measured = json.loads((tmp_path / "run/distillation.json").read_text())
    assert measured["teacher"]["scores"]["drugs"] > 0.95
    assert measured["student"]["scores"]["drugs"] > 0.9


def narrow_base(folder: Path) -> Path:
    """The tiny base with half the width."""
    base = make_base(folder)
    config = json.loads((base / "config.json").read_text()) | {"hidden_size": 16}
    (base / "config.json").write_text(json.dumps(config))
    save_file(to_hugging_face(Bert(BertConfig.from_dict(config))), base / "model.safetensors")
    return base


def test_a_narrow_student_is_widened_only_while_it_learns(tmp_path: Path, tiny_bundle: Path) -> None:
    base = narrow_base(tmp_path / "narrow")
    path, overrides = distilled(
        tmp_path, tiny_bundle, f"model.base={base}", "model.intermediate_size=48", "training.average=0.9"
    )
    bundle = plan_run(path, overrides).start(tmp_path / "run", False, lambda record: None)
    names = load_file(bundle / "model.safetensors")
    assert names["classifier.weight"].shape == (6, 16)
    assert names["bert.encoder.layer.0.intermediate.dense.weight"].shape == (48, 16)
    transformers.AutoModelForTokenClassification.from_pretrained(bundle)
    assert not any("widen" in name for name in names)
    assert "widen.weight" in load_file(tmp_path / "run/best.safetensors")


def test_a_stopped_student_goes_on_to_the_same_weights(tmp_path: Path, tiny_bundle: Path) -> None:
    path, overrides = distilled(tmp_path, tiny_bundle, "training.epochs=2")
    whole = plan_run(path, overrides).start(tmp_path / "whole", False, lambda record: None)
    seen = 0

    def stop(record: dict[str, object]) -> None:
        nonlocal seen
        seen += record["event"] == "validation"
        if seen == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plan_run(path, overrides).start(tmp_path / "stopped", False, stop)
    resumed = plan_run(path, overrides).start(tmp_path / "stopped", True, lambda record: None)
    assert same_weights(whole, resumed)


def test_parts_of_a_batch_give_its_gradient_and_dropout_is_the_students(tmp_path: Path, tiny_bundle: Path) -> None:
    path, overrides = distilled(tmp_path, tiny_bundle)
    job = captured_job(path, tmp_path / "still", *overrides, *STILL)
    agree(job, job.plan(0)[0])
    job = captured_job(path, tmp_path / "run", *overrides)
    batch = job.plan(0)[0]
    values = {}
    for training in (True, False):
        job.model.train(training)
        values[training] = {job.loss(batch)[0].item() for _ in range(3)}
    assert len(values[True]) == 3
    assert len(values[False]) == 1
    assert not job.teacher.model.training


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (['entities.types=["Disease", "Chemical", "Gene"]'], "does not know Gene"),
        (["model.layers=3"], "has only 2 layers"),
        (["model.intermediate_size=65"], "has only 64 neurons"),
        (["model.attention_heads=5"], "has only 4 heads"),
        (["training.r_drop=1.0"], "do not go together"),
        (["distillation.score=1.0"], "did you mean 'scores'"),
    ],
)
def test_what_cannot_be_taught_is_told(tmp_path: Path, tiny_bundle: Path, overrides: list[str], message: str) -> None:
    path, chosen = distilled(tmp_path, tiny_bundle)
    with pytest.raises(InputError, match=message):
        plan_run(path, [*chosen, *overrides]).start(tmp_path / "run", False, lambda record: None)


def test_a_teacher_that_cuts_texts_otherwise_is_refused(tmp_path: Path, tiny_bundle: Path) -> None:
    path, overrides = distilled(tmp_path, tiny_bundle, f"model.base={tmp_path / 'base'}")
    text = (tmp_path / "base/tokenizer.json").read_text()
    (tmp_path / "base/tokenizer.json").write_text(text.replace('"lowercase":true', '"lowercase":false').replace(
        '"lowercase": true', '"lowercase": false'))  # fmt: skip
    with pytest.raises(InputError, match="cuts texts in other tokens"):
        plan_run(path, overrides).start(tmp_path / "run", False, lambda record: None)


def test_the_command_line_tells_size_scores_and_speed(tmp_path: Path, tiny_bundle: Path) -> None:
    path, overrides = distilled(tmp_path, tiny_bundle, "training.epochs=1")
    options = [part for item in overrides for part in ("--set", item)]
    result = CliRunner().invoke(application(), ["finetune", str(path), "-o", str(tmp_path / "run"), *options])
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stderr.splitlines() if "parameters" in line]
    assert [line.split(":")[0].split()[-1] for line in lines] == ["teacher", "student"]
    assert all("diseases entity_f1" in line and "tokens/s" in line for line in lines)
    for setting in ("corpora.diseases.validation=[]", "corpora.drugs.validation=[]", "training.select=last"):
        options += ["--set", setting]
    result = CliRunner().invoke(application(), ["finetune", str(path), "-o", str(tmp_path / "other"), *options])
    assert result.stderr.count("not scored, since no corpus has validation data") == 2, result.stderr


def test_several_teachers_and_a_corpus_without_labels(tmp_path: Path, tiny_bundle: Path) -> None:
    """Scores are averaged; texts that nobody annotated are taught by them alone."""
    path, overrides = distilled(tmp_path, tiny_bundle)
    (tmp_path / "plain.tsv").write_text("aspirin\tO\nhelps\tO\n\ngout\tO\nhurts\tO\n\n")
    path.write_text(path.read_text() + '\n[[corpora]]\nname = "plain"\ntrain = ["plain.tsv"]\ntypes = {}\n')
    recipe = load_recipe(path, [*overrides, f'distillation.teacher=["{tiny_bundle}", "{tiny_bundle}"]'])
    assert recipe.distillation is not None
    tokenizer = Tokenizer.load(tiny_bundle)
    tasks, device = {"entities": recipe.tasks[0].task}, torch.device("cpu")
    pair = Teacher(recipe.distillation, tasks, tokenizer, recipe.model.window, device)
    alone = Teacher(
        recipe.distillation.model_copy(update={"teacher": str(tiny_bundle)}),
        tasks,
        tokenizer,
        recipe.model.window,
        device,
    )
    for model in pair.others:
        model.heads.entities.classifier.bias.data += 2.0
    ids, layout, positions = torch.tensor([2, 7, 8, 3]), Layout.of([4]), torch.tensor([1, 2])
    both, states = pair.read(lambda model: model("entities", ids, layout, positions), positions)
    one, same = alone.read(lambda model: model("entities", ids, layout, positions), positions)
    assert torch.allclose(both, one + 1.0, atol=1e-6)
    assert all(first.equal(second) for first, second in zip(states, same, strict=True))
    data = load_task(recipe, recipe.tasks[0], tokenizer)
    job = TextJob(recipe, build_model(recipe, tiny_bundle, tasks)[0], [data], tokenizer, device, pair)
    unlabelled = [number for number, targets in enumerate(data.targets) if (targets == IGNORED).all()]
    assert len(unlabelled) == 2
    value, _ = job.loss(Batch(0, unlabelled))
    value.backward()
    assert job.model.heads.entities.classifier.weight.grad.abs().sum() > 0
