"""FHIR out (HL7 FHIR R4, https://hl7.org/fhir/R4): one Bundle of type `collection`, in JSON.

A document becomes a DocumentReference that holds its text (UTF-8 in base64), and its entities become resources:

| what the text says                                        | resource                                                     |
|-----------------------------------------------------------|--------------------------------------------------------------|
| a disease, disorder, symptom, phenotype or problem        | Condition, `verificationStatus` unconfirmed                  |
| the same, negated / uncertain                             | `verificationStatus` refuted / provisional                   |
| the same, historical / else                               | `clinicalStatus` inactive / active; none where it is refuted |
| the same, of the family, not negated                      | FamilyMemberHistory                                          |
| anything else, of the patient                             | Observation, `valueBoolean` true, or false where negated     |
| anything else, uncertain                                  | Observation, `dataAbsentReason` unknown                      |
| hypothetical, of somebody else, otherwise of the family   | none: an OperationOutcome says which mention and why         |

Nothing is ever `confirmed` or `final`: a program has read it and no clinician. Identifiers are codings with the system URI
that FHIR names for their vocabulary (https://hl7.org/fhir/R4/terminologies-systems.html), else with Bioregistry's address.
Each span of a mention is HL7's extension `derivation-reference` (document, offset, length), in code points of the text.
Confidences, scores of identifiers, and attributes are extensions `urn:textome:confidence` and
`urn:textome:attribute:NAME`. Relations and labels are left out.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from pydantic import JsonValue

from textome.documents import Document, Entity, Identifier
from textome.formats.reading.sources import Target
from textome.version import __version__

Resource = dict[str, JsonValue]

_DERIVATION = "http://hl7.org/fhir/StructureDefinition/derivation-reference"
_CONFIDENCE = "urn:textome:confidence"
_ATTRIBUTE = "urn:textome:attribute:"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
# Prefix of a CURIE: the system of its codings, and what stands before the code there.
_SYSTEMS = {
    "mesh": ("https://www.nlm.nih.gov/mesh", ""),
    "umls": (_TERMINOLOGY + "umls", ""),
    "omim": ("http://www.omim.org", ""),
    "dbsnp": ("http://www.ncbi.nlm.nih.gov/projects/SNP", ""),
    "hgvs": ("http://varnomen.hgvs.org", ""),
    "hgnc": ("http://www.genenames.org", "HGNC:"),
    "hp": ("http://human-phenotype-ontology.org", "HP:"),
    "ncbigene": ("http://www.ncbi.nlm.nih.gov/gene", ""),
    "unii": ("http://fdasis.nlm.nih.gov", ""),
    "rxnorm": ("http://www.nlm.nih.gov/research/umls/rxnorm", ""),
    "snomedct": ("http://snomed.info/sct", ""),
    "loinc": ("http://loinc.org", ""),
    "icd10": ("http://hl7.org/fhir/sid/icd-10", ""),
    "icd10cm": ("http://hl7.org/fhir/sid/icd-10-cm", ""),
}
_BIOREGISTRY = "https://bioregistry.io/"
_CONDITION = re.compile(r"disease|disorder|symptom|phenotyp|syndrome|problem|diagnos", re.IGNORECASE)
# Metadata of a document that name its patient.
_PATIENT = ("patient", "patient_id", "subject_id", "person_id")
_NO_STRING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")  # FHIR's string holds no other control characters than these


def write(documents: Iterable[Document], target: Target) -> int:
    """Write the documents as one Bundle, entry by entry; returns the number of documents."""
    written = 0
    separator = b',"entry":['
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with target.open() as stream:
        stream.write(b'{"resourceType":"Bundle","type":"collection","timestamp":%s' % json.dumps(now).encode())
        for document in documents:
            written += 1
            for number, resource in enumerate(_resources(document, written)):
                entry: Resource = {"fullUrl": _address(document, written, number), "resource": resource}
                stream.write(separator + json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))
                separator = b",\n"
        stream.write(b"]}\n" if written else b"}\n")
    return written


def _address(document: Document, position: int, number: int) -> str:
    """The same for the same documents in the same order; the document's own resource is number 0."""
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'urn:textome:{position}:{number}:{document.id}')}"


def _resources(document: Document, position: int) -> Iterator[Resource]:
    yield _document_reference(document)
    source = _address(document, position, 0)
    issues: list[JsonValue] = []
    for entity in document.entities:
        if reason := _left_out(entity):
            name = f"document {document.id!r}, {entity.type} at {entity.start}-{entity.end}: {reason}"
            issues.append({"severity": "information", "code": "not-supported", "diagnostics": _string(name)})
        else:
            yield _mention(document, entity, source)
    if issues:
        yield {"resourceType": "OperationOutcome", "issue": issues}


def _document_reference(document: Document) -> Resource:
    attachment: Resource = {"contentType": "text/plain; charset=utf-8"}
    if document.text:
        attachment["data"] = base64.b64encode(document.text.encode("utf-8")).decode("ascii")
    resource: Resource = {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": attachment}],
    }
    if name := _string(document.id):
        resource["identifier"] = [{"value": name}]
    return resource | {"subject": _subject(document)}


