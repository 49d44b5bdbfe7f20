"""What rows are made of: the base row and the field types that both databases keep alike."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import orjson
from tortoise import fields
from tortoise.models import Model

from domain.kernel.database import Database, Transaction

M = TypeVar("M", bound=Model)


class IdField(fields.CharField[str]):
    """A UUIDv7 as text: the same bytes, order and parameters on both databases."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=36, **options)


def _encode(value: Any) -> str:
    return orjson.dumps(value).decode()


def json_field(**options: Any) -> Any:
    """A JSON document kept as text and read with orjson."""
    return cast("Any", fields.JSONField(encoder=_encode, decoder=orjson.loads, **options))


def moment_field(**options: Any) -> Any:
    """A moment as whole microseconds since 1970-01-01 UTC."""
    return cast("Any", fields.BigIntField(**options))


def id_field(**options: Any) -> Any:
    """An id, or a reference to a row of another feature kept as a plain id."""
    return cast("Any", IdField(**options))


class BaseRow(Model):
    """A row with an id of its own and the moment it was made."""

    if TYPE_CHECKING:
        id: str
        created_at: int
    else:
        id = id_field(primary_key=True)
        created_at = moment_field()

    class Meta(Model.Meta):
        """Abstract: every feature declares its own table."""

        abstract = True


@lru_cache(maxsize=64)
def columns_of(model: type[Model]) -> tuple[str, ...]:
    """The columns of a row, in the order in which `row_of` takes them."""
    meta = cast("Any", model)._meta  # noqa: SLF001 - Tortoise's only list of columns
    return tuple(sorted(meta.db_fields))


def row_of(model: type[M], values: Sequence[Any]) -> M:
    """Build a row of values in the order of its columns."""
    build = cast("Any", model)._init_from_db  # noqa: SLF001 - how Tortoise itself builds rows
    return build(**dict(zip(columns_of(model), values, strict=True)))


@lru_cache(maxsize=256)
def _select(model: type[Model], condition: str) -> str:
    table = cast("Any", model)._meta.db_table  # noqa: SLF001 - as above
    return f"SELECT {', '.join(columns_of(model))} FROM {table} WHERE {condition}"


async def fetch_rows(
    source: Database | Transaction, model: type[M], condition: str, *args: Any
) -> list[M]:
    """Read rows by a condition of ours in SQL, for hot paths and inside transactions.

    Building the query through the ORM costs ten times the query.
    """
    rows = await source.fetch(_select(model, condition), *args)
    return [row_of(model, row) for row in rows]
