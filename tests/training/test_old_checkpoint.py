"""Old checkpoints, with pickled weights and a bare vocabulary, become what Textome and `transformers` load."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file
from typer.testing import CliRunner

from textome.cli.main import application
from textome.encoders.bert.model import Bert, BertConfig
from textome.encoders.checkpoint import load_tensors
from textome.encoders.layers.packing import Layout
from textome.errors import InputError, ModelError
from textome.text.tokenization import Tokenizer
from textome.text.wordpiece import SPECIAL, is_cased, read_vocabulary
from textome.training.bundles import base_directory, read_config
from textome.training.old_checkpoint import convert_checkpoint

WORDS = ["gout", "Gout", "##s", "the", "BRCA1", "colchicine", "é", "e", "##e", ".", ","]
SIZES = {
    "vocab_size": 20,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
}


@pytest.fixture(scope="module")
def theirs() -> transformers.BertForMaskedLM:
    torch.manual_seed(1)
    model = transformers.BertForMaskedLM(transformers.BertConfig(**SIZES)).eval()
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=float("LayerNorm.weight" in name), std=0.2)
    return model


def old_names(model: transformers.BertForMaskedLM) -> dict[str, torch.Tensor]:
    """As the first files named a norm's parts, and with a buffer that is not a weight."""
    tensors = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in model.state_dict().items()
    }
    return tensors | {"bert.embeddings.position_ids": torch.arange(32)[None]}


def old_folder(
    folder: Path, model: transformers.BertForMaskedLM, words: list[str] | None = None, legacy: bool = False
) -> Path:
    folder.mkdir()
    torch.save(old_names(model), folder / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    (folder / "config.json").write_text(json.dumps(SIZES))  # without a model_type, as the first were
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in [*SPECIAL, *(words or WORDS)]), encoding="utf-8")
    return folder


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before zip"])
def test_the_weights_are_those_of_the_pickle(
    theirs: transformers.BertForMaskedLM, legacy: bool, tmp_path: Path
) -> None:
    made = convert_checkpoint(old_folder(tmp_path / "old", theirs, legacy=legacy), tmp_path / "new")
    assert "cls.predictions.bias" in made.heads
    base = base_directory(str(tmp_path / "new"))
    ours = Bert(BertConfig.from_dict(read_config(base))).eval()
    load_tensors(ours, load_file(base / "model.safetensors"), "new")
    ids = torch.tensor([2, 5, 7, 9, 3])
    with torch.no_grad():
        expected = theirs.bert(ids[None]).last_hidden_state[0]
        torch.testing.assert_close(ours(ids, Layout.of([5])), expected, atol=1e-5, rtol=0)
        again = transformers.BertForMaskedLM.from_pretrained(tmp_path / "new").eval()
        torch.testing.assert_close(again(ids[None]).logits, theirs(ids[None]).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("words", "chosen", "lowercase"),
    [(WORDS, None, False), ([word.lower() for word in WORDS if word != "Gout"], None, True), (WORDS, True, True)],
)
def test_the_tokenizer_is_that_of_transformers(
    theirs: transformers.BertForMaskedLM, words: list[str], chosen: bool | None, lowercase: bool, tmp_path: Path
) -> None:
    made = convert_checkpoint(old_folder(tmp_path / "old", theirs, words), tmp_path / "new", chosen)
    assert made.lowercase is lowercase
    text = "Gouts, the gout.  BRCA1 é colchicine e\u0301 unheard of [MASK]"
    expected = transformers.BertTokenizer.from_pretrained(tmp_path / "new")
    assert expected.do_lower_case is lowercase
    (ours,) = Tokenizer.load(tmp_path / "new").encode([text])
    slow = transformers.BertTokenizer(str(tmp_path / "old" / "vocab.txt"), do_lower_case=lowercase)
    assert list(ours.ids) == slow(text, add_special_tokens=False)["input_ids"]


