"""Faults of a real database, put between it and the product: slow, away, broken."""

from collections.abc import Sequence

from domain.kernel.database import Database, Row, Statement
from domain.kernel.errors import Unavailable
from tests.fakes import Gate


def held_back(database: Database, part: str) -> Gate:
    """Keep back the answer of the first write that holds this SQL: done there, not known here."""
    original, gate = database.write, Gate()

    async def write(statements: Sequence[Statement]) -> list[list[Row]]:
        results = await original(statements)
        if not gate.reached.is_set() and any(part in one.sql for one in statements):
            gate.reached.set()
            await gate.opened.wait()
        return results

    database.write = write  # type: ignore[method-assign]
    return gate


class Outage:
    """The database answers no write while `is_away`."""

    def __init__(self, database: Database) -> None:
        self.is_away = False
        self.refused = 0
        self._original = database.write
        database.write = self._write  # type: ignore[method-assign]

    async def _write(self, statements: Sequence[Statement]) -> list[list[Row]]:
        if self.is_away:
            self.refused += 1
            raise Unavailable("The database cannot be reached.")
        return await self._original(statements)
