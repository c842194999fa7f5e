"""A teacher that reads each record once, with a tokenizer of its own: what its probabilities do to the targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax as softmax_over

from textome.documents import Document
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.model import Model
from textome.tasks.spans.iob import IGNORED
from textome.text.tokenization import Tokenizer
from textome.training.kinds import plan_run
from textome.training.recipe import load_recipe
from textome.training.techniques import soft_targets as technique
from textome.training.techniques.soft_targets import softened, unlabelled_records
from textome.training.text.corpora import load_corpora
from textome.training.text.data import load_task
from tiny import DISEASES, DRUGS, make_base, make_recipe
from tiny_tasks import make_task_recipe

RECIPE = """
name = "tiny"
[model]
base = "{base}"
window = 64
overlap = 16
[data]
root = "{root}"
[[tasks]]
name = "relations"
kind = "document_relations"
format = "pubtator"
train = ["train.txt"]
validation = ["train.txt"]
labels = ["Treats", "Causes"]
pairs = [["Chemical", "Disease"]]
types = {{ Chemical = "Chemical", Disease = "Disease" }}
{more}
[training]
epochs = 2
learning_rate = 1e-3
token_budget = 256
precision = "fp32"
seed = 3
"""
TEACHING = """
[distillation]
teacher = "{teacher}"
once = true
scores = 0.25
texts = ["{texts}"]
"""


def pubtator(number: int, drug: str, disease: str, relation: str) -> str:
    text = f"{drug} for {disease} ."
    at = text.index(disease)
    return (
        f"{number}|t|{text}\n"
        f"{number}\t0\t{len(drug)}\t{drug}\tChemical\tD{number}\n"
        f"{number}\t{at}\t{at + len(disease)}\t{disease}\tDisease\tC{number}\n"
        + (f"{number}\t{relation}\tD{number}\tC{number}\tNovel\n" if relation else "")
    )


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished bundle beside the files that it was trained on."""
    folder = tmp_path_factory.mktemp("teacher")
    pairs = [(drug, disease) for drug in DRUGS for disease in DISEASES]
    labels = ["Treats", "Causes", ""]
    (folder / "train.txt").write_text(
        "\n".join(pubtator(number, *pair, labels[number % 3]) for number, pair in enumerate(pairs, 1))
    )
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(base=make_base(folder / "base"), root=folder, more=""))
    bundle = plan_run(path, []).start(folder / "run", False, lambda event: None)
    export_bundle(Bundle.load(bundle), bundle, "fp32")
    return bundle


@pytest.fixture
def recipe_path(teacher: Path, tmp_path: Path) -> Path:
    """A student that cuts texts in other tokens, and one text without labels."""
    base = make_base(tmp_path / "base")
    text = (base / "tokenizer.json").read_text()
    (base / "tokenizer.json").write_text(text.replace('"aspirin"', '"aspirxx"'))
    (tmp_path / "plain.txt").write_text(
        pubtator(77, "quinine", "malaria", "") + "\n78|t|gout\n78\t3\t2\tx\tDisease\tC1\n"
    )
    more = TEACHING.format(teacher=teacher, texts=tmp_path / "plain.txt")
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(base=base, root=teacher.parent.parent, more=more))
    return path


