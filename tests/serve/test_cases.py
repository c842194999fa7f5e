"""Small inputs shaped as public bug reports have them (../shared/cases), sent to the service as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from textome.serve.limits import Limits
from textome.serve.problems import Problem
from textome.serve.requested import Uploaded, uploaded_documents, with_documents
from textome.serve.schemas import DocumentsRequest

# Files of which nothing is read, and of which some records are quarantined or passed over; all others are read whole.
REFUSED = {
    *(
        "a.bib",
        "bad_part.parquet",
        "bioasq_null.json",
        "csv_sniff_500.bin",
        "entities_bomb_convert.json",
        "first_bad.tsv",
    ),
    *("latin1_labels.tsv", "reads.fastq", "recipe_name_traversal.toml", "spans_bomb_small.json"),
    *("squad.json", "webanno3.tsv"),
}
PARTLY = {
    "extra_tab.tsv": (1, 1, 0),
    "half_bad.conll": (2, 2, 0),
    "half_bad.jsonl": (2, 2, 0),
    "prodigy.jsonl": (1, 0, 1),
}


def uploaded(path: Path) -> Uploaded:
    return uploaded_documents(path.read_bytes(), None, Limits(), path.name)


def test_every_file_is_read_or_refused(cases: Path) -> None:
    for path in sorted(file for file in cases.iterdir() if file.is_file() and file.name != "README.md"):
        if path.name in REFUSED:
            with pytest.raises(Problem) as caught:
                uploaded(path)
            assert 400 <= caught.value.status < 500, path.name
            continue
        answer = uploaded(path)
        counts = (len(answer.documents), len(answer.quarantined), sum(answer.passed_over.values()))
        expected = PARTLY.get(path.name, (len(answer.documents), 0, 0))
        assert counts == expected, (path.name, answer.quarantined)
        assert answer.documents, path.name


def test_nothing_of_a_dump_of_pubmed_vanishes(cases: Path) -> None:
    assert [item.id for item in uploaded(cases / "pubmed_dump.jsonl").documents] == ["31452104", "31452105", "31452106"]


@pytest.mark.parametrize("name", ["spans_bomb_small.json", "entities_bomb_convert.json"])
def test_bombs_are_refused_at_once(cases: Path, name: str) -> None:
    def documents() -> object:
        return with_documents((cases / name).read_bytes(), DocumentsRequest, Limits())

    with pytest.raises(Problem) as caught:
        documents()
    assert 400 <= caught.value.status < 500
    assert len(caught.value.detail) < 1000
