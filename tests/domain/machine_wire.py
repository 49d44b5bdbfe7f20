"""What stands between one process of the state machine and the rest: it can fall asleep, or die.

A process that is asleep sends nothing and hears nothing. One that nobody wakes is a process that
was killed: its work stops where it is, its leases stay. One that is woken goes on where it was,
and tries to write what it wanted to write (a machine that slept, a worker under SIGSTOP).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, TypeVar

from app.adapters.events_local import LocalEventBus
from domain.kernel.database import (
    Database,
    Row,
    Statement,
    Transacting,
    Transaction,
    WriteRefusedError,
)
from domain.kernel.errors import Unavailable
from domain.kernel.ports import Listener

QUIET_TURNS = 40
"""Turns of the loop without a word to the database after which nothing moves any more."""

T = TypeVar("T")


class Cut(StrEnum):
    """When a process falls asleep."""

    NOW = "now"
    BEFORE_WRITE = "before its next write reaches the database"
    AFTER_WRITE = "after its next write, before it has the answer"


class Traffic:
    """What is on its way between all processes and the database."""

    def __init__(self) -> None:
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def count(self, asked: Awaitable[T]) -> T:
        """Await an answer of the database."""
        self.begin()
        try:
            return await asked
        finally:
            self.end()

    def begin(self) -> None:
        """Something was sent."""
        self._under_way += 1
        self._idle.clear()

    def end(self) -> None:
        """Its answer came."""
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    async def settle(self) -> None:
        """Let the loop turn until no process has anything to do."""
        quiet = 0
        async with asyncio.timeout(30):
            while quiet < QUIET_TURNS:
                await self._idle.wait()
                await asyncio.sleep(0)
                quiet = quiet + 1 if self._idle.is_set() else 0


def count_reads(database: Database, traffic: Traffic) -> None:
    """Count what goes through the ORM, beside the database's own ways."""
    reader = database.reader
    for name in ("execute_query", "execute_query_dict"):
        setattr(reader, name, _counted(getattr(reader, name), traffic))


def _counted(
    original: Callable[..., Awaitable[Any]], traffic: Traffic
) -> Callable[..., Awaitable[Any]]:
    async def execute(*args: Any, **more: Any) -> Any:
        return await traffic.count(original(*args, **more))

    return execute


class Wire(Database):
    """The database as one process reaches it; PostgreSQL too tells the time of the test."""

    def __init__(self, real: Database, traffic: Traffic) -> None:
        self._real = real
        self._traffic = traffic
        self._awake = asyncio.Event()
        self._awake.set()
        self.dialect = real.dialect
        self.reader = real.reader
        self.cut: Cut | None = None
        self._is_over = False

    @property
    def is_awake(self) -> bool:
        """True while the process goes on."""
        return self._awake.is_set()

    def sleep(self, cut: Cut) -> None:
        """Fall asleep, at once or at the next write."""
        if cut is Cut.NOW:
            self._awake.clear()
        else:
            self.cut = cut

    def wake(self) -> None:
        """Go on."""
        self.cut = None
        self._awake.set()

    def end(self) -> None:
        """Let nothing through any more: the story is over."""
        self._is_over = True
        self.wake()

    async def _pass(self, cut: Cut | None = None) -> None:
        if cut is not None and self.cut is cut:
            self.cut = None
            self._awake.clear()
        await self._awake.wait()

    def transaction(self) -> Transacting:
        """Open a transaction, which the process may sleep before and after."""
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[Transaction, None]:
        await self._pass(Cut.BEFORE_WRITE)
        self._traffic.begin()
        try:
            async with self._real.transaction() as transaction:
                yield transaction
        finally:
            self._traffic.end()
        await self._pass(Cut.AFTER_WRITE)

    async def write(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Write, once the process is awake."""
        await self._pass(Cut.BEFORE_WRITE)
        if self._is_over:
            raise WriteRefusedError(statements[0])
        try:
            return await self._traffic.count(self._real.write(statements))
        finally:
            await self._pass(Cut.AFTER_WRITE)

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Read, once the process is awake."""
        await self._pass()
        if self._is_over:
            raise Unavailable("The story is over.")
        try:
            return await self._traffic.count(self._real.fetch(sql, *args))
        finally:
            await self._pass()

    async def check_writes(self) -> None:
        """As the database does."""
        await self._traffic.count(self._real.check_writes())

    def is_duplicate(self, error: Exception) -> bool:
        """As the database says."""
        return self._real.is_duplicate(error)

    def now_sql(self, given: int) -> str:
        """The moment of the test's clock, on PostgreSQL too."""
        return f"${given}::bigint" if self.dialect == "postgres" else f"${given}"


class Line:
    """The event bus as one process reaches it; a lost message is lost for good."""

    def __init__(self, bus: LocalEventBus, wire: Wire) -> None:
        self._bus = bus
        self._wire = wire
        self.is_open = True

    def publish(self, channel: str, message: bytes) -> None:
        """Send, unless the process is asleep."""
        if self._wire.is_awake:
            self._bus.publish(channel, message)

    def listen(self, channel: str, receive: Callable[[bytes], None]) -> Listener:
        """Hear what comes while the process is awake and the line is open."""

        def hear(message: bytes) -> None:
            if self.is_open and self._wire.is_awake:
                receive(message)

        return self._bus.listen(channel, hear)

    async def check(self) -> None:
        """Nothing to reach."""
