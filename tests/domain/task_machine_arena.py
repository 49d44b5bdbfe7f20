"""The place in which the state machine of tasks plays: schedulers that can die, workers, models."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from domain.events.store import EventStore
from domain.kernel.database import Database, Row, Statement, Transaction
from domain.models.ports import Finished, FinishReason, ModelError, ModelErrorKind
from domain.tasks.firing import TaskFiring
from domain.tasks.service import TaskService
from tests.domain.machine_arena import DONE, STORIES, Arena, Turn
from tests.domain.machine_wire import Traffic, Wire
from tests.domain.task_world import TaskWorld, tasks_over
from tests.run_world import RunWorld, run_world

AGENTS = ("lead", "helper")
ENDS: dict[str, Turn] = {
    "done": DONE,
    "down": [ModelError(ModelErrorKind.UNAVAILABLE, "The provider is away.")],
    "odd": [Finished(FinishReason.LENGTH)],
    "refused": [ModelError(ModelErrorKind.REFUSED, "Not that.")],
}
"""How a model ends a run: well, in two ways that another attempt may find gone, and for good."""
MOST_LOOKS = 60
"""Looks after which a scheduler must have found that nothing is due."""


class Killed(BaseException):
    """The process is gone in the middle of what it did; an open transaction is rolled back."""


class Mortal(Wire):
    """The database as a scheduler reaches it that dies after so many calls."""

    def __init__(self, real: Database, traffic: Traffic, calls: int | None) -> None:
        super().__init__(real, traffic)
        self._calls = calls

    def breathe(self) -> None:
        """Make one call, if there is one left."""
        if self._calls is not None:
            self._calls -= 1
            if self._calls < 0:
                raise Killed

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[Transaction, None]:
        self.breathe()
        async with super()._transaction() as transaction:
            yield MortalTransaction(transaction, self)
            self.breathe()
        # Here it has committed and told nobody.
        self.breathe()

    async def write(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Write, if it lives that long."""
        self.breathe()
        written = await super().write(statements)
        self.breathe()
        return written

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Read, if it lives that long."""
        self.breathe()
        return await super().fetch(sql, *args)


class MortalTransaction(Transaction):
    """A transaction in which its process may die."""

    def __init__(self, real: Transaction, wire: Mortal) -> None:
        self._real = real
        self._wire = wire
        self.client = real.client

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Run one statement, if it lives that long."""
        self._wire.breathe()
        return await self._real.fetch(sql, *args)

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements, if it lives that long."""
        self._wire.breathe()
        return await self._real.run(statements)


class TaskArena(Arena):
    """All that one story of tasks happens in."""

    def __init__(self, database: Database, world: RunWorld, traffic: Traffic) -> None:
        super().__init__(database, world, traffic)
        self.service: TaskService = tasks_over(world)[1]
        self.agent_ids: dict[str, str] = {}

    def scheduler(self, calls: int | None = None) -> TaskFiring:
        """One more process that ticks; it dies after so many calls of the database."""
        wire = Mortal(self.database, self.traffic, calls)
        store = EventStore(wire, self.world.bus)
        runs = replace(self.world, database=wire, store=store, endings=[])
        commits, service = tasks_over(runs)
        return TaskWorld(runs=runs, commits=commits, service=service).scheduler()

    async def tick(self, schedulers: int, calls: int | None = None) -> None:
        """Let so many look at once until nothing is due, the first of them perhaps dying."""
        firing = [self.scheduler(calls if place == 0 else None) for place in range(schedulers)]
        found = await asyncio.gather(*map(_look_out, firing), return_exceptions=True)
        for outcome in found:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Killed):
                raise outcome
        await self.traffic.settle()

    async def die(self, calls: int) -> None:
        """Let one scheduler look that dies in the middle of it, or at the end at the latest."""
        await self.tick(1, calls)

    async def deliver(self) -> None:
        """Bring each hint on its way to a worker."""
        hints, self.queue.hints = self.queue.hints, []
        for _, run_id in hints:
            if self.working:
                await self.begin(self.working[0].runner.execute(run_id))

    async def answer_all(self, turn: Turn) -> None:
        """Let each model that is asked answer the same."""
        for stile in self.waiting("model"):
            stile.turns.put_nowait(turn)
        await self.traffic.settle()

    async def work_off(self, turn: Turn) -> None:
        """Carry out what was hinted, and end it in one way."""
        await self.deliver()
        await self.answer_all(turn)


async def _look_out(scheduler: TaskFiring) -> None:
    for _ in range(MOST_LOOKS):
        if await scheduler.fire_due():
            return
    raise AssertionError("a scheduler finds no rest")


@asynccontextmanager
async def task_arena_on(database: Database, traffic: Traffic) -> AsyncGenerator[TaskArena, None]:
    """Begin a story: two agents, a worker, and no task."""
    emptying = [Statement(f"DELETE FROM {table}") for table in (*STORIES, "occurrence", "task")]
    anew = ["UPDATE event_head SET cursor = 0", "UPDATE agent SET archived_at = NULL"]
    await database.write([*emptying, *map(Statement, anew)])
    async with run_world(Wire(database, traffic)) as world:
        arena = TaskArena(database, world, traffic)
        try:
            await arena.hire()
            arena.agent_ids = dict(await database.fetch("SELECT slug, id FROM agent"))
            await arena.boot()
            yield arena
        finally:
            await arena.forget_everybody()
