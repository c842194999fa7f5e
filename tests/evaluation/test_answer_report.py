from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from textome.cli.main import application
from textome.datasets.questions import Answer, AnswerPosition, Question
from textome.evaluation.answer_report import answer_report
from textome.metrics.answers import METRICS, interval, paired_p_value, score_answers, score_each

ITEMS = [
    Question(
        "1", "what <helps>?", ("colchicine helps", "rest"), (("Colchicine",),), (AnswerPosition(0, 0, 10),), "factoid"
    ),
    Question("2", "what for?", ("it is for gout",), (("asthma", "wheezing"),), (), "factoid"),
]
PREDICTED = [
    [Answer("colchicine", 0.8, 0, 0, 10), Answer("rest", 0.1, 1, 0, 4)],
    [Answer("<gout>", 0.9, 0, 10, 14)],
]


def test_each_question_has_its_scores() -> None:
    rows = score_each(ITEMS, PREDICTED, 0.5)
    assert rows[:, METRICS.index("mrr")].tolist() == [1.0, 0.0]
    scores = score_answers(ITEMS, PREDICTED, 0.5)
    assert (scores.mrr, scores.strict, scores.questions) == (0.5, 0.5, 2)
    assert score_answers([], [], 0.5).questions == 0


def test_the_page_tells_what_is_hard_and_what_is_wrong() -> None:
    text = answer_report("<t>", "mrr", ITEMS, PREDICTED, score_each(ITEMS, PREDICTED, 0.5))
    assert "<tr><td>in a text</td><td>1</td><td>100.00</td></tr>" in text
    assert "<tr><td>in no text</td><td>1</td><td>0.00</td></tr>" in text
    assert "<td>14 to 14</td><td>1</td><td>0.00</td>" in text
    assert "&lt;gout&gt;</span></td><td>0.90</td><td><b>what for?</b> it is for gout</td>" in text
    assert "what &lt;helps" not in text
    assert "http" not in text


def test_intervals_and_comparisons_by_hand() -> None:
    ones, mixed = np.ones(50), np.array([1.0, 0.0] * 25)
    assert interval(ones) == (1.0, 1.0)
    low, high = interval(mixed)
    assert low == pytest.approx(0.5 - 1.96 * np.sqrt(0.25 / 50), abs=0.03)
    assert high == pytest.approx(0.5 + 1.96 * np.sqrt(0.25 / 50), abs=0.03)
    assert paired_p_value(ones, ones) == 1.0
    assert paired_p_value(ones, mixed) < 0.01
    assert paired_p_value(np.array([1.0, 0.0] * 10), np.array([0.0, 1.0] * 10)) == 1.0


def test_evaluate_reports_and_compares_answers(tiny_tasks: Path, tmp_path: Path) -> None:
    model, page = str(tiny_tasks / "run" / "bundle"), tmp_path / "page.html"
    options = ["--task", "answers", "-d", str(tiny_tasks / "e.json"), "--report", str(page), "--compare", model]
    done = CliRunner().invoke(application(), ["evaluate", "-m", model, *options, "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["comparison"]["p_value"] == 1.0
    assert facts["interval"][0] <= facts["f1"] <= facts["interval"][1]
    assert facts["f1"] > 0.9
    assert "Where the answer stands" in page.read_text()


def test_models_are_compared_by_the_kind_of_their_tasks(tiny_tasks: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    """Whatever the task is called; a model without such a task is named."""
    run, model = tiny_tasks / "run" / "bundle", tmp_path / "model"
    shutil.copytree(run, model)
    about = json.loads((model / "textome.json").read_text())
    about["tasks"]["replies"] = about["tasks"].pop("answers")
    (model / "textome.json").write_text(json.dumps(about))
    for path in model.glob("*.onnx"):
        path.write_bytes(path.read_bytes().replace(b"answers", b"replies"))
    options = ["evaluate", "-d", str(tiny_tasks / "e.json"), "--task", "answers", "-m", str(run), "--compare"]
    done = CliRunner().invoke(application(), [*options, str(model)])
    assert "difference +0.00" in done.stdout, done.output
    done = CliRunner().invoke(application(), [*options, str(tiny_bundle)])
    assert f"{tiny_bundle}: the model has no task 'question_answering'; it has: " in str(done.exception)
