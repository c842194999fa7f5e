from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from textome.cli.main import application
from textome.documents import Document
from textome.evaluation.bootstrap import bootstrap_intervals
from textome.evaluation.entity_evaluation import compare_entities
from textome.evaluation.entity_report import by_novelty, entity_report, format_novelty, names_of
from textome.evaluation.entity_task import Comparison
from textome.metrics.entities import score_entities

TEXT = "gout and <asthma> after aspirin"
GOUT, ASTHMA, ASPIRIN = (0, 4, "Disease"), (10, 16, "Disease"), (24, 31, "Chemical")


def comparison(found: dict[tuple[int, int, str], float]) -> Comparison:
    return Comparison(("1",), ({GOUT, ASTHMA, ASPIRIN},), (set(found),), (found,))


def test_mentions_are_told_apart_by_what_became_of_them():
    # gout is right, asthma has other bounds, aspirin another type, and "and" is nothing at all.
    given = comparison({GOUT: 0.9, (9, 16, "Disease"): 0.8, (24, 31, "Disease"): 0.7, (5, 8, "Chemical"): 0.95})
    documents = [Document.from_text(TEXT, id="7<")]
    scores = score_entities(given.gold, given.predicted)
    text = entity_report("<title>", given, documents, scores, bootstrap_intervals(given.gold, given.predicted))
    rows = re.findall(r"<tr><td>(Disease|Chemical|\(no mention\))</td>(.*?)</tr>", text)
    counts = [(name, [int(cell) for cell in re.findall(r">(\d+)</span>", row)]) for name, row in rows if "span" in row]
    assert counts == [
        ("Chemical", [0, 1, 0, 0]),
        ("Disease", [0, 1, 1, 0]),
        ("(no mention)", [1, 0, 0, 0]),
    ]
    assert "7&lt;" in text
    assert "<mark>and</mark>" in text
    assert "gout and <mark>&lt;asthma</mark>&gt; after" in text
    assert text.index("0.95") < text.index("0.80") < text.index("0.70")
    assert "http" not in text


def test_seen_names_are_those_of_the_training_data_whatever_their_case():
    mapping = {"DIS": "Disease", "Chemical": "Chemical"}
    training = Document.from_text("GOUT, aspirin")
    training = training.with_annotations(
        [training.entity([(0, 4)], "DIS", id="a"), training.entity([(6, 13)], "Other", id="b")]
    )
    given = comparison({GOUT: 0.9, (17, 22, "Disease"): 0.8})
    seen, new = by_novelty(given, [Document.from_text(TEXT)], names_of([training], mapping))
    assert (seen.gold, seen.recalled, seen.recall, seen.precision) == (1, 1, 1.0, 1.0)
    assert (new.gold, new.recalled, new.predicted, new.precision) == (2, 0, 1, 0.0)
    assert format_novelty([seen, new]).splitlines()[1].split() == [
        "seen",
        "in",
        "training",
        "100.00",
        "100.00",
        "1",
        "1",
    ]


def test_two_models_are_compared_on_the_same_texts():
    good, bad = comparison({GOUT: 1.0, ASTHMA: 1.0, ASPIRIN: 1.0}), comparison({GOUT: 1.0})
    assert compare_entities(good, good).p_value == 1.0
    result = compare_entities(good, bad)
    assert (result.first, result.second) == (1.0, pytest.approx(0.5))
    assert result.p_value == 0.0


def test_evaluate_writes_the_page_and_tells_new_names_apart(tiny_bundle, tmp_path):
    lines = ["aspirin\tO", "is\tO", "given\tO", "for\tO", "gout\tB", ".\tO", ""]
    (tmp_path / "test.tsv").write_text("\n".join(lines))
    page = tmp_path / "page.html"
    options = ["--train", str(tmp_path / "test.tsv"), "--report", str(page), "--compare", str(tiny_bundle), "--json"]
    done = CliRunner().invoke(
        application(),
        ["evaluate", "-m", str(tiny_bundle), "-d", str(tmp_path / "test.tsv"), "--entity-type", "Disease", *options],
    )
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["comparison"]["p_value"] == 1.0
    assert facts["novelty"]["seen in training"]["gold"] == 1
    assert facts["novelty"]["new"]["gold"] == 0
    assert "What became of the mentions" in page.read_text()
