"""Scores of answers: exact match and F1 as SQuAD counts them, and BioASQ's measures for factoid and list questions."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from textome.datasets.questions import Answer, Question, listed
from textome.metrics import bootstrap


@dataclass(frozen=True, slots=True)
class AnswerScores:
    """All between 0 and 1, means over questions.

    exact_match, f1     SQuAD (Rajpurkar et al. 2016): of the best answer, without case, punctuation and articles
    strict, lenient     share of factoid questions whose first answer, or one of the first five, is a right one
    mrr                 mean of 1 / the rank of the first right answer among five
    list_precision, list_recall, list_f1   of list questions, at the task's threshold
    """

    questions: int
    exact_match: float
    f1: float
    strict: float
    lenient: float
    mrr: float
    list_precision: float
    list_recall: float
    list_f1: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


METRICS = tuple(field.name for field in fields(AnswerScores) if field.name != "questions")


def score_answers(
    items: Sequence[Question], predicted: Sequence[Sequence[Answer]], threshold: float, no_answer: bool = True
) -> AnswerScores:
    """Score predicted answers (the most probable first) against gold ones.

    threshold   of list questions, see datasets.questions.listed
    """
    rows = score_each(items, predicted, threshold, no_answer)
    return AnswerScores(len(rows), *(rows.mean(0).tolist() if len(rows) else [0.0] * len(METRICS)))


def score_each(
    items: Sequence[Question], predicted: Sequence[Sequence[Answer]], threshold: float, no_answer: bool = True
) -> NDArray[np.float64]:
    """The scores of each question, (questions, metrics) in the order of `METRICS`; as for `score_answers`."""
    rows = []
    for item, answers in zip(items, predicted, strict=True):
        texts = [answer.text for answer in answers]
        gold = [text for group in item.answers for text in group]
        best = texts[0] if texts and (gold or not no_answer or answers[0].probability >= 0.5) else ""
        ranks = [rank for rank, text in enumerate(texts[:5], 1) if any(same(text, other) for other in gold)]
        chosen = [answer.text for answer in listed(answers, threshold)]
        right = sum(any(same(text, other) for other in gold) for text in chosen)
        reached = sum(any(same(text, other) for text in chosen for other in group) for group in item.answers)
        precision = right / len(chosen) if chosen else 0.0
        recall = reached / len(item.answers) if item.answers else 0.0
        rows.append(
            (
                max((float(normalised(best) == normalised(text)) for text in gold or [""])),
                max(overlap(best, text) for text in gold or [""]),
                float(1 in ranks),
                float(bool(ranks)),
                1 / ranks[0] if ranks else 0.0,
                precision,
                recall,
                2 * precision * recall / (precision + recall) if precision + recall else 0.0,
            )
        )
    return np.array(rows, np.float64).reshape(-1, len(METRICS))


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of a mean over questions."""
    return bootstrap.interval(lambda rows: float(values[rows].mean()), len(values))


def paired_p_value(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The p-value of the difference of two models, see `bootstrap.paired_p_value`."""
    differences = first - second
    return bootstrap.paired_p_value(lambda rows: float(differences[rows].mean()), len(differences))


def same(first: str, second: str) -> bool:
    """Whether BioASQ takes two answers for one: equal without case and white space around."""
    return " ".join(first.casefold().split()) == " ".join(second.casefold().split())


def normalised(text: str) -> str:
    """SQuAD's form of an answer: lower case, without punctuation, articles and further white space."""
    bare = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def overlap(first: str, second: str) -> float:
    """F1 of the words of two answers; of two empty ones 1."""
    one, two = normalised(first).split(), normalised(second).split()
    if not one or not two:
        return float(one == two)
    shared = sum((Counter(one) & Counter(two)).values())
    return 2 * shared / (len(one) + len(two)) if shared else 0.0
