"""`textome predict` on texts; files of other kinds are in tests/training/test_modality_runs.py."""

from __future__ import annotations

import json
from pathlib import Path

from cli.conftest import Run, write
from one_model import labels_of
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.model import Model
from textome.runtime.step import POOL_RECORDS
from textome.training.kinds import plan_run
from tiny_tasks import make_task_recipe


def rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_document_gets_its_labels_and_bad_ones_are_set_aside(run: Run, tiny_tasks: Path, tmp_path: Path) -> None:
    model = tiny_tasks / "run" / "bundle"
    texts = {"a": "patients took aspirin", "b": "no gout was seen", "c": "\u200b", "d": "no malaria was seen"}
    texts |= {str(number): "no gout was seen" for number in range(POOL_RECORDS)}  # so that there is a second pool
    place = tmp_path / "notes.jsonl"
    write(place, "".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in texts.items()))
    found = run("predict", place, "--model", model, "--task", "single")
    assert found.code == 1
    assert "record c: a text without any word" in found.err
    told = rows(found.out)
    assert [row["id"] for row in told] == [name for name in texts if name != "c"]
    assert [row["label"] for row in told[:3]] == ["drug", "disease", "disease"]
    (alone,) = labels_of(Model.load(model), "single", [texts["a"]])
    for name, share in alone.scores.items():
        assert abs(told[0]["probabilities"][name] - share) < 1e-5  # type: ignore[index]
    table = tmp_path / "found.tsv"
    assert run("predict", place, "-m", model, "--task", "topics", "--to", "tsv", "-o", table).code == 1
    header, first = (line.split("\t") for line in table.read_text().splitlines()[:2])
    assert header == ["file", "id", "disease", "drug"]
    assert first[:2] == [str(place), "a"]
    (both,) = labels_of(Model.load(model), "topics", [texts["a"]])
    assert [round(both.scores[name], 6) for name in ("disease", "drug")] == [float(cell) for cell in first[2:]]


def test_sentences_of_abstracts_stand_at_their_places(run: Run, tiny_tasks: Path, tmp_path: Path) -> None:
    model, text = tiny_tasks / "run" / "bundle", "Patients took aspirin daily. No gout was seen."
    place = write(tmp_path / "a.jsonl", json.dumps({"id": "1", "text": text}) + '\n{"id": "2", "text": ""}\n')
    found = run("predict", place, "--model", model, "--task", "roles")
    assert found.code == 1
    assert "line 2: the record has no text" in found.err
    told = rows(found.out)
    assert [row["label"] for row in told] == ["aim", "result"]
    for row in told:
        assert row["text"] == text[row["start"] : row["end"]]  # type: ignore[misc]
    # The same from a file of training data, whose labels may be missing.
    apart = write(tmp_path / "b.txt", "###x\n\tPatients took aspirin daily.\nresult\tNo gout was seen.\n")
    again = run("predict", apart, "--model", model, "--task", "roles", "--layout", "sentences", "--to", "tsv")
    lines = [line.split("\t") for line in again.out.splitlines()]
    assert lines[0] == ["file", "id", "sentence", "text", "label", "probability"]
    assert [line[2:5] for line in lines[1:]] == [
        ["1", "Patients took aspirin daily.", "aim"],
        ["2", "No gout was seen.", "result"],
    ]
    wrong = run("predict", write(tmp_path / "c.tsv", "no gout\n"), "-m", model, "--task", "roles", "--layout", "tsv")
    assert wrong.code == 2
    assert "task roles reads the sentences of abstracts" in wrong.err


def test_pairs_are_read_from_records_or_asked_of_documents(run: Run, tmp_path: Path) -> None:
    recipe = make_task_recipe(tmp_path, "single", epochs=1)
    text = "".join(
        json.dumps({"id": str(number), "text": "took aspirin", "pair": "no gout was seen", "label": label}) + "\n"
        for number, label in enumerate(["yes", "no"] * 4)
    )
    write(tmp_path / "pairs.jsonl", text)
    changed = recipe.read_text().replace('layout = "tsv"', 'layout = "jsonl"').replace("a.tsv", "pairs.jsonl")
    recipe.write_text(changed.replace('negative = ["drug"]', ""))
    bundle = plan_run(recipe).start(tmp_path / "run", False, lambda record: None)
    export_bundle(Bundle.load(bundle), bundle, "fp32")
    document = write(tmp_path / "d.jsonl", '{"id": "1", "text": "no gout was seen"}\n')
    asked = run("predict", document, "--model", bundle, "--question", "took aspirin")
    assert asked.code == 0
    records = write(tmp_path / "r.jsonl", '{"text": "took aspirin", "pair": "no gout was seen"}\n{"text": "took"}\n')
    read = run("predict", records, "--model", bundle, "--layout", "jsonl")
    assert read.code == 1
    assert "record 2: task single reads pairs of texts" in read.err
    assert rows(asked.out)[0]["probabilities"] == rows(read.out)[0]["probabilities"]
    assert "reads pairs of texts: give a question" in run("predict", document, "--model", bundle).err


def test_what_cannot_be_predicted_is_named(run: Run, tiny_bundle: Path, tiny_tasks: Path, tmp_path: Path) -> None:
    place, tasks = write(tmp_path / "a.txt", "gout"), tiny_tasks / "run" / "bundle"
    for model, arguments, message in (
        (
            tiny_bundle,
            [],
            "none of the model's tasks (entities) is a classification of texts; ask it with",
        ),
        (tasks, [], "name one of its tasks: single, roles, topics"),
        (tasks, ["--task", "treats"], "it has no task 'treats' that gives labels, only: single, roles, topics"),
        (tasks, ["--task", "single", "--question", "why"], "does not read pairs of texts"),
        (tasks, ["--task", "single", "--question", "why", "--layout", "tsv"], "have their own"),
        (tasks, ["--task", "single", "--layout", "table"], "the layout 'table' is unknown"),
    ):
        wrong = run("predict", place, "--model", model, *arguments)
        assert (wrong.code, wrong.out) == (2, ""), arguments
        assert message in wrong.err, arguments


def test_annotate_reports_documents_that_a_task_cannot_read(run: Run, tiny_tasks: Path, tmp_path: Path) -> None:
    """A text of marks that no tokenizer keeps: it comes out without that task's labels, and the others are not harmed."""
    texts = ["patients took aspirin", "\u200b\u200b", "no gout was seen"]
    lines = [json.dumps({"id": str(number), "text": text}) for number, text in enumerate(texts)]
    given = write(tmp_path / "a.jsonl", "\n".join(lines))
    done = run("annotate", given, "--model", tiny_tasks / "run" / "bundle", "--without", "linking", "--to", "jsonl")
    documents = rows(done.out)
    assert [document["id"] for document in documents] == ["0", "1", "2"]
    tasks = [{label["task"] for label in document["labels"]} for document in documents]
    assert ["single" in names for names in tasks] == [True, False, True]
    assert done.code == 1
    assert "document 1" in done.err
    assert "without any word" in done.err
