"""A bundle that is not whole, or contradicts itself, is refused with the file's name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from one_model import entities_of
from textome.documents import Document
from textome.errors import ModelError
from textome.runtime.bundle import Bundle, resolve_model
from textome.runtime.export import export_bundle


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(path.read_text())
    edit(values)
    path.write_text(json.dumps(values))


def test_a_whole_bundle_loads(bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    assert loaded.types == loaded.default_types == ("Disease", "Chemical")
    assert loaded.onnx_path().name == "model.int8.onnx"
    assert loaded.onnx_path("fp32").name == "model.fp32.onnx"
    (bundle / "model.safetensors").unlink()  # annotation needs only the graph
    assert Bundle.load(bundle).onnx_path()


@pytest.mark.parametrize("name", ["config.json", "textome.json", "tokenizer.json"])
def test_missing_files_are_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    message = "are not O, B-TYPE and I-TYPE" if name == "textome.json" else f"there is no {name}"
    with pytest.raises(ModelError, match=message):
        Bundle.load(bundle)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda it: it["tasks"]["entities"]["types"].append("Gene"), "3 types, which need 9 outputs, but .* 6 labels"),
        (lambda it: it["input"].update(windw=1), r"input: windw is not a key .* 'window'"),
        (lambda it: it["tasks"]["entities"].update(typs=[]), r"tasks\.entities: typs is not a key .* 'types'"),
        (lambda it: it["tasks"]["entities"].update(kind="entites"), "entites"),
        (lambda it: it["tasks"]["entities"].update(labels=["B", "I", "O"]), r"tasks\.entities: labels names 'B'"),
        (lambda it: it["tasks"]["entities"].update(default_types=["Gene"]), "default_types names 'Gene'"),
        (lambda it: it.update(format_version=3), "format_version"),
        (lambda it: it["input"].update(window=4096), "window of 4096 tokens is larger"),
        (lambda it: it["input"].update(overlap=31), "overlap 31"),
        (lambda it: it.pop("name"), "name: is missing"),
    ],
)
def test_descriptions_that_contradict_are_refused(bundle: Path, edit: Any, message: str) -> None:
    change(bundle / "textome.json", edit)
    with pytest.raises(ModelError, match=message):
        Bundle.load(bundle)


def test_broken_json_and_missing_directories_are_named(bundle: Path) -> None:
    (bundle / "textome.json").write_text("{")
    with pytest.raises(ModelError, match=r"textome\.json cannot be read"):
        Bundle.load(bundle)
    with pytest.raises(ModelError, match="no such model directory"):
        resolve_model("/nowhere/at/all")


def test_a_package_brings_a_bundle_under_a_name(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, metadata = tmp_path / "own_bundle", tmp_path / "own_bundle-1.0.dist-info"
    module.mkdir()
    metadata.mkdir()
    (module / "__init__.py").touch()
    bundle.rename(module / "bundle")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: own-bundle\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[textome.bundles]\nown = own_bundle\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve_model("own") == module / "bundle"
    assert Bundle.load(resolve_model("own")).name == Bundle.load(module / "bundle").name
    metadata.rename(tmp_path / "gone")
    with pytest.raises(ModelError, match="no such model directory"):
        resolve_model("own")


def test_a_bundle_of_a_package_that_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **selection: ())
    with pytest.raises(ModelError, match=r"pip install textome-relations-minilm"):
        resolve_model("relations")


def test_graphs_and_weights_that_are_missing_say_how_to_get_them(bundle: Path, tmp_path: Path) -> None:
    loaded = Bundle.load(bundle)
    for name in ("model.int8.onnx", "model.fp32.onnx"):
        (bundle / name).unlink()
    with pytest.raises(ModelError, match="textome export"):
        loaded.onnx_path()
    with pytest.raises(ModelError, match="choose one of: int8, bf16, fp32"):
        export_bundle(loaded, tmp_path / "out", "int4")
    (bundle / "model.safetensors").write_bytes(b"\0" * 16)
    with pytest.raises(ModelError, match="weights cannot be read"):
        export_bundle(loaded, tmp_path / "out", "int8")
    (bundle / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        export_bundle(loaded, tmp_path / "out", "int8")


def test_an_export_stands_alone(bundle: Path, tmp_path: Path) -> None:
    export_bundle(Bundle.load(bundle), tmp_path / "small", "int8")
    names = {path.name for path in (tmp_path / "small").iterdir()}
    assert names == {"config.json", "textome.json", "tokenizer.json", "tokenizer_config.json", "README.md",
                     "model.int8.onnx"}  # fmt: skip
    assert Bundle.load(tmp_path / "small").onnx_path()


FORGED: dict[str, Callable[[Path], object]] = {
    "a window beyond the graph's positions": lambda folder: (
        change(folder / "config.json", lambda it: it.update(max_position_embeddings=100_000)),
        change(folder / "textome.json", lambda it: it["input"].update(window=50_000, overlap=0)),
    ),
    "ids beyond the graph's table": lambda folder: change(
        folder / "tokenizer.json",
        lambda it: it["model"]["vocab"].update({word: 10**6 for word in it["model"]["vocab"] if word.isalpha()}),
    ),
    "deep JSON": lambda folder: (folder / "textome.json").write_text("[" * 100_000 + "]" * 100_000),
    "deep JSON of the tokenizer": lambda folder: (folder / "tokenizer.json").write_text("[" * 100_000),
    "a regular expression that is wrong": lambda folder: change(
        folder / "tokenizer.json",
        lambda it: it.update(
            pre_tokenizer={"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": False}
        ),
    ),
    "a regular expression without end": lambda folder: change(
        folder / "tokenizer.json",
        lambda it: it.update(
            pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a+a+)+$b"}, "behavior": "Isolated", "invert": False}
        ),
    ),
    "a temperature of 0": lambda folder: change(
        folder / "textome.json", lambda it: it["tasks"]["entities"].update(temperature={"Disease": 0})
    ),
    "a temperature that is NaN": lambda folder: change(
        folder / "textome.json", lambda it: it["tasks"]["entities"].update(temperature={"Disease": float("nan")})
    ),
    "a temperature without end": lambda folder: change(
        folder / "textome.json", lambda it: it["tasks"]["entities"].update(temperature={"Disease": "inf"})
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_folder_is_one_sentence(bundle: Path, name: str) -> None:
    FORGED[name](bundle)
    text = Document.from_text("gout and asthma " * 500 + "a" * 40)
    with pytest.raises(ModelError) as caught:
        entities_of(bundle).annotate([text])
    assert str(bundle) in str(caught.value)
    assert "\n" not in str(caught.value)
