"""Explanations: every weight is what hiding its word does to the model, computed again without our own runtime."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings

from one_model import entities_of
from strategies import documents
from textome.datasets.labelled import LabelledSentences, LabelledText
from textome.documents import Document, Passage
from textome.errors import InputError, ModelError
from textome.explain import Explainer, Explanation, explain_record
from textome.explain.occlusion import _Tracer, log_odds, words_of
from textome.explain.page import explanation_page
from textome.formats import read_documents
from textome.runtime.model import Model
from textome.tasks.classification import Classification
from textome.tasks.relations import Relations
from textome.tasks.sentence_classification import SentenceClassification
from textome.text.tokenization import Tokenizer

TOKENIZER = Path(__file__).resolve().parents[2] / "src" / "textome" / "bundled" / "default"
TEXT = "Metformin is given for breast cancer (type 2 diabetes was seen)."


def weights(explanation: Explanation) -> dict[str, float]:
    return {word.text: word.weight for word in explanation.words}


def test_weights_of_entities_are_what_hiding_a_word_does(tiny_bundle: Path) -> None:
    """Against Hugging Face's model with the word's tokens replaced by hand."""
    model = transformers.AutoModelForTokenClassification.from_pretrained(tiny_bundle).eval()
    tokenizer = Tokenizer.load(tiny_bundle)
    (tokens,) = tokenizer.encode([TEXT])

    def probability(ids: np.ndarray, first: int, last: int, head: int) -> float:
        row = torch.tensor([[tokenizer.start_id, *ids.tolist(), tokenizer.end_id]])
        with torch.inference_mode():
            logits = model(input_ids=row).logits[0, 1:-1].view(len(ids), -1, 3)[tokens.first.tolist(), head]
        shares = logits.double().softmax(-1).numpy()
        inside = shares[first, 1] * np.prod(shares[first + 1 : last + 1, 2])
        return float(inside * (1 - (shares[last + 1, 2] if last + 1 < len(shares) else 0)))

    found = Explainer.load(tiny_bundle, precision="fp32").explain(Document.from_text(TEXT, id="n1"))
    assert {(item.finding, item.text) for item in found} >= {("Chemical", "Metformin"), ("Disease", "breast cancer")}
    for item in found:
        assert item.span is not None
        first = int(np.searchsorted(tokens.word_starts, item.span.start))
        last = int(np.searchsorted(tokens.word_starts, item.span.end)) - 1
        head = ["Disease", "Chemical"].index(item.finding)
        whole = probability(tokens.ids, first, last, head)
        assert item.confidence == pytest.approx(whole, abs=1e-5)
        assert [word.text for word in item.words] == [
            "Metformin", "is", "given", "for", "breast", "cancer", "type", "2", "diabetes", "was", "seen",
        ]  # fmt: skip
        for word in item.words:
            ids = tokens.ids.copy()
            for number, start in enumerate(tokens.word_starts):
                if word.start <= start < word.end:
                    end = tokens.first[number + 1] if number + 1 < len(tokens.first) else len(ids)
                    ids[tokens.first[number] : end] = tokenizer.mask_id
            expected = log_odds(whole) - log_odds(probability(ids, first, last, head))
            assert word.weight == pytest.approx(expected, abs=0.02), (item.text, word)


def test_what_is_annotated_is_explained_at_its_place(tiny_bundle: Path) -> None:
    document = Document("d", (Passage("No gout was seen."), Passage("Aspirin 💊 is given for malaria.", 20)))
    found = Explainer.load(tiny_bundle, precision="fp32").explain(document)
    entities = entities_of(tiny_bundle, precision="fp32").annotate(document).entities
    assert len(found) == len(entities) > 1
    for item, entity in zip(found, entities, strict=True):
        assert item.document == "d"
        assert (item.finding, item.text) == (entity.type, entity.text)
        assert item.confidence == pytest.approx(entity.confidence, abs=1e-5)
        assert tuple(item.offset + place for place in (item.span or ())) == (entity.start, entity.end)
        assert all(item.parts[word.part][word.start : word.end] == word.text for word in item.words)
        assert document.text[item.offset :].startswith(item.parts[0])


class Additive:
    """A model whose label is decided by the sum of a number for each token: then each word's weight is known."""

    def __init__(self, tokenizer: Tokenizer, task: Any, window: int, overlap: int) -> None:
        self.tokenizer, self._task, self._sizes = tokenizer, task, (window, overlap)
        self.values = np.random.default_rng(5).normal(size=tokenizer.vocabulary_size)

    def task(self, name: str) -> Any:
        return self._task

    def examples(self, name: str, records: Any, tokenizer: Any = None) -> Any:
        return self._task.examples(records, tokenizer or self.tokenizer, *self._sizes)

    def scores(self, name: str, units: Any) -> list[np.ndarray]:
        return [np.array([[self.values[unit.input_ids].sum(), 0.0]], np.float32) for unit in units]


