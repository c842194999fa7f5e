"""Molecules: tokens of SMILES, tables with gaps, the scaffold split, and files that need no RDKit."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.errors import InputError, MissingExtraError
from textome.formats.reading.sources import Quarantine, Source
from textome.inputs.molecule_files import (
    Molecule,
    MoleculeTable,
    is_prepared,
    read_molecules,
    split_by_scaffold,
    write_prepared,
)
from textome.inputs.molecules import Molecules
from textome.inputs.smiles import UNKNOWN, VOCABULARY, encode, tokens

PARTS = [
    "C",
    "c",
    "N",
    "Cl",
    "Br",
    "O",
    "=",
    "#",
    "(",
    ")",
    "1",
    "2",
    "%12",
    "[nH]",
    "[C@@H]",
    "[13CH3]",
    "[Pt+2]",
    "/",
    ".",
]
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def write(folder: Path, text: str, name: str = "m.csv") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=30))
def test_tokens_say_the_smiles_and_all_are_known(parts: list[str]) -> None:
    text = "".join(parts)
    assert "".join(tokens(text)) == text
    assert UNKNOWN not in encode(text)


def test_atoms_of_two_letters_and_common_bracket_atoms_are_one_token_and_others_are_spelt() -> None:
    assert tokens("Clc1cc[nH]c1Br") == ["Cl", "c", "1", "c", "c", "[nH]", "c", "1", "Br"]
    assert tokens("[13C@H]%12[99Tc]") == ["[", "1", "3", "C", "@", "H", "]", "%12", "[", "9", "9", "Tc", "]"]
    assert tokens("C%(12)C") == ["C", "%12", "C"]
    assert len(VOCABULARY) == len(set(VOCABULARY))


@pytest.mark.parametrize("wrong", ["", "CXC", "C C", "[CH4", "CCO!", "[Qq]"])
def test_what_is_no_smiles_is_told_with_its_place(wrong: str) -> None:
    with pytest.raises(InputError, match=r"SMILES|not an atom"):
        tokens(wrong)


def test_a_table_with_gaps_and_bad_rows(tmp_path: Path) -> None:
    text = (
        "name,smiles,a,b\nethanol, CCO ,1,\n\nbenzene,c1ccccc1,NA,0.5\nbad,C?C,1,1\nnone,,1,1\n"
        'word,CC,yes,1\nshort,CC,1\n"a, b",CN,nan,-2e1\ninfinite,CC,inf,1\n'
    )
    quarantine = Quarantine()
    table = read_molecules(Source.of(write(tmp_path, text)), "smiles", ["a", "b"], quarantine, "name")
    assert [molecule.name for molecule in table.molecules] == ["ethanol", "benzene", "a, b"]
    assert [molecule.smiles for molecule in table.molecules] == ["CCO", "c1ccccc1", "CN"]
    np.testing.assert_array_equal(table.values(), [[1, math.nan], [math.nan, 0.5], [math.nan, -20]])
    assert [f"{bad.position}: {bad.reason}" for bad in quarantine.records] == [
        "line 5: 'C?C': character 2 ('?') is not a SMILES",
        "line 6: the SMILES is empty",
        "line 7: a is 'yes', which is not a number",
        "line 8: 3 cells, but the header has 4 columns",
        "line 10: a is 'inf'; leave the cell empty where nothing was measured",
    ]


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    place = write(tmp_path, "smiles,a\nCC,1\n")
    with pytest.raises(InputError, match="no column 'SMILES'; did you mean 'smiles'\\? the header has smiles, a"):
        read_molecules(Source.of(place), "SMILES", ["a"], Quarantine())
    with pytest.raises(InputError, match="no column 'b'"):
        read_molecules(Source.of(place), "smiles", ["a", "b"], Quarantine())
    assert read_molecules(Source.of(place), "smiles", ["b"], Quarantine()).targets == ()  # molecules to predict


def table_of(scaffolds: list[str]) -> MoleculeTable:
    molecules = [Molecule(str(n), "C", (), f"line {n}", scaffold=name) for n, name in enumerate(scaffolds)]
    return MoleculeTable((), molecules)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=10, max_size=60))
def test_no_scaffold_is_in_two_parts_and_the_parts_have_their_shares(scaffolds: list[str]) -> None:
    done = split_by_scaffold(table_of(scaffolds))
    parts: dict[str, set[str | None]] = {}
    for molecule in done.molecules:
        parts.setdefault(str(molecule.scaffold), set()).add(molecule.split)
    assert all(len(found) == 1 for found in parts.values())
    groups: dict[str, list[int]] = {}
    for number, name in enumerate(scaffolds):
        groups[name] = [*groups.get(name, []), number]
    train, validation, test = set[int](), set[int](), set[int]()
    for _, numbers in sorted(((-len(group), -group[0]), group) for group in groups.values()):
        if len(train) + len(numbers) <= 0.8 * len(scaffolds):
            train |= set(numbers)
        elif len(train) + len(validation) + len(numbers) <= (0.8 + 0.1) * len(scaffolds):
            validation |= set(numbers)
        else:
            test |= set(numbers)
    for name, part in (("train", train), ("validation", validation), ("test", test)):
        assert {number for number, molecule in enumerate(done.molecules) if molecule.split == name} == part


def test_the_most_frequent_scaffolds_train_and_of_equal_ones_the_later() -> None:
    done = split_by_scaffold(table_of(["rare", *["big"] * 7, "later", "last"]))
    assert [molecule.split for molecule in done.molecules] == ["test", *["train"] * 7, "validation", "train"]


def test_a_split_needs_scaffolds() -> None:
    with pytest.raises(InputError, match="line 0: the scaffold is not computed"):
        split_by_scaffold(MoleculeTable((), [Molecule("a", "C", (), "line 0")]))


def test_without_rdkit_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    place = write(tmp_path, "smiles,a\nCC,1\n")
    with pytest.raises(MissingExtraError, match=r"textome\[molecules\]"):
        list(Molecules(targets=("a",)).read(place, Quarantine()))
    (record,) = Molecules(targets=("a",), chemistry=False).read(place, Quarantine())
    assert (record.content, record.target) == (("CC",), {"a": 1.0})
    with pytest.raises(InputError, match=r"need modality\.chemistry"):
        list(Molecules(descriptors=("MolLogP",), chemistry=False).read(place, Quarantine()))


def test_a_prepared_file_gives_the_same_records_without_rdkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rdkit", reason="needs the extra molecules")
    place = write(tmp_path, f"smiles,a,b\n{ASPIRIN},1,\nCCO,0,2.5\nc1ccccc1O,1,\n")
    modality = Molecules(targets=("a", "b"), descriptors=("MolLogP",), spellings=5)
    before = list(modality.read(place, Quarantine()))
    prepared = tmp_path / "prepared.csv"
    prepared.write_bytes(write_prepared(modality.table(place, Quarantine()), {"source": "m.csv"}))
    assert is_prepared(Source.of(prepared))
    monkeypatch.setitem(sys.modules, "rdkit", None)
    assert list(modality.read(str(prepared), Quarantine())) == before
    assert [record.target for record in before][1] == {"a": 0.0, "b": 2.5, "MolLogP": pytest.approx(-0.0014)}
    with pytest.raises(InputError, match="was prepared without 'c'"):
        list(Molecules(targets=("c",)).read(str(prepared), Quarantine()))


def test_a_spelling_is_drawn_for_each_reading_and_a_prediction_averages_some() -> None:
    modality = Molecules(averaged=2, window=16)
    content = ("CCO", "OCC", "C(O)C")
    generator = np.random.default_rng(0)
    assert {modality.augmented(content, generator) for _ in range(40)} == {("CCO",), ("OCC",), ("C(O)C",)}
    assert modality.views(content) == [("CCO",), ("OCC",)]
    (shape,) = modality.shapes().values()
    segment = modality.features(content)["molecule"]
    assert segment.values.tolist() == encode("CCO").tolist()
    assert segment.values.max() < shape.size
    with pytest.raises(InputError, match="17 tokens, more than"):
        modality.features(("C" * 17,))


def test_a_molecule_that_is_too_long_is_quarantined(tmp_path: Path) -> None:
    quarantine = Quarantine()
    place = write(tmp_path, "smiles\nCCCCCCCCCC\nCC\n")
    records = list(Molecules(window=8, chemistry=False).read(place, quarantine))
    assert [record.content for record in records] == [("CC",)]
    assert "more than the 8 tokens of modality.window" in str(quarantine.records[0])


def test_a_table_of_hundreds_of_columns_has_a_short_message(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(",".join(["mol_smiles", *(f"assay_{number}" for number in range(600))]) + "\n")
    with pytest.raises(InputError) as caught:
        read_molecules(Source.of(path), "mol_smile", ("assay_7",), Quarantine())
    message = str(caught.value)
    assert "there is no column 'mol_smile'; did you mean 'mol_smiles'? the header has mol_smiles, assay_0" in message
    assert "and 593 more; input.smiles, input.name and input.targets of the recipe name columns" in message
    assert len(message) < len(str(path)) + 300
