"""Runs over pairs of two things: learnt by heart, exported, asked, and a library screened from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from textome.cli.main import application
from textome.encoders.checkpoint import load_tensors
from textome.encoders.towers import TowersConfig
from textome.encoders.towers.model import PairModel
from textome.errors import InputError
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.pairs import PairPredictor
from textome.tasks.affinity import Affinity
from textome.training.finetune import finetune
from textome.training.losses import LOSSES, numbers_with_deviations, target_options
from textome.training.models import PairEncoder
from textome.training.pairs.job import PairJob
from textome.training.recipe import Recipe

pytest.importorskip("rdkit")
SMILES = ["CCO", "c1ccccc1", "CC(=O)O", "CCN", "CCCCCC", "Oc1ccccc1", "CC#N", "CCS", "ClCCl", "NCC(=O)O"]
PROTEINS = {"one": "MKVLAAGIVG", "two": "MKKRRKSPPK", "three": "MWWYFFHWYY"}


def write_pairs(folder: Path) -> None:
    """Ten molecules and three proteins: the score is the sum of what belongs to each, and one of both."""
    (folder / "m.csv").write_text("name,smiles\n" + "".join(f"m{n},{smiles}\n" for n, smiles in enumerate(SMILES)))
    (folder / "p.fasta").write_text("".join(f">{name}\n{letters}\n" for name, letters in PROTEINS.items()))
    rows = [
        f"m{n}\t{name}\t{10 + n % 4 + 2 * m + (n % 3) * m:.1f}\n" for n in range(10) for m, name in enumerate(PROTEINS)
    ]
    (folder / "pairs.tsv").write_text("molecule\tprotein\tscore\n" + "".join(rows))


def recipe_of(folder: Path, **changes: Any) -> Recipe[PairEncoder]:
    molecule = {"kind": "molecules", "scheme": "fingerprint", "name": "name"}
    values = {
        "name": "tiny pairs",
        "data": {"root": str(folder), "drop_leaks": False}
        | {key: ["pairs.tsv"] for key in ("train", "validation", "test")},
        "modality": {
            "kind": "pairs",
            "targets": ["score"],
            "files": {"molecule": "m.csv", "protein": "p.fasta"},
            "parts": {"molecule": molecule, "protein": {"kind": "proteins", "scheme": "kmers"}},
        },
        "target": {"kind": "affinity"},
        "model": {"intermediate_size": 32, "hidden_size": 16, "joint_size": 16, "hidden_dropout": 0.0},
        "training": {"epochs": 60, "learning_rate": 1e-2, "token_budget": 16, "precision": "fp32", "device": "cpu"},
    }
    return Recipe[PairEncoder].model_validate(values | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder)
    bundle = Bundle.load(finetune(recipe_of(folder), folder / "run"))
    for precision in ("fp32", "int8"):
        export_bundle(bundle, bundle.directory, precision)
    return folder


def test_pairs_are_learnt_and_the_graph_agrees_with_the_model(folder: Path) -> None:
    scores = json.loads((folder / "run" / "scores.json").read_text())
    assert scores["concordance"] > 0.95
    assert scores["coverage"] >= 0.9
    (hashes,) = Bundle.load(folder / "run" / "bundle").provenance["data"].values()
    assert list(hashes) == ["pairs.tsv", "pairs.tsv, m.csv", "pairs.tsv, p.fasta"]
    predictor = PairPredictor.load(folder / "run" / "bundle", "fp32")
    library = [predictor.vector("molecule", (smiles,)) for smiles in SMILES]
    targets = [predictor.vector("protein", letters) for letters in PROTEINS.values()]
    answers = predictor.screened(library, targets)
    assert answers.shape == (10, 3, 2)
    config = json.loads((folder / "run" / "bundle" / "config.json").read_text())
    names = TowersConfig.__dataclass_fields__
    model = PairModel(TowersConfig(**{key: value for key, value in config.items() if key in names})).eval()
    load_tensors(model, load_file(folder / "run" / "bundle" / "model.safetensors"), "bundle")
    first, second = (torch.from_numpy(np.stack(side)) for side in (library, targets))
    index = torch.from_numpy(np.indices((10, 3)).reshape(2, -1))
    with torch.no_grad():
        outputs = model(first, second, *index).numpy()
    target = predictor.target
    assert np.allclose(target.answers(outputs), answers.reshape(30, 2), atol=1e-4)
    rounded = PairPredictor.load(folder / "run" / "bundle", "int8").screened(library, targets)
    assert np.corrcoef(rounded[..., 0].ravel(), answers[..., 0].ravel())[0, 1] > 0.98
    # A table of the same pairs gives the same answers.
    from textome.formats import Quarantine

    found = {record.id: answer for record, answer in predictor.stream(str(folder / "pairs.tsv"), Quarantine())}
    assert found["m3/two"] == pytest.approx(answers[3, 1], abs=1e-4)


def test_a_library_is_screened_from_the_command_line(folder: Path, tmp_path: Path) -> None:
    library = tmp_path / "library.smi"
    library.write_text("CCO ethanol\nC1CC broken ring\nc1ccccc1 benzene\nC(C)(C)(C)(C)C five bonds\n")
    command = ["screen", str(library), "-t", str(folder / "p.fasta"), "-m", str(folder / "run" / "bundle")]
    output = tmp_path / "ranked.tsv"
    result = CliRunner().invoke(application(["screen"]), [*command, "-o", str(output), "--threads", "1"])
    assert result.exit_code == 1, result.output
    header, *rows = [line.split("\t") for line in output.read_text().splitlines()]
    assert header == ["rank", "protein", "molecule", "smiles", "score", "score ±"]
    assert len(rows) == 6
    for number in range(0, 6, 2):
        assert [row[0] for row in rows[number : number + 2]] == ["1", "2"]
        assert float(rows[number][4]) >= float(rows[number + 1][4])
    assert all(float(row[5]) > 0 for row in rows)
    assert "line 2" in result.output
    assert "line 4" in result.output
    lines = CliRunner().invoke(application(["screen"]), [*command, "--to", "jsonl", "--limit", "1"]).stdout
    assert [json.loads(line)["rank"] for line in lines.splitlines() if line.startswith("{")] == [1, 1, 1]


def test_no_batch_but_the_last_is_small() -> None:
    """A molecule with many pairs shares its batch with others."""
    lengths = [int(number) for number in np.random.default_rng(0).integers(1, 100, 500)]
    training = SimpleNamespace(seed=1, token_budget=1000)
    job = SimpleNamespace(tasks=[SimpleNamespace(lengths=lengths)], recipe=SimpleNamespace(training=training))
    batches = [batch.indices for batch in PairJob.plan(job, 0)]  # type: ignore[arg-type]
    assert sorted(index for batch in batches for index in batch) == list(range(500))
    *sizes, _ = [sum(lengths[index] for index in batch) for batch in batches]
    assert all(900 < size <= 1000 for size in sizes)
    assert batches != [batch.indices for batch in PairJob.plan(job, 1)]  # type: ignore[arg-type]


def test_things_that_are_no_single_vector_are_refused(folder: Path) -> None:
    values = recipe_of(folder).input
    assert values is not None
    tokens = values.model_dump(mode="json")
    tokens["parts"]["protein"]["scheme"] = "residues"
    with pytest.raises(InputError, match="two parts that are one vector each"):
        finetune(recipe_of(folder, modality=tokens), folder / "refused")


def test_intervals_hold_the_share_of_pairs_that_is_asked_for() -> None:
    generator = np.random.default_rng(5)
    task = Affinity(labels=("y",), means=(10.0,), deviations=(2.0,))
    outputs = np.stack([generator.normal(size=4000), generator.normal(-1, 0.5, 4000)], 1).astype(np.float32)
    errors = generator.normal(size=4000) * 3 * np.exp(outputs[:, 1]) * 2
    rows = (outputs[:, 0] * 2 + 10 + errors).astype(np.float32)[:, None]
    fitted = task.with_intervals(rows[:2000], outputs[:2000])
    answers = fitted.answers(outputs[2000:])
    inside = np.abs(rows[2000:, 0] - answers[:, 0]) <= answers[:, 1]
    assert inside.mean() == pytest.approx(0.9, abs=0.03)
    assert fitted.widths[0] == pytest.approx(3 * 1.645, rel=0.1)
    assert task.with_intervals(np.full((3, 1), np.nan, np.float32), outputs[:3]).widths == (1.0,)


def test_the_loss_is_that_of_a_normal_distribution() -> None:
    outputs = torch.tensor([[1.0, 0.5], [2.0, -1.0], [0.0, 0.0]], requires_grad=True)
    targets = torch.tensor([[0.0], [2.5], [float("nan")]])
    normal = torch.distributions.Normal(outputs[:2, 0].detach(), outputs[:2, 1].exp())
    doubts = -normal.log_prob(targets[:2, 0]) - 0.5 * np.log(2 * np.pi)
    expected = (1.0 + 0.25 + 0.1 * doubts.sum()) / 2
    value = numbers_with_deviations(outputs, targets)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    value.backward()
    assert outputs.grad is not None
    assert outputs.grad[0, 0].item() == pytest.approx(1.0)
    assert outputs.grad[2].tolist() == [0, 0]
    rest = value.item() - (1.0 + 0.25) / 2  # what the deviations cost
    for powers, errors in (((1,), 1.0 + 0.5), ((1, 2), (2.0 + 0.75) / 2)):
        assert numbers_with_deviations(outputs, targets, powers).item() == pytest.approx(errors / 2 + rest, rel=1e-5)


@pytest.mark.parametrize(("kind", "powers"), [("squares", (2,)), ("absolute", (1,)), ("both", (1, 2))])
def test_a_model_of_affinities_learns_by_the_loss_that_its_recipe_names(kind: str, powers: tuple[int, ...]) -> None:
    task = Affinity(labels=("k",), means=(1.0,), deviations=(2.0,), loss_of_numbers=kind)  # type: ignore[arg-type]
    targets = np.array([[3.0], [2.0], [8.0]], np.float32)
    outputs = torch.tensor([[1.0, 0.5], [2.0, -1.0], [0.0, 0.0]])
    options = target_options(task, targets, 0.0, torch.device("cpu"))
    value = LOSSES[task.loss].value(outputs, torch.from_numpy(targets), [3], options)
    standardised = torch.tensor([[1.0], [0.5], [3.5]])
    assert value.item() == pytest.approx(numbers_with_deviations(outputs, standardised, powers).item())
