"""Documents and inputs made from the served schema itself: every operation can be called.

A newcomer's required values are guessed by their type; `CHOSEN` holds those that must be chosen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
    get_named_type,
    get_nullable_type,
)

from schema.ids import Kind, known_kind

CHOSEN: Mapping[str, Any] = {
    "ExecuteAgentInput.instruction": '{"tokens": 1}',
    "ExecuteAgentInput.waitSeconds": 10,
    "AgentRef": {"slug": "default"},
    "CreateAgentInput.name": "Made by the walk",
    "CreateApiKeyInput.name": "Made by the walk",
    "CreateApiKeyInput.scopes": ["RUNS_READ"],
    "RollbackAgentInput.toVersion": 1,
    "RollbackBehaviorInput.toVersion": 1,
    "CreateBehaviorProfileInput.name": "Made by the walk",
    "AdjustBehaviorInput.comment": "Changed by the walk",
    "SaveMemoryInput.content": "Saved by the walk",
    "UpdateMemoryInput.content": "Changed by the walk",
    "ArchiveAgentInput.archived": False,
    "UpdateAgentInput.description": "Changed by the walk",
    "CreateTaskInput.instruction": '{"tokens": 1}',
    "UpdateTaskInput.name": "Changed by the walk",
    "RunTaskNowInput.waitSeconds": 10,
    "BackfillTaskInput.span": {"since": "2000-01-01T00:00:00Z"},
    "BackfillTaskInput.dryRun": False,
    "UpdateConversationInput.title": "Changed by the walk",
}
"""Values of fields `Type.field` and of whole inputs `Type`; optional ones named here are sent."""

BY_TYPE: Mapping[str, Any] = {
    "String": "walk",
    "Int": 1,
    "Float": 1.0,
    "Long": 1,
    "Boolean": False,
    "DateTime": "2999-01-01T00:00:00Z",
    "JSON": {},
}

DEEPEST = 3


class Sort(StrEnum):
    """What a place in an input names, beside an object of one kind."""

    ANY = "an object of any kind"
    SLUG = "an agent's slug"
    CURSOR = "a cursor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an argument names something of a workspace: the path to it, and what it names."""

    path: tuple[str, ...]
    names: Kind | Sort

    def __str__(self) -> str:
        return ".".join(self.path)


class UnknownPlace(Exception):
    """An id stands where the walk does not know what it names: say so in the input's field."""


class Walk:
    """Calls of one schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema

    def roots(self) -> Iterator[tuple[str, str, GraphQLField]]:
        """Kind of operation, name and definition of every root field."""
        for operation, root in (
            ("query", self.schema.query_type),
            ("mutation", self.schema.mutation_type),
            ("subscription", self.schema.subscription_type),
        ):
            assert root is not None
            for name, definition in root.fields.items():
                yield operation, name, definition

    def document(self, operation: str, name: str, definition: GraphQLField) -> str:
        """A document that asks for everything that the field gives, a few levels deep."""
        declared = ", ".join(f"${arg}: {_type(value)}" for arg, value in definition.args.items())
        passed = ", ".join(f"{arg}: ${arg}" for arg in definition.args)
        head = f"{operation} ({declared})" if declared else operation
        call = f"{name}({passed})" if passed else name
        return f"{head} {{ {call} {self._selection(definition.type, 0, ())} }}"

    def _selection(self, kind: Any, depth: int, above: tuple[str, ...]) -> str:
        named = get_named_type(kind)
        if isinstance(named, GraphQLUnionType | GraphQLInterfaceType):
            parts = [
                f"... on {one.name} {self._selection(one, depth, above)}"
                for one in self.schema.get_possible_types(named)
                if one.name not in above
            ]
            return f"{{ __typename {' '.join(parts)} }}"
        if not isinstance(named, GraphQLObjectType):
            return ""
        chosen = [
            f"{named.name}_{name}: {name} "
            f"{self._selection(field.type, depth + 1, (*above, named.name))}"
            for name, field in named.fields.items()
            if self._is_asked(field, depth, (*above, named.name))
        ]
        return f"{{ __typename {' '.join(chosen)} }}"

    def _is_asked(self, field: GraphQLField, depth: int, above: tuple[str, ...]) -> bool:
        if any(is_required(argument) for argument in field.args.values()):
            return False
        named = get_named_type(field.type)
        is_leaf = not isinstance(named, GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType)
        return is_leaf or (depth < DEEPEST and named.name not in above)

    def places(self, name: str, definition: GraphQLField) -> Iterator[Place]:
        """Every place in the arguments that names something of a workspace."""
        for argument, value in definition.args.items():
            yield from self._places(value.type, (argument,), f"{name}.{argument}", ())

    def _places(
        self, kind: Any, path: tuple[str, ...], owner: str, above: tuple[str, ...]
    ) -> Iterator[Place]:
        named = get_named_type(kind)
        if isinstance(named, GraphQLInputObjectType):
            if named.name not in above:
                for name, field in named.fields.items():
                    inner = f"{named.name}.{name}"
                    yield from self._places(field.type, (*path, name), inner, (*above, named.name))
        elif named.name == "ID":
            yield Place(path=path, names=self.named(owner))
        elif owner == "AgentRef.slug":
            yield Place(path=path, names=Sort.SLUG)
        elif named.name == "String" and path[-1] in {"after", "before"}:
            yield Place(path=path, names=Sort.CURSOR)

    def named(self, owner: str) -> Kind | Sort:
        """What the id at `Input.field`, or at the argument `root.argument`, names."""
        above, _, field = owner.partition(".")
        kind = self._declared(above, field)
        if kind is not None:
            return kind
        if (above, field) in {("node", "id"), ("nodes", "ids")}:
            return Sort.ANY
        found = known_kind(above if field == "id" else field.removesuffix("Id"))
        if found is None:
            raise UnknownPlace(owner)
        return found

    def _declared(self, above: str, field: str) -> Kind | Sort | None:
        kind = self.schema.type_map.get(above)
        if not isinstance(kind, GraphQLInputObjectType):
            return None
        public = kind.fields[field].extensions["strawberry-definition"]
        named = public.metadata.get("kind")
        return named if isinstance(named, Kind) else Sort.ANY if named else None

    def variables(
        self,
        name: str,
        definition: GraphQLField,
        own: Mapping[Kind, str],
        *,
        place: Place | None = None,
        foreign: str = "",
    ) -> dict[str, Any]:
        """Arguments of which each id is one's own, but the foreign one at a place."""
        fill = _Filling(own, place, foreign)
        given: dict[str, Any] = {}
        for argument, value in definition.args.items():
            leads = place is not None and place.path[0] == argument
            if leads or is_required(value):
                owner = f"{name}.{argument}"
                given[argument] = fill.value(self, value.type, (argument,), owner)
        return given


