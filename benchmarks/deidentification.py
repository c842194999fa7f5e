"""How much personal data de-identification covers, per kind: recall first, then what it hides besides.

    python benchmarks/deidentification.py --data ../shared/data [--model rampart]

English: presidio-research's synthetic sentences (MIT), split by template, so that no sentence of the test half was seen
when rules were written. Spanish: the test part of MEDDOCAN (Marimon et al. 2019, CC BY 4.0). An annotation is covered
where all its letters and digits are, whatever the kind. `precision` is the share of the hidden letters and digits that are
annotated. Left out, since they are kept by intent: ages below 90, sexes, professions, weekdays, years, titles,
nationalities, and countries unless --kinds names them. Then how much of scientific abstracts, which name no patients, is
hidden: what it costs to run it where nobody needs it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from textome.documents import Document
from textome.formats import read_documents
from textome.steps.deidentification import Deidentification
from textome.text.deidentification.people import load_names
from textome.text.deidentification.rules import load_rules

_YEAR = re.compile(r"(?:año )?(?:1[89]|20)\d\d|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day", re.IGNORECASE)


class Gold(NamedTuple):
    start: int
    end: int
    kind: str


def main() -> None:
    parser = argparse.ArgumentParser(description="Recall of de-identification, per kind")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--model", help="rampart, or a bundle's folder")
    parser.add_argument("--part", choices=["development", "test"], default="test")
    parser.add_argument("--show", type=int, default=0, help="print so many annotations that are not covered")
    arguments = parser.parse_args()

    sets = {
        "presidio (English)": presidio(
            arguments.data / "deid" / "presidio-synthetic" / "synth_dataset_v2.json", arguments.part
        ),
        "MEDDOCAN (Spanish)": meddocan(arguments.data / "deid" / "MEDDOCAN" / "meddocan-brat.tar.xz", arguments.part),
    }
    for name, rows in sets.items():
        measure(name, list(rows), Deidentification(mode="tag", model=arguments.model, day_first=True), arguments.show)
    step = Deidentification(mode="mask", model=arguments.model)
    abstracts = list(read_documents(arguments.data / "re" / "BC5CDR-relations" / "CDR_TestSet.PubTator.txt.gz"))[:200]
    findings = [item for result in step.results(abstracts) for item in result.findings]
    counts = ", ".join(f"{kind} {count}" for kind, count in Counter(item.kind for item in findings).most_common())
    print(f"\n200 abstracts of BC5CDR: {len(findings)} hidden ({counts})")


def measure(name: str, rows: list[tuple[Document, list[Gold]]], step: Deidentification, show: int) -> None:
    started = time.perf_counter()
    results = list(step.results(document for document, _ in rows))
    seconds = time.perf_counter() - started
    covered: Counter[str] = Counter()
    total: Counter[str] = Counter()
    hidden = right = 0
    for (document, gold), result in zip(rows, results, strict=True):
        inside = {place for item in result.findings for place in range(item.start, item.end)}
        annotated = {place for item in gold for place in range(item.start, item.end)}
        visible = {place for place, letter in enumerate(document.text) if letter.isalnum()}
        hidden += len(inside & visible)
        right += len(inside & visible & annotated)
        for item in gold:
            if not counts(item, document.text):
                continue
            total[item.kind] += 1
            if set(range(item.start, item.end)) & visible <= inside:
                covered[item.kind] += 1
            elif show:
                show -= 1
                text = document.text
                print(
                    f"  {item.kind}: {text[max(0, item.start - 40) : item.start]!r} >{text[item.start : item.end]!r}<"
                )
    characters = sum(len(document.text) for document, _ in rows)
    print(f"\n{name}: {len(rows)} texts, {characters / seconds / 1000:,.0f} thousand characters/s")
    print(f"{'kind':<14}{'annotated':>10}{'recall':>9}")
    for kind, count in sorted(total.items()):
        print(f"{kind:<14}{count:>10}{covered[kind] / count:>9.1%}")
    print(
        f"{'all':<14}{total.total():>10}{covered.total() / total.total():>9.1%}   precision {right / max(hidden, 1):.1%}"
    )


def counts(item: Gold, text: str) -> bool:
    """Is it something that the step says it hides?"""
    said = text[item.start : item.end]
    if item.kind == "AGE":
        return any(int(digits) > 89 for digits in re.findall(r"\d+", said))
    if item.kind == "LOCATION" and said.lower() in load_names()["country"]:
        return False
    return item.kind != "COUNTRY" and not (item.kind == "DATE" and _YEAR.fullmatch(said))


def presidio(path: Path, part: str) -> Iterator[tuple[Document, list[Gold]]]:
    kinds = load_rules()
    for number, record in enumerate(json.loads(path.read_text(encoding="utf-8"))):
        template = hashlib.sha256(str(record["template_id"]).encode()).digest()[0] % 2
        if ("development", "test")[template] != part:
            continue
        gold = [
            Gold(span["start_position"], span["end_position"], kind)
            for span in record["spans"]
            if (kind := kinds.kind_of(span["entity_type"]))
        ]
        yield Document.from_text(record["full_text"], str(number)), gold


def meddocan(path: Path, part: str) -> Iterator[tuple[Document, list[Gold]]]:
    kinds = load_rules()
    with tempfile.TemporaryDirectory() as folder, tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
        for document in read_documents(Path(folder) / {"development": "dev"}.get(part, part), "brat"):
            gold = [
                Gold(entity.start, entity.end, kind)
                for entity in document.entities
                if (kind := kinds.kind_of(entity.type))
            ]
            yield document.with_annotations(()), gold


if __name__ == "__main__":
    main()