def test_a_configuration_that_contradicts_the_vocabulary_is_told(
    theirs: transformers.BertForMaskedLM, tmp_path: Path
) -> None:
    folder = old_folder(tmp_path / "old", theirs)
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true, "model_max_length": 512}')
    result = CliRunner().invoke(application(), ["convert-checkpoint", str(folder), "--output", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    assert "the vocabulary is cased" in result.stderr
    assert "said the opposite" in result.stderr
    settings = json.loads((tmp_path / "new" / "tokenizer_config.json").read_text())
    assert settings["do_lower_case"] is False
    assert settings["model_max_length"] == 512


def test_weights_in_several_files(theirs: transformers.BertForMaskedLM, tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "old", theirs)
    tensors = torch.load(folder / "pytorch_model.bin", weights_only=True)
    (folder / "pytorch_model.bin").unlink()
    names = sorted(tensors)
    parts = {"a.bin": names[::2], "b.bin": names[1::2]}
    for file, mine in parts.items():
        torch.save({name: tensors[name] for name in mine}, folder / file)
    places = {name: file for file, mine in parts.items() for name in mine}
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    made = convert_checkpoint(folder, tmp_path / "new")
    assert made.parameters == sum(item.numel() for item in theirs.state_dict().values())
    index.write_text(json.dumps({"weight_map": places | {names[0]: "../a.bin"}}))
    with pytest.raises(ModelError, match=r"'../a.bin' is not a file of this folder"):
        convert_checkpoint(folder, tmp_path / "other")


def test_a_tokenizer_that_is_there_is_kept(theirs: transformers.BertForMaskedLM, tmp_path: Path) -> None:
    first = old_folder(tmp_path / "old", theirs)
    convert_checkpoint(first, tmp_path / "new")
    (first / "tokenizer.json").write_bytes((tmp_path / "new" / "tokenizer.json").read_bytes())
    (first / "vocab.txt").unlink()
    assert convert_checkpoint(first, tmp_path / "again").lowercase is None
    assert (tmp_path / "again" / "tokenizer.json").read_bytes() == (first / "tokenizer.json").read_bytes()


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo run > ran.txt",)


def test_code_in_a_pickle_is_not_run(
    theirs: transformers.BertForMaskedLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = old_folder(tmp_path / "old", theirs)
    for data in (pickle.dumps(Harmful(), 2), pickle.dumps({"weights": Harmful()}, 2)):
        (folder / "pytorch_model.bin").write_bytes(data)
        with pytest.raises(ModelError, match="does not hold weights alone, or is damaged"):
            convert_checkpoint(folder, tmp_path / "new")
    torch.save({"bert.embeddings.word_embeddings.weight": Harmful()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="nothing of it was run"):
        convert_checkpoint(folder, tmp_path / "new")
    assert not (tmp_path / "ran.txt").exists()
    assert not (tmp_path / "new").exists()


def test_what_is_missing_or_wrong_is_said(theirs: transformers.BertForMaskedLM, tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "old", theirs)
    whole = (folder / "pytorch_model.bin").read_bytes()

    def refused(message: str) -> None:
        with pytest.raises((ModelError, InputError), match=message):
            convert_checkpoint(folder, tmp_path / "new")
        assert {item.name for item in tmp_path.iterdir()} == {"old"}

    (folder / "pytorch_model.bin").write_bytes(whole[: len(whole) // 2])
    refused("is damaged")
    torch.save([torch.zeros(2)], folder / "pytorch_model.bin")
    refused("expected tensors by their names, found list")
    torch.save({"epoch": 3}, folder / "pytorch_model.bin")
    refused("hold no tensors")
    torch.save({"bert.embeddings.LayerNorm.gamma": torch.zeros(16)}, folder / "pytorch_model.bin")
    refused("does not fit the model .missing: ")
    (folder / "pytorch_model.bin").unlink()
    refused("neither pytorch_model.bin nor model.safetensors$")
    (folder / "model.ckpt-1000.index").touch()
    refused("files of TensorFlow are not read")
    (folder / "pytorch_model.bin").write_bytes(whole)
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in [*SPECIAL, "gout", "the", "gout"]))
    refused("vocab.txt, line 8: 'gout' stands in line 6 already")
    (folder / "vocab.txt").write_text("gout\nthe\n")
    refused(r"\[UNK\], \[CLS\], \[SEP\] missing")
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in [*SPECIAL, *map(str, range(90))]))
    refused("95 tokens, but the model knows 20")
    (folder / "vocab.txt").unlink()
    refused("neither tokenizer.json nor vocab.txt")
    (folder / "config.json").write_text(json.dumps(SIZES | {"model_type": "roberta"}))
    refused("the architecture is 'roberta'; only bert, ")
    (folder / "config.json").write_text(json.dumps(SIZES | {"hidden_act": "swoosh"}))
    refused("config.json: .*swoosh")
    (tmp_path / "new").mkdir()
    with pytest.raises(InputError, match="exists already"):
        convert_checkpoint(folder, tmp_path / "new")


def test_a_recipe_that_names_old_weights_is_told_what_to_do(
    theirs: transformers.BertForMaskedLM, tmp_path: Path
) -> None:
    folder = old_folder(tmp_path / "old", theirs)
    with pytest.raises(InputError, match=f"textome convert-checkpoint {folder} --output FOLDER"):
        base_directory(str(folder))


def test_vocabularies_are_told_apart_by_their_capitals(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes("\r\n".join([*SPECIAL, "[unused1]", "gout", "##s", "β"]).encode())
    vocabulary = read_vocabulary(path)
    assert vocabulary["gout"] == 6
    assert not is_cased(vocabulary)
    assert is_cased(vocabulary | {"Gout": 9})


def test_a_name_on_the_hub(
    theirs: transformers.BertForMaskedLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe asks the hub for safe weights only; old ones come for the conversion alone."""
    import huggingface_hub

    folder = old_folder(tmp_path / "old", theirs)
    asked: list[tuple[str, bool]] = []

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, "pytorch_model*.bin" in allow_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(application(), ["convert-checkpoint", "some-lab/own-bert", "--output", "new"])
    assert result.exit_code == 0, result.output
    with pytest.raises(InputError, match="textome convert-checkpoint some-lab/own-bert"):
        base_directory("some-lab/own-bert")
    assert asked == [("some-lab/own-bert", True), ("some-lab/own-bert", False)]
