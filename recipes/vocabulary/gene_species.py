"""Weights of textome.linking.species: learnt from mentions of genes whose species is known.

    python recipes/vocabulary/gene_species.py --data DATA

First a softmax over the words of a text, for the species that most of its genes are of; then one over the species that a
text names, and human, mouse and rat, for each gene. Both are trained with L2 on the training parts of GNormPlus, NLM-Gene
and BioRED without the documents of test parts. The second sees the first as it judges documents that it was not trained on.
Its accuracy is printed for each fold when trained on the other four. Prints the weights of the second, writes the first's.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import lzma
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from learnt import NUM_FOLDS, fold_of, training_documents
from scipy.optimize import minimize

from textome.documents import Document
from textome.linking.species import (
    FEATURES,
    HUMAN,
    MOUSE,
    RAT,
    WORD_TAXA,
    GeneSpecies,
    word_values,
    words_of_text,
)
from textome.steps import load_step
from textome.steps.linking import Linking

_CORPORA = ("GNormPlus_Train", "NLMgene_Train", "BioRED_TrainDev")
_ALWAYS = (HUMAN, MOUSE, RAT)
_L2 = 3e-4
_LEAST = 2  # hundredths
_MIN_DOCUMENTS = 4  # that have a word
_L2_OF_WORDS = 1.0


@dataclass(frozen=True)
class Example:
    """A name of a gene in a document: the features of each species, which is right, and how many mentions it has."""

    document: str
    fold: int
    rows: np.ndarray
    taxa: list[int]
    right: int
    count: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("src/textome/bundled/gene_species.tsv"))
    arguments = parser.parse_args()
    taxon_of = read_taxa(arguments.data / "vocab")
    linking = load_step("linking", min_score=0)
    assert isinstance(linking, Linking)
    found, texts = [], {}
    for corpus in _CORPORA:
        for document in training_documents(arguments.data / "link", corpus):
            found += list(examples(document, taxon_of, linking))
            texts[document.id] = document.text
    labels = labels_of(found)
    folds = {item.document: item.fold for item in found}
    for fold in range(NUM_FOLDS):
        of_words = train_words({name: texts[name] for name in labels if folds[name] != fold}, labels)
        for item in found:
            if item.fold == fold:
                judge(item, texts[item.document], of_words)
    for fold in range(NUM_FOLDS):
        weights = train([item for item in found if item.fold != fold])
        print(f"fold {fold}: {accuracy(weights, [item for item in found if item.fold == fold]):.1%}")
    weights = train(found)
    for feature, weight in zip(FEATURES, weights, strict=True):
        print(f"{weight:8.2f}  {feature}")
    print("WEIGHTS:", tuple(round(float(weight), 2) for weight in weights))
    write_words(arguments.output, train_words({name: texts[name] for name in labels}, labels))


def examples(document: Document, taxon_of: dict[str, int], linking: Linking) -> Iterator[Example]:
    """Each name of a gene in a document whose mentions are all of one species."""
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    found: dict[str, set[int]] = defaultdict(set)
    for entity in document.entities:
        numbers = re.findall(r"\d+", " ".join(re.sub(r"\(Tax:\d+\)", "", curie, flags=re.I) for curie in entity.curies))
        if entity.type == "Gene":
            spans[entity.text].append((entity.start, entity.end))
            found[entity.text] |= {taxon_of[number] for number in numbers if number in taxon_of}
    others = document.with_annotations([item for item in document.entities if item.type != "Gene"])
    species = GeneSpecies(others, linking.species_of_symbols(document))
    for name, where in spans.items():
        taxa = sorted({*species.taxa, *_ALWAYS})
        if len(found[name]) == 1 and (right := next(iter(found[name]))) in taxa:
            rows = np.array([species.features(name, where, taxon) for taxon in taxa])
            yield Example(document.id, fold_of(document), rows, taxa, taxa.index(right), len(where))


def labels_of(found: list[Example]) -> dict[str, int]:
    """The species that most genes of each document are of, among those that words are weighed for."""
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for item in found:
        counts[item.document][item.taxa[item.right]] += item.count
    most = {name: each.most_common(1)[0][0] for name, each in counts.items()}
    return {name: taxon if taxon in WORD_TAXA else 0 for name, taxon in most.items()}


def train_words(texts: dict[str, str], labels: dict[str, int]) -> dict[str, list[float]]:
    """The weights of the words of texts: a softmax with L2, by L-BFGS."""
    counts = Counter(word for text in texts.values() for word in words_of_text(text))
    words = sorted(word for word, count in counts.items() if count >= _MIN_DOCUMENTS)
    index = {word: number for number, word in enumerate(words)}
    inputs = np.zeros((len(texts), len(words) + 1))
    for row, text in zip(inputs, texts.values(), strict=True):
        known = [index[word] for word in words_of_text(text) if word in index]
        row[known], row[-1] = 5 / np.sqrt(max(len(known), 1)), 1
    targets = np.array([[labels[name] == taxon for taxon in WORD_TAXA] for name in texts], float)
    shape = (len(words) + 1, len(WORD_TAXA))
    penalty = np.full((shape[0], 1), _L2_OF_WORDS)
    penalty[-1] = 0  # the biases

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape)
        scores = inputs @ weights
        scores -= scores.max(1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(1, keepdims=True))
        gradient = inputs.T @ (np.exp(scores) - targets) + penalty * weights
        return float(-(targets * scores).sum() + (penalty * weights**2).sum() / 2), gradient.ravel()

    best = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B").x.reshape(shape)
    return {"": list(best[-1])} | {word: list(best[number]) for word, number in index.items()}


def judge(item: Example, text: str, weights: dict[str, list[float]]) -> None:
    """Set the last feature of an example: what the words of its text say, by these weights."""
    values = np.array(word_values(words_of_text(text), weights))
    logs = values - values.max() - np.log(np.exp(values - values.max()).sum())
    by_taxon = dict(zip(WORD_TAXA, logs, strict=True))
    item.rows[:, -1] = [by_taxon.get(taxon, by_taxon[0] - 1) for taxon in item.taxa]


def write_words(path: Path, weights: dict[str, list[float]]) -> None:
    """The table that textome.linking.species reads: hundredths; words that say nothing are left out."""
    rows = {word: [round(100 * value) for value in values] for word, values in weights.items()}
    kept = [(word, values) for word, values in sorted(rows.items()) if not word or max(map(abs, values)) >= _LEAST]
    path.write_text("".join("\t".join([word, *map(str, values)]) + "\n" for word, values in kept), encoding="utf-8")


def train(parts: list[Example]) -> np.ndarray:
    """The weights of the features: a softmax over the species of each example, with L2, by L-BFGS."""
    rows = np.concatenate([item.rows for item in parts])
    sizes = [len(item.rows) for item in parts]
    starts = np.cumsum([0, *sizes[:-1]])
    right = starts + [item.right for item in parts]
    example = np.repeat(np.arange(len(parts)), sizes)
    share = np.array([item.count for item in parts], float)
    share /= share.sum()

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        scores = rows @ weights
        probabilities = np.exp(scores - np.maximum.reduceat(scores, starts)[example])
        probabilities /= np.add.reduceat(probabilities, starts)[example]
        gradient = rows.T @ (probabilities * share[example]) - rows[right].T @ share + _L2 * weights
        return float(-share @ np.log(probabilities[right] + 1e-12) + _L2 / 2 * weights @ weights), gradient

    return np.asarray(minimize(loss, np.zeros(len(FEATURES)), jac=True, method="L-BFGS-B").x)


def accuracy(weights: np.ndarray, parts: list[Example]) -> float:
    hits = sum(item.count * (int(np.argmax(item.rows @ weights)) == item.right) for item in parts)
    return hits / sum(item.count for item in parts)


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
