"""What a user may do wrong, and what a machine may: a clear sentence each, and nothing that was good is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from typer.testing import CliRunner

from textome.cli.main import application
from textome.errors import InputError, ModelError
from textome.training import bundles, loop, run
from textome.training.finetune import finetune
from textome.training.kinds import plan_run
from textome.training.recipe import load_recipe
from textome.training.text.job import TextJob
from tiny import make_recipe
from tiny_tasks import make_task_recipe
from training_runs import same_weights


def test_a_loss_that_is_no_number_names_the_batch_and_the_run_goes_on_where_it_was_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(make_recipe(tmp_path, epochs=3))
    undisturbed = finetune(recipe, tmp_path / "undisturbed")
    records = [json.loads(line) for line in (tmp_path / "undisturbed" / "metrics.jsonl").read_text().splitlines()]
    epoch = next(record["step"] for record in records if record["event"] == "validation")
    good, calls, bad = TextJob.loss, [0], epoch + 3

    def spoilt(self: TextJob, batch: Any) -> tuple[Tensor, int]:
        loss, tokens = good(self, batch)
        calls[0] += 1
        return (loss * float("nan") if calls[0] == bad + 1 else loss), tokens

    with monkeypatch.context() as patch:
        patch.setattr(TextJob, "loss", spoilt)
        with pytest.raises(InputError, match=rf"the loss is nan at step {bad} \(epoch 2, batch 3\)") as caught:
            finetune(recipe, tmp_path / "run")
    assert "resume from the last checkpoint" in str(caught.value)
    kept = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))
    assert [place.name for place in kept] == [f"step-{epoch:07d}"]
    assert all(tensor.isfinite().all() for tensor in load_file(kept[0] / "model.safetensors").values())
    assert same_weights(finetune(recipe, tmp_path / "run", resume=True), undisturbed)


def test_a_label_that_the_recipe_does_not_name_is_quarantined_and_counted(tmp_path: Path) -> None:
    path = make_task_recipe(tmp_path, "single", epochs=1)
    with (tmp_path / "a.tsv").open("a") as stream:
        stream.write("patients took gout daily\tsomething else\n")
    plan_run(path, ["tasks.single.labels=['disease', 'drug']"]).start(tmp_path / "run", False, lambda record: None)
    report = json.loads((tmp_path / "run" / "data.json").read_text())["single"]
    assert report["train_records"] == 60
    assert report["quarantined"] == 2, "once in training, once in validation"
    assert "'something else' is none of the model's: disease, drug" in report["first_problems"][0]


def test_a_label_without_any_record_is_named(tmp_path: Path) -> None:
    path = make_task_recipe(tmp_path, "single", epochs=1)
    with pytest.raises(InputError, match="no training record has the label 'nothing'"):
        plan_run(path, ["tasks.single.labels=['disease', 'drug', 'nothing']"]).start(
            tmp_path / "run", False, lambda record: None
        )


@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_empty_split_is_named(tmp_path: Path, split: str) -> None:
    entities = make_recipe(tmp_path / "entities")
    (tmp_path / "entities" / ("drugs.tsv" if split == "train" else "drugs-devel.tsv")).write_text("")
    what = "training" if split == "train" else split
    with pytest.raises(InputError, match=f"corpus 'drugs': no {what} sentence was read from drugs"):
        finetune(load_recipe(entities), tmp_path / "run")
    tasks = make_task_recipe(tmp_path / "tasks", "single")
    (tmp_path / "tasks" / "empty.tsv").write_text("")
    with pytest.raises(InputError, match=f"task 'single': no {what} record was read from empty.tsv"):
        plan_run(tasks, [f"tasks.single.{split}=['empty.tsv']"]).start(tmp_path / "run2", False, lambda record: None)


def test_a_misspelt_key_is_a_sentence_and_exit_code_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(application(), ["finetune", str(make_recipe(tmp_path)), "--set", "training.epoch=3"])
    assert isinstance(result.exception, InputError)
    assert result.exception.exit_code == 2
    assert "training.epoch is not a key of a recipe; did you mean 'epochs'?" in str(result.exception)


def test_a_base_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = make_recipe(tmp_path)
    config = tmp_path / "base" / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps(values | {"model_type": "llama"}))
    with pytest.raises(ModelError, match=r"the architecture is 'llama'; only bert, .* can be loaded"):
        finetune(load_recipe(path), tmp_path / "run")
    config.write_text(json.dumps(values | {"hidden_size": 64}))
    with pytest.raises(ModelError, match=r"has shape \(\d+, 32\), expected \(\d+, 64\)|shape"):
        finetune(load_recipe(path), tmp_path / "run2")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("No space left on device")])
@pytest.mark.parametrize("place", ["best.safetensors", "bundle"])
def test_a_full_disk_loses_nothing_that_was_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, error: Exception
) -> None:
    recipe = load_recipe(make_recipe(tmp_path, epochs=2))
    undisturbed = finetune(recipe, tmp_path / "undisturbed")

    def full(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(loop if place == "best.safetensors" else bundles, "write_tensors", full)
        with pytest.raises(InputError, match=rf"{place} cannot be written \(.*No space left on device.*make room"):
            finetune(recipe, tmp_path / "run")
    assert same_weights(finetune(recipe, tmp_path / "run", resume=True), undisturbed)


def test_a_full_disk_under_the_log_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = run.Log(tmp_path, 0, lambda record: None)

    class Full:
        def write(self, text: str) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(log, "_stream", Full())
    with pytest.raises(InputError, match=r"metrics.jsonl cannot be written"):
        log.write(event="start")


def test_bad_records_of_test_files_are_reported_too(tmp_path: Path) -> None:
    """Test files are read to keep leaks out: a record that is not read could hide one."""
    path = make_task_recipe(tmp_path, "single", "entities", epochs=1)
    (tmp_path / "test.tsv").write_text("patients took gout daily\tdisease\tand more\nno quinine was seen\tdrug\n")
    (tmp_path / "test.jsonl").write_text('{"text": 5}\n')
    told: list[dict[str, Any]] = []
    corpus = 'train = ["c.jsonl"]\n'
    path.write_text(path.read_text().replace(corpus, f'test = ["test.jsonl"]\n{corpus}'))
    plan_run(path, ["tasks.single.test=['test.tsv']"]).start(tmp_path / "run", False, told.append)
    lines = [line for record in told if record["event"] == "quarantined" for line in record["lines"]]
    assert [line.rpartition("/")[2] for line in lines] == [
        "test.tsv, line 1: expected text and label, found 3 columns; of more columns a header tells which are text and "
        "label",
        "test.jsonl, line 1: text: expected a text, found the number 5",
    ]


def test_data_without_a_label_say_what_was_quarantined(tmp_path: Path) -> None:
    path = make_task_recipe(tmp_path, "topics", epochs=1)
    (tmp_path / "d.jsonl").write_text('{"text": "no gout", "labels": []}\n{"text": "gout", "labels": "disease"}\n')
    with pytest.raises(InputError, match=r"no training record has a label; .*the first of \d quarantined: .*line 2"):
        plan_run(path).start(tmp_path / "run", False, lambda record: None)
