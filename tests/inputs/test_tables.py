"""Tables of patients: gaps, categories never seen, several visits, bad rows, and outcomes without events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from textome.documents import Record
from textome.errors import InputError
from textome.formats import Quarantine
from textome.inputs.tables import Tables
from textome.tasks.survival import Survival
from tiny_modalities import train

HEADER = "id,day,age,ward,time,event\n"


def read(folder: Path, text: str, quarantine: Quarantine | None = None, **settings: object) -> list[Record]:
    (folder / "t.csv").write_text(text, encoding="utf-8")
    table = Tables.model_validate({"columns": ("age", "ward"), "time": "time", "event": "event"} | settings)
    return list(table.read(str(folder / "t.csv"), quarantine or Quarantine()))


def test_a_patient_is_a_record_with_the_last_visits_in_order(tmp_path: Path) -> None:
    records = read(tmp_path, HEADER + "a,9,61,x,30,1\na,2,60,y,30,1\nb,1,,x,12,0\n", order="day", visits=2)
    assert [record.id for record in records] == ["a", "b"]
    assert records[0].content == [{"age": "60", "ward": "y"}, {"age": "61", "ward": "x"}]
    assert records[0].target == {"time": 30.0, "event": 1.0}
    table = Tables(columns=("age", "ward"), visits=2).fitted(records)
    segment = table.features(records[0].content)["table"]
    assert segment.positions.tolist() == [[0, 1], [1, 1], [0, 0], [1, 0]]
    assert segment.values.shape[1] == table.shapes()["table"].size


def test_gaps_and_categories_never_seen_have_entries_of_their_own(tmp_path: Path) -> None:
    records = read(tmp_path, HEADER + "a,1,50,x,3,1\nb,1,70,y,3,0\n")
    table = Tables(columns=("age", "ward")).fitted(records)
    assert table.numbers == {"age": (60.0, 10.0)}
    assert table.values == {"ward": ("x", "y")}

    def vectors(**cells: str) -> list[list[float]]:
        values: list[list[float]] = table.features([cells])["table"].values.tolist()
        return values

    assert vectors(age="70", ward="y") == [[0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1]]
    assert vectors(age="", ward="z") == [[1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0]]
    with pytest.raises(InputError, match="column 'age': 'old' is not a number"):
        table.features([{"age": "old"}])
    with pytest.raises(InputError, match="none of the columns"):
        table.features([{"height": "1"}])


def test_bad_rows_are_quarantined_with_line_and_reason(tmp_path: Path) -> None:
    quarantine = Quarantine()
    text = HEADER + "a,1,50,x,3,1\nb,1\nc,1,50,x,,1\nd,1,50,x,-2,1\ne,soon,1,x,2,1\n"
    records = read(tmp_path, text, quarantine, order="day")
    assert [record.id for record in records] == ["a"]
    assert [str(item).split(": ", 1)[1] for item in quarantine.records] == [
        "expected 6 cells, found 2",
        "column 'day': 'soon' is not a number; leave a gap empty",
        "there is no 'time' or no 'event'; both are needed",
        "the time -2 is negative",
    ]
    with pytest.raises(InputError, match="there is no column 'height'; the columns are id, day"):
        read(tmp_path, HEADER, columns=("height",))


def test_one_row_can_be_read_and_no_event_is_refused(tmp_path: Path) -> None:
    records = read(tmp_path, HEADER + "a,1,50,x,3,0\n")
    table = Tables(columns=("age", "ward")).fitted(records)
    assert np.isfinite(table.features(records[0].content)["table"].values).all()
    with pytest.raises(InputError, match="no training record has an event"):
        Survival().fitted("target", records)
    with pytest.raises(InputError, match="no training record has a value in column 'age'"):
        Tables(columns=("age",)).fitted(read(tmp_path, HEADER + "a,1,,x,3,0\n"))


def test_a_table_of_one_row_trains_a_model_that_answers_and_no_event_trains_none(tmp_path: Path) -> None:
    from textome.runtime.predictor import Predictor

    modality = {"kind": "table", "columns": ["age", "ward"], "time": "time", "event": "event"}
    (tmp_path / "t.csv").write_text(HEADER + "a,1,50,x,3,1\n", encoding="utf-8")
    bundle = train(tmp_path, "t.csv", modality, target={"kind": "survival"}, epochs=1)
    answers = Predictor(bundle, "fp32", 1).answer([[{"age": "50", "ward": "x"}], [{"age": "", "ward": "never seen"}]])
    assert np.isfinite(answers).all()
    assert ((answers[:, 1:] >= 0) & (answers[:, 1:] <= 1)).all()
    (tmp_path / "t.csv").write_text(HEADER + "a,1,50,x,3,0\nb,1,60,y,4,0\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"no training record has an event, so there is nothing to learn; see input\.events"
    ):
        train(tmp_path, "t.csv", modality, target={"kind": "survival"}, epochs=1)


def test_new_patients_need_no_outcome(tmp_path: Path) -> None:
    (record,) = read(tmp_path, "id,age,ward\na,50,x\n")
    assert record.target is None
    (record,) = read(tmp_path, HEADER + "a,1,50,x,,\n")
    assert record.target is None
    with pytest.raises(InputError, match="there is no column 'event'"):
        read(tmp_path, "id,age,ward,time\na,50,x,3\n")


def test_a_model_of_survival_is_trained_exported_and_asked(tmp_path: Path) -> None:
    from textome.runtime.predictor import Predictor

    generator = np.random.default_rng(5)
    rows = [(number, age, "xy"[number % 2]) for number, age in enumerate(generator.integers(20, 90, 60))]
    lines = [f"p{number},1,{age},{ward},{100 - age + number % 3},{int(number % 4 > 0)}" for number, age, ward in rows]
    (tmp_path / "t.csv").write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    modality = {"kind": "table", "columns": ["age", "ward"], "time": "time", "event": "event"}
    bundle = train(tmp_path, "t.csv", modality, target={"kind": "survival"}, epochs=15)
    predictor = Predictor(bundle, "fp32", 1)
    young, old = predictor.answer([[{"age": "25", "ward": "x"}], [{"age": "85", "ward": "x"}]])
    assert old[0] > young[0]
    assert (np.diff(young[1:]) <= 0).all()
    assert (young[1:] >= old[1:]).all()
    described = bundle.target.described(young)["values"]
    assert next(iter(described)) == "risk"
    assert len(described) == 4
