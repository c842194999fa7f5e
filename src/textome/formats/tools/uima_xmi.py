"""UIMA CAS XMI: `note.xmi` with `TypeSystem.xml` beside it, as INCEpTION exports "UIMA CAS XMI (XML 1.0)"; see `cas`.

Written is a folder with a file for each document and the type system.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from textome.documents import Document
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source, Target
from textome.formats.tools.cas import cassis, document_of, path_of, type_system, write_folder

_TYPES = "TypeSystem.xml"


def sniff(head: str, name: str) -> bool:
    return "<xmi:XMI" in head


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """The document of a file. Raises InputError where the type system is not beside it, or the file is damaged."""
    package = cassis()
    if source.path is None:
        raise InputError(f"{source.name}: UIMA CAS XMI needs its {_TYPES} beside it; give a file")
    with path_of(source.path.parent, _TYPES).open("rb") as stream:
        types = package.load_typesystem(stream)
    with source.open() as stream:
        try:
            cas = package.load_cas_from_xmi(stream, typesystem=types, lenient=True)
        except Exception as error:  # dkpro-cassis lets through whatever the damage leads to
            raise InputError(f"{source.name}: this is not a UIMA CAS ({type(error).__name__}: {error})") from error
    yield document_of(cas, source.stem)


def write(documents: Iterable[Document], target: Target) -> int:
    """A folder; see `cas.write_folder`."""
    number = write_folder(documents, target, ".xmi", lambda cas: str(cas.to_xmi()))
    if target.path is not None:
        with Target(Path(target.path) / _TYPES).open() as stream:
            stream.write(str(type_system().to_xml()).encode())
    return number
