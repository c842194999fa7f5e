"""The commands as a user runs them: results on standard output, everything else on standard error, exit codes."""

from __future__ import annotations

import errno
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import textome
from cli.conftest import Run, write
from textome.cli.main import VERBS
from textome.formats import read_documents
from tiny import make_corpus, make_pretraining_recipe, make_recipe

PUBMED = """<?xml version="1.0"?>
<PubmedArticleSet>{}</PubmedArticleSet>"""
ARTICLE = """<PubmedArticle><MedlineCitation><PMID>{}</PMID>
<Article><ArticleTitle>Metformin is given for gout.</ArticleTitle>
<Abstract><AbstractText Label="RESULTS">Patients with malaria took insulin daily</AbstractText></Abstract></Article>
</MedlineCitation></PubmedArticle>"""
GOUT = (
    "Patients with gout took allopurinol daily for a year, and no malaria was seen among them. Most of them felt better "
    "after a month, but some had to stop since their skin had become red. We think that the dose should rise slowly."
)
GOOD = PUBMED.format(ARTICLE.format(1) + ARTICLE.format(2))


def test_annotate_writes_json_lines_to_standard_output(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    result = run("annotate", write(tmp_path / "a.xml", GOOD), "--model", tiny_bundle)
    documents = [json.loads(line) for line in result.out.splitlines()]
    assert result.code == 0
    assert [document["id"] for document in documents] == ["1", "2"]
    assert {entity["text"] for entity in documents[0]["entities"]} == {"Metformin", "gout", "malaria", "insulin"}
    assert "2 documents" in result.err


def test_annotate_reports_ids_of_earlier_documents(
    run: Run, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.dumps({"id": id, "text": "no gout"}) + "\n" for id in ("a", "b", "b", "c", "b", "a")]
    path = write(tmp_path / "a.jsonl", "".join(lines))
    result = run("annotate", path, "--model", tiny_bundle)
    assert (result.code, len(result.out.splitlines())) == (0, 6)
    assert result.err.endswith("\ndocuments with the id of an earlier one: 3, the first 'b'; all are written\n")
    monkeypatch.setattr("textome.cli.verbs.annotate._NUM_IDS", 1)
    assert "an earlier one: 1, the first 'a'" in run("annotate", path, "--model", tiny_bundle).err
    once = write(tmp_path / "b.jsonl", "".join(lines[:2]))
    assert "earlier" not in run("annotate", once, "--model", tiny_bundle).err


def test_annotate_reads_standard_input_and_writes_the_format_asked_for(run: Run, tiny_bundle: Path) -> None:
    result = run("annotate", "-", "--model", tiny_bundle, "--to", "pubtator", stdin=gzip.compress(GOOD.encode()))
    assert "1|t|Metformin is given for gout." in result.out
    assert "1\t0\t9\tMetformin\tChemical\t" in result.out


def test_annotate_writes_several_outputs_and_shows_text(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("a.bioc.json", "a.bioc.xml", "a.html", "a.jsonl.gz", "a.pubtator", "brat")]
    options = [part for path in outputs for part in ("--output", path)]
    result = run("annotate", write(tmp_path / "a.xml", GOOD), "--model", tiny_bundle, "--show", *options)
    assert result.code == 0
    assert "Metformin[Chemical" in result.out
    for path in outputs:
        if path.suffix != ".html":
            assert [len(found.entities) for found in read_documents(path)] == [4, 4]
    page = (tmp_path / "a.html").read_text()
    assert "http" not in page.replace("Content-Security-Policy", "").replace("http-equiv", "")
    assert page.count("<mark") == 8 + 2  # and two in the legend


def test_types_confidence_and_replace(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.xml", GOOD)
    result = run("annotate", path, "--model", tiny_bundle, "--types", "Disease", "--min-confidence", "0.2")
    assert {entity["type"] for line in result.out.splitlines() for entity in json.loads(line)["entities"]} == {
        "Disease"
    }
    assert run("annotate", path, "--model", tiny_bundle, "--types", "Gene").code == 2


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + number)} "{f"&{chr(97 + number)};" * 10}">' for number in range(9)
)
BAD = {
    "truncated.xml.gz": (gzip.compress(GOOD.encode())[:-30], "cut short or damaged"),
    "broken.xml": (GOOD[: GOOD.rindex("<PubmedArticle>") + 90], "XML is broken"),
    "bomb.xml": (BOMB + "]>" + PUBMED.format(ARTICLE.format("&j;")).partition("?>")[2], "entity"),
    "fetch.xml": (
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        + PUBMED.format(ARTICLE.format("&x;")).partition("?>")[2],
        "declares the entity",
    ),
    "empty.txt": ("", "the file is empty"),
    "blank.txt": (" \n\n ", "only white space"),
    "binary.bin": (bytes(range(256)) * 20, "binary file"),
    "latin1.txt": ("naïve café".encode("latin-1"), "not UTF-8 at byte"),
    "declared.xml": (GOOD.replace("1.0", '1.0" encoding="utf-8').replace("gout", "gôut").encode("latin-1"), "broken"),
    "columns.tsv": ("a\tO\nb\tO\nc\tO\nd\tO\ne\n\n", "line 5: expected a word and a tag"),
    "offsets.pubtator": (
        "7|t|Gout again\n7|a|x\n7\t0\t4\tGoit\tDisease\tD1\n\n",
        "'Goit' at 0-4, but the text there is 'Gout'",
    ),
    "bad.jsonl": ('{"text": 3}\n', "text: expected a text, found the number 3"),
    "twice.jsonl": ('{"text": "a", "text": "b"}\n', "given twice"),
    "nan.json": ('{"documents": [{"id": "1", "passages": [], "x": NaN}]}', "NaN"),
    "deep.json": ('{"documents": ' + "[" * 100_000, "nested too deeply"),
    "nopmid.xml": (PUBMED.format(ARTICLE.format("")), "no PMID"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gives_one_clear_sentence_and_good_input_beside_it_is_annotated(
    run: Run, tiny_bundle: Path, tmp_path: Path, name: str
) -> None:
    content, message = BAD[name]
    bad = write(tmp_path / name, content)
    alone = run("annotate", bad, "--model", tiny_bundle)
    assert alone.code in (1, 2)
    assert message in alone.err
    assert name in alone.err
    assert "Traceback" not in alone.err
    assert "root:" not in alone.out
    beside = run("annotate", bad, write(tmp_path / "good.xml", GOOD), "--model", tiny_bundle)
    assert beside.code == 1
    assert message in beside.err
    assert {"1", "2"} <= {json.loads(line)["id"] for line in beside.out.splitlines()}


def test_good_records_before_a_break_and_around_a_bad_one_are_kept(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    broken = write(tmp_path / "a.xml", GOOD.replace("</PubmedArticleSet>", "<PubmedArticle><MedlineCitation>"))
    result = run("annotate", broken, "--model", tiny_bundle)
    assert (result.code, result.out.count("\n")) == (1, 2)
    lines = [json.dumps({"id": str(number), "text": "no gout was seen"}) for number in range(5)]
    lines[2] = "{broken"
    result = run("annotate", write(tmp_path / "a.jsonl", "\n".join(lines)), "--model", tiny_bundle)
    assert result.code == 1
    assert [json.loads(line)["id"] for line in result.out.splitlines()] == ["0", "1", "3", "4"]
    assert "line 3" in result.err


def test_missing_things_are_named(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    good = write(tmp_path / "a.xml", GOOD)
    for arguments, message in [
        (("annotate", tmp_path / "none.xml", "--model", tiny_bundle), "no such file"),
        (("annotate", good, "--model", tmp_path), "there is no config.json"),
        (("annotate", good, "--model", tiny_bundle, "--from", "docx"), "'docx' is not readable"),
        (("annotate", good, "--model", tiny_bundle, "--output", tmp_path / "a.docx"), "no format is known"),
        (("finetune", tmp_path / "none.toml"), "recipe cannot be read"),
        (("info", tmp_path / "none"), "no such file"),
    ]:
        result = run(*arguments)
        assert result.code == 2
        assert message in result.err
        assert result.err.count("\n") <= 2


def test_nothing_is_left_of_an_output_that_failed(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    result = run("annotate", write(tmp_path / "e.txt", ""), "--model", tiny_bundle, "--output", tmp_path / "out.jsonl")
    assert result.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["e.txt"]


def test_evaluate_prints_scores_with_intervals(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    data = make_corpus(tmp_path / "test.tsv", drugs=False, seed=5)
    result = run("evaluate", "--model", tiny_bundle, "--data", data)
    assert result.code == 0
    assert "Disease" in result.out
    scores = json.loads(run("evaluate", "--model", tiny_bundle, "--data", data, "--json").out)
    assert scores["micro"]["f1"] > 0.9
    data.write_text(data.read_text().replace("-Disease", "-Illness"))
    result = run("evaluate", "--model", tiny_bundle, "--data", data)
    assert (result.code, "--map Illness=TYPE" in result.err) == (2, True)
    mapped = run("evaluate", "--model", tiny_bundle, "--data", data, "--map", "Illness=Disease", "--json")
    assert json.loads(mapped.out)["micro"] == scores["micro"]


def test_bare_tags_need_their_type(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    data = make_corpus(tmp_path / "test.tsv", drugs=False)
    data.write_text(data.read_text().replace("-Disease", ""))
    assert "--entity-type" in run("evaluate", "--model", tiny_bundle, "--data", data).err
    assert run("evaluate", "--model", tiny_bundle, "--data", data, "--entity-type", "Disease").code == 0


def test_convert_and_info(run: Run, tmp_path: Path, tiny_bundle: Path) -> None:
    source = write(tmp_path / "a.pubtator", "7|t|Gout again\n7|a|And gout.\n7\t0\t4\tGout\tDisease\tD006073\n\n")
    assert run("convert", source, "--to", "brat", "--output", tmp_path / "brat").code == 0
    assert (tmp_path / "brat" / "7.ann").read_text() == "T1\tDisease 0 4\tGout\nN1\tReference T1 mesh:D006073\n"
    assert '"mesh:D006073"' in run("convert", source, "--to", "jsonl").out
    facts = json.loads(run("info", source, "--json").out)
    assert (facts["format"], facts["documents"], facts["entities"]) == ("pubtator", 1, {"Disease": 1})
    assert "Disease, Chemical" in run("info", tiny_bundle).out


def test_finetune_and_export_from_the_command_line(run: Run, tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, epochs=1)
    result = run("finetune", recipe, "--output", tmp_path / "run", "--set", "training.seed=3", "--resume")
    assert result.code == 0
    assert result.err.startswith(f"{tmp_path}/run: no run to resume; training starts from the beginning\n")
    bundle = Path(result.out.strip())
    assert "validation entity_f1" in result.err
    assert run("finetune", recipe, "--output", tmp_path / "run").code == 2
    result = run("finetune", recipe, "--output", tmp_path / "run", "--set", "training.seed=3", "--resume")
    assert (result.code, "no run to resume" in result.err) == (0, False)
    result = run("export", bundle, "--output", tmp_path / "small", "--precision", "int8")
    assert result.out.strip() == str(tmp_path / "small" / "model.int8.onnx")
    assert run("annotate", "-", "--model", tmp_path / "small", stdin=b"no gout was seen").code == 0


def test_preprocess_pretrain_and_info_from_the_command_line(run: Run, tmp_path: Path) -> None:
    recipe = make_pretraining_recipe(tmp_path, tokens=400)
    text = write(tmp_path / "a.txt", GOUT)
    corpus = tmp_path / "texts2"
    done = run("preprocess", text, "--output", corpus, "--tokenizer", tmp_path / "base", "--workers", 1)
    assert done.code == 0, done.err
    facts = json.loads(run("info", corpus, "--json").out)
    assert facts["documents"] == 1
    corpora = 'corpora=[{name="texts", path="texts"}, {name="more", path="texts2"}]'
    result = run("pretrain", recipe, "--output", tmp_path / "run", "--set", corpora, "--set", "data.held_out=0.001")
    assert result.code == 0, result.err
    assert "1 process(es): 400 tokens" in result.err
    model = Path(result.out.strip())
    facts = json.loads(run("info", model, "--json").out)
    assert facts["architecture"] == "BertForMaskedLM"
    assert set(facts["pretrained on"]) == {"texts", "more"}
    assert run("pretrain", recipe, "--output", tmp_path / "run").code == 2


def test_help_names_every_verb_with_an_example(run: Run) -> None:
    text = run("--help").out
    for verb in VERBS:
        assert verb in text
        assert f"textome {verb}" in run(verb, "--help").out
    assert run("--version").out.startswith("textome 0.")
    assert "--install-completion" in text
    module = [sys.executable, "-m", "textome", "--version"]
    assert subprocess.run(module, capture_output=True, text=True, check=True).stdout == run("--version").out


def test_a_shell_completes_verbs_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    def completed(words: str, position: int) -> list[str]:
        shell = os.environ | {
            "_TEXTOME_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(position),
        }
        command = [sys.executable, "-m", "textome"]
        return subprocess.run(command, env=shell, capture_output=True, text=True, check=True).stdout.split()

    assert completed("textome ann", 1) == ["annotate"]
    assert "--vocabulary" in completed("textome annotate --voc", 2)


def test_names_of_the_package_are_listed_once_and_are_there() -> None:
    names = dir(textome)
    assert len(names) == len({*names})
    assert {*textome.__all__} <= {*names}
    assert [name for name in textome.__all__ if getattr(textome, name, None) is None] == []


def test_findings_are_explained(run: Run, tmp_path: Path, tiny_bundle: Path, tiny_tasks: Path) -> None:
    result = run("explain", "Aspirin is given for gout .", "--model", tiny_bundle, "-n", 2)
    assert (result.code, result.err) == (0, "2 findings explained\n")
    lines = result.out.splitlines()
    assert len(lines) == 6
    assert [line.split("  ")[-1] for line in lines[::3]] == ["Aspirin", "gout"]
    told = run("explain", write(tmp_path / "good.xml", GOOD), "--model", tiny_bundle, "--json", "--types", "Chemical")
    found = json.loads(told.out)
    assert {(item["document"], item["finding"]) for item in found} == {("1", "Chemical"), ("2", "Chemical")}
    for item in found:
        assert item["text"] == item["parts"][0][slice(*item["span"])]
    page = tmp_path / "why.html"
    bundle = tiny_tasks / "run" / "bundle"
    shown = run("explain", "no gout was seen", "-m", bundle, "--task", "single", "--label", "drug", "-o", page)
    assert (shown.code, shown.out) == (0, "")
    assert "drug 0." in page.read_text(encoding="utf-8")
    mixed = write(tmp_path / "two.jsonl", '{"id": "1", "text": "no gout was seen"}\n{"id": "2", "text": "\\u200b"}\n')
    some = run("explain", mixed, "-m", bundle, "--task", "single")
    assert some.code == 1
    assert "document 2" in some.err
    for arguments, message in (
        (["   "], "the text is empty"),
        (["gout", "-o", tmp_path / "why.pdf"], "name a .html or .json file"),
        (["gout", "--label", "x"], "a label is for tasks that give labels"),
        (["gout", "--task", "single", "--label", "x"], "has no label 'x'"),
    ):
        wrong = run("explain", *arguments, "-m", bundle)
        assert (wrong.code, wrong.out) == (2, "")
        assert message in wrong.err, arguments


def test_what_the_system_refuses_is_one_sentence(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "good.xml", GOOD)
    (tmp_path / "folder.jsonl").mkdir()
    result = run("convert", source, "--to", "jsonl", "--output", tmp_path / "folder.jsonl")
    assert (result.code, result.out) == (2, "")
    assert result.err.splitlines()[-1].startswith(
        f"textome: {tmp_path}/folder.jsonl: Is a directory; check the path and its permissions"
    )
    assert "Traceback" not in result.err

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    result = run("convert", source, "--to", "jsonl", "--output", tmp_path / "out.jsonl")
    assert result.code == 2
    assert f"{tmp_path}/out.jsonl: No space left on device; make room there" in result.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.jsonl", "good.xml"]
