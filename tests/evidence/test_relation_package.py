"""The package with the model for relations: from invented sentences to who treats and who causes what."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from typer.testing import CliRunner

from textome.cli.main import application
from textome.runtime.bundle import INSTALLED_BUNDLES

TEXT = """Amiodarone-induced hypothyroidism was seen in four of forty patients. Levothyroxine relieved the hypothyroidism.

Imatinib was effective in chronic myeloid leukemia."""

pytestmark = pytest.mark.skipif(
    not entry_points(group=INSTALLED_BUNDLES, name="relations"),
    reason="the package of packages/relations is not installed (make install)",
)


def test_it_reads_who_treats_and_who_causes(tmp_path: Path) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text(TEXT)
    command = ["annotate", str(source), "--model", "default", "--model", "relations", "--output", str(output)]
    result = CliRunner().invoke(application(), command)
    assert result.exit_code == 0, result.output
    document = json.loads(output.read_text())
    mentions = {entity["id"]: entity for entity in document["entities"]}
    assert all(TEXT[start:end] == entity["text"] for entity in mentions.values() for (start, end) in entity["spans"])
    related = {
        (relation["type"], *(mentions[id_]["text"].lower() for _, id_ in relation["arguments"]))
        for relation in document["relations"]
    }
    assert ("CID", "amiodarone", "hypothyroidism") in related
    assert ("Negative_Correlation", "levothyroxine", "hypothyroidism") in related
    assert ("Negative_Correlation", "imatinib", "chronic myeloid leukemia") in related


def test_info_says_what_it_is() -> None:
    result = CliRunner().invoke(application(), ["info", "relations", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["task relations"]["kind"] == "document_relations"
