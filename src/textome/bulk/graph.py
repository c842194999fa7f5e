"""What is said together and what is related, as a graph and as a picture."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from lxml import etree

from textome.bulk.query import Results, write_answer
from textome.errors import InputError, MissingExtraError
from textome.formats.reading.sources import Target, atomic_file
from textome.formats.reading.xml_reading import xml_text

_GRAPHML = "http://graphml.graphdrawing.org/xmlns"
_KEYS = {
    "name": ("node", "string"),
    "type": ("node", "string"),
    "relation": ("edge", "string"),
    "sentences": ("edge", "int"),
    "weight": ("edge", "int"),
    "document_ids": ("edge", "string"),
}
_CO_MENTION = "co_mention"
_TYPES = ("Chemical", "Disease", "Gene")
# `sentences` of a relation are its statements: each has one, or two where its mentions stand apart.
_EDGES = f"""
    SELECT head_type AS source_type, head AS source, head_label AS source_name, relation, tail_type AS target_type,
        tail AS target, tail_label AS target_name, relations AS sentences, documents AS weight, document_ids
    FROM related_pairs WHERE documents >= {{0}}
    UNION ALL
    SELECT first_type, first, first_label, '{_CO_MENTION}', second_type, second, second_label, sentences, documents,
        document_ids
    FROM co_mention_pairs WHERE documents >= {{0}} AND first_type IN {_TYPES} AND second_type IN {_TYPES}"""


def write_graph(results: Results, path: Path, min_documents: int = 1) -> int:
    """Write the graph of the relations between concepts, and of the chemicals, diseases and genes that one sentence
    mentions (the relation `co_mention`); returns the number of edges. What a text denies counts too: textome.evidence
    tells it apart.

    path           ends in .graphml (for Gephi, Cytoscape, networkx) or .csv (a row for each edge)
    min_documents  leave out edges that fewer documents have; the weight of an edge is that number
    """
    answer = results.ask(_EDGES.format(int(min_documents)))
    if path.suffix == ".csv":
        return write_answer(answer, path, "csv")
    if path.suffix != ".graphml":
        raise InputError(f"{path}: a graph is written as .graphml or .csv")
    number = 0
    with Target(path).open() as stream, etree.xmlfile(stream, encoding="utf-8") as file:
        file.write_declaration()
        with file.element("graphml", nsmap={None: _GRAPHML}):
            for name, (of, type) in _KEYS.items():
                file.write(etree.Element("key", {"id": name, "for": of, "attr.name": name, "attr.type": type}))
            with file.element("graph", edgedefault="undirected"):
                seen: set[str] = set()
                for number, row in enumerate(answer.rows, 1):
                    *concepts, sentences, documents, ids = row
                    source_type, source, source_name, relation, target_type, target, target_name = concepts
                    ends = {}
                    for end, type, key, name in (
                        ("source", source_type, source, source_name),
                        ("target", target_type, target, target_name),
                    ):
                        ends[end] = xml_text(f"{type}:{key}")
                        if ends[end] not in seen:
                            seen.add(ends[end])
                            file.write(_with_data(etree.Element("node", id=ends[end]), name=name, type=type))
                    edge = etree.Element("edge", ends)
                    about = {"relation": relation, "sentences": sentences, "weight": documents}
                    file.write(_with_data(edge, **about, document_ids=" ".join(ids)))
    return number


def write_plot(results: Results, path: Path) -> None:
    """Draw how many documents mention each type, by year of publication, or in all where no year is known.

    path   ends in .png, .svg or .pdf
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise MissingExtraError("drawing a plot", "bulk") from error
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"{path}: a plot is written as .png, .svg or .pdf")
    series: dict[str, list[tuple[int | None, int]]] = defaultdict(list)
    query = "SELECT type, year, documents FROM counts_by_type_and_year ORDER BY type, year"
    for type, year, documents in results.ask(query).rows:
        series[type].append((year, documents))
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    years = sorted({year for points in series.values() for year, _ in points if year is not None})
    if years:
        for type, points in series.items():
            numbers = dict(points)
            span = range(years[0], years[-1] + 1)
            axes.plot(span, [numbers.get(year, 0) for year in span], marker="o", markersize=3, label=type)
        axes.legend(frameon=False)
        axes.set_xlabel("year of publication")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        axes.bar(list(series), [sum(number for _, number in points) for points in series.values()])
    axes.set_ylabel("documents that mention the type")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    with atomic_file(path) as stream:
        figure.savefig(stream, format=path.suffix[1:], dpi=150)


def _with_data(element: etree._Element, **values: object) -> etree._Element:
    for key, value in values.items():
        etree.SubElement(element, "data", key=key).text = xml_text(str(value))
    return element
