"""How well the step `context` reads negation, the past and other people, and what it does to scientific abstracts.

    python benchmarks/context.py --data ../shared/data [--show] [--abstracts 200]

Negation on the sentences of NegEx's test kit (Chapman et al. 2001): each row is a sentence of a clinical report with one
concept in it, which is an entity here. The cues were developed on three quarters of the reports (`development`); nobody
read the errors of the last one (`test`). A concept that is not in its sentence counts as not negated. The same kit says
what is historical (131 rows of 1,009; many stood in a section that the row does not name) and whose it is (4 rows are not
the patient's). What is uncertain, hypothetical or of others stands in no corpus at hand: context_sentences.txt has
sentences for it, of which the cues were mended by the first set and not by the second.

`--abstracts` prints each entity of so many abstracts (half BC5CDR, a quarter each NCBI-disease and BioRED, test parts,
human annotations) of which the step says anything, in its sentence: they speak of studies, so most should be negation.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from textome.documents import Document
from textome.formats import read_documents
from textome.steps import load_step
from textome.steps.context import ATTRIBUTES
from textome.text.sentences import sentence_spans

SENTENCES = Path(__file__).with_name("context_sentences.txt")


def main() -> None:
    parser = argparse.ArgumentParser(description="Negation on the test kit of NegEx")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--show", action="store_true", help="print the errors of `development` and of the sentences")
    parser.add_argument("--abstracts", type=int, default=0, help="print what is said of entities of so many abstracts")
    arguments = parser.parse_args()

    if arguments.abstracts:
        print_abstracts(arguments.data / "link" / "AIONER", arguments.abstracts)
        return
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
        print_scores(part, count)
    print("\nwhat else the kit says, all rows")
    for name, count in others(arguments.data / "negation" / "negex" / "rsAnnotations-1-120-random.tsv.gz").items():
        print_scores(name, count)
    for number, part in enumerate(SENTENCES.read_text(encoding="utf-8").split("\n\n"), 1):
        print(f"\nsentences of our own, set {number}")
        for name, count in sentences(part.splitlines(), arguments.show).items():
            print_scores(name, count)


def print_scores(name: str, count: Counter[tuple[bool, bool]]) -> None:
    """A line of the table, of how often something was predicted and true."""
    hits, extra, missed = count[True, True], count[True, False], count[False, True]
    precision, recall = hits / max(hits + extra, 1), hits / max(hits + missed, 1)
    f1 = 2 * hits / max(2 * hits + extra + missed, 1)
    print(f"{name:<12}{count.total():>6}{hits + missed:>9}{precision:>11.2%}{recall:>9.2%}{f1:>9.2%}")


def others(path: Path) -> dict[str, Counter[tuple[bool, bool]]]:
    """How often the past and other people were seen, on the rows of the second file of the kit."""
    step = load_step("context", skip_types=[])
    counts: dict[str, Counter[tuple[bool, bool]]] = {"historical": Counter(), "experiencer": Counter()}
    for line in gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()[1:]:
        _, concept, sentence, _, past, whose = (cell.strip().strip('"') for cell in line.split("\t"))
        (document,) = step([annotated(concept, sentence)])
        said = {name for entity in document.entities for name in entity.attributes}
        counts["historical"]["historical" in said, past == "Historical"] += 1
        counts["experiencer"]["experiencer" in said, whose != "Patient"] += 1
    return counts


def sentences(lines: list[str], show: bool) -> dict[str, Counter[tuple[bool, bool]]]:
    """How often each attribute was seen, on the entities of lines of context_sentences.txt."""
    step = load_step("context", skip_types=[])
    names = {"u": "uncertain", "y": "hypothetical", "h": "historical", "f": "family", "o": "other"}
    counts: dict[str, Counter[tuple[bool, bool]]] = {name: Counter() for name in names.values()}
    for line in lines:
        if line.startswith("#"):
            continue
        marks, _, marked = line.partition("|")
        document = Document.from_text(re.sub(r"[][]", "", marked))
        spans = [
            (match.start() - 2 * number, match.end() - 2 * number - 2)
            for number, match in enumerate(re.finditer(r"\[[^]]*\]", marked))
        ]
        (document,) = step([document.with_annotations(document.entity([span], "Disease") for span in spans)])
        for entity in document.entities:
            said = {*entity.attributes, *entity.attributes.values()}
            for mark, name in names.items():
                counts[name][name in said, mark in marks] += 1
                if show and (name in said) != (mark in marks):
                    print(f"  {'+' if name in said else '-'}{name}: {marked}")
    return counts


def print_abstracts(folder: Path, number: int) -> None:
    """Each entity of abstracts of which the step says anything, and how many there are."""
    step = load_step("context")
    shares = {
        "BC5CDR_Test": number // 2,
        "NCBIdisease_Test": number // 4,
        "BioRED_Test": number - number // 2 - number // 4,
    }
    changed = total = 0
    for name, count in shares.items():
        (path,) = folder.glob(f"{name}*")
        for document in step(list(islice(read_documents(path), count))):
            total += len(document.entities)
            spans = list(sentence_spans(document))
            for entity in document.entities:
                if said := {key: value for key, value in entity.attributes.items() if key in ATTRIBUTES}:
                    changed += 1
                    start, end = next(span for span in spans if span.start <= entity.start < span.end)
                    text = document.text
                    shown = f"{text[start : entity.start]}[{entity.text}]{text[entity.end : end]}"
                    print(
                        f"{document.id} {', '.join(f'{key}={value}' for key, value in said.items())}: {shown.strip()}"
                    )
    print(f"{number} abstracts, {total:,} entities, {changed} of which something is said")


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
