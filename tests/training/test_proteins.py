"""Models of proteins: functions with several labels, and the effect of variants; learnt, exported and explained."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from typer.testing import CliRunner

from textome.cli.main import application
from textome.encoders.bert.model import BertConfig
from textome.encoders.checkpoint import load_tensors
from textome.encoders.sequence.model import SequenceModel
from textome.errors import InputError
from textome.explain import explain_content
from textome.formats import Quarantine
from textome.inputs.records import Record
from textome.runtime.bundle import Bundle
from textome.runtime.predictor import Predictor
from textome.training.modality.data import load_records, pack_sequences
from textome.training.recipe import parse_recipe
from tiny_sequences import train


def write_functions(folder: Path, chains: int = 32) -> str:
    """Proteins with a run of W of class 1, and one of H of class 2; some have both, or none."""
    generator = random.Random(5)
    lines = ["name\tsequence\tec\n"]
    for number in range(chains):
        labels = [label for bit, label in enumerate(("1", "2")) if number >> bit & 1]
        middle = "WWWW" * ("1" in labels) + "HHHH" * ("2" in labels)
        ends = ["".join(generator.choices("ACDEFG", k=generator.randint(6, 12))) for _ in range(2)]
        lines.append(f"p{number}\t{ends[0]}{middle}{ends[1]}\t{';'.join(labels)}\n")
    (folder / "functions.tsv").write_text("".join(lines))
    return "functions.tsv"


def write_variants(folder: Path) -> str:
    """Variants of two positions whose effects add up, as mutations of a wild type."""
    (folder / "wild.fasta").write_text(">wild\nMTYKLVLN\n")
    effects = {"A": 0.0, "G": 1.0, "P": 2.0, "S": 3.0}
    lines = ["variant,fitness\n"]
    for one, first in effects.items():
        for two, second in effects.items():
            lines.append(f"T2{one};L5{two},{first + 2 * second}\n")
    (folder / "variants.csv").write_text("".join(lines))
    return "variants.csv"


VARIANTS = {
    "kind": "proteins",
    "scheme": "sites",
    "window": 16,
    "name": "variant",
    "targets": ["fitness"],
    "mutations": "variant",
    "wild_type": "wild.fasta",
}


@pytest.mark.parametrize("scheme", ["convolved", "kmers"])
def test_functions_are_learnt_and_the_graph_answers_as_the_model(scheme: str, tmp_path: Path) -> None:
    modality = {"kind": "proteins", "scheme": scheme, "window": 64, "labels": "ec", "downsamplings": 2}
    target = {"kind": "multi_label", "metric": "f_max"}
    bundle = train(tmp_path, write_functions(tmp_path), modality, target, epochs=20, token_budget=128)
    scores = bundle.provenance["test"]
    assert scores["f_max"] > 0.95
    assert scores["aupr"] > 0.95
    shapes = bundle.modality.shapes()
    model = SequenceModel(BertConfig.from_dict(bundle.config), shapes, 2, bundle.target.pooling).eval()
    tensors = load_file(bundle.directory / "model.safetensors")
    load_tensors(model, {name: torch.from_numpy(array) for name, array in tensors.items()}, "bundle")
    items = [bundle.modality.features(text) for text in ("ACDWWWWEFG", "GGGGHHHHCCCCCCCA", "M")]
    with torch.no_grad():
        expected = model(pack_sequences(items, shapes)).numpy()
    np.testing.assert_allclose(np.stack(Predictor(bundle, "fp32").outputs(items)), expected, atol=1e-4)
    explained = explain_content(Predictor(bundle, "fp32"), Record("a", content="ACDEFGACDEWWWWACDEFG"), "1")
    assert explained.parts[0][0] == "11-20"


def test_evaluate_scores_functions_and_quarantines_unknown_labels(tmp_path: Path) -> None:
    modality = {"kind": "proteins", "scheme": "kmers", "labels": "ec"}
    bundle = train(tmp_path, write_functions(tmp_path), modality, {"kind": "multi_label", "metric": "f_max"}, epochs=4)
    with (tmp_path / "functions.tsv").open("a") as stream:
        stream.write("new\tMKV\t7.1\nodd\tMK1\t2\nempty\t\t2\n")
    found = CliRunner().invoke(
        application(),
        ["evaluate", "--model", str(bundle.directory), "--data", str(tmp_path / "functions.tsv"), "--json"],
    )
    assert found.exit_code == 1
    assert {"f_max", "aupr", "macro_aupr", "roc_auc", "accuracy"} <= json.loads(found.stdout).keys()
    for reason in ("the label '7.1' is not one of the model's", "stands for no amino acid", "the sequence is empty"):
        assert reason in found.stderr


def test_effects_of_variants_are_learnt_from_pretrained_residues(tmp_path: Path) -> None:
    (tmp_path / "all.fasta").write_text("".join(f">{number}\n{'MTYKLVLN'[number % 3 :]}\n" for number in range(12)))
    pretrained = train(
        tmp_path, "all.fasta", {"kind": "proteins", "window": 16, "crop": 6}, {"kind": "masked"}, epochs=2
    )
    place = write_variants(tmp_path)
    bundle = train(
        tmp_path,
        place,
        VARIANTS,
        {"kind": "regression", "metric": "spearman"},
        model={"base": str(pretrained.directory)},
        epochs=60,
        token_budget=64,
    )
    assert bundle.provenance["test"]["spearman"] > 0.95
    assert bundle.modality.sites == (1, 4)
    predictor = Predictor(bundle, "fp32")
    quarantine = Quarantine()
    (tmp_path / "new.csv").write_text("variant\nT2S;L5S\nT2S\nK2S\nY3A\n")
    answers = {record.id: row[0] for record, row in predictor.stream(str(tmp_path / "new.csv"), quarantine)}
    assert list(answers) == ["T2S;L5S", "T2S"]
    assert answers["T2S;L5S"] == pytest.approx(9, abs=1.5)
    reasons = [item.reason for item in quarantine.records]
    assert "the wild type has T at position 2, and not K" in reasons[0]
    assert "Y3A: no training sequence differs at position 3" in reasons[1]
    explained = explain_content(predictor, Record("a", content="MSYKSVLN"))
    assert {name for name, _ in explained.parts} <= {"A2S", "A5S", "G2S", "P2S", "G5S", "P5S", "S2S"}
    with pytest.raises(InputError, match=r"set modality\.scheme and modality\.window to these"):
        train(
            tmp_path,
            place,
            VARIANTS | {"window": 32},
            {"kind": "regression"},
            model={"base": str(pretrained.directory)},
        )


def test_test_records_that_the_trained_model_cannot_read_are_quarantined(tmp_path: Path) -> None:
    write_variants(tmp_path)
    (tmp_path / "test.csv").write_text("variant,fitness\nT2A;L5G,2\nT2A;N8G,2\n")
    values = {
        "name": "tiny",
        "data": {"root": str(tmp_path), "train": ["variants.csv"], "test": ["test.csv"], "drop_leaks": False},
        "modality": VARIANTS,
        "target": {"kind": "regression"},
        "training": {"epochs": 1, "learning_rate": 1e-3},
    }
    recipe = parse_recipe(values, "tiny")
    data = load_records(recipe, recipe.input)
    assert [record.id for record in data.test] == ["T2A;L5G"]
    (bad,) = data.quarantine.records
    assert (bad.position, "N8G: no training sequence differs" in bad.reason) == ("record T2A;N8G", True)


def test_a_bundle_of_variants_reads_its_own_description(tmp_path: Path) -> None:
    bundle = train(tmp_path, write_variants(tmp_path), VARIANTS, {"kind": "regression"}, epochs=1)
    again = Bundle.load(bundle.directory).modality
    assert again == bundle.modality
    assert again.features("MTYKLVLN")["protein"].positions[:, 0].tolist() == [1, 4]
