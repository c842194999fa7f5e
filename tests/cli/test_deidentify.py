"""`textome deidentify`, and the step at the other entrances."""

from __future__ import annotations

import json
from pathlib import Path

from cli.conftest import Run
from textome.formats import read_documents

NOTE = "Anna Roe came from Boston on 03/14/2019.\nShe has gout.\n"


def test_formats_in_and_out_with_a_map_of_the_offsets(run: Run, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "n.txt").write_text(NOTE, encoding="utf-8")
    (corpus / "n.ann").write_text("T1\tDisease 49 53\tgout\nA1\tNegated T1\n", encoding="utf-8")
    run("deidentify", corpus, "--output", tmp_path / "clean", "--map", tmp_path / "map.jsonl")
    assert (
        (tmp_path / "clean" / "n.txt")
        .read_text(encoding="utf-8")
        .startswith("[NAME] came from [LOCATION] on [DATE].\n")
    )
    (document,) = read_documents(tmp_path / "clean", "brat")
    assert [(entity.text, entity.attributes) for entity in document.entities] == [("gout", {"Negated": "true"})]
    line = json.loads((tmp_path / "map.jsonl").read_text(encoding="utf-8"))
    assert line["id"] == "n"
    assert "Anna" not in json.dumps(line)
    assert [NOTE[item["start"] : item["end"]] for item in line["replaced"]] == ["Anna Roe", "Boston", "03/14/2019"]
    assert [document.text[item["new_start"] : item["new_end"]] for item in line["replaced"]] == [
        "[NAME]",
        "[LOCATION]",
        "[DATE]",
    ]


def test_surrogates_of_a_secret_and_tags(run: Run, tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text(NOTE, encoding="utf-8")
    (tmp_path / "key").write_bytes(b"0123456789abcdef")
    arguments = ("deidentify", tmp_path / "n.txt", "--mode", "surrogate", "--secret", tmp_path / "key", "--to", "plain")
    text = run(*arguments).out
    assert text == run(*arguments).out
    assert "She has gout." in text
    assert "Anna" not in text
    tagged = json.loads(run("deidentify", tmp_path / "n.txt", "--mode", "tag", "--kinds", "NAME").out)
    assert [entity["text"] for entity in tagged["entities"]] == ["Anna Roe"]


def test_annotate_takes_the_step(run: Run, tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text(NOTE, encoding="utf-8")
    (line,) = run("annotate", tmp_path / "n.txt", "--with", "deidentification", "--to", "jsonl").out.splitlines()
    document = json.loads(line)
    assert "Anna" not in line
    assert [entity["text"] for entity in document["entities"]] == ["gout"]
