"""brat standoff: a folder of `.txt` files, each with its `.ann` file (Stenetorp et al. 2012).

    T1<TAB>Disease 0 4;10 16<TAB>text       an entity, in one or several pieces
    R1<TAB>CID Arg1:T1 Arg2:T2              a relation
    E1<TAB>Binding:T3 Theme:T1 Cause:E2     an event: a relation whose first argument is its trigger
    *<TAB>Equiv T1 T2                       an equivalence: a relation
    N1<TAB>Reference T1 mesh:D003920<TAB>…  a normalisation: an identifier of its entity
    A1<TAB>Negated E1 ; #1<TAB>Note T1<TAB>…  attributes and notes: metadata of what they belong to

A document is the whole text as one passage, with its line breaks as they are; its id is the path without ending.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from textome.documents import Document, Entity, Passage, Relation, Span, replace_lone_surrogates
from textome.errors import InputError
from textome.formats.offsets import in_code_points
from textome.formats.sources import Quarantine, Source, Target, atomic_file

_ENTITY = re.compile(r"(T[^\t]*)\t(\S+) (\d+ \d+(?:;\d+ \d+)*)(?:\t(.*))?")
_BINARY = re.compile(r"([RE][^\t]*)\t(\S+)(?: (.*?))?\s*(?:\t.*)?")
_EQUIVALENCE = re.compile(r"\*\t(\S+) (.*?)\s*")
_ABOUT = re.compile(r"([AMN#][^\t]*)\t(\S+) (\S+)(?:[ \t](.*))?", re.DOTALL)
_UNSAFE = re.compile(r"[^\w.\-]+")


def sniff(head: str, name: str) -> bool:
    return bool(re.match(r"T\d+\t\S+ \d+ \d+(;\d+ \d+)*\t", head))


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """The documents below a folder, sorted by path; or the one of a `.txt` or `.ann` file.

    A text without `.ann` has no annotations. A document that is not as it should be is quarantined with file and line.
    """
    if source.path is None:
        raise InputError("brat is a folder of .txt and .ann files; it cannot be read from standard input")
    root = source.path if source.path.is_dir() else source.path.parent
    files = sorted(root.rglob("*.txt")) if source.path.is_dir() else [source.path.with_suffix(".txt")]
    files = [
        file for file in files if not any(part.startswith((".", "__MACOSX")) for part in file.relative_to(root).parts)
    ]
    if not files:
        raise InputError(f"{source.name}: there is no .txt file in this folder, so it is no brat corpus")
    for file in files:
        try:
            yield _document(file, str(file.relative_to(root).with_suffix("")))
        except InputError as error:
            quarantine.add(str(file), "", error)


def write(documents: Iterable[Document], target: Target) -> int:
    """A `.txt` and an `.ann` file for each document in the folder `target.path`.

    File names are document ids with unsafe characters replaced, so that no id leads out of the folder. Passages become
    lines of one text. Mentions are written piecewise at line breaks, which an `.ann` line cannot hold.
    """
    if target.path is None:
        raise InputError("brat needs a folder to write to; give --output FOLDER")
    if target.path.exists() and not target.path.is_dir():
        raise InputError(f"{target.path} is a file; brat needs a folder")
    taken: set[str] = set()
    number = 0
    for number, document in enumerate(documents, 1):
        path = target.path / _file_name(document.id or str(number), taken)
        with atomic_file(path.with_name(path.name + ".txt")) as stream:
            stream.write(document.text.encode("utf-8"))
        with atomic_file(path.with_name(path.name + ".ann")) as stream:
            stream.write("".join(f"{line}\n" for line in _lines(document)).encode("utf-8"))
    return number


def _document(file: Path, name: str) -> Document:
    if not file.exists():
        raise InputError("there is no .txt file beside the .ann file")
    try:
        text = file.read_bytes().decode("utf-8")
        annotations = file.with_suffix(".ann")
        lines = annotations.read_bytes().decode("utf-8").split("\n") if annotations.exists() else []
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}; convert the file first") from error
    document = Document(name, (Passage(replace_lone_surrogates(text)),))
    rows = [(number, line.rstrip("\r")) for number, line in enumerate(lines, 1) if line.strip()]
    entities = _entities(document, [(number, line) for number, line in rows if line.startswith("T")])
    relations: dict[str, Relation] = {}
    notes: list[tuple[int, re.Match[str]]] = []
    for number, line in rows:
        if line.startswith("T"):
            continue
        if match := _BINARY.fullmatch(line):
            relations[match[1]] = _relation(match, number)
        elif match := _EQUIVALENCE.fullmatch(line):
            relations[f"*{number}"] = Relation(match[1], tuple(("", part) for part in match[2].split()))
        elif match := _ABOUT.fullmatch(line):
            notes.append((number, match))
        else:
            raise InputError(f"line {number}: {line[:60]!r} is no brat annotation")
    metadata = _attach(notes, entities, relations)
    return replace(document, entities=tuple(entities.values()), relations=tuple(relations.values()), metadata=metadata)


def _entities(document: Document, rows: list[tuple[int, str]]) -> dict[str, Entity]:
    matches = []
    for number, line in rows:
        if not (match := _ENTITY.fullmatch(line)):
            raise InputError(f"line {number}: expected 'T1<tab>Type start end<tab>text', found {line[:60]!r}")
        matches.append((number, match))
    located = [
        ([(int(pair.split()[0]), int(pair.split()[1])) for pair in match[3].split(";")], match[4])
        for _, match in matches
    ]
    names = [f"line {number}: {match[1]}" for number, match in matches]
    found = in_code_points(document.text, located, names)
    return {
        match[1]: Entity(spans, match[2], document.text_at(spans), match[1])
        for (_, match), spans in zip(matches, found, strict=True)
    }


def _relation(match: re.Match[str], number: int) -> Relation:
    kind, colon, trigger = match[2].partition(":")
    arguments = [("trigger", trigger)] if colon else []
    for part in (match[3] or "").split():
        role, colon, target = part.partition(":")
        if not colon:
            raise InputError(f"line {number}: the argument {part!r} of {match[1]} is not of the form Role:T1")
        arguments.append((role, target))
    return Relation(kind, tuple(arguments), match[1])


def _attach(
    notes: list[tuple[int, re.Match[str]]], entities: dict[str, Entity], relations: dict[str, Relation]
) -> dict[str, str]:
    """Put normalisations, attributes and notes where they belong; returns those of the document itself."""
    left: dict[str, str] = {}
    for _, match in notes:
        key, kind, about, rest = match[1], match[2], match[3], match[4] or ""
        if key.startswith("N") and about in entities:
            reference, _, label = rest.partition("\t")
            entity = entities[about]
            metadata = entity.metadata | ({f"label_{reference}": label} if label else {})
            entities[about] = replace(entity, identifiers=(*entity.identifiers, reference), metadata=metadata)
            continue
        value = {f"{key} {kind}": rest}
        if about in entities:
            entities[about] = replace(entities[about], metadata=entities[about].metadata | value)
        elif about in relations:
            relations[about] = replace(relations[about], metadata=relations[about].metadata | value)
        else:
            left[f"{key} {kind} {about}"] = rest
    return left


def _lines(document: Document) -> Iterator[str]:
    taken = {entity.id for entity in document.entities} | {relation.id for relation in document.relations}
    counters = dict.fromkeys("TRN", 0)

    def fresh(letter: str) -> str:
        while True:
            counters[letter] += 1
            if (name := f"{letter}{counters[letter]}") not in taken:
                taken.add(name)
                return name

    # An entity of nothing but line breaks cannot be written, nor what refers to it. Ids that brat would not understand
    # get one that it does; relations follow them.
    entities = [entity for entity in document.entities if any(_without_line_breaks(document.text, entity.spans))]
    names = {
        entity.id: entity.id if re.fullmatch(r"T\d+", entity.id) else fresh("T") for entity in entities if entity.id
    }
    names |= {
        relation.id: relation.id if re.fullmatch(r"[RE]\d+", relation.id) else fresh("R")
        for relation in document.relations
        if relation.id
    }
    for entity in entities:
        name = names.get(entity.id) or fresh("T")
        spans = list(_without_line_breaks(document.text, entity.spans))
        places = ";".join(f"{start} {end}" for start, end in spans)
        text = " ".join(document.text[start:end] for start, end in spans)
        yield f"{name}\t{_one_word(entity.type)} {places}\t{text}"
        for identifier in entity.identifiers:
            label = entity.metadata.get(f"label_{identifier}", "")
            yield f"{fresh('N')}\tReference {name} {_one_word(identifier)}\t{label}".rstrip("\t")
        yield from _notes(entity.metadata, name)
    for relation in document.relations:
        if any(target not in names for _, target in relation.arguments):
            continue
        parts = [f"{_one_word(role).replace(':', '_')}:{names[target]}" for role, target in relation.arguments]
        if relation.type == "Equiv" and not relation.id:
            yield "*\tEquiv " + " ".join(names[target] for _, target in relation.arguments)
        elif relation.arguments:
            name = names.get(relation.id) or fresh("R")
            if relation.arguments[0][0] == "trigger":
                parts = [f"{_one_word(relation.type).replace(':', '_')}:{names[relation.arguments[0][1]]}", *parts[1:]]
                yield f"{name}\t{' '.join(parts)}"
            else:
                yield f"{name}\t{_one_word(relation.type)} {' '.join(parts)}"
            yield from _notes(relation.metadata, name)
    for key, rest in document.metadata.items():
        if match := re.fullmatch(r"([AMN#]\S*) (\S+) (\S+)", key):
            yield f"{match[1]}\t{match[2]} {match[3]}{_rest(match[1], rest)}"


def _notes(metadata: dict[str, str], name: str) -> Iterator[str]:
    for key, rest in metadata.items():
        if match := re.fullmatch(r"([AM#]\S*) (\S+)", key):
            yield f"{match[1]}\t{match[2]} {name}{_rest(match[1], rest)}"


def _rest(key: str, rest: str) -> str:
    if not rest:
        return ""
    return ("\t" if key.startswith("#") else " ") + re.sub(r"[\r\n]", " ", rest)


def _without_line_breaks(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    for start, end in spans:
        for match in re.finditer(r"[^\r\n]+", text[start:end]):
            yield Span(start + match.start(), start + match.end())


def _one_word(text: str) -> str:
    return re.sub(r"\s+", "_", text) or "_"


def _file_name(name: str, taken: set[str]) -> str:
    """A file name from a document id, unlike all others in the folder."""
    safe = _UNSAFE.sub("_", name).lstrip(".")[:150] or "document"
    candidate, number = safe, 1
    while candidate.casefold() in taken:
        number += 1
        candidate = f"{safe}_{number}"
    taken.add(candidate.casefold())
    return candidate
