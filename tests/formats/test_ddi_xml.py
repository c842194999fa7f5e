"""The XML of the DDI corpus."""

from __future__ import annotations

from collections import Counter

from textome.formats import Quarantine, guess_format, read_documents
from textome.formats.reading.sources import Source

TEXT = """<?xml version="1.0" encoding="UTF-8"?>
<document id="DDI-Own.d1">
  <sentence id="s0" text="Drugala raises drugol and folol levels.">
    <entity id="e0" charOffset="0-6" type="drug" text="Drugala"/>
    <entity id="e1" charOffset="15-20;32-37" type="drug" text="drugol levels"/>
    <pair id="p0" e1="e0" e2="e1" ddi="true" type="mechanism"/>
  </sentence>
  <sentence id="s1" text="Nothing else.">
    <entity id="e2" charOffset="0-6" type="group" text="Nothing"/>
    <pair id="p1" e1="e2" e2="e2" ddi="false"/>
  </sentence>
</document>"""


def test_sentences_become_passages_and_pairs_relations():
    source = Source("own.xml", data=TEXT.encode())
    assert guess_format(source) == "ddi-xml"
    (document,) = read_documents(source, "ddi-xml")
    assert [passage.text for passage in document.passages] == [
        "Drugala raises drugol and folol levels.",
        "Nothing else.",
    ]
    assert [(entity.text, entity.type) for entity in document.entities] == [
        ("Drugala", "drug"), ("drugol levels", "drug"), ("Nothing", "group"),
    ]  # fmt: skip
    (relation,) = document.relations
    assert (relation.type, [target for _, target in relation.arguments]) == ("mechanism", ["e0", "e1"])


def test_an_offset_that_does_not_fit_is_quarantined():
    quarantine = Quarantine()
    source = Source("own.xml", data=TEXT.replace('"0-6" type="drug"', '"1-6" type="drug"').encode())
    assert list(read_documents(source, "ddi-xml", quarantine)) == []
    assert "DDI-Own.d1" in quarantine.records[0].position
    assert "'Drugala'" in quarantine.records[0].reason


def test_the_corpus_is_read_with_all_its_interactions(shared_data):
    quarantine = Quarantine()
    place = shared_data / "re/DDI-2013/DDICorpus-2013.zip!DDICorpus/Test/Test for DDI Extraction task"
    documents = list(read_documents(str(place), "ddi-xml", quarantine))
    kinds = Counter(relation.type for document in documents for relation in document.relations)
    assert (len(documents), quarantine.count) == (191, 0)
    assert kinds == {"effect": 360, "mechanism": 302, "advise": 221, "int": 96}
