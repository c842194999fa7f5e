"""A text-to-text model beside classical ones on the tasks of recipes/text_to_text.toml.

    python benchmarks/text_to_text.py [BUNDLE...] [--data runs/text-to-text] [--shared ../shared/data]

Classes and answers: logistic regression over tf-idf of words and pairs of words, and the most frequent label. Titles and
conclusions: the first sentence of the source, its last one, and the one whose tf-idf is most like that of the whole source.
Of several bundles, as of several seeds, it prints each. Scores are those of `textome evaluate` on the test files, the main
one with its 95 % interval. Needs scikit-learn and rouge-score; a bundle needs its graphs (`textome export`).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from textome.datasets.labelled import LabelledText
from textome.formats import Quarantine
from textome.metrics.bootstrap import interval
from textome.runtime.step import ModelSettings, load_model
from textome.tasks.text_to_text import TextToText, Written
from textome.text.sentences import split_sentences

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT / "runs" / "text-to-text")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    options = parser.parse_args()
    piboso = options.shared / "cls" / "NICTA-PIBOSO"
    files = {
        "roles": (piboso / "train_clean.txt", piboso / "test_clean.txt", "sentences", "accuracy"),
        **{
            name: (options.data / f"{name}.train.jsonl", options.data / f"{name}.test.jsonl", "jsonl", metric)
            for name, metric in (("effects", "exact_match"), ("titles", "rouge"), ("conclusions", "rouge"))
        },
    }
    models = {path: load_model(ModelSettings(model=str(path))) for path in options.bundles}
    for name, (train_path, test_path, layout, metric) in files.items():
        task = TextToText.model_validate({"metric": metric})
        train, test = (list(task.read(str(path), layout, Quarantine())) for path in (train_path, test_path))
        seen = {text for record in train for text in task.texts_of(record)}
        shared = sum(record.text in seen or record.pair in seen for record in test)
        task = task.fitted(name, train)
        print(
            f"\n{name}: {len(train):,} training and {len(test):,} test records, {shared} test texts stand in training"
        )
        rows = summaries(test) if metric == "rouge" else classes(train, test)
        for label, texts in rows.items():
            tell(label, task, test, [Written(text, 1.0) for text in texts])
        for path, model in ((path, model) for path, model in models.items() if name in model.tasks):
            tell(str(path), task, test, model.predictions(name, test))


def tell(label: str, task: TextToText, records: list[LabelledText], written: list[Written]) -> None:
    scores, value = task.score(records, written), task.score_of_rows(records, written)
    low, high = interval(value, len(records))
    others = ", ".join(f"{name} {100 * score:.1f}" for name, score in scores.items() if name != task.main_metric)
    main_score = 100 * scores[task.main_metric]
    print(f"  {label:34} {task.main_metric} {main_score:.1f} ({100 * low:.1f}-{100 * high:.1f}); {others}")


def classes(train: list[LabelledText], test: list[LabelledText]) -> dict[str, list[str]]:
    """What a classifier over words, and the most frequent label, say of each test record."""
    source: Callable[[LabelledText], str] = lambda record: f"{record.text} {record.pair or ''}"  # noqa: E731
    labels = [record.labels[0] for record in train]
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True), LogisticRegression(C=10, max_iter=1000)
    )
    model.fit(list(map(source, train)), labels)
    (most, _), *_ = Counter(labels).most_common(1)
    return {
        "the most frequent": [most] * len(test),
        "tf-idf, logistic regression": model.predict(list(map(source, test))).tolist(),
    }


def summaries(test: list[LabelledText]) -> dict[str, list[str]]:
    """The first, the last and the most typical sentence of each test text."""
    sentences = [[record.text[start:end] for start, end in split_sentences(record.text)] for record in test]
    vectors = TfidfVectorizer(sublinear_tf=True).fit([record.text for record in test])
    typical = []
    for record, own in zip(test, sentences, strict=True):
        likeness = (vectors.transform(own) @ vectors.transform([record.text]).T).toarray()[:, 0]
        typical.append(own[int(np.argmax(likeness))])
    return {
        "first sentence": [own[0] for own in sentences],
        "last sentence": [own[-1] for own in sentences],
        "sentence most like the text": typical,
    }


if __name__ == "__main__":
    main()
