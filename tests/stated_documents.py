"""Invented documents with relations, as a bulk run writes them."""

from __future__ import annotations

from pathlib import Path

from textome.bulk.output import write_chunk
from textome.documents import Document, Identifier, Passage, Relation

NAMES = {
    "metformin": ("Chemical", "mesh:D008687", "Metformin"),
    "lisinopril": ("Chemical", "mesh:D017706", "Lisinopril"),
    "naloxone": ("Chemical", "mesh:D009270", "Naloxone"),
    "hypertension": ("Disease", "mesh:D006973", "Hypertension"),
    "diabetes": ("Disease", "mesh:D003924", "Diabetes Mellitus, Type 2"),
    "nausea": ("Disease", "mesh:D009325", "Nausea"),
    "ACE": ("Gene", "ncbigene:1636", "ACE"),
    "zorbium": ("Chemical", "", ""),
}


def stated(
    id: str,
    text: str,
    *relations: tuple[str, str, str, float | None],
    year: str = "",
    kinds: str = "",
    names: dict[str, tuple[str, str, str]] = NAMES,
) -> Document:
    """A document of a title and a text; a relation is (head, type, tail, confidence) by the names in the text."""
    metadata = ({"year": year} if year else {}) | ({"publication_types": kinds} if kinds else {})
    document = Document(id, (Passage("Title", 0, "title"), Passage(text, 6, "RESULTS")), metadata=metadata)
    entities = []
    for name, (type, curie, label) in names.items():
        if (start := document.text.find(name)) >= 0:
            identifiers = [Identifier(curie, 0.9, label)] if curie else []
            spans = [(start, start + len(name))]
            entities.append(document.entity(spans, type, id=name, confidence=0.9, identifiers=identifiers))
    found = [Relation(type, (("head", head), ("tail", tail)), "", share) for head, type, tail, share in relations]
    return document.with_annotations(entities, found)


def results_of(folder: Path, *documents: Document) -> Path:
    write_chunk(folder, "parquet", 1, 0, (("invented.jsonl", number, item) for number, item in enumerate(documents, 1)))
    return folder


LOWERS = "Negative_Correlation"
DOCUMENTS = (
    stated("11", "We gave lisinopril for hypertension.", ("lisinopril", LOWERS, "hypertension", 0.9), year="2001"),
    stated(
        "12", "In 𝔘 trials lisinopril lowered hypertension.", ("lisinopril", LOWERS, "hypertension", 0.8), year="1999"
    ),
    stated("13", "We saw that metformin did not reduce hypertension.", ("metformin", LOWERS, "hypertension", 0.7)),
    stated("14", "We asked whether metformin lowers hypertension.", ("metformin", LOWERS, "hypertension", 0.7)),
    stated("15", "Later metformin lowered hypertension.", ("metformin", LOWERS, "hypertension", 0.6), year="2010"),
    stated("16", "The drug naloxone causes hypertension.", ("naloxone", "CID", "hypertension", 0.95), year="1984"),
    stated("17", "The drug metformin treats diabetes.", ("metformin", LOWERS, "diabetes", None), year="2005"),
    stated("18", "The drug lisinopril inhibits ACE.", ("lisinopril", LOWERS, "ACE", 0.9)),
    stated(
        "19",
        "The drug naloxone treats hypertension.",
        ("naloxone", LOWERS, "hypertension", 0.9),
        kinds="Retracted Publication",
    ),
    stated("20", "Old zorbium causes nausea.", ("zorbium", "Positive_Correlation", "nausea", 0.8)),
)
