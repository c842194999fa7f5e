"""Pairs of molecules and proteins out of a table and the files of each, and libraries of molecules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from textome.errors import InputError
from textome.formats import Quarantine
from textome.inputs.library import read_library
from textome.inputs.pairs import Pairs
from textome.inputs.records import read_records

PARTS = {
    "molecule": {"kind": "molecules", "scheme": "fingerprint", "name": "name"},
    "protein": {"kind": "proteins", "scheme": "kmers"},
}


def pairs(**changes: Any) -> Pairs:
    files = {"molecule": "m.csv", "protein": "p.fasta"}
    return Pairs.model_validate({"parts": PARTS, "files": files, "targets": ["score"]} | changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("rdkit")
    (tmp_path / "m.csv").write_text("name,smiles\nethanol,CCO\nwrong,C(\nbenzene,c1ccccc1\n")
    (tmp_path / "p.fasta").write_text(">one\nMKVLA\n>two\nMKKK\n>bad\nM1\n")
    (tmp_path / "pairs.tsv").write_text(
        "molecule\tprotein\tscore\tfold\nethanol\tone\t1.5\ta\nbenzene\ttwo\t\tb\nwrong\tone\t2\ta\nethanol\tbad\t2\ta\n"
        "benzene\tone\thigh\ta\nethanol\tone\t7\tb\nethanol\ttwo\n"
    )
    return tmp_path


def test_a_table_names_the_things_of_two_files(folder: Path) -> None:
    quarantine = Quarantine()
    records = list(read_records(pairs(), str(folder / "pairs.tsv"), quarantine))
    assert [(record.id, record.target, record.metadata["fold"]) for record in records] == [
        ("ethanol/one", {"score": 1.5}, "a"),
        ("benzene/two", None, "b"),
    ]
    assert records[0].content == {"molecule": ("CCO",), "protein": "MKVLA"}
    reasons = "\n".join(map(str, quarantine.records))
    for reason in (
        "'C('",
        "p.fasta, line 5",
        "m.csv has no record",
        "p.fasta has no record",
        "'high'",
        "twice",
        "2 cells",
    ):
        assert reason in reasons, reason
    segments = pairs().features(records[0].content)
    assert {name: segment.values.shape for name, segment in segments.items()} == {
        "molecule": (1, 2048), "protein": (1, 743)
    }  # fmt: skip


def test_things_may_stand_in_the_table(folder: Path) -> None:
    path = folder / "own.csv"
    path.write_text("molecule,protein\nCCO,mkv\nCCO,M1\n")
    quarantine = Quarantine()
    (record,) = pairs(files={}).read(str(path), quarantine)
    assert record.content == {"molecule": ("CCO",), "protein": "MKV"}
    assert record.target is None
    assert quarantine.count == 1


def test_a_split_by_protein_has_no_protein_on_both_sides(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    names = [f"p{number}" for number in range(40)]
    letters = "ACDEFGHIKLMNPQRSTVWY"
    (tmp_path / "m.csv").write_text("name,smiles\nethanol,CCO\nmethane,C\n")
    (tmp_path / "p.fasta").write_text(
        "".join(f">{name}\nMK{letters[number % 20]}{letters[number // 20]}\n" for number, name in enumerate(names))
    )
    rows = [f"{molecule}\t{name}\t1\n" for name in names for molecule in ("ethanol", "methane")]
    (tmp_path / "pairs.tsv").write_text("molecule\tprotein\tscore\n" + "".join(rows))

    def proteins(rule: str) -> set[str]:
        return {r.metadata["protein"] for r in read_records(pairs(), f"{tmp_path}/pairs.tsv#{rule}", Quarantine())}

    train, test = proteins("protein:0-70%"), proteins("protein:70-100%")
    assert not train & test
    assert train | test == set(names)
    assert proteins("!protein:0-70%") == test
    assert 20 < len(train) < 36
    with pytest.raises(InputError, match="no attribute 'drug'"):
        proteins("drug:0-70%")


def test_settings_that_do_not_fit_are_refused(folder: Path) -> None:
    with pytest.raises(ValidationError, match="parts are two"):
        pairs(parts={"molecule": PARTS["molecule"]}, files={})
    with pytest.raises(ValidationError, match="names 'drug'"):
        pairs(files={"drug": "x.csv"})
    (folder / "other.tsv").write_text("drug\tprotein\n")
    with pytest.raises(InputError, match="no column 'molecule'; the header has drug, protein"):
        list(pairs().read(str(folder / "other.tsv"), Quarantine()))


def test_libraries_are_tables_or_lines(tmp_path: Path) -> None:
    path, quarantine = tmp_path / "l.smi", Quarantine()
    path.write_text("# two\nCCO ethyl alcohol\nC%%\n\nC\tmethane\nN\n")
    found = list(read_library(str(path), "smiles", None, quarantine))
    assert [(item.name, item.smiles, item.position) for item in found] == [
        ("ethyl alcohol", "CCO", "line 2"),
        ("methane", "C", "line 5"),
        ("line 6", "N", "line 6"),
    ]
    assert [item.position for item in quarantine.records] == ["line 3"]
    table = tmp_path / "l.tsv"
    table.write_text("name\tsmiles\tprice\nethanol\tCCO\t3\n")
    assert [item.name for item in read_library(str(table), "smiles", None, quarantine)] == ["ethanol"]
    assert [item.name for item in read_library(str(table), "smiles", "price", quarantine)] == ["3"]
    table.write_text("name,structure\nethanol,CCO\n")
    with pytest.raises(InputError, match=r"no column 'smiles'.*--smiles"):
        list(read_library(str(table), "smiles", None, quarantine))