@pytest.mark.parametrize("pair", [None, "no gout, was seen"])
def test_words_of_an_additive_model_weigh_what_they_add(tiny_bundle: Path, pair: str | None) -> None:
    tokenizer = Tokenizer.load(tiny_bundle)
    runner = Additive(tokenizer, Classification(labels=("yes", "no")), 64, 8)
    item = LabelledText("r", "patients took aspirin", pair)
    (found,) = explain_record(runner, "label", item, "yes")  # type: ignore[arg-type]
    expected = {"patients", "took", "aspirin"} | ({"no", "gout", "was", "seen"} if pair else set())
    assert set(weights(found)) == expected
    assert found.parts == (item.text, *([pair] if pair else []))
    for word in found.words:
        (tokens,) = tokenizer.encode([word.text])
        added = runner.values[tokens.ids].sum() - len(tokens.ids) * runner.values[tokenizer.mask_id]
        assert word.weight == pytest.approx(added, abs=1e-3)
    (other,) = explain_record(runner, "label", item, "no")  # type: ignore[arg-type]
    assert weights(other) == pytest.approx({word: -weight for word, weight in weights(found).items()})


def test_only_windows_with_the_word_are_computed_again(tiny_bundle: Path) -> None:
    tokenizer = Tokenizer.load(tiny_bundle)
    runner = Additive(tokenizer, Classification(labels=("yes", "no")), 16, 4)
    calls: list[int] = []
    original = runner.scores
    runner.scores = lambda name, units: calls.append(len(units)) or original(name, units)  # type: ignore[method-assign,func-returns-value]
    (found,) = explain_record(runner, "label", LabelledText("r", "gout was seen with asthma " * 8))  # type: ignore[arg-type]
    windows, again = calls
    assert windows > 3
    assert len(found.words) == 40
    assert 40 <= again < 40 * 3  # a word stands in one window, or in two where they overlap


def candidates() -> tuple[Relations, list[Any]]:
    filler = "no aspirin was seen with gout. " * 3
    document = Document("1", (Passage(f"aspirin is given for gout daily. {filler}malaria was seen."),))
    ends = [
        document.entity([(document.text.index(text), document.text.index(text) + len(text))], kind)
        for text, kind in (("aspirin", "Chemical"), ("gout", "Disease"), ("malaria", "Disease"))
    ]
    task = Relations(labels=("treats",), pairs=(("Chemical", "Disease"),), scope="document")
    return task, task.records(task.ready(document.with_annotations(ends)))


def test_every_sub_word_that_a_model_reads_is_traced(tiny_bundle: Path) -> None:
    tokenizer = Tokenizer.load(tiny_bundle)
    markers = Classification(labels=("a", "b"), markers=("gout",))
    long = "patients took aspirin, and no gout was seen " * 4
    relation, pairs = candidates()
    texts = (LabelledText("1", long), LabelledText("2", long, "no gout"))
    cases: list[tuple[Any, int, Any]] = [(markers, 16, text) for text in texts]
    one_pass = relation.model_copy(update={"one_pass": True})
    cases += [(task, 24, item) for task in (relation, one_pass) for item in pairs]
    sentences = LabelledSentences("3", ("no gout", long), ("", ""))
    cases += [(SentenceClassification(labels=("a", "b")), 16, sentences)]
    for task, window, item in cases:
        tracer = _Tracer(tokenizer)
        ids = np.concatenate([tokens.ids for _, tokens, _ in _read(tracer, task, item, window)])
        special = {tracer.start_id: tokenizer.start_id, tracer.end_id: tokenizer.end_id}
        for unit, traced in zip(
            task.examples([item], tokenizer, window, 4), task.examples([item], tracer, window, 4), strict=True
        ):
            first = len(ids)  # the second reading goes on counting where the first one ended
            found = [special[n] if n < 0 else int(ids[n - first]) for n in traced.input_ids.tolist()]
            assert found == unit.input_ids.tolist()
            assert traced.positions.tolist() == unit.positions.tolist()


def _read(tracer: _Tracer, task: Any, item: Any, window: int) -> list[Any]:
    task.examples([item], tracer, window, 4)
    return list(tracer.read)


