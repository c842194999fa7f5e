"""Makes the training and development files of recipes/bundled_entities_4.toml, _5.toml, _6.toml and _7.toml, with the
documents of every test part left out.

    python recipes/entity_corpora.py [--data FOLDER] [--output runs/entity-corpora]

NLM-Gene, GNormPlus and BioRED come from the AIONER files (PubTator, cased text): works of the US government, whose texts
and annotations anyone may use. A document is left out

1. where `link/overlaps.tsv` names it: it stands in a test part, or in a set that is kept back for measuring;
2. where it shares twelve words in a row, or its PMID, with a test part that the model card reports, or any part of s800.

What is left out of BioRED's development part by the list alone (it stands in tmVar3 or in the test part of NLM-Gene, and is
never trained on) becomes `BioRED-dev.txt`: thresholds of all types but Variant are chosen on it. `NLM-Gene-apart.txt`
leaves out what stands in BioRED or GNormPlus: a model trained on that file and on the older corpora has both as texts from
elsewhere. `NLM-Chem-dev.txt` has those articles of NLM-Chem, which is in no training, whose hash is even: thresholds of
chemicals are chosen on them, and the model card scores the others. Of the corpora that version 4 of the model has read
seven times, `NAME-1` to `NAME-4` are quarters, in turns of so many sentences, or of documents.

`genes.txt` has names of human and mouse genes (NCBI Gene, public domain) by which mentions are replaced; `diseases.txt`,
`chemicals.txt` and `species.txt` join the lists beside this script with names drawn from the bundled vocabulary.
`report.json` counts what was kept and left out.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from textome.corpus.leakage import TestSets, pmid_of
from textome.documents import Document
from textome.formats import Quarantine, Source, read_documents, write_documents
from textome.formats.reading.sources import atomic_file
from textome.text.sentences import sentence_spans
from textome.training.techniques.augmentation import read_lexicon
from textome.vocabularies import open_vocabulary

ROOT = Path(__file__).resolve().parent.parent
AIONER = "link/AIONER"
JNLPBA = "ner/JNLPBA-standoff/jnlpba-standoff.tar.xz!standoff"
COLUMNS = ("NCBI-disease", "BC5CDR", "BC2GM", "linnaeus")
TEST_PARTS = [
    *(f"ner/{name}/test.tsv" for name in COLUMNS),
    *(f"ner/s800/{part}.tsv" for part in ("train", "devel", "test")),
    f"{JNLPBA}/test",
    *(f"{AIONER}/{name}_Test.PubTator.gz" for name in ("BioRED", "GNormPlus", "BC5CDR", "NCBIdisease", "NLMchem")),
]
BIONLP = ("BioNLP13PC", "BioNLP11ID")
# So many sentences in turn go to one quarter: those of one abstract mostly stay together.
PARTS, TURN = 4, 10
# By lexicon, a type of the bundled vocabulary, and which of its preferred names could stand in running text.
VOCABULARY_NAMES = {
    "diseases.txt": ("Disease", r"(?:mesh|doid|mondo|omim):\S+\t(?!.*\b(?:type|\d+|[IVX]+)$)[A-Za-z][A-Za-z' -]{3,44}"),
    "chemicals.txt": (
        "Chemical",
        r"(?:mesh:D|chebi:|unii:)\S*\t"
        r"(?!.*(?:ase|in receptors?|proteins?|interleukin.*|.*kines?|.*globulins?|antibod.*|antigens?|factors?)\b)"
        r"(?!.*(?:peptide|extract|leaf|oil)\b)(?!(?:[A-Z][a-z]{2}-)+[A-Z][a-z]{2}$)[A-Za-z0-9'+-]{2,22}",
    ),
    "species.txt": ("Species", r"ncbitaxon:\d+\t[A-Z][a-z]{3,} [a-z]{4,}"),
}
NAMES_DRAWN = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "entity-corpora")
    options = parser.parse_args()
    data, output = Path(options.data), Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    report = make(data, output)
    with atomic_file(output / "report.json") as stream:
        stream.write((json.dumps(report, indent=2) + "\n").encode())
    print(json.dumps(report, indent=2))


def make(data: Path, output: Path) -> dict[str, dict[str, int]]:
    """Write all files and return, by file, how many documents, sentences or names it has, and how many were left out."""
    report: dict[str, dict[str, int]] = {}
    named, tests = overlaps(data), test_sets(data)
    kept: dict[str, list[Document]] = {}
    left: dict[str, list[Document]] = {}
    for name, file in (("BioRED", "BioRED_TrainDev"), ("NLM-Gene", "NLMgene_Train"), ("GNormPlus", "GNormPlus_Train")):
        documents = list(pubtator(data / AIONER / f"{file}.PubTator.gz"))
        listed = [item for item in documents if item.id in named.get(file, ())]
        shared = [item for item in documents if tests.sets_with(sentences(item), pmid_of(item))]
        kept[name] = [item for item in documents if item not in listed and item not in shared]
        left[name] = [item for item in listed if item not in shared]
        report[name] = {
            "documents": len(kept[name]),
            "left out": len(documents) - len(kept[name]),
        }
    dev = {item.id for item in read_documents(f"{data}/re/BioRED/BioRED.zip!BioRED/Dev.PubTator.txt")}
    elsewhere = TestSets()
    for file in ("BioRED_TrainDev", "BioRED_Test", "GNormPlus_Train", "GNormPlus_Test"):
        for item in pubtator(data / AIONER / f"{file}.PubTator.gz"):
            elsewhere.add("elsewhere", sentences(item), [item.id])
    chemicals = pubtator(data / AIONER / "NLMchem_Test.PubTator.gz")
    files = {
        "NLM-Chem-dev": [item for item in chemicals if sha256(item.id.encode()).digest()[0] % 2 == 0],
        "BioRED-train": kept["BioRED"],
        "BioRED-dev": [item for item in left["BioRED"] if item.id in dev],
        "NLM-Gene-train": kept["NLM-Gene"],
        "NLM-Gene-apart": [item for item in kept["NLM-Gene"] if not elsewhere.sets_with(sentences(item), item.id)],
        "GNormPlus-train": kept["GNormPlus"],
    }
    for file, documents in files.items():
        write_documents(documents, f"{output}/{file}.txt", "pubtator")
        report[f"{file}.txt"] = {"documents": len(documents)}
    for name in (*COLUMNS, *BIONLP):
        places = [data / "ner" / name / f"{part}.tsv" for part in ("train", "devel", "test")]
        for number, some in enumerate(quarters(places if name in BIONLP else places[:2]), 1):
            with atomic_file(output / f"{name}-{number}.tsv") as stream:
                stream.write("".join(f"{block}\n\n" for block in some).encode())
            report[f"{name}-{number}.tsv"] = {"sentences": len(some)}
    documents = list(read_documents(f"{data}/{JNLPBA}/train", "brat"))
    for number in range(PARTS):
        write_documents(documents[number::PARTS], f"{output}/JNLPBA-{number + 1}.jsonl", "jsonl")
        report[f"JNLPBA-{number + 1}.jsonl"] = {"documents": len(documents[number::PARTS])}
    names = gene_names(data / "vocab" / "gene_info")
    with atomic_file(output / "genes.txt") as stream:
        stream.write("".join(f"{name}\n" for name in names).encode())
    report["genes.txt"] = {"names": len(names)}
    for file, (kind, pattern) in VOCABULARY_NAMES.items():
        names = [*read_lexicon(ROOT / "recipes" / file), *vocabulary_names(kind, re.compile(pattern))]
        with atomic_file(output / file) as stream:
            stream.write("".join(f"{name}\n" for name in names).encode())
        report[file] = {"names": len(names)}
    return report


def overlaps(data: Path) -> dict[str, set[str]]:
    """By file, the documents that stand in another set which they must not be trained with."""
    found: dict[str, set[str]] = {}
    with (data / "link" / "overlaps.tsv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            found.setdefault(row["file"], set()).add(row["document"])
    return found


def test_sets(data: Path) -> TestSets:
    """All test parts, by their sentences and PMIDs."""
    found = TestSets()
    for place in TEST_PARTS:
        if place.endswith(".gz"):
            for item in pubtator(data / place):
                found.add(place, sentences(item), [pmid] if (pmid := pmid_of(item)) else [])
        else:
            options: dict[str, Any] = {"entity_type": "Species"} if "s800" in place else {}
            for item in read_documents(f"{data}/{place}", **options):
                found.add(place, sentences(item) if "JNLPBA" in place else [item.text])
    return found


def sentences(document: Document) -> list[str]:
    return [document.text[start:end] for start, end in sentence_spans(document)]


def pubtator(path: Path) -> Iterator[Document]:
    """The documents of a PubTator file whose offsets fit their text, once some are mended as in `mended`."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        text = "".join(mended(stream))
    yield from read_documents(Source(path.name, data=text.encode()), "pubtator", Quarantine())


