"""Relations between the concepts of a document in one pass: pairs, targets, positions, decoding, scores; and the head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from textome.documents import Document, Entity, Passage, Relation, Span, as_identifiers
from textome.encoders.bert.model import BertConfig
from textome.encoders.checkpoint import to_hugging_face
from textome.encoders.heads import TaskModel
from textome.encoders.layers.packing import Layout
from textome.formats.reading.sources import Quarantine
from textome.runtime.graph import build_graph
from textome.tasks import HeadShape, task_class
from textome.tasks.document_relations import BETWEEN, MENTIONS, ConceptPair, DocumentRelations
from textome.text.tokenization import Tokenizer
from textome.training.losses import LossOptions, binary_cross_entropy
from tiny import CONFIG, make_base

TEXT = "Aspirin helps gout. Insulin and aspirin do not help malaria."
PUBTATOR = """1|t|Aspirin helps gout .
1|a|Insulin does not cause malaria .
1	0	7	Aspirin	Chemical	D001241
1	14	18	gout	Disease	D006073
1	21	28	Insulin	ChemicalEntity	D007328
1	44	51	malaria	Disease	D008288
1	{}	D001241	D006073	Novel
"""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.load(make_base(tmp_path_factory.mktemp("base") / "base"))


def make(**options: Any) -> DocumentRelations:
    values = {
        "labels": ("Association", "Negative"),
        "types": {"Chemical": "Chemical", "ChemicalEntity": "Chemical", "Disease": "Disease", "Gene": "Gene"},
        "pairs": (("Chemical", "Disease"), ("Disease", "Gene")),
        "novelty": True,
        "further": {"CID": ("Chemical", "Disease")},
        "implies": {"CID": "Association"},
    }
    return DocumentRelations.model_validate(values | options)


def document(*relations: Relation) -> Document:
    entities = []
    for word, kind, identifier in (
        ("Aspirin", "Chemical", "mesh:D001241"),
        ("gout", "Disease", "mesh:D006073"),
        ("Insulin", "Chemical", "mesh:D007328"),
        ("aspirin", "ChemicalEntity", "mesh:D001241"),
        ("malaria", "Disease", "mesh:D008288"),
        ("help ", "Species", ""),
    ):
        start = TEXT.index(word)
        span, name = Span(start, start + len(word)), f"T{len(entities) + 1}"
        entities.append(
            Entity((span,), kind, word, name, identifiers=as_identifiers([identifier] if identifier else []))
        )
    return Document("d", (Passage(TEXT),), tuple(entities), relations)


def concepts(pairs: list[ConceptPair]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(pair.head[0].id, pair.tail[0].id, pair.labels) for pair in pairs if pair.head]


def test_concepts_are_paired_by_the_names_of_their_types():
    relations = [
        Relation("Negative", (), metadata={"entity1": "D006073", "entity2": "D001241", "novel": "Novel"}),
        Relation("CID", (("Chemical", "T3"), ("Disease", "T5"))),
        Relation("Negative", (("a", "T2"), ("b", "T5"))),
    ]
    pairs = make().candidates(document(*relations), frozenset({"types", "CID"}))
    assert concepts(pairs) == [
        ("T1", "T2", ("Negative", "novel")),
        ("T1", "T5", ()),
        ("T3", "T2", ()),
        ("T3", "T5", ("CID",)),
    ]
    (missed,) = [pair for pair in pairs if not pair.head]
    assert missed.labels == ("Negative",)


@pytest.mark.parametrize(("label", "known"), [("Negative", {"types"}), ("CID", {"CID"}), ("Other", set())])
def test_a_file_teaches_what_it_annotates_and_nothing_else(tmp_path: Path, tokenizer, label, known):
    path = tmp_path / "corpus.txt"
    path.write_text(PUBTATOR.format(label))
    task, quarantine = make(), Quarantine()
    pairs = list(task.read(str(path), "pubtator", quarantine))
    assert quarantine.count == 0
    assert {name for pair in pairs for name in pair.known} == known
    examples = task.examples(pairs, tokenizer, 64, 16)
    if not known:
        assert pairs == []
        return
    targets = task.targets_of(examples[0], pairs)
    nan = np.nan
    first = {"types": [1, 0, 1, 1, nan], "CID": [nan, 1, 0, nan, 1]}[min(known)]
    other = {"types": [0, nan, nan, nan, nan], "CID": [nan, nan, nan, nan, 0]}[min(known)]
    assert task.output_names == ("related", "Association", "Negative", "novel", "CID")
    np.testing.assert_array_equal(targets, np.array([first, other, other, other], np.float32))


def test_unknown_targets_teach_nothing():
    logits = torch.tensor([[0.3, -1.0], [2.0, 0.5]], requires_grad=True)
    targets = torch.tensor([[1.0, torch.nan], [torch.nan, 0.0]])
    value = binary_cross_entropy(logits, targets, LossOptions())
    value.backward()
    expected = (np.log1p(np.exp(-0.3)) + np.log1p(np.exp(0.5))) / 2
    assert value.item() == pytest.approx(expected, abs=1e-6)
    assert logits.grad is not None
    assert logits.grad[0, 1] == logits.grad[1, 0] == 0


def test_each_pair_is_scored_at_its_mentions_and_between_them(tokenizer):
    task = make()
    pairs = task.records(document())
    (example,) = task.examples(pairs, tokenizer, 64, 16)
    assert example.positions.shape == (4, 3 + 2 * MENTIONS + BETWEEN)
    pieces = [tokenizer.vocabulary()[number] for number in example.input_ids.tolist()]
    mentions = {"aspirin", "gout", "insulin", "malaria"}

    def word(at: int) -> str:
        return next(filter(mentions.__contains__, pieces[at:]))

    for row, pair in zip(example.positions.tolist(), pairs, strict=True):
        head, tail = (side[0].text.lower() for side in (pair.head, pair.tail))
        assert row[0] == 0
        assert [word(row[1]), word(row[2])] == [head, tail]
        assert {word(at) for at in row[3 : 3 + MENTIONS]} == {head}
        assert {word(at) for at in row[3 + MENTIONS : 3 + 2 * MENTIONS]} == {tail}
        low, high = sorted(row[1:3])
        assert all(low < at < high for at in row[-BETWEEN:])
    # Of aspirin's two mentions the second is the nearest to malaria.
    assert example.positions[1, 1] > example.positions[0, 1]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=8), st.integers(24, 64))
def test_positions_lie_in_the_window_and_every_pair_that_shares_one_is_read(tokenizer, gaps, window):
    text, entities = "", []
    for number, gap in enumerate(gaps):
        text += "took " * gap
        name, kind = (("aspirin", "Chemical"), ("gout", "Disease"))[number % 2]
        span = Span(len(text), len(text) + len(name))
        curies = as_identifiers([f"x:{number}"])
        entities.append(Entity((span,), kind, name, f"T{number}", identifiers=curies))
        text += f"{name} "
    task = make()
    pairs = task.records(Document("d", (Passage(text),), tuple(entities)))
    examples = task.examples(pairs, tokenizer, window, 6)
    for example in examples:
        assert len(example.input_ids) <= window
        assert ((example.positions >= 0) & (example.positions < len(example.input_ids))).all()
        assert len(example.positions) == len(example.owners)
    if len(examples) == 1 and len(text.split()) + 2 * len(gaps) + 2 <= window:
        assert set(examples[0].owners) == set(range(len(pairs)))


def test_the_surest_window_gives_the_type_and_further_labels_stand_beside_it(tokenizer):
    task = make(threshold=0.6, thresholds={"CID": 0.7})
    pairs = task.records(document())
    (example,) = task.examples(pairs, tokenizer, 64, 16)
    scores = np.full((4, 5), -3.0, np.float32)
    again = scores.copy()
    scores[0, :4] = [2.0, 0.0, 1.0, -1.0]
    again[0, :4] = [1.0, 5.0, 0.0, 3.0]
    again[1] = [0.2, 2.0, 0.0, 0.0, 1.0]
    found = task.decode(pairs, [example] * 2, [scores, again])
    assert [guess.labels for guess in found] == [("Negative",), ("CID",), (), ()]
    related, share = 1 / (1 + np.exp(-2)), np.e / (1 + np.e)
    assert found[0].scores["Negative"] == pytest.approx(related * share)
    assert found[0].scores["novel"] == pytest.approx(1 / (1 + np.e))
    (first, second) = task.annotate("relations", document(), pairs, found).relations
    assert (first.type, dict(first.arguments), first.metadata) == (
        "Negative",
        {"head": "T1", "tail": "T2"},
        {"novel": "0.2689"},
    )
    assert (second.type, dict(second.arguments)) == ("CID", {"head": "T4", "tail": "T5"})


def test_a_further_label_holds_only_between_its_types(tokenizer):
    task = make(pairs=(("Chemical", "Disease"), ("Chemical", "Chemical")))
    pairs = task.records(document())
    (example,) = task.examples(pairs, tokenizer, 64, 16)
    scores = np.full((len(pairs), 5), 3.0, np.float32)
    found = zip(pairs, task.decode(pairs, [example], [scores]), strict=True)
    labels = {(pair.head[0].type, pair.tail[0].type): "CID" in guess.labels for pair, guess in found}
    assert labels == {("Chemical", "Disease"): True, ("Chemical", "Chemical"): False}


def test_scores_count_pairs_types_and_novelty_where_they_are_annotated(tokenizer):
    task = make()
    known = frozenset({"types", "CID"})
    gold = Relation("Negative", (), metadata={"entity1": "D001241", "entity2": "D006073"})
    pairs = task.candidates(document(gold, Relation("CID", (("a", "T3"), ("b", "T5")))), known)
    probabilities = [[0.9, 0.8, 0.2, 0.9, 0.1], [0.9, 0.2, 0.8, 0.1, 0.1], [0.1] * 5, [0.1, 0.5, 0.5, 0.5, 0.9]]
    found = task.score(pairs, [task.decide(np.array(row)) for row in probabilities])
    # Two pairs predicted, one of them right but of another type; the one further label is right.
    assert found == {
        "pair_f1": pytest.approx(2 / 3),
        "typed_f1": 0.0,
        "novel_f1": 0.0,
        "CID_f1": 1.0,
        "mean_f1": pytest.approx((2 / 3 + 0 + 1) / 3),
    }
    only = task.candidates(document(gold), frozenset({"CID"}))
    assert set(task.score(only, [task.decide(np.zeros(5))] * len(only))) == {"CID_f1", "mean_f1"}


def test_thresholds_are_those_with_the_best_scores(tokenizer):
    task = make()
    gold = Relation("Negative", (), metadata={"entity1": "D001241", "entity2": "D006073"})
    pairs = task.candidates(document(gold), frozenset({"types"}))
    (example,) = task.examples(pairs, tokenizer, 64, 16)
    scores = np.full((4, 5), -2.0, np.float32)
    scores[:, 2] = 2
    scores[0, 0] = -0.8
    fitted = task.calibrated(pairs, [example], [scores])
    assert [guess.labels for guess in fitted.decode(pairs, [example], [scores])] == [("Negative",), (), (), ()]


def test_the_temperature_makes_the_gold_pairs_most_probable(tokenizer):
    """Of equal scores for pairs of which one in four is related, that temperature is best by which they say one in four."""
    task = make()
    gold = Relation("Negative", (), metadata={"entity1": "D001241", "entity2": "D006073"})
    pairs = task.candidates(document(gold), frozenset({"types"}))
    (example,) = task.examples(pairs, tokenizer, 64, 16)
    scores = np.full((4, 5), -2.0, np.float32)
    fitted = task.calibrated(pairs, [example], [scores])
    assert fitted.temperature == pytest.approx(2 / np.log(3), rel=0.04)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pairs": (("Disease", "Virus"),)}, "'Virus', which is none of types"),
        ({"pairs": (("Disease", "Chemical"),)}, "Chemical and Disease stand in .* both orders"),
        ({"implies": {"CID": "Binds"}}, "implies names 'Binds'"),
        ({"types": {str(number): str(number) for number in range(9)}, "pairs": (("1", "2"),)}, "at most 8 types"),
    ],
)
def test_names_that_nothing_has_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_the_table_of_tasks_has_it():
    assert task_class("document_relations") is DocumentRelations


def test_maxima_of_groups_are_the_same_in_torch_numpy_and_the_graph(tmp_path: Path):
    config = CONFIG | {"vocab_size": 50}
    torch.manual_seed(3)
    shape = HeadShape(4, 7, (2, 2, 2))
    model = TaskModel(BertConfig.from_dict(config), {"one": (4, 7, (2, 2, 2)), "two": (3, 1)}).eval()
    tensors = {name: value.detach().numpy() for name, value in to_hugging_face(model).items()}
    path = tmp_path / "graph.onnx"
    path.write_bytes(build_graph(tensors, config, "fp32", {"one": shape, "two": HeadShape(3, 1)}).SerializeToString())
    ids = torch.randint(1, 50, (9,))
    positions = torch.tensor([[0, 1, 2, 2, 3, 5, 8], [0, 4, 4, 6, 7, 7, 7]])
    with torch.no_grad():
        hidden = model.encoder(ids, Layout.of([9], torch.device("cpu")), torch.zeros_like(ids))
        mine = model("one", ids, Layout.of([9], torch.device("cpu")), positions, torch.zeros_like(ids)).numpy()
    states = hidden.numpy()[positions.numpy()]
    maxima = [states[:, start : start + 2].max(1) for start in (1, 3, 5)]
    joined = np.concatenate([states[:, 0], *maxima, maxima[0] * maxima[1]], 1)
    dense, last = (model.heads["one"].get_submodule(name) for name in ("dense", "classifier"))
    inner = np.tanh(joined @ dense.weight.detach().numpy().T + dense.bias.detach().numpy())
    expected = inner @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    np.testing.assert_allclose(mine, expected, atol=1e-5)
    feeds = {
        "input_ids": ids.numpy()[None],
        "attention_mask": np.ones((1, 9), np.int32),
        "token_type_ids": np.zeros((1, 9), np.int64),
        "one.places": positions.numpy()[None],
    }
    (graph,) = onnxruntime.InferenceSession(str(path)).run(["one"], feeds)
    np.testing.assert_allclose(graph[0], expected, atol=1e-5)