def test_labels_sentences_and_relations_of_a_trained_model(tiny_tasks: Path) -> None:
    bundle = tiny_tasks / "run" / "bundle"
    single = Explainer.load(bundle, "single")
    (found,) = single.explain(Document.from_text("patients took aspirin"))
    assert (found.finding, found.span) == ("drug", None)
    assert max(weights(found), key=lambda word: weights(found)[word]) in ("patients", "took", "aspirin")
    (against,) = single.explain(Document.from_text("patients took aspirin"), label="disease")
    assert against.confidence < 0.5
    assert weights(against) == pytest.approx({word: -weight for word, weight in weights(found).items()}, abs=0.05)

    both = Explainer.load(bundle, "topics").explain(Document.from_text("patients aspirin and gout daily"))
    assert {item.finding for item in both} == {"drug", "disease"}
    by_label = {item.finding: weights(item) for item in both}
    assert by_label["drug"]["aspirin"] > by_label["drug"]["gout"]
    assert by_label["disease"]["gout"] > by_label["disease"]["aspirin"]

    roles = Explainer.load(bundle, "roles").explain(Document.from_text("Patients took aspirin. No gout was seen."))
    assert [item.sentence for item in roles] == [0, 1]
    assert {item.finding for item in roles} <= {"aim", "result"}
    assert {word.part for word in roles[0].words} == {0, 1}

    documents = list(read_documents(tiny_tasks / "c.jsonl"))
    explainer = Explainer.load(bundle, "treats")
    sets_with = {len(explainer.explain(document)) for document in documents[:12]}
    assert sets_with == {0, 1}
    (none,) = explainer.explain(documents[0], label="none")
    assert "given" in weights(none) or "seen" in weights(none)
    assert Explainer.load(bundle).name == "entities"
    assert explainer.explain(Document.from_text("no entity here")) == []


def test_answers_are_explained(tiny_tasks: Path) -> None:
    explainer = Explainer.load(tiny_tasks / "run" / "bundle", "answers", precision="fp32")
    document, context = Document.from_text("which drug ?", "q"), "patients took aspirin daily"
    (found,) = explainer.explain(document, pair=context)
    assert found.finding in context
    assert found.parts == ("which drug ?", context)
    assert {word.part for word in found.words} == {0, 1}
    assert found.heaviest(1)[0].weight
    with pytest.raises(InputError, match="reads pairs of texts; give the second one"):
        explainer.explain(document)


def test_what_cannot_be_explained_is_told(tiny_tasks: Path, tiny_bundle: Path) -> None:
    bundle = tiny_tasks / "run" / "bundle"
    with pytest.raises(ModelError, match="it has no task 'other'"):
        Explainer.load(bundle, "other")
    with pytest.raises(InputError, match="are for entities"):
        Explainer.load(bundle, "single", types=["Disease"])
    explainer = Explainer.load(bundle, "single")
    for label, pair, message in (
        ("x", None, "no label 'x'; it has disease, drug"),
        (None, "b", "does not read pairs of texts"),
    ):
        with pytest.raises(InputError, match=message):
            explainer.explain(Document.from_text("patients took aspirin"), label=label, pair=pair)
    with pytest.raises(InputError, match="without any word"):
        explainer.explain(Document.from_text("\u200b"))
    with pytest.raises(InputError, match="a label is for tasks that give labels"):
        Explainer.load(tiny_bundle).explain(Document.from_text("gout"), label="Disease")


@settings(deadline=None, max_examples=60)
@given(documents())
def test_words_of_any_text_lie_apart_and_cover_all_letters(document: Document) -> None:
    text = document.text
    tokenizer = Tokenizer.load(TOKENIZER)
    (tokens,) = tokenizer.encode([text])
    groups = words_of(text, tokens)
    rows = [row for _, some in groups for row in some.tolist()]
    assert rows == sorted(set(rows))
    position = 0
    for (start, end), some in groups:
        assert position <= start < end <= len(text)
        assert len(some)
        position = end
    inside = {number for (start, end), _ in groups for number in range(start, end)}
    for start, end in zip(tokens.word_starts, tokens.word_ends, strict=True):
        assert not any(map(str.isalnum, text[start:end])) or set(range(start, end)) <= inside


def test_the_page_shows_what_was_read_and_nothing_as_markup(tiny_bundle: Path) -> None:
    text = "Aspirin <b>is</b> given for gout."
    found = Explainer.load(tiny_bundle).explain(Document.from_text(text, id="<i>"))
    page = explanation_page(found, "tiny <model>")
    assert "<b>is" not in page
    assert "&lt;i&gt;" in page
    assert "tiny &lt;model&gt;" in page
    assert page.count("<h2>") == len(found) > 0
    for item in found:
        (word,) = item.heaviest(1)
        assert f">{escape(word.text)}</span>" in page
        assert f"{word.weight:+.2f}" in page


def test_a_page_of_sentences_numbers_them() -> None:
    item = Explanation("aim", 0.5, ("a b", "c"), (), sentence=1)
    assert "Sentence 2: aim 0.500" in explanation_page([item], "m")


def test_a_loaded_runner_can_be_given(tiny_tasks: Path) -> None:
    explainer = Explainer(Model.load(tiny_tasks / "run" / "bundle"), "single")
    assert explainer.explain(Document.from_text("no gout was seen"))[0].finding == "disease"
