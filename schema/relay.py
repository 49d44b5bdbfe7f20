"""What lists and objects have in common: nodes, pages and the arguments that ask for a page."""

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any, Generic, Protocol, Self, TypeVar

from strawberry import ID, UNSET, Private, field
from strawberry.annotation import StrawberryAnnotation
from strawberry.extensions import FieldExtension
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from domain.kernel.paging import Page, PageRequest
from schema.declare import api_enum, api_input, api_interface, api_type
from schema.scalars import Json, Moment

N = TypeVar("N")
E = TypeVar("E", bound="Edge[Any]")
Count = Callable[[], Awaitable[int]]


@api_interface
class Node:
    """Object that can be refetched by its id."""

    id: ID = field(description="Opaque id, unique across all types; never parse it.")


@api_type
class PageInfo:
    """Where a page lies within its list."""

    has_next_page: bool = field(description="True when more items follow this page.")
    has_previous_page: bool = field(description="True when more items precede this page.")
    start_cursor: str | None = field(description="Cursor of its first edge; null when empty.")
    end_cursor: str | None = field(description="Cursor of its last edge; null when empty.")

    @classmethod
    def of(cls, page: Page[Any]) -> Self:
        """Tell where a page lies."""
        return cls(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.cursors[0] if page.cursors else None,
            end_cursor=page.cursors[-1] if page.cursors else None,
        )


@api_type
class Edge(Generic[N]):
    """Place of one item in a page."""

    cursor: str = field(description="Cursor of this place.")
    node: N = field(description="What is there.")


@api_type
class Connection(Generic[N, E]):
    """Page of a list."""

    edges: list[E] = field(description="Edges of the page.")
    nodes: list[N] = field(description="Their nodes, without cursors.")
    page_info: PageInfo = field(description="Where the page lies.")

    @classmethod
    def over(cls, page: Page[Any], nodes: Sequence[N], edge: type[E]) -> Self:
        """Show a page of which `nodes` are the items."""
        return cls(**_parts(page, nodes, edge))


@api_type
class CountedConnection(Connection[N, E]):
    """Page of a list whose length is known."""

    count: Private[Count]

    @classmethod
    def counted(cls, page: Page[Any], nodes: Sequence[N], edge: type[E], *, count: Count) -> Self:
        """Show a page of a list whose length `count` finds when a client asks for it."""
        return cls(**_parts(page, nodes, edge), count=count)

    @field(description="Length of the whole list; null when counting would be slow.")
    async def total_count(self) -> int | None:
        """Count the list."""
        return await self.count()


def _parts(page: Page[Any], nodes: Sequence[N], edge: type[E]) -> dict[str, Any]:
    places = zip(page.cursors, nodes, strict=True)
    return {
        "edges": [edge(cursor=cursor, node=node) for cursor, node in places],
        "nodes": list(nodes),
        "page_info": PageInfo.of(page),
    }


class Paged(FieldExtension):
    """Gives a field the four paging arguments; its resolver gets them as `page`."""

    def apply(self, field: StrawberryField) -> None:
        """Put the paging arguments in the place of the resolver's `page`."""
        own = [argument for argument in field.arguments if argument.python_name != "page"]
        field.arguments = [*own, *(_argument(*described) for described in _PAGING)]

    def map_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Read them as one page request. Raises ValidationFailed."""
        asked = {name: kwargs.pop(name) for name, _, _ in _PAGING if name in kwargs}
        return {**kwargs, "page": PageRequest.of(**asked)}


_PAGING: tuple[tuple[str, type, str], ...] = (
    ("first", int, "Items from the start, at most 100; 20 when neither first nor last is given."),
    ("after", str, "Start after this cursor."),
    ("last", int, "Items from the end, at most 100."),
    ("before", str, "End before this cursor."),
)


def _argument(name: str, kind: type, description: str) -> StrawberryArgument:
    return StrawberryArgument(
        python_name=name,
        graphql_name=None,
        type_annotation=StrawberryAnnotation(kind | None),
        description=description,
        default=UNSET,
    )


@api_input
class TimeRange:
    """Half-open span of time."""

    since: Moment | None = field(
        description="Earliest moment, included; absent for no lower bound.", default=UNSET
    )
    until: Moment | None = field(
        description="Latest moment, excluded; absent for no upper bound.", default=UNSET
    )


@api_enum
class TimeOrder(Enum):
    """Sort order of lists that only have a time."""

    NEWEST_FIRST = "Newest first."
    OLDEST_FIRST = "Oldest first."


class Difference(Protocol):
    """A value that differs between two versions."""

    @property
    def path(self) -> Sequence[str]:
        """Where it sits."""
        ...

    @property
    def before(self) -> Any:
        """What it was."""
        ...

    @property
    def after(self) -> Any:
        """What it is."""
        ...


@api_type
class Change:
    """One changed value between two versions of an object."""

    path: list[str] = field(description="Where the value sits, from the object's root.")
    before: Json | None = field(description="Value before; null when it was absent.")
    after: Json | None = field(description="Value after; null when it was removed.")

    @classmethod
    def of(cls, change: Difference) -> Self:
        """Show one value that differs."""
        return cls(
            path=list(change.path),
            before=None if change.before is None else Json(change.before),
            after=None if change.after is None else Json(change.after),
        )
