"""UIMA CAS, as INCEpTION and DKPro write it: what its XMI and its JSON have in common; dkpro-cassis reads and writes both.

Entities are annotations of the layer `NamedEntity` of DKPro (`value`, `identifier`), and of every layer with a feature
`value` or `label` that is not a relation; relations are those of layers with `Governor` and `Dependent`. Written are
`NamedEntity`, and `custom.Relation` between them. The files count UTF-16 units; dkpro-cassis gives code points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from textome.documents import Document, Entity, Relation
from textome.errors import InputError, MissingExtraError
from textome.formats.reading.sources import Target
from textome.formats.tools.json_tasks import pair_of

_ENTITY = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"
_RELATION = "custom.Relation"
_LABELS = ("value", "label")
_UNSAFE = str.maketrans(dict.fromkeys('/\\:*?"<>|', "_"))


def cassis() -> Any:
    """The package dkpro-cassis. Raises MissingExtraError where it is not installed."""
    try:
        import cassis as package
    except ImportError as error:
        raise MissingExtraError("UIMA CAS", "cas") from error
    return package


def document_of(cas: Any, name: str) -> Document:
    """The document in a CAS. Raises InputError where it has no text, or an annotation lies outside it."""
    if not cas.sofa_string:
        raise InputError("the CAS has no text")
    draft = Document.from_text(cas.sofa_string, name)
    ids: dict[int, str] = {}
    entities: list[Entity] = []
    annotations = list(cas.select("uima.tcas.Annotation"))
    for item in annotations:
        kind = _label(item)
        if _has(item, "Governor") or kind is None or item.begin == item.end:
            continue
        ids[id(item)] = f"T{len(entities) + 1}"
        curie = item.identifier if _has(item, "identifier") else None
        identifiers = [curie] if isinstance(curie, str) and curie else []
        entities.append(draft.entity([(item.begin, item.end)], kind, id=ids[id(item)], identifiers=identifiers))
    relations = []
    for item in annotations:
        if _has(item, "Governor") and _has(item, "Dependent"):
            ends = [ids.get(id(end), "") for end in (item.Governor, item.Dependent)]
            if all(ends):
                roles = (("Governor", ends[0]), ("Dependent", ends[1]))
                relations.append(Relation(_label(item) or "relation", roles))
    return draft.with_annotations(entities, relations)


def _has(item: Any, feature: str) -> bool:
    return any(known.name == feature for known in item.type.all_features)


def _label(item: Any) -> str | None:
    """What an annotation says that it is; None for one of a layer without a name for it, as of a token."""
    values = (getattr(item, name) for name in _LABELS if _has(item, name))
    return next((value for value in values if isinstance(value, str) and value), None)


def write_folder(documents: Iterable[Document], target: Target, ending: str, written: Callable[[Any], str]) -> int:
    """A file a document, named by its id, in the folder of the target; returns their number.

    written   the text of the file of a CAS

    Raises InputError where the target is standard output, and for two documents of one name.
    """
    if target.path is None:
        raise InputError("UIMA CAS needs a folder, a file for each document; name it with --output")
    names: set[str] = set()
    number = 0
    for number, document in enumerate(documents, 1):
        name = (document.id or str(number)).translate(_UNSAFE).lstrip(".") or str(number)
        if name in names:
            raise InputError(f"two documents have the id {name!r}, so that one file would overwrite the other")
        names.add(name)
        with Target(target.path / f"{name}{ending}").open() as stream:
            stream.write(written(_cas_of(document)).encode())
    return number


def type_system() -> Any:
    """DKPro's types, and the layer of relations."""
    package = cassis()
    types = package.typesystem.load_dkpro_core_typesystem()
    relation = types.create_type(_RELATION, supertypeName="uima.tcas.Annotation")
    for role in ("Governor", "Dependent"):
        types.create_feature(relation, role, types.get_type(_ENTITY))
    types.create_feature(relation, "label", "uima.cas.String")
    return types


def _cas_of(document: Document) -> Any:
    types = type_system()
    cas = cassis().Cas(types)
    cas.sofa_string, cas.sofa_mime = document.text, "text/plain"
    entity_type, relation_type = types.get_type(_ENTITY), types.get_type(_RELATION)
    annotations: dict[int, Any] = {}
    for entity in document.entities:
        curie = entity.curies[0] if entity.curies else None
        item = entity_type(begin=entity.start, end=entity.end, value=entity.type, identifier=curie)
        annotations[id(entity)] = item
        cas.add(item)
    for relation in document.relations:
        if (pair := pair_of(document, relation)) is not None:
            governor, dependent = (annotations[id(entity)] for entity in pair)
            where = {"begin": dependent.begin, "end": dependent.end}
            cas.add(relation_type(Governor=governor, Dependent=dependent, label=relation.type, **where))
    return cas


def path_of(folder: Path, name: str) -> Path:
    """A file of a folder. Raises InputError where it is not there."""
    if not (folder / name).is_file():
        raise InputError(f"{folder}: there is no {name}; export the annotations with it")
    return folder / name
