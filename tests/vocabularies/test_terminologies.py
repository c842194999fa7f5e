"""Each terminology's files become concepts; a file that is cut short or of another kind is refused in one sentence."""

from __future__ import annotations

import gzip

import pytest

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source, StrictQuarantine
from textome.vocabularies import TERMINOLOGIES, Concept, guess_terminology, read_concepts

MESH = """<?xml version="1.0"?>
<!DOCTYPE DescriptorRecordSet SYSTEM "https://www.nlm.nih.gov/databases/dtd/nlmdescriptorrecordset_20260101.dtd">
<DescriptorRecordSet LanguageCode="eng">
<DescriptorRecord><DescriptorUI>D900001</DescriptorUI><DescriptorName><String>Blue Fever</String></DescriptorName>
<TreeNumberList><TreeNumber>C01.221</TreeNumber></TreeNumberList><ConceptList>
<Concept PreferredConceptYN="Y"><ConceptUI>M1</ConceptUI><TermList><Term><String>Blue Fever</String></Term>
<Term><String>Fever, Blue</String></Term></TermList></Concept>
<Concept PreferredConceptYN="N"><TermList><Term><String>Azure Fever</String></Term></TermList></Concept>
</ConceptList></DescriptorRecord>
<DescriptorRecord><DescriptorUI>D900002</DescriptorUI><DescriptorName><String>Bridges</String></DescriptorName>
<TreeNumberList><TreeNumber>J01.1</TreeNumber></TreeNumberList></DescriptorRecord>
</DescriptorRecordSet>
"""
SUPPLEMENTARY = """<?xml version="1.0"?>
<SupplementalRecordSet LanguageCode="eng">
<SupplementalRecord SCRClass="1"><SupplementalRecordUI>C900001</SupplementalRecordUI>
<SupplementalRecordName><String>bluemycin</String></SupplementalRecordName>
<HeadingMappedToList><HeadingMappedTo><DescriptorReferredTo><DescriptorUI>*D000900</DescriptorUI></DescriptorReferredTo>
</HeadingMappedTo></HeadingMappedToList>
<ConceptList><Concept><TermList><Term><String>bluemycin A</String></Term></TermList></Concept></ConceptList>
</SupplementalRecord></SupplementalRecordSet>
"""
OBO = r"""format-version: 1.2
ontology: test

[Term]
id: MONDO:0000001
name: blue fever
synonym: "azure \"sky\" fever" EXACT [MESH:D900001]
synonym: "fever" BROAD []
xref: MESH:D900001 {source="MONDO:equivalentTo"}
is_a: MONDO:0000002 ! fever

[Term]
id: MONDO:0000003
name: obsolete red fever
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""
OBO_JSON = """{"graphs": [{"nodes": [
{"id": "http://purl.obolibrary.org/obo/MONDO_0000001", "lbl": "blue fever", "type": "CLASS", "meta": {
"synonyms": [{"pred": "hasExactSynonym", "val": "azure \\"sky\\" fever"}, {"pred": "hasBroadSynonym", "val": "fever"}],
"xrefs": [{"val": "MESH:D900001"}]}},
{"id": "http://purl.obolibrary.org/obo/MONDO_0000003", "lbl": "x", "type": "CLASS", "meta": {"deprecated": true}}],
"edges": [{"sub": "http://purl.obolibrary.org/obo/MONDO_0000001", "pred": "is_a",
"obj": "http://purl.obolibrary.org/obo/MONDO_0000002"}]}]}
"""
GENE_INFO = (
    "#tax_id\tGeneID\tSymbol\tLocusTag\tSynonyms\tdbXrefs\tchromosome\tmap_location\tdescription\ttype_of_gene\t"
    "Symbol_from_nomenclature_authority\tFull_name_from_nomenclature_authority\tNomenclature_status\tOther_designations\t"
    "Modification_date\tFeature_type\n"
    "9606\t990001\tBLU1\t-\tBLUE|AZ1\tMIM:999001|HGNC:HGNC:99001\t1\t1p1\tblue protein 1\tprotein-coding\tBLU1\t"
    "blue protein 1\tO\tazure protein|uncharacterized protein|-\t20260101\t-\n"
    "9606\t990002\tNEWENTRY\t-\t-\t-\t-\t-\tnew\tother\t-\t-\t-\t-\t20260101\t-\n"
)
NAMES = (
    "1\t|\troot\t|\t\t|\tscientific name\t|\n7\t|\tBluea caerulea\t|\t\t|\tscientific name\t|\n"
    "7\t|\tblue worm\t|\t\t|\tgenbank common name\t|\n7\t|\tBluea cerulea\t|\t\t|\tmisspelling\t|\n"
    "7\t|\tBluea caerulea Smith, 1900\t|\t\t|\tauthority\t|\n"
)
NODES = "1\t|\t1\t|\tno rank\t|\t\t|\n3\t|\t1\t|\tgenus\t|\t\t|\n7\t|\t3\t|\tspecies\t|\t\t|\n"
CELLOSAURUS = (
    "----\nID         Identifier\n----\nID   BLU-1\nAC   CVCL_ZZ01\nSY   BLU1; Blue-1\n"
    "OX   NCBI_TaxID=9606; ! Homo sapiens\n"
    "HI   CVCL_ZZ00 ! BLU\n//\n"
)
UNII = "Name\tTYPE\tUNII\tDisplay Name\nBLUEMYCIN [INN]\tof\tZZZZZZZZZ1\tBLUEMYCIN\nBM-1\tcd\tZZZZZZZZZ1\tBLUEMYCIN\n"
CTD = (
    "# CTD http://ctdbase.org/\n# Fields:\n# DiseaseName\tDiseaseID\tAltDiseaseIDs\tDefinition\tParentIDs\tTreeNumbers\t"
    "ParentTreeNumbers\tSynonyms\tSlimMappings\n#\nBlue Fever\tMESH:D900001\tOMIM:900001\t\tMESH:D005334\tC1\tC\t"
    "Azure Fever|Fever, Blue\tx\n"
)
MRCONSO = (
    "C9000001|ENG|P|L1|PF|S1|Y|A1||M1|D900001|MSH|MH|D900001|Blue Fever|0|N|256|\n"
    "C9000001|ENG|S|L2|PF|S2|Y|A2||||OMIM|PT|900001|Azure fever|0|N||\n"
    "C9000001|FRE|P|L3|PF|S3|Y|A3||||MSHFRE|MH|D900001|fievre bleue|3|N||\n"
    "C9000001|ENG|S|L4|PF|S4|Y|A4||||MSH|MH|D900001|withdrawn fever|0|O||\n"
)
BIOSYN = "D900001||blue fever\nD900001||azure fever\nC9000002|D900003||red fever\n"
TABLE = 'name,id,synonyms,parents\n"fever, blue",MESH:D900001,azure fever|blue,D005334\n'

EXPECTED = {
    "mesh": Concept(
        "mesh:D900001",
        "Blue Fever",
        "Disease",
        synonyms=("Blue Fever", "Fever, Blue", "Azure Fever"),
        tree_numbers=("C01.221",),
    ),
    "mesh-supplementary": Concept(
        "mesh:C900001", "bluemycin", "Chemical", synonyms=("bluemycin A",), parents=("mesh:D000900",)
    ),
    "obo": Concept(
        "mondo:0000001",
        "blue fever",
        "Disease",
        synonyms=('azure "sky" fever',),
        related=("fever",),
        parents=("mondo:0000002",),
        xrefs=("mesh:D900001",),
    ),
    "gene-info": Concept(
        "ncbigene:990001",
        "BLU1",
        "Gene",
        synonyms=("blue protein 1", "BLUE", "AZ1", "azure protein"),
        xrefs=("omim:999001", "hgnc:99001"),
        taxon=9606,
    ),
    "cellosaurus": Concept(
        "cellosaurus:ZZ01",
        "BLU-1",
        "CellLine",
        synonyms=("BLU1", "Blue-1"),
        parents=("cellosaurus:ZZ00",),
        taxon=9606,
    ),
    "unii": Concept("unii:ZZZZZZZZZ1", "BLUEMYCIN", "Chemical", synonyms=("BLUEMYCIN",), related=("BM-1",)),
    "ctd": Concept(
        "mesh:D900001",
        "Blue Fever",
        "Disease",
        synonyms=("Azure Fever", "Fever, Blue"),
        parents=("mesh:D005334",),
        xrefs=("omim:900001",),
    ),
    "umls": Concept("umls:C9000001", "Blue Fever", synonyms=("Azure fever",), xrefs=("mesh:D900001", "omim:900001")),
    "table": Concept("mesh:D900001", "fever, blue", synonyms=("azure fever", "blue"), parents=("mesh:D005334",)),
}
EXPECTED["obo-json"] = EXPECTED["obo"]
TEXTS = {
    "mesh": MESH,
    "mesh-supplementary": SUPPLEMENTARY,
    "obo": OBO,
    "obo-json": OBO_JSON,
    "gene-info": GENE_INFO,
    "cellosaurus": CELLOSAURUS,
    "unii": UNII,
    "ctd": CTD,
    "umls": MRCONSO,
    "table": TABLE,
}


def source(text):
    return Source("file", data=text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_terminology_is_told_by_its_content_and_read(name):
    assert guess_terminology(source(TEXTS[name])) == name
    quarantine = Quarantine()
    assert list(read_concepts(source(TEXTS[name]), quarantine=quarantine)) == [EXPECTED[name]]
    assert quarantine.count == 0


def test_a_compressed_file_is_read_as_it_is():
    assert list(read_concepts(source(gzip.compress(MESH.encode())))) == [EXPECTED["mesh"]]


def test_the_taxonomy_joins_names_and_nodes(tmp_path):
    (tmp_path / "names.dmp").write_text(NAMES)
    (tmp_path / "nodes.dmp").write_text(NODES)
    root, worm = read_concepts(tmp_path)
    assert root == Concept("ncbitaxon:1", "root", "Species")
    assert worm == Concept(
        "ncbitaxon:7", "Bluea caerulea", "Species", ("blue worm",), ("Bluea cerulea",), parents=("ncbitaxon:3",)
    )
    (alone,) = [concept for concept in read_concepts(source(NAMES)) if concept.curie == "ncbitaxon:7"]
    assert alone.parents == ()
    assert alone.synonyms == ("blue worm",)


def test_a_dictionary_gives_a_name_to_each_identifier_of_its_line():
    assert guess_terminology(source(BIOSYN)) == "biosyn"
    concepts = list(read_concepts(source(BIOSYN), type="Disease"))
    assert [(each.curie, each.label, each.synonyms) for each in concepts] == [
        ("mesh:D900001", "blue fever", ("azure fever",)),
        ("umls:C9000002", "red fever", ()),
        ("mesh:D900003", "red fever", ()),
    ]
    assert {each.type for each in concepts} == {"Disease"}


def test_a_table_without_a_head_has_identifier_name_and_synonyms():
    (concept,) = read_concepts(source("my:1\tblue fever\tazure fever|sky fever\n"), type="Disease")
    assert concept == Concept("my:1", "blue fever", "Disease", ("azure fever", "sky fever"))


def test_a_table_of_a_spreadsheet_with_semicolons_is_a_table_and_a_header_without_names_is_none():
    """The header that names one column of the two is not a concept."""
    text = "ID;Name;Synonyms\r\nMY:1;Blue fever, late;azure fever|blue\r\n"
    concepts = list(read_concepts(Source("a.csv", data=("\ufeff" + text).encode()), type="Disease"))
    assert concepts == [Concept("my:1", "Blue fever, late", "Disease", synonyms=("azure fever", "blue"))]
    with pytest.raises(InputError, match=r"line 1: a header needs the columns id and name \(found: number, label\)"):
        list(read_concepts(Source("a.tsv", data=b"number\tlabel\nMY:1\tBlue fever\n"), type="Disease"))


def test_a_type_chooses_where_the_terminology_has_types_and_names_them_elsewhere():
    assert list(read_concepts(source(MESH), type="Chemical")) == []
    assert [each.type for each in read_concepts(source(OBO), type="Phenotype")] == ["Phenotype"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MESH[: len(MESH) // 2], "broken"),
        (gzip.compress(MESH.encode())[:-60], "cut short"),
        (gzip.compress(GENE_INFO.encode())[:-20], "cut short"),
        (GENE_INFO[: GENE_INFO.index("\tazure")], "cut short"),
        (OBO_JSON[:-20], "cut short"),
        (CELLOSAURUS[:-3], "cut short"),
        (MRCONSO[:-20], "cut short"),
        (NAMES[:-8], "cut short"),
        (b"id\tname\nx:1\tSj\xf6gren\n", "line 2: this is not UTF-8"),
        (b"", "empty"),
        ("only words, in a sentence\n"[:10], "not a terminology"),
    ],
)
def test_a_file_that_is_cut_short_or_foreign_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        list(read_concepts(source(text), type=None))


@pytest.mark.parametrize("name", ["mesh", "umls", "gene-info", "unii", "obo-json", "ctd", "cellosaurus"])
def test_a_file_of_another_kind_is_refused(name):
    with pytest.raises(InputError, match="file"):
        list(read_concepts(source("one\ttwo\nthree\tfour\n"), name, quarantine=StrictQuarantine()))


def test_a_bad_row_is_quarantined_and_the_others_go_on():
    quarantine = Quarantine()
    rows = "id\tname\nx:1\tone\n\tno identifier\nx:3\tthree\n"
    assert [each.curie for each in read_concepts(source(rows), type="Disease", quarantine=quarantine)] == ["x:1", "x:3"]
    assert [str(record) for record in quarantine.records] == [
        "file, line 3: expected an identifier and a name, set apart by a tab, comma or semicolon"
    ]


def test_every_terminology_of_the_table_is_tested_here():
    assert set(TERMINOLOGIES) == {*EXPECTED, "ncbi-taxonomy", "biosyn"}


def test_a_file_in_latin_1_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "terms.tsv"
    path.write_bytes("id\tname\nx:1\tFièvre bleue\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"line 2: this is not UTF-8 .*; convert the file first"):
        list(read_concepts(path, "table", "Disease"))
