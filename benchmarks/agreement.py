"""What the steps gain by which the mentions of a document agree: F1 of the model alone, and with each step after the other.

    python benchmarks/agreement.py [--model BUNDLE] [--precision int8|fp32] [--data FOLDER] [--sets NAME,...]

Entity-level F1 (start, end and type all right) of default output on whole abstracts and articles, read as raw text. The
settings of `repeated_mentions` were chosen on "BioRED development", 41 abstracts that are in no training
(recipes/entity_corpora.py makes the file).
"""

from __future__ import annotations

from model_card import AIONER, SETS, is_reported
from scores import ROOT, Corpus, model_parser

from textome.documents import Document
from textome.formats import Quarantine, read_documents
from textome.metrics.entities import EntityScores, score_entities
from textome.runtime.bundle import Bundle, resolve_model
from textome.runtime.model import Model
from textome.steps import load_step

DISEASES = dict.fromkeys(("SpecificDisease", "DiseaseClass", "Modifier", "CompositeMention"), "Disease")
ABSTRACTS = {
    "BioRED development": Corpus(
        (f"{ROOT}/runs/entity-corpora/BioRED-dev.txt",), types=SETS["BioRED test"].types | {"Variant": ""}
    ),
    "NCBI-disease": Corpus((f"{AIONER}/NCBIdisease_Test.PubTator.gz",), types=DISEASES),
    "BC5CDR": Corpus((f"{AIONER}/BC5CDR_Test.PubTator.gz",), types={"Disease": "Disease", "Chemical": "Chemical"}),
    "BioRED test": Corpus(SETS["BioRED test"].test, types=SETS["BioRED test"].types | {"Variant": ""}),
    "GNormPlus": SETS["GNormPlus"],
    "NLM-Chem": SETS["NLM-Chem"],
}
STEPS = ("abbreviations", "repeated_mentions")


def main() -> None:
    parser = model_parser(__doc__)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(ABSTRACTS))
    options = parser.parse_args()
    bundle = Bundle.load(resolve_model(options.model))
    print(f"{bundle.name}, {bundle.onnx_path(options.precision).name}\n")
    print(f"| corpus | type | model alone | {' | '.join(f'with {step}' for step in STEPS)} |")
    print(f"|---|---|---|{'---|' * len(STEPS)}")
    for name in options.sets:
        corpus = ABSTRACTS[name]
        documents = [
            item
            for place in corpus.test
            for item in read_documents(
                place if place.startswith("/") else f"{options.data}/{place}", None, Quarantine()
            )
            if is_reported(name, item.id)
        ]
        types = {label: kind for label, kind in corpus.types.items() if kind in bundle.types}
        found = Model.load(options.model, precision=options.precision, types=tuple(sorted(set(types.values()))))
        annotated = list(found(item.with_annotations(()) for item in documents))
        scores = [score(documents, annotated, types)]
        for step in STEPS:
            annotated = list(load_step(step)(annotated))
            scores.append(score(documents, annotated, types))
        for kind in scores[0].types:
            print(f"| {name} | {kind} | {' | '.join(f'{100 * item.types[kind].f1:.2f}' for item in scores)} |")
        if len(scores[0].types) > 1:
            print(f"| {name} | all | {' | '.join(f'{100 * item.micro.f1:.2f}' for item in scores)} |", flush=True)


def score(gold: list[Document], predicted: list[Document], types: dict[str, str]) -> EntityScores:
    return score_entities(
        [
            {(item.start, item.end, types[item.type]) for item in document.entities if item.type in types}
            for document in gold
        ],
        [{(item.start, item.end, item.type) for item in document.entities} for document in predicted],
    )


if __name__ == "__main__":
    main()