@dataclass(frozen=True, slots=True)
class _Filling:
    own: Mapping[Kind, str]
    place: Place | None
    foreign: str

    def value(self, walk: Walk, kind: Any, path: tuple[str, ...], owner: str) -> Any:
        if isinstance(kind, GraphQLNonNull):
            return self.value(walk, kind.of_type, path, owner)
        if owner in CHOSEN and not self._leads(path):
            return CHOSEN[owner]
        if isinstance(kind, GraphQLList):
            return [self.value(walk, kind.of_type, path, owner)]
        if self.place is not None and self.place.path == path:
            return self.foreign
        if isinstance(kind, GraphQLInputObjectType):
            return self._input(walk, kind, path)
        if isinstance(kind, GraphQLEnumType):
            return next(iter(kind.values))
        if kind.name == "ID":
            named = walk.named(owner)
            return next(iter(self.own.values())) if isinstance(named, Sort) else self.own[named]
        return BY_TYPE[kind.name]

    def _input(
        self, walk: Walk, kind: GraphQLInputObjectType, path: tuple[str, ...]
    ) -> dict[str, Any]:
        if kind.name in CHOSEN and not self._leads(path):
            return dict(CHOSEN[kind.name])
        if kind.is_one_of and not self._leads_below(kind, path):
            name, first = next(iter(kind.fields.items()))
            inner = GraphQLNonNull(get_nullable_type(first.type))
            return {name: self.value(walk, inner, (*path, name), f"{kind.name}.{name}")}
        given: dict[str, Any] = {}
        for name, field in kind.fields.items():
            inner, owner = (*path, name), f"{kind.name}.{name}"
            is_sent = is_required(field) or (owner in CHOSEN and not kind.is_one_of)
            if is_sent or self._leads(inner):
                given[name] = self.value(walk, field.type, inner, owner)
        return given

    def _leads_below(self, kind: GraphQLInputObjectType, path: tuple[str, ...]) -> bool:
        return any(self._leads((*path, name)) for name in kind.fields)

    def _leads(self, path: tuple[str, ...]) -> bool:
        return self.place is not None and self.place.path[: len(path)] == path


def _type(argument: Any) -> str:
    """The variable's type: it may stay away where the argument has a default."""
    text = str(argument.type)
    return text if is_required(argument) else text.removesuffix("!")


def is_required(value: Any) -> bool:
    """True for an argument or an input field that a call must give."""
    has_default = value.ast_node is not None and value.ast_node.default_value is not None
    return isinstance(value.type, GraphQLNonNull) and not has_default and not _defaults(value)


def _defaults(value: Any) -> bool:
    return value.default_value is not Undefined
