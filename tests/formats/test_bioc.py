"""BioC XML and JSON: offsets in any unit, infons that other tools read and edit, and files that are wrong."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from strategies import documents
from textome.documents import Document, Entity, Identifier, Label, Passage, Relation
from textome.errors import InputError
from textome.formats import Quarantine, Source, guess_format, read_documents, write_documents

BOTH = ("bioc-xml", "bioc-json")


def read(data: Any, format: str | None = "bioc-json") -> tuple[list[Document], list[str]]:
    """The documents, and what was quarantined as sentences. What is neither text nor bytes is given as JSON."""
    if not isinstance(data, str | bytes):
        data = json.dumps(data)
    source = Source("a", data=data.encode("utf-8") if isinstance(data, str) else data)
    quarantine = Quarantine()
    return list(read_documents(source, format, quarantine)), [str(record) for record in quarantine.records]


def annotation(id: str = "T1", text: str | None = "fever", places: Any = ((0, 5),), **infons: Any) -> dict[str, Any]:
    locations = [{"offset": offset, "length": length} for offset, length in places]
    return {"id": id, "infons": {"type": "Disease"} | infons, "locations": locations, "text": text}


def passage(text: str, *annotations: Any, offset: Any = 0, **members: Any) -> dict[str, Any]:
    return {"offset": offset, "infons": {}, "text": text, "annotations": list(annotations), **members}


def collection(*passages: Any, **members: Any) -> dict[str, Any]:
    return {"source": "", "documents": [{"id": "1", "infons": {}, "passages": list(passages), **members}]}


def only(data: Any, format: str = "bioc-json") -> Document:
    """The one document of a file in which nothing is wrong."""
    (document,), problems = read(data, format)
    assert problems == []
    return document


def in_order(document: Document) -> Document:
    """BioC keeps entities passage by passage, so that their order may change."""
    return replace(document, entities=tuple(sorted(document.entities, key=repr)))


@pytest.mark.parametrize("format", BOTH)
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(documents(xml=True), max_size=3))
def test_every_list_of_documents_comes_back_equal(found: list[Document], format: str, tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    assert write_documents(found, path, format) == len(found)
    back = list(read_documents(path, format))
    assert [in_order(document) for document in back] == [in_order(document) for document in found]


def test_an_annotation_across_passages_and_their_gap(tmp_path: Path) -> None:
    document = Document("1", (Passage("Severe"), Passage("fever", 8)))
    document = document.with_annotations(
        [document.entity([(0, 3), (8, 10)], "X", id="T1"), document.entity([(4, 10)], "Y", id="T2")]
    )
    for format in BOTH:
        write_documents([document], tmp_path / "a", format)
        assert list(read_documents(tmp_path / "a", format)) == [document]


# Offsets


@pytest.mark.parametrize(("unit", "encoding", "size"), [("bytes", "utf-8", 1), ("UTF-16", "utf-16-le", 2), ("", "", 0)])
def test_offsets_in_other_units(unit: str, encoding: str, size: int) -> None:
    """Passages, sentences and annotations all count in the unit of the file."""

    def measure(text: str) -> int:
        return len(text.encode(encoding)) // size if size else len(text)

    title, body = "\U0001f9ec gene and β-cells", "\U0001f9ec\U0001f9ec β fever, e\u0301 fever"
    start = measure(title) + 1
    first, second = body.index("fever"), body.rindex("fever")
    places = [(start + measure(body[:place]), measure("fever")) for place in (first, second)]
    document = only(
        collection(
            passage(title, annotation("T1", "β-cells", [(measure(title[: title.index("β")]), measure("β-cells"))])),
            passage(
                body,
                *(annotation(f"T{number}", places=[place]) for number, place in enumerate(places, 2)),
                offset=start,
            ),
        )
    )
    begin = document.passages[1].offset
    assert begin == start
    assert [(entity.start - begin, entity.text) for entity in document.entities[1:]] == [
        (first, "fever"),
        (second, "fever"),
    ]
    assert document.entities[0].text == "β-cells"


def test_one_unit_is_taken_for_the_whole_document() -> None:
    """In the first passage both units fit; the second shows that bytes are meant."""
    text = "ββ aaaa"
    doubtful = annotation("T1", "aa", [(5, 2)])  # code points: the second "aa"; bytes: the first
    certain = annotation("T2", "fever", [(20 + 3, 5)])
    assert only(collection(passage(text, doubtful))).entities[0].start == 5
    document = only(collection(passage(text, doubtful), passage("β fever", certain, offset=20)))
    assert [(entity.start, entity.text) for entity in document.entities] == [(3, "aa"), (22, "fever")]


def test_a_text_that_disagrees_is_told_with_what_was_expected_and_found() -> None:
    found, problems = read(
        {
            "documents": [
                collection(passage("A fever."))["documents"][0],
                {"id": "PMID2", "passages": [passage("A fever.", annotation("T7", "fever", [(1, 5)]))]},
                {"id": "PMID3", "passages": [passage("A fever.", annotation("T8", "fever", [(40, 5)]))]},
            ]
        }
    )
    assert [document.id for document in found] == ["1"]
    assert problems == [
        "a, record 2, document PMID2: annotation 'T7' says 'fever' at 1-6, but the text there is ' feve'",
        "a, record 3, document PMID3: annotation 'T8' says 'fever' at 40-45, but the text there is 'nothing (outside "
        "the text)'",
    ]


def test_discontinuous_and_folded_texts() -> None:
    document = only(
        collection(passage("hand  and foot\nswelling", annotation(text="hand swelling", places=[(15, 8), (0, 4)])))
    )
    assert document.entities[0].spans == ((0, 4), (15, 23))
    assert document.entities[0].text == "hand swelling"
    folded = only(collection(passage("foot\nswelling", annotation(text="foot swelling", places=[(0, 13)]))))
    assert folded.entities[0].text == "foot\nswelling"
    assert only(collection(passage("fever", annotation(text="")))).entities[0].text == "fever"
    assert only(collection(passage("fever", annotation(text=None)))).entities[0].text == "fever"


def test_passages_given_in_sentences() -> None:
    sentences = [
        {"offset": 10, "text": "A fever.", "annotations": [annotation("T1", places=[(12, 5)])]},
        {
            "offset": 20,
            "text": "Then gout.",
            "annotations": [annotation("T2", "gout", [(25, 4)])],
            "relations": [
                {
                    "id": "R1",
                    "infons": {"type": "after"},
                    "nodes": [{"refid": "T2", "role": "a"}, {"refid": "T1", "role": ""}],
                }
            ],
        },
    ]
    assembled = only(collection(passage("", offset=10, sentences=sentences)))
    whole = only(collection(passage("A fever.  Then gout.", offset=10, sentences=sentences)))
    assert assembled == whole
    assert assembled.passages == (Passage("A fever.  Then gout.", 10),)
    assert [entity.text for entity in assembled.entities] == ["fever", "gout"]
    assert assembled.relations == (Relation("after", (("a", "T2"), ("", "T1")), "R1"),)
    sentences[1]["offset"] = 15
    found, problems = read(collection(passage("", offset=10, sentences=sentences)))
    assert not found
    assert "the sentence at offset 15 does not follow the one before it, which ends at 18" in problems[0]


def test_annotations_and_relations_of_the_whole_document(tmp_path: Path) -> None:
    relation = {"id": "R1", "infons": {"type": "treats", "confidence": "0.25"}, "nodes": [{"refid": "T1", "role": "x"}]}
    data = collection(
        passage("A"), passage("fever", offset=2), annotations=[annotation(places=[(2, 5)])], relations=[relation]
    )
    document = only(data)
    assert document.entities[0].spans == ((2, 7),)
    assert document.relations == (Relation("treats", (("x", "T1"),), "R1", 0.25),)


def test_annotations_without_a_location_are_kept_in_the_metadata(tmp_path: Path) -> None:
    term = annotation("M1", None, [], type="MeSH_term", identifier="D005334")
    document = only(collection(passage("A fever.", annotation(places=[(2, 5)]), term)))
    assert [entity.id for entity in document.entities] == ["T1"]
    assert json.loads(document.metadata["annotations_without_location"]) == [
        {"id": "M1", "infons": {"type": "MeSH_term", "identifier": "D005334"}}
    ]
    for format in BOTH:
        write_documents([document], tmp_path / "a", format)
        assert list(read_documents(tmp_path / "a", format)) == [document]


def test_ids_used_again(tmp_path: Path) -> None:
    passages = passage("fever", annotation("1")), passage("fever", annotation("1", places=[(6, 5)]), offset=6)
    document = only(collection(*passages))
    assert [(entity.id, entity.metadata) for entity in document.entities] == [("1", {}), ("", {"id": "1"})]
    relation = {"id": "R", "infons": {}, "nodes": [{"refid": "1", "role": ""}]}
    assert "several annotations" in read(collection(*passages, relations=[relation]))[1][0]


# Infons


def entity_of(**infons: Any) -> Entity:
    return only(collection(passage("fever", annotation(**infons)))).entities[0]


def test_infons_that_other_tools_know() -> None:
    entity = entity_of(identifier="MESH:D005334", confidence="0.875", note="x", count=3, nothing=None)
    assert (entity.type, entity.curies, entity.confidence) == ("Disease", ("mesh:D005334",), 0.875)
    assert entity.metadata == {"note": "x", "count": "3", "identifier": "MESH:D005334"}
    for score in ("97.3", "nan", "inf", "-1", "high", ""):
        assert (entity_of(confidence=score).confidence, entity_of(confidence=score).metadata) == (
            None,
            {"confidence": score},
        )
    found = only(
        collection(
            passage("A", infons={"type": "title"}),
            passage("B", offset=2, infons={"section_type": "INTRO", "type": "p"}),
        )
    )
    assert [(item.section, item.metadata) for item in found.passages] == [
        ("title", {}),
        ("INTRO", {"section_type": "INTRO", "type": "p"}),
    ]


def test_common_documents_need_no_infon_of_ours(tmp_path: Path) -> None:
    document = Document("1", (Passage("Fever", 0, "title"), Passage("fever", 6, "METHODS", {"Label": "METHODS"})))
    entity = document.entity([(0, 5)], "Disease", id="T1", confidence=1 / 3, identifiers=["mesh:D005334"])
    write_documents([document.with_annotations([entity])], tmp_path / "a", "bioc-json")
    assert '"textome"' not in (tmp_path / "a").read_text()


def test_attributes_labels_and_identifiers_stand_plainly_too(tmp_path: Path) -> None:
    document = Document.from_text("No fever.", "1").with_labels(
        [Label("yes", "flu", 0.5), Label("no"), Label("x", "flu")]
    )
    fever = document.entity([(3, 8)], "Disease", identifiers=[Identifier("mesh:D005334", 0.5, "Fever")])
    document = document.with_annotations([replace(fever, attributes={"negated": "true"})])
    write_documents([document], tmp_path / "a", "bioc-json")
    written = json.loads((tmp_path / "a").read_text())["documents"][0]
    del written["infons"]["textome"], written["passages"][0]["annotations"][0]["infons"]["textome"]
    assert written["infons"] == {"label flu": "yes; x", "label": "no"}
    infons = {"negated": "true", "type": "Disease", "identifier": "D005334"}
    assert written["passages"][0]["annotations"][0]["infons"] == infons


def test_exact_members_of_older_files_are_read() -> None:
    exact = json.dumps(["Disease", ["x|y"], None, {}])
    assert entity_of(identifier="x|y", textome=exact).identifiers == (Identifier("x|y"),)


def test_what_another_tool_edits_counts_and_not_our_own_infon(tmp_path: Path) -> None:
    document = Document.from_text("fever", "1")
    entity = document.entity([(0, 5)], "Disease", id="T1", identifiers=["x,y", "z"], metadata={"type": "collides"})
    write_documents([document.with_annotations([entity])], tmp_path / "a", "bioc-json")
    text = (tmp_path / "a").read_text()
    assert '"textome"' in text
    assert only(text).entities == (entity,)
    (edited,) = only(text.replace('"type": "Disease"', '"type": "Symptom"')).entities
    assert (edited.type, "textome" in edited.metadata) == ("Symptom", False)


@pytest.mark.parametrize(
    "value", ["5", "{", '["a"]', '["a", [1], null, {}]', '["a", [], "x", {}]', "[" * 5000, '["a",[],NaN,{}]']
)
def test_an_infon_of_that_name_which_is_not_ours_is_metadata(value: str) -> None:
    entity = entity_of(textome=value)
    assert (entity.type, entity.metadata) == ("Disease", {"textome": value})


def test_an_infon_that_comes_again_in_xml_is_kept() -> None:
    infons = '<infon key="a">1</infon><infon key="a">2</infon><infon key="a">3</infon>'
    text = f"<collection><document><id>1</id>{infons}</document></collection>"
    assert only(text, "bioc-xml").metadata == {"a": "1", "a#2": "2", "a#3": "3"}


# What is written


def test_written_xml_is_in_the_order_of_the_dtd(tmp_path: Path) -> None:
    document = Document("1", (Passage("fever\r", 0, "title"),), metadata={"k": "v"})
    document = document.with_annotations(
        [document.entity([(0, 5)], "D", id="T1")], [Relation("r", (("x", "T1"),), "R1")]
    )
    write_documents([document], tmp_path / "a", "bioc-xml")
    root = etree.parse(tmp_path / "a").getroot()
    assert [child.tag for child in root] == ["source", "date", "key", "document"]
    assert [child.tag for child in root[3]] == ["id", "infon", "passage", "relation"]
    assert [child.tag for child in root[3][2]] == ["infon", "offset", "text", "annotation"]
    assert [child.tag for child in root[3][2][3]] == ["infon", "location", "text"]
    assert root[3][2][3].get("id") == "T1"
    assert b"fever&#13;" in (tmp_path / "a").read_bytes()
    written = json.loads(write_json(document, tmp_path))
    assert set(written) == {"source", "date", "key", "infons", "documents"}


def write_json(document: Document, folder: Path) -> str:
    write_documents([document], folder / "json", "bioc-json")
    return (folder / "json").read_text()


def test_characters_that_xml_cannot_hold(tmp_path: Path) -> None:
    document = Document("\x02", (Passage("a\x00\x1fb\ufffe\uffff\x7f\x85c", 0, "\x01"),), metadata={"\x03": "\x04"})
    document = document.with_annotations([document.entity([(1, 6)], "D", id="\x05")])
    write_documents([document], tmp_path / "a", "bioc-xml")
    (found,) = read_documents(tmp_path / "a", "bioc-xml")
    assert (found.id, found.text) == ("\ufffd", "a\ufffd\ufffdb\ufffd\ufffd\x7f\x85c")
    assert (found.entities[0].spans, found.entities[0].text) == (((1, 6),), "\ufffd\ufffdb\ufffd\ufffd")
    assert (found.passages[0].section, found.metadata) == ("\ufffd", {"\ufffd": "\ufffd"})


# Real files


@pytest.mark.parametrize("split", ["Train", "Dev", "Test"])
def test_biored_in_both_forms(shared_data: Path, split: str, tmp_path: Path) -> None:
    found = {}
    for kind, format in (("XML", "bioc-xml"), ("JSON", "bioc-json")):
        source = Source.of(f"{shared_data}/re/BioRED/BioRED.zip!BioRED/{split}.BioC.{kind}")
        assert guess_format(source) == format
        quarantine = Quarantine()
        found[format] = list(read_documents(source, format, quarantine))
        assert quarantine.records == []
        for other in (*BOTH, "jsonl"):
            write_documents(found[format], tmp_path / "a", other)
            assert [in_order(document) for document in read_documents(tmp_path / "a", other)] == [
                in_order(document) for document in found[format]
            ]
    counts = [
        (document.id, document.text, Counter((entity.spans, entity.type) for entity in document.entities))
        for document in found["bioc-xml"]
    ]
    assert len(counts) == {"Train": 400, "Dev": 100, "Test": 100}[split]
    assert counts == [
        (document.id, document.text, Counter((entity.spans, entity.type) for entity in document.entities))
        for document in found["bioc-json"]
    ]


# Files that are wrong

FEVER = passage("fever", annotation())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "the file is empty"),
        ('{"documents":\n [}', "not valid JSON at line 2, column 3"),
        ('{"documents": [{"passages": [{"offset": NaN}]}]}', "NaN is not a JSON number"),
        ('{"documents": [], "documents": []}', "'documents' is given twice"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ("[" * 700 + "]" * 700, "this is not BioC JSON"),
        ('{"a": 1}', "this is not BioC JSON"),
        ('{"documents": 1}', "this is not BioC JSON"),
        ("Sjögren".encode("latin-1"), "not UTF-8 at byte 2"),
        (bytes(range(256)), "not valid JSON at column 1"),
        (gzip.compress(json.dumps(collection(FEVER)).encode(), mtime=0)[:-9], "cut short or damaged"),
        ({"documents": [1]}, "record 1: a document: expected an object"),
        (collection(1), "document 1: an item of 'passages': expected an object"),
        (collection(passage("x", offset="x")), "offset: expected a whole number, found 'x'"),
        (collection(passage("x", offset=1.5)), "offset: expected a whole number, found 1.5"),
        (collection(passage("x", offset=True)), "offset: expected a whole number, found True"),
        (collection(passage("x", offset=10**12)), "leaves a gap of more than"),
        (collection(passage("x", offset=-4)), "offset -4 overlaps"),
        (collection(passage("", sentences=[{"offset": 10**12, "text": "x"}])), "does not follow the one before it"),
        (collection(FEVER, FEVER), "passage 2: offset 0 overlaps"),
        (json.dumps(collection(passage("x", offset=777))).replace("777", "1e999"), "larger than 1.8e308"),
        (collection(passage(5)), "text: expected a text, found the number 5"),  # type: ignore[arg-type]
        (collection(passage("x", 1)), "an item of 'annotations': expected an object"),
        (collection(passage("x", {"locations": 4})), "locations: expected a list"),
        (collection(passage("x", {"locations": [{"offset": 0}]})), "length: expected a whole number, found nothing"),
        (collection(passage("fever", annotation(places=[(0, 0)]))), "annotation 'T1' says 'fever' at 0-0"),
        (collection(passage("fever", annotation(text=None, places=[(0, -2)]))), "at 0--2"),
        (collection(FEVER, id=[1]), "id: expected a text, found a list"),
        (collection(FEVER, infons=3), "infons: expected an object"),
        (collection(FEVER, relations=[{"id": "T1"}]), "the annotation id 'T1' is used twice"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_json_gives_one_sentence(data: Any, reason: str) -> None:
    found, problems = read(data)
    assert found == []
    problem, *_ = problems
    assert reason in problem
    assert problem.startswith("a")


def test_halves_of_surrogate_pairs_are_replaced(tmp_path: Path) -> None:
    text = json.dumps(
        collection(passage("a\ud800fever\udc00", annotation("\udfff", places=[(2, 5)], x="\ud800")), id="\ud800")
    )
    document = only(text)
    assert (document.id, document.text) == ("\ufffd", "a\ufffdfever\ufffd")
    assert (document.entities[0].id, document.entities[0].metadata) == ("\ufffd", {"x": "\ufffd"})
    for format in BOTH:
        write_documents([document], tmp_path / "a", format)
        assert list(read_documents(tmp_path / "a", format)) == [document]


def test_lists_of_collections_and_single_documents() -> None:
    whole = collection(FEVER)
    for data in (whole, [whole], whole["documents"], whole["documents"][0]):
        assert guess_format(Source("a", data=json.dumps(data).encode())) == "bioc-json"
        assert [document.id for document in read(data)[0]] == ["1"]
    assert [document.id for document in read([whole, whole["documents"][0]])[0]] == ["1", "1"]


def xml(*documents: str, head: str = '<?xml version="1.0"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n') -> str:
    return head + "<collection><source/><date/><key/>\n" + "\n".join(documents) + "\n</collection>"


def xml_document(id: object = 1, text: str = "fever", inside: str = "", place: str = 'offset="0" length="5"') -> str:
    return (
        f"<document><id>{id}</id><passage><offset>0</offset><text>{text}</text>{inside}<annotation id='T1'>"
        f"<infon key='type'>D</infon><location {place}/><text>fever</text></annotation></passage></document>"
    )


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (
            xml_document(2, "other"),
            "record 2, document 2: annotation 'T1' says 'fever' at 0-5, but the text there is 'other'",
        ),
        (xml_document(2, place='length="5"'), "record 2, document 2: offset: expected a whole number, found nothing"),
        (xml_document(2, place='offset="0" length="five"'), "length: expected a whole number, found 'five'"),
        (xml_document(2, "&alpha;"), "record 2, document 2: the entity &alpha; is not defined"),
        (xml_document(2).replace("<offset>0", "<offset>"), "offset: expected a whole number, found ''"),
    ],
)
def test_a_bad_xml_document_is_set_aside(bad: str, reason: str) -> None:
    # Elements that BioC does not know are passed over, also where they are called like members of ours.
    odd = xml_document(3, inside="<passages>x</passages><infons>y</infons><locations/>")
    found, problems = read(xml(xml_document(1), bad, odd), "bioc-xml")
    assert [(document.id, document.entities[0].text) for document in found] == [("1", "fever"), ("3", "fever")]
    (problem,) = problems
    assert reason in problem


def test_broken_and_hostile_xml() -> None:
    found, problems = read(
        xml(xml_document(1), xml_document(2), "<document><id>3</document>", xml_document(4)), "bioc-xml"
    )
    assert [document.id for document in found] == ["1", "2"]
    assert problems[0].startswith("a, after record 2: the XML is broken (")
    assert "line 6" in problems[0]
    laughs = '<!DOCTYPE c [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + number)} "{f"&{chr(97 + number)};" * 10}">' for number in range(9)
    )
    for name in ("a", "j"):
        found, problems = read(xml(xml_document(1, f"&{name};"), head=laughs + "]>"), "bioc-xml")
        assert found == []
        assert len(problems) == 1
        assert "declares" in problems[0]
    assert read("<html/>", "bioc-xml")[1] == [
        "a: nothing to read here: the outermost element is <html>, expected <collection>"
    ]
    assert read("", "bioc-xml")[1] == ["a: the file is empty"]
    assert read(xml(), "bioc-xml") == ([], [])


@pytest.mark.parametrize("encoding", ["UTF-16", "ISO-8859-1", "UTF-8"])
def test_declared_encodings(encoding: str) -> None:
    text = xml(xml_document(1, "fever, Sjögren"), head=f'<?xml version="1.0" encoding="{encoding}"?>')
    found, problems = read(text.encode(encoding), None)
    assert problems == []
    assert found[0].text == "fever, Sjögren"


def test_strict_reading_stops_at_the_first_bad_record() -> None:
    with pytest.raises(InputError, match="document 2: annotation 'T1'"):
        list(read_documents(Source("a", data=xml(xml_document(2, "other")).encode()), "bioc-xml"))


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["id", "text", "offset", "length", "infons", "textome", "refid", "type"]), inner, max_size=3
        )
    ),
    max_leaves=4,
)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_whatever_stands_in_the_members_nothing_but_a_sentence_comes_out(data: st.DataObject) -> None:
    """Any member of a good collection replaced by any value: a document, or one bad record; never another error."""
    good = collection(
        passage("fever", annotation(textome="[]"), sentences=[{"offset": 0, "text": "fever"}]),
        relations=[{"id": "R1", "infons": {}, "nodes": [{"refid": "T1", "role": "x"}]}],
        annotations=[annotation("T2")],
    )
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            places.append((value, key))
            if isinstance(item, dict | list):
                walk(item)

    walk(good["documents"][0])
    owner, key = data.draw(st.sampled_from(places))
    owner[key] = data.draw(_values)
    text = json.dumps(good).replace("NaN", "1e999").replace("Infinity", "1e999")
    found, problems = read(text)
    assert len(found) + len(problems) == 1


# What PubTator's service and corpora write


def test_an_offset_within_its_passage_never_lands_in_another_by_chance() -> None:
    """`gout` stands at 6 in both passages: the annotation of the second is that of the second."""
    second = passage("Women gout cohort.", annotation(text="gout", places=[(6, 4)]), offset=18)
    document = only(collection(passage("Acute gout cases."), second))
    assert [(entity.start, entity.text) for entity in document.entities] == [(24, "gout")]
    absolute = passage("Women gout cohort.", annotation(text="gout", places=[(24, 4)]), offset=18)
    assert only(collection(passage("Acute gout cases."), absolute)).entities == document.entities
    wrong = passage("Women in cohort.", annotation(text="gout", places=[(6, 4)]), offset=18)
    assert read(collection(passage("Acute gout cases."), wrong)) == (
        [],
        ["a, record 1, document 1: annotation 'T1' stands at 6, outside of its passage at 18"],
    )


def test_a_mention_counted_in_its_passage_does_not_reach_into_the_next() -> None:
    """Read from the start of its passage, the second mention would be the line break and the letter behind it."""
    parts = [
        passage("a"),
        passage("aaaa ", annotation(text="a ", places=[(5, 2)]), offset=2),
        passage("a", annotation("T2", "a", [(0, 1)]), offset=8),
    ]
    assert read(collection(*parts)) == (
        [],
        ["a, record 1, document 1: annotation 'T2' stands at 0, outside of its passage at 8"],
    )


@given(st.lists(st.text("ab\U0001f9ec ", min_size=1, max_size=8), min_size=1, max_size=4), st.data())
def test_offsets_of_the_document_and_of_the_passage_give_the_same(texts: list[str], data: st.DataObject) -> None:
    """Whatever stands where: an annotation that is read lies in its own passage, and has its own text."""
    offset, found = 0, []
    for number, text in enumerate(texts):
        start = data.draw(st.integers(0, len(text) - 1))
        length = data.draw(st.integers(1, len(text) - start))
        place = (start if data.draw(st.booleans()) else offset + start, length)
        found.append(passage(text, annotation(f"T{number}", text[start : start + length], [place]), offset=offset))
        offset += len(text) + 1
    documents, _ = read(collection(*found))
    for document in documents:
        for entity, item in zip(document.entities, found, strict=True):
            assert item["offset"] <= entity.start < entity.end <= item["offset"] + len(item["text"])


@pytest.mark.parametrize("layout", ["service", "lines", "list"])
def test_documents_of_pubtators_service(layout: str) -> None:
    one = collection(FEVER)["documents"][0] | {"_id": "1|None", "pmid": 1}
    two = one | {"id": "2"}
    data = {
        "service": json.dumps({"PubTator3": [one, two]}),
        "lines": f"{json.dumps(one)}\n{json.dumps(two)}\n",
        "list": json.dumps([one, two], indent=1),
    }[layout]
    documents, problems = read(data, None)
    assert problems == []
    assert [document.id for document in documents] == ["1", "2"]
    assert all(document.entities for document in documents)


RELATIONS: list[dict[str, Any]] = [
    {"id": "R1", "infons": {"relation": "CID", "Chemical": "D003078", "Disease": "D006073"}},
    {"id": "R1", "infons": {"type": "CID", "entity1": "D003078", "entity2": "D006073"}},
    {
        "id": "R1",
        "infons": {"type": "CID", "role1": {"identifier": "MESH:D003078"}, "role2": {"identifier": "MESH:D006073"}},
        "nodes": [{"refid": "0", "role": "0,1"}],
    },
]


@pytest.mark.parametrize("relation", RELATIONS)
def test_relations_between_concepts_survive_in_pubtator(relation: dict[str, Any], tmp_path: Path) -> None:
    document = only(collection(FEVER, relations=[relation]))
    assert document.relations[0].type == "CID"
    assert document.relations[0].arguments == ()
    write_documents([document], tmp_path / "a", "pubtator")
    assert "1\tCID\tD003078\tD006073\n" in (tmp_path / "a").read_text()


def test_a_node_without_annotation_loses_neither_relation_nor_document() -> None:
    nodes = [{"refid": "T1", "role": "a"}, {"refid": "T9", "role": "b"}]
    document = only(collection(FEVER, relations=[{"infons": {"type": "r"}, "nodes": nodes}]))
    assert document.relations == (Relation("r", (("a", "T1"),), metadata={"nodes_without_annotation": "b:T9"}),)


def test_documents_without_passages_lose_no_text_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "texts.json"
    path.write_text(
        '{"documents": [{"id": "1", "text": "gout"}, {"id": "2", "passages": [{"offset": 0, "text": "gout"}]}]}'
    )
    quarantine = Quarantine()
    documents = list(read_documents(path, "bioc-json", quarantine))
    assert [document.id for document in documents] == ["2"]
    assert quarantine.count == 1
    assert 'no "passages"' in str(quarantine.records[0])
