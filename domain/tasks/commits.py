"""One commit of tasks: what it reads under lock, writes, records, tells, and hints afterwards."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from domain.events.records import EventDraft
from domain.events.store import EventStore
from domain.kernel.database import Database, Statement, Transaction
from domain.kernel.ports import Clock, EventBus, JobQueue
from domain.runs.orders import EXECUTE_JOB, CancelOrder, RunOrders
from domain.tasks.state import TaskChange
from domain.tasks.writes import told

SCHEDULER_CHANNEL = "task-scheduler"
"""Bus channel that says that a task may be due earlier than known."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """An open transaction, and what is written, told and hinted when its block ends."""

    tx: Transaction
    workspace_id: str
    now_us: int
    is_shared: bool
    """True where other transactions go on meanwhile, so that rows have to be locked."""
    openings: list[Statement] = field(default_factory=list[Statement])
    """Begin conversations, before the statements that name them."""
    statements: list[Statement] = field(default_factory=list[Statement])
    lines: list[Statement] = field(default_factory=list[Statement])
    """Lines of the audit log, written after the statements."""
    drafts: list[EventDraft] = field(default_factory=list[EventDraft])
    due_runs: list[str] = field(default_factory=list[str])
    cancels: list[CancelOrder] = field(default_factory=list[CancelOrder])

    def tell(
        self, change: TaskChange, task_id: str, *, occurrence_id: str | None = None, trace_id: str
    ) -> None:
        """Add the event that tells of a change."""
        draft = told(
            change, task_id, occurrence_id=occurrence_id, trace_id=trace_id, now_us=self.now_us
        )
        self.drafts.append(draft)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCommits:
    """Opens batches, and sends after each commit what its rows already say (DESIGN, I2)."""

    database: Database
    store: EventStore
    orders: RunOrders
    queue: JobQueue
    bus: EventBus
    clock: Clock

    @asynccontextmanager
    async def batch(self, workspace_id: str) -> AsyncGenerator[Batch, None]:
        """Yield a batch by the database's clock. Raises WriteRefusedError at the end."""
        async with self.database.transaction() as tx:
            sql = f"SELECT {self.database.now_sql(1)}"
            now_us = (await tx.fetch(sql, self.clock.now_us()))[0][0]
            shared = self.database.dialect == "postgres"
            batch = Batch(tx=tx, workspace_id=workspace_id, now_us=now_us, is_shared=shared)
            yield batch
            for order in batch.cancels:
                batch.statements += self.orders.leave(order)
            drafts = batch.drafts
            appended = self.store.append(workspace_id, drafts) if drafts else []
            await tx.run_all([*batch.openings, *batch.statements, *batch.lines])
            results = await tx.run(appended)
        if drafts:
            self.store.announce(workspace_id, self.store.head_of(results), drafts)
        # After the commit: a worker may be faster than our transaction.
        for run_id in batch.due_runs:
            self.queue.enqueue(EXECUTE_JOB, run_id)
        for order in batch.cancels:
            await self.orders.tell(order)

    def wake(self) -> None:
        """Let every scheduler look at once."""
        self.bus.publish(SCHEDULER_CHANNEL, b"")
