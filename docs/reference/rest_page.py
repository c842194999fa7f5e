"""The page of the service's routes, from the OpenAPI document of a service that has every task."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from textome.serve.app import create_app
from textome.serve.service import Service
from textome.tasks import TASKS

_INTRODUCTION = """# REST

Every route of `textome serve`, from its OpenAPI document (`GET /v1/openapi.json`). A service has the routes of the tasks of
its models; `--pubmed` adds the route of PMIDs, `--label-studio` those of Label Studio. How to use it:
[the service](../guides/serve.md).

Errors are problem documents (`application/problem+json`, see [Problem](#problem)). All routes may answer
{general}. A route names the others that it has.
"""
_EVERYWHERE = ("401", "403", "421", "429")


class _EveryTask(Service):
    """A service without models, described as if it had all tasks."""

    @property
    def tasks(self) -> set[str]:
        return set(TASKS)


def page() -> str:
    service = _EveryTask({}, pubmed="https://eutils.ncbi.nlm.nih.gov")
    with_all = create_app(service, label_studio=Path("corrections"))
    api = TestClient(with_all).get("/v1/openapi.json").json()
    statuses = {
        status: answer["description"]
        for methods in api["paths"].values()
        for route in methods.values()
        for status, answer in route["responses"].items()
    }
    general = ", ".join(f"{status} ({statuses[status].lower()})" for status in _EVERYWHERE)
    blocks = [_INTRODUCTION.format(general=general), "## Routes\n"]
    for path, methods in api["paths"].items():
        for method, route in methods.items():
            blocks += _route(method.upper(), path, route)
    blocks.append("## Objects\n")
    for name, schema in sorted(api["components"]["schemas"].items()):
        blocks += _object(name, schema)
    return "\n".join(blocks)


def _route(method: str, path: str, route: dict[str, Any]) -> Iterator[str]:
    yield f"### {method} {path}\n\n{route['summary'].removesuffix('?')}{'?' * route['summary'].endswith('?') or '.'}\n"
    if text := route.get("description"):
        yield f"{' '.join(text.split())}\n"
    if parameters := route.get("parameters"):
        yield _table(
            (item["name"], item["schema"] | {"description": item.get("description", "")}, item.get("required", False))
            for item in parameters
        )
    for media, content in route.get("requestBody", {}).get("content", {}).items():
        yield f"Body: `{media}`, {_type(content['schema'])}.\n"
        for example in content.get("examples", {}).values():
            value = json.dumps(example["value"], ensure_ascii=False)
            yield f"{example['summary']}:\n```sh\ncurl localhost:8000{path} -d '{value}'\n```\n"
    answers = []
    for status, answer in route["responses"].items():
        if status[0] == "2":
            kinds = ", ".join(
                f"`{media}`" + (f" {_type(content['schema'])}" if "$ref" in content.get("schema", {}) else "")
                for media, content in answer.get("content", {}).items()
            )
            answers.append(f"{status}: {kinds or 'text'}")
    refusals = [status for status in route["responses"] if status[0] != "2" and status not in _EVERYWHERE]
    yield f"Answers {'; '.join(answers)}{'; ' + ', '.join(sorted(refusals)) if refusals else ''}.\n"


def _object(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    if text := schema.get("description"):
        yield f"{' '.join(text.split())}\n"
    required = schema.get("required", [])
    if members := schema.get("properties"):
        yield _table((member, description, member in required) for member, description in members.items())


def _table(rows: Iterator[tuple[str, dict[str, Any], bool]]) -> str:
    lines = ["| name | type | default | what |", "|---|---|---|---|"]
    for name, schema, required in rows:
        default = "must be given" if required else f"`{json.dumps(schema['default'])}`" if "default" in schema else ""
        what = " ".join(filter(None, [" ".join(schema.get("description", "").split()), _bounds(schema)]))
        lines.append(f"| `{name}` | {_type(schema)} | {default} | {what.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def _bounds(schema: dict[str, Any]) -> str:
    """What JSON Schema says of lengths and values, in words."""
    words = {
        "minimum": "at least {}",
        "maximum": "at most {}",
        "minLength": "at least {} characters",
        "maxLength": "at most {:,} characters",
        "minItems": "at least {} items",
        "maxItems": "at most {:,} items",
    }
    bounds = [text.format(schema[key]) for key, text in words.items() if key in schema]
    return f"({', '.join(bounds)})" if bounds else ""


def _type(schema: dict[str, Any]) -> str:
    """The type of a value, with a link where it is an object of this page."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if choices := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return " or ".join(f"`{json.dumps(choice)}`" for choice in choices)
    if kinds := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(kind) for kind in kinds)) if "properties" not in schema else "object"
    match schema.get("type"):
        case "array":
            items = schema.get("items") or schema.get("prefixItems", [{}])[0]
            return f"list of {_type(items)}"
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return f"object of {_type(schema['additionalProperties'])}"
        case "string" if schema.get("format") == "binary":
            return "bytes"
        case str(kind):
            return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(kind, kind)
        case _:
            return "any"
