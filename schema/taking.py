"""How an input's values become its object: worked out once for a class, not for each request."""

from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any, NamedTuple, TypeVar, cast

from strawberry.scalars import is_scalar
from strawberry.types.arguments import InputContext
from strawberry.types.base import StrawberryObjectDefinition, StrawberryOptional
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition

T = TypeVar("T")


class _Field(NamedTuple):
    """A field of an input; a plain one takes its value as it comes."""

    name: str
    kind: Any
    is_plain: bool


class _Plan(NamedTuple):
    """Fields by the name that clients write, and the names of those that are None when absent."""

    fields: Mapping[str, _Field]
    absent: Mapping[str, None]


def taking(cls: type[T]) -> type[T]:
    """Let Strawberry make the objects of an input class by a plan of its fields."""
    definition = cast("StrawberryObjectDefinition", cast("Any", cls).__strawberry_definition__)
    plans: list[_Plan] = []

    def take(kind: type[T], values: Mapping[str, Any], context: InputContext) -> T:
        if not plans:
            plans.append(_plan_of(definition, context))
        fields, absent = plans[0]
        given: dict[str, Any] = dict(absent)
        for public, value in values.items():
            field = fields[public]
            is_done = field.is_plain or value is None
            given[field.name] = value if is_done else context.convert(value, field.kind, public)
        return kind(**given)

    definition.from_input = cast("Any", take)
    return cls


def _plan_of(definition: StrawberryObjectDefinition, context: InputContext) -> _Plan:
    fields: dict[str, _Field] = {}
    absent: dict[str, None] = {}
    # Strawberry's fields are those of dataclasses, whose factories have no known type.
    for field in cast("list[Any]", definition.fields):
        kind: Any = field.resolve_type(type_definition=definition)
        public = context.config.name_converter.from_field(field)
        fields[public] = _Field(field.python_name, kind, _is_plain(kind, context))
        if field.default_value is MISSING and field.default_factory is MISSING:
            absent[field.python_name] = None
    return _Plan(fields, absent)


def _is_plain(kind: Any, context: InputContext) -> bool:
    """Tell whether Strawberry would leave values of this type as they are."""
    if isinstance(kind, StrawberryOptional):
        kind = kind.of_type
    return (
        is_scalar(kind, context.scalar_registry)
        or isinstance(kind, StrawberryEnumDefinition)
        or has_enum_definition(kind)
    )
