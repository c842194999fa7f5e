"""The steps over one document: what they change, what they drop, and what they count."""

from __future__ import annotations

import pytest

from corpus_texts import text
from textome.corpus.leakage import TestSets
from textome.corpus.pipeline import Counts, Pipeline, Steps
from textome.documents import Document, Passage

ALL = Steps(quality=None)


def sentences(content: str, steps: Steps = ALL) -> list[str] | None:
    return Pipeline(steps).sentences_of(Document.from_text(content))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("One is here. Two is\nthere.", ["One is here.", "Two is there."]),
        ("Title\n\nThe text.", ["Title", "The text."]),
        ("BACKGROUND\nthe text of it.\n", ["BACKGROUND", "the text of it."]),
        ("ABSTRACT.METHODS:\nWe did it.", ["ABSTRACT.METHODS:", "We did it."]),
        ("BODY.AUTHORS' PART:\nWe wrote it.", ["BODY.AUTHORS' PART:", "We wrote it."]),
        ("DNA\nis long", ["DNA", "is long"]),
        ("Patientsâ€™ blood and cafÃ©", ["Patients’ blood and café"]),
        ("H<sub>2</sub>O &lt; 5\u200b mg", ["H2O < 5 mg"]),
        (f"before {'x7+=' * 30} after", ["before after"]),
        ("患者" * 80, ["患者" * 80]),
        ("all is lower. the second one begins. in p. syringae pv. tomato it ends.",
         ["all is lower.", "the second one begins.", "in p. syringae pv. tomato it ends."]),
        ("all is lower but the Δmate mutants. the second one.",
         ["all is lower but the Δmate mutants.", "the second one."]),
        (" \n\n\t", None),
    ],
)  # fmt: skip
def test_cleaning_and_splitting(content: str, expected: list[str] | None) -> None:
    assert sentences(content) == expected


def test_each_step_can_be_left_out() -> None:
    content = "One <i>was</i> lost. Two â€™ were <dig> found."
    assert sentences(content) == ["One was lost.", "Two ’ were <dig> found."]
    assert sentences(content, Steps(quality=None, split=False)) == ["One was lost. Two ’ were <dig> found."]
    assert sentences(content, Steps(quality=None, clean=False)) == ["One <i>was</i> lost.", "Two â€™ were <dig> found."]
    assert sentences(content, Steps(quality=None, lowercase=True)) == ["one was lost.", "two ’ were <dig> found."]
    assert sentences("A B.", Steps(quality=None, clean=False, lowercase=True)) == ["a b."]
    replaced = Steps(quality=None, replace=(("<dig>", "0"), ("â€™", "")))
    assert sentences(content, replaced) == ["One was lost.", "Two were 0 found."]
    assert sentences("too short") == ["too short"]
    assert sentences("too short", Steps()) is None
    assert sentences("Dr. John Smith came.", Steps(quality=None, deidentify=True)) == ["Dr. [NAME] came."]
    assert sentences("We saw it in mice and men, of course.", Steps(quality=None, languages=("de",))) is None


def test_passages_are_never_joined_and_given_sentences_stay() -> None:
    document = Document("1", (Passage("A title without stop"), Passage("One. Two", 21)))
    assert Pipeline(ALL).sentences_of(document) == ["A title without stop", "One.", "Two"]
    assert Pipeline(ALL).sentences_of(document, split=False) == ["A title without stop", "One. Two"]


def test_everything_is_counted() -> None:
    sets = TestSets()
    sets.add("exam", [text(1)])
    pipeline = Pipeline(Steps(deidentify=True, languages=("en",), replace=(("<dig>", "0"),)), sets)
    german = (
        "Wir haben den Blutdruck bei vierzig Patienten gemessen und keinen Unterschied zwischen den Gruppen gefunden. "
        "Danach wurde die Behandlung bei allen fortgesetzt."
    )
    for content in (
        text(1),
        text(2) + " Dr. John Smith and Dr. Jane Doe were there in <dig>.",
        text(3) + " â€™",
        "Short.",
        "",
        german,
    ):
        pipeline.sentences_of(Document.from_text(content))
    counts = pipeline.take_counts()
    assert (counts.read, counts.kept) == (6, 2)
    assert counts.dropped == {"leakage": 1, "too short": 1, "empty": 1, "language": 1}
    assert counts.leaked == {"exam": 1}
    assert counts.changed == {"de-identified": 1, "replaced": 1, "encoding repaired": 1}
    assert counts.identifiers == {"NAME": 2}
    assert pipeline.counts == Counts()
    again = Counts.from_dict(counts.as_dict())
    assert again == counts
    again.add(counts)
    assert (again.read, again.dropped["empty"], again.identifiers["NAME"]) == (12, 2, 4)
