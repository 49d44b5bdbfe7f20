"""Pages of growing lists: a page starts after a place, never at an offset.

A cursor holds the sort values of one row and a tag of the list that gave it out, so a cursor
of another list is refused and one of a deleted row still works.
"""

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import orjson
from tortoise.expressions import Q
from tortoise.functions import Coalesce
from tortoise.models import Model
from tortoise.queryset import QuerySet

from domain.kernel.database import Database, placeholders
from domain.kernel.errors import BadCursor, FieldProblem, ValidationFailed
from domain.kernel.rows import fetch_rows
from domain.kernel.validation import is_storable

DEFAULT_SIZE = 20
LARGEST_SIZE = 100
LONGEST_CURSOR = 4096
LAST = 2**63 - 1
"""Where an unset whole number sorts: after every other, as PostgreSQL does by itself."""

T = TypeVar("T")
M = TypeVar("M", bound=Model)
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which part of a list: `first` items after a cursor, or `last` items before one."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    @classmethod
    def of(
        cls,
        *,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> "PageRequest":
        """Check what a client sent. Raises ValidationFailed naming every field at fault."""
        problems = [*_size_problems("first", first), *_size_problems("last", last)]
        if first is not None and last is not None:
            problems.append(_problem("last", "Give first or last, not both."))
        if after is not None and before is not None:
            problems.append(_problem("before", "Give after or before, not both."))
        if last is not None and after is not None:
            problems.append(_problem("after", "Give after with first; last goes with before."))
        if first is not None and before is not None:
            problems.append(_problem("before", "Give before with last; first goes with after."))
        if problems:
            raise ValidationFailed(problems)
        return cls(first=first, after=after, last=last, before=before)

    @property
    def is_backward(self) -> bool:
        """True when the page is counted from its end."""
        return self.last is not None or self.before is not None

    @property
    def size(self) -> int:
        """Most items of the page."""
        return self.first or self.last or DEFAULT_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Part of a list in the list's order, with the cursor of each item."""

    items: Sequence[T]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool


def _problem(field: str, message: str) -> FieldProblem:
    return FieldProblem(path=(field,), message=message)


def _size_problems(field: str, size: int | None) -> list[FieldProblem]:
    if size is None or 1 <= size <= LARGEST_SIZE:
        return []
    message = f"Ask for 1 to {LARGEST_SIZE} items, not {size}; leave it out for {DEFAULT_SIZE}."
    return [_problem(field, message)]


async def paginate(
    queryset: QuerySet[M],
    *,
    sort: Sequence[str],
    descending: bool,
    request: PageRequest,
    database: Database,
    within: str = "",
) -> Page[M]:
    """Read one page in one query.

    `sort` names columns, or annotations that hold text; the last must be unique. A nullable
    column must hold whole numbers: rows without one come first in descending order, last in
    ascending order. `within` names whose list it is, such as a workspace or a conversation.
    Raises BadCursor naming `after` or `before`.
    """
    keyset = _Keyset.of(queryset.model, sort=sort, descending=descending, within=within)
    rows = keyset.prepare(queryset)
    cursor = request.before if request.is_backward else request.after
    if cursor is not None:
        place = keyset.decode(cursor, field="before" if request.is_backward else "after")
        rows = rows.filter(keyset.beyond(place, descending=descending != request.is_backward))
    rows = rows.order_by(*keyset.order(descending=descending != request.is_backward))
    found = list(await rows.limit(request.size + 1).using_db(database.reader))
    return _page(found, request, keyset)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsWhere(Generic[M]):
    """Rows that meet a condition of ours in SQL, with its parameters."""

    model: type[M]
    condition: str
    args: Sequence[Any]


async def fetch_page(
    wanted: RowsWhere[M],
    *,
    sort: Sequence[str],
    descending: bool,
    request: PageRequest,
    database: Database,
    within: str,
) -> Page[M]:
    """Read one page as `paginate` does, for conditions that the ORM cannot say.

    The columns of `sort` are never NULL.
    """
    keyset = _Keyset.of(wanted.model, sort=sort, descending=descending, within=within)
    condition, args = wanted.condition, list(wanted.args)
    downward = descending != request.is_backward
    cursor = request.before if request.is_backward else request.after
    if cursor is not None:
        place = keyset.decode(cursor, field="before" if request.is_backward else "after")
        marks = placeholders(len(args) + 1, len(place))
        condition += f" AND ({', '.join(sort)}) {'<' if downward else '>'} ({marks})"
        args += place
    order = ", ".join(f"{column} {'DESC' if downward else 'ASC'}" for column in sort)
    condition += f" ORDER BY {order} LIMIT {request.size + 1}"
    return _page(await fetch_rows(database, wanted.model, condition, *args), request, keyset)


def _page(found: list[M], request: PageRequest, keyset: "_Keyset") -> Page[M]:
    has_more = len(found) > request.size
    items = found[: request.size]
    if request.is_backward:
        items.reverse()
    return Page(
        items=items,
        cursors=[keyset.encode(row) for row in items],
        has_next=request.before is not None if request.is_backward else has_more,
        has_previous=has_more if request.is_backward else request.after is not None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keyset:
    """The columns that give every row of a list its place."""

    keys: Mapping[str, type]
    nullable: Mapping[str, str]
    tag: str

    @classmethod
    def of(
        cls, model: type[Model], *, sort: Sequence[str], descending: bool, within: str
    ) -> "_Keyset":
        meta = cast("Any", model)._meta  # noqa: SLF001 - Tortoise describes a row nowhere else
        keys: dict[str, type] = {}
        nullable: dict[str, str] = {}
        for column in sort:
            field = meta.fields_map.get(column)
            if field is not None and field.null:
                nullable[f"{column}_or_last"] = column
                keys[f"{column}_or_last"] = int
            else:
                keys[column] = int if field is not None and field.field_type is int else str
        name = f"{meta.db_table} {','.join(keys)} {descending} {within}"
        return cls(keys=keys, nullable=nullable, tag=f"{zlib.crc32(name.encode()):08x}")

    def prepare(self, queryset: QuerySet[M]) -> QuerySet[M]:
        filled = {key: Coalesce(column, LAST) for key, column in self.nullable.items()}
        return queryset.annotate(**filled) if filled else queryset

    def order(self, *, descending: bool) -> list[str]:
        return [f"-{key}" if descending else key for key in self.keys]

    def beyond(self, place: Place, *, descending: bool) -> Q:
        """Rows after a place: `a >= x AND (a > x OR (b >= y AND ...))`, which an index serves."""
        sign = "lt" if descending else "gt"
        *outer, (last, value) = zip(self.keys, place, strict=True)
        condition = _where(f"{last}__{sign}", value)
        for key, limit in reversed(outer):
            further = _where(f"{key}__{sign}", limit) | condition
            condition = _where(f"{key}__{sign}e", limit) & further
        return condition

    def encode(self, row: Model) -> str:
        values = [self.tag, *(getattr(row, key) for key in self.keys)]
        return base64.urlsafe_b64encode(orjson.dumps(values)).rstrip(b"=").decode()

    def decode(self, cursor: str, *, field: str) -> Place:
        match _opened(cursor):
            case [str(tag), *values] if self._can_be(values):
                if tag != self.tag:
                    message = "This cursor belongs to another list; send one of this list."
                    raise BadCursor(message, path=[field])
                return tuple(values)
            case _:
                message = f"{cursor[:40]!r} is no cursor; send one that a page of this list gave."
                raise BadCursor(message, path=[field])

    def _can_be(self, values: list[Any]) -> bool:
        if len(values) != len(self.keys):
            return False
        return all(
            type(value) is kind and _is_sortable(value)
            for value, kind in zip(values, self.keys.values(), strict=True)
        )


def _where(lookup: str, value: str | int) -> Q:
    return Q(**cast("dict[str, Any]", {lookup: value}))


def _is_sortable(value: str | int) -> bool:
    return is_storable(value) if isinstance(value, str) else -LAST - 1 <= value <= LAST


def _opened(cursor: str) -> list[Any] | None:
    """What a cursor holds, None when it was never made here."""
    if len(cursor) > LONGEST_CURSOR:
        return None
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        opened = orjson.loads(packed)
    except (ValueError, binascii.Error):
        return None
    return cast("list[Any]", opened) if isinstance(opened, list) else None
