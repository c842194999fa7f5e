"""Agreement of two annotators, beside scikit-learn's kappa and seqeval-like counts."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from sklearn.metrics import cohen_kappa_score

from textome.documents import Document
from textome.errors import InputError
from textome.metrics.agreement import agreement, cohens_kappa

TEXT = "No gout, but asthma and fever."


def document(*mentions: tuple[int, int, str], id: str = "1", text: str = TEXT) -> Document:
    empty = Document.from_text(text, id)
    return empty.with_annotations([empty.entity([(start, end)], type) for start, end, type in mentions])


@pytest.mark.parametrize("seed", range(20))
def test_kappa_is_that_of_scikit_learn(seed: int) -> None:
    draw = Random(seed)
    letters = "ABC"[: draw.randint(1, 3)]
    pairs = [(draw.choice(letters), draw.choice(letters)) for _ in range(draw.randint(1, 30))]
    first, second = zip(*pairs, strict=True)
    kappa = cohens_kappa(Counter(pairs))
    if len({*first, *second}) == 1:
        assert kappa is None
    else:
        assert kappa == pytest.approx(cohen_kappa_score(first, second))


def test_two_annotators_who_differ() -> None:
    first = document((3, 7, "Disease"), (13, 19, "Disease"))
    second = document((3, 7, "Disease"), (13, 19, "Symptom"), (24, 29, "Symptom"))
    found = agreement([first], [second])
    assert (found.mentions.tp, found.mentions.fp, found.mentions.fn) == (1, 2, 1)
    assert found.mentions.f1 == pytest.approx(2 / 5)
    assert found.types["Disease"].f1 == pytest.approx(2 / 3)
    assert [(item.text, item.first, item.second) for item in found.disagreements] == [
        ("asthma", "Disease", "Symptom"),
        ("fever", "", "Symptom"),
    ]
    # No gout , but asthma and fever .
    ours, theirs = list("OD..D..."), list("OD..S.S.")
    ours[0] = theirs[0] = "."
    assert found.kappa == pytest.approx(cohen_kappa_score(ours, theirs))
    assert found.annotated_kappa == pytest.approx(cohen_kappa_score(list("DD."), list("DSS")))


def test_the_same_annotations_agree_whichever_comes_first() -> None:
    one = document((3, 7, "Disease"), id="a")
    found = agreement([one, document(id="b")], [document(id="c"), one])
    assert (found.documents, found.missing, found.kappa) == (("a",), ("b", "c"), 1)
    assert found.mentions.f1 == 1
    assert found.annotated_kappa is None
    assert found.disagreements == ()
    assert agreement([document()], [document()]).kappa is None


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([document()], [document(id="2")], "no document in common"),
        ([document()], [document(text="Another")], "not the same"),
        ([document(), document()], [document()], "used before"),
    ],
)
def test_what_cannot_be_compared_is_said(first: list[Document], second: list[Document], message: str) -> None:
    with pytest.raises(InputError, match=message):
        agreement(first, second)
