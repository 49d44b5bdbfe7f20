"""Decorators of the public types: the docstring of a class is what clients read about it."""

import inspect
from enum import Enum, unique
from typing import TypeVar, cast, dataclass_transform

import strawberry
from strawberry import field
from strawberry.types.enum import StrawberryEnumDefinition

from schema.taking import taking

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

_DEFINITION = "__strawberry_definition__"


def _doc(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
def api_type(cls: type[T]) -> type[T]:
    """Make an object type of a class."""
    return strawberry.type(cls, description=_doc(cls))


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
def api_interface(cls: type[T]) -> type[T]:
    """Make an interface of a class."""
    return strawberry.interface(cls, description=_doc(cls))


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
def api_input(cls: type[T]) -> type[T]:
    """Make an input of a class; a field that may be absent has the default UNSET."""
    return taking(strawberry.input(cls, description=_doc(cls)))


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
def api_choice(cls: type[T]) -> type[T]:
    """Make an input of a class of which exactly one field is given."""
    return taking(strawberry.input(cls, description=_doc(cls), one_of=True))


def api_enum(cls: type[E]) -> type[E]:
    """Make an enum of a class whose member names are public and whose values describe them."""
    strawberry.enum(unique(cls), description=_doc(cls))
    definition = cast("StrawberryEnumDefinition", getattr(cls, _DEFINITION))
    for value in definition.values:
        value.description = value.value
    return cls
