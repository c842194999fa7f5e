"""How texts speak of what they name: cues, their reach, their stops, sections, and cues of one's own."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import documents
from textome.documents import Document, Passage, Relation
from textome.errors import InputError
from textome.steps import load_step
from textome.steps.context import ATTRIBUTES
from textome.steps.cues import load_cues, words_of

# A sentence, and its entities, each with what is said of it: n(egated), u(ncertain), y(pothetical), h(istorical), f(amily),
# o(ther), or nothing.
SENTENCES = [
    ("No evidence of pneumonia.", {"pneumonia": "n"}),
    ("There is no clinical or radiographic evidence of pneumonia or effusion.", {"pneumonia": "n", "effusion": "n"}),
    ("The patient denies chest pain, nausea, or vomiting.", {"chest pain": "n", "nausea": "n", "vomiting": "n"}),
    ("He denies fever but has a cough.", {"fever": "n", "cough": ""}),
    ("Denies: fever, chills.", {"fever": "n", "chills": "n"}),
    ("She had gout without tophi.", {"gout": "", "tophi": "n"}),
    ("Fever, chills and cough were denied.", {"Fever": "n", "chills": "n", "cough": "n"}),
    ("Pneumonia was ruled out, and asthma was not seen.", {"Pneumonia": "n", "asthma": "n"}),
    ("Ascites: absent. Gout: no. Melanoma: not identified.", {"Ascites": "n", "Gout": "n", "Melanoma": "n"}),
    ("Negative nausea, negative vomiting.", {"nausea": "n", "vomiting": "n"}),
    ("The pain has completely resolved.", {"pain": "nh"}),
    ("I do not think she has a stroke.", {"stroke": "n"}),
    ("He was not febrile, nor was he septic.", {"febrile": "n", "septic": "n"}),
    ("The GI review is -ve for bleeding and anemia.", {"bleeding": "n", "anemia": "n"}),
    ("I do not see any evidence of gout.", {"gout": "n"}),
    ("He did not have any complaints of pain.", {"pain": "n"}),
    ("She is not aware of a history of gout.", {"gout": "n"}),
    ("He denies, however, any gout.", {"gout": "n"}),
    ("The scan was negative for stroke.", {"stroke": "n"}),
    ("There is no demonstrated necrosis.", {"necrosis": "n"}),
    ("NO GOUT, NO ASTHMA.", {"GOUT": "n", "ASTHMA": "n"}),
    ("Rats without neutropenia after fever lived.", {"neutropenia": "n", "fever": ""}),
    ("There was no change in pain.", {"pain": ""}),
    ("No inhibition of sepsis was seen.", {"sepsis": ""}),
    ("No association with lupus was detected.", {"lupus": ""}),
    ("An association with lupus was not detected.", {"lupus": ""}),
    ("The drug does not only cause asthma.", {"asthma": ""}),
    ("NO donors lower hypertension.", {"hypertension": ""}),
    ("A no-reflow phenomenon with stroke.", {"stroke": ""}),
    ("Given with or without gout.", {"gout": ""}),
    ("The presence or absence of cirrhosis matters.", {"cirrhosis": ""}),
    ("Gram-negative sepsis.", {"sepsis": ""}),
    ("Non-diabetic adults.", {"diabetic": "n"}),
    ("Seizure-free for a year, with gout.", {"Seizure": "n", "gout": ""}),
    ("Possible pneumonia.", {"pneumonia": "u"}),
    ("Cannot exclude an abscess.", {"abscess": "u"}),
    ("An abscess cannot be ruled out.", {"abscess": "u"}),
    ("Opacity, likely pneumonia; has asthma.", {"pneumonia": "u", "asthma": ""}),
    ("Rule out endocarditis.", {"endocarditis": "u"}),
    ("Findings are suspicious for a lymphoma.", {"lymphoma": "u"}),
    ("?PE in a man with gout.", {"PE": "u", "gout": ""}),
    ("A stroke is unlikely.", {"stroke": "nu"}),
    ("Asthma is likely to get worse.", {"Asthma": ""}),
    ("A possible role of gout.", {"gout": ""}),
    ("Return if you develop fever or chills.", {"fever": "y", "chills": "y"}),
    ("Take it as needed for pain.", {"pain": "y"}),
    ("Risks include but are not limited to bleeding and stroke.", {"bleeding": "y", "stroke": "y"}),
    ("Call should she develop a rash.", {"rash": "y"}),
    ("We asked if gout was known.", {"gout": ""}),
    ("He has a history of stroke.", {"stroke": "h"}),
    ("A one-month history of numbness.", {"numbness": ""}),
    ("Status post appendicitis in 1998.", {"appendicitis": "h"}),
    ("He had jaundice 20 years ago.", {"jaundice": "h"}),
    ("Gout was seen in previous studies.", {"Gout": ""}),
    ("A 60-year-old man with gout.", {"gout": ""}),
    ("Family history of diabetes.", {"diabetes": "f"}),
    ("It could be gout, but she has lupus.", {"gout": "u", "lupus": ""}),
    ("We are worried about sepsis; the rash most likely represents eczema.", {"sepsis": "u", "eczema": "u"}),
    ("It is unclear whether he has gout.", {"gout": "u"}),
    ("Possible benefits of walking in gout.", {"gout": ""}),
    ("No steroid-induced glaucoma.", {"steroid": "", "glaucoma": "n"}),
    ("It has no anti-epileptic effect.", {"epileptic": ""}),
    ("Use it for pain as needed.", {"pain": "y"}),
    ("Return to the emergency department for fever.", {"fever": "y"}),
    ("You may develop nausea unless vomiting stops.", {"nausea": "y", "vomiting": "y"}),
    ("Ulcers were treated ten years ago.", {"Ulcers": "h"}),
    ("He used to have migraine, and past medical history is significant for gout.", {"migraine": "h", "gout": "h"}),
    ("Two brothers with gout; both parents had asthma.", {"gout": "f", "asthma": "f"}),
    ("Family history is positive for gout.", {"gout": "f"}),
    ("She was brought in by her father for fever.", {"fever": ""}),
    ("A friend of hers has mumps.", {"mumps": "o"}),
    ("His father had gout but he has asthma.", {"gout": "f", "asthma": ""}),
    ("Her mother and aunt had melanoma.", {"melanoma": "f"}),
    ("The patient’s mother had gout.", {"gout": "f"}),
    ("His wife has influenza.", {"influenza": "o"}),
    ("He denies a history of stroke.", {"stroke": "nh"}),
    ("No family history of cancer.", {"cancer": "nf"}),
    ("No pneumonia or effusion, possible atelectasis.", {"pneumonia": "n", "effusion": "n", "atelectasis": "u"}),
    ("No doubt this is gout.", {"gout": ""}),
    ("It was as gouty as can be: gout.", {"gout": ""}),
]
LETTERS = {"n": "negated", "u": "uncertain", "y": "hypothetical", "h": "historical", "f": "family", "o": "other"}


def annotated(document: Document, *mentions: str, type: str = "Disease", confidence: float | None = None) -> Document:
    position = 0
    entities = []
    for mention in mentions:
        position = document.text.index(mention, position)
        span = (position, position + len(mention))
        entities.append(document.entity([span], type, id=f"T{len(entities)}", confidence=confidence))
        position += len(mention)
    return document.with_annotations(entities)


def run(document: Document, **options: object) -> Document:
    (result,) = load_step("context", **options)([document])
    return result


def said(document: Document) -> dict[str, set[str]]:
    return {
        item.text: {value if name == "experiencer" else name for name, value in item.attributes.items()}
        for item in document.entities
    }


@pytest.mark.parametrize(("text", "expected"), SENTENCES)
def test_sentences(text, expected):
    document = annotated(Document.from_text(text), *expected)
    assert said(run(document)) == {name: {LETTERS[letter] for letter in letters} for name, letters in expected.items()}


def test_flags_have_the_value_true_and_the_experiencer_says_who():
    document = run(annotated(Document.from_text("No family history of gout."), "gout"))
    assert document.entities[0].attributes == {"negated": "true", "experiencer": "family"}


def test_sections_say_it_of_all_they_hold():
    text = "FAMILY HISTORY:\nGout.\nSister: asthma\n\nPAST MEDICAL HISTORY:\n- stroke\n- no sepsis\n\nPLAN:\nrest for fever"
    document = run(annotated(Document.from_text(text), "Gout", "asthma", "stroke", "sepsis", "fever"))
    assert said(document) == {
        "Gout": {"family"},
        "asthma": {"family"},
        "stroke": {"historical"},
        "sepsis": {"negated", "historical"},
        "fever": set(),
    }


def test_an_empty_section_says_nothing_of_the_next():
    text = "Family history:\nAssessment: gout\nPast medical history:\n"
    assert said(run(annotated(Document.from_text(text), "gout"))) == {"gout": set()}


def test_a_cue_does_not_leave_its_item_or_passage():
    text = "- no gout\n- asthma\n- fever"
    assert said(run(annotated(Document.from_text(text), "gout", "asthma", "fever"))) == {
        "gout": {"negated"},
        "asthma": set(),
        "fever": set(),
    }
    document = annotated(Document("", (Passage("No", 0), Passage("gout", 3))), "gout")
    assert said(run(document)) == {"gout": set()}


def test_cues_that_a_model_took_for_a_part_of_an_entity():
    text = "Denies fever, any gout. Reports nausea. Denies, no."
    document = run(annotated(Document.from_text(text), "Denies fever", "gout", "Denies", confidence=0.9))
    assert said(document) == {"fever": {"negated"}, "gout": {"negated"}}
    human = annotated(Document.from_text(text), "Denies fever", "Denies")
    assert [item.text for item in run(human).entities] == ["Denies fever", "Denies"]


def test_types_that_are_no_conditions_get_no_attributes():
    document = Document.from_text("No mice with TP53 had gout.")
    document = document.with_annotations(
        [
            document.entity([(3, 7)], "Species"),
            document.entity([(13, 17)], "Gene"),
            document.entity([(22, 26)], "Disease"),
        ]
    )
    assert run(document, skip_types=["Species"]).entities[0].attributes == {}
    assert run(document).entities[1].attributes == {}


def test_asserted_leaves_out_what_the_text_does_not_say_of_the_patient():
    text = "No gout. Possible flu. If fever, call. His wife has scabies. History of stroke. Asthma."
    document = annotated(Document.from_text(text), "gout", "flu", "fever", "scabies", "stroke", "Asthma")
    relations = [
        Relation("A", (("x", "T0"), ("y", "T5")), "R1"),
        Relation("B", (("x", "R1"),), "R2"),
        Relation("C", (("x", "T4"), ("y", "T5")), "R3"),
    ]
    result = run(document.with_annotations(document.entities, relations), asserted=True)
    assert [item.text for item in result.entities] == ["stroke", "Asthma"]
    assert [item.id for item in result.relations] == ["R3"]


def test_cues_of_ones_own_add_to_ours_and_take_away(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text('[negated]\nforward = ["kein|keine"]\n[nothing]\nphrases = ["denies"]\n', encoding="utf-8")
    document = annotated(Document.from_text("Keine Gicht. He denies fever, no cough."), "Gicht", "fever", "cough")
    assert said(run(document, cues=str(path))) == {"Gicht": {"negated"}, "fever": set(), "cough": {"negated"}}
    assert said(run(document))["Gicht"] == set()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[negation]\nforward = ['no']", r"no table \[negation\]; the tables are negated"),
        ("[negated]\nforwards = ['no']", "has no list 'forwards'; its lists are backward"),
        ("[negated]\nforward = 'no'", "has no list 'forward'"),
        ("[negated]\nforward = [3]", "3 is not a phrase"),
        ("[negated]\nforward = ['r/o']", "'r/o' is not one word; put spaces"),
        ("[negated]\nforward = ['no?']", "begin it with one"),
        ("[negated]\nforward = ['* no']", "begin it with one"),
        ("[negated", "is not valid TOML"),
    ],
)
def test_what_is_wrong_with_a_file_of_cues_is_named(tmp_path: Path, content, message):
    path = tmp_path / "mine.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_step("context", cues=str(path))
    with pytest.raises(InputError, match="cannot be read"):
        load_step("context", cues=str(tmp_path / "none.toml"))


def test_a_keyword_stands_in_every_sentence_in_which_a_cue_says_something():
    """Sentences without one are passed over."""
    for text, expected in SENTENCES:
        if any(expected.values()):
            assert load_cues().may_hit(text), text


def test_the_longest_of_overlapping_cues_counts_and_a_sentence_of_cues_is_read():
    text = "no no evidence of of not no signs of if may possible history of"
    hits = load_cues().hits(words_of(text, 0, len(text)))
    assert hits
    assert all(one.last < other.first for one, other in pairwise(hits))


@settings(deadline=None, max_examples=60)
@given(documents(), st.lists(st.sampled_from(["no ", "denies ", "if ", ", ", ": ", "history of ", "(", "ruled out "])))
def test_any_document_keeps_its_text_spans_and_attributes(document, cues):
    start = document.passages[-1].end if document.passages else 0
    more = Passage("".join(cues) + "gout", start)
    document = Document(
        document.id, (*document.passages, more), document.entities, document.relations, document.metadata
    )
    document = document.with_annotations(
        [*document.entities, document.entity([(more.end - 4, more.end)], "Disease")], document.relations
    )
    result = run(document)
    assert result.passages == document.passages
    human = [item for item in document.entities if item.confidence is None]
    for before, after in zip(human, (item for item in result.entities if item.confidence is None), strict=True):
        assert (before.spans, before.type, before.id) == (after.spans, after.type, after.id)
        assert after.attributes == after.attributes | before.attributes
        assert set(after.attributes) - set(before.attributes) <= set(ATTRIBUTES)


@pytest.mark.parametrize(
    "unit", ["no gout ", "no ", "gout, ", "no * ", "FAMILY HISTORY: gout. ", "was not ", "Denies: "]
)
def test_two_hundred_kilobytes_are_not_slow(unit):
    text = unit * (200_000 // len(unit))
    document = Document.from_text(text)
    at = [index for index in range(0, len(text), len(unit)) if text.startswith("gout", index + unit.find("gout"))]
    document = document.with_annotations(
        document.entity([(index + unit.find("gout"), index + unit.find("gout") + 4)], "Disease") for index in at
    )
    started = time.process_time()
    run(document)
    assert time.process_time() - started < 30


def test_the_command_line_switches_asserted_on():
    from textome.cli.pipelines import chosen

    values = dict.fromkeys(["file", "model", "add", "leave_out", "set_", "asserted"])
    steps = {step.kind: step.settings for step in chosen(values | {"asserted": True}).steps}
    assert steps["context"] == {"asserted": True}
    assert {step.kind: step.settings for step in chosen(values).steps}["context"] == {}
