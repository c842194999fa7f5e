"""Names learnt from corpora: what their authors call a concept."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from mesh import Mesh

from textome.documents import Document
from textome.formats import Quarantine, read_documents
from textome.vocabularies import Concept
from textome.vocabularies.keys import key_of, profile_of

# Training parts of corpora that are works of the US government, by the types of their mentions.
CORPORA: dict[str, dict[str, str]] = {
    "NCBIdisease_TrainDev": dict.fromkeys(["DiseaseClass", "SpecificDisease", "Modifier"], "Disease"),
    "BC5CDR_TrainDev": {"Disease": "Disease", "Chemical": "Chemical"},
    "BioRED_TrainDev": {"Disease": "Disease", "Chemical": "Chemical", "Gene": "Gene", "Species": "Species"},
    "GNormPlus_Train": {"Gene": "Gene"},
    "NLMgene_Train": {"Gene": "Gene"},
}
NUM_FOLDS = 5


def fold_of(document: Document) -> int:
    """The fold of a document, by its id, so that one document is in the same fold of every corpus."""
    return int(hashlib.sha256(document.id.encode()).hexdigest(), 16) % NUM_FOLDS


def training_documents(link: Path, corpus: str) -> Iterator[Document]:
    """The documents of a training part that stand in no test part."""
    with (link / "overlaps.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    left_out = {row["document"] for row in rows if row["file"] == corpus and _is_test(row["stands_also_in"])}
    for document in read_documents(link / "AIONER" / f"{corpus}.PubTator.gz", "pubtator", Quarantine()):
        if document.id not in left_out:
            yield document


def dropped(link: Path, mesh: Mesh) -> dict[str, str]:
    """Identifiers of the corpora that MeSH has no longer, by the record that has the name of most of their mentions."""
    records: dict[str, Counter[str]] = defaultdict(Counter)
    known = set(mesh.records)
    for corpus in CORPORA:
        for document in training_documents(link, corpus):
            for entity in document.entities:
                for curie in entity.curies if len(entity.curies) == 1 else ():
                    if curie.startswith("mesh:") and curie[5:] not in known:
                        records[curie][mesh.one_by_name([entity.text], known) or ""] += 1
    most = {curie: min(counts, key=lambda name: (-counts[name], name)) for curie, counts in records.items()}
    return {curie: f"mesh:{record}" for curie, record in most.items() if record}


def learnt(
    link: Path, accept: Callable[[Document], bool], taxon_of: dict[str, int], successors: Mapping[str, str]
) -> Iterator[Concept]:
    """Names with the concept that most mentions of the name have; for genes the one of each species.

    taxon_of     the species of the genes that are known; others are not learnt
    successors   of identifiers that have been replaced
    """
    counts: dict[tuple[str, int, str], Counter[str]] = defaultdict(Counter)
    written: dict[tuple[str, int, str], Counter[str]] = defaultdict(Counter)
    for corpus, types in CORPORA.items():
        for document in filter(accept, training_documents(link, corpus)):
            for entity in document.entities:
                curies = set(entity.curies)
                type = types.get(entity.type)
                if type is None or len(curies) != 1:
                    continue
                (curie,) = curies
                curie = successors.get(curie, curie)
                if ":" not in curie or (type == "Gene" and curie not in taxon_of):
                    continue
                key = type, taxon_of.get(curie, 0), key_of(entity.text, profile_of(type))
                if key[2]:
                    counts[key][curie] += 1
                    written[key][entity.text] += 1
    for key in sorted(counts):
        curie = min(counts[key], key=lambda name: (-counts[key][name], name))
        name = min(written[key], key=lambda text: (-written[key][text], text))
        yield Concept(curie, "", key[0], learnt=(name,), taxon=key[1], uses=counts[key][curie])


def _is_test(name: str) -> bool:
    return "test" in name.lower() or name.startswith("tmVar3")
