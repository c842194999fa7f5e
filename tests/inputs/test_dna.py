"""DNA: what files may hold, the tokens of the schemes, and both strands."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.inputs.dna import Dna
from textome.inputs.dna_files import DnaRecord, normalised, read_dna, reverse_complement
from textome.inputs.dna_tokens import MASK, UNKNOWN, DnaTokens, kmer_counts, one_hot
from textome.inputs.records import Record

dna = st.text("ACGTN", min_size=1, max_size=80)


def write(folder: Path, text: str | bytes, name: str = "a.fa") -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def found(place: str) -> tuple[list[DnaRecord], list[str]]:
    quarantine = Quarantine()
    return list(read_dna(place, quarantine)), [f"{bad.position}: {bad.reason}" for bad in quarantine.records]


def test_fasta_lines_are_joined_and_lower_case_and_ambiguous_letters_are_read(tmp_path: Path) -> None:
    records, bad = found(write(tmp_path, ">one label=EI of a test\r\nacgt\r\nNNry\r\n\r\n>two\nACGU\n"))
    assert bad == []
    assert records == [
        DnaRecord("one", "ACGTNNNN", "line 1", "EI"),
        DnaRecord("two", "ACGT", "line 5", None),
    ]


def test_bad_fasta_records_are_quarantined_and_the_others_are_read(tmp_path: Path) -> None:
    text = "; a comment\n>empty\n>protein\nMKVL*\n>good\nAC GT\n"
    records, bad = found(write(tmp_path, text))
    assert [(record.name, record.sequence) for record in records] == [("good", "ACGT")]
    assert bad == [
        "line 2, record empty: the sequence is empty",
        "line 3, record protein: letter 4 is 'L', which stands for no base; is this DNA?",
    ]


def test_text_before_the_first_header_is_told(tmp_path: Path) -> None:
    records, bad = found(write(tmp_path, ";x\nACGT\n>one\nAC\n"))
    assert [record.name for record in records] == ["one"]
    assert bad == ["line 2: there is text before the first header; is this a FASTA file?"]


def test_a_gzip_file_that_is_cut_short_keeps_what_stands_before_and_no_half_record(tmp_path: Path) -> None:
    bases = np.random.default_rng(0).choice(list("ACGT"), (100, 50, 60))
    text = "".join(f">r{n}\n" + "".join("".join(row) + "\n" for row in rows) for n, rows in enumerate(bases))
    whole = gzip.compress(text.encode())
    assert len(found(write(tmp_path, whole, "a.fa.gz"))[0]) == 100
    records, bad = found(write(tmp_path, whole[: len(whole) // 2], "a.fa.gz"))
    assert 10 < len(records) < 60
    assert all(len(record.sequence) == 3000 for record in records)
    assert len(bad) == 1
    assert "damaged or cut short" in bad[0]


def test_tables_of_label_name_and_sequence(tmp_path: Path) -> None:
    text = "Class, Donor,   Sequence\nEI,  A-1,    CCAGD\n\n+,B,\t\tacgt\n,C,ACGT\nN,D,ACXT\nN,D\nN,D,E,ACGT\n"
    records, bad = found(write(tmp_path, text, "a.csv"))
    assert [(record.label, record.name, record.sequence) for record in records] == [
        ("EI", "A-1", "CCAGN"),
        ("+", "B", "ACGT"),
        ("N", "row-7", "N"),  # two columns are a label and a sequence, and D is an ambiguous base
    ]
    assert bad == [
        "line 5: the label is empty",
        "line 6, column 3: letter 3 is 'X', which stands for no base; is this DNA?",
        "line 8: expected at most 3 columns (label, name, sequence), found 4",
    ]


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_dna(str(tmp_path / "none.fa"), Quarantine())
    with pytest.raises(InputError, match="a directory"):
        read_dna(str(tmp_path), Quarantine())


@given(st.text("acgtunACGTURYSWKMBDHVN", min_size=1))
def test_what_is_read_has_only_five_letters_and_keeps_its_length(text: str) -> None:
    assert set(normalised(text)) <= set("ACGTN")
    assert len(normalised(text)) == len(text)


@given(dna)
def test_the_reverse_complement_of_the_reverse_complement_is_the_sequence(sequence: str) -> None:
    other = reverse_complement(sequence)
    assert reverse_complement(other) == sequence
    assert (other.count("A"), other.count("G")) == (sequence.count("T"), sequence.count("C"))
    assert reverse_complement("AACGN") == "NCGTT"


@given(dna)
def test_base_tokens_say_the_sequence(sequence: str) -> None:
    tokens = DnaTokens.of("base")
    names = {number: word for word, number in tokens.tokenizer.get_vocab().items()}
    assert "".join(names[number] for number in tokens.encode(sequence)) == sequence
    assert tokens.size == 3 + 5


@given(dna, st.integers(2, 4))
def test_each_word_of_k_bases_is_one_token_and_words_with_n_are_unknown(sequence: str, k: int) -> None:
    tokens = DnaTokens.of("kmer", k)
    assert tokens.size == 3 + 4**k
    if len(sequence) < k:
        with pytest.raises(InputError, match="fewer than a word"):
            tokens.encode(sequence)
        return
    words = [sequence[start : start + k] for start in range(len(sequence) - k + 1)]
    ids = tokens.encode(sequence)
    assert [number == UNKNOWN for number in ids] == ["N" in word for word in words]
    names = {number: word for word, number in tokens.tokenizer.get_vocab().items()}
    assert [names[number] for number in ids if number != UNKNOWN] == [word for word in words if "N" not in word]


@given(st.lists(dna, min_size=1, max_size=4), dna)
def test_byte_pairs_say_the_sequence_and_survive_their_file(sequences: list[str], sequence: str) -> None:
    tokens = DnaTokens.of("bpe", sequences=sequences, vocab_size=32)
    ids = tokens.encode(sequence)
    assert UNKNOWN not in ids
    assert tokens.tokenizer.decode(ids.tolist()) == sequence
    assert len(ids) <= len(sequence)
    again = DnaTokens.from_json("bpe", 1, tokens.to_json())
    assert again.encode(sequence).tolist() == ids.tolist()


def test_byte_pairs_need_sequences() -> None:
    with pytest.raises(InputError, match="there are none"):
        DnaTokens.of("bpe")


def test_long_sequences_become_windows_that_hold_every_base(tmp_path: Path) -> None:
    sequence = "".join(np.random.default_rng(1).choice(list("ACGT"), 103))
    place = write(tmp_path, f">a\n{sequence}\n>a\nACGT\n")
    records = list(Dna(window=20, overlap=5).read(place, Quarantine()))
    assert all(len(record.content) <= 20 for record in records)
    assert records[-1] == Record("a, line 3", content="ACGT")  # the name stands twice
    covered = bytearray(len(sequence))
    for record in records[:-1]:
        start = int(record.id.partition("@")[2])
        assert record.content == sequence[start : start + 20]
        covered[start : start + 20] = b"1" * len(record.content)
    assert bytes(covered) == b"1" * 103


@given(dna)
def test_both_strands_have_the_same_views_in_the_same_order(sequence: str) -> None:
    both = Dna(strands="both", window=80)
    assert both.views(sequence) == both.views(reverse_complement(sequence))
    assert set(both.views(sequence)) == {sequence, reverse_complement(sequence)}
    assert Dna(window=80).views(sequence) == [sequence]


def test_augmentation_reads_either_strand_and_changes_some_bases() -> None:
    generator = np.random.default_rng(0)
    sequence = "A" * 200 + "N" * 20
    drawn = {Dna(strands="both").augmented(sequence, generator) for _ in range(20)}
    assert drawn == {sequence, reverse_complement(sequence)}
    noisy = Dna(substitutions=0.2).augmented(sequence, generator)
    assert noisy.endswith("N" * 20)
    assert 0.08 < sum(letter != "A" for letter in noisy[:200]) / 200 < 0.25  # a quarter of 0.2 draw the same base


def test_the_segment_fits_the_shape() -> None:
    for modality in (Dna(window=30), Dna(scheme="kmer", k=3, window=30)):
        (shape,) = modality.shapes().values()
        segment = modality.features("ACGTN" * 6)["dna"]
        assert segment.values.max() < shape.size
        assert segment.positions[:, 0].tolist() == list(range(len(segment.values)))
        assert len(segment.values) <= shape.axes[0]
        assert shape.mask_id == (MASK if modality.scheme == "base" else None)
    with pytest.raises(InputError, match="more than the model's window of 8"):
        Dna(window=8).features("ACGTACGTA")


def test_learnt_words_are_part_of_the_settings() -> None:
    plain = Dna(scheme="bpe", vocabulary=24, window=64)
    fitted = plain.fitted([Record("a", content="ACGACGACGACG"), Record("b", content="TTTTTTTT")])
    again = Dna.model_validate_json(fitted.model_dump_json())
    assert again.shapes()["dna"].size == fitted.shapes()["dna"].size > 8
    ids = again.features("ACGACGTTTT")["dna"].values
    assert len(ids) < 10
    assert ids.tolist() == fitted.features("ACGACGTTTT")["dna"].values.tolist()


@pytest.mark.parametrize("wrong", [{"scheme": "kmer"}, {"k": 3}, {"window": 16, "overlap": 16}])
def test_settings_that_do_not_go_together(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Dna(**wrong)


@given(st.lists(st.text("ACGTN", min_size=3, max_size=30), min_size=1, max_size=3))
def test_counts_of_words(sequences: list[str]) -> None:
    counts = kmer_counts(sequences, 2)
    assert counts.shape == (len(sequences), 4 + 16)
    for row, sequence in zip(counts, sequences, strict=True):
        assert row[0] == sequence.count("A")
        assert row[4] == sum(sequence[start : start + 2] == "AA" for start in range(len(sequence)))
        assert row[:4].sum() == len(sequence) - sequence.count("N")


def test_one_hot_places() -> None:
    assert one_hot(["AN", "TC"]).tolist() == [[1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 1, 0, 0]]
    with pytest.raises(InputError, match="one length"):
        one_hot(["A", "AC"])


def test_the_splice_and_promoter_sets(shared_data: Path) -> None:
    for name, count, labels in (
        ("UCI-Splice/splice.csv", 3190, {"EI": 767, "IE": 768, "N": 1655}),
        ("UCI-Promoters/promoters.data", 106, {"+": 53, "-": 53}),
    ):
        quarantine = Quarantine()
        records = list(Dna(window=64).read(str(shared_data / "dna" / name), quarantine))
        assert (len(records), quarantine.count) == (count, 0)
        assert len({record.id for record in records}) == count
        assert {label: sum(record.target == label for record in records) for label in labels} == labels


def test_a_bad_first_row_is_reported_and_a_header_is_not(tmp_path: Path) -> None:
    for text, names, problems in (
        (
            "EI\ta\tACGX\nEI\tb\tACGT\n",
            ["b"],
            ["line 1, column 3: letter 4 is 'X', which stands for no base; is this DNA?"],
        ),
        ("class\tname\tbases read\nEI\tb\tACGT\n", ["b"], []),
        ("class\tname\tsequence\nEI\tb\tACGT\n", ["b"], []),
    ):
        (tmp_path / "a.tsv").write_text(text)
        quarantine = Quarantine()
        assert [record.name for record in read_dna(str(tmp_path / "a.tsv"), quarantine)] == names
        assert [f"{record.position}: {record.reason}" for record in quarantine.records] == problems


def test_fastq_is_read_and_its_qualities_are_no_bases(tmp_path: Path) -> None:
    path = tmp_path / "a.fastq"
    path.write_text("@r1 own\nACGT\n+\nFFFF\n@r2\nACGX\n+\nAAAA\n@r3\nAC\n+\nA\n@r4\nNNAC\n+r4\n@@@@\n@r5\nAC\n")
    quarantine = Quarantine()
    found = list(read_dna(str(path), quarantine))
    assert [(record.name, record.sequence) for record in found] == [("r1", "ACGT"), ("r4", "NNAC")]
    assert [record.position for record in quarantine.records] == ["line 5, read r2", "line 9, read r3", "line 18"]
