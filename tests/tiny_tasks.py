"""Tiny data for every kind of task, and recipes over them."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

from textome.documents import Document, Entity, Passage, Relation, Span
from textome.formats import read_documents, write_documents
from tiny import DISEASES, DRUGS, make_base

PARTS = {
    "single": 'kind = "classification"\nlayout = "tsv"\ntrain = ["a.tsv"]\nvalidation = ["a.tsv"]\nnegative = ["drug"]',
    "roles": 'kind = "sentences"\ntrain = ["b.txt"]\nvalidation = ["b.txt"]\nclass_weights = "balanced"',
    "treats": 'kind = "relations"\nformat = "jsonl"\ntrain = ["c.jsonl"]\nvalidation = ["c.jsonl"]\nlabels = ["treats"]\n'
    'pairs = [["Chemical", "Disease"]]',
    "answers": 'kind = "answers"\nlayout = "squad"\ntrain = ["e.json"]\nvalidation = ["e.json"]\nlongest = 4',
    "topics": 'kind = "classification"\nlayout = "jsonl"\ntrain = ["d.jsonl"]\nvalidation = ["d.jsonl"]\n'
    "multi_label = true",
    "entities": 'kind = "entities"\ntypes = ["Disease", "Chemical"]\n[[tasks.corpora]]\nname = "tiny"\n'
    'train = ["c.jsonl"]\nvalidation = ["c.jsonl"]\nformat = "jsonl"\n'
    'types = { Disease = "Disease", Chemical = "Chemical" }',
}


def make_data(folder: Path) -> None:
    generator = random.Random(3)
    texts = [(f"patients took {name}", "drug") for name in DRUGS] + [
        (f"no {name} was seen", "disease") for name in DISEASES
    ]
    (folder / "a.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in texts * 6))
    abstract = "aim\tpatients took {}\nresult\tno {} was seen\n"
    (folder / "b.txt").write_text(
        "".join(
            f"###{number}\n{abstract.format(generator.choice(DRUGS), generator.choice(DISEASES))}\n"
            for number in range(40)
        )
    )
    documents = []
    for number in range(60):
        drug, disease, treats = generator.choice(DRUGS), generator.choice(DISEASES), generator.random() < 0.5
        text = f"{drug} is given for {disease}" if treats else f"no {drug} was seen with {disease}"
        document = Document(str(number), (Passage(text),))
        ends = [document.entity([(text.index(name), text.index(name) + len(name))], kind, id=id)
                for name, kind, id in ((drug, "Chemical", "T1"), (disease, "Disease", "T2"))]  # fmt: skip
        relations = [Relation("treats", (("a", "T1"), ("b", "T2")))] * treats
        documents.append(document.with_annotations(ends, relations))
    write_documents(documents, folder / "c.jsonl", "jsonl")
    lines = []
    for _ in range(60):
        chosen = [kind for kind in ("drug", "disease") if generator.random() < 0.5]
        names = {"drug": generator.choice(DRUGS), "disease": generator.choice(DISEASES)}
        text = "patients " + " and ".join(names[kind] for kind in chosen) + " daily"
        lines.append(json.dumps({"text": text, "labels": chosen}))
    (folder / "d.jsonl").write_text("\n".join(lines))
    paragraphs = []
    for number in range(60):
        disease = generator.choice(DISEASES)
        context = f"patients took {generator.choice(DRUGS)} daily with {disease}"
        answers = [{"text": disease, "answer_start": context.index(disease)}]
        paragraphs.append({"context": context, "qas": [{"id": str(number), "question": "for", "answers": answers}]})
    (folder / "e.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))


def join_documents(folder: Path) -> list[Document]:
    """Makes the documents of relations longer: each with its neighbour's text, so that a text has several pairs."""
    joined = []
    for number, (one, two) in enumerate(pairwise(read_documents(folder / "c.jsonl"))):
        shift = len(one.text) + 1
        entities = [
            *one.entities,
            *(
                Entity((Span(item.start + shift, item.end + shift),), item.type, item.text, f"U{item.id}")
                for item in two.entities
            ),
        ]
        relations = [*one.relations, *(Relation("treats", (("a", "UT1"), ("b", "UT2"))) for _ in two.relations)]
        document = Document(str(number), (Passage(f"{one.text} {two.text}"),))
        joined.append(document.with_annotations(entities, relations))
    write_documents(joined, folder / "c.jsonl", "jsonl")
    return joined


ONE_PASS = ("tasks.treats.one_pass=true", "tasks.treats.scope=document", "model.window=64")


def make_task_recipe(folder: Path, *names: str, more: str = "", epochs: int = 8) -> Path:
    if not (folder / "base").exists():
        make_base(folder / "base")
        make_data(folder)
    tables = "".join(f'[[tasks]]\nname = "{name}"\n{PARTS[name]}\n' for name in names)
    path = folder / f"{'-'.join(names)}.toml"
    path.write_text(
        f'name = "tiny"\n[model]\nbase = "{folder / "base"}"\nwindow = 32\noverlap = 8\n{tables}{more}\n[training]\n'
        f'epochs = {epochs}\nlearning_rate = 5e-3\ntoken_budget = 256\nprecision = "fp32"\nseed = 7\n'
    )
    return path
