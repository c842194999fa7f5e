"""Makes the corpora that recipes/pretrain_minilm.toml reads, each by `textome preprocess`, with the test sets kept out.

    python recipes/pretraining_corpora.py [--data FOLDER] [--output runs/corpora] [--workers N] [--tokenizer FOLDER]

They are cut by the bundled model's vocabulary, which the recipe names too, or by that of another folder. The data folder
holds the public sets under the names below (see the model card for their sources and terms).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from textome.formats.reading.archives import unpacked
from textome.processors import available_threads

ROOT = Path(__file__).resolve().parent.parent
TEST_SETS = [
    *(f"ner/{name}/test.tsv" for name in ("NCBI-disease", "BC5CDR", "BC2GM", "linnaeus", "s800")),
    "ner/JNLPBA-standoff/jnlpba-standoff.tar.xz!standoff/test",
    "re/BioRED/BioRED.zip!BioRED/Test.PubTator.txt",
    "qa/PubMedQA/test_ground_truth.json",
]
ENTITY_CORPORA = ["NCBI-disease", "BC5CDR", "BC2GM", "linnaeus", "BioNLP09", "BioNLP11EPI", "BioNLP11ID", "BioNLP13GE",
                  "BioNLP13PC", "Ex-PTM"]  # fmt: skip
# Sentences of one article follow each other in these files, and so many make one document.
TOGETHER = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "corpora")
    parser.add_argument("--workers", type=int, default=available_threads())
    parser.add_argument(
        "--tokenizer", default="default", help="a folder with a vocabulary; default: the bundled model's"
    )
    options = parser.parse_args()
    data: Path = Path(options.data)
    with tempfile.TemporaryDirectory() as scratch:
        questions, abstracts = Path(scratch) / "questions.jsonl", Path(scratch) / "abstracts.jsonl"
        write_documents(questions, answers(next((data / "qa/MedQuAD").glob("*.tar.xz"))))
        write_documents(abstracts, entity_texts(data / "ner"))
        trials = data / "pretrain/Evidence-Inference-fulltext/evidence-inference-txt.tar.xz!txt_files"
        jnlpba = data / "ner/JNLPBA-standoff/jnlpba-standoff.tar.xz!standoff/train"
        for name, inputs in {
            "trials": [str(trials)],
            "questions": [str(questions)],
            "abstracts": [str(abstracts), str(jnlpba)],
        }.items():
            command = [sys.executable, "-m", "textome.cli.main", "preprocess", *inputs]
            command += ["--output", str(options.output / name), "--workers", str(options.workers)]
            command += ["--tokenizer", options.tokenizer]
            if name == "abstracts":  # single sentences are welcome here
                command += ["--min-words", "5"]
            for place in TEST_SETS:
                command += ["--exclude", str(data / place)]
            done = subprocess.run(command, check=False)
            if done.returncode not in (0, 1):  # 1: some records were set aside, and told
                sys.exit(done.returncode)


def answers(archive: Path) -> Iterator[str]:
    """The texts of MedQuAD's answers; those that its authors removed are empty."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
    for file in sorted(unpacked(archive).rglob("*.xml")):
        for answer in etree.parse(str(file), parser).iter("Answer"):
            if text := "".join(map(str, answer.itertext())).strip():
                yield text


def entity_texts(folder: Path) -> Iterator[str]:
    """Training and development sentences, neighbours joined where they come from one article."""
    for name in ENTITY_CORPORA:
        for split in ("train", "devel"):
            blocks = (folder / name / f"{split}.tsv").read_text(encoding="utf-8").split("\n\n")
            lines = [" ".join(row.split("\t")[0] for row in block.splitlines()) for block in blocks]
            sentences = [line for line in lines if line.strip()]
            size = 1 if name == "BC2GM" else TOGETHER  # BC2GM's sentences come from as many abstracts
            yield from ("\n".join(sentences[start : start + size]) for start in range(0, len(sentences), size))


def write_documents(path: Path, texts: Iterator[str]) -> None:
    """JSON lines that `textome preprocess` reads."""
    with path.open("w", encoding="utf-8") as stream:
        for number, text in enumerate(texts):
            stream.write(json.dumps({"id": f"{path.stem}-{number}", "text": text}) + "\n")


if __name__ == "__main__":
    main()