def test_the_teacher_has_its_share_of_each_target(
    recipe_path: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(recipe_path)
    tokenizer = Tokenizer.load(recipe_path.parent / "base")
    assert tokenizer.fingerprint != Tokenizer.load(teacher).fingerprint
    monkeypatch.setattr(technique, "_RECORDS_AT_ONCE", 10)
    data = load_task(recipe, recipe.tasks[0], tokenizer, tmp_path)

    model = Model.load(teacher)
    task = model.task("relations")
    path = teacher.parent.parent / "train.txt"
    records = list(task.read(str(path), "pubtator", Quarantine()))
    records += unlabelled_records(recipe, recipe.tasks[0].task, Quarantine())
    assert len(records) == len(data.examples) == 26
    examples = model.examples("relations", records)
    soft = task.soft_targets(records, examples, model.scores("relations", examples))
    for number, ((row,), record) in enumerate(zip(soft, records, strict=True)):
        (target,) = data.targets[number]
        assert 0 < row[0] < 1
        if number == 25:
            np.testing.assert_allclose(target, row, atol=1e-6)
            continue
        related = bool(record.labels)
        gold = np.array([related, *(name in record.labels if related else np.nan for name in ("Treats", "Causes"))])
        expected = np.where(np.isnan(gold), row, np.where(np.isnan(row), gold, 0.75 * gold + 0.25 * row))
        np.testing.assert_allclose(target, expected, atol=1e-6)

    def fail(*_: Any) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(Model, "load", fail)
    again = load_task(recipe, recipe.tasks[0], tokenizer, tmp_path)
    np.testing.assert_array_equal(np.concatenate(again.targets), np.concatenate(data.targets))


def test_types_of_pairs_that_are_hardly_related_are_not_taught(teacher: Path) -> None:
    task = Model.load(teacher).task("relations")
    records = list(task.read(str(teacher.parent.parent / "train.txt"), "pubtator", Quarantine()))[:2]
    tokenizer = Tokenizer.load(teacher)
    examples = task.examples(records, tokenizer, 64, 16)
    scores = [np.array([[at, 1.0, 0.0]], np.float32) for at in (-20.0, 20.0)]
    (unrelated,), (related,) = task.soft_targets(records, examples, scores)
    assert unrelated[0] < 0.1
    assert np.isnan(unrelated[1:]).all()
    assert related[1:].sum() == pytest.approx(1)


def test_a_run_with_it_trains_and_tells_of_bad_texts(recipe_path: Path, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    bundle = plan_run(recipe_path, []).start(tmp_path / "run", False, events.append)
    assert (bundle / "model.safetensors").is_file()
    assert any("plain.txt" in str(event) for event in events)
    read = [(event["records"], event["of"]) for event in events if event["event"] == "teacher"]
    assert read == [(26, 26)]
    assert len(list((tmp_path / "run" / "soft-targets").iterdir())) == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["distillation.once=false"], "needs distillation.once"),
        (["tasks.relations.labels=['Treats', 'Cures']"], "does not know Cures"),
        (["training.r_drop=1.0"], "do not go together"),
        (["distillation.teacher=default"], "no task 'relations'"),
    ],
)
def test_what_cannot_be_taught_is_told(recipe_path: Path, tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_run(recipe_path, overrides).start(tmp_path / "run", False, lambda event: None)


def test_tasks_without_probabilities_of_outputs_refuse_it(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    task = '[[tasks]]\nname = "answers"\nkind = "question_answering"\ntrain = ["train.jsonl"]\n'
    head = 'name = "tiny"\n[model]\nbase = "default"\n[training]\nepochs = 1\nlearning_rate = 1e-3\n'
    path.write_text(f'{head}{task}[distillation]\nteacher = "default"\nonce = true\n')
    with pytest.raises(InputError, match="no probabilities of single outputs"):
        load_recipe(path)


@pytest.fixture(scope="module")
def entity_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of entities with a linear head, beside the recipe that made it and its corpora."""
    folder = tmp_path_factory.mktemp("entity-teacher")
    bundle = plan_run(make_recipe(folder, epochs=2), []).start(folder / "run", False, lambda event: None)
    export_bundle(Bundle.load(bundle), bundle, "fp32")
    return bundle


def entity_student(teacher: Path, folder: Path) -> Path:
    """A recipe of a student with a random field, which cuts words in other pieces."""
    path = make_recipe(folder, epochs=1)
    base = folder / "base"
    text = (base / "tokenizer.json").read_text()
    (base / "tokenizer.json").write_text(text.replace('"aspirin"', '"aspirxx"'))
    more = f'[distillation]\nteacher = "{teacher}"\nonce = true\nscores = 0.25\n'
    text = path.read_text().replace("[entities]\n", '[entities]\nhead = "crf"\n')
    path.write_text(text.replace("[training]\n", more + "[training]\n"))
    return path


def test_a_teacher_of_entities_speaks_for_each_word(entity_teacher: Path, tmp_path: Path) -> None:
    recipe = load_recipe(entity_student(entity_teacher, tmp_path))
    tokenizer = Tokenizer.load(tmp_path / "base")
    assert tokenizer.fingerprint != Tokenizer.load(entity_teacher).fingerprint
    data = load_task(recipe, recipe.tasks[0], tokenizer, tmp_path)
    plain = load_task(recipe.model_copy(update={"distillation": None}), recipe.tasks[0], tokenizer)

    model, number = Model.load(entity_teacher), 0
    for corpus in load_corpora(recipe, recipe.tasks[0]):
        for sentence in corpus.train:
            (scores,) = model.scores("entities", model.examples("entities", [sentence]))
            soft = softmax_over(scores.reshape(-1, 2, 3), axis=-1)
            (hard,) = (plain.targets[number],)
            gold = np.where((hard == IGNORED)[..., None], soft, np.eye(3)[np.maximum(hard, 0)])
            expected = (0.75 * gold + 0.25 * soft).reshape(-1, 6)
            np.testing.assert_allclose(data.targets[number], expected, atol=1e-4)
            number += 1
    assert number == len(data.examples) == len(plain.examples)


def test_a_text_that_the_teacher_cuts_into_other_words_keeps_its_labels(entity_teacher: Path) -> None:
    task = Model.load(entity_teacher).task("entities")
    tokenizer = Tokenizer.load(entity_teacher)
    (record,) = task.records(Document.from_text("aspirin for gout ."))
    (example,) = task.examples([record], tokenizer, 32, 8)
    hard = np.array([[0, IGNORED], [0, IGNORED], [1, IGNORED], [2, IGNORED]], np.int8)
    (mixed,) = softened(task, [hard], [example], [np.ones((3, 6), np.float32)], 0.5)
    nothing = [np.nan] * 3
    np.testing.assert_array_equal(
        mixed, [[1, 0, 0, *nothing], [1, 0, 0, *nothing], [0, 1, 0, *nothing], [0, 0, 1, *nothing]]
    )


@pytest.mark.parametrize("more", [[], ["training.early_exit=1"]])
def test_a_student_of_a_teacher_of_entities_is_trained(entity_teacher: Path, tmp_path: Path, more: list[str]) -> None:
    events: list[dict[str, Any]] = []
    bundle = plan_run(entity_student(entity_teacher, tmp_path), more).start(tmp_path / "run", False, events.append)
    assert (bundle / "model.safetensors").is_file()
    assert any(event["event"] == "teacher" for event in events)


def test_corpora_have_no_further_texts(entity_teacher: Path, tmp_path: Path) -> None:
    recipe = load_recipe(entity_student(entity_teacher, tmp_path), ["distillation.texts=['plain.txt']"])
    with pytest.raises(InputError, match="make a corpus of these files"):
        load_task(recipe, recipe.tasks[0], Tokenizer.load(tmp_path / "base"))


@pytest.mark.parametrize("name", ["single", "roles", "treats", "topics"])
def test_a_teacher_of_labels_has_its_share_of_them(tiny_tasks: Path, tmp_path: Path, name: str) -> None:
    bundle = tiny_tasks / "run" / "bundle"
    teaching = f'[distillation]\nteacher = "{bundle}"\nonce = true\nscores = 0.25\n'
    path = make_task_recipe(tmp_path, name, more=teaching, epochs=1)
    recipe, tokenizer = load_recipe(path), Tokenizer.load(tmp_path / "base")
    data = load_task(recipe, recipe.tasks[0], tokenizer, tmp_path)
    plain = load_task(recipe.model_copy(update={"distillation": None}), recipe.tasks[0], tokenizer)
    model, task = Model.load(bundle), Model.load(bundle).task(name)
    records = list(task.read(recipe.path(recipe.tasks[0].train[0]), recipe.tasks[0].layout, Quarantine()))
    examples = model.examples(name, records)
    soft = task.soft_targets(records, examples, model.scores(name, examples))
    assert len(data.targets) == len(plain.targets) == len(examples)
    for mixed, hard, example in zip(data.targets, plain.targets, data.examples, strict=True):
        gold = hard if hard.dtype.kind == "f" else np.eye(len(task.output_names))[hard[:, 0]]
        rows = np.concatenate([soft[number] for number in example.owners])
        np.testing.assert_allclose(mixed, 0.75 * gold + 0.25 * rows, atol=1e-5)
        if name != "topics":
            np.testing.assert_allclose(mixed.sum(-1), 1, atol=1e-5)
    bundle = plan_run(path, []).start(tmp_path / "run", False, lambda event: None)
    assert (bundle / "model.safetensors").is_file()


def test_a_teacher_of_classes_reads_texts_without_labels(tiny_tasks: Path, tmp_path: Path) -> None:
    bundle = tiny_tasks / "run" / "bundle"
    teaching = f'[distillation]\nteacher = "{bundle}"\nonce = true\ntexts = ["{tmp_path}/plain.txt"]\n'
    path = make_task_recipe(tmp_path, "single", more=teaching, epochs=1)
    (tmp_path / "plain.txt").write_text("aspirin daily")
    settings = ["tasks.single.contrastive=0.5", "tasks.single.focal=2", 'tasks.single.class_weights="balanced"']
    recipe = load_recipe(path, settings)
    data = load_task(recipe, recipe.tasks[0], Tokenizer.load(tmp_path / "base"), tmp_path)
    model = Model.load(bundle)
    task = model.task("single")
    records = task.records(Document.from_text("aspirin daily"))
    examples = model.examples("single", records)
    (soft,) = task.soft_targets(records, examples, model.scores("single", examples))
    np.testing.assert_allclose(data.targets[-1], soft, atol=1e-6)
    assert data.num_records == data.num_labelled + 1
    assert (plan_run(path, settings).start(tmp_path / "run", False, lambda event: None) / "model.safetensors").is_file()
