"""Taking a document of several operations apart."""

import typing

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    OperationDefinitionNode,
    Visitor,
    visit,
)
from graphql.language import FragmentSpreadNode


def names_of(document: DocumentNode) -> set[str]:
    """Names of its operations."""
    return {
        definition.name.value
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode) and definition.name
    }


def only(document: DocumentNode, name: str) -> DocumentNode:
    """Keep one operation and the fragments it uses, directly or not."""
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    kept = [
        definition
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
        and definition.name is not None
        and definition.name.value == name
    ]
    wanted = list(spreads(kept[0]))
    used: dict[str, FragmentDefinitionNode] = {}
    while wanted:
        fragment = wanted.pop()
        if fragment not in used:
            used[fragment] = fragments[fragment]
            wanted += spreads(fragments[fragment])
    return DocumentNode(definitions=(*kept, *used.values()))


def spreads(node: typing.Any) -> list[str]:
    found: list[str] = []

    class Collect(Visitor):
        def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
            found.append(node.name.value)

    visit(node, Collect())
    return found
