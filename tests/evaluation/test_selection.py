"""Which texts to label next: the unsure ones, unlike each other, and none that is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from textome.cli.main import application
from textome.documents import Document
from textome.errors import InputError
from textome.evaluation.selection import REASON, select, text_vectors, uncertainties
from textome.formats import read_documents
from textome.runtime.model import Model
from textome.tasks import TASKS
from textome.tasks.entities import Entities
from textome.tasks.labels import Classified

TEXTS = ["Aspirin is given for gout .", "Aspirin is given for malaria .", "unheard qqqq zzzz xxxx", "no gout was seen"]


def documents(texts: list[str] = TEXTS) -> list[Document]:
    return [Document.from_text(text, str(number)) for number, text in enumerate(texts)]


def test_uncertainty_of_entities_is_the_mean_doubt_of_a_word(tiny_bundle: Path) -> None:
    model = Model.load(tiny_bundle, threads=1)
    found = [value for _, value in uncertainties(model, documents())]
    task = model.tasks["entities"]
    assert isinstance(task, Entities)
    for document, value in zip(documents(), found, strict=True):
        _, _, examples = model.prepare("entities", [document])
        (rows,) = task.log_probabilities([model.scores("entities", examples)])
        doubts = [max(1 - float(np.exp(word[head]).max()) for head in range(len(word))) for word in rows]
        assert value == pytest.approx(sum(doubts) / len(doubts), abs=1e-6)
    assert found[2] == max(found)


def test_uncertainty_of_every_task_is_a_share(tiny_tasks: Path) -> None:
    model = Model.load(tiny_tasks / "run" / "bundle", threads=1)
    assert any(task.has_uncertainty for task in model.asked.values())
    assert all(0 <= value <= 1 for _, value in uncertainties(model, documents()))


def test_doubt_of_labels() -> None:
    module, name = TASKS["classification"]
    from importlib import import_module

    kind = getattr(import_module(f"textome.tasks.{module}"), name)
    one, several = (
        kind(kind="classification", labels=("a", "b")),
        kind(kind="classification", labels=("a", "b"), multi_label=True),
    )
    prediction = Classified(("a",), {"a": 0.9, "b": 0.3})
    assert one._doubt(prediction) == pytest.approx(0.1)
    assert several._doubt(prediction) == pytest.approx((0.1 + 0.3) / 2)


def test_the_most_uncertain_come_first_and_likeness_counts() -> None:
    items = list(zip(documents(), [0.5, 0.49, 0.3, 0.1], strict=True))
    assert [item.document.id for item in select(items, 3, diversity=0.0)] == ["0", "1", "2"]
    chosen = select(items, 3, diversity=1.0)
    assert [item.document.id for item in chosen] == ["0", "2", "1"]
    assert chosen[0].likeness == 0
    assert 0.4 < chosen[2].likeness < 1
    assert chosen[0].with_reason().metadata[REASON] == "uncertainty 0.5000, likeness to the texts chosen before 0.00"


def test_known_texts_and_equal_texts_are_not_selected() -> None:
    again = Document.from_text(TEXTS[0], "again")
    items = list(zip([*documents(), again], [0.5, 0.4, 0.3, 0.2, 0.9], strict=True))
    assert [item.document.id for item in select(items, 9, labelled=[documents()[1]], diversity=0)] == ["0", "2", "3"]
    assert select([], 3) == []
    assert select(items, 1, labelled=[Document.from_text("unlike")], diversity=1)[0].likeness == 0


def test_only_the_most_uncertain_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textome.evaluation.selection.CANDIDATES", 2)
    many = ((Document.from_text(f"text {number}"), number / 100) for number in range(100))
    assert [item.uncertainty for item in select(many, 2, diversity=0)] == [0.99, 0.98]


def test_vectors_have_length_one() -> None:
    vectors = text_vectors(["gout gout asthma", "gout", "", "..."])
    assert np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([1, 1, 0, 0])
    assert vectors[0] @ vectors[1] == pytest.approx(float(vectors[1] @ vectors[0]))


def test_the_command_writes_what_it_read_with_the_reason(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text("id,text\n" + "".join(f"{number},{text}\n" for number, text in enumerate(TEXTS)))
    arguments = ["select", str(path), "--model", str(tiny_bundle), "--count", "2", "--threads", "1"]
    done = CliRunner().invoke(application(), [*arguments, "--output", str(tmp_path / "next.jsonl")])
    assert done.exit_code == 0, done.output
    first, second = read_documents(tmp_path / "next.jsonl")
    assert first.text == TEXTS[2]
    assert first.metadata[REASON].startswith("uncertainty")
    assert f"{second.id}: {second.metadata[REASON]}" in done.stderr


def test_a_model_without_probabilities_is_refused(tiny_bundle: Path) -> None:
    model = Model.load(tiny_bundle, threads=1, tasks=())
    with pytest.raises(InputError, match="how sure it is"):
        list(uncertainties(model, documents()))


def test_uncertainty_of_chained_labels_is_of_each_word(tiny_bundle: Path) -> None:
    model = Model.load(tiny_bundle, threads=1)
    chained = Entities(metric="entity_f1", types=("Disease",), head="crf")
    _, records, examples = model.prepare("entities", documents()[:1])
    even = [np.zeros((len(example.positions), 9), np.float32) for example in examples]
    (value,) = chained.uncertainty(records[0], examples, even)
    rows = np.exp(chained.labelling.marginals(next(chained.log_probabilities([even]))))[:, 0]
    assert rows.sum(axis=1) == pytest.approx(np.ones(len(rows)), abs=1e-5)
    assert value == pytest.approx(float((1 - rows.max(axis=1)).mean()), abs=1e-6)
