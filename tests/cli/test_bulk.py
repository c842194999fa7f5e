"""`textome bulk` and `textome query` as a user runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bulk.conftest import SOURCE, article, ids, pubmed, quarantined


def textome(*arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    line = [*prefix, sys.executable, "-m", "textome.cli.main", *map(str, arguments)]
    return subprocess.run(
        line, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(SOURCE)}, timeout=300
    )


def test_a_run_its_status_and_questions_to_it(tiny_bundle: Path, tmp_path: Path) -> None:
    pubmed(tmp_path / "in" / "a.xml.gz", map(article, range(1, 21)))
    (tmp_path / "in" / "b.jsonl").write_text('{"id": "x", "text": "gout"}\n{broken\n')
    run = ("bulk", tmp_path / "in", "--output", tmp_path / "out", "--model", tiny_bundle, "--workers", 1, "--json")
    done = textome(*run)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["documents"] == 21
    assert "b.jsonl, line 2: not valid JSON" in done.stderr
    assert len(quarantined(tmp_path / "out")) == 1
    facts = json.loads(textome("bulk", "--status", tmp_path / "out", "--json").stdout)
    assert (facts["state"], facts["share"], facts["documents"], facts["quarantined"]) == ("done", 1.0, 21, 1)
    assert "done: 100.0 % of the input, 21 documents" in textome("bulk", "--status", tmp_path / "out").stdout
    found = textome("query", tmp_path / "out", "SELECT count(*) AS n FROM documents")
    assert found.stdout.split() == ["n", "21"]
    assert textome("query", tmp_path / "out", "frequent_entities").stdout.startswith("type,entity,mentions,documents\n")
    assert "chemical_disease_pairs: chemical, chemical_label, disease" in textome("query", tmp_path / "out").stdout
    unknown = textome("query", tmp_path / "out", "frequent_entity").stderr
    assert unknown.startswith("textome: 'frequent_entity' is no table or view of the results; there are documents, ")
    wrong = textome("query", tmp_path / "out", "SELECT FROM")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


def test_what_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    source = pubmed(tmp_path / "a.xml", map(article, range(1, 3)))
    for arguments, message in (
        ((), "name at least one input"),
        ((source, "--output", tmp_path / "o", "--to", "brat"), "--to brat"),
        ((source, "--output", tmp_path / "o", "--workers", 0), "give 1 or more"),
        ((source, "--output", tmp_path / "o", "--types", "Planet"), "does not know the type 'Planet'"),
        ((tmp_path / "none", "--output", tmp_path / "o"), "no such file"),
        (("--status", tmp_path), "no ledger"),
    ):
        result = textome("bulk", *arguments)
        assert (result.returncode, message in result.stderr) == (2, True), result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_is_one_error_and_loses_nothing(tiny_bundle: Path, tmp_path: Path) -> None:
    """A disk of 300 kB fills; the run says so, and goes on from there when there is room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    source = pubmed(tmp_path / "a.xml.gz", map(article, range(1, 401)))
    run = f"textome() {{ {sys.executable} -m textome.cli.main \"$@\"; }}; textome bulk {source} --output {disk}/out " \
        f"--model {tiny_bundle} --workers 1 --chunk 25"  # fmt: skip
    script = f"""mount -t tmpfs -o size=300k tmpfs {disk} || exit 77
{run}; echo "exit $?"; ls -A {disk}/out/documents | wc -l
mount -o remount,size=50m {disk}; {run}; echo "exit $?"; cp -r {disk}/out {tmp_path}/kept"""
    try:
        # A mount of its own, which goes with the process.
        done = subprocess.run(
            ["unshare", "--mount", "bash", "-c", script],
            capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(SOURCE)}, timeout=300,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("no disk can be mounted here")
    first, written, second = done.stdout.split("\n")[:3]
    assert (first, second) == ("exit 2", "exit 0"), done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("textome:")]
    assert len(errors) == 1
    assert "No space left" in errors[0] or "full" in errors[0]
    assert 0 < int(written) < 16
    assert "Traceback" not in done.stderr
    assert ids(tmp_path / "kept") == sorted(map(str, range(1, 401)))
    shutil.rmtree(tmp_path / "kept")