def mended(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a PubTator file. What GNormPlus has wrong is put right where that is plain: the end of a mention that
    begins where it should, and the spelling of one that is as long as the text there (quotation marks became spaces)."""
    texts: dict[str, str] = {}
    for line in lines:
        if match := re.match(r"([^|\t]+)\|([ta])\|(.*)", line.rstrip("\n")):
            texts = {match[2]: match[3]} if match[2] == "t" else texts | {match[2]: match[3]}
        columns = line.rstrip("\n").split("\t")
        if match is None and len(columns) >= 5:
            start, end = int(columns[1]), int(columns[2])
            text, mention = "\n".join(texts.values()), columns[3]
            if text.startswith(mention, start):
                columns[2] = str(start + len(mention))
            elif len(mention) == end - start:
                columns[3] = text[start:end]
            line = "\t".join(columns) + "\n"
        yield line


def quarters(places: Sequence[Path]) -> list[list[str]]:
    """The sentences of tables of tokens, in four parts."""
    texts = [place.read_text(encoding="utf-8") for place in places]
    blocks = [block for text in texts for block in re.split(r"\n\s*\n", text) if block.strip()]
    turns = [blocks[start : start + TURN] for start in range(0, len(blocks), TURN)]
    return [[block for turn in turns[number::PARTS] for block in turn] for number in range(PARTS)]


def gene_names(folder: Path) -> list[str]:
    """Symbols, synonyms and names of protein-coding genes of man and mouse that could stand in running text."""
    found: Counter[str] = Counter()
    for species in ("Homo_sapiens", "Mus_musculus"):
        with gzip.open(folder / f"{species}.gene_info.gz", "rt", encoding="utf-8") as stream:
            for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE):
                if row["type_of_gene"] == "protein-coding" and not row["Symbol"].startswith(("LOC", "Gm")):
                    found.update(usable([row["Symbol"], *row["Synonyms"].split("|"), row["description"]]))
    return sorted(found)


def vocabulary_names(kind: str, pattern: re.Pattern[str]) -> list[str]:
    """Preferred names of one type of the bundled vocabulary, drawn from those whose CURIE and name fit the pattern and that
    name no gene."""
    vocabulary = open_vocabulary("default")
    section, genes = vocabulary.section(kind), vocabulary.section("Gene")
    assert section is not None
    assert genes is not None
    lines = (f"{section.curie(number)}\t{section.label(number)}" for number in range(section.num_concepts))
    names = sorted({line.partition("\t")[2] for line in lines if pattern.fullmatch(line)})
    names = [name for name in names if not genes.look_up(name)]
    return random.Random(0).sample(names, min(NAMES_DRAWN, len(names)))


def usable(names: Iterable[str]) -> Iterator[str]:
    """Names without commas, brackets and colons, and without the words by which a database says that it knows little."""
    for name in names:
        if re.fullmatch(r"[^\W_][^,:;()\[\]|]{1,50}", name) and not re.search(
            r"\b(?:like|family|member|predicted|similar|uncharacterized|containing|putative|homolog|RIKEN)\b", name
        ):
            yield name


if __name__ == "__main__":
    main()
