"""Questions to units and scores back to answers; the scores are made up."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bound_task import BoundTask
from textome.datasets.questions import Answer, AnswerPosition, Question, listed, read_questions
from textome.errors import InputError
from textome.formats import Quarantine
from textome.metrics.answers import normalised, overlap, score_answers
from textome.tasks.question_answering import QuestionAnswering
from textome.text.tokenization import Tokenizer
from tiny import make_base


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.load(make_base(tmp_path_factory.mktemp("base") / "base"))


def perfect(task: BoundTask, items: list[Question], units: list) -> list[np.ndarray[Any, Any]]:
    """The scores of a model that knows the answers."""
    return [10 * task.targets(unit, items[unit.record]) for unit in units]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 80), st.integers(0, 80), st.integers(14, 60))
def test_an_answer_anywhere_in_a_long_text_is_found_at_its_place(tokenizer, before, after, window):
    context = " ".join(["took"] * before + ["breast cancer"] + ["daily"] * after)
    start = context.index("breast")
    item = Question(
        "1", "patients with", ("no malaria", context), (("breast cancer",),), (AnswerPosition(1, start, start + 13),)
    )
    task = BoundTask(QuestionAnswering(max_answer_words=3), tokenizer, window, 4)
    units = task.examples([item])
    assert max(len(unit.input_ids) for unit in units) <= window
    (answers,) = task.decode([item], units, perfect(task, [item], units))
    assert (answers[0].text, answers[0].context, answers[0].start) == ("breast cancer", 1, start)
    assert all(item.contexts[found.context][found.start : found.end] == found.text for found in answers)
    assert sum(found.probability for found in answers) <= 1 + 1e-9


def test_mentions_of_one_answer_add_up(tokenizer):
    task = BoundTask(QuestionAnswering(max_answer_words=1), tokenizer, 32, 4)
    item = Question("1", "with", ("aspirin took", "Aspirin", "gout"))
    units = task.examples([item])
    scores = [np.zeros((len(unit.positions), 2)) for unit in units]
    scores[0][1] = scores[1][1] = 2.0
    scores[2][1] = 2.2
    (answers,) = task.decode([item], units, scores)
    assert [answer.text.lower() for answer in answers[:2]] == ["aspirin", "gout"]
    assert answers[0].probability == pytest.approx(2 * np.exp(4) / (1 + 2 * np.exp(4) + np.exp(4.4) + 1))


def test_a_window_without_the_answer_says_so(tokenizer):
    task = BoundTask(QuestionAnswering(), tokenizer, 32, 4)
    item = Question("1", "with", ("aspirin", "gout"), positions=(AnswerPosition(0, 0, 7),))
    first, second = task.examples([item])
    assert task.targets(first, item).tolist() == [[0, 0], [1, 1]]
    assert task.targets(second, item).tolist() == [[1, 1], [0, 0]]
    with pytest.raises(InputError, match="question 2: the question has 20 tokens"):
        task.examples([Question("2", "took " * 20, ("gout",))])


LONG = "Took daily. " * 30 + "Aspirin with gout. " + "Took daily. " * 30


def long_question(**members: Any) -> Question:
    start = LONG.index("gout")
    return Question("1", "aspirin", (LONG,), (("gout",),), (AnswerPosition(0, start, start + 4),), **members)


def test_only_the_windows_that_match_are_read_and_when_teaching_those_with_an_answer(tokenizer):
    everything = BoundTask(QuestionAnswering(), tokenizer, 24, 4).examples([long_question()])
    task = BoundTask(QuestionAnswering(passages=2), tokenizer, 24, 4)
    nearest = task.examples([long_question()])
    assert len(nearest) == 2 < len(everything)
    assert any(task.targets(unit, long_question())[0].sum() == 0 for unit in nearest)
    other = replace(long_question(), question="malaria")
    assert all(task.targets(unit, other)[0].all() for unit in task.examples([other]))
    (taught,) = task.task.prepared([other], 1)
    assert not all(task.targets(unit, taught)[0].all() for unit in task.examples([taught]))


def test_the_match_of_a_sentence_counts_as_much_as_the_weight_says(tokenizer):
    item = long_question()
    for weight, first in ((0.0, "Took"), (8.0, "gout")):
        task = BoundTask(QuestionAnswering(max_answer_words=1, retrieval_weight=weight), tokenizer, 24, 4)
        units = task.examples([item])
        scores = [task.targets(unit, item) * (unit.start > 0) for unit in units]
        scores[0][1] = 3.0  # the first word, which stands in a sentence without a word of the question
        (answers,) = task.decode([item], units, scores)
        assert answers[0].text == first
        assert LONG[answers[0].start : answers[0].end] == answers[0].text


def test_the_weight_of_retrieval_is_chosen_on_labelled_questions_and_no_text_needs_sentences(tokenizer):
    blank = Question("2", "aspirin", ("...", "-"), (("x",),))
    items = [long_question(), blank]
    task = BoundTask(QuestionAnswering(max_answer_words=2), tokenizer, 24, 4)
    units = task.examples(items)
    scores = [np.zeros((len(unit.positions), 2)) for unit in units]
    for unit, row in zip(units, scores, strict=True):
        if not task.targets(unit, items[unit.record])[0].any():
            row[:] = 2 * task.targets(unit, items[unit.record]) - 0.5
        elif unit.record == 0:
            row[1:2] = 2.0
    chosen = task.task.calibrated(items, units, scores)
    assert chosen.retrieval_weight
    assert chosen.decode(items, units, scores)[0][0].text == "gout"
    given = QuestionAnswering(max_answer_words=2, retrieval_weight=0.5).calibrated(items, units, scores)
    assert given.retrieval_weight == 0.5


def test_answers_may_be_as_long_as_those_of_training():
    text = "w " * 40
    questions = [Question(str(n), "q", (text,), positions=(AnswerPosition(0, 0, 59),)) for n in range(3)]
    assert QuestionAnswering().fitted("a", questions).max_answer_words == 30
    assert QuestionAnswering(max_answer_words=5).fitted("a", questions).max_answer_words == 5
    assert QuestionAnswering().fitted("a", [replace(questions[0], positions=())]).max_answer_words is None


def test_list_answers_do_not_overlap():
    answers = [
        Answer("a b", 0.4, 0, 0, 3),
        Answer("b", 0.3, 0, 2, 3),
        Answer("c", 0.25, 0, 5, 6),
        Answer("d", 0.1, 0, 8, 9),
    ]
    assert [answer.text for answer in listed(answers, 0.5)] == ["a b", "c"]
    assert listed([], 0.5) == []


def answers_of(*texts: str) -> list[Answer]:
    return [Answer(text, 0.9 / (number + 1), 0, 10 * number, 10 * number + 5) for number, text in enumerate(texts)]


def test_official_scores_by_hand():
    factoid = Question("1", "?", ("x",), (("PD-L1 status", "PD-L1"),), kind="factoid")
    scores = score_answers([factoid, factoid], [answers_of("status", "pd-l1"), answers_of("PD-L1 status")], 0.5)
    assert (scores.strict, scores.lenient, scores.mrr) == (0.5, 1.0, 0.75)
    several = Question("2", "?", ("x",), (("a", "alpha"), ("b",), ("c",)), kind="list")
    scores = score_answers([several], [answers_of("alpha", "z")], 0.5)
    assert (scores.list_precision, scores.list_recall) == (0.5, pytest.approx(1 / 3))
    assert scores.list_f1 == pytest.approx(0.4)
    none = Question("3", "?", ("x",))
    assert score_answers([none], [[Answer("x", 0.2, 0, 0, 1)]], 0.5).exact_match == 1.0
    assert score_answers([none], [[Answer("x", 0.8, 0, 0, 1)]], 0.5).exact_match == 0.0


def official_f1(first: str, second: str) -> float:
    """SQuAD's F1 written anew from its definition: words as multisets."""

    def words(text: str) -> list[str]:
        text = re.sub(r"[!-/:-@\[-`{-~]", "", text.lower())
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    one, two = words(first), words(second)
    if not one or not two:
        return float(one == two)
    left, shared = list(two), 0
    for word in one:
        if word in left:
            left.remove(word)
            shared += 1
    precision, recall = shared / len(one), shared / len(two)
    return 2 * precision * recall / (precision + recall) if shared else 0.0


