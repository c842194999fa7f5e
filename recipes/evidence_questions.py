"""Yes/no questions from Evidence Inference (DeYoung et al. 2020): what trials found, as experts marked it in their texts.

    python recipes/evidence_questions.py [--output runs/evidence-questions.jsonl]

An expert read whether an intervention changed an outcome, compared with another one, and marked where the article says so.
This makes a pair of each: "Does A change B, compared with C?" with the text around the mark, answered yes where the outcome
rose or fell significantly, and no where it did not. Questions on which experts disagree are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections import Counter, defaultdict
from pathlib import Path

from textome.formats.reading.archives import unpacked
from textome.formats.reading.sources import atomic_file

ROOT = Path(__file__).resolve().parent.parent
ANSWERS = {"no significant difference": "no"} | dict.fromkeys(
    ("significantly increased", "significantly increase", "significantly decreased"), "yes"
)
# Characters of the article around a mark, cut at blanks: about as long as an abstract with a mark of one sentence.
AROUND = 600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "evidence-questions.jsonl")
    options = parser.parse_args()
    folder = Path(options.data) / "cls" / "Evidence-Inference"
    articles = unpacked(Path(options.data) / "pretrain/Evidence-Inference-fulltext/evidence-inference-txt.tar.xz")
    texts = {file.stem: file for file in articles.rglob("PMC*.txt")}
    prompts = {row["PromptID"]: row for row in rows_of(folder / "prompts_merged.csv")}
    marks = defaultdict(list)
    for row in rows_of(folder / "v2_annotations.csv"):
        if row["Valid Label"] == "True" and row["Valid Reasoning"] == "True" and row["Label"] in ANSWERS:
            marks[row["PromptID"]].append(row)
    left_out, answers = Counter[str](), Counter[str]()
    with atomic_file(options.output) as stream:
        for number, rows in marks.items():
            prompt, found = prompts.get(number), {ANSWERS[row["Label"]] for row in rows}
            article = texts.get(f"PMC{rows[0]['PMCID']}")
            if len(found) > 1 or prompt is None or article is None:
                left_out["experts disagree" if len(found) > 1 else "no question or no article"] += 1
                continue
            mark = min(rows, key=lambda row: int(row["Evidence End"]) - int(row["Evidence Start"]))
            context = _around(
                article.read_text(encoding="utf-8"), int(mark["Evidence Start"]), int(mark["Evidence End"])
            )
            named = (" ".join(prompt[name].split()) for name in ("Intervention", "Outcome", "Comparator"))
            question = "Does {} change {}, compared with {}?".format(*named)
            record = {"id": number, "text": question, "pair": context, "label": found.pop()}
            answers[record["label"]] += 1
            stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
    print(f"{sum(answers.values()):,} questions: {dict(answers)}; left out: {dict(left_out)}")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _around(text: str, start: int, end: int) -> str:
    """The marked part with some text before and behind it."""
    before, behind = text[max(0, start - AROUND) : start], text[end : end + AROUND]
    if start > AROUND:
        before = before.partition(" ")[2]
    return " ".join((before + text[start:end] + behind.rpartition(" ")[0]).split())


if __name__ == "__main__":
    main()
