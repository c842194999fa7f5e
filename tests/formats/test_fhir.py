"""FHIR bundles: what HL7's models accept, what the text says of a mention, and offsets that lead back to it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import HealthCheck, given, settings

from strategies import documents
from textome.documents import Document, Identifier
from textome.formats import Target, format_of_name, write_documents

# https://hl7.org/fhir/R4/valueset-condition-ver-status.html and -clinical.html, and what else is bound to codes there.
VERIFICATION = {"unconfirmed", "provisional", "differential", "confirmed", "refuted", "entered-in-error"}
CLINICAL = {"active", "recurrence", "relapse", "inactive", "remission", "resolved"}


def bundle_of(path: Path, *items: Document) -> dict[str, Any]:
    """What is written for the documents, after the models of the package `fhir.resources` have read it."""
    assert write_documents(items, Target.of(path), "fhir") == len(items)
    text = path.read_text(encoding="utf-8")
    Bundle.model_validate_json(text)
    bundle: dict[str, Any] = json.loads(text)
    return bundle


def mention(attributes: dict[str, str], type: str = "Disease") -> Document:
    document = Document.from_text("\U0001f9ec No gout.", "7")
    entity = document.entity([(5, 9)], type, confidence=0.5, identifiers=["mesh:D006073"], attributes=attributes)
    return document.with_annotations([entity])


def resource_of(path: Path, document: Document) -> dict[str, Any]:
    _, entry = bundle_of(path, document)["entry"]
    resource: dict[str, Any] = entry["resource"]
    return resource


def code_of(concept: dict[str, Any]) -> str:
    (coding,) = concept["coding"]
    return str(coding["code"])


@pytest.mark.parametrize(
    ("attributes", "verification", "clinical"),
    [
        ({}, "unconfirmed", "active"),
        ({"experiencer": "patient"}, "unconfirmed", "active"),
        ({"negated": "true"}, "refuted", None),
        ({"negated": "true", "uncertain": "true"}, "refuted", None),
        ({"uncertain": "true"}, "provisional", "active"),
        ({"historical": "true"}, "unconfirmed", "inactive"),
        ({"historical": "true", "uncertain": "true"}, "provisional", "inactive"),
    ],
)
def test_a_condition_has_the_states_that_the_text_says(
    attributes: dict[str, str], verification: str, clinical: str | None, tmp_path: Path
) -> None:
    resource = resource_of(tmp_path / "a.json", mention(attributes))
    assert resource["resourceType"] == "Condition"
    assert code_of(resource["verificationStatus"]) == verification
    assert verification in VERIFICATION
    assert (code_of(resource["clinicalStatus"]) if clinical else resource.get("clinicalStatus")) == clinical
    assert clinical is None or clinical in CLINICAL
    given_ = {item["url"]: item["valueString"] for item in resource["extension"] if "attribute" in item["url"]}
    assert given_ == {f"urn:textome:attribute:{name}": value for name, value in attributes.items()}


@pytest.mark.parametrize(
    ("attributes", "value"),
    [
        ({}, ("valueBoolean", True)),
        ({"negated": "true"}, ("valueBoolean", False)),
        ({"historical": "true"}, ("valueBoolean", True)),
    ],
)
def test_what_is_no_condition_is_an_observation(
    attributes: dict[str, str], value: tuple[str, bool], tmp_path: Path
) -> None:
    resource = resource_of(tmp_path / "a.json", mention(attributes, "Chemical"))
    assert (resource["resourceType"], resource["status"]) == ("Observation", "preliminary")
    assert value in resource.items()
    assert resource["category"] == [{"text": "Chemical"}]


def test_an_uncertain_observation_has_no_value(tmp_path: Path) -> None:
    resource = resource_of(tmp_path / "a.json", mention({"uncertain": "true"}, "Chemical"))
    assert "valueBoolean" not in resource  # invariant obs-6: no value beside a reason for its absence
    assert code_of(resource["dataAbsentReason"]) == "unknown"


def test_what_the_family_has_is_their_history(tmp_path: Path) -> None:
    resource = resource_of(tmp_path / "a.json", mention({"experiencer": "family"}))
    assert resource["resourceType"] == "FamilyMemberHistory"
    assert code_of(resource["relationship"]) == "FAMMEMB"
    assert code_of(resource["condition"][0]["code"]) == "D006073"


@pytest.mark.parametrize(
    ("attributes", "type", "reason"),
    [
        ({"hypothetical": "true"}, "Disease", "hypothetical"),
        ({"experiencer": "other"}, "Disease", "somebody else (other)"),
        ({"experiencer": "family", "negated": "true"}, "Disease", "cannot say"),
        ({"experiencer": "family"}, "Chemical", "conditions only"),
    ],
)
def test_what_has_no_resource_is_left_out_with_the_reason(
    attributes: dict[str, str], type: str, reason: str, tmp_path: Path
) -> None:
    resource = resource_of(tmp_path / "a.json", mention(attributes, type))
    assert resource["resourceType"] == "OperationOutcome"
    (issue,) = resource["issue"]
    assert issue["diagnostics"].startswith(f"document '7', {type} at 5-9: left out")
    assert reason in issue["diagnostics"]


def test_identifiers_are_codings_of_their_systems(tmp_path: Path) -> None:
    document = Document.from_text("gout", "7")
    identifiers = [Identifier("mesh:D006073", 0.75, "Gout"), "hp:0001997", "dbsnp:rs7412", "mondo:0005393", "house"]
    resource = resource_of(
        tmp_path / "a.json", document.with_annotations([document.entity([(0, 4)], "Disease", identifiers=identifiers)])
    )
    score = [{"url": "urn:textome:confidence", "valueDecimal": 0.75}]
    assert resource["code"]["coding"] == [
        {"system": "https://www.nlm.nih.gov/mesh", "code": "D006073", "display": "Gout", "extension": score},
        {"system": "http://human-phenotype-ontology.org", "code": "HP:0001997"},
        {"system": "http://www.ncbi.nlm.nih.gov/projects/SNP", "code": "rs7412"},
        {"system": "https://bioregistry.io/mondo", "code": "0005393"},
        {"code": "house"},
    ]


def test_documents_are_told_apart_and_name_their_patient(tmp_path: Path) -> None:
    path = tmp_path / "a.fhir.json"
    assert format_of_name(str(path)) == "fhir"
    first, second = (
        Document("", item.passages, item.entities, metadata={"patient": "P1"}) for item in [mention({})] * 2
    )
    bundle = bundle_of(path, first, second)
    assert len({entry["fullUrl"] for entry in bundle["entry"]}) == 4
    assert bundle["entry"][1]["resource"]["subject"] == {"identifier": {"value": "P1"}}
    assert "entry" not in bundle_of(path)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents())
def test_offsets_lead_back_to_the_mention(tmp_path_factory: pytest.TempPathFactory, document: Document) -> None:
    first, *others = bundle_of(tmp_path_factory.mktemp("fhir") / "a.json", document)["entry"]
    (content,) = first["resource"]["content"]
    text = base64.b64decode(content["attachment"].get("data", "")).decode("utf-8")
    assert text == document.text
    mentions = [entry["resource"] for entry in others if entry["resource"]["resourceType"] != "OperationOutcome"]
    for resource, entity in zip(mentions, document.entities, strict=True):
        derived = [item["extension"] for item in resource["extension"] if item["url"].endswith("derivation-reference")]
        assert {reference["valueReference"]["reference"] for reference, _, _ in derived} == {first["fullUrl"]}
        spans = [(start["valueInteger"], length["valueInteger"]) for _, start, length in derived]
        assert " ".join(text[start : start + length] for start, length in spans) == entity.text
