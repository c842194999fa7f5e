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
