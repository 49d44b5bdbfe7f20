"""PostgreSQL: a pool of connections, each write a transaction of its own."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import BaseDBAsyncClient

from domain.kernel.database import (
    Database,
    Dialect,
    Row,
    Statement,
    Transacting,
    Transaction,
    WriteRefusedError,
)
from domain.kernel.errors import Unavailable

ATTEMPTS = 4
"""Tries of a write that PostgreSQL chose as the victim of a deadlock."""

_LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # A connection that the server ended, asked before its end was read.
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)


def is_lost(error: BaseException) -> bool:
    """True for what the driver raises when PostgreSQL is away."""
    return isinstance(error, _LOST) and not isinstance(error, ValueError)


def _lost(error: Exception) -> Exception:
    """A value that asyncpg cannot send is an InterfaceError too, and nobody's lost connection."""
    if isinstance(error, ValueError):
        return error
    return Unavailable("The database cannot be reached.")


class _PostgresTransaction(Transaction):
    def __init__(self, connection: Any, client: TransactionWrapper) -> None:
        self._connection = connection
        self.client = client

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        return [tuple(row) for row in await self._connection.fetch(sql, *args)]

    async def run_all(self, statements: Sequence[Statement]) -> None:
        """Send those with the same SQL together: a round trip each would cost more than the rows.

        Raises WriteRefusedError, for the first of those of which one was refused.
        """
        together: dict[tuple[str, bool], list[Statement]] = {}
        for statement in statements:
            together.setdefault((statement.sql, statement.must_match), []).append(statement)
        for (sql, must_match), alike in together.items():
            values = [statement.args for statement in alike]
            if not must_match:
                await self._connection.executemany(sql, values)
            elif len(await self._connection.fetchmany(sql, values)) < len(alike):
                raise WriteRefusedError(alike[0])


class PostgresDatabase(Database):
    """Built on Tortoise's pooled asyncpg client."""

    dialect: Dialect = "postgres"

    def __init__(self, client: AsyncpgDBClient) -> None:
        self.reader: BaseDBAsyncClient = client
        self._client = client
        self._opening = asyncio.Lock()

    async def _pool(self) -> Any:
        pool = cast("Any", self._client)._pool  # noqa: SLF001 - Tortoise opens it lazily and offers no getter
        if pool is None:
            async with self._opening:
                if cast("Any", self._client)._pool is None:  # noqa: SLF001 - as above
                    await self._client.create_connection(with_db=True)
            pool = cast("Any", self._client)._pool  # noqa: SLF001 - as above
        return pool

    def transaction(self) -> Transacting:
        """Open a transaction that commits at its end and rolls back on any exception.

        What it was for cannot be done again here, so a deadlock is for the caller to try again.
        """
        return self._once()

    @asynccontextmanager
    async def _once(self) -> AsyncGenerator[Transaction, None]:
        try:
            async with self._transaction() as transaction:
                yield transaction
        except asyncpg.DeadlockDetectedError as error:
            raise Unavailable("The database is too busy.") from error

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[Transaction, None]:
        try:
            pool = await self._pool()
            connection = await pool.acquire(timeout=10)
        except (*_LOST, TimeoutError) as error:
            raise Unavailable("The database cannot be reached.") from error
        try:
            async with connection.transaction():
                client = TransactionWrapper(self._client)
                client._connection = connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the wrapper takes its connection so
                yield _PostgresTransaction(connection, client)
        except _LOST as error:
            raise _lost(error) from error
        finally:
            # One that was lost is given back already; what it was for says so by itself.
            with suppress(*_LOST):
                await asyncio.shield(pool.release(connection))

    async def write(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements as one transaction, again when a deadlock chose it as victim.

        A statement that is alone and cannot be refused is a transaction by itself and saves the
        round trips of BEGIN and COMMIT.
        """
        alone = len(statements) == 1 and not statements[0].must_match
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if alone:
                    return [await self.fetch(statements[0].sql, *statements[0].args)]
                async with self._transaction() as transaction:
                    return await transaction.run(statements)
            except asyncpg.DeadlockDetectedError as error:
                if attempt == ATTEMPTS:
                    raise Unavailable("The database is too busy.") from error
        raise AssertionError

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Read outside transactions, from what is committed."""
        pool = await self._pool()
        try:
            return [tuple(row) for row in await pool.fetch(sql, *args)]
        except _LOST as error:
            raise _lost(error) from error

    async def check_writes(self) -> None:
        """Ask whether it only reads, as a standby does; a full disk shows at its next write."""
        if await self.fetch("SELECT current_setting('transaction_read_only')") != [("off",)]:
            raise Unavailable("The database only reads now.")

    def is_duplicate(self, error: Exception) -> bool:
        """Tell whether a write failed because a row of its key exists already."""
        return isinstance(error, asyncpg.UniqueViolationError)

    def now_sql(self, given: int) -> str:
        """SQL for the moment now in microseconds, by PostgreSQL's clock."""
        # COALESCE only gives the caller's parameter, unused here, a place and a type.
        clock = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        return f"COALESCE({clock}, ${given}::bigint)"
