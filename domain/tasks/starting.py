"""The run of an occurrence: an ordinary queued run that knows what it belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from domain.conversations.service import ConversationService
from domain.kernel.database import Database, Statement
from domain.kernel.ids import IdSource
from domain.kernel.tracing import TraceContext
from domain.runs.accept import NewRun, insert_run
from domain.tasks.commits import Batch
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tasks.state import ConversationMode, OccurrenceStatus
from domain.tasks.writes import SECOND_US

CONVERSATION_WAIT_US = 2 * SECOND_US

_LOCK = "SELECT id FROM conversation WHERE id = $1 AND workspace_id = $2 FOR UPDATE"
_CONVERSATION = """
SELECT EXISTS (SELECT 1 FROM run WHERE conversation_id = $1 AND holds_conversation)
FROM conversation WHERE id = $1 AND workspace_id = $2
"""


class AgentNow(NamedTuple):
    """An agent as it is when a run of it starts; AGENT_COLUMNS in order."""

    id: str
    slug: str
    version: int
    archived_at: int | None


AGENT_COLUMNS = "id, slug, version, archived_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """A run about to be written: `run` matches nothing when its conversation is held."""

    run_id: str
    run: Statement
    openings: Sequence[Statement]
    """Begin its conversation, where it has one of its own."""
    message: Sequence[Statement]
    """Say its first message; any time in the same write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLink:
    """What a run's spec says of the occurrence it works on, for its end."""

    task_id: str
    occurrence_id: str
    attempt: int
    retry: Mapping[str, Any]

    def stored(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "taskId": self.task_id,
            "occurrenceId": self.occurrence_id,
            "attempt": self.attempt,
            "retry": dict(self.retry),
        }

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "TaskLink":
        """Read what `stored` gave."""
        return cls(
            task_id=values["taskId"],
            occurrence_id=values["occurrenceId"],
            attempt=values["attempt"],
            retry=values["retry"],
        )


class RunStarter:
    """Prepares runs of occurrences."""

    def __init__(
        self, database: Database, conversations: ConversationService, ids: IdSource
    ) -> None:
        self._database = database
        self._conversations = conversations
        self._ids = ids

    def conversation(self, task: TaskRow) -> tuple[str, Statement]:
        """Return the id of a new conversation for a task, and the statement that starts it."""
        ident = self._ids()
        statement = self._conversations.start_statement(
            task.workspace_id, ident, title=task.name, agent_id=task.agent_id
        )
        return ident, statement

    async def start(
        self,
        task: TaskRow,
        row: OccurrenceRow,
        batch: Batch,
        *,
        agent: AgentNow,
        trace: TraceContext,
    ) -> None:
        """Give an occurrence its run, now or at its `due_at`; the row is for the caller to save.

        While another run holds the shared conversation, the occurrence waits without one.
        """
        due_at = max(batch.now_us, row.due_at or 0)
        starting: Starting | None = None
        if not await self._is_busy(task, batch):
            starting = self._prepare(task, row, agent=agent, trace=trace, now_us=batch.now_us)
        if starting is None or not await self._is_inserted(task, starting, batch):
            row.status, row.due_at = OccurrenceStatus.QUEUED, batch.now_us + CONVERSATION_WAIT_US
            row.reason = "Waits for its conversation, which another run holds."
            return
        batch.openings += starting.openings
        batch.statements += starting.message
        row.run_id, row.attempts, row.reason = starting.run_id, 1, None
        if due_at > batch.now_us:
            row.status, row.due_at = OccurrenceStatus.QUEUED, due_at
        else:
            row.status, row.due_at = OccurrenceStatus.RUNNING, None
            batch.due_runs.append(starting.run_id)

    @staticmethod
    async def _is_inserted(task: TaskRow, starting: Starting, batch: Batch) -> bool:
        """Insert the run; False while another holds the shared conversation."""
        if task.conversation_mode == ConversationMode.NEW:
            batch.statements.append(starting.run)  # nobody else knows its conversation
            return True
        return bool(await batch.tx.fetch(starting.run.sql, *starting.run.args))

    async def _is_busy(self, task: TaskRow, batch: Batch) -> bool:
        """True while another run holds the shared conversation; one that is gone begins anew."""
        if task.conversation_mode != ConversationMode.CONTINUE:
            return False
        # Locked before, as all do who take a conversation, or they wait for each other.
        named = (task.conversation_id, task.workspace_id)
        if batch.is_shared:
            await batch.tx.fetch(_LOCK, *named)
        # Asked before, since a refused insert would wait for the commit of who holds it.
        found = await batch.tx.fetch(_CONVERSATION, *named)
        if found:
            return bool(found[0][0])
        task.conversation_id, starting = self.conversation(task)
        batch.openings.append(starting)
        return False

    def _prepare(
        self,
        task: TaskRow,
        row: OccurrenceRow,
        *,
        agent: AgentNow,
        trace: TraceContext,
        now_us: int,
    ) -> Starting:
        """Build the run's statements."""
        openings: list[Statement] = []
        conversation_id = task.conversation_id
        opens = task.conversation_mode == ConversationMode.NEW or conversation_id is None
        if opens or conversation_id is None:
            conversation_id, starting = self.conversation(task)
            openings.append(starting)
        link = TaskLink(task_id=task.id, occurrence_id=row.id, attempt=1, retry=task.retry)
        new = NewRun(
            id=self._ids(),
            workspace_id=task.workspace_id,
            agent_id=agent.id,
            agent_version=agent.version,
            conversation_id=conversation_id,
            instruction=task.instruction,
            inputs={**task.inputs, **(row.inputs or {})},
            spec={"limits": {"maxSeconds": task.timeout_seconds}, "task": link.stored()},
            priority=task.priority,
            metadata=task.metadata,
            trace_id=trace.trace_id,
            span_id=trace.child().span_id,
            created_by=task.created_by,
            created_at=now_us,
            due_at=row.due_at,
            task_id=task.id,
            occurrence_id=row.id,
            opens_conversation=opens,
        )
        message = self._conversations.message_statements(
            workspace_id=task.workspace_id,
            conversation_id=conversation_id,
            role="USER",
            content=task.instruction,
            run_id=new.id,
            opens=opens,
        )
        return Starting(
            run_id=new.id,
            run=insert_run(self._database, new),
            openings=openings,
            message=message,
        )
