"""Variant effects: against the model in PyTorch, over both strands, and as a user asks for them."""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path

import pytest
import torch

from textome.cli.main import main
from textome.errors import InputError
from textome.inputs.dna_files import reverse_complement
from textome.runtime.bundle import Bundle
from textome.runtime.predictor import Predictor
from textome.runtime.variant_effects import VariantScorer
from tiny_sequences import train, write_dna

HEAD = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model of sequences in which CAG is repeated from any base on."""
    folder = tmp_path_factory.mktemp("variants")
    generator = random.Random(2)
    starts = [generator.randrange(3) for _ in range(60)]
    (folder / "repeats.fa").write_text("".join(f">{n}\n{('CAG' * 8)[s : s + 15]}\n" for n, s in enumerate(starts)))
    modality = {"kind": "dna", "window": 15, "strands": "both"}
    return train(folder, "repeats.fa", modality, {"kind": "masked"}, epochs=60)


@pytest.fixture(scope="module")
def scorer(bundle: Bundle) -> VariantScorer:
    return VariantScorer(Predictor(bundle))


def by_torch(bundle: Bundle, sequence: str) -> float:
    """The sum of log p(base | the others), hidden one after another, by the model in PyTorch; N is not scored."""
    from safetensors.torch import load_file

    from textome.encoders.bert.model import BertConfig
    from textome.encoders.checkpoint import load_tensors
    from textome.encoders.sequence.model import SequenceModel
    from textome.training.modality.data import pack_sequences

    shapes = bundle.modality.shapes()
    model = SequenceModel(BertConfig.from_dict(bundle.config), shapes, 0).eval()
    load_tensors(model, load_file(bundle.directory / "model.safetensors"), "bundle")
    total = 0.0
    for place in range(len(sequence)):
        item = bundle.modality.features(sequence)
        number = int(item["dna"].values[place])
        item["dna"].values[place] = 2  # [MASK]
        with torch.no_grad():
            scores = model(pack_sequences([item], shapes), torch.tensor([1 + place]))[0, 3:]
        total += float(torch.log_softmax(scores, 0)[number - 3])
    return total


@pytest.mark.parametrize("sequence", ["CAGCAGCAG", "CAGCTGCAGCA", "A", "GATTACANNCAG"])
def test_the_log_likelihood_is_that_of_the_model_over_both_strands(
    bundle: Bundle, scorer: VariantScorer, sequence: str
) -> None:
    expected = (by_torch(bundle, sequence) + by_torch(bundle, reverse_complement(sequence))) / 2
    assert scorer.log_likelihood(sequence) == pytest.approx(expected, abs=1e-3)
    assert scorer.log_likelihood(sequence) == scorer.log_likelihood(reverse_complement(sequence))
    assert scorer.log_likelihood(sequence) < 0


def test_a_table_of_effects(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "genome.fa").write_text(">chr1\n" + "cagCAG" * 10 + "\n")
    lines = ["1\t31\trs1\tC\tT,<DEL>", "1\t30\t.\tG\tGCAG,GTTA", "1\t32\t.\tC\tT", "2\t1\t.\tA\tC"]
    (tmp_path / "v.vcf").write_text(HEAD + "\n".join(lines) + "\n")
    arguments = [
        "variants",
        tmp_path / "v.vcf",
        "-r",
        tmp_path / "genome.fa",
        "-m",
        bundle.directory,
        "-o",
        tmp_path / "e.tsv",
    ]
    monkeypatch.setattr(sys, "argv", ["textome", *map(str, arguments), "--flank", "5"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1  # three alternatives are quarantined
    told = capsys.readouterr().err
    assert "REF is C, but" in told
    assert "no sequence 2" in told
    header, *rows = [line.split("\t") for line in (tmp_path / "e.tsv").read_text().splitlines()]
    assert header == ["chromosome", "position", "id", "reference", "alternative", "before", "after", "effect"]
    assert [row[:5] for row in rows] == [
        ["1", "31", "rs1", "C", "T"],
        ["1", "30", ".", "G", "GCAG"],
        ["1", "30", ".", "G", "GTTA"],
    ]
    for row in rows:
        before, after, effect = map(float, row[5:])
        assert math.isclose(after - before, effect, abs_tol=2e-4)
    assert float(rows[0][7]) < -2  # a base that breaks the repeat
    assert float(rows[2][7]) < float(rows[1][7]) - 2  # one repeat more is better than other bases


def test_other_models_are_told_apart(tmp_path: Path) -> None:
    classifier = train(tmp_path, write_dna(tmp_path), {"kind": "dna", "window": 24}, {}, epochs=1)
    with pytest.raises(InputError, match="this one reads dna and answers sequence_classification"):
        VariantScorer(Predictor(classifier))
