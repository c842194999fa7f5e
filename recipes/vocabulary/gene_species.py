"""Weights of textome.linking.species: learnt from mentions of genes whose species is known.

    python recipes/vocabulary/gene_species.py --data DATA

A softmax over the species that a text names, and human, mouse and rat, trained by gradient descent with L2 on the training
parts of GNormPlus, NLM-Gene and BioRED without the documents of test parts (folds 1 to 4), and scored on fold 0. Prints the
weights.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import lzma
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from learnt import fold_of, training_documents

from textome.documents import Document
from textome.linking.species import FEATURES, HUMAN, MOUSE, RAT, WEIGHTS, GeneSpecies

_CORPORA = ("GNormPlus_Train", "NLMgene_Train", "BioRED_TrainDev")
_ALWAYS = (HUMAN, MOUSE, RAT)
_L2 = 3e-4
_STEPS = 1500
_RATE = 2.0
Example = tuple[np.ndarray, int, int]  # features of each species, which is right, how many mentions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    data = parser.parse_args().data
    taxon_of = read_taxa(data / "vocab")
    parts: dict[bool, list[Example]] = {True: [], False: []}
    for corpus in _CORPORA:
        for document in training_documents(data / "link", corpus):
            parts[fold_of(document) > 0] += examples(document, taxon_of)
    weights = train(parts[True])
    for name, values in (("before", np.array(WEIGHTS)), ("learnt", weights)):
        print(
            f"{name}: {accuracy(values, parts[True]):.1%} in training, {accuracy(values, parts[False]):.1%} on fold 0"
        )
    for feature, weight in zip(FEATURES, weights, strict=True):
        print(f"{weight:8.2f}  {feature}")
    print("WEIGHTS:", tuple(round(float(weight), 2) for weight in weights))


def examples(document: Document, taxon_of: dict[str, int]) -> Iterator[Example]:
    """Each name of a gene in a document whose mentions are all of one species."""
    species = GeneSpecies(document.with_annotations([item for item in document.entities if item.type != "Gene"]))
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    found: dict[str, set[int]] = defaultdict(set)
    for entity in document.entities:
        numbers = re.findall(r"\d+", " ".join(re.sub(r"\(Tax:\d+\)", "", curie, flags=re.I) for curie in entity.curies))
        taxa = {taxon_of[number] for number in numbers if number in taxon_of}
        if entity.type == "Gene" and len(taxa) == 1:
            spans[entity.text].append((entity.start, entity.end))
            found[entity.text] |= taxa
    for name, where in spans.items():
        candidates = sorted({*species.taxa, *_ALWAYS})
        if len(found[name]) == 1 and (right := next(iter(found[name]))) in candidates:
            rows = np.array([species.features(name, where, taxon) for taxon in candidates])
            yield rows, candidates.index(right), len(where)


def train(parts: list[Example]) -> np.ndarray:
    weights = np.zeros(len(FEATURES))
    total = sum(count for _, _, count in parts)
    for _ in range(_STEPS):
        gradient = _L2 * weights
        for rows, right, count in parts:
            scores = rows @ weights
            probabilities = np.exp(scores - scores.max())
            probabilities /= probabilities.sum()
            gradient = gradient + count / total * (probabilities @ rows - rows[right])
        weights = weights - _RATE * gradient
    return weights


def accuracy(weights: np.ndarray, parts: list[Example]) -> float:
    hits = sum(count * (int(np.argmax(rows @ weights)) == right) for rows, right, count in parts)
    return hits / sum(count for _, _, count in parts)


def read_taxa(folder: Path) -> dict[str, int]:
    """The species of genes by NCBI Gene number: gene_info of four species, and RGD."""
    taxa = {}
    for path in sorted((folder / "gene_info").glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                taxon, number, _ = line.split("\t", 2)
                if taxon.isdigit():
                    taxa[number] = int(taxon)
    with lzma.open(folder / "rgd" / "rat_genes.tsv.xz", "rt", encoding="utf-8") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            taxa |= dict.fromkeys(row["ncbi_gene_id"].split("|"), RAT)
    return taxa


if __name__ == "__main__":
    main()
