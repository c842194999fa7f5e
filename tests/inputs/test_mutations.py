"""The notation of mutations, and tables of variants of one protein."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.errors import InputError
from textome.formats import Quarantine
from textome.inputs.mutations import mutated
from textome.inputs.proteins import RESIDUES, Proteins

WILD = "MTYKLV"


@given(st.dictionaries(st.integers(1, 6), st.sampled_from(RESIDUES), min_size=1), st.sampled_from(";:,/+ "))
def test_mutations_replace_one_residue_each(changes: dict[int, str], between: str) -> None:
    notation = between.join(f"{WILD[number - 1]}{number}{after}" for number, after in changes.items())
    expected = "".join(changes.get(number, letter) for number, letter in enumerate(WILD, 1))
    assert mutated(WILD, notation) == mutated(WILD, f"  {notation.lower()} ") == expected


@pytest.mark.parametrize("notation", ["", "WT", "wild type", " wt "])
def test_the_wild_type_has_no_mutation(notation: str) -> None:
    assert mutated(WILD, notation) == WILD


@pytest.mark.parametrize(
    ("notation", "reason"),
    [
        ("V2A", "V2A: the wild type has T at position 2, and not V"),
        ("T7A", "T7A: the wild type has 6 residues"),
        ("T0A", "are positions counted from its first"),
        ("T2A;T2G", "T2G: position 2 is mutated twice"),
        ("T2del", "'T2del' is not a mutation of one residue"),
        ("gene", "'gene' is not a mutation"),
    ],
)
def test_a_mutation_that_the_wild_type_cannot_have_is_an_error(notation: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        mutated(WILD, notation)


def test_a_table_of_mutations_has_one_wild_type(tmp_path: Path) -> None:
    (tmp_path / "wild.fasta").write_text(f">gb1\n{WILD}\n")
    path = tmp_path / "v.csv"
    path.write_text(
        "variant,set,fitness\nT2A;Y3W,train,0.5\nWT,test,1\nV2A,test,1\nT2B1,test,1\nT2J,train,high\nT2*,test,\n"
    )
    modality = Proteins(mutations="variant", wild_type="wild.fasta", name="variant", targets=("fitness",))
    quarantine = Quarantine()
    records = list(modality.read(str(path), quarantine))
    assert [(record.id, record.content, record.target, record.metadata) for record in records] == [
        ("T2A;Y3W", "MAWKLV", {"fitness": 0.5}, {"set": "train"}),
        ("WT", WILD, {"fitness": 1.0}, {"set": "test"}),
    ]
    reasons = [f"{item.position}: {item.reason}" for item in quarantine.records]
    assert [reason.partition(":")[0] for reason in reasons] == ["line 4", "line 5", "line 6", "line 7"]
    assert "the wild type has T at position 2" in reasons[0]
    assert "fitness is 'high', which is not a number" in reasons[2]
    assert modality.other_files(str(path)) == [str(tmp_path / "wild.fasta")]
    (tmp_path / "wild.fasta").write_text(">a\nMK\n>b\nMK\n")
    with pytest.raises(InputError, match="2 proteins can be read; the wild type is one"):
        list(modality.read(str(path), Quarantine()))