@given(st.text("ab the.,-AN ", max_size=20), st.text("ab the.,-AN ", max_size=20))
def test_word_overlap_is_squads(first, second):
    assert overlap(first, second) == pytest.approx(official_f1(first, second))
    assert normalised(first) == normalised(f" {first.upper()}, ")


def test_squad_answers_with_leading_blanks_are_found_and_wrong_offsets_reported(tmp_path: Path):
    context = "Drugala lowers drugol."

    def record(id: str, text: str, start: int) -> dict[str, Any]:
        return {"id": id, "question": "What?", "answers": [{"text": text, "answer_start": start}]}

    records = [record("1", "Drugala", 0), record("2", " lowers", 7), record("3", "lowered", 2), record("1", "x", 0)]
    records += [{"id": "4", "question": "What?", "answers": [], "is_impossible": True}, {"id": "5", "answers": []}]
    paragraphs = [{"context": context, "qas": records}, {"context": " ", "qas": [record("6", "x", 0)]}]
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    quarantine = Quarantine()
    found = list(read_questions(str(path), "squad", quarantine))
    assert [(item.id, item.positions) for item in found] == [
        ("1", (AnswerPosition(0, 0, 7),)),
        ("2", (AnswerPosition(0, 8, 14),)),
        ("4", ()),
    ]
    assert [record.position for record in quarantine.records] == [
        "question 3", "question 1", "question 5", "question 6",
    ]  # fmt: skip
    assert "does not stand at 2" in quarantine.records[0].reason
    assert "no context" in quarantine.records[3].reason
    with pytest.raises(InputError, match="the layout 'sqad' is unknown"):
        list(read_questions(str(path), "sqad", quarantine))


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("lowers", 2, 8),  # counted in other units
        ("lowers", 60, None),  # too far to be sure
        ("drug", 20, 26),  # a whole word, and no part of another
        ("gout", 39, 36),  # the other one is much farther
        ("gout", 44, None),  # between two of them
        ("drugol", 12, 15),
    ],
)
def test_squad_answers_beside_their_offset_are_found_where_the_nearest_is_plain(
    tmp_path: Path, text: str, start: int, expected: int | None
):
    context = "Drugala lowers drugol. No drug for" + "  gout, and no gout."
    qas = [{"id": "1", "question": "What?", "answers": [{"text": text, "answer_start": start}]}]
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}))
    quarantine = Quarantine()
    found = [item.positions for item in read_questions(str(path), "squad", quarantine)]
    assert found == ([] if expected is None else [(AnswerPosition(0, expected, expected + len(text)),)])
    assert quarantine.count == (expected is None)


