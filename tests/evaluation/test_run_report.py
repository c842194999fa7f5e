"""The page about a run: whole, self-contained, and true of the records, whatever these hold."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html
from typer.testing import CliRunner

from textome.cli.main import application
from textome.errors import InputError
from textome.evaluation.run_report import RunRecords, read_run, run_report, ticks


def write_run(folder: Path, steps: int = 40) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    records: list[dict[str, object]] = [{"event": "start", "device": "cpu", "precision": "fp32"}]
    records += [
        {"event": "step", "step": step, "loss": 2 / step, "learning_rate": 1e-4, "tokens_per_second": 5e3,
         "gradient_norm": None if step == 20 else 1.5}
        for step in range(20, 20 * steps + 1, 20)
    ]  # fmt: skip
    for epoch, (first, second) in enumerate([(0.5, 0.25), (0.75, 0.5)], 1):
        scores = {"A<b>": first, "B": second}
        records.append({"event": "validation", "step": 400 * epoch, "metric": "F1", "scores": scores})
    records.append({"event": "end", "best_epoch": 2, "best": 0.625})
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)) + '\n{"event": "st', encoding="utf-8")
    (folder / "recipe.json").write_text(json.dumps({"name": "a </title><script>x</script>", "seed": 1}))
    return folder


def points(page: str) -> list[list[tuple[float, float]]]:
    tree = html.fromstring(page)
    lines = tree.xpath("//polyline/@points")
    return [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in lines]  # type: ignore[misc]


def test_curves_fall_and_rise_with_their_values(tmp_path: Path) -> None:
    page = run_report(read_run(write_run(tmp_path)))
    tree = html.fromstring(page)
    captions = tree.xpath("//figcaption/text()")
    assert captions[:3] == ["Loss", "Learning rate", "Tokens a second"]
    assert captions[-1] == "F1"
    loss, rate, _, norm, first, second = points(page)
    assert len(loss) == 40
    assert len(norm) == 39  # the step without a norm is left out
    assert [y for _, y in loss] == sorted(y for _, y in loss)  # SVG counts downwards, so a falling loss rises
    assert len({y for _, y in rate}) == 1
    assert first[0][1] == second[1][1]  # A's 0.5 and B's 0.5 stand at the same height
    assert first[1][1] < first[0][1] < second[0][1]
    assert "best epoch" in page
    assert "62.50" in page
    assert "1 line(s) of metrics.jsonl could not be read" in page
    cells = tree.xpath("//table[.//th]//td/text()")
    assert cells == ["400", "0.5000", "0.2500", "800", "0.7500", "0.5000"]


def test_the_page_asks_for_nothing_and_runs_nothing(tmp_path: Path) -> None:
    page = run_report(read_run(write_run(tmp_path)))
    assert not re.search(r"https?:|<script|<link|<img|@import|url\(|src=|javascript", page)
    assert "A&lt;b&gt;" in page


def test_pretraining_scores_have_a_figure_for_each_metric() -> None:
    scores = {"texts": {"perplexity": 9.0, "accuracy": 0.5}}
    run = RunRecords(validations=[{"event": "validation", "step": step, "scores": scores} for step in (1, 2)])
    captions = html.fromstring(run_report(run)).xpath("//figcaption/text()")
    assert captions == ["perplexity", "accuracy"]


def test_long_runs_are_averaged_not_cut() -> None:
    steps = [{"event": "step", "step": step, "loss": float(step % 2)} for step in range(1, 5001)]
    (curve,) = points(run_report(RunRecords(steps=steps)))
    assert len(curve) == 500
    assert len({y for _, y in curve}) == 1  # each average is of ten values, 0.5


values = st.one_of(st.none(), st.floats(), st.sampled_from(["", "high"]), st.integers(-(10**9), 10**9), st.booleans())


@given(st.lists(st.dictionaries(st.sampled_from(["loss", "learning_rate", "gradient_norm"]), values), max_size=8))
def test_any_values_give_a_page_with_finite_curves(records: list[dict[str, object]]) -> None:
    steps = [record | {"event": "step", "step": number} for number, record in enumerate(records)]
    for curve in points(run_report(RunRecords(steps=steps))):
        assert all(math.isfinite(x) and -0.1 <= x <= 420.1 and -0.1 <= y <= 190.1 for x, y in curve)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_few_even_and_inside(low: float, size: float) -> None:
    high = low + size
    if high - low < 1e-6 * max(1.0, abs(low)):
        return
    found = ticks(low, high)
    assert 1 <= len(found) <= 6
    assert all(low - 1e-6 * size <= value <= high + 1e-6 * size for value in found)


def test_the_verb_writes_the_page_and_names_what_is_missing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    result = CliRunner().invoke(application(), ["report", str(run), "-o", str(tmp_path / "page.html")])
    assert result.exit_code == 0
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == run_report(read_run(run))
    assert CliRunner().invoke(application(), ["report", str(run)]).output.strip() == str(run / "report.html")
    with pytest.raises(InputError, match=r"metrics\.jsonl"):
        read_run(tmp_path)


def test_every_finished_run_leaves_its_page(tiny_run: Path) -> None:
    page = (tiny_run / "report.html").read_text(encoding="utf-8")
    assert "finished" in page
    assert len(points(page)) >= 6  # loss, rate, speed, norm, and two validation sets
