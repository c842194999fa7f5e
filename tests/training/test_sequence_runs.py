"""Whole runs on DNA, molecules and several parts together: learnt by heart, exported, and the same without PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lxml import etree
from typer.testing import CliRunner

import textome
from textome.cli.main import application
from textome.encoders.bert.model import BertConfig
from textome.encoders.checkpoint import load_tensors
from textome.encoders.sequence.model import SequenceModel
from textome.errors import InputError
from textome.explain.attention import attention_of
from textome.formats.reading.sources import Quarantine
from textome.inputs.dna_files import reverse_complement
from textome.inputs.records import Record
from textome.runtime.bundle import Bundle
from textome.runtime.predictor import Predictor
from textome.training.losses import known_labels
from textome.training.modality.data import load_records, pack_sequences
from textome.training.recipe import load_recipe, parse_recipe
from tiny import make_base
from tiny_sequences import TRAINING, train, write_dna, write_molecules, write_pairs, write_reports

RECIPES = Path(__file__).resolve().parents[2] / "recipes" / "modalities"


def test_dna_is_learnt_and_both_strands_have_exactly_one_prediction(tmp_path: Path) -> None:
    modality = {"kind": "dna", "scheme": "kmer", "k": 3, "window": 24, "strands": "both"}
    bundle = train(tmp_path, write_dna(tmp_path), modality, {"kind": "classification"}, epochs=40)
    assert bundle.provenance["test"]["accuracy"] == 1.0
    predictor = Predictor(bundle)
    records = [record for record, _ in predictor.stream(str(tmp_path / "dna.csv"), Quarantine())]
    sequences = [record.content for record in records]
    others = [reverse_complement(sequence) for sequence in sequences]
    assert sequences != others
    np.testing.assert_array_equal(predictor.answer(sequences), predictor.answer(others))
    one_by_one = [predictor.answer([sequence])[0] for sequence in others]
    np.testing.assert_allclose(one_by_one, predictor.answer(sequences), atol=1e-6)
    pipeline = textome.load(bundle.directory)
    assert pipeline("gtaag" * 4).labels[0].name == "site"  # a text is a sequence here
    with pytest.raises(InputError, match="letter 2 is '!', which stands for no base"):
        pipeline("A!")


def test_without_both_strands_a_prediction_depends_on_the_strand(tmp_path: Path) -> None:
    modality = {"kind": "dna", "window": 24}
    predictor = Predictor(train(tmp_path, write_dna(tmp_path), modality, {}, epochs=1))
    assert (predictor.answer(["ACGTTTGCA"]) != predictor.answer([reverse_complement("ACGTTTGCA")])).any()


def test_numbers_and_labels_of_molecules_some_of_which_are_missing(tmp_path: Path) -> None:
    place = write_molecules(tmp_path)
    modality = {"kind": "molecules", "chemistry": False, "window": 16}
    numbers = train(tmp_path, place, modality | {"targets": ["carbons"]}, {"kind": "regression"}, epochs=40)
    assert numbers.provenance["test"]["rmse"] < 0.5
    labels = train(tmp_path, place, modality | {"targets": ["oxygen"]}, {"kind": "multi_label"}, epochs=20)
    assert labels.provenance["test"]["roc_auc"] == 1.0
    (tmp_path / "new.csv").write_text("smiles\nCCCO\nC!\n")
    quarantine = Quarantine()
    ((record, answer),) = Predictor(numbers).stream(str(tmp_path / "new.csv"), quarantine)
    assert record.content == ("CCCO",)
    assert answer[0] == pytest.approx(3, abs=1)
    (label,) = textome.load(numbers.directory)("CCCO").labels
    assert (label.name, label.value) == ("carbons", pytest.approx(float(answer[0]), abs=1e-4))
    assert quarantine.count == 1


def test_a_bad_record_is_counted_once_though_its_file_is_read_for_each_part(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("smiles,y\nCC,1\nC!,2\nCCC,3\nCO,2\n")
    places = {"train": ["m.csv#!0-50%"], "validation": ["m.csv"], "test": ["m.csv#0-50%"]}
    values = {
        "name": "counted",
        "data": {"root": str(tmp_path)} | places,
        "modality": {"kind": "molecules", "targets": ["y"], "chemistry": False},
        "target": {"kind": "regression"},
        "training": TRAINING,
    }
    recipe = parse_recipe(values, "tiny")
    quarantine = load_records(recipe, recipe.input).quarantine
    assert (quarantine.count, len(quarantine.records)) == (1, 1)
    assert "line 3" in str(quarantine.records[0])


def test_training_records_that_all_stand_in_the_test_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("smiles,y\nCC,1\nCO,2\n")
    values = {
        "name": "the same",
        "data": {"root": str(tmp_path), "train": ["m.csv"], "test": ["m.csv"]},
        "modality": {"kind": "molecules", "targets": ["y"], "chemistry": False},
        "target": {"kind": "regression"},
        "training": TRAINING,
    }
    recipe = parse_recipe(values, "tiny")
    with pytest.raises(InputError, match=r"each of the 2 stands in the test data too, see data\.drop_leaks"):
        load_records(recipe, recipe.input)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_is_valid_and_its_modality_has_a_shape(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name.replace("-", "_") == path.stem
    if recipe.input.kind in ("dna", "molecules"):
        assert len(recipe.input.shapes()) == 1


def test_missing_labels_count_for_nothing_in_the_loss() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    targets = torch.tensor([[1.0, torch.nan, 0.0], [torch.nan, torch.nan, 1.0], [0.0, 1.0, torch.nan], [1.0, 1.0, 0.0]])
    loss = known_labels(logits, targets, None)
    (gradient,) = torch.autograd.grad(loss, logits)
    known = ~targets.isnan()
    expected = torch.zeros(())
    for row, column in known.nonzero().tolist():
        probability = torch.sigmoid(logits[row, column])
        expected = expected - torch.log(probability if targets[row, column] == 1 else 1 - probability)
    torch.testing.assert_close(loss, expected / known.sum())
    assert (gradient[~known] == 0).all()
    assert (gradient[known] != 0).all()


def test_pretraining_on_hidden_bases_goes_on_to_a_classifier(tmp_path: Path) -> None:
    place = write_dna(tmp_path)
    modality = {"kind": "dna", "window": 24}
    first = train(tmp_path, place, modality, {"kind": "masked"}, epochs=2)
    base = {"base": str(first.directory)}
    second = train(tmp_path, place, modality, {}, epochs=1, learning_rate=1e-9, model=base)
    before, after = (_tensors(bundle) for bundle in (first, second))
    for name in ("embedders.dna.table.weight", "bert.encoder.layer.0.attention.self.query.weight"):
        np.testing.assert_allclose(after[name], before[name], atol=1e-6)
    with pytest.raises(InputError, match=r"set modality\.scheme, modality\.k and modality\.window"):
        train(tmp_path, place, modality | {"window": 30}, {}, epochs=1, model=base)


def test_overlapping_words_cannot_be_hidden(tmp_path: Path) -> None:
    modality = {"kind": "dna", "scheme": "kmer", "k": 3, "window": 24}
    with pytest.raises(InputError, match="needs a modality of tokens that can be hidden"):
        train(tmp_path, write_dna(tmp_path), modality, {"kind": "masked"}, epochs=1)


def test_several_parts_tell_more_than_each_and_each_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = write_pairs(tmp_path)
    parts = {"dna": {"kind": "dna", "window": 16}, "note": {"kind": "text", "window": 16, "vocabulary": 64}}
    scores = {}
    for name, chosen in (("both", parts), ("dna", {"dna": parts["dna"]}), ("note", {"note": parts["note"]})):
        modality = {"kind": "together", "parts": chosen, "drop": 0.1}
        bundle = train(tmp_path, place, modality, {}, epochs=30)
        scores[name] = bundle.provenance["test"]["accuracy"]
        if name == "both":
            both = Predictor(bundle)
    assert scores["both"] == 1.0
    assert scores["dna"] < 0.9
    assert scores["note"] < 0.9
    alone = both.answer([{"dna": "A" * 10}, {"note": "it is blue"}, {"dna": "G" * 10, "note": "it is blue"}])
    assert alone.argmax(1).tolist() == [0, 1, 1]
    _same_by_torch(both)
    _attention_by_torch(both, monkeypatch)
    _explained(both, tmp_path / place)


def test_a_scan_and_its_report_are_read_together_and_either_may_be_missing(tmp_path: Path) -> None:
    place = write_reports(tmp_path)
    scan = {"kind": "image", "size": 8, "patch": 4, "channels": 1, "flip": "none"}
    parts = {"scan": scan, "report": {"kind": "text", "window": 24, "vocabulary": 64}}
    bundle = train(tmp_path, place, {"kind": "together", "parts": parts, "drop": 0.3}, {}, epochs=30)
    assert bundle.provenance["test"]["accuracy"] == 1.0  # of all, of which two thirds lack one or the other
    report = "The lungs are clear."
    asked = {
        "both": {"scan": "scans/1.png", "report": report},
        "scan": {"scan": "scans/0.png"},
        "report": {"report": report, "scan": None},
        "neither": {"report": " "},
        "damaged": {"scan": "bad.png", "report": report},
        "absent": {"scan": "none.png", "report": report},
    }
    (tmp_path / "bad.png").write_bytes((tmp_path / "scans" / "0.png").read_bytes()[:60])
    new = tmp_path / "new.jsonl"
    new.write_text("".join(json.dumps({"id": name, "parts": parts}) + "\n" for name, parts in asked.items()))
    result = CliRunner().invoke(application(), ["predict", str(new), "--model", str(bundle.directory)])
    assert result.exit_code == 1
    answers = {row["id"]: row["label"] for row in map(json.loads, result.stdout.splitlines())}
    assert answers == {"both": "clear", "scan": "opaque", "report": "clear"}
    for number, reason in ((4, "the record has none of the parts"), (5, "bad.png"), (6, "none.png: no such file")):
        assert f"line {number}" in result.stderr
        assert reason in result.stderr
    pipeline = textome.load(bundle.directory, min_confidence=0)
    pixels = np.full((8, 8, 1), 230, np.uint8)
    contents = ({"scan": pixels}, {"report": report}, {"scan": pixels, "report": "There is an opacity."})
    records = pipeline([textome.Record(str(number), content=content) for number, content in enumerate(contents)])
    assert [record.labels[0].name for record in records] == ["opaque", "clear", "opaque"]


def test_a_text_part_takes_the_words_of_the_encoder_that_it_starts_from(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    place = write_pairs(tmp_path)
    modality = {"kind": "together", "parts": {"note": {"kind": "text", "window": 16}}}
    model = {"base": str(base), "layers": None}
    bundle = train(tmp_path, place, modality, {}, epochs=1, learning_rate=1e-9, model=model)
    words = json.loads((base / "tokenizer.json").read_text())["model"]["vocab"]
    assert bundle.modality.shapes()["note"].size == len(words)
    from safetensors.numpy import load_file

    table = load_file(base / "model.safetensors")
    (name,) = (key for key in table if key.endswith("embeddings.word_embeddings.weight"))
    np.testing.assert_allclose(_tensors(bundle)["embedders.note.table.weight"], table[name], atol=1e-6)


def _tensors(bundle: Bundle) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(bundle.directory / "model.safetensors")


def _attention_by_torch(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph's attention is that of the model's queries and keys; what is missing is in no row."""
    record = Record("a", content={"dna": "ACGT", "note": "it is blue"})
    attention = attention_of(predictor, record)
    assert attention is not None
    kept: list[torch.Tensor] = []

    def recorded(query: torch.Tensor, key: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
        kept.append((query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(-1))
        return attend(query, key, *rest, **options)

    attend = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", recorded)
    model = _model(predictor.bundle).eval()
    with torch.no_grad():
        model(pack_sequences([predictor.input.features(record.content)], predictor.input.shapes()))
    monkeypatch.undo()
    expected = np.stack([layer[0].mean(0).numpy() for layer in kept])
    np.testing.assert_allclose(attention.layers, expected, atol=1e-5)
    assert attention.parts == ("[start]", "dna", "note")
    np.testing.assert_allclose(attention.between_parts.sum(2), 1, atol=1e-5)
    dna, note = attention.slices[1:]
    by_hand = expected[:, dna, note].sum(2).mean(1)
    np.testing.assert_allclose(attention.between_parts[:, 1, 2], by_hand, atol=1e-5)
    assert attention.between_tokens(2, 1).shape == (len(attention.names[2]), 4)
    assert attention_of(predictor, Record("a", content={"dna": "ACGT"})) is None


def _explained(predictor: Predictor, place: Path) -> None:
    """The command writes a page with what each part weighs and how the parts look at each other."""
    page = place.parent / "why.html"
    arguments = ["explain", str(place), "--model", str(predictor.bundle.directory), "--output", str(page)]
    assert CliRunner().invoke(application(), arguments).exit_code == 0
    text = page.read_text()
    for words in ("dna looks at note", "note looks at dna", "note: ", "<rect ", "mean over layers"):
        assert words in text
    etree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    shown = CliRunner().invoke(application(), [*arguments[:4], "--json"])
    first = json.loads(shown.stdout)[0]
    assert first["attention"]["parts"] == ["[start]", "dna", "note"]


def _model(bundle: Bundle) -> SequenceModel:
    shapes = bundle.modality.shapes()
    model = SequenceModel(BertConfig.from_dict(bundle.config), shapes, len(bundle.target.labels), bundle.target.pooling)
    load_tensors(model, {name: torch.from_numpy(array) for name, array in _tensors(bundle).items()}, "bundle")
    return model


def _same_by_torch(predictor: Predictor) -> None:
    """The graph and the model give the same scores, also where parts are missing."""
    bundle = predictor.bundle
    shapes, model = bundle.modality.shapes(), _model(bundle)
    items = [
        bundle.modality.features(content)
        for content in ({"dna": "ACGT"}, {"note": "red"}, {"note": "it is red", "dna": "ACGTTT"})
    ]
    with torch.no_grad():
        expected = model.eval()(pack_sequences(items, shapes)).numpy()
    np.testing.assert_allclose(np.stack(predictor.outputs(items)), expected, atol=2e-5)
