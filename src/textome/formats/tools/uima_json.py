"""UIMA CAS JSON 0.4, with its type system inside, as INCEpTION exports "UIMA CAS JSON"; see `cas`.

Written is a folder with a file for each document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from textome.documents import Document
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source, Target
from textome.formats.tools.cas import cassis, document_of, write_folder


def sniff(head: str, name: str) -> bool:
    return '"%TYPES"' in head or '"%FEATURE_STRUCTURES"' in head


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """The document of a file. Raises InputError for a damaged file."""
    package = cassis()
    with source.open() as stream:
        text = stream.read()
    try:
        cas = package.load_cas_from_json(text.decode("utf-8"))
    except Exception as error:  # dkpro-cassis lets through whatever the damage leads to
        raise InputError(f"{source.name}: this is not a UIMA CAS ({type(error).__name__}: {error})") from error
    yield document_of(cas, source.stem)


def write(documents: Iterable[Document], target: Target) -> int:
    """A folder; see `cas.write_folder`."""
    return write_folder(documents, target, ".json", lambda cas: str(cas.to_json()))
