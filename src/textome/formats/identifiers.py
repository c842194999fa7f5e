"""Concept identifiers: the raw strings of annotated corpora and Bioregistry CURIEs such as `mesh:D009369`."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MESH = re.compile(r"[CD]\d{6,9}")
_PREFIXES = {"MESH": "mesh", "OMIM": "omim", "NCBIGENE": "ncbigene", "NCBITAXON": "ncbitaxon", "CVCL": "cellosaurus"}
_BY_TYPE = {
    "gene": "ncbigene",
    "geneorgeneproduct": "ncbigene",
    "species": "ncbitaxon",
    "organismtaxon": "ncbitaxon",
}
_NONE = frozenset({"-1", "-", "", "None"})


def to_curies(raw: str, entity_type: str) -> tuple[str, ...]:
    """CURIEs of a raw identifier field, whose parts are set apart by `|`, `;` or `,`; what is not known stays as it is.

    `-1` and `-`, which corpora write for "none", give nothing.
    """
    return tuple(_curie(part, entity_type) for part in re.split("[|;,]", raw) if part not in _NONE)


def from_curies(identifiers: Sequence[str]) -> str:
    """The raw field that corpora would hold for these identifiers: MeSH and NCBI numbers without their prefix."""
    parts = []
    for identifier in identifiers:
        prefix, colon, local = identifier.partition(":")
        bare = colon and (prefix in ("ncbigene", "ncbitaxon") or (prefix == "mesh" and _MESH.fullmatch(local)))
        parts.append(local if bare else f"{prefix.upper()}:{local}" if prefix == "omim" else identifier)
    return ",".join(parts)


def _curie(part: str, entity_type: str) -> str:
    if _MESH.fullmatch(part):
        return f"mesh:{part}"
    prefix, colon, local = part.partition(":")
    if colon and prefix.upper() in _PREFIXES:
        return f"{_PREFIXES[prefix.upper()]}:{local}"
    if part.isdigit() and (vocabulary := _BY_TYPE.get(entity_type.replace("_", "").casefold())):
        return f"{vocabulary}:{part}"
    return part
