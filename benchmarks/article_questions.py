"""Questions to whole articles: what retrieval gains, beside the sentence that matches the question best.

    python recipes/article_questions_data.py
    textome finetune recipes/tasks/article_questions_start.toml --output runs/article-questions-start
    textome finetune recipes/tasks/article_questions.toml --output runs/article-questions-1 --set training.seed=1   (2, 3)
    python benchmarks/article_questions.py runs/article-questions-*/bundle [--data runs/article-questions/test.json]

Needs scikit-learn. Printed are exact match and F1 (of words, as SQuAD counts them) with the 95 % interval, means over the
bundles, whose questions are drawn together:

    tf-idf, BM25   the best sentence of the article
    reader         the bundle reads every window
    + passages     it reads only the windows that match best, as many as the bundle says
    + sentences    and the match of a span's sentence counts, with the weight that the bundle has from its validation data
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from textome.datasets.questions import Answer, Question, read_questions
from textome.formats import Quarantine
from textome.metrics.answers import METRICS, interval, score_each
from textome.runtime.model import Model
from textome.tasks.question_answering import QuestionAnswering
from textome.text.bm25 import bm25
from textome.text.sentences import split_sentences

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT / "runs/article-questions/test.json")
    parser.add_argument("--precision", choices=["int8", "bf16", "fp32"])
    options = parser.parse_args()
    quarantine = Quarantine()
    questions = list(read_questions(str(options.data), "squad", quarantine))
    words = np.mean([len(context.split()) for question in questions for context in question.contexts])
    print(f"{len(questions)} questions to texts of {words:,.0f} words, {quarantine.count} quarantined\n")
    print("| | exact match | F1 | 95 % interval |\n|---|---|---|---|")
    for name, match in (("tf-idf", tf_idf), ("BM25", bm25)):
        answers = [best_sentence(question, match) for question in questions]
        report(f"best sentence by {name}", [score_each(questions, answers, 0.5)])
    ways: dict[str, list[NDArray[np.float64]]] = {"reader": [], "+ passages": [], "+ sentences": []}
    for path in options.bundles:
        model = Model.load(path, precision=options.precision)
        name = model.bundle.task_of("question_answering")
        own = model.task(name)
        assert isinstance(own, QuestionAnswering)
        plain = {"retrieval_weight": 0.0}
        for way, changed in (("reader", plain | {"passages": 0}), ("+ passages", plain), ("+ sentences", {})):
            task = own.model_copy(update=changed)
            examples = task.examples(questions, model.tokenizer, model.bundle.window, model.bundle.overlap)
            answers = task.decode(questions, examples, model.scores(name, examples))
            ways[way].append(score_each(questions, answers, task.threshold))
        print(f"<!-- {path}: {own.passages} passages, weight {own.retrieval_weight}, {own.max_answer_words} words -->")
    for way, rows in ways.items():
        if rows:
            report(way, rows)


def tf_idf(question: str, texts: Sequence[str]) -> NDArray[np.float64]:
    vectors = TfidfVectorizer(sublinear_tf=True).fit(texts)
    scores: NDArray[np.float64] = (vectors.transform(texts) @ vectors.transform([question]).T).toarray()[:, 0]
    return scores


def best_sentence(question: Question, match: Callable[[str, Sequence[str]], NDArray[np.float64]]) -> list[Answer]:
    (context,) = question.contexts
    spans = split_sentences(context)
    texts = [context[span.start : span.end] for span in spans]
    best = int(np.argmax(match(question.question, texts)))
    return [Answer(texts[best], 1.0, 0, spans[best].start, spans[best].end)]


def report(name: str, rows: Sequence[NDArray[np.float64]]) -> None:
    scores = np.mean(rows, axis=0)
    exact, f1 = (scores[:, METRICS.index(metric)] for metric in ("exact_match", "f1"))
    low, high = interval(f1)
    print(
        f"| {name} | {100 * exact.mean():.1f} | {100 * f1.mean():.1f} | {100 * low:.1f}-{100 * high:.1f} |", flush=True
    )


if __name__ == "__main__":
    main()
