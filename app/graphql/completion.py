"""Turns our objects into response data by functions made for one selection.

A *plan* is such a function. It covers selections of plain attributes, nested and in lists, with
unions and interfaces told apart by the Python class. Whatever it does not expect (another class,
null where none may be, an awaitable, a number out of range) raises inside of it, and the value
takes the way of the specification instead, so data and errors are the same with and without
plans. Plans read attributes only and call no resolver: trying one has no side effect.
"""

import keyword
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, cast
from uuid import UUID

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    GraphQLUnionType,
    Undefined,
)
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField

OutputType = Any
"""A GraphQL output type; the library's own union of them is only partially typed."""

Plan = Callable[[Any], Any]
"""Completes one value; raises anything when the value is not as expected."""

Collect = Callable[[GraphQLObjectType, FieldDetailsList], GroupedFieldSet]
PlanKey = tuple[object, ...]

_DEFINITION = "strawberry-definition"
_SAFE_TYPES = frozenset(
    {str, int, float, bool, dict, list, datetime, date, time, timedelta, Decimal, UUID}
)
_CONVERT_WHEN = {
    GraphQLString: "type({0}) is not str",
    GraphQLID: "type({0}) is not str",
    GraphQLBoolean: "type({0}) is not bool",
    GraphQLInt: "type({0}) is not int or not -2147483648 <= {0} <= 2147483647",
    GraphQLFloat: "type({0}) is not float or not isfinite({0})",
}
"""When a value of a built-in scalar is not already its own result."""


class Surprise(Exception):
    """A value that a plan was not made for."""


class NotPlannable(Exception):
    """A selection that needs resolvers, or types we did not define."""


class PlanCache:
    """Plans of one operation by place and condition values; None marks what has no plan."""

    __slots__ = ("_capacity", "_plans", "uses")

    def __init__(self, capacity: int = 128) -> None:
        self._plans: dict[PlanKey, Plan | None] = {}
        self._capacity = capacity
        self.uses = 0

    def find(self, key: PlanKey, make: Callable[[], Plan | None]) -> Plan | None:
        """Return the plan of a place, made at most once; None beyond the capacity."""
        if key in self._plans:
            return self._plans[key]
        if len(self._plans) >= self._capacity:
            return None
        plan = self._plans[key] = make()
        return plan


class Planner:
    """Makes plans for the selections of one execution."""

    def __init__(self, schema: GraphQLSchema, collect: Collect) -> None:
        self._schema = schema
        self._collect = collect

    def plan(self, kind: OutputType, details: FieldDetailsList) -> Plan | None:
        """Make the plan of a composite value, None where the selection has none."""
        try:
            return self._composite(kind, details)
        except NotPlannable:
            return None

    def _composite(self, kind: OutputType, details: FieldDetailsList) -> Plan:
        inner = nullable(kind)
        if isinstance(inner, GraphQLList):
            return self._list(cast("Any", inner).of_type, details)
        if isinstance(inner, GraphQLObjectType):
            return self._object(inner, details)
        if isinstance(inner, GraphQLUnionType | GraphQLInterfaceType):
            return self._abstract(inner, details)
        raise NotPlannable

    def _list(self, item: OutputType, details: FieldDetailsList) -> Plan:
        complete = self._item(item, details)

        def complete_list(value: Any) -> list[Any]:
            if type(value) is not list and type(value) is not tuple:
                raise Surprise
            return [complete(entry) for entry in cast("list[Any]", value)]

        return complete_list

    def _item(self, kind: OutputType, details: FieldDetailsList) -> Plan:
        inner = nullable(kind)
        complete = leaf_plan(inner) if is_leaf(inner) else self._composite(inner, details)
        if isinstance(kind, GraphQLNonNull):
            return complete
        return lambda value: None if value is None else complete(value)

    def _abstract(
        self, kind: GraphQLUnionType | GraphQLInterfaceType, details: FieldDetailsList
    ) -> Plan:
        definition = kind.extensions.get(_DEFINITION)
        if definition is None or getattr(definition, "resolve_type", None) is not None:
            raise NotPlannable
        members: dict[type, Plan] = {}
        shared: set[type] = set()
        for member in self._schema.get_possible_types(kind):
            python_type = _python_type(member)
            if python_type in members:
                shared.add(python_type)
            plan = self.plan(member, details)
            if plan is not None:
                members[python_type] = plan
        for python_type in shared:
            # One generic class behind several types: only the specification's way can tell.
            members.pop(python_type, None)
        if not members:
            raise NotPlannable
        return lambda value: members[type(value)](value)

    def _object(self, kind: GraphQLObjectType, details: FieldDetailsList) -> Plan:
        writer = _Writer(_python_type(kind))
        for response_name, field_details in self._collect(kind, details).items():
            self._field(kind, response_name, field_details, writer)
        return writer.compile()

    def _field(
        self,
        kind: GraphQLObjectType,
        response_name: str,
        details: FieldDetailsList,
        writer: "_Writer",
    ) -> None:
        field_name = details[0].node.name.value
        if field_name == "__typename":
            writer.constant(response_name, kind.name)
            return
        field = kind.fields.get(field_name)
        attribute = plain_attribute(kind, field_name)
        if field is None or attribute is None:
            raise NotPlannable
        inner = nullable(field.type)
        may_be_null = not isinstance(field.type, GraphQLNonNull)
        leaf = is_leaf(inner)
        convert = leaf_plan(inner) if leaf else self._composite(inner, details)
        condition = _CONVERT_WHEN.get(inner) if isinstance(inner, GraphQLScalarType) else None
        writer.attribute(response_name, attribute, convert, when=condition, null=may_be_null)


