"""The tools for agents, called by the client of the protocol's own SDK, in this process and as a command."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

import textome.agents
from textome.agents import MAX_TEXT, build_server
from textome.bulk.output import write_chunk
from textome.bulk.query import Results
from textome.documents import Document, Relation
from textome.pipeline import Pipeline, choose_pipeline


class Related:
    """A step that relates the first two entities, as a model for relations."""

    output_kinds = frozenset({"relations"})

    def __call__(self, documents: Any) -> Any:
        for document in documents:
            first, second = document.entities[:2]
            relation = Relation("treats", (("head", first.id), ("tail", second.id)), "R1", 0.75)
            yield document.with_annotations(document.entities, [relation])


class RelatingPipeline(Pipeline):
    @property
    def models(self) -> list[Any]:
        return [*super().models, *(step for step in self.steps if isinstance(step, Related))]


@pytest.fixture(scope="module")
def pipeline(tiny_bundle: Path) -> Pipeline:
    return choose_pipeline(models=[tiny_bundle]).load(threads=1)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("results")
    draft = Document.from_text("Quinine for malaria. " + "x" * 5000, "7")
    document = draft.with_annotations([draft.entity([(0, 7)], "Chemical", id="T1", confidence=0.9)])
    write_chunk(folder, "parquet", 1, 0, [("a.xml", number, document) for number in range(3)])
    return Results(folder)


def ask(server: Any, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """What the tools answer; a text where they refuse."""

    async def session() -> list[Any]:
        async with Client(server) as client:
            answers = [await client.call_tool(name, arguments) for name, arguments in calls]
        return [item.content[0].text if item.is_error else item.structured_content for item in answers]

    return asyncio.run(session())


def test_entities_are_those_of_the_pipeline(pipeline: Pipeline) -> None:
    text = "Aspirin 𝒳 is given for gout"
    everything, drugs = ask(
        build_server(pipeline), ("annotate", {"text": text}), ("annotate", {"text": text, "types": ["Chemical"]})
    )
    expected = pipeline(text).entities
    assert [(item["text"], item["spans"]) for item in everything["entities"]] == [
        (entity.text, [list(span) for span in entity.spans]) for entity in expected
    ]
    assert {item["type"] for item in everything["entities"]} > {"Chemical"}
    assert {item["type"] for item in drugs["entities"]} == {"Chemical"}


def test_relations_name_both_mentions(pipeline: Pipeline) -> None:
    call = ("relations", {"text": "Aspirin is given for gout ."})
    (answer,) = ask(build_server(RelatingPipeline([*pipeline.steps, Related()])), call)
    (relation,) = answer["relations"]
    assert (relation["type"], relation["confidence"]) == ("treats", 0.75)
    assert [(item["role"], item["text"]) for item in relation["arguments"]] == [("head", "Aspirin"), ("tail", "gout")]
    assert "no model of this server relates" in ask(build_server(pipeline), call)[0]


def test_names_get_concepts(pipeline: Pipeline) -> None:
    linked, typed = ask(
        build_server(pipeline),
        ("link", {"names": ["renal failure", "no such thing at all"], "type": "Disease"}),
        ("look_up", {"text": "mesh:D006073"}),
    )
    assert [[item["curie"] for item in row["identifiers"]] for row in linked["results"]] == [["mesh:D051437"], []]
    assert [item["label"] for item in typed["concepts"]] == ["Gout"]


def test_results_are_asked_with_sql(pipeline: Pipeline, results: Results) -> None:
    tables, few, long = ask(
        build_server(pipeline, results),
        ("tables", {}),
        ("query", {"sql": "SELECT text, confidence FROM entities", "limit": 2}),
        ("query", {"sql": "SELECT text FROM documents LIMIT 1"}),
    )
    assert "document_id" in tables["documents"]
    assert few == {"columns": ["text", "confidence"], "rows": [["Quinine", pytest.approx(0.9)]] * 2, "more": True}
    assert len(long["rows"][0][0]) == textome.agents.MAX_CELL + 2


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("annotate", {"text": "x" * (MAX_TEXT + 1)}, "at most 100000"),
        ("annotate", {}, "text"),
        ("link", {"names": ["gout"] * 101, "type": "Disease"}, "at most 100"),
        ("link", {"names": ["gout"], "type": "Weather"}, "no vocabulary has concepts of the type 'Weather'"),
        ("query", {"sql": "SELECT nothing FROM nowhere"}, "the query cannot be run"),
        ("query", {"sql": "SELECT * FROM read_csv('/etc/passwd')"}, "the query cannot be run"),
        ("query", {"sql": "SELECT 1", "limit": 201}, "less than or equal to 200"),
    ],
)
def test_a_refused_call_says_why(
    tool: str, arguments: dict[str, Any], message: str, pipeline: Pipeline, results: Results
) -> None:
    (answer,) = ask(build_server(pipeline, results), (tool, arguments))
    assert message in answer


def test_a_query_without_end_is_stopped(pipeline: Pipeline, results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textome.agents, "SECONDS", 0.2)
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range * b.range = 7"
    first, second = ask(
        build_server(pipeline, results), ("query", {"sql": endless}), ("query", {"sql": "SELECT 1 AS one"})
    )
    assert "the query cannot be run" in first
    assert second["rows"] == [[1]]


def test_the_command_serves_over_standard_input_and_output(tiny_bundle: Path) -> None:
    command = ["-m", "textome.cli.main", "mcp", "--model", str(tiny_bundle), "--threads", "1"]
    server = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))
    (answer,) = ask(server, ("annotate", {"text": "no gout was seen"}))
    assert [(item["text"], item["attributes"]) for item in answer["entities"]] == [("gout", {"negated": "true"})]
