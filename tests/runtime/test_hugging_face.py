"""Entity models of other libraries are read, and ours are written for them, with the same entities on either side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_torch
from safetensors.torch import save_file as save_torch
from typer.testing import CliRunner

from imitated_hub import Hub
from textome.cli.main import application
from textome.documents import Document
from textome.errors import InputError, ModelError
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.hugging_face import one_softmax, write_token_classifier
from textome.runtime.model import Model
from textome.runtime.model_files import read_weights, weight_files
from textome.tasks.entities import Entities
from textome.tasks.spans.iob import decode, log_probabilities

SENTENCES = (
    "Metformin is given for type 2 diabetes.",
    "Patients with breast cancer took aspirin daily.",
    "Metformin is given for breast cancer.",
)


@pytest.fixture(scope="module")
def exclusive(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose types exclude each other."""
    folder = tmp_path_factory.mktemp("exclusive") / "bundle"
    shutil.copytree(tiny_bundle, folder)
    values = json.loads((folder / "textome.json").read_text())
    entry = values["tasks"]["entities"]
    entry |= {"mutually_exclusive": [entry["types"]], "temperature": {entry["types"][0]: 1.5}}
    (folder / "textome.json").write_text(json.dumps(values))
    return folder


@pytest.fixture(scope="module")
def written(exclusive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It as transformers has it, without anything of Textome's."""
    folder = tmp_path_factory.mktemp("written") / "model"
    bundle = Bundle.load(exclusive)
    description = bundle.description.model_dump(mode="json")
    write_token_classifier(exclusive, bundle.config, description, bundle.entities, folder)
    (folder / "textome.json").unlink()
    return folder


def found(folder: Path) -> list[list[tuple[str, str]]]:
    model = Model.load(folder, threads=1, min_confidence=0)
    documents = model([Document.from_text(text) for text in SENTENCES])
    return [[(entity.text, entity.type) for entity in document.entities] for document in documents]


def invoke(*arguments: str) -> None:
    result = CliRunner().invoke(application(), arguments, input="gout\n")
    if result.exception is not None:
        raise result.exception


def test_pipelines_of_transformers_give_the_same_entities(exclusive: Path, written: Path) -> None:
    from transformers import pipeline

    classify = pipeline("token-classification", model=str(written), aggregation_strategy="first", device="cpu")
    theirs = [
        [(text[item["start"] : item["end"]], item["entity_group"]) for item in classify(text)] for text in SENTENCES
    ]
    assert theirs == found(exclusive)
    assert sum(map(len, theirs)) >= 4
    assert [*classify.model.config.id2label.values()][:3] == ["O", "B-Disease", "I-Disease"]


def test_a_bundle_that_is_pulled_works_in_their_pipelines(hub: Hub, exclusive: Path, tmp_path: Path) -> None:
    """Exported for them, pushed, pulled by Textome, and read by a program that knows only transformers."""
    from transformers import pipeline

    invoke("export", str(exclusive), "-o", str(tmp_path / "model"), "--transformers")
    invoke("push", str(tmp_path / "model"), "mylab/tiny", "--endpoint", hub.address)
    invoke("pull", "mylab/tiny", "--output", str(tmp_path / "pulled"), "--endpoint", hub.address)
    classify = pipeline("ner", model=str(tmp_path / "pulled"), aggregation_strategy="first", device="cpu")
    theirs = [[item["entity_group"] for item in classify(text)] for text in SENTENCES]
    assert theirs == [[type for _, type in entities] for entities in found(exclusive)]
    assert "pipeline_tag: token-classification" in hub.files["README.md"].decode()


def test_a_token_classifier_of_transformers_is_an_entity_model(exclusive: Path, written: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(written)
    assert (bundle.types, bundle.entities.head_shape.num_labels) == (("Disease", "Chemical"), 5)
    with pytest.raises(ModelError, match="textome export"):
        Model.load(written)
    invoke("export", str(written), "-o", str(tmp_path), "--precision", "fp32")
    assert found(tmp_path) == found(exclusive)


def test_weights_in_several_files_are_those_in_one(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sharded"
    shutil.copytree(written, folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, own in shards.items():
        save_file({name: tensors[name] for name in own}, folder / file)
    index = {"weight_map": {name: file for file, own in shards.items() for name in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert [path.name for path in weight_files(folder)] == [*shards]
    one = export_bundle(Bundle.load(written), tmp_path / "one", "fp32").read_bytes()
    assert export_bundle(Bundle.load(folder), tmp_path / "several", "fp32").read_bytes() == one
    (folder / "b.safetensors").unlink()
    with pytest.raises(ModelError, match=r"there is no file 'b.safetensors'"):
        export_bundle(Bundle.load(folder), tmp_path / "cut", "fp32")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../a.safetensors"}}')
    with pytest.raises(ModelError, match=r"\.\./a"):
        weight_files(folder)


def test_types_that_may_overlap_are_refused_and_said_in_card_and_config(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="2 types may overlap"):
        invoke("export", str(tiny_bundle), "-o", str(tmp_path), "--transformers")
    assert "nonsense" in json.loads((tiny_bundle / "config.json").read_text())["textome"]
    assert "nonsense" in (tiny_bundle / "README.md").read_text()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["O", "S-Gene", "E-Gene"], "O, S-Gene, E-Gene"),
        (["LABEL_0", "LABEL_1"], "LABEL_0, LABEL_1"),
        (["B-Gene", "I-Gene"], "O, B-TYPE and I-TYPE"),
    ],
)
def test_labels_of_another_scheme_are_refused_by_name(
    written: Path, tmp_path: Path, labels: list[str], message: str
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(written, folder)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(number): label for number, label in enumerate(labels)}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=message):
        Bundle.load(folder)


def test_an_adapter_is_named_as_what_it_is(tmp_path: Path) -> None:
    values = {"peft_type": "LORA", "base_model_name_or_path": "someone/base"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(values))
    for verb in (["annotate", "-m", str(tmp_path), "-"], ["export", str(tmp_path), "-o", str(tmp_path / "x")]):
        with pytest.raises(ModelError, match=r"adapter \(LORA\) for someone/base"):
            invoke(*verb)


def test_one_softmax_prefers_what_the_types_prefer() -> None:
    generator = np.random.default_rng(0)
    task = Entities(types=("A", "B", "C"), mutually_exclusive=(("A", "B", "C"),), temperature={"B": 2.0})
    weight, bias = generator.normal(size=(9, 8)).astype(np.float32), generator.normal(size=9).astype(np.float32)
    joined_weight, joined_bias, labels = one_softmax(task, weight, bias)
    joint = Entities(types=task.types, labels=labels)
    hidden = generator.normal(size=(500, 8)).astype(np.float32)
    own: Any = log_probabilities((hidden @ weight.T + bias).reshape(500, 3, 3), np.array([1, 2, 1], np.float32))
    (other,) = joint.log_probabilities([[hidden @ joined_weight.T + joined_bias]])
    ours, theirs = own.argmax(-1), other.argmax(-1)
    assert (theirs > 0).sum(axis=1).max() == 1
    single = (ours > 0).sum(axis=1) <= 1
    assert (ours[single] == theirs[single]).all()
    assert single.sum() > 50
    assert decode(other, None, [500])[0]


def test_a_scheme_of_i_alone_has_entities_of_several_words() -> None:
    task = Entities(types=("A",), labels=("O", "I-A"))
    (rows,) = task.log_probabilities([[np.array([[5, 0], [0, 5], [0, 5], [5, 0]], np.float32)]])
    assert [(item.first, item.last) for item in decode(rows, None, [4])[0]] == [(1, 2)]


def test_labels_of_one_softmax_are_for_reading_only() -> None:
    with pytest.raises(InputError, match="leave them out"):
        _ = Entities(types=("A",), labels=("O", "B-A")).loss


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_in_half_precision_are_exported(tiny_bundle: Path, tmp_path: Path, kind: torch.dtype) -> None:
    """As most models of the hub are stored today; one exporter reads them all in float32."""
    shutil.copytree(tiny_bundle, tmp_path / "half", ignore=shutil.ignore_patterns("*.onnx"))
    whole = load_torch(tiny_bundle / "model.safetensors")
    stored = {name: tensor.to(kind).contiguous() for name, tensor in whole.items()}
    save_torch(stored | {"positions": torch.arange(4)}, tmp_path / "half" / "model.safetensors")
    read = read_weights(weight_files(tmp_path / "half"))
    assert set(read) == set(whole), "a buffer is not a weight"
    for name, tensor in stored.items():
        assert read[name].dtype == np.float32
        assert torch.equal(torch.from_numpy(read[name].copy()), tensor.float()), name
    export_bundle(Bundle.load(tmp_path / "half"), tmp_path / "half", "fp32")
    texts = ["patients with gout took allopurinol daily", "no malaria was seen"]
    one, other = (Model.load(folder, precision="fp32") for folder in (tiny_bundle, tmp_path / "half"))
    expected, found = (
        [
            (item.start, item.end, item.type, round(item.confidence or 0, 1))
            for document in model([Document.from_text(text) for text in texts])
            for item in document.entities
        ]
        for model in (one, other)
    )
    assert found == expected
    assert len(found) == 3


def test_weights_of_eight_bits_are_refused_by_name(tiny_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "eight", ignore=shutil.ignore_patterns("*.onnx"))
    tensors = load_torch(tiny_bundle / "model.safetensors")
    name = "classifier.weight"
    save_torch(tensors | {name: tensors[name].to(torch.float8_e4m3fn)}, tmp_path / "eight" / "model.safetensors")
    with pytest.raises(ModelError, match=f"the tensor {name} has numbers of the type F8_E4M3; save the"):
        export_bundle(Bundle.load(tmp_path / "eight"), tmp_path / "eight", "fp32")
