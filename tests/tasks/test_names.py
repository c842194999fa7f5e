"""What known names say of spans: log odds that are added, found spans that are added, and how both are fitted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from letters import letter_tokenizer
from textome.tasks.entities import Entities
from textome.tasks.examples import Floats
from textome.tasks.spans.iob import Mention, ScoredSpan, without_overlaps
from textome.tasks.spans.mentions import Sentence
from textome.tasks.spans.names import NamedSpan, NameEvidence, fitted_evidence, resolved, standing_of
from textome.tasks.task import Choice

TOKENIZER = letter_tokenizer()
TEXT = "the aspirin and brca1 group"


def test_a_name_stands_alone_is_shared_is_of_others_or_unknown() -> None:
    assert standing_of("aspirin", "Chemical") == "alone"
    assert standing_of("aspirin", "Gene") == "other"
    assert standing_of("insulin", "Chemical") == standing_of("insulin", "Gene") == "shared"
    assert standing_of("no such name at all", "Gene") is None


@given(st.floats(0.001, 0.999), st.floats(-4, 4))
def test_the_shift_is_one_of_log_odds(confidence: float, shift: float) -> None:
    shifted = NameEvidence(alone=shift).shifted(confidence, "alone")
    odds = confidence / (1 - confidence)
    assert shifted / (1 - shifted) == pytest.approx(odds * np.exp(shift), rel=1e-6)
    assert NameEvidence(alone=shift).shifted(confidence, None) == confidence


def scores(**shares: tuple[float, float, float]) -> list[Floats]:
    """Scores of the words of TEXT for one type: the logarithms of the probabilities of O, B and I; else surely O."""
    return [np.log([shares.get(word, (0.998, 0.001, 0.001)) for word in TEXT.split()]).astype(np.float32)]


def found(task: Entities, rows: list[Floats]) -> list[ScoredSpan]:
    records = [Sentence(TEXT)]
    ((_, spans),) = task.decode(records, task.examples(records, TOKENIZER, 64, 8), rows)
    return spans


@pytest.mark.parametrize("head", ["linear", "crf"])
def test_a_possible_span_with_a_known_name_is_found(head: str) -> None:
    rows = scores(brca1=(0.7, 0.29, 0.01), group=(0.6, 0.2, 0.2))
    if head == "crf":
        rows = [np.repeat(item[:, None], 3, axis=1).reshape(len(item), 9) for item in rows]
    plain = Entities(types=("Gene",), head=head)  # type: ignore[arg-type]
    assert found(plain, rows) == []
    named = plain.model_copy(update={"known_names": {"Gene": NameEvidence(alone=2.0, shared=2.0)}})
    (span,) = found(named, rows)
    assert (span.first, span.last) == (3, 3)
    share = 0.29 * (1 - 0.2)  # and "group" does not go on
    if head == "crf":
        share /= 0.7 * (1 - 0.2) + 0.29  # of what is legal
    odds = share / (1 - share) * np.exp(2)
    assert span.confidence == pytest.approx(odds / (1 + odds), rel=2e-2)


def test_a_name_of_another_type_is_less_likely() -> None:
    rows = scores(aspirin=(0.3, 0.69, 0.01))
    task = Entities(types=("Gene",), known_names={"Gene": NameEvidence(other=-2.0)})
    (plain,), (named,) = found(task.model_copy(update={"known_names": {}}), rows), found(task, rows)
    assert named.confidence == pytest.approx(NameEvidence(other=-2.0).shifted(plain.confidence, "other"))
    assert named.confidence < 0.3 < plain.confidence


def test_only_types_with_evidence_change() -> None:
    task = Entities(types=("Gene", "Protein"), known_names={"Gene": NameEvidence(alone=2.0, shared=2.0)})
    (rows,) = scores(brca1=(0.7, 0.29, 0.01))
    assert [span.head for span in found(task, [np.concatenate([rows, rows], axis=1)])] == [0]
    assert found(task.with_choice(Choice(("Protein",))), [np.concatenate([rows, rows], axis=1)]) == []


def test_of_overlapping_spans_of_one_type_the_most_confident_stays() -> None:
    long, short, other = ScoredSpan(1, 2, 0, 0.6), ScoredSpan(2, 2, 0, 0.5), ScoredSpan(2, 3, 1, 0.1)
    spans = [NamedSpan(long, None), NamedSpan(short, "alone"), NamedSpan(other, None)]
    assert resolved(spans, {}) == [long, other]
    kept = resolved(spans, {0: NameEvidence(alone=1.0)})
    assert [(item.first, item.head) for item in kept] == [(2, 0), (2, 1)]


@given(
    st.lists(st.tuples(st.floats(0.05, 0.95), st.sampled_from(["alone", "other", None]), st.booleans()), max_size=40)
)
def test_the_fitted_shift_is_the_best_by_another_implementation(rows: list[tuple[float, str | None, bool]]) -> None:
    evidence = fitted_evidence(rows)
    assert evidence.shared == 0.0  # nothing was seen of it

    def loss(shift: float) -> float:
        own = [(share, right) for share, standing, right in rows if standing == "alone"]
        shifted = [(NameEvidence(alone=shift).shifted(share, "alone"), right) for share, right in own]
        return shift**2 / 2 - sum(np.log(share if right else 1 - share) for share, right in shifted)

    best = minimize_scalar(loss, bounds=(-4, 4), method="bounded").x
    assert evidence.alone == pytest.approx(best, abs=0.06)


def test_what_names_add_is_fitted_with_the_threshold_for_the_listed_types() -> None:
    """Where the model is unsure of a drug that the vocabulary knows, and of a word that it does not, names decide."""
    texts = ["aspirin helped", "helped aspirin"] * 40
    records = [Sentence(text, (Mention(text.index("aspirin"), text.index("aspirin") + 7, 0),), (0,)) for text in texts]
    task = Entities(types=("Chemical", "Gene"), known_names={"Chemical": NameEvidence()})
    examples = task.examples(records, TOKENIZER, 32, 8)
    unsure = np.log(np.array([[[0.45, 0.54, 0.01], [0.9, 0.05, 0.05]]] * 2, np.float32)).reshape(2, 6)
    fit = task.calibrated(records, examples, [unsure] * len(records))
    assert fit.known_names["Chemical"].alone > 1
    assert set(fit.known_names) == set(fit.thresholds) == {"Chemical"}
    kept = [
        len(spans)
        for spans in fit.with_choice(Choice()).kept(
            spans for _, spans in fit.with_choice(Choice()).decode(records, examples, [unsure] * len(records))
        )
    ]
    assert kept == [1] * len(records)


def test_unknown_types_and_shifts_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="known_names names 'Drug', which is not in types"):
        Entities(types=("Gene",), known_names={"Drug": NameEvidence()})
    with pytest.raises(ValueError, match="finite number"):
        NameEvidence(alone=float("nan"))


@given(
    st.lists(
        st.builds(ScoredSpan, st.integers(0, 9), st.integers(0, 3), st.integers(0, 1), st.floats(0, 1)), max_size=12
    ),
    st.booleans(),
)
def test_spans_without_overlaps_are_those_of_a_plain_loop(drawn: list[ScoredSpan], each_head: bool) -> None:
    spans = [item._replace(last=item.first + item.last) for item in drawn]
    kept: list[int] = []
    for number in sorted(range(len(spans)), key=lambda at: (-spans[at].confidence, spans[at].first - spans[at].last)):
        one = spans[number]
        if all(
            one.last < other.first or one.first > other.last or (each_head and one.head != other.head)
            for other in (spans[at] for at in kept)
        ):
            kept.append(number)
    assert without_overlaps(spans, each_head) == [spans[at] for at in sorted(kept)]