def test_bioasq_questions_find_their_answers_in_snippets(tmp_path: Path):
    question = {"id": "a", "type": "factoid", "body": "Which?", "exact_answer": [["gout", "Gout disease"]]}
    question["snippets"] = [{"text": "Gout, not gouty."}, {"text": "Nothing."}, {"text": "Nothing."}]
    several = {
        "id": "b",
        "type": "list",
        "body": "Which?",
        "exact_answer": [["x"], ["y", "z"]],
        "snippets": [{"text": "z x"}],
    }
    path = tmp_path / "bioasq.json"
    path.write_text(json.dumps({"questions": [question, several, question | {"id": "c", "snippets": []}]}))
    quarantine = Quarantine()
    (item,) = read_questions(str(path), "bioasq-factoid", quarantine)
    assert (item.contexts, item.positions) == (("Gout, not gouty.", "Nothing."), (AnswerPosition(0, 0, 4),))
    assert quarantine.records[0].position == "question c"
    (item,) = read_questions(str(path), "bioasq-list", quarantine)
    assert item.answers == (("x",), ("y", "z"))
    assert set(item.positions) == {AnswerPosition(0, 0, 1), AnswerPosition(0, 2, 3)}


def test_real_questions_are_read_whole(shared_data: Path):
    quarantine = Quarantine()
    place = str(shared_data / "qa/BioASQ/7B_golden.json")
    factoid = list(read_questions(place, "bioasq-factoid", quarantine))
    assert (len(factoid), quarantine.count) == (162, 0)
    assert len(list(read_questions(place, "bioasq-list", quarantine))) == 88
    for item in factoid:
        for context, start, end in item.positions:
            found = item.contexts[context][start:end].casefold()
            assert found in {text.casefold() for group in item.answers for text in group}
