"""How well the step `context` sees negation, on the sentences of NegEx's test kit (Chapman et al. 2001).

    python benchmarks/context.py --data ../shared/data

Each row is a sentence of a clinical report with one concept in it, which is an entity here. The cues were developed on
three quarters of the reports (`development`); nobody read the errors of the last one (`test`). A concept that is not in
its sentence counts as not negated.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from textome.documents import Document
from textome.steps import load_step


def main() -> None:
    parser = argparse.ArgumentParser(description="Negation on the test kit of NegEx")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--show", action="store_true", help="print the errors of `development`")
    arguments = parser.parse_args()

    step = load_step("context", skip_types=[])
    counts: dict[str, Counter[tuple[bool, bool]]] = {"development": Counter(), "test": Counter()}
    for report, concept, sentence, negated in rows(arguments.data / "negation" / "negex" / "Annotations-1-120.tsv.gz"):
        part = "test" if int(hashlib.sha256(report.encode()).hexdigest(), 16) % 4 == 3 else "development"
        (document,) = step([annotated(concept, sentence)])
        predicted = any("negated" in entity.attributes for entity in document.entities)
        counts[part][predicted, negated] += 1
        if arguments.show and part == "development" and predicted != negated:
            print(f"  {'+' if predicted else '-'} {concept} | {sentence[-200:]}")
    print(f"{'part':<12}{'rows':>6}{'negated':>9}{'precision':>11}{'recall':>9}{'F1':>9}")
    for part, count in counts.items():
        hits, extra, missed = count[True, True], count[True, False], count[False, True]
        precision, recall = hits / (hits + extra), hits / (hits + missed)
        f1 = 2 * precision * recall / (precision + recall)
        print(f"{part:<12}{count.total():>6}{hits + missed:>9}{precision:>11.2%}{recall:>9.2%}{f1:>9.2%}")


def rows(path: Path) -> Iterator[tuple[str, str, str, bool]]:
    """Report, concept, sentence, and whether the concept is negated there."""
    for line in gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()[1:]:
        report, concept, sentence, label = line.split("\t")
        yield report, concept.strip().strip('"'), sentence.strip().strip('"'), label == "Negated"


def annotated(concept: str, sentence: str) -> Document:
    """The sentence with the concept, which stands in it in capitals, as an entity."""
    pattern = r"\s+".join(map(re.escape, concept.upper().split()))
    matches = list(re.finditer(pattern, sentence)) or list(re.finditer(pattern, sentence, re.IGNORECASE))
    document = Document.from_text(sentence)
    return document.with_annotations(document.entity([match.span()], "Finding") for match in matches[-1:])


if __name__ == "__main__":
    main()
