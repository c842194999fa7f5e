"""Does a masked language model of DNA know splice sites? Variants of held-out sequences, and where they hurt.

    python benchmarks/splice_variants.py runs/dna-pretrain/bundle DATA/dna/UCI-Splice/splice.csv#80-100%

Of each donor (EI) and acceptor (IE) all changes of one base are made in the two bases that nearly every intron begins or
ends with (GT, AG), and as many in other places of its intron, drawn by the seed. The effect of a change is the difference
of log-likelihoods (textome variants). The score is the chance that a change of the first kind has the lower effect; no
label was used in pretraining. Beside it the same from how often each base stands at each place in the training part.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from textome.formats.reading.sources import Quarantine
from textome.inputs.dna import Dna
from textome.inputs.dna_tokens import BASES, one_hot
from textome.inputs.records import Record, read_records
from textome.metrics.outputs import roc_auc
from textome.runtime.predictor import Predictor
from textome.runtime.variant_effects import VariantScorer

# Of 60 bases: the places, from 0, of GT in donors and of AG in acceptors, and those of the intron around them.
CORE = {"EI": ((30, 31), "GT"), "IE": ((28, 29), "AG")}
INTRON = {"EI": range(36, 60), "IE": range(0, 12)}


def changes(records: list[Record], seed: int) -> tuple[list[tuple[str, str]], list[float]]:
    """Pairs of sequences without and with a change, and 1 for those in GT or AG."""
    generator = np.random.default_rng(seed)
    pairs, kinds = [], []
    for record in records:
        places, bases = CORE.get(str(record.target), ((), ""))
        if not places or "".join(record.content[place] for place in places) != bases or "N" in record.content:
            continue
        others = generator.choice(INTRON[str(record.target)], len(places), replace=False).tolist()
        for place in (*places, *others):
            for base in BASES.replace(record.content[place], ""):
                pairs.append((record.content, record.content[:place] + base + record.content[place + 1 :]))
                kinds.append(float(place in places))
    return pairs, kinds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="an exported bundle of recipes/modalities/dna_pretrain.toml")
    parser.add_argument("data", help="labelled sequences that it was not trained on, FILE#RULE")
    parser.add_argument("--train", default="#0-70%", help="the rule of the part that it was trained on")
    parser.add_argument("--records", type=int, default=100, help="so many donors and acceptors, the first ones")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    modality = Dna(window=64)
    sites = [item for item in read_records(modality, arguments.data, Quarantine()) if item.target in CORE]
    path = Path(arguments.data.partition("#")[0])
    train = [item.content for item in read_records(modality, f"{path}{arguments.train}", Quarantine())]
    pairs, kinds = changes(sites[: arguments.records], arguments.seed)
    scorer = VariantScorer(Predictor.load(arguments.model))
    known = {sequence: scorer.log_likelihood(sequence) for sequence in dict.fromkeys(one for one, _ in pairs)}
    effects = [scorer.log_likelihood(other) - known[one] for one, other in pairs]
    shares = one_hot([sequence for sequence in train if len(sequence) == 60]).mean(0) + 1e-3
    rows = one_hot([one for one, _ in pairs]), one_hot([other for _, other in pairs])
    by_place = (rows[1] - rows[0]) @ np.log(shares)
    gold = np.array(kinds)
    print(f"{len(pairs):,} changes, {int(gold.sum()):,} of them in GT or AG")
    for name, found in (("model", np.array(effects)), ("bases by place", by_place)):
        print(f"{name}: ROC-AUC {roc_auc(gold, -found):.4f}")


if __name__ == "__main__":
    main()
