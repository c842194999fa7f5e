"""Records of several parts: how lines name them, what may be missing, and what is wrong with a line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.inputs.records import Record
from textome.inputs.together import Together
from textome.inputs.words import Words

PARTS = {"dna": {"kind": "dna", "window": 8}, "note": {"kind": "text", "window": 6, "vocabulary": 40}}


def read(folder: Path, *lines: object, parts: dict[str, dict[str, object]] = PARTS) -> tuple[list[Record], list[str]]:
    (folder / "d.fa").write_text(">one\nACGT\n>two\nGG\n>long\nACGTACGTA\n")
    (folder / "single.fa").write_text(">only\nTTT\n")
    text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    (folder / "all.jsonl").write_text(text)
    quarantine = Quarantine()
    records = list(Together(parts=parts).read(str(folder / "all.jsonl"), quarantine))
    return records, [f"{bad.position}: {bad.reason}" for bad in quarantine.records]


def test_parts_are_looked_up_in_their_files_and_may_be_missing(tmp_path: Path) -> None:
    records, bad = read(
        tmp_path,
        {"id": "a", "label": "x", "split": "test", "parts": {"dna": "d.fa::two", "note": "small"}},
        "\n",
        {"values": {"y": 1, "z": None}, "parts": {"dna": "single.fa", "note": None, "other": "scan.png"}},
        {"id": "c", "labels": ["y", "x", "y"], "parts": {"note": "large", "dna": " "}},
    )
    assert bad == []
    assert records == [
        Record("a", content={"dna": "GG", "note": "small"}, target="x", metadata={"split": "test"}),
        Record("line-3", content={"dna": "TTT"}, target={"y": 1.0}),
        Record("c", content={"note": "large"}, target=("y", "x")),
    ]


def test_lines_that_are_wrong_are_quarantined_with_their_reason(tmp_path: Path) -> None:
    records, bad = read(
        tmp_path,
        {"id": "a", "parts": {"dna": "d.fa::three"}},
        {"id": "b", "parts": {"dna": "d.fa"}},
        "{not json\n",
        {"id": "d", "parts": {"scan": "x.png"}},
        {"id": "e", "parts": {"note": 3}},
        {"id": "f"},
        {"id": "g", "values": {"y": "high"}, "parts": {"note": "n"}},
        {"id": "h", "parts": {"dna": "none.fa::x"}},
        {"id": "i", "labels": "x", "parts": {"note": "n"}},
    )
    assert records == []
    assert [line.partition(":")[0] for line in bad] == [f"line {number}" for number in range(1, 10)]
    for line, reason in zip(
        bad,
        (
            "part 'dna': d.fa has no record 'three' that can be read",
            "part 'dna': d.fa has 4 records; say which, as d.fa::ID",
            "this is not a line of JSON",
            "none of the parts that are read here: dna, note",
            "part 'note' is 3; expected a text",
            'expected an object with "parts"',
            "values: 'y' is not a number",
            "no such file",
            'labels is "x"; expected a list',
        ),
        strict=True,
    ):
        assert reason in line


def test_each_part_has_its_segment_and_a_part_that_says_nothing_has_none(tmp_path: Path) -> None:
    records, _ = read(tmp_path, {"id": "a", "parts": {"dna": "d.fa::two", "note": "red blue"}})
    fitted = Together(parts=PARTS).fitted(records)
    assert list(fitted.shapes()) == ["dna", "note"]
    both = fitted.features(records[0].content)
    assert set(both) == {"dna", "note"}
    assert len(both["dna"].values) == 2
    assert set(fitted.features({"note": "red"})) == {"note"}
    with pytest.raises(InputError, match="none of the parts that the model reads"):
        fitted.features({})
    again = Together.model_validate_json(fitted.model_dump_json())
    assert (
        again.features({"note": "red"})["note"].values.tolist()
        == fitted.features({"note": "red"})["note"].values.tolist()
    )


def test_drop_takes_one_part_of_some_records_but_never_the_only_one() -> None:
    modality = Together(parts=PARTS, drop=0.5)
    generator = np.random.default_rng(0)
    drawn = [tuple(modality.augmented({"dna": "A", "note": "b"}, generator)) for _ in range(200)]
    assert set(drawn) == {("dna", "note"), ("dna",), ("note",)}
    assert 70 < drawn.count(("dna", "note")) < 130
    assert all(tuple(modality.augmented({"dna": "A"}, generator)) == ("dna",) for _ in range(20))


def test_parts_and_their_pieces_are_taken_away_one_by_one() -> None:
    modality = Together(parts=PARTS)
    changed = list(modality.without({"dna": "AC", "note": "red blue"}))
    assert changed == [
        ("dna", {"note": "red blue"}),
        ("note", {"dna": "AC"}),
        ("note: red", {"dna": "AC", "note": "blue"}),
        ("note: blue", {"dna": "AC", "note": "red"}),
    ]
    assert list(modality.without({"note": "red"})) == []


def test_tokens_have_names() -> None:
    modality = Together(parts=PARTS).fitted([Record("a", content={"dna": "ACG", "note": "red blue"})])
    names = modality.token_names({"dna": "AC", "note": "red blue"})
    assert (list(names), names["dna"], "".join(names["note"]).replace("##", "")) == (
        ["dna", "note"],
        ["1", "2"],
        "redblue",
    )
    assert modality.token_names({"dna": "AC", "note": " "}).keys() == {"dna"}


def test_views_are_those_of_every_part() -> None:
    parts = {"dna": {"kind": "dna", "window": 8, "strands": "both"}, "note": PARTS["note"]}
    found = Together(parts=parts).views({"dna": "AAC", "note": "n"})
    assert found == [{"dna": "AAC", "note": "n"}, {"dna": "GTT", "note": "n"}]


def test_a_part_that_no_training_record_has_is_an_error() -> None:
    with pytest.raises(InputError, match="no training record has the part 'note'"):
        Together(parts=PARTS).fitted([Record("a", content={"dna": "A"})])
    with pytest.raises(ValidationError):
        Together(parts={"a.b": PARTS["dna"]})
    with pytest.raises(ValidationError):
        Together(parts={})


def test_words_are_learnt_without_case_and_a_long_text_is_an_error() -> None:
    words = Words(window=4, vocabulary=60).fitted(
        [Record(str(n), content="Red cells and white cells") for n in range(3)]
    )
    assert words.features("RED cells")["text"].values.tolist() == words.features("red Cells")["text"].values.tolist()
    assert words.features("  ") == {}
    with pytest.raises(InputError, match="more than the 4 of the model's window"):
        words.features("red cells and white cells")
    with pytest.raises(InputError, match="not known yet"):
        Words().features("red")
