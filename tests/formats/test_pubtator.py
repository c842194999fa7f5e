"""PubTator: mentions, concept identifiers, relations between concepts, and files that are not as they should be."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from strategies import documents
from textome.documents import Document, Passage, Relation
from textome.formats import Quarantine, Source, Target
from textome.formats.pubtator import read, sniff, write
from textome.formats.reading.identifiers import to_curies

GOOD = """101|t|Colchicine in gout
101|a|The α-subunit was spared. Gout went.
101\t0\t10\tColchicine\tChemical\tD003078
101\t14\t18\tgout\tDisease\tD006073
101\t45\t49\tGout\tDisease\tMESH:D006073|OMIM:138900
101\tCID\tD003078\tD006073

102|t|A title alone
102|a|
102\t2\t7\ttitle\tDisease\t-1
"""


def found(text: str | bytes) -> tuple[list[Document], Quarantine]:
    quarantine = Quarantine()
    data = text.encode() if isinstance(text, str) else text
    return list(read(Source("a.pubtator", data=data), quarantine)), quarantine


def written(document: Document, path: Path) -> str:
    assert write([document], Target(path / "out.pubtator")) == 1
    return (path / "out.pubtator").read_text(encoding="utf-8")


def test_title_abstract_mentions_and_identifiers() -> None:
    (first, second), quarantine = found(GOOD)
    assert quarantine.count == 0
    assert first.id == "101"
    assert [(passage.section, passage.offset) for passage in first.passages] == [("title", 0), ("abstract", 19)]
    assert [(entity.text, entity.type) for entity in first.entities] == [
        ("Colchicine", "Chemical"),
        ("gout", "Disease"),
        ("Gout", "Disease"),
    ]
    assert first.entities[0].curies == ("mesh:D003078",)
    assert first.entities[2].curies == ("mesh:D006073", "omim:138900")
    assert second.entities[0].curies == ()
    assert [passage.section for passage in second.passages] == ["title"]


def test_relations_stand_between_concepts_also_those_that_no_mention_has() -> None:
    text = GOOD.replace("CID\tD003078\tD006073", "Association\tD003078\tD999999\tNovel")
    ((first, _), _) = found(text)
    assert [(relation.type, relation.arguments) for relation in first.relations] == [("Association", ())]
    assert first.relations[0].metadata == {"entity1": "D003078", "entity2": "D999999", "novel": "Novel"}


def test_what_was_read_is_written_line_for_line(tmp_path: Path) -> None:
    columns = "101\t14\t18\tgout\tDisease\tD006073\tgout|podagra\textra"
    text = GOOD.replace("101\t14\t18\tgout\tDisease\tD006073", columns)
    (documents, _) = found(text)
    assert write(documents, Target(tmp_path / "out")) == 2
    assert (tmp_path / "out").read_text(encoding="utf-8").split("\n\n") == [*text.removesuffix("\n").split("\n\n"), ""]


@pytest.mark.parametrize(
    ("kind", "raw", "curies"),
    [
        ("Chemical", "C012345", ("mesh:C012345",)),
        ("GeneOrGeneProduct", "7157,672", ("ncbigene:7157", "ncbigene:672")),
        ("OrganismTaxon", "9606", ("ncbitaxon:9606",)),
        ("CellLine", "CVCL_0291", ("cellosaurus:0291",)),
        ("CellLine", " CVCL_0291", ("cellosaurus:0291",)),
        ("SequenceVariant", "rs121913530", ("dbsnp:rs121913530",)),
        ("SequenceVariant", "c|SUB|G|35|A", ("c|SUB|G|35|A",)),
        ("Disease", "-1", ()),
        ("Disease", "-", ()),
        ("Disease", "", ()),
        ("Disease", "D006073|-1", ("mesh:D006073",)),
        ("Whatever", "12", ("12",)),
    ],
)
def test_identifiers_become_curies_and_are_written_as_they_were(
    kind: str, raw: str, curies: tuple[str, ...], tmp_path: Path
) -> None:
    line = f"5\t0\t4\tGout\t{kind}\t{raw}"
    ((document,), quarantine) = found(f"5|t|Gout again\n5|a|\n{line}\n")
    assert quarantine.count == 0
    assert document.entities[0].curies == curies
    assert line in written(document, tmp_path).splitlines()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_offsets_in_bytes_or_utf16_units_are_put_into_code_points(encoding: str) -> None:
    title = "Is 𝛽-blocker α-tocopherol safe in gout"
    unit = 2 if encoding == "utf-16-le" else 1
    rows = []
    for mention in ("α-tocopherol", "gout"):
        start = len(title[: title.index(mention)].encode(encoding)) // unit
        rows.append(f"7\t{start}\t{start + len(mention.encode(encoding)) // unit}\t{mention}\tChemical\t-\n")
    ((document,), quarantine) = found(f"7|t|{title}\n7|a|\n{''.join(rows)}")
    assert quarantine.count == 0
    assert [(entity.text, entity.start) for entity in document.entities] == [("α-tocopherol", 13), ("gout", 34)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("101\t14\t18\tgout", "101\t15\t19\tgout", "line 4: the annotation says 'gout' at 15-19, but .* is 'out"),
        ("101\t45\t49\t", "101\t45\t490\t", "line 5: .*outside the text"),
        ("101\t14\t18\tgout\tDisease\tD006073", "101\t14\t18\tgout", "line 4: expected at least 5"),
        ("101\t14\t18\tgout\tDisease\tD006073", "101\tgout", "line 4: expected an annotation"),
        ("101\t14\t18\t", "109\t14\t18\t", "line 4: this line is of document '109'"),
        ("101\t14\t18\t", "101\t²\t18\t", None),
        ("101|a|", "101|a|x\n101|a|", "line 3: this document has a second abstract"),
    ],
)
def test_a_bad_document_is_quarantined_with_its_number_and_line_and_the_next_is_read(
    old: str, new: str, message: str | None
) -> None:
    documents, quarantine = found(GOOD.replace(old, new, 1))
    if message is None:  # a line whose places are not numbers is a relation
        assert [document.id for document in documents] == ["101", "102"]
        assert len(documents[0].relations) == 2
        return
    assert [document.id for document in documents] == ["102"]
    (record,) = quarantine.records
    assert record.position == "line 1, document 101"
    assert re.search(message, record.reason)


def test_damaged_files_give_what_stands_before_the_damage() -> None:
    many = "".join(GOOD.replace("101", f"{number}1").replace("102", f"{number}2") + "\n" for number in range(2, 200))
    documents, quarantine = found(gzip.compress(many.encode())[:-40])
    assert quarantine.count == 1
    assert "cut short or damaged" in quarantine.records[0].reason
    assert documents[0].id == "21"


def test_bytes_that_are_not_utf8_lose_one_document() -> None:
    documents, quarantine = found(GOOD.encode().replace("α".encode(), b"\xe1"))
    assert [document.id for document in documents] == ["102"]
    assert "line 2 is not UTF-8" in quarantine.records[0].reason


def test_documents_without_a_blank_line_between_them_and_windows_line_ends() -> None:
    documents, quarantine = found("\ufeff" + GOOD.replace("\n\n", "\n").replace("\n", "\r\n"))
    assert quarantine.count == 0
    assert [document.id for document in documents] == ["101", "102"]
    assert documents[0].passages[1].text.endswith("went.")


def test_relations_between_mentions_are_written_by_their_identifiers(tmp_path: Path) -> None:
    text = Document("1", (Passage("Colchicine in gout"),))
    chemical = text.entity([(0, 10)], "Chemical", id="T1", identifiers=["mesh:D003078"])
    disease = text.entity([(14, 18)], "Disease", id="T2", identifiers=["mesh:D006073"])
    relation = Relation("CID", (("a", "T1"), ("b", "T2")))
    assert "1\tCID\tD003078\tD006073" in written(text.with_annotations([chemical, disease], [relation]), tmp_path)
    for novel, column in (("0.77", "Novel"), ("0.2", "No"), ("Novel", "Novel")):
        judged = Relation("Association", relation.arguments, metadata={"novel": novel})
        page = written(text.with_annotations([chemical, disease], [judged]), tmp_path)
        assert f"1\tAssociation\tD003078\tD006073\t{column}\n" in page
    unknown = text.entity([(14, 18)], "Disease", id="T2")
    assert "CID" not in written(text.with_annotations([chemical, unknown], [relation]), tmp_path)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents())
def test_every_document_is_written_with_its_offsets(document: Document, tmp_path: Path) -> None:
    ((back,), quarantine) = found(written(document, tmp_path))
    assert quarantine.count == 0
    expected = re.sub(r"[\r\n]", " ", document.text)
    assert expected.removesuffix(" ") in (back.text.replace("\n", " "), back.text.replace("\n", " ").removesuffix(" "))
    assert Counter((entity.start, entity.end) for entity in back.entities) == Counter(
        (entity.start, entity.end) for entity in document.entities
    )


def test_sniff_wants_a_title_line_first() -> None:
    assert sniff(GOOD, "x.txt")
    assert not sniff("a|b|c\n1|2|3\n", "x.txt")
    assert not sniff("", "x.txt")


REAL = [
    *(
        (f"re/BC5CDR-relations/CDR_{split}.PubTator.txt.gz", split)
        for split in ("TrainingSet", "DevelopmentSet", "TestSet")
    ),
    *(
        (f"re/BioRED/BioRED.zip!BioRED/{split}.PubTator.txt", f"BioRED/{split}.PubTator.txt")
        for split in ("Train", "Dev", "Test")
    ),
]


def raw_lines(place: str) -> Counter[str]:
    """The lines of a corpus file without Textome; blank ones left out."""
    archive, _, inner = place.partition("!")
    data = zipfile.ZipFile(archive).read(inner) if inner else gzip.decompress(Path(archive).read_bytes())
    return Counter(line.rstrip("\r\n") for line in io.StringIO(data.decode("utf-8"), newline="\n") if line.strip())


@pytest.mark.parametrize(("place", "split"), REAL, ids=[split for _, split in REAL])
def test_real_files_are_read_whole_and_written_line_for_line(
    shared_data: Path, place: str, split: str, tmp_path: Path
) -> None:
    quarantine = Quarantine()
    corpus = list(read(Source.of(f"{shared_data}/{place}"), quarantine))
    assert quarantine.records == []
    described = json.loads((shared_data / Path(*place.split("/")[:2]) / "SOURCE.json").read_text())["splits"][split]
    types = Counter(entity.type for document in corpus for entity in document.entities)
    relations = Counter(relation.type for document in corpus for relation in document.relations)
    assert len(corpus) == described["docs"]
    assert types == (described["types"] if "types" in described else described["mentions"])
    assert relations == (described["rt"] if "rt" in described else described["relations"])
    write(corpus, Target(tmp_path / "out"))
    assert list(read(Source.of(tmp_path / "out"), quarantine)) == corpus
    text = io.StringIO((tmp_path / "out").read_text(encoding="utf-8"), newline="\n")
    assert Counter(line.rstrip("\n") for line in text if line.strip()) == raw_lines(f"{shared_data}/{place}")


@pytest.mark.parametrize(
    ("raw", "type", "curies"),
    [
        ("D001943+D010051", "Disease", ("mesh:D001943", "mesh:D010051")),
        ("OMIM:114480+D010051", "Disease", ("omim:114480", "mesh:D010051")),
        ("7422,22339(Tax:10090)", "Gene", ("ncbigene:7422", "ncbigene:22339")),
        ("C0006142", "Disease", ("umls:C0006142",)),
        ("C535295", "Disease", ("mesh:C535295",)),
    ],
)
def test_identifiers_of_corpora_are_curies(raw, type, curies):
    assert to_curies(raw, type) == curies
