"""`textome vocabulary` builds an index from files and tells what one holds."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from textome.cli.main import application

ROWS = "id\tname\tsynonyms\nmy:1\tblue fever\tazure fever\nmy:2\tred fever\t\n"


def run(*arguments):
    return CliRunner().invoke(application(), ["vocabulary", *map(str, arguments)])


@pytest.fixture
def index(tmp_path):
    (tmp_path / "mine.tsv").write_text(ROWS)
    done = run("build", tmp_path / "mine.tsv", "--type", "Disease", "--output", tmp_path / "my.vocab")
    assert done.exit_code == 0, done.output
    return tmp_path / "my.vocab"


def test_an_index_tells_its_counts_and_sources(index):
    told = json.loads(run("info", index, "--json").stdout)
    assert told["counts"] == {"Disease": {"concepts": 2, "names": told["counts"]["Disease"]["names"]}}
    assert told["sources"][0]["file"] == "mine.tsv"
    assert len(told["sources"][0]["sha256"]) == 64
    assert "2 concepts" in run("info", index).stdout


def test_a_name_is_looked_up(index):
    (match,) = json.loads(run("info", index, "--find", "Azure fevers", "--json").stdout)
    assert match["identifier"] == "my:1"
    assert match["name"] == "synonym"
    assert "red fever" in run("info", index, "--find", "my:2").stdout


def test_a_table_without_a_type_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / "mine.tsv").write_text(ROWS)
    done = run("build", tmp_path / "mine.tsv", "--output", tmp_path / "my.vocab")
    assert done.exit_code != 0
    assert "--type" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.tsv"]
