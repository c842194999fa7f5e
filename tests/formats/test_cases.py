"""Small inputs shaped as public bug reports have them (../shared/cases): read as what they are, or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from textome.datasets.labelled import read_labelled
from textome.datasets.questions import read_questions
from textome.errors import InputError
from textome.formats import Quarantine, read_documents

# The ids of the documents, how many entities they have, and how many records are quarantined.
READ: dict[str, tuple[list[str], int, int]] = {
    "cr_min.txt": (["cr_min"], 0, 0),
    "mac.csv": (["1", "2"], 0, 0),
    "huge_cell.tsv": (["huge_cell-1", "huge_cell-2"], 0, 0),
    "brat_rel": (["a"], 3, 0),
    "brat_crlf": (["a"], 2, 0),
    "bionlp_st": (["a"], 3, 0),
    "pubtator3_api.json": (["100"], 2, 0),
    "biocjson_lines.json": (["100", "200"], 4, 0),
    "half_bad.conll": (["half_bad:1", "half_bad:6"], 2, 2),
    "pubmed_dump.jsonl": (["31452104", "31452105", "31452106"], 0, 0),
    "doccano_label.jsonl": (["1"], 2, 0),
    "doccano_entities.jsonl": (["1"], 1, 0),
    "prodigy.jsonl": (["1"], 1, 0),
    "spacy_v3.jsonl": (["1"], 1, 0),
    "pubannotation.json": (["11"], 1, 0),
    "labelstudio.json": (["3"], 1, 0),
    "labelstudio.csv": (["3"], 1, 0),
    "cochrane.ris": (["X-1", "X-2"], 0, 0),
    "excel_sep.csv": (["1"], 0, 0),
    "excel_unicode.txt": (["1"], 0, 0),
    "nul.pubtator": (["100", "200"], 2, 0),
    "chemprot_abstracts.tsv": (["11808879", "17429007"], 0, 0),
    "medmentions_cui.pubtator": (["100"], 2, 0),
    "tmvar_types.pubtator": (["100"], 4, 0),
    "bioc_relative_chance.json": (["100"], 1, 0),
    "bioc_rel_only.xml": (["100"], 0, 0),
    "extra_tab.tsv": (["extra_tab-2"], 0, 1),
    "latin1_labels.tsv": ([], 0, 2),
}
REFUSED = {
    "csv_sniff_500.bin": "not recognised",
    "webanno3.tsv": "WebAnno TSV",
    "a.bib": "BibTeX",
    "reads.fastq": "FASTQ",
    "bad_part.parquet": "called .parquet and is none",
}
# Labelled texts: their labels, and how many records are quarantined.
LABELLED: dict[str, tuple[list[str], int]] = {
    "null_label.jsonl": (["A", "B"], 1),
    "string_labels.jsonl": ([], 2),
    "bool_label.jsonl": ([], 3),
    "pair_number.jsonl": (["B"], 1),
    "half_bad.jsonl": (["A", "B"], 2),
    "extra_tab.tsv": (["B"], 1),
    "latin1_labels.tsv": ([], 2),
    "huge_cell.tsv": (["A", "B"], 0),
}


@pytest.mark.parametrize("name", READ)
def test_is_read(cases: Path, name: str) -> None:
    ids, entities, bad = READ[name]
    quarantine = Quarantine()
    documents = list(read_documents(cases / name, None, quarantine))
    assert [document.id for document in documents] == ids
    assert sum(len(document.entities) for document in documents) == entities
    assert quarantine.count == bad


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(cases: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        list(read_documents(cases / name))
    assert REFUSED[name] in str(caught.value)


@pytest.mark.parametrize("name", LABELLED)
def test_labels_have_the_type_of_labels(cases: Path, name: str) -> None:
    labels, bad = LABELLED[name]
    quarantine = Quarantine()
    layout = "jsonl" if name.endswith(".jsonl") else "tsv"
    found = list(read_labelled(str(cases / name), layout, quarantine))
    assert [label for item in found for label in item.labels] == labels
    assert quarantine.count == bad


def test_questions_without_an_answer_are_quarantined_alone(cases: Path) -> None:
    quarantine = Quarantine()
    assert list(read_questions(str(cases / "bioasq_null.json"), "bioasq-factoid", quarantine)) == []
    assert [record.position for record in quarantine.records] == ["question 1"]
    (question,) = read_questions(str(cases / "bioasq_null.json"), "bioasq-list", quarantine)
    assert question.id == "2"


def test_identifiers_and_metadata(cases: Path) -> None:
    (document,) = read_documents(cases / "medmentions_cui.pubtator")
    assert [entity.curies for entity in document.entities] == [("umls:C0009262",), ("umls:C0018099",)]
    (document,) = read_documents(cases / "tmvar_types.pubtator")
    assert document.entities[0].curies == ("p|Allele|V|600",)
    (document,) = read_documents(cases / "pm_doi_invalid.xml")
    assert document.metadata["doi"] == "10.1000/right"
    (chapter, _) = read_documents(cases / "pm_book.xml")
    assert (chapter.metadata["doi"], chapter.metadata["authors"]) == ("10.1000/book6", "Writer W")
    (document,) = read_documents(cases / "pm_other_twice.xml")
    assert {"Resumen uno.", "Resumen dos."} <= set(document.metadata.values())
