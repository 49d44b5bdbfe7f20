"""Short outages of the database: what is written for runs goes out again until it answers."""

from collections.abc import Sequence

from domain.kernel.database import Database, Row, Statement
from domain.kernel.errors import Unavailable
from domain.kernel.ports import Clock

RETRY_S = (0.05, 0.2, 0.5, 1.0, 2.0)
"""Waits before a write goes out again while the database cannot be reached; less than a lease."""


async def write_at_last(
    database: Database, statements: Sequence[Statement], clock: Clock
) -> list[list[Row]]:
    """Write as one transaction. Raises Unavailable when the outage outlasts RETRY_S.

    The answer of a commit can be lost with its connection: that write then finds its own rows.
    """
    for wait_s in RETRY_S:
        try:
            return await database.write(statements)
        except Unavailable:
            await clock.sleep(wait_s)
    return await database.write(statements)
