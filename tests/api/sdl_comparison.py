"""Comparing what is served with the contract, syntax tree by syntax tree."""

from collections.abc import Iterator
from typing import Any

from graphql import DocumentNode, print_ast

Facts = dict[str, str]
"""What a document says, by place: `Agent.runs(first)` is of type `Int`, described as ..."""


def facts_of(document: DocumentNode) -> Facts:
    """Return every single thing that a schema document says."""
    facts: Facts = {}
    for definition in document.definitions:
        name = definition.name.value
        kind = definition.kind
        if kind == "directive_definition":
            name = f"@{name}"
            places = sorted(place.value for place in definition.locations)
            facts[f"{name} on"] = " | ".join(places)
        facts[f"{name} kind"] = kind
        facts.update(_described(name, definition))
        facts.update(_applied(name, definition))
        for interface in getattr(definition, "interfaces", None) or ():
            facts[f"{name} implements {interface.name.value}"] = "yes"
        if kind == "union_type_definition":
            for member in definition.types:
                facts[f"{name} | {member.name.value}"] = "yes"
        for value in getattr(definition, "values", None) or ():
            facts[f"{name}.{value.name.value} kind"] = "enum value"
            facts.update(_described(f"{name}.{value.name.value}", value))
        for part in getattr(definition, "fields", None) or ():
            facts.update(_field(f"{name}.{part.name.value}", part))
        for part in getattr(definition, "arguments", None) or ():
            facts.update(_field(f"{name}({part.name.value})", part))
    return facts


def _field(place: str, part: Any) -> Iterator[tuple[str, str]]:
    yield f"{place} type", print_ast(part.type)
    yield from _described(place, part)
    yield from _applied(place, part)
    default = getattr(part, "default_value", None)
    yield f"{place} default", "none" if default is None else print_ast(default)
    for argument in getattr(part, "arguments", None) or ():
        yield from _field(f"{place}({argument.name.value})", argument)


def _described(place: str, part: Any) -> Iterator[tuple[str, str]]:
    yield f"{place} description", part.description.value if part.description else "none"


def _applied(place: str, part: Any) -> Iterator[tuple[str, str]]:
    written = sorted(print_ast(directive) for directive in part.directives or ())
    yield f"{place} directives", " ".join(written) or "none"
