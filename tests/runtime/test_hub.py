"""Bundles pushed to and pulled from a server that imitates the hub: commits, large files, trees and downloads."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import textome
from imitated_hub import COMMIT, Hub
from textome.cli.main import application
from textome.errors import InputError, ModelError
from textome.runtime.hub import pull, push, with_head


def run(*words: str | Path) -> str:
    done = CliRunner().invoke(application(), [*map(str, words)])
    assert done.exit_code == 0, done.output + str(done.exception)
    return done.stdout


def test_a_bundle_goes_up_and_comes_down_again(hub: Hub, tiny_bundle: Path, tmp_path: Path) -> None:
    words = ["--endpoint", hub.address, "--private", "--licence", "apache-2.0", "--message", "First"]
    assert run("push", tiny_bundle, "mylab/tiny", *words) == f"{hub.address}/mylab/tiny/commit/{COMMIT}\n"
    assert (hub.private, hub.message) == (True, "First")
    card = hub.files["README.md"].decode()
    assert card.startswith("---\n")
    assert "license: apache-2.0" in card
    assert "library_name: textome" in card
    assert card.endswith((tiny_bundle / "README.md").read_text().partition("---\n")[2].partition("---\n")[2])
    assert all(Path(name).suffix in (".json", ".md", ".onnx", ".safetensors", ".txt") for name in hub.files)

    hub.files |= {"pytorch_model.bin": b"pickle", "run.py": b"print(1)"}
    output = tmp_path / "models" / "tiny"
    assert run("pull", "mylab/tiny", "--output", output, "--endpoint", hub.address) == f"{output}\n"
    assert sorted(path.name for path in output.iterdir()) == sorted({*hub.files} - {"pytorch_model.bin", "run.py"})
    text = "Aspirin is given for gout ."
    assert textome.load(output)(text).entities == textome.load(tiny_bundle)(text).entities


def test_a_folder_that_is_there_is_left_alone(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is there already"):
        pull("mylab/tiny", tmp_path, endpoint=hub.address)


def test_what_the_hub_refuses_is_one_sentence(hub: Hub, tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"mylab/other: the hub did not give it .*check the name"):
        pull("mylab/other", tmp_path / "other", endpoint=hub.address)
    assert not (tmp_path / "other").exists()
    hub.token = "secret"
    with pytest.raises(ModelError, match=r"did not take the model .*HF_TOKEN"):
        push(tiny_bundle, "mylab/tiny", {}, endpoint=hub.address)
    assert hub.files == {}


def test_a_hub_that_is_not_there_is_one_sentence(tiny_bundle: Path, hub: Hub) -> None:
    with pytest.raises(ModelError, match="the hub did not take the model"):
        push(tiny_bundle, "mylab/tiny", {}, endpoint="http://127.0.0.1:1")
    with pytest.raises(ModelError, match="the hub did not take the model"):
        push(tiny_bundle, "no name at all!", {}, endpoint=hub.address)


def test_a_card_keeps_what_it_says() -> None:
    card = with_head("---\nlicense: mit\n---\n# A\n", {"license": "apache-2.0", "library_name": "textome"})
    assert "license: mit" in card
    assert "library_name: textome" in card
    assert with_head("# A\n", {"library_name": "textome"}).startswith("---\nlibrary_name: textome\n---\n")
