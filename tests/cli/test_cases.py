"""Small inputs shaped as public bug reports have them (../shared/cases), at the entrances of the command line.

Each is read, refused in one sentence, or its bad records are quarantined; nothing is lost in silence. Skipped where the
shared files are missing.
"""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from cli.conftest import Run

# The exit code that `convert` gives, and words of the message of all that is not simply read.
READ = (
    *("bioc_rel_only.xml", "bioc_relative_chance.json", "biocjson_lines.json", "bionlp_st", "brat_crlf", "brat_rel"),
    *("bool_label.jsonl", "chemprot_abstracts.tsv", "cochrane.ris", "cr_min.txt", "doccano_entities.jsonl"),
    *("doccano_label.jsonl", "esc.jsonl", "excel_sep.csv", "excel_unicode.txt", "huge_cell.tsv", "inj.jsonl"),
    *("labelstudio.csv", "labelstudio.json", "list_min.txt", "list_note.txt", "mac.csv", "medmentions_cui.pubtator"),
    *("nfc_nfd.jsonl", "nul.pubtator", "null_label.jsonl", "pair_number.jsonl", "pm_book.xml", "pm_doi_invalid.xml"),
    *("pm_other_twice.xml", "prodigy.jsonl", "pubannotation.json", "pubmed_dump.jsonl", "pubtator3_api.json"),
    *("spacy_v3.jsonl", "string_labels.jsonl", "tmvar_types.pubtator"),
)
QUARANTINED = {
    "extra_tab.tsv": "line 2: 3 cells, but the header has 2 columns",
    "half_bad.conll": "line 4: expected 2 columns",
    "half_bad.jsonl": "line 3: there is no text",
}
REFUSED = {
    "a.bib": "this is BibTeX",
    "bad_part.parquet": "called .parquet and is none",
    "bioasq_null.json": "these are questions",
    "csv_sniff_500.bin": "not recognised",
    "entities_bomb_convert.json": 'no "passages"',
    "first_bad.tsv": "--text-column NAME",
    "latin1_labels.tsv": "not UTF-8",
    "reads.fastq": "this is FASTQ",
    "recipe_name_traversal.toml": "a file of settings",
    "spans_bomb_small.json": 'no "passages"',
    "squad.json": "these are questions",
    "webanno3.tsv": "this is WebAnno TSV",
}
# Labelled examples and annotated texts: what evaluate says of them with the bundled model of entities.
EVALUATED = (
    *("biocjson_lines.json", "brat_crlf", "brat_rel", "doccano_entities.jsonl", "doccano_label.jsonl"),
    *("labelstudio.csv", "labelstudio.json", "nul.pubtator", "prodigy.jsonl", "pubannotation.json"),
    *("pubtator3_api.json", "spacy_v3.jsonl"),
)


def test_every_case_has_a_row(cases: Path) -> None:
    names = {path.name for path in cases.iterdir()} - {"README.md"}
    assert names == {*READ, *QUARANTINED, *REFUSED}


def test_convert(cases: Path, run: Run) -> None:
    expected = dict.fromkeys(READ, (0, ""))
    expected |= {name: (1, words) for name, words in QUARANTINED.items()}
    expected |= {name: (2, words) for name, words in REFUSED.items()}
    for name, (code, words) in expected.items():
        result = run("convert", cases / name, "--to", "jsonl")
        assert (result.code, "Traceback" in result.err) == (code, False), (name, result.err)
        assert words in result.err, name
        assert bool(result.out) is (code < 2), name


def test_a_glob_over_brat_files_gives_each_text_once(cases: Path, run: Run) -> None:
    result = run("convert", *sorted((cases / "brat_rel").iterdir()), "--to", "jsonl")
    assert [json.loads(line)["id"] for line in result.out.splitlines()] == ["a"]


def test_no_entity_crosses_a_list_item(cases: Path, run: Run) -> None:
    for name in ("list_min.txt", "list_note.txt"):
        result = run("annotate", cases / name, "--to", "jsonl")
        (document,) = map(json.loads, result.out.splitlines())
        texts = [entity["text"] for entity in document["entities"]]
        # "type 2 diabetes" is wrapped in the note and goes on in the next line.
        assert [text for text in texts if "\n" in text] in ([], ["type 2 diabetes\n  mellitus"]), name
        assert len(texts) >= 3, name


def test_evaluate(cases: Path, run: Run) -> None:
    for name in EVALUATED:
        result = run("evaluate", "--data", cases / name, "--json")
        assert result.code == 0, (name, result.err)
        assert json.loads(result.out)["micro"]["f1"] > 0.6, name
    assert (
        run("evaluate", "--data", cases / "prodigy.jsonl")
        .err.rstrip()
        .endswith("passed over: 1, rejected by the annotator")
    )
    result = run("evaluate", "--data", cases / "half_bad.conll", "--json")
    assert (result.code, json.loads(result.out)["documents"]) == (1, 2)
    for name in ("bioasq_null.json", "latin1_labels.tsv", "half_bad.jsonl"):
        result = run("evaluate", "--data", cases / name)
        assert result.code == 2, name
        assert f"quarantined: {cases / name}, line" in result.err, "also where the run ends in an error"


@pytest.mark.slow
def test_all_at_once(cases: Path, run: Run, tmp_path: Path) -> None:
    """A whole folder: what is bad is quarantined alone, and every good record is there."""
    folder = tmp_path / "cases"
    # The large cell takes a minute to annotate.
    shutil.copytree(cases, folder, ignore=shutil.ignore_patterns("README.md", "huge_cell.tsv"))
    result = run("bulk", folder, "-o", tmp_path / "bulk", "--workers", 1, "--to", "jsonl", "--without", "linking")
    assert result.code == 1, result.err
    lines = map(json.loads, (tmp_path / "bulk" / "quarantine.jsonl").read_text().splitlines())
    assert {Path(item["source"]).name for item in lines} == {*QUARANTINED, *REFUSED}
    ids = []
    for part in sorted((tmp_path / "bulk" / "documents").iterdir()):
        ids += [json.loads(line)["id"] for line in gzip.decompress(part.read_bytes()).splitlines()]
    assert len(ids) == 57
    assert "passed over: 1, rejected by the annotator" in result.err
    corpus = run("preprocess", folder, "-o", tmp_path / "corpus", "--no-quality", "--dedup", "none", "--workers", 1)
    assert corpus.code == 1, corpus.err
    assert "passed over: 1, rejected by the annotator" in corpus.err
