"""Runs with tasks end to end on a tiny encoder: they learn, and their bundles load elsewhere and run without PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from typer.testing import CliRunner

from one_model import entities_of, labels_of, labels_of_sentences, related
from textome.cli.main import application
from textome.errors import InputError, ModelError
from textome.formats import read_documents, write_documents
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.model import Model
from textome.training.kinds import few_shots, plan_run
from tiny_tasks import ONE_PASS, join_documents, make_task_recipe


def last_scores(run: Path) -> dict[str, float]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == "validation"][-1]["scores"]


def test_one_encoder_learns_six_tasks_at_once(tiny_tasks):
    assert min(last_scores(tiny_tasks / "run").values()) > 0.9


def test_the_exported_graph_answers_every_task(tiny_tasks):
    model = Model.load(tiny_tasks / "run" / "bundle")
    found = labels_of(model, "single", ["patients took aspirin", "no malaria was seen"])
    assert [item.labels for item in found] == [("drug",), ("disease",)]
    assert sum(found[0].scores.values()) == pytest.approx(1)
    topics = labels_of(model, "topics", ["patients gout daily", "patients gout and insulin daily"])
    assert [set(item.labels) for item in topics] == [{"disease"}, {"disease", "drug"}]
    (labels,) = labels_of_sentences(model, "roles", [["patients took insulin", "no gout was seen"]])
    assert [item.labels for item in labels] == [("aim",), ("result",)]
    with pytest.raises(ModelError, match="several such tasks; name one of: single, topics"):
        model.bundle.task_of("classification")
    document = entities_of(tiny_tasks / "run" / "bundle").annotate("aspirin is given for breast cancer")
    assert [(entity.text, entity.type) for entity in document.entities] == [
        ("aspirin", "Chemical"),
        ("breast cancer", "Disease"),
    ]


def test_entities_and_labels_come_from_one_pass_of_the_encoder(tiny_tasks, monkeypatch):
    from textome.runtime.reader import Reader

    reader = Reader.load(tiny_tasks / "run" / "bundle", precision="fp32")
    passes = []
    together = reader.model.session.run
    monkeypatch.setattr(reader.model.session, "run", lambda *inputs: passes.append(inputs[0]) or together(*inputs))
    texts = [
        "aspirin is given for gout",
        "no insulin was seen with breast cancer",
        "no aspirin was seen with gout " * 8,
    ]
    readings = reader.read(texts)
    assert passes == [("single", "topics", "entities")] * len(passes)
    assert len(passes) <= 2
    single = labels_of(reader.model, "single", texts)
    annotator = entities_of(tiny_tasks / "run" / "bundle", precision="fp32", sentences=False)
    for text, reading, label in zip(texts, readings, single, strict=True):
        assert reading.labels["single"].scores == pytest.approx(label.scores, abs=1e-5)
        assert set(reading.labels) == {"single", "topics"}
        found = [(item.spans, item.type) for item in annotator.annotate(text).entities]
        assert [(item.spans, item.type) for item in reading.document.entities] == found
        assert found


def test_entities_alone_may_stand_in_either_layout(tmp_path):
    recipe = make_task_recipe(tmp_path, "entities", epochs=1)
    old = tmp_path / "old.toml"
    head, tail = recipe.read_text().split("[training]")
    top, corpora = head.replace('[[tasks]]\nname = "entities"\nkind = "entities"', "[entities]").split(
        "[[tasks.corpora]]"
    )
    old.write_text(f"{top}[[corpora]]{corpora}[training]{tail}")
    weights = [
        load_file(plan_run(path).start(tmp_path / path.stem, False, lambda record: None) / "model.safetensors")
        for path in (recipe, old)
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    recipe = make_task_recipe(tmp_path, "single", "entities")
    with pytest.raises(InputError, match="'Gene', which is not in entities"):
        plan_run(recipe, ['tasks.entities.corpora.tiny.types={ Disease = "Gene" }'])


def test_a_single_task_is_a_plain_checkpoint_of_transformers(tmp_path):
    recipe = make_task_recipe(tmp_path, "single", epochs=2)
    bundle = plan_run(recipe).start(tmp_path / "run", False, lambda record: None)
    export_bundle(Bundle.load(bundle), bundle, "fp32")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(bundle).eval()
    runner = Model.load(bundle)
    texts = ["patients took aspirin", "no type 2 diabetes was seen daily"]
    for text, found in zip(texts, labels_of(runner, "single", texts), strict=True):
        (tokens,) = runner.tokenizer.encode([text])
        ids = torch.tensor([[runner.tokenizer.start_id, *tokens.ids.tolist(), runner.tokenizer.end_id]])
        temperature = runner.task("single").temperature
        expected = torch.softmax(model(ids).logits[0] / temperature, -1).tolist()
        assert list(found.scores.values()) == pytest.approx(expected, abs=1e-5)
        assert list(found.scores) == list(model.config.id2label.values())
    classify = transformers.pipeline("text-classification", model=str(bundle), device="cpu")
    best = [max(found.scores, key=found.scores.__getitem__) for found in labels_of(runner, "single", texts)]
    assert [item["label"] for item in classify(texts)] == best
    with pytest.raises(InputError, match="has no task 'entities'; its tasks are single"):
        entities_of(bundle)


def test_ask_answers_from_files_with_sentence_place_and_confidence(tiny_tasks, tmp_path):
    (tmp_path / "in.txt").write_text("patients took insulin daily with breast cancer")
    model = str(tiny_tasks / "run" / "bundle")
    options = ["--model", model, "--question", "for", "--json"]
    done = CliRunner().invoke(application(), ["ask", str(tmp_path / "in.txt"), *options])
    assert done.exit_code == 0, done.output
    best = json.loads(done.stdout)[0]
    text = (tmp_path / "in.txt").read_text()
    assert best["text"] == text[best["start"] : best["end"]] == "breast cancer"
    assert best["sentence"] == "patients took insulin daily with breast cancer"
    assert text[best["sentence_start"] :].startswith(best["sentence"])
    assert 0.5 < best["confidence"] <= 1
    done = CliRunner().invoke(
        application(), ["evaluate", "-m", model, "--task", "answers", "-d", str(tiny_tasks / "e.json"), "--json"]
    )
    assert json.loads(done.stdout)["exact_match"] > 0.9
    with pytest.raises(InputError, match="there is no question"):
        CliRunner().invoke(application(), ["ask", "x", "--model", model], catch_exceptions=False)


def test_answers_go_out_as_bioasq_takes_them(tiny_tasks, tmp_path):
    question = {"id": "q", "type": "factoid", "body": "for", "exact_answer": [["gout"]]}
    snippets = [{"text": "patients took insulin daily with gout"}, {"text": "patients took aspirin daily with gout"}]
    (tmp_path / "in.json").write_text(json.dumps({"questions": [question | {"snippets": snippets}]}))
    options = [
        "--model",
        str(tiny_tasks / "run" / "bundle"),
        "--bioasq",
        "factoid",
        "--output",
        str(tmp_path / "out.json"),
    ]
    done = CliRunner().invoke(application(), ["ask", str(tmp_path / "in.json"), *options])
    assert done.exit_code == 0, done.output
    (answered,) = json.loads((tmp_path / "out.json").read_text())["questions"]
    assert (answered["id"], answered["exact_answer"][0]) == ("q", ["gout"])
    assert len(answered["exact_answer"]) == 5


def test_evaluate_scores_each_task_and_writes_a_page(tiny_tasks, tmp_path):
    model = str(tiny_tasks / "run" / "bundle")
    runner = CliRunner()
    done = runner.invoke(
        application(),
        ["evaluate", "-m", model, "--task", "treats", "-d", str(tiny_tasks / "c.jsonl"), "--format", "jsonl", "--json"],
    )
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["metric"], facts["decisions"]) == ("micro_f1", 60)
    assert facts["score"] > 0.9
    done = runner.invoke(
        application(),
        [
            "evaluate",
            "-m",
            model,
            "--task",
            "entities",
            "-d",
            str(tiny_tasks / "c.jsonl"),
            "--format",
            "jsonl",
            "--json",
        ],
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["micro"]["f1"] > 0.9
    page = tmp_path / "page.html"
    options = ["--report", str(page), "--compare", model]
    done = runner.invoke(
        application(), ["evaluate", "-m", model, "--task", "single", "-d", str(tiny_tasks / "a.tsv"), *options]
    )
    assert done.exit_code == 0, done.output
    assert "difference +0.00, p = 1.000" in done.stdout
    text = page.read_text()
    assert "Confusion matrix" in text
    assert "http" not in text.replace("http-equiv", "")
    (tmp_path / "odd.tsv").write_text("patients took aspirin\tdrug\nno gout was seen\tperhaps\n")
    done = runner.invoke(application(), ["evaluate", "-m", model, "--task", "single", "-d", str(tmp_path / "odd.tsv")])
    assert done.exit_code == 1
    assert "the label 'perhaps' is none of the model's" in done.stderr
    done = runner.invoke(application(), ["evaluate", "-m", model, "-d", str(tmp_path / "odd.tsv")])
    assert isinstance(done.exception, ModelError)
    (tmp_path / "lines.jsonl").write_text('{"text": "patients took aspirin", "label": "drug"}\n')
    options = ["--task", "single", "-d", str(tmp_path / "lines.jsonl"), "--json"]
    assert json.loads(runner.invoke(application(), ["evaluate", "-m", model, *options]).stdout)["decisions"] == 1


def test_annotate_adds_relations_to_the_entities_it_finds(tiny_tasks, tiny_bundle, tmp_path):
    (tmp_path / "in.txt").write_text("insulin is given for gout")
    model = str(tiny_tasks / "run" / "bundle")
    for name in ("out.bioc.json", "out.bioc.xml", "brat"):
        place = str(tmp_path / name)
        options = ["--relations", model, "--output", place]
        done = CliRunner().invoke(
            application(), ["annotate", str(tmp_path / "in.txt"), "-m", str(tiny_bundle), *options]
        )
        assert done.exit_code == 0, done.output
        (document,) = read_documents(place)
        (relation,) = document.relations
        words = {entity.id: entity.text for entity in document.entities}
        assert (relation.type, [words[target] for _, target in relation.arguments]) == ("treats", ["insulin", "gout"])


def test_relations_of_pubtator_are_between_concepts(tiny_tasks, tmp_path):
    text = "9|t|insulin is given for gout\n9|a|\n9\t0\t7\tinsulin\tChemical\tD007328\n9\t21\t25\tgout\tDisease\tD006073\n\n"
    (tmp_path / "in.pubtator").write_text(text)
    model = Model.load(tiny_tasks / "run" / "bundle")
    found = list(related(model, read_documents(tmp_path / "in.pubtator")))
    write_documents(found, tmp_path / "out.pubtator", "pubtator")
    assert "9\ttreats\tD007328\tD006073" in (tmp_path / "out.pubtator").read_text()
    (again,) = related(model, found)
    assert len(again.relations) == 1
    (none,) = related(model, read_documents(tmp_path / "in.pubtator"), min_confidence=1.0)
    assert none.relations == ()


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tiny_tasks, tmp_path):
    recipe = make_task_recipe(tmp_path, "single", "roles", epochs=3)
    whole = plan_run(recipe).start(tmp_path / "whole", False, lambda record: None)

    class StoppedError(Exception):
        pass

    def stop(record: dict[str, object]) -> None:
        if record["event"] == "validation" and record["epoch"] == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        plan_run(recipe).start(tmp_path / "part", False, stop)
    again = plan_run(recipe).start(tmp_path / "part", True, lambda record: None)
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()


def test_few_shots_are_the_same_every_time(tmp_path):
    from textome.datasets.labelled import LabelledText
    from textome.tasks.classification import Classification
    from textome.training.text.data import few

    items = [LabelledText(str(number), "x", None, ("ab"[number % 2],)) for number in range(50)]
    task = Classification()
    chosen = few(task, items, 3, seed=1)
    assert [item.labels for item in chosen].count(("a",)) == 3
    assert len(chosen) == 6
    assert chosen == few(task, items, 3, seed=1)
    assert chosen != few(task, items, 3, seed=2)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('tasks.single.labels=["drug", "disease", "food"]', "no training record has the label 'food'"),
        ("tasks.single.train=[]", "tasks"),
        ("tasks.single.kind=clasification", "tasks"),
        ('tasks.single.train=["none.tsv"]', "no such file"),
    ],
)
def test_wrong_recipes_are_refused(tmp_path, override, message):
    recipe = make_task_recipe(tmp_path, "single")
    with pytest.raises(InputError, match=message):
        plan_run(recipe, [override]).start(tmp_path / "run", False, lambda record: None)


def test_contrastive_loss_by_hand():
    from textome.training.losses import contrastive

    pooled = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0], [0.0, 1.0]], requires_grad=True)
    cosines = (pooled / pooled.norm(dim=1, keepdim=True)).detach().numpy()
    cosines = cosines @ cosines.T / 0.5
    expected = []
    for one, other in ((0, 2), (2, 0)):  # the others are alone in their class
        rest = [cosines[one, k] for k in range(4) if k != one]
        expected.append(-np.log(np.exp(cosines[one, other]) / np.exp(rest).sum()))
    value = contrastive(pooled, torch.tensor([1, 0, 1, 2]), 0.5)
    assert value.item() == pytest.approx(np.mean(expected), abs=1e-6)
    value.backward()
    assert torch.isfinite(pooled.grad).all()
    assert contrastive(pooled, torch.tensor([0, 1, 2, 3])).item() == 0


def test_few_examples_are_read_until_the_least_number_of_steps(tmp_path):
    recipe = make_task_recipe(tmp_path, "single", epochs=1)
    overrides = ["tasks.single.shots=2", "tasks.single.contrastive=0.5", "training.min_steps=7"]
    plan_run(recipe, overrides).start(tmp_path / "run", False, lambda record: None)
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records if record["event"] == "validation"] == [*range(1, 8)]
    done = CliRunner().invoke(application(), ["finetune", str(recipe), "-o", str(tmp_path / "two"), "--shots", "2"])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "two" / "data.json").read_text())["single"]["train_records"] == 4
    with pytest.raises(InputError, match="no \\[\\[tasks\\]\\] with classes"):
        few_shots(tmp_path / "base" / "config.json", 2)
    with pytest.raises(InputError, match="contrastive needs texts of one class"):
        plan_run(make_task_recipe(tmp_path, "topics"), ["tasks.topics.contrastive=0.5"])


def test_losses_by_hand():
    from textome.training.losses import LossOptions, binary_cross_entropy, cross_entropy

    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    targets = torch.tensor([[0], [0], [-100]])
    shares = np.array([np.exp(2) / (np.exp(2) + 1), 1 / (1 + np.e)])
    assert cross_entropy(logits, targets, LossOptions()).item() == pytest.approx(-np.log(shares).mean(), abs=1e-6)
    focal = (-np.log(shares) * (1 - shares) ** 2).mean()
    assert cross_entropy(logits, targets, LossOptions(focal=2.0)).item() == pytest.approx(focal, abs=1e-6)
    soft = torch.tensor([[0.75, 0.25], [0.25, 0.75], [float("nan")] * 2])
    logs = np.log(np.stack([shares, 1 - shares], axis=1))
    expected = -(soft[:2].numpy() * logs).sum(1).mean()
    assert cross_entropy(logits, soft, LossOptions()).item() == pytest.approx(expected, abs=1e-6)
    focal = -(soft[:2].numpy() * (1 - np.exp(logs)) ** 2 * logs).sum(1).mean()
    assert cross_entropy(logits, soft, LossOptions(focal=2.0)).item() == pytest.approx(focal, abs=1e-6)
    weights = LossOptions(class_weights=torch.tensor([3.0, 1.0]))
    both = binary_cross_entropy(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), weights)
    assert both.item() == pytest.approx(4 * np.log(2), abs=1e-6)


def test_relations_in_one_pass_are_those_of_the_text_whatever_stands_beside_it(tmp_path):
    make_task_recipe(tmp_path, "treats")
    documents = join_documents(tmp_path)
    bundle = plan_run(tmp_path / "treats.toml", ONE_PASS).start(tmp_path / "run", False, lambda record: None)
    assert last_scores(tmp_path / "run")["treats"] > 0.75  # all pairs score 0.4
    export_bundle(Bundle.load(bundle), bundle, "fp32")
    model = Model.load(bundle)
    candidates = model.task("treats").records(documents[0])
    (example,) = model.examples("treats", candidates)
    assert len(example.record_of_position) == len(candidates)
    together = list(related(model, documents))
    for document, found in zip(documents, together, strict=True):
        (alone,) = related(model, [document])
        assert [relation.arguments for relation in alone.relations] == [one.arguments for one in found.relations]
        shares = [relation.confidence for relation in found.relations]
        assert [relation.confidence for relation in alone.relations] == pytest.approx(shares, abs=1e-5)
    score = CliRunner().invoke(
        application(), ["evaluate", "-m", str(bundle), "-d", str(tmp_path / "c.jsonl"), "--format", "jsonl", "--json"]
    )
    assert json.loads(score.stdout)["score"] > 0.75
