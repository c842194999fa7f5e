"""`textome evidence`: what many documents say together, ranked, with the sentences that say it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textome.cli.options import BulkFolder
from textome.cli.streams import EscapeFormulas, echo, report, say, split_list
from textome.errors import InputError, MissingExtraError
from textome.escapes import no_formula

if TYPE_CHECKING:
    from textome.evidence.concepts import Concepts
    from textome.evidence.pairs import Bridge, Pair
    from textome.evidence.statements import Concept, Reading

_PAIR_COLUMNS = (
    "head", "head_id", "relation", "tail", "tail_id", "score", "probability", "documents", "contradicting", "speculated",
    "first_year", "known", "document_ids", "head_type", "tail_type", "sentence",
)  # fmt: skip
_BRIDGE_COLUMNS = ("concept", "concept_id", "score", "first", "second")


def evidence(
    folder: BulkFolder,
    concept: Annotated[
        str | None, typer.Argument(metavar="CONCEPT", help="A name or CURIE; default: all pairs.")
    ] = None,
    partner: Annotated[
        str | None,
        typer.Option("--with", help="Types of the other concept, as Chemical,Gene; of all pairs, of either."),
    ] = None,
    relation: Annotated[
        str | None, typer.Option(help="Relations, as treats, causes, inhibits, binds; default: all.")
    ] = None,
    in_common: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="LIST LIST", help="Two files of concepts, one a line: what is related to both."),
    ] = None,
    known: Annotated[
        str | None, typer.Option(help="A table of known pairs of drug and disease, as DrugCentral's indications.")
    ] = None,
    only_new: Annotated[bool, typer.Option("--new", help="Leave out what --known has.")] = False,
    hierarchy: Annotated[
        bool, typer.Option("--hierarchy", help="What is said of a concept counts for broader ones too.")
    ] = False,
    min_probability: Annotated[float, typer.Option(min=0, max=1, help="Less probable pairs are left out.")] = 0.0,
    min_documents: Annotated[int, typer.Option(min=0, help="Pairs that fewer documents support are left out.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first rows of the ranking.")] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="File to write, as .csv or .jsonl; - is standard output.")
    ] = "-",
    escape_formulas: EscapeFormulas = False,
    html: Annotated[Path | None, typer.Option("--report", help="Write a page with the sentences, as .html.")] = None,
    graph: Annotated[
        Path | None, typer.Option(help="Write a graph: .graphml, .ttl (RDF), or a folder for Neo4j's import.")
    ] = None,
    vocabulary: Annotated[str, typer.Option(help="An index of concepts; the bundled one by default.")] = "default",
) -> None:
    """Rank what documents say: drugs for a disease, diseases of a drug, what two lists have in common.

    Pairs that more documents support stand first. Relations that a sentence denies or only supposes are not support.
    Retracted articles are left out.

    Example: textome evidence annotated/ hypertension --with Chemical --relation treats --report hypertension.html
    """
    try:
        from textome.bulk.query import Results
        from textome.evidence.concepts import Concepts
        from textome.evidence.graphs import write_pairs_graph
        from textome.evidence.known import read_known
        from textome.evidence.pairs import read_pairs
        from textome.evidence.report import write_bridges, write_report
        from textome.evidence.statements import Reading
    except ImportError as error:
        raise MissingExtraError("asking bulk results", "bulk") from error
    from textome.formats import Quarantine
    from textome.vocabularies import open_vocabulary

    if only_new and known is None:
        raise InputError("--new needs --known: a table of what is known")
    others = {"CONCEPT": concept, "--with": partner, "--known": known, "--graph": graph}
    if in_common is not None and (conflicting := [name for name, value in others.items() if value is not None]):
        raise InputError(f"--in-common asks about two lists, without {' and '.join(conflicting)}")
    concepts = Concepts(open_vocabulary(vocabulary))
    reading, quarantine = Reading(), Quarantine()
    keys = set() if concept is None else concepts.keys(concept)

    def broader(item: Concept) -> list[Concept]:
        """Of the broader concepts only the one that is asked about."""
        return [above for above in concepts.broader(item) if concept is None or above.key in keys]

    pairs = read_pairs(Results(folder), reading, broader if hierarchy else None)
    notes = _notes(reading)
    if not pairs:
        notes.append("the results have no relation between two mentions; annotate with a model for relations")
    for note in notes:
        say(note)
    if in_common is not None:
        bridges = _bridges(_kept(pairs, relation, min_documents, min_probability), in_common, concepts)[:limit]
        if html is not None:
            write_bridges(bridges, html, f"In common: {in_common[0]} and {in_common[1]}")
        _write(map(_bridge_row, bridges), _BRIDGE_COLUMNS, output, escape_formulas)
        return
    if concept is not None:
        pairs = _of(pairs, keys, concept)
    matching, types = pairs, split_list(partner)
    if types is not None:
        pairs = [pair for pair in pairs if any(end.type in types for end in _partners(pair, keys))]
    pairs = _kept(pairs, relation, min_documents, min_probability)
    if matching and not pairs:
        verbs = sorted({pair.verb for pair in matching})
        of = sorted({end.type for pair in matching for end in (pair.head, pair.tail)})
        say(f"the options leave no pair; without them there are {', '.join(verbs)} of {', '.join(of)}")
    if known is not None:
        known_pairs = read_known(known, concepts, quarantine)
        if known_pairs.unnamed:
            say(f"{known}: {len(known_pairs.unnamed):,} names are not in the vocabulary, as {known_pairs.unnamed[0]!r}")
        known_pairs.mark(pairs, concepts)
        pairs = [pair for pair in pairs if not (only_new and pair.known)]
    pairs = pairs[:limit]
    if html is not None:
        write_report(pairs, html, f"Evidence: {concept or folder}", notes)
        say(f"{html}: written")
    if graph is not None:
        say(f"{graph}: {write_pairs_graph(pairs, graph):,} edges")
    _write(map(_pair_row, pairs), _PAIR_COLUMNS, output, escape_formulas)
    report(quarantine)


def _notes(reading: Reading) -> list[str]:
    notes = []
    if reading.retracted:
        names = ", ".join(sorted(reading.retracted)[:5])
        notes.append(f"{len(reading.retracted):,} retracted articles are left out: {names}")
    if reading.disagreeing:
        names = ", ".join(sorted(reading.disagreeing)[:5])
        notes.append(
            f"{len(reading.disagreeing):,} documents are in several files with other identifiers for the same mentions, "
            f"and count for each of these: {names}"
        )
    for type, shared in reading.several_vocabularies().items():
        name, prefixes = next(iter(shared.items()))
        notes.append(
            f"{type}: documents were linked with different vocabularies, whose identifiers are not joined ({name}: "
            f"{', '.join(prefixes)}; names with several: {len(shared):,}); link all with one"
        )
    return notes


def _of(pairs: Sequence[Pair], keys: set[str], name: str) -> list[Pair]:
    """The pairs of a concept. Raises InputError where the results do not have it."""
    matching = [pair for pair in pairs if pair.head.key in keys or pair.tail.key in keys]
    if pairs and not matching:
        raise InputError(f"{name!r}: no relation of the results is one of this concept; give another name, or a CURIE")
    return matching


def _partners(pair: Pair, keys: set[str]) -> list[Concept]:
    """The other concept of a pair, or both where neither or each is the one that is asked about."""
    ends = [pair.head, pair.tail]
    return [end for end in ends if end.key not in keys] or ends


def _kept(pairs: Iterable[Pair], relation: str | None, documents: int, probability: float) -> list[Pair]:
    verbs = split_list(relation)
    return [
        pair
        for pair in pairs
        if (verbs is None or pair.verb in verbs)
        and len(pair.supporting) >= documents
        and pair.probability >= probability
    ]


def _bridges(pairs: Sequence[Pair], lists: tuple[str, str], concepts: Concepts) -> list[Bridge]:
    from textome.evidence.concepts import read_list
    from textome.evidence.pairs import in_common

    first, second = ({key for name in read_list(path) for key in concepts.keys(name)} for path in lists)
    return in_common(pairs, first, second)


def _pair_row(pair: Pair) -> dict[str, Any]:
    best = next(pair.statements)
    values = (
        pair.head.name,
        pair.head.key,
        pair.verb,
        pair.tail.name,
        pair.tail.key,
        round(pair.score, 4),
        round(pair.probability, 4),
        len(pair.supporting),
        len(pair.contradicting),
        len(pair.speculated),
        pair.first_year,
        pair.known,
        " ".join(pair.document_ids[:20]),
        pair.head.type,
        pair.tail.type,
        " … ".join(sentence.text for sentence in best.sentences),
    )
    return dict(zip(_PAIR_COLUMNS, values, strict=True))


def _bridge_row(bridge: Bridge) -> dict[str, Any]:
    sides = (
        "; ".join(f"{pair.head.name} {pair.verb} {pair.tail.name}" for pair in side)
        for side in (bridge.first, bridge.second)
    )
    return dict(
        zip(_BRIDGE_COLUMNS, (bridge.concept.name, bridge.concept.key, round(bridge.score, 4), *sides), strict=True)
    )


def _write(rows: Iterator[dict[str, Any]], columns: Sequence[str], output: str, escape_formulas: bool) -> None:
    if output == "-" and sys.stdout.isatty():
        _show(rows)
        return
    if output != "-" and Path(output).suffix not in (".csv", ".jsonl"):
        raise InputError(f"--output {output}: pairs are written as .csv or .jsonl")
    text = io.StringIO(newline="")
    if output.endswith(".jsonl"):
        text.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        import csv

        writer = csv.writer(text)
        writer.writerow(columns)
        for row in rows:
            writer.writerow(map(no_formula, row.values()) if escape_formulas else row.values())
    if output == "-":
        echo(text.getvalue(), end="")
        return
    from textome.formats.reading.sources import atomic_file

    with atomic_file(Path(output)) as stream:
        stream.write(text.getvalue().encode())
    say(f"{output}: written")


def _show(rows: Iterator[dict[str, Any]]) -> None:
    from textome.cli.terminal import ROWS, print_table

    some = list(islice(rows, ROWS))
    names = [
        name
        for name in (some[0] if some else {})
        if not name.endswith("_id") and name != "document_ids" and any(row[name] is not None for row in some)
    ]
    print_table(names, ([row[name] for name in names] for row in chain(some, rows)))
