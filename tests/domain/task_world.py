"""A world in which tasks fire: schedulers and workers when asked for, a clock that is moved."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from domain.events.feed import WorkspaceFeed
from domain.events.records import EventRecord
from domain.kernel.database import Database, Statement
from domain.kernel.idempotency import IdempotencyKeys
from domain.kernel.rows import columns_of
from domain.runs.orders import RunOrders
from domain.runs.rows import RunRow
from domain.tasks.commits import TaskCommits
from domain.tasks.firing import TaskFiring
from domain.tasks.look import LookParts
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tasks.saving import TaskSaving
from domain.tasks.service import TaskService
from domain.tasks.settling import OccurrenceEnding
from domain.tasks.starting import RunStarter
from tests.run_world import RunWorld, run_world

MINUTE_US = 60_000_000
BEGIN_US = 1_700_000_000_000_000
"""When the world begins: 2023-11-14T22:13:20Z."""
FIRST_US = BEGIN_US + 40_000_000
"""The first full minute after it."""


def obey_clock(database: Database) -> None:
    """Let PostgreSQL tell the time of the test, as SQLite does in any case."""
    database.now_sql = lambda given: f"${given}::bigint" if shared else f"${given}"
    shared = database.dialect == "postgres"


@dataclass(kw_only=True)
class TaskWorld:
    """Everything a test of tasks touches."""

    runs: RunWorld
    commits: TaskCommits
    service: TaskService

    def scheduler(self) -> TaskFiring:
        """One more process that ticks."""
        return TaskFiring(self.commits, self.look_parts())

    def look_parts(self) -> LookParts:
        """What looks are made with."""
        starter = RunStarter(self.runs.database, self.runs.conversations, self.runs.ids)
        return LookParts(starter=starter, ids=self.runs.ids)

    async def create(self, **more: Any) -> TaskRow:
        """Make a task due each minute, or as asked for."""
        cron = {"cron": {"expression": "* * * * *"}, "timezone": "UTC"}
        values = {
            "name": "Report",
            "agent": {"slug": "default"},
            "instruction": "write the report",
            "schedule": {"scheduled": cron},
            **more,
        }
        return await self.service.create(self.runs.principal, values)

    async def copy(self, task_id: str, count: int) -> None:
        """Copy a task's row so many times: as fast as many tasks are made."""
        others = ", ".join(name for name in columns_of(TaskRow) if name != "id")
        sql = f"INSERT INTO task (id, {others}) SELECT $1, {others} FROM task WHERE id = $2"
        made = [Statement(sql, (self.runs.ids(), task_id)) for _ in range(count)]
        async with self.runs.database.transaction() as tx:
            await tx.run_all(made)

    async def tick(self) -> float:
        """Look until nothing is due; return the seconds until the next."""
        scheduler = self.scheduler()
        while not (wait_s := await scheduler.fire_due()):
            pass
        return wait_s

    async def move_to(self, moment_us: int) -> float:
        """Let it become that moment, and tick."""
        self.runs.clock.move((moment_us - self.runs.clock.now_us()) / 1_000_000)
        return await self.tick()

    async def task(self, task_id: str) -> TaskRow:
        """The task as it is now."""
        return await TaskRow.get(id=task_id, using_db=self.runs.database.reader)

    async def occurrences(self, task_id: str) -> list[OccurrenceRow]:
        """Its occurrences, oldest first."""
        rows = OccurrenceRow.filter(task_id=task_id).using_db(self.runs.database.reader)
        return await rows.order_by("scheduled_for", "id")

    async def statuses(self, task_id: str) -> list[str]:
        """What became of its due times, oldest first."""
        return [row.status for row in await self.occurrences(task_id)]

    async def attempts(self, task_id: str) -> list[RunRow]:
        """Its runs, oldest first."""
        rows = RunRow.filter(task_id=task_id).using_db(self.runs.database.reader)
        return await rows.order_by("created_at", "id")

    def hinted(self) -> list[str]:
        """Runs that were hinted, in order."""
        return [ident for _, ident in self.runs.queue.hints]

    async def work_off(self) -> None:
        """Let one process work on every run that was hinted."""
        async with self.runs.process() as runner:
            while self.runs.queue.hints:
                _, run_id = self.runs.queue.hints.pop(0)
                await self.runs.work_off(runner, run_id)

    async def updates(self) -> Sequence[EventRecord]:
        """Every TaskUpdate event, in order."""
        workspace_id, found = self.runs.principal.workspace_id, list[EventRecord]()
        while page := await self.runs.store.page(
            workspace_id,
            after=found[-1].cursor if found else 0,
            upto=2**62,
            types=["TaskUpdate"],
        ):
            found += page
        return found


def tasks_over(runs: RunWorld) -> tuple[TaskCommits, TaskService]:
    """Build what tasks need over a world of runs, whose ends settle occurrences from now on."""
    database = runs.database
    orders = RunOrders(database, runs.queue, runs.bus, clock=runs.clock, ids=runs.ids)
    commits = TaskCommits(
        database=database,
        store=runs.store,
        orders=orders,
        queue=runs.queue,
        bus=runs.bus,
        clock=runs.clock,
    )
    runs.endings.append(OccurrenceEnding(runs.ids, commits.wake))
    starter = RunStarter(database, runs.conversations, runs.ids)
    service = TaskService(
        commits,
        TaskSaving(starter=starter, audit=runs.audit(), ids=runs.ids, models=runs.models()),
        idempotency=IdempotencyKeys(database, runs.clock),
        feed=WorkspaceFeed(runs.hub, runs.store, runs.clock),
    )
    return commits, service


@asynccontextmanager
async def task_world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """Build the world on a database."""
    obey_clock(database)
    async with run_world(database) as runs:
        commits, service = tasks_over(runs)
        yield TaskWorld(runs=runs, commits=commits, service=service)
