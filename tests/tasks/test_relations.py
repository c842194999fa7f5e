"""Which pairs are asked about, and how the model reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bound_task import BoundTask
from textome.documents import Document, Entity, Identifier, Passage, Relation, Span, as_identifiers
from textome.tasks.relations import Relations
from textome.text.tokenization import Tokenizer
from tiny import make_base

TEXT = "Aspirin helps gout. Insulin and aspirin do not help malaria."


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.load(make_base(tmp_path_factory.mktemp("base") / "base"))


def entity(word: str, kind: str, id: str, *identifiers: str, text: str = TEXT, after: int = 0) -> Entity:
    start = text.index(word, after)
    return Entity((Span(start, start + len(word)),), kind, word, id, identifiers=as_identifiers(identifiers))


def document(*relations: Relation) -> Document:
    entities = (
        entity("Aspirin", "Chemical", "T1", "mesh:D001241"),
        entity("gout", "Disease", "T2", "mesh:D006073"),
        entity("Insulin", "Chemical", "T3", "mesh:D007328"),
        entity("aspirin", "Chemical", "T4", "mesh:D001241"),
        entity("malaria", "Disease", "T5", "mesh:D008288"),
    )
    return Document("d", (Passage(TEXT),), entities, relations)


def relation(kind: str, first: str, second: str) -> Relation:
    return Relation(kind, (("Arg1", first), ("Arg2", second)))


def make(tokenizer: Tokenizer, window: int = 64, overlap: int = 16, **options: Any) -> BoundTask:
    given = {"labels": ("treats",), "pairs": (("Chemical", "Disease"),)} | options
    return BoundTask(Relations(**given), tokenizer, window, overlap)


def named(candidates: list) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(item.head[0].id, item.tail[0].id, item.labels) for item in candidates if item.head]


def test_pairs_of_a_sentence_with_their_labels(tokenizer):
    task = make(tokenizer)
    found = task.candidates(document(relation("treats", "T2", "T1"), relation("causes", "T3", "T5")))
    assert named(found) == [("T1", "T2", ("treats",)), ("T3", "T5", ("none",)), ("T4", "T5", ("none",))]


def test_a_relation_across_sentences_counts_as_missed(tokenizer):
    task = make(tokenizer)
    found = task.candidates(document(relation("treats", "T1", "T5")))
    (lost,) = [item for item in found if not item.head]
    assert lost.labels == ("treats",)
    units = task.examples(found)
    assert {unit.record for unit in units} == {0, 1, 2}
    predicted = task.decode(found, units, [np.array([[0, 9]], np.float32)] * len(units))
    assert [guess.labels[0] for guess in predicted] == ["treats", "treats", "treats", "none"]


def test_concepts_of_a_document_gather_their_mentions(tokenizer):
    task = make(tokenizer, scope="document")
    concept = Relation("treats", (), metadata={"entity1": "D001241", "entity2": "D006073"})
    found = task.candidates(document(concept))
    assert named(found) == [
        ("T1", "T2", ("treats",)),
        ("T1", "T5", ("none",)),
        ("T3", "T2", ("none",)),
        ("T3", "T5", ("none",)),
    ]
    assert [item.id for item in found[0].head] == ["T1", "T4"]
    predictions = task.decode(found[:1], task.examples(found[:1]), [np.array([[0.0, 3.0]])])
    (made,) = task.annotate("treats", document(), found[:1], predictions).relations
    assert (made.type, made.arguments) == ("treats", (("head", "T1"), ("tail", "T2")))
    assert made.confidence == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-5)


def test_direction_matters_only_where_it_is_asked_for(tokenizer):
    both = make(tokenizer, pairs=(("Chemical", "Chemical"),))
    assert named(both.candidates(document())) == [("T3", "T4", ("none",))]
    directed = make(tokenizer, pairs=(("Chemical", "Chemical"),), directed=True)
    found = directed.candidates(document(relation("treats", "T4", "T3")))
    assert named(found) == [("T3", "T4", ("none",)), ("T4", "T3", ("treats",))]


def test_marked_text_names_the_types_and_scores_at_the_markers(tokenizer):
    task = make(tokenizer)
    found = task.candidates(document())
    (unit,) = task.examples(found[:1])
    vocabulary = tokenizer.vocabulary()
    # The tiny vocabulary cannot spell the markers themselves, but each is a word of its own.
    assert unit.positions.shape == (1, 3)
    assert [vocabulary[unit.input_ids[place]] for place in unit.positions[0]] == ["[CLS]", "[UNK]", "[UNK]"]
    pieces = [vocabulary[number] for number in unit.input_ids.tolist()]
    assert "aspirin" in pieces[unit.positions[0, 1] : unit.positions[0, 2]]
    assert "gout" in pieces[unit.positions[0, 2] :]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 120), st.integers(0, 120), st.integers(0, 60), st.integers(24, 64))
def test_a_pair_is_read_however_far_apart(tokenizer, before, between, after, window):
    words = ["daily"] * before + ["aspirin"] + ["took"] * between + ["gout"] + ["with"] * after
    text = " ".join(words)
    entities = (
        entity("aspirin", "Chemical", "T1", text=text),
        entity("gout", "Disease", "T2", text=text),
    )
    task = make(tokenizer, window, 6, pairs=(), scope="document")
    (item,) = task.candidates(Document("d", (Passage(text),), entities))
    units = task.examples([item])
    assert units
    vocabulary = tokenizer.vocabulary()
    for unit in units:
        assert len(unit.input_ids) <= window
        first, second = sorted(unit.positions[0, 1:].tolist())
        assert 0 < first < second < len(unit.input_ids) - 1
        assert vocabulary[unit.input_ids[first]] == vocabulary[unit.input_ids[second]] == "[UNK]"


def test_in_one_pass_a_text_is_read_once_and_each_pair_is_scored_at_its_markers(tokenizer):
    task = make(tokenizer, scope="document", one_pass=True)
    found = task.candidates(document(relation("treats", "T4", "T5")))
    (unit,) = task.examples(found)
    assert unit.record_of_position == (0, 1, 2, 3)
    assert task.head_shape == (2, 5, (), 0)
    assert unit.positions.shape == (4, 5)
    vocabulary = tokenizer.vocabulary()
    pieces = [vocabulary[number] for number in unit.input_ids.tolist()]
    mentions = {"aspirin", "gout", "insulin", "malaria"}
    assert [
        [next(filter(mentions.__contains__, pieces[at:])) for at in row[1:]] for row in unit.positions.tolist()
    ] == [
        ["aspirin", "gout", "aspirin", "gout"],
        ["aspirin", "malaria", "aspirin", "malaria"],
        ["insulin", "gout", "insulin", "gout"],
        ["insulin", "malaria", "insulin", "malaria"],
    ]
    # Of aspirin's two mentions the second is the nearest to malaria.
    assert unit.positions[1, 1] > unit.positions[1, 3]
    scores = np.array([[1, 0], [0, 1], [1, 0], [1, 0]], np.float32)
    guesses = [guess.labels for guess in task.decode(found, [unit], [scores])]
    assert guesses == [("none",), ("treats",), ("none",), ("none",)]


def test_in_one_pass_mentions_are_marked_whoever_asks(tokenizer):
    task = make(tokenizer, scope="document", one_pass=True)
    found = task.candidates(document())
    (together,) = task.examples(found)
    for number, item in enumerate(found):
        (alone,) = task.examples([item])
        assert alone.input_ids.tolist() == together.input_ids.tolist()
        assert alone.positions.tolist() == together.positions[number : number + 1].tolist()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=8), st.integers(24, 64))
def test_in_one_pass_every_pair_is_read(tokenizer, gaps, window):
    names = ["aspirin", "gout", "insulin", "malaria"]
    text, entities = "", []
    for number, gap in enumerate(gaps):
        text += "took " * gap
        name = names[number % 4]
        kind = ("Chemical", "Disease")[number % 2]
        entities.append(entity(name, kind, f"T{number}", text=text + name, after=len(text)))
        text += f"{name} "
    task = make(tokenizer, window, 6, pairs=(), scope="document", one_pass=True)
    found = task.candidates(Document("d", (Passage(text),), tuple(entities)))
    units = task.examples(found)
    assert {number for unit in units for number in (unit.owners)} == set(range(len(found)))
    for unit in units:
        assert len(unit.input_ids) <= window
        assert (unit.positions < len(unit.input_ids) - 1).all()
        assert (unit.positions[:, 0] == 0).all()
        assert len(unit.positions) == len(unit.owners)


def test_many_pairs_of_one_text_are_scored_in_parts(tokenizer):
    text = "gout " * 30
    spans = [Span(start, start + 4) for start in range(0, 150, 5)]
    entities = [
        Entity((span,), "Disease", "gout", f"T{n}", identifiers=(Identifier(f"x:{n}"),)) for n, span in enumerate(spans)
    ]
    task = make(tokenizer, 512, 6, pairs=(), scope="document", one_pass=True)
    found = task.candidates(Document("d", (Passage(text),), tuple(entities)))
    assert len(found) == 435
    assert [len(unit.record_of_position) for unit in task.examples(found)] == [256, 179]


def test_of_several_windows_the_surest_of_a_relation_counts(tokenizer):
    task = make(tokenizer)
    found = task.candidates(document())[:1]
    (unit,) = task.examples(found)
    scores = [np.array([[4.0, 0.0]]), np.array([[0.0, 2.0]]), np.array([[1.0, 0.0]])]
    (guess,) = task.decode(found, [unit] * 3, scores)
    assert guess.labels == ("treats",)


def test_several_relations_of_one_pair_need_several_labels(tokenizer):
    from textome.errors import InputError

    task = make(tokenizer, pairs=(), labels=("treats", "causes"))
    item = task.candidates(document(relation("treats", "T1", "T2"), relation("causes", "T1", "T2")))[0]
    with pytest.raises(InputError, match="expected one label, found treats, causes"):
        task.targets(task.examples([item])[0], item)
    several = make(tokenizer, pairs=(), labels=("treats", "causes"), multi_label=True)
    item = several.candidates(document(relation("treats", "T1", "T2"), relation("causes", "T1", "T2")))[0]
    assert several.targets(several.examples([item])[0], item).tolist() == [[1.0, 1.0]]
