"""Research questions without an answer, answered by a model that reads the authors' conclusion (Jin et al. 2019, phase II).

    python recipes/trial_questions.py --teacher runs/pubmedqa-conclusions/bundle --output runs/trial-questions.jsonl

For each randomised trial whose abstract has results and a conclusion, a teacher (recipes/tasks/pubmedqa_conclusions.toml)
answers the title from the conclusion. Written down are the title, the abstract without its conclusion, and its answer where
the teacher is sure enough: training data for a model that has no conclusion to read.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from textome.formats.archives import unpacked
from textome.formats.labelled import LabelledText
from textome.formats.sources import Quarantine, atomic_file
from textome.runtime.labeller import Labeller

ROOT = Path(__file__).resolve().parent.parent
TRIALS = "pretrain/Evidence-Inference-fulltext/evidence-inference-txt.tar.xz"
SECTION = re.compile(r"^[ \t]*ABSTRACT\.([^\n]*?):\n(.*?)(?=^[ \t]*(?:ABSTRACT|BODY)\.|\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Trial:
    id: str
    title: str
    evidence: str
    conclusion: str


def trials(folder: Path) -> Iterator[Trial]:
    for file in sorted(folder.rglob("*.txt")):
        text = file.read_text(encoding="utf-8", errors="replace")
        title = " ".join(text.partition("\n")[0].removeprefix("TITLE:").split())
        sections = [(name.upper(), " ".join(content.split())) for name, content in SECTION.findall(text)]
        concluding = [content for name, content in sections if "CONCLUSION" in name or "INTERPRETATION" in name]
        evidence = [content for name, content in sections if content not in concluding and "REGISTRATION" not in name]
        if title and any(concluding) and any("RESULT" in name or "FINDING" in name for name, _ in sections):
            yield Trial(file.stem, title, "\n".join(evidence), " ".join(concluding))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True, help="its bundle, exported")
    parser.add_argument("--data", type=Path, default=os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "trial-questions.jsonl")
    parser.add_argument("--least", type=float, default=0.6, help="the probability from which an answer is kept")
    options = parser.parse_args()
    found = {trial.id: trial for trial in trials(unpacked(Path(options.data) / TRIALS))}
    asked = [LabelledText(trial.id, trial.title, trial.conclusion) for trial in found.values()]
    kept, answers = 0, Counter[str]()
    with atomic_file(options.output) as stream:
        for name, (row,) in Labeller.load(options.teacher).records(asked, Quarantine(), TRIALS):
            if row["probability"] >= options.least:
                record = {"id": name, "text": found[name].title, "pair": found[name].evidence, "label": row["label"]}
                stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
                kept, answers[row["label"]] = kept + 1, answers[row["label"]] + 1
    print(f"{kept:,} of {len(found):,} trials: {dict(answers)}")


if __name__ == "__main__":
    main()
