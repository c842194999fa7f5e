"""Learn which near name of a disease is meant: the weights of `textome.linking.reranking`.

    python recipes/vocabulary/default.py ... --types Disease --fold 0 --output fold0.vocab
    python recipes/vocabulary/near_names.py --link DATA/link --fold 0=fold0.vocab

The mentions of the fold's documents whose name the fold's index does not hold, or only as a related one; the index has no
name from these documents. Prints the share of first answers that are right, by similarity alone and by the model in
cross-validation over five parts of the documents, then the weights that all documents give. More folds give more mentions.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from learnt import CORPORA, fold_of, training_documents
from scipy.optimize import minimize

from textome.linking.candidates import near_features, similar
from textome.linking.reranking import FEATURES
from textome.steps.linking import Linking, section_type

_PARTS = 5
_DECAY = 0.002
_TYPE = "Disease"


@dataclass
class Question:
    """A mention: the features of its candidates, the index of the right one (-1: none), and the part of its document."""

    rows: np.ndarray
    answer: int
    part: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--link", type=Path, required=True, help="folder of AIONER's corpora and overlaps.tsv")
    parser.add_argument("--fold", action="append", required=True, help="number=index without the names of that fold")
    arguments = parser.parse_args()
    everything = [
        question
        for item in arguments.fold
        for number, _, path in [item.partition("=")]
        for question in questions(arguments.link, int(number), path)
    ]
    by_similarity = np.eye(len(FEATURES))[0]
    scores = [right(everything, by_similarity), 0.0]
    for part in range(_PARTS):
        held_out = [question for question in everything if question.part == part]
        weights = learn([question for question in everything if question.part != part])
        scores[1] += right(held_out, weights) * len(held_out) / len(everything)
    reachable = np.mean([question.answer >= 0 for question in everything])
    print(f"{len(everything)} mentions, {100 * reachable:.1f} % with the right concept among the candidates")
    print("first answer right: by similarity {:.1f} %, by the model {:.1f} %".format(*(100 * each for each in scores)))
    weights = learn(everything)
    print("WEIGHTS = (" + ", ".join(f"{value:.2f}" for value in weights) + ")")


def questions(link: Path, fold: int, path: str) -> Iterator[Question]:
    step = Linking(vocabularies=(path,), min_score=0.0)
    for corpus in CORPORA:
        for document in training_documents(link, corpus):
            if fold_of(document) != fold:
                continue
            bare = document.with_annotations([replace(entity, identifiers=()) for entity in document.entities])
            for unsure in step.unsure(bare, _TYPE):
                matches = similar(unsure.sections, unsure.name, unsure.related)
                curies = [item.curie for item in matches]
                rows = np.array(near_features(unsure.name, matches, unsure.context))
                for entity in (document.entities[index] for index in unsure.indices):
                    if section_type(entity.type, (_TYPE,)) and len(entity.curies) == 1 and curies:
                        gold = step.current(entity.curies[0])
                        part = zlib.crc32(document.id.encode()) % _PARTS
                        yield Question(rows, curies.index(gold) if gold in curies else -1, part)


def learn(questions: list[Question]) -> np.ndarray:
    """The weights of the highest likelihood, less a square penalty, of a softmax over the candidates and none of them."""
    count = max(len(question.rows) for question in questions)
    rows = np.zeros((len(questions), count, len(FEATURES)))
    answers, is_candidate = np.zeros((len(questions), count)), np.zeros((len(questions), count), bool)
    for number, question in enumerate(questions):
        rows[number, : len(question.rows)] = question.rows
        is_candidate[number, : len(question.rows)] = True
        if question.answer >= 0:
            answers[number, question.answer] = 1
    has_answer = answers.any(axis=1)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        scores = np.where(is_candidate, rows @ weights, -np.inf)
        highest = np.maximum(scores.max(axis=1, keepdims=True), 0)
        exponents = np.exp(scores - highest)
        totals = exponents.sum(axis=1, keepdims=True) + np.exp(-highest)
        chosen = np.where(has_answer, (np.where(is_candidate, scores, 0) * answers).sum(axis=1), 0)
        likelihood = np.mean(chosen - highest[:, 0] - np.log(totals[:, 0]))
        gradient = np.einsum("qc,qcf->f", answers - exponents / totals, rows) / len(questions)
        return _DECAY / 2 * weights @ weights - likelihood, _DECAY * weights - gradient

    return np.asarray(minimize(loss, np.zeros(len(FEATURES)), jac=True, method="L-BFGS-B").x)


def right(questions: list[Question], weights: np.ndarray) -> float:
    return float(np.mean([question.answer == int(np.argmax(question.rows @ weights)) for question in questions]))


if __name__ == "__main__":
    main()
