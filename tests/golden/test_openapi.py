import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.config.sections import Config
from pipelines.serving.app import create_app

pytestmark = pytest.mark.foreign

GOLDEN = Path(__file__).with_name("openapi.txt")
LIMITS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")


def interface(document: dict[str, Any]) -> Iterator[str]:
    """Return what a client relies on, a line each; not how this version of a library spells it."""
    for path, methods in sorted(document["paths"].items()):
        for method, operation in methods.items():
            yield from (f"{method.upper()} {path} {line}" for line in lines_of(operation))
    for name, noun in sorted(document["components"]["schemas"].items()):
        yield f"{name}: {shape(noun)}"
        for key, inner in sorted(noun.get("properties", {}).items()):
            must = "!" if key in noun.get("required", ()) else ""
            yield f"{name}.{key}{must}: {field(inner)}"


def lines_of(operation: dict[str, Any]) -> Iterator[str]:
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"takes {kind}: {shape(content['schema'])}"
    for given in operation.get("parameters", ()):
        yield f"{given['in']} {given['name']}: {field(given['schema'])}"
    for status, answer in sorted(operation["responses"].items()):
        for kind, content in answer.get("content", {}).items():
            yield f"{status} {kind}: {shape(content['schema'])}"


def shape(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if options := schema.get("oneOf") or schema.get("anyOf"):
        return " or ".join(shape(option) for option in options)
    if "enum" in schema:
        return " | ".join(schema["enum"])
    inner = schema.get("items") or schema.get("additionalProperties")
    kind = str(schema.get("const") or schema.get("format") or schema.get("type", "anything"))
    return f"{kind} of {shape(inner)}" if inner else kind


def field(schema: dict[str, Any]) -> str:
    limits = "".join(f", {name} {schema[name]:g}" for name in LIMITS if name in schema)
    default = schema.get("default")
    plain = isinstance(default, str | int | float) and default != ""
    return shape(schema) + limits + (f", by default {default}" if plain else "")


def test_the_interface_is_what_it_was() -> None:
    document = create_app(None, Config()).openapi_schema.to_schema()

    lines = "\n".join(interface(document)) + "\n"
    if os.environ.get("VETRINA_GOLDEN") == "rewrite":
        GOLDEN.write_text(lines)

    assert lines == GOLDEN.read_text(), "if this is meant: make golden, and review the difference"


def test_the_document_is_openapi_3_1_and_each_reference_leads_somewhere() -> None:
    document = create_app(None, Config()).openapi_schema.to_schema()

    references = set(refs(document))

    assert document["openapi"].startswith("3.1")
    assert references == {
        f"#/components/schemas/{name}" for name in document["components"]["schemas"]
    }


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)
