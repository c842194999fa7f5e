"""The scores of any task, as a table, as values and as a page."""

from __future__ import annotations

import pytest

from textome.errors import InputError
from textome.evaluation.evaluation import Evaluation


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
    with pytest.raises(InputError, match="cannot be compared"):
        result.compared(result)
