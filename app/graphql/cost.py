"""What a document asks for, weighed in one pass over it, however its fragments multiply."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    get_named_type,
)

_CAP = 10**9
_PAGE_ARGUMENTS = ("first", "last")
_COUNT_ARGUMENT = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """Totals of a selection with its fragments written out; numbers are capped at 10^9.

    `repeats` is how often one response name stands in one selection set at most: validation
    compares such fields pair by pair.
    """

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    cost: int = 0
    repeats: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRule:
    """How fields weigh: 1 each, more where named, times the size of the page asked for.

    A field that takes a `count` works out as many values, and weighs `per_counted` more for each.
    """

    extra: Mapping[str, int] = field(default_factory=dict[str, int])
    """Additional cost by `Type.field`, for fields that query."""
    max_page: int = 100
    default_page: int = 20
    per_counted: int = 5


class Weigher:
    """Weighs the operations of one document; each fragment is walked once per document."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, rule: CostRule) -> None:
        self._schema = schema
        self._rule = rule
        self._memo: dict[str, Weight | None] = {}
        self._fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }

    def weigh(self, operation: OperationDefinitionNode) -> Weight:
        """Return the totals of an operation; raises RecursionError on absurd nesting."""
        root = self._schema.get_root_type(operation.operation)
        inner = self._selection_set(operation.selection_set, root)
        return _sum(inner, Weight(directives=_directives(operation)))

    def _selection_set(
        self, node: SelectionSetNode | None, parent: GraphQLNamedType | None
    ) -> Weight:
        if node is None:
            return Weight()
        return _sum(self._selections(node, parent), Weight(repeats=_repeats(node)))

    def _selections(self, node: SelectionSetNode, parent: GraphQLNamedType | None) -> Weight:
        total = Weight()
        for selection in node.selections:
            total = _sum(total, self._selection(selection, parent))
        return total

    def _selection(self, node: SelectionNode, parent: GraphQLNamedType | None) -> Weight:
        own = Weight(directives=_directives(node))
        if isinstance(node, FieldNode):
            return _sum(own, self._field(node, parent))
        if isinstance(node, InlineFragmentNode):
            condition = node.type_condition
            on = self._schema.get_type(condition.name.value) if condition else parent
            return _sum(own, self._selections(node.selection_set, on))
        if isinstance(node, FragmentSpreadNode):
            return _sum(own, self._fragment(node.name.value))
        return own

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> Weight:
        definition = self._definition(node, parent)
        child_type = _named_type(definition)
        inner = self._selection_set(node.selection_set, child_type)
        own = 1 + self._extra(node, parent) + self._counted(node, definition)
        return Weight(
            depth=inner.depth + 1,
            fields=inner.fields + 1,
            aliases=inner.aliases + (node.alias is not None),
            directives=inner.directives,
            cost=min(own + self._page_size(node, definition) * inner.cost, _CAP),
            repeats=inner.repeats,
        )

    def _extra(self, node: FieldNode, parent: GraphQLNamedType | None) -> int:
        return self._rule.extra.get(f"{parent.name}.{node.name.value}", 0) if parent else 0

    def _counted(self, node: FieldNode, definition: GraphQLField | None) -> int:
        if definition is None or _COUNT_ARGUMENT not in definition.args:
            return 0
        return self._rule.per_counted * self._asked(node, definition, [_COUNT_ARGUMENT])

    def _definition(self, node: FieldNode, parent: GraphQLNamedType | None) -> GraphQLField | None:
        if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            return self._schema.get_field(parent, node.name.value)
        return None

    def _fragment(self, name: str) -> Weight:
        if name in self._memo:
            # None marks a fragment being walked: a cycle, which validation reports.
            return self._memo[name] or Weight()
        fragment = self._fragments.get(name)
        if fragment is None:
            return Weight()
        self._memo[name] = None
        on = self._schema.get_type(fragment.type_condition.name.value)
        inner = self._selection_set(fragment.selection_set, on)
        found = _sum(inner, Weight(directives=_directives(fragment)))
        self._memo[name] = found
        return found

    def _page_size(self, node: FieldNode, definition: GraphQLField | None) -> int:
        if definition is None:
            return 1
        names = [name for name in _PAGE_ARGUMENTS if name in definition.args]
        return self._asked(node, definition, names) if names else 1

    def _asked(self, node: FieldNode, definition: GraphQLField, names: Sequence[str]) -> int:
        """How many items one of these arguments asks for; a variable may ask for the most."""
        for argument in node.arguments or ():
            if argument.name.value in names:
                value = argument.value
                asked = int(value.value) if isinstance(value, IntValueNode) else self._rule.max_page
                return max(1, min(asked, self._rule.max_page))
        default = definition.args[names[0]].default_value
        return default if isinstance(default, int) and default > 0 else self._rule.default_page


def _named_type(definition: GraphQLField | None) -> GraphQLNamedType | None:
    return get_named_type(cast("Any", definition).type) if definition else None  # pyright: ignore[reportUnknownVariableType]  # the library's overloads


def _sum(left: Weight, right: Weight) -> Weight:
    return Weight(
        depth=max(left.depth, right.depth),
        fields=min(left.fields + right.fields, _CAP),
        aliases=min(left.aliases + right.aliases, _CAP),
        directives=min(left.directives + right.directives, _CAP),
        cost=min(left.cost + right.cost, _CAP),
        repeats=max(left.repeats, right.repeats),
    )


def _repeats(node: SelectionSetNode) -> int:
    """Count the most frequent response name of a selection set, through inline fragments."""
    names = Counter((own.alias or own.name).value for own in _own_fields(node))
    return max(names.values(), default=0)


def _own_fields(node: SelectionSetNode) -> Iterator[FieldNode]:
    pending = [node]
    while pending:
        for selection in pending.pop().selections:
            if isinstance(selection, FieldNode):
                yield selection
            elif isinstance(selection, InlineFragmentNode):
                pending.append(selection.selection_set)


def _directives(node: SelectionNode | OperationDefinitionNode | FragmentDefinitionNode) -> int:
    return len(node.directives or ())
