"""Document F1 of linking by the least score of an identifier, on training documents whose names the index has not learnt.

    python recipes/vocabulary/default.py ... --fold 0 --output fold0.vocab
    python recipes/vocabulary/thresholds.py --link DATA/link --fold 0=fold0.vocab [--thresholds 0 0.4 0.6]

By this the default `min_score` of `textome.steps.linking` was chosen. Mentions are the corpora's; one without a concept
counts as wrong where it gets an identifier.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from learnt import fold_of, training_documents

from textome.evaluation.linking import link_gold_mentions
from textome.steps.linking import Linking, section_type

TYPES = {
    "NCBIdisease_TrainDev": ("Disease",),
    "BC5CDR_TrainDev": ("Disease", "Chemical"),
    "BioRED_TrainDev": ("Disease", "Chemical", "Gene"),
    "GNormPlus_Train": ("Gene",),
    "NLMgene_Train": ("Gene",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--link", type=Path, required=True, help="folder of AIONER's corpora and overlaps.tsv")
    parser.add_argument("--fold", required=True, help="number=index without the names of that fold")
    parser.add_argument("--thresholds", nargs="+", type=float, default=[0.0, 0.4, 0.6])
    arguments = parser.parse_args()
    fold, _, path = arguments.fold.partition("=")
    linking = Linking(vocabularies=(path,), min_score=0.0)
    print(f"{'':24}{'type':10}" + "".join(f"{threshold:7.2f}" for threshold in arguments.thresholds))
    for corpus, types in TYPES.items():
        documents = [item for item in training_documents(arguments.link, corpus) if fold_of(item) == int(fold)]
        gold, linked = link_gold_mentions(linking, documents)
        for kind in types:
            scores = []
            for threshold in arguments.thresholds:
                right = found = expected = 0
                for document, answer in zip(gold, linked, strict=True):
                    own = {
                        curie
                        for entity in document.entities
                        if section_type(entity.type, types) == kind
                        for curie in entity.curies
                    }
                    given = {
                        identifier.curie
                        for entity in answer.entities
                        if section_type(entity.type, types) == kind
                        for identifier in entity.identifiers
                        if (identifier.score or 0) >= threshold
                    }
                    right, found, expected = right + len(own & given), found + len(given), expected + len(own)
                scores.append(200 * right / max(1, found + expected))
            print(f"{corpus:24}{kind:10}" + "".join(f"{score:7.1f}" for score in scores))


if __name__ == "__main__":
    main()
