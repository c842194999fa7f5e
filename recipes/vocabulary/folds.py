"""Scores of linking on all training documents, by which rules are chosen: each with an index that learnt no name from it.

    python recipes/vocabulary/folds.py --indexes FOLDER --link DATA/link --wheels WHEELS \\
        --rat DATA/vocab/rgd/rat_genes.tsv.xz

The documents are in five folds. FOLDER gets an index for each, which default.py builds for the types that are scored,
without the names of the fold's documents; all other types are those of the bundled vocabulary. An index that is there is
used as it is, and then --wheels and --rat are not needed: delete the indexes after a change to what an index holds.

mentions  that have an identifier in the corpus
strict    how many of these get exactly the corpus's set; the linker always answers
F1 at     document F1, over pairs of document and identifier, without the identifiers whose score is below a threshold.
          The default `min_score` of `textome.steps.linking` was chosen by it. A mention without a concept is wrong where
          it gets an identifier

With --errors N, also the N most frequent errors of each type: mention, the corpus's identifiers, the linker's. The weights
of near names and of the species of genes were learnt on all of these documents.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from default import Inputs, build_default
from learnt import CORPORA, NUM_FOLDS, fold_of, training_documents

from textome.documents import Document
from textome.evaluation.linking import LinkingScore, link_gold_mentions, score_linking
from textome.steps.linking import Linking, section_type
from textome.vocabularies import BUNDLED, open_vocabulary

TYPES = ("Disease", "Chemical", "Gene")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--indexes", type=Path, required=True, help="folder of the folds' indexes")
    parser.add_argument("--link", type=Path, required=True, help="folder of AIONER's corpora and overlaps.tsv")
    parser.add_argument("--wheels", type=Path, help="folder of the wheels, to build the indexes that are missing")
    parser.add_argument("--rat", type=Path, help="RGD's genes of rat with NCBI Gene numbers, likewise")
    parser.add_argument("--folds", nargs="+", type=int, choices=range(NUM_FOLDS), default=list(range(NUM_FOLDS)))
    parser.add_argument(
        "--types", nargs="+", default=["Disease", "Chemical", "Gene", "Species"], help="of the entities to score"
    )
    parser.add_argument("--thresholds", nargs="+", type=float, default=[0.0, 0.4, 0.6])
    parser.add_argument("--errors", type=int, default=0, metavar="N", help="also print the N most frequent errors")
    arguments = parser.parse_args()
    arguments.indexes.mkdir(parents=True, exist_ok=True)
    paths = {fold: arguments.indexes / f"fold{fold}-{'-'.join(arguments.types)}.vocab" for fold in arguments.folds}
    for fold, path in paths.items():
        if not path.exists():
            if not arguments.wheels:
                parser.error(f"{path} does not exist; give --wheels and --rat to build it")
            inputs = Inputs(arguments.wheels, arguments.link, arguments.rat)
            build_default(inputs, path, arguments.types, open_vocabulary(BUNDLED), fold)

    heads = "".join(f"{f'F1 at {threshold:g}':>12}" for threshold in arguments.thresholds)
    print(f"{'corpus':22}{'type':10}{'mentions':>9}{'strict':>8}{heads}")
    for corpus, names in CORPORA.items():
        types = [type for type in dict.fromkeys(names.values()) if type in arguments.types]
        if not types:
            continue
        gold, linked = linked_folds(arguments.link, corpus, types, paths)
        by_threshold = [scores_from(threshold, gold, linked, types) for threshold in arguments.thresholds]
        always = scores_from(0.0, gold, linked, types)
        for type in types:
            figures = "".join(f"{100 * scores[type].document_f1:12.1f}" for scores in by_threshold)
            strict = 100 * always[type].strict
            print(f"{corpus:22}{type:10}{always[type].mentions:9,}{strict:8.1f}{figures}", flush=True)
            for (text, expected, predicted), count in always[type].errors.most_common(arguments.errors):
                print(f"    {count:4} {text} | {expected} | {predicted or '-'}")


def linked_folds(
    link: Path, corpus: str, types: Sequence[str], paths: dict[int, Path]
) -> tuple[list[Document], list[Document]]:
    """The documents of a corpus, and the same with the identifiers that each gets with its fold's index."""
    folds: dict[int, list[Document]] = {fold: [] for fold in paths}
    for document in training_documents(link, corpus):
        if (fold := fold_of(document)) in folds:
            folds[fold].append(document)
    gold: list[Document] = []
    linked: list[Document] = []
    kinds = (*types, "Species") if "Gene" in types else tuple(types)  # a gene's species may stand with another mention
    for fold, documents in folds.items():
        step = Linking(vocabularies=(str(paths[fold]),), min_score=0.0, types=kinds)
        for collected, part in zip((gold, linked), link_gold_mentions(step, documents), strict=True):
            collected += part
    return gold, linked


def scores_from(
    threshold: float, gold: Sequence[Document], linked: Sequence[Document], types: Sequence[str]
) -> dict[str, LinkingScore]:
    """The scores by type without the identifiers below a threshold."""
    kept = [
        document.with_annotations(
            [
                replace(
                    entity, identifiers=tuple(item for item in entity.identifiers if (item.score or 0) >= threshold)
                )
                for entity in document.entities
            ]
        )
        for document in linked
    ]
    return score_linking(gold, kept, lambda name: section_type(name, types))


if __name__ == "__main__":
    main()
