"""One database, two kinds: short write transactions and reads that do not wait for them.

SQL is written once, with `$1` placeholders, for SQLite and PostgreSQL. Ids are text, moments are
whole microseconds, so a row looks the same from both. Rows come back as tuples.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from tortoise.backends.base.client import BaseDBAsyncClient

Dialect = Literal["sqlite", "postgres"]
Row = tuple[Any, ...]
Transacting = AbstractAsyncContextManager["Transaction"]

_PLACEHOLDER = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a write. With `must_match`, touching no row refuses the whole write."""

    sql: str
    args: Sequence[Any] = ()
    must_match: bool = False


class WriteRefusedError(Exception):
    """A statement that had to match a row matched none; nothing of its write was kept."""

    def __init__(self, statement: Statement) -> None:
        super().__init__(statement.sql.split("\n", 1)[0])
        self.statement = statement


class Transaction(ABC):
    """An open write transaction. Await nothing in it but the database (DESIGN, section 3)."""

    client: BaseDBAsyncClient
    """For rows of the ORM: `Model.filter(...).using_db(tx.client)`."""

    @abstractmethod
    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Run one statement and return its rows."""

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements in order. Raises WriteRefusedError."""
        results: list[list[Row]] = []
        for statement in statements:
            rows = await self.fetch(statement.sql, *statement.args)
            if statement.must_match and not rows:
                raise WriteRefusedError(statement)
            results.append(rows)
        return results

    async def run_all(self, statements: Sequence[Statement]) -> None:
        """Run statements whose rows nobody asks for. Raises WriteRefusedError.

        Those with the same SQL may run together, with the first of them: keep to statements that
        can move up so.
        """
        await self.run(statements)


class Database(ABC):
    """The way to all rows of the product."""

    dialect: Dialect
    reader: BaseDBAsyncClient
    """For reads through the ORM outside transactions."""

    @abstractmethod
    def transaction(self) -> Transacting:
        """Open a transaction that commits at its end and rolls back on any exception."""

    @abstractmethod
    async def write(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements as one transaction and return the rows of each.

        On SQLite, writes that wait at the same time share one commit.
        Raises WriteRefusedError; a statement with `must_match` therefore needs RETURNING.
        """

    @abstractmethod
    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Read outside transactions, from what is committed."""

    @abstractmethod
    async def check_writes(self) -> None:
        """Raise Unavailable unless a write can be kept now; leaves no row behind."""

    @abstractmethod
    def is_duplicate(self, error: Exception) -> bool:
        """Tell whether a write failed because a row of its key exists already."""

    @abstractmethod
    def now_sql(self, given: int) -> str:
        """SQL for the moment now in microseconds.

        On PostgreSQL its own clock, since many machines share it; on SQLite the moment that the
        caller passes as parameter number `given`.
        """


def is_lost_connection(error: BaseException) -> bool:
    """True for what a driver raises, through the ORM too, when its database is away.

    Asks no driver that is not loaded: PostgreSQL's is three megabytes.
    """
    if not type(error).__module__.startswith("asyncpg"):
        return isinstance(error, OSError) and not isinstance(error, ValueError)
    from domain.kernel.database_postgres import is_lost

    return is_lost(error)


@lru_cache(maxsize=2048)
def numbered(sql: str) -> str:
    """Turn `$1` into SQLite's `?1`."""
    return _PLACEHOLDER.sub(r"?\1", sql)


def placeholders(start: int, count: int) -> str:
    """Return `$3, $4, $5` for start 3 and count 3."""
    return ", ".join(f"${n}" for n in range(start, start + count))
