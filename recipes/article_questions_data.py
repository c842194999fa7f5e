"""Questions to whole articles, from Evidence Inference (DeYoung et al. 2020), in SQuAD's layout.

    python recipes/article_questions_data.py [--train 400] [--validation 150] [--test 300] [--output runs/article-questions]

An expert read what an intervention does to an outcome, compared with another one, and marked where the article says it:
the question is "How does A affect B, compared with C?", the text is the article (about 4,000 words), the answers are what
experts marked. The parts are those of the corpus, by article; questions are drawn by the hash of their numbers.

MedQuAD (Ben Abacha and Demner-Fushman 2019) gives easier ones to begin with, `start.json`: a page about a disease, all its
parts, a question to one part, and as the answer the first sentence of that part; `--start` says how many.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from evidence_questions import ROOT, rows_of
from lxml import etree

from textome.formats.reading.archives import unpacked
from textome.formats.reading.sources import atomic_file
from textome.text.sentences import split_sentences

PARTS = {"train": "train", "validation": "validation", "test": "test"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "article-questions")
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--validation", type=int, default=150)
    parser.add_argument("--test", type=int, default=300)
    parser.add_argument("--start", type=int, default=500)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    marked = list(marked_questions(Path(options.data)))
    for part, name in PARTS.items():
        splits = Path(options.data) / "cls/Evidence-Inference/splits"
        articles = {*(splits / f"{name}_article_ids.txt").read_text().split()}
        own = drawn((item for item in marked if item["article"] in articles), getattr(options, part))
        write(options.output / f"{part}.json", own)
    write(options.output / "start.json", drawn(pages(Path(options.data)), options.start))


def marked_questions(data: Path) -> Iterator[dict[str, Any]]:
    """Each question with its article and the spans that experts marked in it."""
    folder = data / "cls/Evidence-Inference"
    texts = unpacked(data / "pretrain/Evidence-Inference-fulltext/evidence-inference-txt.tar.xz")
    prompts = {row["PromptID"]: row for row in rows_of(folder / "prompts_merged.csv")}
    marks = defaultdict[str, set[tuple[int, int]]](set)
    for row in rows_of(folder / "v2_annotations.csv"):
        if row["Valid Label"] == "True" and row["Valid Reasoning"] == "True" and int(row["Evidence Start"]) >= 0:
            marks[row["PromptID"]].add((int(row["Evidence Start"]), int(row["Evidence End"])))
    paths = {file.stem.removeprefix("PMC"): file for file in texts.rglob("PMC*.txt")}
    for number, spans in marks.items():
        prompt = prompts.get(number)
        if prompt is not None and (path := paths.get(prompt["PMCID"])):
            text = path.read_text(encoding="utf-8")
            names = (" ".join(prompt[name].split()) for name in ("Intervention", "Outcome", "Comparator"))
            question = "How does {} affect {}, compared with {}?".format(*names)
            found = [(start, text[start:end]) for start, end in sorted(spans) if text[start:end].strip()]
            if found and len(question) < 400:
                yield {"id": number, "article": prompt["PMCID"], "text": text, "question": question, "answers": found}


def pages(data: Path) -> Iterator[dict[str, Any]]:
    """Each question of MedQuAD with all the parts of its page, and the first sentence of the part that answers it."""
    for path in sorted(unpacked(data / "qa/MedQuAD/medquad.tar.xz").rglob("*.xml")):
        parts = [
            (pair.findtext("Question", "").strip(), " ".join((pair.findtext("Answer") or "").split()))
            for pair in etree.parse(path).iter("QAPair")
        ]
        text = "\n".join(answer for _, answer in parts if answer)
        at = 0
        for number, (question, answer) in enumerate(parts):
            if question and answer and len(text) > 2 * len(answer) and len(question) < 400:
                first = split_sentences(answer)[0]
                sentence = (at + first.start, answer[first.start : first.end])
                name = f"{path.parent.name}-{path.stem}-{number}"
                yield {"id": name, "article": name, "text": text, "question": question, "answers": [sentence]}
            at += len(answer) + 1 if answer else 0


def drawn(items: Iterable[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    return sorted(items, key=lambda item: hashlib.sha256(item["id"].encode()).digest())[:number]


def write(path: Path, items: list[dict[str, Any]]) -> None:
    data = []
    for item in items:
        answers = [{"text": text, "answer_start": start} for start, text in item["answers"]]
        question = {"id": item["id"], "question": item["question"], "answers": answers}
        data.append({"title": item["article"], "paragraphs": [{"context": item["text"], "qas": [question]}]})
    with atomic_file(path) as stream:
        stream.write(json.dumps({"version": "1.1", "data": data}, ensure_ascii=False).encode())
    words = sum(len(item["text"].split()) for item in items) / max(1, len(items))
    answer = sum(len(item["answers"][0][1].split()) for item in items) / max(1, len(items))
    print(f"{path}: {len(items):,} questions, {words:,.0f} words in an article, {answer:.0f} in an answer")


if __name__ == "__main__":
    main()