def _left_out(entity: Entity) -> str:
    """Why a mention becomes no resource, or nothing."""
    if _holds(entity, "hypothetical"):
        return "left out, since FHIR has no resource for what is only hypothetical"
    match entity.attributes.get("experiencer"):
        case None | "patient":
            return ""
        case "family" if not _is_condition(entity):
            return "left out, since a FamilyMemberHistory holds conditions only"
        case "family" if _holds(entity, "negated"):
            return "left out, since a FamilyMemberHistory cannot say that the family has no such condition"
        case "family":
            return ""
        case other:
            return f"left out, since it is about somebody else ({other})"


def _mention(document: Document, entity: Entity, source: str) -> Resource:
    subject = _subject(document)
    code: Resource = {"text": _string(entity.text) or "a blank"}
    if codings := [coding for identifier in entity.identifiers if (coding := _coding(identifier))]:
        code["coding"] = list[JsonValue](codings)
    extension = [*_positions(entity, source), *_confidence(entity.confidence), *_attributes(entity)]
    if "experiencer" in entity.attributes and entity.attributes["experiencer"] != "patient":
        return {
            "resourceType": "FamilyMemberHistory",
            "extension": extension,
            "status": "partial",
            "patient": subject,
            "relationship": _concept(_TERMINOLOGY + "v3-RoleCode", "FAMMEMB"),
            "condition": [{"code": code}],
        }
    if _is_condition(entity):
        return {
            "resourceType": "Condition",
            "extension": extension,
            **_condition(entity),
            "code": code,
            "subject": subject,
        }
    return {
        "resourceType": "Observation",
        "extension": extension,
        "status": "preliminary",
        "category": [{"text": _string(entity.type) or "mention"}],
        "code": code,
        "subject": subject,
        **_value(entity),
        "device": {"display": f"textome {__version__}"},
    }


def _condition(entity: Entity) -> Resource:
    """The states of a condition. One that is refuted is not active and not inactive."""
    verification = (
        "refuted" if _holds(entity, "negated") else "provisional" if _holds(entity, "uncertain") else "unconfirmed"
    )
    statuses: Resource = {"verificationStatus": _concept(_TERMINOLOGY + "condition-ver-status", verification)}
    if verification != "refuted":
        clinical = "inactive" if _holds(entity, "historical") else "active"
        statuses["clinicalStatus"] = _concept(_TERMINOLOGY + "condition-clinical", clinical)
    return statuses


def _value(entity: Entity) -> Resource:
    if _holds(entity, "negated"):
        return {"valueBoolean": False}
    if _holds(entity, "uncertain"):
        return {"dataAbsentReason": _concept(_TERMINOLOGY + "data-absent-reason", "unknown")}
    return {"valueBoolean": True}


def _positions(entity: Entity, source: str) -> Iterator[JsonValue]:
    for start, end in entity.spans:
        yield {
            "url": _DERIVATION,
            "extension": [
                {"url": "reference", "valueReference": {"reference": source}},
                {"url": "offset", "valueInteger": start},
                {"url": "length", "valueInteger": end - start},
            ],
        }


def _confidence(value: float | None) -> list[JsonValue]:
    return [] if value is None else [{"url": _CONFIDENCE, "valueDecimal": round(value, 6)}]


def _attributes(entity: Entity) -> Iterator[JsonValue]:
    for name, value in entity.attributes.items():
        if text := _string(value):
            yield {"url": _ATTRIBUTE + re.sub(r"[^\w.-]+", "-", name), "valueString": text}


def _coding(identifier: Identifier) -> Resource:
    """The identifier as a code of its system; without a colon it is a code of no system."""
    prefix, colon, local = identifier.curie.partition(":")
    system, before = _SYSTEMS.get(prefix, (_BIOREGISTRY + re.sub(r"[^\w.-]+", "-", prefix), "")) if colon else ("", "")
    coding: Resource = {"system": system} if system else {}
    if code := " ".join(_string(local if colon else identifier.curie).split()):
        coding["code"] = before + code.removeprefix(before)
    if label := _string(identifier.label):
        coding["display"] = label
    if score := _confidence(identifier.score):
        coding["extension"] = score
    return coding


def _concept(system: str, code: str) -> JsonValue:
    return {"coding": [{"system": system, "code": code}]}


def _subject(document: Document) -> JsonValue:
    """The patient by the identifier that the document's metadata have, else by the document."""
    if patient := next((value for name in _PATIENT if (value := _string(document.metadata.get(name, "")))), None):
        return {"identifier": {"value": patient}}
    return {"display": "the patient of this document"}


def _is_condition(entity: Entity) -> bool:
    return _CONDITION.search(entity.type) is not None


def _holds(entity: Entity, attribute: str) -> bool:
    return entity.attributes.get(attribute) == "true"


def _string(text: str) -> str:
    """`text` as FHIR's string: not blank, no control characters."""
    return _NO_STRING.sub("\ufffd", text) if text.strip() else ""
