"""brat: every kind of annotation line, sub-folders, and files that are not as they should be."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strategies import documents
from textome.documents import Document, Identifier, Passage, Relation, Span
from textome.errors import InputError
from textome.formats import Quarantine, Source, Target
from textome.formats.brat import read, sniff, write

TEXT = "Colchicine binds tubulin.\r\nIt does not cure left and right gout.\n"
ANNOTATIONS = """T1\tChemical 0 10\tColchicine
T2\tProtein 17 24\ttubulin
T3\tBinding 11 16\tbinds
T4\tDisease 44 48;59 63\tleft gout
E1\tBinding:T3 Theme:T2 Cause:T1
R1\tAffects Arg1:T1 Arg2:T4\t
*\tEquiv T1 T2
N1\tReference T4 mesh:D006073\tGout
A1\tNegated E1
A2\tCertainty T4 low
A3\tSevere T4
A4\tCertainty T4 none
#1\tAnnotatorNotes T4\tperhaps two places
#2\tAnnotatorNotes R1\tfar apart
"""


def make(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def found(place: Path) -> tuple[list[Document], Quarantine]:
    quarantine = Quarantine()
    return list(read(Source.of(place), quarantine)), quarantine


def again(documents: list[Document], folder: Path) -> list[Document]:
    assert write(documents, Target(folder)) == len(documents)
    back, quarantine = found(folder)
    assert quarantine.records == []
    return back


def test_every_kind_of_line(tmp_path: Path) -> None:
    ((document,), quarantine) = found(make(tmp_path, {"a.txt": TEXT, "a.ann": ANNOTATIONS}))
    assert quarantine.count == 0
    assert document.text == TEXT
    entities = {entity.id: entity for entity in document.entities}
    assert entities["T4"].spans == (Span(44, 48), Span(59, 63))
    assert entities["T4"].text == "left gout"
    assert entities["T4"].identifiers == (Identifier("mesh:D006073", label="Gout"),)
    assert entities["T4"].attributes == {"Certainty": "low", "Severe": "true"}
    assert entities["T4"].metadata == {"A4 Certainty": "none", "#1 AnnotatorNotes": "perhaps two places"}
    relations = {relation.type: relation for relation in document.relations}
    assert relations["Binding"].arguments == (("trigger", "T3"), ("Theme", "T2"), ("Cause", "T1"))
    assert relations["Binding"].metadata == {"A1 Negated": ""}
    assert relations["Affects"].arguments == (("Arg1", "T1"), ("Arg2", "T4"))
    assert relations["Affects"].metadata == {"#2 AnnotatorNotes": "far apart"}
    assert relations["Equiv"].arguments == (("", "T1"), ("", "T2"))


def test_what_was_read_is_written_line_for_line(tmp_path: Path) -> None:
    folder = make(tmp_path / "in", {"x/a.txt": TEXT, "x/a.ann": ANNOTATIONS, "x/y/b.txt": "nothing here"})
    (first, second), _ = found(folder)
    assert (first.id, second.id) == ("x/a", "x/y/b")
    assert again([first, second], tmp_path / "out") == [first, second]
    assert (tmp_path / "out/x/a.txt").read_bytes() == TEXT.encode()
    lines = (tmp_path / "out/x/a.ann").read_text().splitlines()
    assert sorted(lines) == sorted(line.rstrip() for line in ANNOTATIONS.splitlines())
    assert (tmp_path / "out/x/y/b.ann").read_bytes() == b""


@pytest.mark.parametrize("name", ["a.txt", "a.ann"])
def test_a_single_file(name: str, tmp_path: Path) -> None:
    make(tmp_path, {"a.txt": TEXT, "a.ann": ANNOTATIONS, "b.txt": "another"})
    ((document,), _) = found(tmp_path / name)
    assert (document.id, len(document.entities)) == ("a", 4)


def test_hidden_files_and_what_macos_leaves_are_passed_over(tmp_path: Path) -> None:
    files = {"a.txt": TEXT, "__MACOSX/a.txt": "x", "._a.txt": b"\x00\xff", ".DS_Store": b"\x00", "annotation.conf": "x"}
    (documents, quarantine) = found(make(tmp_path, files))
    assert [document.id for document in documents] == ["a"]
    assert quarantine.count == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("T5\tDisease 60 99\tgout", "a.ann: line 15: T5 says 'gout' at 60-99, but .*outside the text"),
        ("T5\tDisease 0 4\tgout", "a.ann: line 15: T5 says 'gout' at 0-4, but the text there is 'Colc'"),
        ("T5\tDisease gout", "line 15: expected 'T1<tab>Type start end<tab>text'"),
        ("T5\tDisease 5 2\tx", "T5"),
        ("T1\tDisease 59 63\tgout", "line 15: the id T1 is used a second time"),
        ("R1\tAffects Arg1:T1 Arg2:T2", "line 15: the id R1 is used a second time"),
        ("R2\tAffects Arg1:T1 Arg2:T77", "T77"),
        ("R2\tAffects T1 T2", "line 15: the argument 'T1' of R2 is not of the form Role:T1"),
        ("what is this", "line 15: 'what is this' is not a brat annotation"),
    ],
)
def test_a_bad_line_loses_its_document_only(line: str, message: str, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "a.txt": TEXT,
        "a.ann": ANNOTATIONS + line + "\n",
        "b.txt": TEXT,
        "b.ann": ANNOTATIONS,
    }
    (documents, quarantine) = found(make(tmp_path, files))
    assert [document.id for document in documents] == ["b"]
    (record,) = quarantine.records
    assert re.search(message, str(record))


def test_wrong_encoding_and_annotations_without_a_text(tmp_path: Path) -> None:
    files = {"a.txt": "naïve".encode("latin-1"), "b.ann": ANNOTATIONS, "c.txt": TEXT}
    (documents, quarantine) = found(make(tmp_path, files))
    assert [document.id for document in documents] == ["c"]
    first, second = (str(record) for record in quarantine.records)
    assert "a.txt is not UTF-8 at byte 2" in first
    assert "no .txt file beside the annotations" in second


def test_a_folder_without_a_text_and_standard_input_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.txt file here"):
        found(make(tmp_path, {"a.xml": "<a/>"}))
    with pytest.raises(InputError, match="standard input"):
        list(read(Source("<stdin>", data=b"T1"), Quarantine()))
    with pytest.raises(InputError, match="needs a folder"):
        write([], Target(None))
    with pytest.raises(InputError, match="is a file"):
        write([], Target(tmp_path / "a.xml"))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("..", "document"),
        ("a/../../b", "a/b"),
        ("..\\..\\b", "_.._b"),
        (".hidden", "hidden"),
        ("a\x00b\n", "a_b_"),
        ("C:\\x?*", "C_x_"),
        ("nul", "_nul"),
        ("__MACOSX/a", "___MACOSX/a"),
        ("a.txt/b", "a_txt/b"),
        ("10.1000/x.y", "10.1000/x.y"),
        ("𝛼" * 300, "𝛼" * 50),
        ("a\u202etxt.exe", "a_txt.exe"),
        ("", "1"),
    ],
)
def test_no_id_leads_out_of_the_folder(name: str, path: str, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "out"
    ((back),) = again([Document.from_text("x", name)], folder)
    assert back.id == path
    files = [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()]
    assert sorted(files) == sorted([f"in/out/{path}.ann", f"in/out/{path}.txt"])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.text(st.sampled_from("aA./\\ :é\x00_"), max_size=6), min_size=1, max_size=6))
def test_no_two_documents_share_a_file(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("names")
    documents = [Document.from_text(f"text {number}", name) for number, name in enumerate(names)]
    back = again(documents, folder / "out")
    assert sorted(document.text for document in back) == sorted(document.text for document in documents)
    assert {file.parent for file in folder.iterdir()} == {folder}


def test_ids_that_brat_would_not_understand_are_replaced_and_references_follow(tmp_path: Path) -> None:
    text = Document("a", (Passage("Colchicine in gout"),))
    first, second = text.entity([(0, 10)], "Chem ical", id="x"), text.entity([(14, 18)], "Disease", id="T1")
    relations = [
        Relation("treats:well", (("what", "x"), ("", "T1")), id="T9"),
        Relation("Event", (("trigger", "x"), ("of", "T9")), id="R1"),
        Relation("concept", (), metadata={"entity1": "D1"}),
    ]
    ((back,),) = (again([text.with_annotations([first, second], relations)], tmp_path / "out"),)
    assert [(entity.id, entity.type) for entity in back.entities] == [("T2", "Chem_ical"), ("T1", "Disease")]
    relation, event = back.relations
    assert (relation.type, relation.arguments) == ("treats_well", (("what", "T2"), ("_", "T1")))
    assert re.fullmatch(r"R\d+", relation.id)
    assert re.fullmatch(r"E\d+", event.id)
    assert event.arguments == (("trigger", "T2"), ("of", relation.id))


def test_a_mention_over_a_line_break_is_written_in_pieces_and_one_of_breaks_only_not_at_all(tmp_path: Path) -> None:
    text = Document("a", (Passage("left\r\ngout\n"),))
    entities = [text.entity([(0, 10)], "Disease", id="T1"), text.entity([(10, 11)], "Break", id="T2")]
    lost = [Relation("r", (("a", "T1"), ("b", "T2")), id="R1"), Relation("on", (("a", "R1"),))]
    ((back,),) = (again([text.with_annotations(entities, lost)], tmp_path / "out"),)
    assert [entity.spans for entity in back.entities] == [(Span(0, 4), Span(6, 10))]
    assert back.relations == ()


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents())
def test_every_document_can_be_written_and_is_the_same_from_then_on(
    document: Document, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("brat")
    (once,) = again([replace(document, id="a")], folder / "1")
    assert once.text == document.text
    assert again([once], folder / "2") == [once]


def test_sniff() -> None:
    assert sniff(ANNOTATIONS, "a.ann")
    assert sniff("T1\tDisease 44 48;59 63\tleft gout\n", "a")
    assert not sniff(TEXT, "a.txt")


def annotation_lines(folder: Path) -> Counter[str]:
    return Counter(
        f"{file.relative_to(folder)} {line.rstrip()}"
        for file in folder.rglob("*.ann")
        if not file.name.startswith(".")
        for line in file.read_text(encoding="utf-8").split("\n")
        if line.strip()
    )


def test_the_ddi_corpus_with_its_sub_folders_is_written_line_for_line(shared_data: Path, tmp_path: Path) -> None:
    source = Source.of(f"{shared_data}/re/DDI-2013/DDICorpus-2013(BRAT).zip!DDICorpusBrat/Test")
    assert source.path is not None
    quarantine = Quarantine()
    corpus = list(read(source, quarantine))
    assert quarantine.records == []
    assert {document.id.split("/")[0] for document in corpus} == {"DrugBank", "MedLine"}
    lines = annotation_lines(source.path)
    kinds = Counter(re.search(r" ([TR])\d+\t", line)[1] for line in lines.elements())  # type: ignore[index]
    assert sum(len(document.entities) for document in corpus) == kinds["T"]
    assert sum(len(document.relations) for document in corpus) == kinds["R"]
    assert again(corpus, tmp_path / "out") == corpus
    assert annotation_lines(tmp_path / "out") == lines


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_jnlpba_corpus_has_the_counts_of_its_description(shared_data: Path, split: str) -> None:
    place = f"{shared_data}/ner/JNLPBA-standoff/jnlpba-standoff.tar.xz!standoff/{split}"
    quarantine = Quarantine()
    corpus = list(read(Source.of(place), quarantine))
    described = json.loads((shared_data / "ner/JNLPBA-standoff/SOURCE.json").read_text())["splits"]
    assert quarantine.records == []
    assert len(corpus) == described["docs"][split]
    assert Counter(entity.type for document in corpus for entity in document.entities) == described["labels"][split]
