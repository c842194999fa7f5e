"""Inputs of bulk tests, and what a run left behind in a form that can be compared."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tiny import DISEASES, DRUGS

SOURCE = Path(__file__).resolve().parents[2] / "src"
Command = Callable[..., "subprocess.Popen[str]"]


def article(pmid: int, version: int = 1, text: str = "", year: int = 2001) -> str:
    disease, drug = DISEASES[pmid % 5], DRUGS[(pmid + version) % 5]
    return (
        f'<PubmedArticle><MedlineCitation><PMID Version="{version}">{pmid}</PMID><Article><Journal><JournalIssue>'
        f"<PubDate><Year>{year + pmid % 7}</Year></PubDate></JournalIssue></Journal>"
        f"<ArticleTitle>{drug} is given for {disease} .</ArticleTitle>"
        f'<Abstract><AbstractText Label="RESULTS">{text or f"patients with {disease} took {drug} daily"}</AbstractText>'
        f"</Abstract></Article></MedlineCitation></PubmedArticle>\n"
    )


def pubmed(path: Path, articles: Iterable[str], deleted: Iterable[int] = ()) -> Path:
    """A PubMed file; compressed where its name says so."""
    gone = "".join(f'<PMID Version="1">{pmid}</PMID>' for pmid in deleted)
    body = "".join(articles) + (f"<DeleteCitation>{gone}</DeleteCitation>" if gone else "")
    content = f'<?xml version="1.0"?>\n<PubmedArticleSet>\n{body}</PubmedArticleSet>'.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def rows(output: Path) -> list[str]:
    """Everything that a run wrote, one text a row, sorted."""
    import pyarrow.parquet as pq

    found = []
    for path in output.glob("*/part-*"):
        if path.suffix == ".parquet":
            found += [json.dumps([path.parent.name, row], sort_keys=True) for row in pq.read_table(path).to_pylist()]
        else:
            found += gzip.decompress(path.read_bytes()).decode().splitlines()
    return sorted(found)


def ids(output: Path) -> list[str]:
    """The ids of the documents, sorted, each as often as it is there."""
    import pyarrow.parquet as pq

    return sorted(
        str(name) for path in output.glob("documents/*") for name in pq.read_table(path)["document_id"].to_pylist()
    )


def quarantined(output: Path) -> list[dict[str, str]]:
    path = output / "quarantine.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def command(tiny_bundle: Path) -> Command:
    """Start `textome bulk` with the tiny model as a process of its own."""

    def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "textome.cli.main", "bulk", *map(str, arguments), "--model", str(tiny_bundle)]
        environment = os.environ | {"PYTHONPATH": str(SOURCE)}
        return subprocess.Popen(
            line,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,  # type: ignore[call-overload,no-any-return]
        )

    return start
