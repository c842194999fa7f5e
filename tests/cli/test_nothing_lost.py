"""What is quarantined, passed over, or named by a column is told at every entrance, also where a run ends in an error."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from cli.conftest import Run, write
from tiny import make_corpus

REJECTED = (
    '{"text": "No gout was seen", "spans": [{"start": 3, "end": 7, "label": "Disease"}], "answer": "accept"}\n'
    '{"text": "Skip this", "spans": [], "answer": "reject"}\n{"text": "And this", "spans": [], "answer": "ignore"}\n'
)


def test_evaluate_tells_what_it_quarantined_where_nothing_is_left(run: Run, tmp_path: Path, tiny_bundle: Path) -> None:
    data = write(tmp_path / "a.jsonl", '{"text": 5}\n{"text": "No gout was seen"}\n')
    result = run("evaluate", "--data", data, "--model", tiny_bundle)
    assert result.code == 2
    assert f"quarantined: {data}, line 1: text: expected a text" in result.err
    assert "holds no entity of a type that the model knows" in result.err


def test_bulk_counts_what_files_pass_over(run: Run, tmp_path: Path, tiny_bundle: Path) -> None:
    data = write(tmp_path / "a.jsonl", REJECTED)
    arguments = (
        "bulk",
        data,
        "-o",
        tmp_path / "out",
        "--model",
        tiny_bundle,
        "--workers",
        1,
        "--to",
        "jsonl",
        "--json",
    )
    for _ in range(2):  # the second run only looks
        result = run(*arguments)
        assert result.code == 0, result.err
        assert json.loads(result.out)["passed_over"] == {"rejected by the annotator": 2}
        assert "passed over: 2, rejected by the annotator" in result.err
    status = json.loads(run("bulk", "--status", tmp_path / "out", "--json").out)
    assert status["passed_over"] == {"rejected by the annotator": 2}


def test_evaluate_reads_columns_by_their_names(run: Run, tmp_path: Path, tiny_tasks: Path) -> None:
    rows = [("id", "note", "finding"), ("1", "patients took insulin", "drug"), ("2", "no gout was seen", "disease")]
    table = write(tmp_path / "a.csv", "".join(",".join(row) + "\n" for row in rows))
    lines = [json.dumps(dict(zip(rows[0], row, strict=True))) for row in rows[1:]]
    records = write(tmp_path / "a.jsonl", "\n".join(lines) + "\n")
    model = ("--model", tiny_tasks / "run" / "bundle", "--task", "single", "--json")
    scores = []
    for data, options in ((table, ()), (records, ("--format", "jsonl"))):
        result = run("evaluate", "--data", data, *model, "--text-column", "Note" if data == table else "note",
                     "--label-column", "finding", *options)  # fmt: skip
        assert result.code == 0, result.err
        scores.append({key: value for key, value in json.loads(result.out).items() if key not in ("data", "seconds")})
    assert scores[0] == scores[1]
    assert scores[0]["decisions"] == 2
    wrong = run("evaluate", "--data", table, *model, "--text-column", "abstract", "--label-column", "finding")
    assert wrong.code == 2
    assert "there is no column 'abstract' (found: id, note, finding)" in wrong.err
    other = run("evaluate", "--data", table, *model[:2], "--task", "treats", "--label-column", "finding")
    assert other.code == 2
    assert "--label-column: the task treats reads no table with such a column" in other.err


def test_evaluate_reads_entities_of_a_table_by_the_name_of_its_texts(
    run: Run, tmp_path: Path, tiny_bundle: Path
) -> None:
    spans = json.dumps([{"start": 3, "end": 7, "labels": ["Disease"]}])
    stream = io.StringIO()
    csv.writer(stream).writerows([("note", "label"), ("no gout was seen", spans)])
    data = write(tmp_path / "a.csv", stream.getvalue())
    result = run("evaluate", "--data", data, "--from", "csv", "--text-column", "note", "--model", tiny_bundle, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["documents"] == 1


@pytest.mark.parametrize("escape", [False, True])
def test_predict_writes_tables_safely_on_request(run: Run, tmp_path: Path, tiny_tasks: Path, escape: bool) -> None:
    data = write(tmp_path / "a.jsonl", '{"id": "=1+1", "text": "patients took insulin"}\n')
    result = run("predict", data, "--model", tiny_tasks / "run" / "bundle", "--task", "single", "--to", "tsv",
                 *(["--escape-formulas"] if escape else []))  # fmt: skip
    assert result.code == 0, result.err
    assert result.out.splitlines()[1].split("\t")[1] == ("'=1+1" if escape else "=1+1")


def test_a_fresh_bundle_is_evaluated_before_it_is_exported(run: Run, tmp_path: Path, tiny_bundle: Path) -> None:
    fresh = tmp_path / "fresh"
    shutil.copytree(tiny_bundle, fresh, ignore=shutil.ignore_patterns("*.onnx"))
    data = make_corpus(tmp_path / "a.tsv", drugs=False, sentences=5)
    results = [run("evaluate", "--data", data, "--model", model, *options, "--json")
               for model, options in ((fresh, ()), (tiny_bundle, ("--precision", "fp32")))]  # fmt: skip
    assert [result.code for result in results] == [0, 0], results[0].err
    first, second = ({**json.loads(result.out), "seconds": 0} for result in results)
    assert first == second
    assert "there is no exported graph, so one is made for this evaluation" in results[0].err
    assert not list(fresh.glob("*.onnx"))


def test_info_lists_labels_without_a_stray_comma(run: Run, tiny_tasks: Path) -> None:
    out = run("info", tiny_tasks / "run" / "bundle").out
    assert "classification: disease, drug\n" in out
    assert ":," not in out