class _Writer:
    """Writes the source of a plan for one class: identifiers of ours and quoted names only."""

    def __init__(self, python_type: type) -> None:
        self._names: dict[str, Any] = {
            "Expected": python_type,
            "Surprise": Surprise,
            "isfinite": isfinite,
        }
        self._lines = ["def complete(o):", " if type(o) is not Expected: raise Surprise"]
        self._entries: list[str] = []

    def constant(self, response_name: str, value: str) -> None:
        self._entries.append(f"{response_name!r}: {value!r}")

    def attribute(
        self, response_name: str, name: str, convert: Plan, *, when: str | None, null: bool
    ) -> None:
        index = len(self._entries)
        value, function = f"v{index}", f"c{index}"
        self._names[function] = convert
        conditions = [f"{value} is not None"] if null else []
        if when is not None:
            conditions.append(f"({when.format(value)})")
        guard = f"if {' and '.join(conditions)}: " if conditions else ""
        self._lines += [f" {value} = o.{name}", f" {guard}{value} = {function}({value})"]
        self._entries.append(f"{response_name!r}: {value}")

    def compile(self) -> Plan:
        source = "\n".join([*self._lines, f" return {{{', '.join(self._entries)}}}"])
        exec(source, self._names)  # noqa: S102  # the source holds no text of a client but names
        return self._names["complete"]


def nullable(kind: OutputType) -> OutputType:
    """Return the type without its outer non-null."""
    return cast("Any", kind).of_type if isinstance(kind, GraphQLNonNull) else kind


def is_leaf(kind: OutputType) -> bool:
    """Tell whether values of the type have no selection."""
    return isinstance(kind, GraphQLScalarType | GraphQLEnumType)


def plain_attribute(kind: GraphQLObjectType, field_name: str) -> str | None:
    """Name the attribute a field merely reads; None where it has a resolver of any sort."""
    field = kind.fields.get(field_name)
    definition = field.extensions.get(_DEFINITION) if field else None
    if field is None or field.args or not isinstance(definition, StrawberryField):
        return None
    if not definition.is_basic_field or definition.default_resolver is not getattr:
        return None
    name = definition.python_name
    return name if name.isidentifier() and not keyword.iskeyword(name) else None


def leaf_plan(kind: OutputType) -> Plan:
    """Make the conversion of a scalar or enum, equal to the type's own for what it accepts."""
    if isinstance(kind, GraphQLEnumType):
        return _enum_plan(kind)
    if isinstance(kind, GraphQLScalarType):
        return _scalar_plan(kind)
    raise NotPlannable


def _enum_plan(kind: GraphQLEnumType) -> Plan:
    definition = kind.extensions.get(_DEFINITION)
    if not isinstance(definition, StrawberryEnumDefinition):
        raise NotPlannable
    python_type = cast("type[Any]", definition.wrapped_cls)
    members: list[Any] = list(cast("Any", python_type))
    names: Mapping[Any, str] = {member: kind.coerce_output_value(member) for member in members}

    def convert(value: Any) -> str:
        if type(value) is not python_type:
            raise Surprise
        return names[value]

    return convert


def _scalar_plan(kind: GraphQLScalarType) -> Plan:
    coerce = kind.coerce_output_value

    def convert(value: Any) -> Any:
        if type(value) not in _SAFE_TYPES:
            raise Surprise
        result = coerce(value)
        if result is None or result is Undefined:
            raise Surprise
        return result

    return convert


def _python_type(kind: GraphQLObjectType) -> type:
    """The class whose instances stand for a type; for a generic one, its generic class."""
    definition = kind.extensions.get(_DEFINITION)
    if not isinstance(definition, StrawberryObjectDefinition):
        raise NotPlannable
    if cast("Any", definition).is_type_of is not None:
        raise NotPlannable
    generic = definition.concrete_of
    return generic.origin if generic is not None else definition.origin
