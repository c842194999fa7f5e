"""The scores of any task, as a table, as values and as a page."""

from __future__ import annotations

import numpy as np
import pytest

from textome.datasets.parallel import Pair
from textome.errors import InputError
from textome.evaluation.evaluation import Evaluation
from textome.metrics.translation import score_translations
from textome.tasks import task_class
from textome.tasks.task import Choice
from textome.tasks.translation import Translation


def test_shares_are_shown_in_percent_and_errors_in_their_units() -> None:
    notes = {"BLEU": "nrefs:1<b>"}
    result = Evaluation("translation", "BLEU", 7, {"BLEU": 0.5, "rmse": 0.25, "r2": -1.5}, notes)
    assert [line.split() for line in result.table().splitlines()] == [
        ["BLEU", "50.00", "nrefs:1<b>"],
        ["rmse", "0.25"],
        ["r2", "-1.5"],
    ]
    values = result.as_dict()
    assert (values["score"], values["records"], values["notes"]) == (0.5, 7, notes)
    assert "nrefs:1&lt;b&gt;" in result.page("<title>")
    with pytest.raises(InputError, match="do not score the same records"):
        result.compared(result)


def translations(texts: list[str], ids: tuple[str, ...]) -> Evaluation:
    """The evaluation of these translations of `ids`, which all should be the words of their id."""
    task = Translation(source="de", target="en")
    pairs = [Pair(name, "", f"the patients with {name} were treated for a year") for name in ids]
    rows, scores = task.score_of_rows(pairs, texts), task.score(pairs, texts)
    return Evaluation("translation", "BLEU", len(ids), scores, {}, ids=ids, score_of_rows=rows)


def test_the_better_of_two_translations_is_better_on_the_same_pairs() -> None:
    pytest.importorskip("sacrebleu")
    ids = tuple(f"gout {number}" for number in range(30))
    right = [f"the patients with {name} were treated for a year" for name in ids]
    first = translations([text if number % 5 else "the patients" for number, text in enumerate(right)], ids)
    second = translations([text if number % 2 else "a year" for number, text in enumerate(right)], ids)
    compared = first.compared(second)
    assert (compared.metric, compared.first, compared.second) == ("BLEU", first.score, second.score)
    assert compared.first > compared.second
    assert compared.p_value < 0.05
    assert first.compared(first).p_value == 1
    with pytest.raises(InputError, match="do not score the same records"):
        first.compared(translations(right, tuple(reversed(ids))))


def test_bleu_of_chosen_pairs_is_that_of_sacrebleu() -> None:
    pytest.importorskip("sacrebleu")
    texts = ["the patients with gout 1 were treated", "some words", "the patients with gout 3 were treated for a month"]
    ids = ("gout 1", "gout 2", "gout 3")
    evaluation = translations(texts, ids)
    for rows in ([0, 1, 2], [0, 2, 2], [1, 0]):
        expected = [f"the patients with {ids[row]} were treated for a year" for row in rows]
        whole = score_translations([texts[row] for row in rows], expected)["BLEU"][0]
        assert evaluation.score_of_rows(np.array(rows)) == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize(
    "task",
    [
        task_class("embedding")(kind="embedding"),
        Translation(source="de", target="en"),
        task_class("regression")(kind="regression"),
    ],
)
def test_what_has_no_confidence_has_no_minimum(task: Translation) -> None:
    with pytest.raises(InputError, match=f"a {task.kind} has no confidence"):
        task.with_choice(Choice(min_confidence=0.5))
    assert task.with_choice(Choice()) == task
