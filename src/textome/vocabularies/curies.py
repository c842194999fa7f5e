"""CURIEs of Bioregistry from the prefixes that terminologies write."""

from __future__ import annotations

import re

_PREFIXES = {
    "msh": "mesh", "mim": "omim", "omimps": "omim.ps", "umls_cui": "umls", "sctid": "snomedct",
    "snomedct_us": "snomedct", "orpha": "orphanet", "ordo": "orphanet", "nci": "ncit", "medra": "meddra",
    "ncbitaxonomy": "ncbitaxon", "ncbi_taxid": "ncbitaxon", "cvcl": "cellosaurus", "kegg_compound": "kegg.compound",
}  # fmt: skip
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_MESH = re.compile(r"[CD](\d{6}|\d{9})")
_CUI = re.compile(r"C\d{7}")
_VERSION = re.compile(r"_\d{4}_\d\d_\d\d$")  # of SNOMEDCT_US_2023_03_01


def curie_of(prefix: str, local: str) -> str:
    """A CURIE with Bioregistry's prefix, `MSH` and `D009369` giving `mesh:D009369`."""
    lower = _VERSION.sub("", prefix).lower()
    return f"{_PREFIXES.get(lower, lower)}:{local}"


def curie_from(raw: str) -> str:
    """The CURIE of an identifier as a file writes it: `MESH:D009369`, `D009369`, a CUI, or an OBO address or CURIE.

    One that is none of these stays as it is. Empty where it is not an identifier.
    """
    raw = raw.strip()
    if match := re.fullmatch(r"https?://purl\.obolibrary\.org/obo/([A-Za-z]+)_(\w+)", raw):
        return curie_of(match[1], match[2])
    if _MESH.fullmatch(raw):
        return f"mesh:{raw}"
    if _CUI.fullmatch(raw):
        return f"umls:{raw}"
    prefix, colon, local = raw.partition(":")
    if colon and local and _NAME.fullmatch(prefix):
        return curie_of(prefix, local)
    return raw
