"""The table that recipes/modalities/enzymes.toml reads: chains of the PDB with their EC numbers, split by identity.

    apt-get install mmseqs2
    python recipes/modalities/enzymes.py --data ../shared/data/protein/nrPDB-EC --output runs/enzymes

Writes chains.tsv: name, sequence, ec, cluster, split. MMseqs2 (Steinegger and Söding 2017) clusters the chains: those in
one cluster align over 80 % of the shorter one with at least --identity of their residues equal. Whole clusters train
(70 %), validate (10 %) or test (20 %), by a hash of the name of each one's first chain. Labels are the EC numbers at all
four levels ("2", "2.7", "2.7.11", "2.7.11.1") that chains of at least --clusters training clusters have. training.fasta
holds the training chains alone, to pretrain on.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from textome.formats.reading.sources import Quarantine, atomic_file
from textome.inputs.proteins import Proteins

FASTA, ANNOTATIONS = "nrPDB-EC_2020.04_test_sequences.fasta.gz", "nrPDB-EC_2020.04_annot.tsv.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/protein/nrPDB-EC"))
    parser.add_argument("--output", type=Path, default=Path("runs/enzymes"))
    parser.add_argument("--identity", type=float, default=0.3)
    parser.add_argument("--clusters", type=int, default=5)
    options = parser.parse_args()
    quarantine = Quarantine()
    sequences = {record.id: record.content for record in Proteins().read(str(options.data / FASTA), quarantine)}
    numbers = dict(annotated(options.data / ANNOTATIONS))
    cluster_of = clusters(sequences, options.identity)
    split_of = {name: split(cluster) for name, cluster in cluster_of.items()}
    training_clusters: dict[str, set[str]] = {}
    for name, cluster in cluster_of.items():
        if split_of[name] == "train":
            for number in numbers.get(name, ()):
                training_clusters.setdefault(number, set()).add(cluster)
    labels = {number for number, having in training_clusters.items() if len(having) >= options.clusters}
    rows = ["name\tsequence\tec\tcluster\tsplit\n"]
    for name, sequence in sequences.items():
        own = ";".join(sorted(labels.intersection(numbers.get(name, ()))))
        rows.append("\t".join((name, sequence, own, cluster_of[name], split_of[name])) + "\n")
    training = [f">{name}\n{text}\n" for name, text in sequences.items() if split_of[name] == "train"]
    for file, lines in (("chains.tsv", rows), ("training.fasta", training)):
        with atomic_file(options.output / file) as stream:
            stream.write("".join(lines).encode())
    counts = ", ".join(f"{list(split_of.values()).count(one):,} {one}" for one in ("train", "validation", "test"))
    print(f"{counts}; {len(set(cluster_of.values())):,} clusters, {len(labels)} labels, {quarantine.count} quarantined")


def annotated(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Each chain with its EC numbers at all levels: "3.2.2.-" gives "3", "3.2" and "3.2.2"."""
    with gzip.open(path, "rt") as stream:
        for line in stream:
            name, tab, numbers = line.rstrip("\n").partition("\t")
            if tab and not line.startswith("#") and "\t" not in numbers:
                levels = [number.removesuffix(".-").split(".") for number in numbers.split(",")]
                yield name, {".".join(level[:depth]) for level in levels for depth in range(1, len(level) + 1)}


def clusters(sequences: Mapping[str, str], identity: float) -> dict[str, str]:
    """The cluster of each chain, named after its representative."""
    with tempfile.TemporaryDirectory() as folder:
        fasta = Path(folder) / "all.fasta"
        fasta.write_text("".join(f">{name}\n{text}\n" for name, text in sequences.items()))
        rule = ["--min-seq-id", str(identity), "-c", "0.8", "--cov-mode", "5", "--threads", "1", "-v", "1"]
        subprocess.run(["mmseqs", "easy-cluster", fasta, f"{folder}/all", f"{folder}/work", *rule], check=True)
        pairs = [line.split("\t") for line in Path(f"{folder}/all_cluster.tsv").read_text().splitlines()]
    return {member: cluster for cluster, member in pairs}


def split(cluster: str) -> str:
    share = int(hashlib.sha256(cluster.encode()).hexdigest()[:8], 16) / 16**8
    return "train" if share < 0.7 else "validation" if share < 0.8 else "test"


if __name__ == "__main__":
    main()
