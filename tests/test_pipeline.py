"""Pipelines: chosen by files and options, run over texts and documents, and the same at every entrance."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import textome
from textome.cli.main import application
from textome.documents import Document, Label
from textome.errors import InputError
from textome.pipeline import Pipeline, PipelineChoice, StepChoice, choose_pipeline, setting
from textome.runtime.model import Model
from textome.steps import STEPS, Row, step_class
from tiny import DISEASES, DRUGS

TEXT = f"{DRUGS[0]} is given for {DISEASES[0]} ."
SHORT = "the tumour necrosis factor (TNF) rose"


def kinds(**options: object) -> list[str]:
    return [step.kind for step in choose_pipeline(**options).steps]  # type: ignore[arg-type]


DEFAULT = [name for name, row in STEPS.items() if row.default]


def test_the_table_of_steps_says_what_the_classes_say() -> None:
    assert {name: row.adds_types for name, row in STEPS.items()} == {
        name: step_class(name).adds_types for name in STEPS
    }


def test_the_default_pipeline_is_the_model_and_the_default_steps_in_the_order_of_the_table() -> None:
    assert kinds() == ["model", *DEFAULT]
    assert kinds(leave_out=DEFAULT) == ["model"]
    assert kinds(add=list(STEPS)) == ["model", *STEPS]
    assert kinds(models=["a", "b"], leave_out=DEFAULT) == ["model", "model"]


def test_steps_that_add_entities_are_chosen_by_type_and_a_default_of_the_bundled_model_alone(tmp_path: Path) -> None:
    def with_types(*types: str, **options: object) -> list[str]:
        return kinds(settings={"model": {"types": types}}, **options)

    assert "variants" in kinds()
    assert "variants" in kinds(models=["a", "default"])
    assert "variants" not in kinds(models=["a"])
    assert "variants" in kinds(models=["a"], add=["variants"])
    assert "variants" not in with_types("Disease")
    assert "variants" in with_types("Disease", "Variant")
    assert "variants" in with_types("Variant", models=["a"])
    assert "variants" in with_types("Disease", add=["variants"])
    assert "variants" not in with_types("Variant", leave_out=["variants"])
    file = tmp_path / "pipeline.toml"
    file.write_text("[[steps]]\nkind = 'model'\n[[steps]]\nkind = 'variants'\n")
    assert with_types("Disease", file=file) == ["model", "variants"]
    assert with_types("Disease", file=file, leave_out=["variants"]) == ["model"]


def test_a_type_that_only_a_step_adds_may_be_asked_for() -> None:
    text = "HFE mutations such as C282Y cause haemochromatosis."
    pipeline = textome.load(types=["Variant"])
    assert [(item.text, item.type) for item in pipeline(text).entities] == [("C282Y", "Variant")]
    old = pipeline(text)
    assert [item.id for item in pipeline.annotate(old, replace=True).entities] == ["T1"]
    with pytest.raises(InputError, match="does not know the type 'Variant'"):
        textome.load(types=["Variant"], leave_out=["variants"])


def test_settings_of_a_step_switch_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STEPS, "other", Row("abbreviations", "Abbreviations", "for this test"))
    assert "other" not in kinds()
    chosen = choose_pipeline(settings={"other": {"agree": False}})
    assert StepChoice("other", {"agree": False}) in chosen.steps
    assert (
        StepChoice("model", {"model": None, "flat": True}) in choose_pipeline(settings={"model": {"flat": True}}).steps
    )


def test_a_pipeline_file(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.toml"
    file.write_text(
        '[[steps]]\nkind = "abbreviations"\nlabels = true\n[[steps]]\nkind = "model"\nmodel = "./bundle"\ntypes = ["A"]\n'
    )
    chosen = choose_pipeline(file, settings={"abbreviations": {"agree": False}})
    assert chosen.steps == (
        StepChoice("abbreviations", {"labels": True, "agree": False}),
        StepChoice("model", {"model": str(tmp_path / "bundle"), "types": ["A"]}),
    )
    assert kinds(file=file, leave_out=["abbreviations"]) == ["model"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "there are no steps"),
        ("steps = []", "there are no steps"),
        ("[model]\n", "'model' is not a key of a pipeline"),
        ("[[steps]]\nkind = 'x'", "step 1: kind is 'x'; choose one of model, abbreviations"),
        ("[[steps]]", "step 1: kind is None"),
        ("[[steps", "the pipeline is not valid TOML"),
        ("[[steps]]\nkind = 'model'\nspeed = 1", "model: speed: Extra inputs are not permitted"),
        (
            "[[steps]]\nkind = 'abbreviations'\nagree = 'x'",
            "step Abbreviations: agree: expected true or false",
        ),
    ],
)
def test_a_pipeline_file_that_is_wrong(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.toml").write_text(content)
    with pytest.raises(InputError, match=message):
        choose_pipeline(tmp_path / "a.toml").load()


def test_choices_that_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no step 'x'"):
        choose_pipeline(add=["x"])
    with pytest.raises(InputError, match="'abbreviations' is left out, but has settings"):
        choose_pipeline(leave_out=["abbreviations"], settings={"abbreviations": {"agree": False}})
    with pytest.raises(InputError, match="a pipeline file or models, not both"):
        choose_pipeline(tmp_path / "a.toml", ["b"])
    with pytest.raises(InputError, match=r"cannot be read \(No such file"):
        choose_pipeline(tmp_path / "a.toml")
    with pytest.raises(InputError, match="the pipeline has no step"):
        PipelineChoice(()).load()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b=true", ("a", "b", True)),
        ("a.b=[1, 2]", ("a", "b", [1, 2])),
        ("a.b=x/y z", ("a", "b", "x/y z")),
        ("a.b=", ("a", "b", "")),
    ],
)
def test_settings_on_the_command_line(text: str, expected: tuple[str, str, object]) -> None:
    assert setting(text) == expected


@pytest.mark.parametrize("text", ["a=b", "a.b", ".a=b", "a.=b"])
def test_a_setting_of_another_form(text: str) -> None:
    with pytest.raises(InputError, match=r"give STEP\.KEY=VALUE"):
        setting(text)


def test_texts_and_documents_in_documents_out(tiny_bundle: Path) -> None:
    pipeline = textome.load(tiny_bundle)
    document = pipeline(TEXT)
    assert [entity.text for entity in document.entities] == [DRUGS[0], DISEASES[0]]
    assert [item.id for item in pipeline([TEXT, TEXT])] == ["1", "2"]
    given = Document.from_text(TEXT, "x").with_labels([Label("a")])
    assert pipeline(given) == replace(document, id="x", labels=given.labels)
    assert list(pipeline([given])) == pipeline.annotate([given]) == list(pipeline.stream([given]))
    assert pipeline.annotate(TEXT) == document
    with pytest.raises(InputError, match="input 1: expected a text or a Document, found int"):
        list(pipeline([1]))  # type: ignore[list-item]


def test_replace_drops_what_the_models_give_and_nothing_else(tiny_bundle: Path) -> None:
    pipeline = textome.load(tiny_bundle, leave_out=DEFAULT)
    given = Document.from_text(TEXT, "x").with_labels([Label("a")])
    given = given.with_annotations([given.entity([(0, 2)], "Human")])
    assert "Human" in [entity.type for entity in pipeline.annotate(given).entities]
    replaced = pipeline.annotate(given, replace=True)
    assert "Human" not in [entity.type for entity in replaced.entities]
    assert replaced.labels == given.labels
    assert Pipeline([]).annotate(given, replace=True) == given


def test_each_model_looks_for_the_types_that_it_knows(tiny_bundle: Path) -> None:
    with pytest.raises(InputError, match="does not know the type 'Planet'"):
        textome.load(tiny_bundle, types=["Planet"])
    assert {entity.type for entity in textome.load(tiny_bundle, types=["Disease"])(TEXT).entities} == {"Disease"}


def test_the_same_pipeline_at_the_command_line(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": SHORT}) + "\n")
    file = tmp_path / "pipeline.toml"
    model = json.dumps(str(tiny_bundle))
    file.write_text(f"[[steps]]\nkind = 'model'\nmodel = {model}\n[[steps]]\nkind = 'abbreviations'\nlabels = true\n")

    def annotate(*options: str) -> dict[str, object]:
        result = CliRunner().invoke(application(), ["annotate", str(tmp_path / "a.jsonl"), "--to", "jsonl", *options])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)  # type: ignore[no-any-return]

    assert "labels" in annotate("--pipeline", str(file))
    assert "labels" not in annotate("--pipeline", str(file), "--without", "abbreviations")
    assert "labels" in annotate("--model", str(tiny_bundle), "--set", "abbreviations.labels=true")
    twice = annotate("--model", str(tiny_bundle), "--model", str(tiny_bundle), "--without", "abbreviations")
    assert twice == annotate("--model", str(tiny_bundle), "--without", "abbreviations")


def test_an_option_that_a_step_declares(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from textome.cli import pipelines

    row = replace(STEPS["abbreviations"], options={"defined-labels": "labels"})
    monkeypatch.setitem(STEPS, "abbreviations", row)
    assert pipelines.step_options()["defined-labels"] == ("abbreviations", "labels")
    values = {**dict.fromkeys(pipelines._OPTIONS), "flat": False, "defined_labels": ["true"]}
    assert StepChoice("abbreviations", {"labels": "true"}) in pipelines.chosen(values).steps


def test_all_tasks_of_a_bundle_annotate_in_one_call(tiny_tasks: Path) -> None:
    bundle = tiny_tasks / "run" / "bundle"
    text = "aspirin is given for gout."
    document = textome.load(bundle, leave_out=DEFAULT)(text)
    assert {entity.text for entity in document.entities} >= {"aspirin", "gout"}
    assert "treats" in {relation.type for relation in document.relations}
    assert {label.task for label in document.labels} >= {"single", "roles"}
    assert all(text[slice(*label.span)] == text for label in document.labels if label.task == "roles" and label.span)
    asked = textome.load(bundle, leave_out=DEFAULT, question="for")(text)
    answers = [label for label in asked.labels if label.task == "answers"]
    assert answers
    assert all(label.span and text[slice(*label.span)] == label.name for label in answers)
    only = textome.load(bundle, leave_out=DEFAULT, tasks=["single"])(text)
    assert (only.entities, only.relations, [label.task for label in only.labels]) == ((), (), ["single"])
    assert textome.load(bundle)("").labels == ()


def test_a_model_that_only_relates_runs_after_the_steps_that_identify(tiny_tasks: Path, tmp_path: Path) -> None:
    bundle = tiny_tasks / "run" / "bundle"
    (name,) = [name for name, task in textome.load(bundle).models[0].tasks.items() if task.output_kind == "relations"]
    steps = textome.load(bundle, tasks=[name]).steps
    assert isinstance(steps[-1], Model)
    assert len(steps) > 1
    assert isinstance(textome.load(bundle).steps[0], Model)
    file = tmp_path / "pipeline.toml"
    model = f"kind = 'model'\nmodel = {json.dumps(str(bundle))}\ntasks = ['{name}']\n"
    file.write_text(f"[[steps]]\n{model}[[steps]]\nkind = 'abbreviations'\n")
    assert isinstance(choose_pipeline(file).load().steps[0], Model)
