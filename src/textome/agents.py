"""Textome's tools for language agents, by the Model Context Protocol (`textome mcp`), with the official Python SDK.

Tools: `annotate`, `relations`, `link`, `look_up`, and `tables` and `query` where a folder of bulk results is served.
What an agent may send is bounded (`MAX_TEXT` and so on); a refused call is one sentence that says what to do. Nothing is
written, and nothing leaves this machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import islice
from threading import Lock, Timer
from typing import TYPE_CHECKING, Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from textome.documents import Document, Relation
from textome.errors import TextomeError
from textome.formats.jsonl import document_to, identifier_to
from textome.pipeline import Pipeline
from textome.steps.linker import MAX_NAME, MIN_PREFIX, Linker

if TYPE_CHECKING:
    from textome.bulk.query import Results

MAX_TEXT = 100_000  # code points of a text
MAX_NAMES = 100
MAX_CONCEPTS = 20
MAX_SQL = 10_000
MAX_ROWS = 200
MAX_CELL = 2_000  # code points of a cell of an answer
SECONDS = 30.0  # for one query
INSTRUCTIONS = (
    "Biomedical text mining, computed on this machine. `annotate` finds diseases, chemicals, genes, species and the like "
    "with offsets (code points, end exclusive), identifiers (CURIEs) and context such as negated. `relations` says "
    "what a text relates. `link` and `look_up` give concepts for names. `tables` and `query` read the results of a bulk "
    "run with SQL."
)
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT, description="The text, as it is.")]
Names = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=MAX_NAME)]], Field(min_length=1, max_length=MAX_NAMES)
]
Limit = Annotated[int, Field(ge=1, le=MAX_CONCEPTS)]
Answer = dict[str, Any]


def build_server(pipeline: Pipeline, results: Results | None = None, version: str = "") -> MCPServer[Any]:
    """A server with the tools over a loaded pipeline, and over the results of a bulk run if there are some."""
    server: MCPServer[Any] = MCPServer("textome", instructions=INSTRUCTIONS, version=version, log_level="WARNING")
    for tool in _text_tools(pipeline):
        server.add_tool(tool)
    for tool in _result_tools(results) if results is not None else ():
        server.add_tool(tool)
    return server


def _text_tools(pipeline: Pipeline) -> list[Callable[..., Answer]]:
    lock = Lock()  # tools run in threads, and a model is asked by one at a time
    linker = Linker.of(pipeline.steps)

    def annotated(text: str) -> Document:
        with lock, _tool_errors():
            return pipeline.annotate(text)

    def annotate(text: Text, types: list[str] | None = None) -> Answer:
        """Find the entities of a text, with identifiers, context, and the labels and relations that the models give.

        types: only entities of these types, as ["Disease"]; by default all.
        """
        document = annotated(text)
        kept = [entity for entity in document.entities if not types or entity.type in types]
        known = {entity.id for entity in kept}
        related = [
            item for item in document.relations if not types or all(target in known for _, target in item.arguments)
        ]
        with _tool_errors():
            members = document_to(document.with_annotations(kept, related))
        return {key: members.get(key, []) for key in ("entities", "relations", "labels")}

    def relations(text: Text) -> Answer:
        """Say what a text relates: type, the two mentions with their concepts, and the probability."""
        if not any("relations" in model.output_kinds for model in pipeline.models):
            raise ToolError("no model of this server relates entities; start it with --model default --model BUNDLE")
        document = annotated(text)
        return {"relations": [_stated(document, item) for item in document.relations]}

    def link(names: Names, type: str, candidates: Limit = 1) -> Answer:
        """Give names of one type of entity, as "Disease", the concepts that they stand for."""
        with lock, _tool_errors():
            linked = [(name, linker.link(name, type, candidates=candidates)) for name in names]
        return {
            "results": [
                {"name": name, "identifiers": [identifier_to(item) for item in items]} for name, items in linked
            ]
        }

    def look_up(
        text: Annotated[str, Field(min_length=MIN_PREFIX, max_length=MAX_NAME)],
        type: str | None = None,
        limit: Limit = 10,
    ) -> Answer:
        """The concepts that a CURIE or the beginning of a name may mean, with broader concepts."""
        with lock, _tool_errors():
            concepts = linker.look_up(text, type, limit)
        return {
            "concepts": [
                {"curie": item.curie, "label": item.label, "type": item.type, "parents": list(item.parents)}
                for item in concepts
            ]
        }

    return [annotate, relations, link, look_up]


def _result_tools(results: Results) -> list[Callable[..., Answer]]:
    from textome.bulk.query import VIEWS
    from textome.bulk.tables import TABLES

    lock = Lock()

    def tables() -> Answer:
        """The tables and views that `query` can ask, each with its columns and their types."""
        with lock, _tool_errors():
            return {name: dict(results.columns(name)) for name in (*TABLES, *VIEWS)}

    def query(
        sql: Annotated[str, Field(min_length=1, max_length=MAX_SQL)],
        limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 50,
    ) -> Answer:
        """Ask the results of a bulk run with one statement of SQL (DuckDB); `tables` says what there is."""
        timer = Timer(SECONDS, results.interrupt)
        with lock, _tool_errors():
            timer.start()
            try:
                answer = results.ask(sql)
                rows = list(islice(answer.rows, limit))
                more = next(answer.rows, None) is not None
            finally:
                timer.cancel()
        return {"columns": list(answer.columns), "rows": [[_cell(item) for item in row] for row in rows], "more": more}

    return [tables, query]


def _stated(document: Document, relation: Relation) -> Answer:
    entities = {entity.id: entity for entity in document.entities}
    arguments = []
    for role, target in relation.arguments:
        if (entity := entities.get(target)) is not None:
            identifiers = [identifier_to(item) for item in entity.identifiers]
            arguments.append({"role": role, "text": entity.text, "type": entity.type, "identifiers": identifiers})
    return {"type": relation.type, "confidence": relation.confidence, "arguments": arguments} | (
        {"metadata": relation.metadata} if relation.metadata else {}
    )


def _cell(value: Any) -> Any:
    """A value of a row as JSON has it, long texts cut."""
    if isinstance(value, dict):
        return {str(key): _cell(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cell(item) for item in value]
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    text = value.isoformat() if isinstance(value, date) else str(value)
    return text if len(text) <= MAX_CELL else f"{text[:MAX_CELL]} …"


@contextmanager
def _tool_errors() -> Iterator[None]:
    """Errors that the agent can put right, as the protocol gives them."""
    try:
        yield
    except TextomeError as error:
        raise ToolError(str(error)) from error
