"""What rows are made of: the base row and the field types that both databases keep alike."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import orjson
from tortoise import fields
from tortoise.models import Model

from domain.kernel.database import Database, Transaction
from domain.kernel.validation import DEEPEST_JSON

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


class Unreadable(dict[str, Any]):
    """Stands for a JSON object that a row does not hold; empty. `trouble` says what is there."""

    def __init__(self, trouble: str) -> None:
        super().__init__()
        self.trouble = trouble


def object_field(**options: Any) -> Any:
    """A JSON object kept as text; a row that holds none can still be read, as Unreadable."""
    return cast("Any", fields.JSONField(encoder=_encode, decoder=_decode_object, **options))


def _decode_object(kept: str | bytes) -> dict[str, Any]:
    text = kept if isinstance(kept, str) else kept.decode(errors="replace")
    try:
        value: object = orjson.loads(text)
    except ValueError:
        return Unreadable(f"{text[:40]!r} is no JSON.")
    if not isinstance(value, dict):
        return Unreadable(f"{text[:40]!r} is no JSON object.")
    found = cast("dict[str, Any]", value)
    # Nearly every object has fewer brackets than levels are allowed.
    if text.count("{") + text.count("[") > DEEPEST_JSON and _is_too_deep(found):
        return Unreadable(f"It is nested more than {DEEPEST_JSON} levels.")
    return found


def _is_too_deep(found: dict[str, Any]) -> bool:
    """True for what is read and could not be written again."""
    level: list[object] = [found]
    for _ in range(DEEPEST_JSON):
        level = [item for value in level for item in _items(value)]
    return any(isinstance(value, dict | list) for value in level)


def _items(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).values()
    return cast("list[object]", value) if isinstance(value, list) else ()


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
