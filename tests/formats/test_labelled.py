"""Layouts of labelled texts: what is read, and what is said of what cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from textome.datasets.labelled import LabelledSentences, LabelledText, guess_layout, read_labelled
from textome.datasets.questions import read_questions
from textome.errors import InputError
from textome.formats import Quarantine


def read(path: Path, text: str, layout: str, rule: str = "") -> tuple[list[Any], list[str]]:
    path.write_text(text, encoding="utf-8")
    quarantine = Quarantine()
    items = list(read_labelled(f"{path}{rule}", layout, quarantine))
    return items, [f"{record.position}: {record.reason}" for record in quarantine.records]


def test_tsv_without_a_header_has_text_and_label(tmp_path):
    items, bad = read(tmp_path / "a.tsv", 'A "quoted gene.\t1\nno label\n\n \t0\nAnother.\t0\n', "tsv")
    assert items == [
        LabelledText("1", 'A "quoted gene.', None, ("1",)),
        LabelledText("5", "Another.", None, ("0",)),
    ]
    assert bad == ["line 2: expected text and label, found 1 columns", "line 4: the text is empty"]


def test_tsv_with_a_header_finds_its_columns(tmp_path):
    items, bad = read(tmp_path / "a.tsv", "index\tsentence\tlabel\n7\tA gene.\tyes\n", "tsv")
    assert (items, bad) == ([LabelledText("7", "A gene.", None, ("yes",))], [])
    items, _ = read(tmp_path / "b.csv", 'label,text,pair\nno,"One, two.",Three.\n', "tsv")
    assert items == [LabelledText("2", "One, two.", "Three.", ("no",))]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Note;Label", "A gene.;yes"),
        ("Text;Finding", "A gene.;yes"),
        ("Befund;Class", "A gene.;yes"),
        ("Category;Body;Date", "yes;A gene.;1999"),
    ],
)
def test_a_header_is_no_record_with_a_class_of_its_own(tmp_path, header, row):
    items, bad = read(tmp_path / "a.csv", f"\ufeff{header}\r\n{row}\r\n", "tsv")
    assert (items, bad) == ([LabelledText("2", "A gene.", None, ("yes",))], [])


def test_more_columns_than_are_known_are_told_of_the_header(tmp_path):
    _, bad = read(tmp_path / "a.csv", "Befund;Klasse;Datum\nA gene.;yes;1999\n", "tsv")
    assert "found 3 columns; of more columns a header tells which are text and label" in bad[0]


def test_jsonl_takes_one_label_or_several(tmp_path):
    lines = [{"text": "A", "label": "X"}, {"text": "B", "pair": "C", "labels": ["X", "Y"], "id": "q"}, {"text": "D"}, 5]
    items, bad = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines)) + "\n{\n", "jsonl")
    assert items == [LabelledText("1", "A", None, ("X",)), LabelledText("q", "B", "C", ("X", "Y"))]
    assert [line.split(":")[0] for line in bad] == ["line 3", "line 4", "line 5"]
    assert "'label' is missing" in bad[0]


def test_sentences_of_an_abstract_stay_together(tmp_path):
    text = "###1\nbackground\tOne.\noutcome\tTwo.\n\n###2\n\n###3\nlost line\nother\tThree.\n"
    items, bad = read(tmp_path / "a.txt", text, "sentences")
    assert items == [
        LabelledSentences("1", ("One.", "Two."), ("background", "outcome")),
        LabelledSentences("3", ("Three.",), ("other",)),
    ]
    assert bad == [
        "record 2: there is no sentence under this id",
        "line 8: expected label TAB sentence under a line ###ID",
    ]


def test_hallmarks_of_an_abstract_are_those_of_its_sentences(tmp_path):
    for folder in ("text", "labels"):
        (tmp_path / folder).mkdir()
    (tmp_path / "text" / "1.txt").write_text("One.\nTwo.\n")
    (tmp_path / "labels" / "1.txt").write_text("< Avoiding death--By X ANDGrowing on--Y< NULL< ")
    (tmp_path / "text" / "2.txt").write_text("Three.")
    quarantine = Quarantine()
    items = list(read_labelled(str(tmp_path), "hallmarks", quarantine))
    assert items == [LabelledText("1", "One. Two.", None, ("Avoiding death", "Growing on"))]
    assert quarantine.records[0].position == "2.txt"


def test_questions_come_with_their_context(tmp_path):
    record = {"QUESTION": "Does it?", "CONTEXTS": ["It", "does."], "final_decision": "yes"}
    values = {"12": record, "13": record | {"CONTEXTS": []}, "14": {"QUESTION": "?"}}
    items, bad = read(tmp_path / "a.json", json.dumps(values), "pubmedqa")
    assert items == [LabelledText("12", "Does it?", "It\ndoes.", ("yes",))]
    assert bad == ["record 13: the question has no context", "record 14: the question has no context"]
    question = {"id": "a", "type": "yesno", "body": "Is it?", "exact_answer": "Yes.", "snippets": [{"text": "It is."}]}
    questions = [question, question | {"id": "b", "snippets": []}, question | {"id": "c", "type": "list"}]
    items, bad = read(tmp_path / "b.json", json.dumps({"questions": questions}), "yesno")
    assert items == [LabelledText("a", "Is it?", "It is.", ("yes",))]
    assert bad == ["question b: the question has no snippets"]


def test_pairs_of_questions_are_read_from_xml(tmp_path):
    text = '<r><pair pid="1" value="true"><chq>A?</chq><faq>B?</faq></pair><pair pid="2"><chq>A?</chq></pair></r>'
    items, bad = read(tmp_path / "a.xml", text, "entailment")
    assert (items, len(bad)) == ([LabelledText("1", "A?", "B?", ("true",))], 1)


def test_rules_divide_a_file_without_overlap(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"Text {number}.\tx\n" for number in range(400)))
    parts = [
        [item.id for item in read_labelled(f"{path}#{rule}", "tsv", Quarantine())] for rule in ("0-70%", "70-100%")
    ]
    assert sorted(parts[0] + parts[1], key=int) == [str(number) for number in range(1, 401)]
    assert 240 < len(parts[0]) < 320
    (tmp_path / "test.json").write_text('{"3": "x", "5": "y"}')
    assert [item.id for item in read_labelled(f"{path}#in:test.json", "tsv", Quarantine())] == ["3", "5"]
    assert len(list(read_labelled(f"{path}#out:test.json", "tsv", Quarantine()))) == 398


def test_what_is_wrong_is_said(tmp_path):
    items, bad = read(tmp_path / "a.jsonl", '{"id": 1, "text": "A", "label": "X"}\n' * 2, "jsonl")
    assert len(items) == 1
    assert bad == ["record 1: this id stands twice; the second record is left out"]
    with pytest.raises(InputError, match="the layout 'tvs' is unknown"):
        list(read_labelled(str(tmp_path / "a.jsonl"), "tvs", Quarantine()))
    with pytest.raises(InputError, match="rule #half is unknown"):
        list(read_labelled(f"{tmp_path / 'a.jsonl'}#half", "jsonl", Quarantine()))
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(InputError, match="expected a JSON object"):
        list(read_labelled(str(tmp_path / "b.json"), "pubmedqa", Quarantine()))


@pytest.mark.parametrize(
    ("place", "layout", "count"),
    [
        ("re/GAD/1/test.tsv", "tsv", 534),
        ("re/ChemProt-scibert/test.txt", "jsonl", 3469),
        ("cls/NICTA-PIBOSO/test_clean.txt", "sentences", 200),
        ("cls/HoC/hoc.tar.xz!.", "hallmarks", 1852),
        ("qa/PubMedQA/ori_pqal.json#in:test_ground_truth.json", "pubmedqa", 500),
        ("qa/BioASQ/7B_golden.json", "yesno", 140),
    ],
)
def test_real_corpora_are_read_whole(shared_data, place, layout, count):
    quarantine = Quarantine()
    assert len(list(read_labelled(f"{shared_data}/{place}", layout, quarantine))) == count
    assert quarantine.count == 0


GOOD = {"text": "Gout hurts.", "label": "A"}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (GOOD | {"label": None}, "label: expected a text, found nothing (null)"),
        (GOOD | {"label": True}, "label: expected a text, found true"),
        (GOOD | {"label": 0}, "label: expected a text, found the number 0; write it in quotation marks"),
        (GOOD | {"label": 1.5}, "label: expected a text, found the number 1.5"),
        (GOOD | {"label": ["A"]}, "label: expected a text, found a list; several labels are called 'labels'"),
        (GOOD | {"label": ""}, "the label is empty"),
        ({"text": "a", "labels": "CPR:3"}, "labels: expected a list, found a text"),
        ({"text": "a", "labels": ["A", None]}, "labels: expected a text, found nothing (null)"),
        (GOOD | {"text": None}, "text: expected a text, found nothing (null)"),
        (GOOD | {"text": 5}, "text: expected a text, found the number 5"),
        (GOOD | {"pair": 5}, "pair: expected a text, found the number 5"),
        (GOOD | {"pair": ["x"]}, "pair: expected a text, found a list"),
        (GOOD | {"id": [1]}, "id: expected a text or a whole number, found a list"),
        ("text", "a record: expected an object, found a text"),
    ],
)
def test_a_value_of_another_type_quarantines_its_record(tmp_path: Path, record: Any, reason: str) -> None:
    items, bad = read(tmp_path / "a.jsonl", f"{json.dumps(record)}\n{json.dumps(GOOD)}\n", "jsonl")
    assert [item.labels for item in items] == [("A",)]
    (problem,) = bad
    assert problem.startswith("line 1: ")
    assert reason in problem
    assert "NoneType" not in problem


def test_a_row_with_more_cells_or_in_another_encoding_is_quarantined(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes("text\tlabel\nGout\thurts\tA\nMénière\tA\n".encode("latin-1") + "Sjögren\tB\n".encode())
    quarantine = Quarantine()
    items = list(read_labelled(str(path), "tsv", quarantine))
    assert [(item.text, item.labels) for item in items] == [("Sjögren", ("B",))]
    assert [str(record).removeprefix(f"{path}, ") for record in quarantine.records] == [
        "line 2: 3 cells, but the header has 2 columns",
        "line 3: not UTF-8; convert the file first, as with iconv -f latin1 -t utf-8",
    ]


@pytest.mark.parametrize("layout", ["sentences", "hallmarks"])
def test_no_text_in_another_encoding_is_read(tmp_path: Path, layout: str) -> None:
    if layout == "sentences":
        place = tmp_path / "a.txt"
        place.write_bytes("###1\nA\tMénière.\nB\tGout.\n###2\nA\tAgue.\n".encode("latin-1"))
    else:
        place = tmp_path
        for folder in ("text", "labels"):
            (tmp_path / folder).mkdir()
        for name, text in (("1", "Ménière."), ("2", "Ague.")):
            (tmp_path / "text" / f"{name}.txt").write_bytes(text.encode("latin-1"))
            (tmp_path / "labels" / f"{name}.txt").write_text("< A")
    quarantine = Quarantine()
    assert [item.id for item in read_labelled(str(place), layout, quarantine)] == ["2"]
    assert "not UTF-8" in quarantine.records[0].reason


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_long_cell_and_any_line_ends_are_read(tmp_path: Path, end: str) -> None:
    text = "gout " * 40_000
    path = tmp_path / "a.tsv"
    path.write_bytes(f"text\tlabel{end}{text}\tA{end}Ague\tB{end}".encode())
    items = list(read_labelled(str(path), "tsv", Quarantine()))
    assert [(len(item.text), item.labels) for item in items] == [(len(text), ("A",)), (4, ("B",))]


def test_jsonl_may_be_a_list_over_several_lines_and_heeds_pmid(tmp_path: Path) -> None:
    items, bad = read(tmp_path / "a.json", json.dumps([GOOD | {"pmid": 12}, GOOD], indent=1), "jsonl")
    assert bad == []
    assert [item.id for item in items] == ["12", "2"]


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({"snippets": [{"text": None}]}, "a snippet: expected a text, found nothing (null)"),
        ({"snippets": [None]}, "a snippet: expected an object, found nothing (null)"),
        ({"snippets": None}, "snippets: expected a list, found nothing (null)"),
        ({"exact_answer": None}, "exact_answer: expected a text"),
        ({"body": 5}, "body: expected a text, found the number 5"),
    ],
)
@pytest.mark.parametrize("kind", ["yesno", "factoid", "list"])
def test_a_question_of_another_type_is_quarantined_alone(
    tmp_path: Path, question: dict[str, Any], reason: str, kind: str
) -> None:
    good = {"id": "a", "type": kind, "body": "Is it?", "exact_answer": "yes", "snippets": [{"text": "yes, it is."}]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"questions": [good | {"id": "b"} | question, good, 5]}))
    quarantine = Quarantine()
    if kind == "yesno":
        items: list[Any] = list(read_labelled(str(path), "yesno", quarantine))
    else:
        items = list(read_questions(str(path), f"bioasq-{kind}", quarantine))
    assert [item.id for item in items] == ["a"]
    first, second = quarantine.records
    assert first.position == "question b"
    assert reason in first.reason
    assert second.reason == "a question: expected an object, found the number 5"


@pytest.mark.parametrize(
    "change",
    [{"answers": [{"text": "x"}]}, {"answers": [{"text": None, "answer_start": 0}]}, {"answers": 3}, {"question": 1}],
)
def test_a_question_of_squad_of_another_type_is_quarantined_alone(tmp_path: Path, change: dict[str, Any]) -> None:
    good = {"id": "q", "question": "What?", "answers": [{"text": "Gout", "answer_start": 0}]}
    paragraph = {"context": "Gout hurts.", "qas": [good | {"id": "bad"} | change, good]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [paragraph]}, {"paragraphs": [7]}]}))
    quarantine = Quarantine()
    assert [item.id for item in read_questions(str(path), "squad", quarantine)] == ["q"]
    assert quarantine.count == 2


def test_a_folder_with_a_folder_for_each_class(tmp_path):
    for name, text in (
        ("drug/1.txt", "took insulin"),
        ("disease/a/2.txt", "no gout"),
        ("3.txt", "stray"),
        ("drug/4.txt", " "),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "drug" / "5.txt").write_bytes("naïve".encode("latin-1"))
    (tmp_path / "drug" / "notes.md").write_text("no text of the corpus")
    assert guess_layout(str(tmp_path)) == "folders"
    quarantine = Quarantine()
    found = list(read_labelled(str(tmp_path), "folders", quarantine))
    assert [(item.id, item.text, item.labels) for item in found] == [
        ("disease/a/2.txt", "no gout", ("disease",)),
        ("drug/1.txt", "took insulin", ("drug",)),
    ]
    assert [item.position for item in quarantine.records] == ["3.txt", "drug/4.txt", "drug/5.txt"]
    with pytest.raises(InputError, match=r"expected a folder for each class with its texts, as CLASS/name\.txt"):
        list(read_labelled(str(tmp_path / "disease" / "a"), "folders", quarantine))
