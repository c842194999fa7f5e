"""Are explanations true to the model? Hide the words that weigh most and see how much more the model loses than otherwise.

    python benchmarks/explain.py [--model BUNDLE] [--precision int8|fp32] [--sentences 200] [--data FOLDER]

For entities found in sentences of the NCBI-disease test text, the words outside the mention are hidden, so many at once:
those with the largest weights (`textome explain`), those that stand nearest to the mention, and any (the mean of three
draws). Printed are the mean fall of the entity's log-odds, and the share of entities whose probability falls below a half
(comprehensiveness, DeYoung et al. 2020, equation 1, in log-odds and as a share). An order that is true to the model loses
more than the others.

The last line is what rounding does: how far weights differ between two runs in batches of other sizes. An fp32 graph has
none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from scores import documents_of, model_parser

from textome.documents import Document
from textome.explain import Explainer
from textome.explain.occlusion import Occlusion, log_odds, words_of
from textome.runtime.bundle import ENTITIES
from textome.runtime.model import Model
from textome.tasks.task import Finding

COUNTS = (1, 2, 3, 5)
DRAWS = 3


def main() -> None:
    parser = model_parser(__doc__)
    parser.add_argument("--sentences", type=int, default=200)
    options = parser.parse_args()
    model = Model.load(options.model, precision=options.precision, sentences=False)
    documents = documents_of("NCBI-disease", options.data)
    falls: dict[str, dict[int, list[float]]] = {}
    gone: dict[str, dict[int, list[float]]] = {}
    generator = np.random.default_rng(1)
    sentences = entities = 0
    for sentence in (record for document in documents for record in model.task(ENTITIES).records(document)):
        if sentences == options.sentences:
            break
        hidden = Occlusion(model, ENTITIES, sentence)
        findings = hidden.task.findings(sentence, hidden.examples, hidden.scores)
        found = [item for item in findings if item.confidence >= 0.5]
        sentences += bool(found)
        for item in found:
            entities += measured(hidden, sentence, item, generator, falls, gone)
    print(f"{model.name}, onnxruntime {onnxruntime.__version__}; {entities} entities in {sentences} sentences\n")
    print("| words hidden | " + " | ".join(map(str, COUNTS)) + " |")
    print("|---" * (1 + len(COUNTS)) + "|")
    for order in falls:
        cells = [f"{np.mean(falls[order][k]):.2f}, {100 * np.mean(gone[order][k]):.0f} %" for k in COUNTS]
        print(f"| {order} | " + " | ".join(cells) + " |")
    apart = differences(options.model, options.precision, documents[: options.sentences // 8])
    middle, high = np.percentile(apart, [50, 95])
    print(f"\nrounding: {len(apart):,} weights differ by {middle:.2f} nats in the median, one in twenty by {high:.2f}")


def differences(model: str | None, precision: str | None, documents: Sequence[Document]) -> list[float]:
    """How far the weights of words are apart in runs with batches of other sizes."""
    small, large = (
        Explainer(Model.load(model, precision=precision, sentences=False, token_budget=budget))
        for budget in (256, 1024)
    )
    return [
        abs(word.weight - same.weight)
        for document in documents
        for one, other in zip(small.explain(document), large.explain(document), strict=False)
        if (one.finding, one.span) == (other.finding, other.span)
        for word, same in zip(one.words, other.words, strict=True)
    ]


def measured(
    hidden: Occlusion,
    sentence: Any,
    item: Finding,
    generator: np.random.Generator,
    falls: dict[str, dict[int, list[float]]],
    gone: dict[str, dict[int, list[float]]],
) -> bool:
    """Hide words of one entity's sentence in every order; whether there are enough of them outside the mention."""
    assert item.span is not None
    start, end = item.span
    ((text, tokens, _),) = hidden.read
    words = [(place, rows) for place, rows in words_of(text, tokens) if place.end <= start or place.start >= end]
    if len(words) <= max(COUNTS):
        return False
    one_by_one = fall(hidden, sentence, item, [rows for _, rows in words])
    distance = [max(start - place.end, place.start - end) for place, _ in words]
    orders = [("heaviest first", np.argsort(-one_by_one)), ("nearest first", np.argsort(distance, kind="stable"))]
    orders += [("any", generator.permutation(len(words))) for _ in range(DRAWS)]
    chosen = [np.concatenate([words[place][1] for place in order[:k]]) for _, order in orders for k in COUNTS]
    results = iter(fall(hidden, sentence, item, chosen))
    for name, _ in orders:
        for k in COUNTS:
            value = next(results)
            falls.setdefault(name, {}).setdefault(k, []).append(value)
            gone.setdefault(name, {}).setdefault(k, []).append(log_odds(item.confidence) - value < 0)
    return True


def fall(hidden: Occlusion, sentence: Any, item: Finding, sets: Sequence[Any]) -> Any:
    """How far the log-odds of an entity fall when each of these sets of sub-words is hidden."""
    without = (hidden.task.confidences(sentence, hidden.examples, scores, [item])[0] for scores in hidden.without(sets))
    return np.array([log_odds(item.confidence) - log_odds(confidence) for confidence in without])


if __name__ == "__main__":
    main()
