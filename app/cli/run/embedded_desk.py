"""The parts of a server in this process, for one run; no socket, and gone afterwards."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager

import orjson

from app.cli.run.desk import MOST_STEPS, Json, LostSightError, Tell
from app.container import Container, Role, open_container
from app.data_folder import in_use
from app.documents.run_events import (
    Event,
    ToolCallFinished,
    heartbeat,
    resync_required,
    run_event,
)
from app.documents.runs import Run
from app.settings import Settings
from domain.access.scopes import COMMAND_LINE, Principal
from domain.events.feed import StreamHeartbeat, StreamItem
from domain.events.records import EventRecord
from domain.kernel.errors import Conflict
from domain.kernel.paging import PageRequest
from domain.kernel.validation import validated
from domain.runs.rows import RunRow
from domain.runs.spec import ExecuteSpec
from schema.ids import Kind, decode_id

SCHEDULE_TASK = "schedule_task"
TASKS_FIRE = "Tasks fire only while a server runs; start one with `gob serve`."


@asynccontextmanager
async def embedded_desk(settings: Settings, tell: Tell) -> AsyncGenerator["EmbeddedDesk", None]:
    """Open what a run needs. Raises what a server's start raises."""
    with in_use(settings.data_dir):
        async with open_container(settings, Role.COMMAND) as container:
            yield EmbeddedDesk(container, tell)


class EmbeddedDesk:
    """The services of this process, called by the operator of this machine."""

    def __init__(self, container: Container, tell: Tell) -> None:
        self._container = container
        self._tell = tell
        self._operator = Principal.of_house(container.workspace.id, COMMAND_LINE)

    async def start(self, values: Json) -> Json:
        """Have a run accepted, and take it in hand here whatever other processes there are."""
        spec = dict(values)
        agent, conversation = spec["agent"].get("id"), spec.get("conversationId")
        validated(ExecuteSpec, spec)
        if agent is not None:
            spec["agent"] = {"id": decode_id(Kind.AGENT, agent, path="agent.id")}
        if conversation is not None:
            spec["conversationId"] = decode_id(
                Kind.CONVERSATION, conversation, path="conversationId"
            )
        done = await self._container.runs.execute(self._operator, spec)
        await self._container.runner.execute(done.row.id, urgent=True)
        return _shown(done.row)

    async def events(self, run_id: str) -> AsyncGenerator[Json, None]:
        """Yield the run's events."""
        items = self._container.runs.stream(self._operator, _raw(run_id), include_descendants=True)
        async with aclosing(items):
            async for item in items:
                document = _document(item)
                if document is not None:
                    yield orjson.loads(document.json_bytes())
                if isinstance(document, ToolCallFinished) and _made_a_task(document):
                    self._tell(TASKS_FIRE)

    async def cancel(self, run_id: str, reason: str) -> None:
        """Order the run to stop."""
        try:
            await self._container.runs.cancel(self._operator, _raw(run_id), reason)
        except Conflict:
            return  # It has ended already.

    async def run(self, run_id: str) -> Json:
        """Return the run as it is now."""
        row = await self._container.runs.run(self._operator, _raw(run_id))
        if row is None:
            raise LostSightError("The run is not in the database any more.")
        return _shown(row)

    async def notices(self, run_id: str) -> Sequence[str]:
        """Return what model providers said."""
        page = PageRequest.of(first=MOST_STEPS)
        steps = await self._container.runs.steps(self._operator, _raw(run_id), page)
        return [notice for step in steps.items for notice in step.notices or ()]


def _made_a_task(call: ToolCallFinished) -> bool:
    return call.tool_name == SCHEDULE_TASK and call.error is None


def _shown(row: RunRow) -> Json:
    return orjson.loads(Run.of(row).json_bytes())


def _raw(run_id: str) -> str:
    return decode_id(Kind.RUN, run_id, path="id")


def _document(item: StreamItem) -> Event | None:
    if isinstance(item, EventRecord):
        return run_event(item)
    return heartbeat(item) if isinstance(item, StreamHeartbeat) else resync_required(item)
