"""`textome vocabulary`: terminologies of one's own as an index, and what an index holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textome.cli.options import AsJson
from textome.cli.streams import echo, finish, watched

if TYPE_CHECKING:
    from textome.formats import Quarantine
    from textome.vocabularies import Concept, Vocabulary

vocabulary = typer.Typer(no_args_is_help=True, help="Build vocabularies of your own for linking, and look into them.")


@vocabulary.command()
def build(
    inputs: Annotated[list[str], typer.Argument(metavar="FILES...", help="Files of terminologies, also compressed.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The index to write, as my.vocab.")],
    terminology: Annotated[str | None, typer.Option("--from", help="Kind of the files; default: by content.")] = None,
    entity_type: Annotated[
        str | None, typer.Option("--type", help="Type of the entities that name the concepts, as Disease.")
    ] = None,
    title: Annotated[str, typer.Option(help="What the index is, for its card.")] = "",
) -> None:
    """Build an index from files of terminologies: MeSH, OBO, NCBI Gene and Taxonomy, Cellosaurus, UMLS, tables, ...

    The index appears whole or not at all; the same files give the same bytes.

    Example: textome vocabulary build desc2026.xml my_terms.tsv --output my.vocab --type Disease
    """
    from textome.formats import Quarantine
    from textome.vocabularies import build_vocabulary

    quarantine, files = Quarantine(), _files(inputs)
    counted = _Counted(_concepts(files, terminology, entity_type, quarantine))
    concepts = watched(counted, "building", quarantine, "concept")
    build_vocabulary(concepts, output, title or output.stem, [_source(file) for file in files])
    finish(quarantine, counted.number)


@vocabulary.command()
def info(
    path: Annotated[str, typer.Argument(metavar="INDEX", help="An index, or 'default'.")] = "default",
    find: Annotated[str | None, typer.Option(help="A name or a CURIE to look up.")] = None,
    as_json: AsJson = False,
) -> None:
    """What an index holds and where it comes from; the whole file is checked. With --find, what a name stands for.

    Example: textome vocabulary info my.vocab --find "breast cancer"
    """
    from textome.vocabularies import open_vocabulary

    opened = open_vocabulary(path)
    if find is not None:
        matches = _matches(opened, find)
        echo(json.dumps(matches, indent=2, ensure_ascii=False) if as_json else "\n".join(map(_line, matches)))
        return
    opened.verify()
    card = opened.card
    if as_json:
        echo(
            json.dumps(
                {"title": card.title, "sha256": opened.sha256, "counts": card.counts, "sources": card.sources}, indent=2
            )
        )
        return
    echo(f"{card.title}\nsha256 {opened.sha256}")
    for type, counts in card.counts.items():
        echo(f"{type:12}{counts['concepts']:12,} concepts {counts['names']:12,} names")
    for source in card.sources:
        echo("  ".join(value for value in source.values() if value))


def _files(inputs: list[str]) -> list[str]:
    """The inputs; a folder stands for its files, unless it is that of the NCBI Taxonomy."""
    from textome.formats import expand_inputs

    return [
        file for item in inputs for file in ([item] if (Path(item) / "names.dmp").is_file() else expand_inputs([item]))
    ]


def _concepts(
    files: list[str], terminology: str | None, entity_type: str | None, quarantine: Quarantine
) -> Iterator[Concept]:
    from textome.vocabularies import read_concepts

    for file in files:
        yield from read_concepts(file, terminology, entity_type, quarantine)


def _source(file: str) -> dict[str, str]:
    import hashlib

    path = Path(file) / "names.dmp" if Path(file).is_dir() else Path(file)
    if not path.is_file():
        return {"file": file}
    with path.open("rb") as stream:
        return {"file": path.name, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def _matches(opened: Vocabulary, find: str) -> list[dict[str, Any]]:
    matches = []
    for section in filter(None, map(opened.section, opened.types)):
        numbers = [(hit.number, hit.kind.name.lower()) for hit in section.look_up(find)]
        if (number := section.find(find)) is not None:
            numbers.append((number, "identifier"))
        matches += [
            {
                "type": section.type,
                "identifier": section.curie(number),
                "label": section.label(number),
                "name": kind,
                "parents": section.parents(number),
                "xrefs": section.xrefs(number),
            }
            for number, kind in numbers
        ]
    return matches


def _line(match: dict[str, Any]) -> str:
    return f"{match['type']:12}{match['identifier']:20}{match['label']} ({match['name']})"


class _Counted:
    """Passes concepts on and counts them."""

    def __init__(self, concepts: Iterable[Concept]) -> None:
        self._concepts = concepts
        self.number = 0

    def __iter__(self) -> Iterator[Concept]:
        for concept in self._concepts:
            self.number += 1
            yield concept
