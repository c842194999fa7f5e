from __future__ import annotations

import json

from textome.evaluation.bootstrap import bootstrap_intervals
from textome.evaluation.report import as_dict, format_table
from textome.metrics.entities import score_entities

GOLD = [{(0, 2, "Gene"), (5, 6, "Disease")}, {(1, 3, "Gene")}] * 60
PREDICTED = [{(0, 2, "Gene"), (5, 6, "Gene")}, {(1, 3, "Gene")}] * 60


def test_table_holds_every_figure_in_its_column():
    intervals = {"Disease": (0.0, 0.0), "Gene": (0.75, 0.8512), "micro": (0.6, 1.0)}
    assert format_table(score_entities(GOLD, PREDICTED), intervals).splitlines() == [
        "          precision  recall      F1  95 % interval  support",
        "Disease        0.00    0.00    0.00      0.00-0.00       60",
        "Gene          66.67  100.00   80.00    75.00-85.12      120",
        "micro         66.67   66.67   66.67   60.00-100.00      180",
        "macro         33.33   50.00   40.00",
        "weighted      44.44   66.67   53.33",
    ]


def test_columns_stay_aligned_at_the_widest_figures():
    lines = format_table(score_entities(GOLD, GOLD), bootstrap_intervals(GOLD, GOLD)).splitlines()
    assert len({len(line) for line in lines[:4]}) == 1


def test_table_without_entities():
    lines = format_table(score_entities([], []), bootstrap_intervals([], [])).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["micro", "macro", "weighted"]


def test_values_are_exact_and_survive_json():
    gold = [{(0, 1, "Gene"), (2, 3, "δ-受容体")}, {(4, 5, "Gene")}]
    predicted = [{(0, 1, "Gene"), (2, 3, "δ-受容体")}, {(4, 6, "Gene")}]
    scores, intervals = score_entities(gold, predicted), bootstrap_intervals(gold, predicted)
    facts = as_dict(scores, intervals)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["types"]["Gene"] == {
        "precision": 0.5, "recall": 0.5, "f1": 0.5, "f1_interval": list(intervals["Gene"]), "tp": 1, "fp": 1, "fn": 1,
    }  # fmt: skip
    assert list(facts["types"]) == ["Gene", "δ-受容体"]
    assert facts["micro"]["f1"] == scores.micro.f1
    assert facts["macro"] == {"precision": 0.75, "recall": 0.75, "f1": 0.75}
    assert set(facts) == {"types", "micro", "macro", "weighted"}
