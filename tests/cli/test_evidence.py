"""`textome evidence`: ranked rows, lists, reports and graphs, and what it says of bad input."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from stated_documents import DOCUMENTS, NAMES, results_of, stated
from textome.cli.main import application


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results_of(tmp_path_factory.mktemp("results") / "annotated", *DOCUMENTS)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(application(), ["evidence", *map(str, arguments)])


def rows(result: Result) -> list[dict[str, str]]:
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_drugs_for_a_disease_by_any_of_its_names(folder: Path) -> None:
    found = rows(run(folder, "high blood pressure", "--with", "Chemical", "--relation", "treats"))
    assert [(row["head"], row["tail_id"], row["documents"], row["contradicting"]) for row in found] == [
        ("Lisinopril", "mesh:D006973", "2", "0"), ("Metformin", "mesh:D006973", "1", "1")
    ]  # fmt: skip
    assert found[0]["sentence"] == "We gave lisinopril for hypertension."
    assert "1 retracted articles are left out: 19" in run(folder).stderr


def test_what_is_new_beside_a_list_of_what_is_known(folder: Path, tmp_path: Path) -> None:
    known = tmp_path / "known.tsv"
    known.write_text("drug\tdisease\nlisinopril\thypertension\n")
    found = rows(run(folder, "--relation", "treats", "--known", known, "--new"))
    assert [(row["head"], row["tail"]) for row in found] == [
        ("Metformin", "Diabetes Mellitus, Type 2"), ("Metformin", "Hypertension")
    ]  # fmt: skip
    assert "--new needs --known" in str(run(folder, "--new").exception)


def test_two_lists_and_a_broader_disease(folder: Path, tmp_path: Path) -> None:
    for name, content in (("a.txt", "# drugs\nlisinopril\n"), ("b.txt", "mesh:D008687\tmetformin\n")):
        (tmp_path / name).write_text(content)
    page = tmp_path / "both.html"
    (row,) = rows(run(folder, "--in-common", tmp_path / "a.txt", tmp_path / "b.txt", "--report", page))
    assert (row["concept"], row["first"]) == ("Hypertension", "Lisinopril treats Hypertension")
    assert page.is_file()
    found = rows(run(folder, "vascular diseases", "--hierarchy", "--limit", 1))
    assert [(row["head"], row["tail"]) for row in found] == [("Lisinopril", "Vascular Diseases")]


def test_documents_linked_with_different_vocabularies_are_told(tmp_path: Path) -> None:
    """One vocabulary that is made of several, as the bundled one, is none to tell of: each name has one identifier."""
    texts = {"1": "We gave metformin for nausea.", "2": "We gave naloxone for nausea."}
    drugs = {"1": "metformin", "2": "naloxone"}
    chebi = NAMES | {"naloxone": ("Chemical", "chebi:7459", "naloxone")}
    mixed = NAMES | {"metformin": ("Chemical", "chebi:6801", "metformin")}

    def note_of(*documents: tuple[str, dict[str, tuple[str, str, str]]]) -> str:
        relations = {id: (name, "Negative_Correlation", "nausea", 0.9) for id, name in drugs.items()}
        items = [stated(id, texts[id], relations[id], names=names) for id, names in documents]
        return run(results_of(tmp_path / str(len(documents)), *items)).stderr

    assert note_of(("1", chebi), ("2", chebi)) == ""
    assert note_of(("1", NAMES), ("2", chebi), ("1", mixed)).splitlines()[-1] == (
        "Chemical: documents were linked with different vocabularies, whose identifiers are not joined (metformin: mesh, "
        "chebi; names with several: 1); link all with one"
    )


def test_files_are_written_by_their_names(folder: Path, tmp_path: Path) -> None:
    outputs = {"--output": "o.jsonl", "--report": "r.html", "--graph": "g.ttl"}
    result = run(folder, *(part for option, name in outputs.items() for part in (option, tmp_path / name)))
    assert result.exit_code == 0
    assert all((tmp_path / name).stat().st_size for name in outputs.values())
    first = json.loads((tmp_path / "o.jsonl").read_text().splitlines()[0])
    assert (first["head"], first["probability"], first["known"]) == ("Lisinopril", 0.9468, None)
    assert "written as .csv or .jsonl" in str(run(folder, "--output", tmp_path / "o.png").exception)


def test_results_without_relations_and_unknown_concepts_are_told(folder: Path, tmp_path: Path) -> None:
    empty = results_of(tmp_path / "empty", stated("1", "We gave lisinopril."))
    assert "no relation between two mentions" in run(empty).stderr
    assert "'gout': no relation of the results" in str(run(folder, "gout").exception)
    nothing = run(folder, "nausea", "--relation", "treat")
    assert rows(nothing) == []
    assert nothing.stdout.startswith("head,head_id,relation,")
    assert "the options leave no pair; without them there are causes of Chemical, Disease" in nothing.stderr


def test_with_names_the_type_of_the_other_concept(folder: Path, tmp_path: Path) -> None:
    """Not of the one that is asked about; of all pairs it is the type of either."""
    assert rows(run(folder, "hypertension", "--with", "Disease")) == []
    with_genes = rows(run(folder, "--with", "Gene"))
    assert [(row["head"], row["head_type"], row["tail"], row["tail_type"]) for row in with_genes] == [
        ("Lisinopril", "Chemical", "ACE", "Gene")
    ]
    lists = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path in lists:
        path.write_text("lisinopril\n")
    assert "without CONCEPT and --with" in str(run(folder, "gout", "--with", "Gene", "--in-common", *lists).exception)
