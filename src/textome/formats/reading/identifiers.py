"""Concept identifiers: the raw strings of annotated corpora and Bioregistry CURIEs such as `mesh:D009369`."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MESH = re.compile(r"[CD](\d{6}|\d{9})")
_CUI = re.compile(r"C\d{7}")
_DBSNP = re.compile(r"rs\d+")
_CELL_LINE = re.compile(r"CVCL_([A-Z0-9]{4})")
_PREFIXES = {
    "MESH": "mesh",
    "OMIM": "omim",
    "NCBIGENE": "ncbigene",
    "NCBITAXON": "ncbitaxon",
    "CVCL": "cellosaurus",
    "UMLS": "umls",
}
_BY_TYPE = {
    "gene": "ncbigene",
    "geneorgeneproduct": "ncbigene",
    "species": "ncbitaxon",
    "organismtaxon": "ncbitaxon",
}
# Their identifiers hold the separators, as in tmVar's `c|SUB|A|1762|T`, whatever a corpus calls their type.
_VARIANT_TYPE = re.compile(r"variant|mutation|allele|snp|acidchange|nucleotidechange")
_VARIANT = re.compile(r"(?:tmVar:)?[a-z]?\|(?:[A-Za-z]+|)\|")
# NCBI-disease joins several concepts of one mention by +; GNormPlus writes the species behind a gene that is not human.
_SEVERAL = re.compile(r"(?:MESH:|OMIM:)?[CD]?\d+(?:\+(?:MESH:|OMIM:)?[CD]?\d+)+")
_SPECIES = re.compile(r"\(Tax:\d+\)$", re.IGNORECASE)
_NONE = frozenset({"-1", "-", "", "None"})


def to_curies(raw: str, entity_type: str) -> tuple[str, ...]:
    """CURIEs of a raw identifier field, whose parts are set apart by `|`, `;` or `,`; what is not known stays as it is.

    That of a sequence variant is one identifier, whatever signs it holds. `-1` and `-`, which corpora write for "none",
    give nothing.
    """
    if _VARIANT_TYPE.search(_plain(entity_type)) or _VARIANT.match(raw):
        parts = [raw]
    else:
        separated = (part.strip() for part in re.split("[|;,]", raw))
        parts = [each for part in separated for each in (part.split("+") if _SEVERAL.fullmatch(part) else [part])]
    return tuple(_curie(_SPECIES.sub("", part), entity_type) for part in map(str.strip, parts) if part not in _NONE)


def to_curie(reference: str) -> str:
    """A reference of one concept with the prefix as Bioregistry writes it: `MESH:D006073` is `mesh:D006073`."""
    prefix, colon, local = reference.partition(":")
    known = _PREFIXES.get(prefix.upper()) if colon else None
    return f"{known}:{local}" if known else reference


def from_curies(identifiers: Sequence[str]) -> str:
    """The raw field that corpora would hold for these identifiers: MeSH and NCBI numbers without their prefix."""
    return ",".join(map(_raw, identifiers))


def _raw(identifier: str) -> str:
    prefix, colon, local = identifier.partition(":")
    if colon and (prefix in ("ncbigene", "ncbitaxon", "dbsnp") or (prefix == "mesh" and _MESH.fullmatch(local))):
        return local
    if colon and prefix == "umls" and _CUI.fullmatch(local):
        return local
    if colon and prefix == "cellosaurus":
        return f"CVCL_{local}"
    return f"{prefix.upper()}:{local}" if prefix == "omim" else identifier


def _curie(part: str, entity_type: str) -> str:
    if _MESH.fullmatch(part):
        return f"mesh:{part}"
    if _CUI.fullmatch(part):
        return f"umls:{part}"
    if _DBSNP.fullmatch(part):
        return f"dbsnp:{part}"
    if match := _CELL_LINE.fullmatch(part):
        return f"cellosaurus:{match[1]}"
    if part.isdigit() and (vocabulary := _BY_TYPE.get(_plain(entity_type))):
        return f"{vocabulary}:{part}"
    return to_curie(part)


def _plain(entity_type: str) -> str:
    return entity_type.replace("_", "").casefold()
