"""Data of recipes/text_to_text.toml and recipes/pretrain_t5_small.toml: trials of Evidence Inference (DeYoung et al. 2020).

    python recipes/text_to_text_data.py [--data FOLDER] [--output runs/text-to-text]

By the articles of its training, validation and test split it writes, a JSON line each:

    titles.SPLIT.jsonl        the abstract, and the title
    conclusions.SPLIT.jsonl   the other sections of a structured abstract, and its conclusions
    effects.SPLIT.jsonl       "effect of A on B compared with C?" with what an expert marked, and what the trial found
    articles.jsonl            the first words of the training articles, for pretraining

No article of a test or validation split is in a training file or in articles.jsonl.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from textome.formats.reading.archives import unpacked
from textome.formats.reading.sources import atomic_file

ROOT = Path(__file__).resolve().parent.parent
EFFECTS = {
    "no significant difference": "no significant difference",
    "significantly increased": "significantly increased",
    "significantly increase": "significantly increased",
    "significantly decreased": "significantly decreased",
}
# Characters of an article's text that pretraining reads, and of a mark that answers a question.
ARTICLE, MARK = 12_000, 600
_SECTION = re.compile(r"^[ \t]*(TITLE|ABSTRACT|BODY)(?:\.([^\n:]*))?:+", re.MULTILINE)
# Sections of an abstract that are about the article, and no part of what the trial found.
_ABOUT = ("registration", "supplementary", "trial", "funding", "keywords")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "text-to-text")
    options = parser.parse_args()
    folder = Path(options.data) / "cls" / "Evidence-Inference"
    archive = unpacked(Path(options.data) / "pretrain/Evidence-Inference-fulltext/evidence-inference-txt.tar.xz")
    articles = {file.stem.removeprefix("PMC"): file for file in sorted(archive.rglob("PMC*.txt"))}
    files: dict[str, list[dict[str, str]]] = defaultdict(list)
    split_of: dict[str, str] = {}
    for split in ("train", "validation", "test"):
        names = (folder / "splits" / f"{split}_article_ids.txt").read_text(encoding="utf-8").split()
        split_of |= dict.fromkeys((name.removeprefix("PMC") for name in names), split)
    for name, split in sorted(split_of.items()):
        if name in articles:
            for kind, record in records(name, articles[name].read_text(encoding="utf-8")):
                if kind != "articles":
                    files[f"{kind}.{split}"].append(record)
                elif split == "train":
                    files["articles"].append(record)
    for name, record in effects(folder):
        if name in split_of:
            files[f"effects.{split_of[name]}"].append(record)
    options.output.mkdir(parents=True, exist_ok=True)
    for kind, rows in sorted(files.items()):
        with atomic_file(options.output / f"{kind}.jsonl") as stream:
            stream.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
        print(f"{kind}: {len(rows):,}")


def records(name: str, text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The records of an article, each with the kind of its file."""
    marks = list(_SECTION.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)] * bool(marks)
    sections = [
        (mark[1], (mark[2] or "").casefold(), " ".join(text[mark.end() : end].split()))
        for mark, end in zip(marks, ends, strict=True)
    ]
    title = " ".join(body for part, _, body in sections if part == "TITLE")
    abstract = [(heading, body) for part, heading, body in sections if part == "ABSTRACT" and body]
    abstract = [(heading, body) for heading, body in abstract if not any(word in heading for word in _ABOUT)]
    conclusion = " ".join(body for heading, body in abstract if "conclusion" in heading)
    rest = " ".join(body for heading, body in abstract if "conclusion" not in heading)
    if title and len(rest) > 200:
        yield "titles", {"id": name, "text": " ".join(body for _, body in abstract), "label": title}
        if len(conclusion) > 40:
            yield "conclusions", {"id": name, "text": rest, "label": conclusion}
    if body := " ".join(body for part, _, body in sections if part == "BODY"):
        yield "articles", {"id": name, "text": f"{title}. {rest} {conclusion} {body}"[:ARTICLE].rpartition(" ")[0]}


def effects(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The questions of Evidence Inference with their articles; those on which experts disagree are left out."""
    prompts = {row["PromptID"]: row for row in _table(folder / "prompts_merged.csv")}
    marks = defaultdict(list)
    for row in _table(folder / "v2_annotations.csv"):
        if row["Valid Label"] == "True" and row["Valid Reasoning"] == "True" and row["Label"] in EFFECTS:
            marks[row["PromptID"]].append(row)
    left_out = Counter[str]()
    for number, rows in sorted(marks.items()):
        answers = {EFFECTS[row["Label"]] for row in rows}
        mark = min((" ".join(row["Annotations"].split()) for row in rows), key=len)
        if len(answers) > 1 or number not in prompts or not 20 <= len(mark) <= MARK:
            left_out["experts disagree" if len(answers) > 1 else "no prompt, or a mark of another length"] += 1
            continue
        named = (" ".join(prompts[number][name].split()) for name in ("Intervention", "Outcome", "Comparator"))
        question = "effect of {} on {} compared with {}?".format(*named)
        yield rows[0]["PMCID"], {"id": number, "text": question, "pair": mark, "label": answers.pop()}
    print(f"effects left out: {dict(left_out)}")


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


if __name__ == "__main__":
    main()
