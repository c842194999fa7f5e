"""What RDKit adds: validity, spellings, scaffolds, fingerprints. The yardstick is RDKit's own canonical SMILES."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rdkit", reason="needs the extra molecules")

from rdkit.Chem import CanonSmiles

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.inputs.chemistry import computed, fingerprints, parsed, scaffold, spellings
from textome.inputs.molecules import Molecules
from textome.inputs.smiles import tokens

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
ALANINE = "C[C@H](N)C(=O)O"


@pytest.mark.parametrize("smiles", [ASPIRIN, ALANINE, "[Na+].[Cl-]", "F/C=C/F", "c1cc2c(cc1)[nH]cc2"])
def test_every_spelling_is_the_same_molecule(smiles: str) -> None:
    found = spellings(smiles, 10, seed=3)
    assert len(found) == 10
    assert {CanonSmiles(spelling) for spelling in found} == {CanonSmiles(smiles)}
    assert found == spellings(smiles, 10, seed=3)
    assert all(tokens(spelling) for spelling in found)
    assert len(set(found)) > 1 or "." in smiles  # of two ions there is one order only


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("C1CC", "is not a SMILES: brackets, branches or rings do not close"),
        ("CC(C", "is not a SMILES"),
        ("C(C)(C)(C)(C)C", "is not a molecule: Explicit valence for atom # 0 C, 5"),
        ("c1cccc1", "is not a molecule: Can't kekulize"),
    ],
)
def test_what_cannot_be_is_told(smiles: str, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=reason.replace("(", r"\(")):
        parsed(smiles)
    assert capfd.readouterr() == ("", "")  # RDKit itself keeps silent


def test_scaffolds_are_rings_and_what_links_them() -> None:
    assert scaffold(ASPIRIN) == "c1ccccc1"
    assert scaffold("CCO") == ""
    assert scaffold("Cc1ccc(CCC2CC2)cc1Cl") == CanonSmiles("c1ccc(CCC2CC2)cc1")
    assert scaffold("C[C@H]1CC[C@@H](O)CC1") == "C1CCCCC1"


def test_descriptors_by_name() -> None:
    weight, polar = computed("CCO", ["MolWt", "TPSA"])
    assert weight == pytest.approx(46.07, abs=0.01)
    assert polar == pytest.approx(20.23, abs=0.01)
    with pytest.raises(InputError, match="no descriptor 'MolLogp'; did you mean 'MolLogP'"):
        computed("CCO", ["MolLogp"])


def test_fingerprints_do_not_depend_on_the_spelling() -> None:
    found = fingerprints([ASPIRIN, spellings(ASPIRIN, 1, 5)[0], "CCO"], size=512)
    assert found.shape == (3, 512)
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


def test_invalid_molecules_are_quarantined_and_the_others_keep_their_rows(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("id,smiles,y\na,CCO,1\nb,C1CC,0\nc,c1ccccc1,\nd,CN(C)(C)C,1\n")
    quarantine = Quarantine()
    records = list(Molecules(name="id", targets=("y",), spellings=3).read(str(tmp_path / "m.csv"), quarantine))
    assert [(record.id, record.target) for record in records] == [("a", {"y": 1.0}), ("c", {})]
    assert [bad.position for bad in quarantine.records] == ["line 3", "line 5"]
    assert records[1].metadata["scaffold"] == "c1ccccc1"


def test_bbbp_has_the_counts_of_moleculenet(shared_data: Path) -> None:
    """2050 rows, of which RDKit reads 2039 (Wu et al. 2018, table 1), in parts of 80, 10 and 10 %."""
    quarantine = Quarantine()
    place = str(shared_data / "mol" / "MoleculeNet-AttentiveFP" / "BBBP.csv")
    records = list(Molecules(targets=("BBBP",), spellings=0).read(place, quarantine))
    assert (len(records), quarantine.count) == (2039, 11)
    parts = [record.metadata["split"] for record in records]
    assert [parts.count(name) for name in ("train", "validation", "test")] == [1631, 204, 204]
    scaffolds = {
        part: {record.metadata["scaffold"] for record in records if record.metadata["split"] == part}
        for part in ("train", "validation", "test")
    }
    assert not scaffolds["train"] & scaffolds["test"]
