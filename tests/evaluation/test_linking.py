"""Scores of identifiers count what they say."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from textome.cli.main import application
from textome.documents import Document
from textome.evaluation.linking import link_gold_mentions, score_linking, score_together
from textome.vocabularies import Concept, build_vocabulary


def document(name, *mentions):
    """A document of mentions one after another, each (text, type, identifiers)."""
    plain = Document.from_text(" ".join(text for text, _, _ in mentions), name)
    entities, start = [], 0
    for text, type, identifiers in mentions:
        entities.append(plain.entity([(start, start + len(text))], type, identifiers=identifiers))
        start += len(text) + 1
    return plain.with_annotations(entities)


GOLD = [
    document("1", ("a", "Disease", ["x:1"]), ("b", "Disease", ["x:2", "x:3"]), ("c", "Disease", [])),
    document("2", ("a", "Disease", ["x:1"]), ("d", "Disease", ["x:4"]), ("e", "Place", ["x:9"])),
]
LINKED = [
    document("1", ("a", "Disease", ["x:1"]), ("b", "Disease", ["x:2"]), ("c", "Disease", ["x:7"])),
    document("2", ("a", "Disease", ["x:1"]), ("d", "Disease", []), ("e", "Place", [])),
]


def type_of(name):
    return name if name == "Disease" else None


def test_mentions_and_documents_are_counted():
    score = score_linking(GOLD, LINKED, type_of, {"Disease": {"x:1"}})["Disease"]
    assert (score.mentions, score.strict_hits, score.lenient_hits) == (4, 2, 3)
    assert score.strict == 0.5
    assert score.strict_seen == 1.0
    assert score.strict_unseen == 0.0
    assert (score.unlinkable, score.unlinked) == (1, 0)
    # Gold pairs: 1-x:1, 1-x:2, 1-x:3, 2-x:1, 2-x:4; predicted: 1-x:1, 1-x:2, 1-x:7, 2-x:1; three are in both.
    assert score.document_f1 == pytest.approx(2 * 3 / 9)
    assert score.errors["d", "x:4", ""] == 1


def test_end_to_end_a_mention_needs_its_place_and_all_its_identifiers():
    assert score_together(GOLD, GOLD, type_of) == {"Disease": (1.0, 1.0, 1.0)}
    precision, recall, f1 = score_together(GOLD, LINKED, type_of)["Disease"]
    assert precision == recall == f1 == 2 / 5


def test_a_linker_sees_no_identifier():
    def step(documents):
        for item in documents:
            assert not any(entity.identifiers for entity in item.entities)
            yield item

    gold, linked = link_gold_mentions(step, GOLD)
    assert score_linking(gold, linked, type_of)["Disease"].strict == 0.0


def test_an_identifier_that_was_replaced_counts_as_its_successor():
    class Step:
        def __call__(self, documents):
            return (item for item in LINKED)

        def current(self, curie):
            return {"x:4": "x:7"}.get(curie, curie)

    gold, _ = link_gold_mentions(Step(), GOLD)
    assert [entity.curies for entity in gold[1].entities] == [("x:1",), ("x:7",), ("x:9",)]


def test_the_command_scores_the_step(tmp_path):
    build_vocabulary([Concept("mesh:D000001", "blue fever", "Disease")], tmp_path / "a.vocab")
    text = "1|t|blue fever\n1|a|red fever\n1\t0\t10\tblue fever\tDisease\tD000001\n1\t11\t20\tred fever\tDisease\tD000002\n"
    (tmp_path / "gold.pubtator").write_text(text)
    arguments = ["evaluate", "--task", "linking", "--data", str(tmp_path / "gold.pubtator"), "--json"]
    arguments += ["--set", f'linking.vocabularies=["{tmp_path / "a.vocab"}"]', "--set", "linking.min_score=0.9"]
    done = CliRunner().invoke(application(), [*arguments, "--report", str(tmp_path / "page.html")])
    assert done.exit_code == 0, done.output
    scores = json.loads(done.stdout)["types"]["Disease"]
    assert scores["mentions"] == 2
    assert scores["strict"] == 50.0
    assert "red fever" in (tmp_path / "page.html").read_text()
