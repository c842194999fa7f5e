"""Questions to the results: the views count what is there, sentences are exact, and graphs can be read elsewhere."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from stated_documents import results_of, stated
from textome.bulk.graph import write_graph, write_plot
from textome.bulk.output import write_chunk
from textome.bulk.query import Results, write_answer
from textome.documents import Document, Identifier, Passage, Relation
from textome.errors import InputError
from textome.vocabularies import Concept, build_vocabulary

# Combining marks, a joined emoji and letters beyond 16 bits stand before what is looked for.
FIRST = "🧑‍🔬 e\u0301tude 𝔘: Metformin lowered gout. Aspirin did not help, nor did insulin in \u0928\u093f asthma."


def annotated(id: str, text: str, names: dict[str, str], year: str = "") -> Document:
    document = Document(
        id, (Passage("A title", 0, "title"), Passage(text, 8, "abstract")), metadata={"year": year} if year else {}
    )
    found = []
    for number, (name, type) in enumerate(names.items(), 1):
        start = document.text.index(name)
        found.append(document.entity([(start, start + len(name))], type, id=f"T{number}", confidence=0.9))
    return document.with_annotations(found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = {
        "Metformin": "Chemical",
        "gout": "Disease",
        "Aspirin": "Chemical",
        "insulin": "Chemical",
        "asthma": "Disease",
    }
    documents = [
        annotated("1", FIRST, names, "1999"),
        annotated("2", "METFORMIN and gout.", {"METFORMIN": "Chemical", "gout": "Disease"}, "2001 Jan"),
        annotated("3", "Nothing else.", {}),
    ]
    folder = tmp_path / "it's [odd]"
    for part, several in ((1, documents[:2]), (2, documents[2:])):
        write_chunk(folder, "parquet", part, 0, (("a.xml", part * 10 + n, item) for n, item in enumerate(several)))
    return folder


@pytest.fixture
def results(folder: Path) -> Results:
    return Results(folder)


def test_what_one_sentence_mentions_comes_with_that_sentence(results: Results) -> None:
    found = set(results.ask("SELECT document_id, chemical, disease, sentence FROM chemical_disease").rows)
    second = FIRST[FIRST.index("Aspirin") :]
    assert found == {
        ("1", "metformin", "gout", FIRST[: FIRST.index("Aspirin") - 1]),
        ("1", "aspirin", "asthma", second),
        ("1", "insulin", "asthma", second),
        ("2", "metformin", "gout", "METFORMIN and gout."),
    }
    pairs = list(results.ask("SELECT * FROM chemical_disease_pairs").rows)
    assert pairs[0] == ("metformin", "metformin", "gout", "gout", 2, 2, ["1", "2"])


def test_a_book_with_many_entities_is_asked_in_little_memory(tmp_path: Path) -> None:
    """Of 1,000 mentions in a text of 1 MB the text is not copied for each."""
    sentences = [f"Naïve patient {number:04} had aspirin for gout, {'and more ' * 105}." for number in range(1000)]
    book = Document.from_text(" ".join(sentences), "1")
    drug, disease = sentences[0].index("aspirin"), sentences[0].index("gout")
    entities, relations = [], []
    for number in range(1000):
        start = number * (len(sentences[0]) + 1)
        entities.append(book.entity([(start + drug, start + drug + 7)], "Chemical", id=f"C{number}"))
        entities.append(book.entity([(start + disease, start + disease + 4)], "Disease", id=f"D{number}"))
        relations.append(Relation("treats", (("head", f"C{number}"), ("tail", f"D{number}"))))
    book = book.with_annotations(entities, relations)
    write_chunk(tmp_path / "out", "parquet", 1, 0, [("a.txt", 0, book)])
    results = Results(tmp_path / "out", external_access=True)
    list(results.ask("SET memory_limit = '150MB'").rows)
    list(results.ask("SET temp_directory = ''").rows)
    answer = results.ask(
        "SELECT head_sentence, head_sentence_start, tail_sentence FROM stated_relations ORDER BY head_start"
    )
    rows = list(answer.rows)
    assert len(rows) == 1000
    for text, start, tail in rows:
        assert text == tail == book.text[start : start + len(text)]
        assert "aspirin for gout" in text
    texts = list(results.ask("SELECT sentence, start, text FROM sentence_texts ORDER BY sentence").rows)
    assert [number for number, _, _ in texts] == list(range(1000))
    assert all(text == book.text[start : start + len(text)] for _, start, text in texts)


def test_any_two_types_are_paired_with_the_names_of_their_concepts(tmp_path: Path) -> None:
    plain = Document.from_text("TNF in gout and in Gout.", "1")
    named = {"TNF": ("Gene", "ncbigene:7124", "tumor necrosis factor"), "gout": ("Disease", "mesh:D006073", "Gout")}
    entities = [
        plain.entity([(start, start + len(name))], type, identifiers=(Identifier(curie, label=label),))
        for name, (type, curie, label) in named.items()
        for start in range(len(plain.text))
        if plain.text.lower().startswith(name.lower(), start)
    ]
    write_chunk(tmp_path / "out", "parquet", 1, 0, [("a.txt", 0, plain.with_annotations(entities))])
    results = Results(tmp_path / "out")
    expected = ("Disease", "mesh:D006073", "Gout", "Gene", "ncbigene:7124", "tumor necrosis factor", 1, 1, ["1"])
    assert list(results.ask("SELECT * FROM co_mention_pairs").rows) == [expected]
    assert write_graph(results, tmp_path / "g.graphml") == 1
    assert ">tumor necrosis factor<" in (tmp_path / "g.graphml").read_text()


def test_views_count(results: Results) -> None:
    assert set(results.ask("SELECT type, year, mentions, documents FROM counts_by_type_and_year").rows) == {
        ("Chemical", 1999, 3, 1), ("Disease", 1999, 2, 1), ("Chemical", 2001, 1, 1), ("Disease", 2001, 1, 1)
    }  # fmt: skip
    assert next(results.ask("SELECT * FROM frequent_entities").rows) == ("Chemical", "metformin", 2, 2)
    assert next(results.ask("SELECT count(*), count(year), min(title) FROM documents").rows) == (3, 2, "A title")


def test_concepts_are_counted_up_the_tree(tmp_path: Path) -> None:
    vocabulary = tmp_path / "a.vocab"
    build_vocabulary(
        [
            Concept("mesh:D1", "Fevers", "Disease", tree_numbers=("C01",)),
            Concept("mesh:D2", "Blue Fever", "Disease", tree_numbers=("C01.1",)),
            Concept("mesh:D3", "Blue Fever, Late", "Disease", tree_numbers=("C01.1.5",)),
        ],
        vocabulary,
    )
    plain = Document.from_text("Blue fever came late, and so did gout.", "1")
    entities = [
        plain.entity([(0, 10)], "Disease", identifiers=(Identifier("mesh:D3"),)),
        plain.entity([(33, 37)], "Disease", identifiers=(Identifier("mesh:D9"),)),
    ]
    write_chunk(tmp_path / "out", "parquet", 1, 0, [("a.xml", 0, plain.with_annotations(entities))])
    results = Results(tmp_path / "out", vocabularies=[str(vocabulary)])
    rows = set(results.ask("SELECT curie, broader, broader_label, steps FROM broader").rows)
    assert rows == {
        ("mesh:D3", "mesh:D3", "Blue Fever, Late", 0),
        ("mesh:D3", "mesh:D2", "Blue Fever", 1),
        ("mesh:D3", "mesh:D1", "Fevers", 2),
        ("mesh:D9", "mesh:D9", "", 0),
    }
    counted = "SELECT count(*) FROM identifiers JOIN broader USING (curie) WHERE broader = 'mesh:D1'"
    assert next(results.ask(counted).rows) == (1,)


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_answers_are_written_in_three_formats(results: Results, tmp_path: Path, format: str) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / f"answer.{format}"
    assert write_answer(results.ask("SELECT document_id, year FROM documents ORDER BY 1"), path, format) == 3
    read = {
        "csv": lambda: [
            {"document_id": a, "year": int(b) if b else None} for a, b in list(csv.reader(path.open()))[1:]
        ],
        "jsonl": lambda: [json.loads(line) for line in path.open()],
        "parquet": lambda: pq.read_table(path).to_pylist(),
    }[format]
    assert read() == [
        {"document_id": "1", "year": 1999}, {"document_id": "2", "year": 2001}, {"document_id": "3", "year": None}
    ]  # fmt: skip


def test_a_graph_is_read_by_others(results: Results, tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx")
    assert write_graph(results, tmp_path / "g.graphml") == 3
    graph = networkx.read_graphml(tmp_path / "g.graphml")
    together = {"relation": "co_mention", "sentences": 2, "weight": 2, "document_ids": "1 2"}
    assert graph.edges["Chemical:metformin", "Disease:gout"] == together
    assert {data["type"] for _, data in graph.nodes(data=True)} == {"Chemical", "Disease"}
    assert write_graph(results, tmp_path / "g.csv", min_documents=2) == 1
    assert (tmp_path / "g.csv").read_text().split() == [
        "source_type,source,source_name,relation,target_type,target,target_name,sentences,weight,document_ids",
        "Chemical,metformin,metformin,co_mention,Disease,gout,gout,2,2,1;2",
    ]  # fmt: skip


def test_relations_are_edges_of_the_graph_and_rows_of_views(tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx")
    documents = [
        stated(
            str(number),
            "We gave lisinopril for hypertension.",
            ("lisinopril", "Negative_Correlation", "hypertension", 0.9),
        )
        for number in (1, 2)
    ]
    results = Results(results_of(tmp_path / "out", *documents))
    row = dict(zip((answer := results.ask("SELECT * FROM related_pairs")).columns, next(answer.rows), strict=True))
    assert row == {
        "relation": "Negative_Correlation", "head_type": "Chemical", "head": "mesh:D017706", "head_label": "Lisinopril",
        "tail_type": "Disease", "tail": "mesh:D006973", "tail_label": "Hypertension",
        "relations": 2, "documents": 2, "document_ids": ["1", "2"],
    }  # fmt: skip
    assert write_graph(results, tmp_path / "g.graphml") == 2
    graph = networkx.read_graphml(tmp_path / "g.graphml", force_multigraph=True)
    edges = graph.get_edge_data("Chemical:mesh:D017706", "Disease:mesh:D006973")
    assert sorted(edge["relation"] for edge in edges.values()) == ["Negative_Correlation", "co_mention"]


@pytest.mark.parametrize(("name", "start"), [("p.png", b"\x89PNG"), ("p.svg", b"<?xml")])
def test_a_plot_is_drawn(results: Results, tmp_path: Path, name: str, start: bytes) -> None:
    write_plot(results, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(start)
    assert len(content) > 5000


def test_what_is_wrong_is_said_in_one_sentence(results: Results, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the query cannot be run: Parser Error"):
        results.ask("SELECT * FRO documents")
    with pytest.raises(InputError, match=r"the query cannot be run: Catalog Error: .*planets"):
        results.ask("SELECT * FROM planets")
    for empty in ("", " ", "-- nothing"):
        with pytest.raises(InputError, match="holds no statement"):
            results.ask(empty)
    with pytest.raises(InputError, match="there are no Parquet tables"):
        Results(tmp_path)
    with pytest.raises(InputError, match=r"\.graphml or \.csv"):
        write_graph(results, tmp_path / "g.png")


def test_a_damaged_table_is_one_sentence(tmp_path: Path) -> None:
    write_chunk(tmp_path, "parquet", 1, 0, [("a.xml", 1, annotated("1", "Gout.", {"Gout": "Disease"}))])
    (tmp_path / "entities" / "part-000001-0000.parquet").write_bytes(b"bad\n")
    with pytest.raises(InputError, match="a table is damaged") as caught:
        Results(tmp_path)
    assert "\n" not in str(caught.value)


def test_other_files_are_out_of_reach_unless_that_is_wanted(results: Results, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for sql in (
        f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/a.db'",
        "INSTALL httpfs",
        "SELECT * FROM 'http://127.0.0.1:1/a.csv'",
        "SET enable_external_access = true",
    ):
        with pytest.raises(InputError, match="cannot be run"):
            list(results.ask(sql).rows)
    assert not (tmp_path / "out.csv").exists()
    assert list(results.ask("SELECT count(*) > 0 FROM entities").rows) == [(True,)]


def test_other_files_can_be_reached_where_that_is_wanted(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text("a\n1\n")
    assert list(Results(folder, True).ask(f"SELECT * FROM read_csv('{tmp_path}/more.csv')").rows) == [(1,)]


def test_formulas_in_answers_are_escaped_on_request(results: Results, tmp_path: Path) -> None:
    for formulas, cell in ((True, "=1+1"), (False, "'=1+1")):
        write_answer(results.ask("SELECT '=1+1' AS a, -1 AS b"), tmp_path / "a.csv", "csv", formulas)
        assert (tmp_path / "a.csv").read_text().split()[1] == f"{cell},-1"
