"""Proteins out of FASTA files and tables, their tokens and their counts of words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.errors import InputError
from textome.formats import Quarantine
from textome.inputs.proteins import CLASSES, DIPEPTIDES, OTHERS, RESIDUES, Proteins, kmer_counts, normalised
from textome.inputs.records import Record


def test_fasta_is_read_and_bad_records_are_quarantined(tmp_path: Path) -> None:
    path = tmp_path / "p.fasta"
    path.write_text(">a label=kinase first\nMKV\nLAAg*\n>b\nMK1V\n>c\nXXXAX\n>d\n\n>long\n" + "A" * 30 + "\n>e\nMUX\n")
    quarantine = Quarantine()
    records = list(Proteins(window=20).read(str(path), quarantine))
    assert [(record.id, record.content, record.target) for record in records] == [
        ("a", "MKVLAAG", "kinase"),
        ("e", "MUX", None),
    ]
    reasons = [str(item) for item in quarantine.records]
    assert len(reasons) == 4
    assert "line 4, record b" in reasons[0]
    assert "letter 3 is '1', which stands for no amino acid" in reasons[0]
    assert "4 of 5 residues are unknown" in reasons[1]
    assert "empty" in reasons[2]
    assert "30 residues" in reasons[3]
    kept = Proteins(scheme="kmers", window=20).read(str(path), Quarantine())
    assert [record.id for record in kept] == ["a", "long", "e"]


def test_tables_have_a_column_of_sequences(tmp_path: Path) -> None:
    path = tmp_path / "p.tsv"
    path.write_text("name\tsequence\tfamily\na\tmkv\tTK\nb\tM-K\tTK\nc\tMK\n")
    quarantine = Quarantine()
    (record,) = Proteins(label="family").read(str(path), quarantine)
    assert (record.id, record.content, record.target) == ("a", "MKV", "TK")
    assert quarantine.count == 2
    with pytest.raises(InputError, match="no column 'letters'"):
        list(Proteins(sequence="letters").read(str(path), Quarantine()))


@given(st.text(max_size=30) | st.text(RESIDUES + OTHERS.lower() + "*", max_size=30))
def test_any_text_is_a_protein_or_refused(text: str) -> None:
    try:
        found = normalised(text)
    except InputError:
        return
    assert set(found) <= set(RESIDUES + OTHERS)
    assert len(Proteins().features(found)["protein"].values) == len(found)


@given(st.text(RESIDUES + OTHERS, min_size=1, max_size=40))
def test_counts_are_those_of_all_words(sequence: str) -> None:
    counts = np.expm1(kmer_counts(sequence))
    pairs = [sequence[start : start + 2] for start in range(len(sequence) - 1)]
    for word in {*pairs, "AA", "WY"} & set(DIPEPTIDES):
        assert counts[DIPEPTIDES.index(word)] == pytest.approx(pairs.count(word), abs=1e-4)
    known = [next((str(n) for n, letters in enumerate(CLASSES) if letter in letters), "?") for letter in sequence]
    triads = ["".join(known[start : start + 3]) for start in range(len(known) - 2)]
    whole = [triad for triad in triads if "?" not in triad]
    assert counts[len(DIPEPTIDES) :].sum() == pytest.approx(len(whole), abs=1e-3)
    for triad in set(whole):
        assert counts[len(DIPEPTIDES) + int(triad, 7)] == pytest.approx(whole.count(triad), abs=1e-4)


def test_several_labels_and_attributes_stand_in_columns(tmp_path: Path) -> None:
    path = tmp_path / "p.tsv"
    path.write_text("name\tsequence\tec\tsplit\na\tMKV\t2; 2.7;2\ttrain\nb\tMK\t\ttest\n")
    first, second = Proteins(labels="ec").read(str(path), Quarantine())
    assert (first.target, first.metadata) == (("2", "2.7"), {"split": "train"})
    assert second.target is None
    with pytest.raises(InputError, match="no column 'go'"):
        list(Proteins(labels="go").read(str(path), Quarantine()))
    with pytest.raises(ValueError, match="one of label, labels and targets"):
        Proteins(labels="ec", label="ec")


def test_sites_are_the_positions_that_differ() -> None:
    records = [Record(name, content=name) for name in ("MKVA", "MRVA", "MKVG")]
    fitted = Proteins(scheme="sites", window=8).fitted(records)
    assert (fitted.reference, fitted.sites) == ("MKVA", (1, 3))
    segment = fitted.features("MRVG")["protein"]
    assert segment.positions[:, 0].tolist() == [1, 3]
    whole = Proteins(window=8).features("MRVG")["protein"]
    assert segment.values.tolist() == whole.values[[1, 3]].tolist()
    assert fitted.shapes() == Proteins(window=8).shapes()
    assert list(fitted.without("MRVG")) == [("K2R", "MKVG"), ("A4G", "MRVA")]
    with pytest.raises(InputError, match="V3W: no training sequence differs at position 3"):
        fitted.features("MKWA")
    with pytest.raises(InputError, match="5 residues; the model reads variants of a protein of 4"):
        fitted.features("MKVAA")
    with pytest.raises(InputError, match="sequences of one length"):
        Proteins(scheme="sites").fitted([*records, Record("e", content="MK")])
    given = Proteins(scheme="sites", window=8, sites=(1, 2)).fitted(records)
    assert given.features("MRWA")["protein"].positions[:, 0].tolist() == [1, 2]
    with pytest.raises(InputError, match=r"modality\.sites has 4, and the sequences have 4 residues"):
        Proteins(scheme="sites", sites=(1, 4)).fitted(records)
    with pytest.raises(InputError, match="nothing to learn"):
        Proteins(scheme="sites").fitted(records[:1])


@given(st.text(RESIDUES, min_size=1, max_size=60), st.integers(1, 3), st.integers(1, 40), st.integers(0, 9))
def test_a_crop_is_a_stretch_of_the_sequence_where_it_stands(sequence: str, halved: int, crop: int, seed: int) -> None:
    modality = Proteins(scheme="convolved", window=64, downsamplings=halved, crop=crop)
    whole = modality.features(sequence)["protein"]
    assert len(whole.positions) == -(-len(sequence) // 2**halved)
    part = modality.varied({"protein": whole}, np.random.default_rng(seed))["protein"]
    first = int(part.positions[0, 0]) * 2**halved
    assert len(part.values) == min(crop, len(sequence))
    assert part.values.tolist() == whole.values[first : first + len(part.values)].tolist()
    assert part.positions[:, 0].tolist() == list(range(first // 2**halved, -(-(first + len(part.values)) // 2**halved)))


def test_stretches_are_taken_away_one_by_one() -> None:
    changed = dict(Proteins().without("A" * 23))
    assert list(changed) == ["1-10", "11-20", "21-23"]
    assert changed["21-23"] == "A" * 20 + "XXX"
