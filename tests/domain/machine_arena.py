"""The place in which the state machine plays: processes that work on runs, and what they wait for.

Models and tools stop at each turn until a rule lets them go on, so that between two rules nothing
moves at all.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from domain.conversations.service import ConversationService
from domain.events.store import EventStore
from domain.kernel.database import Database, Statement
from domain.kernel.errors import GobError
from domain.models.ports import (
    Finished,
    FinishReason,
    ModelError,
    ModelEvent,
    ModelRequest,
    TextDelta,
    TokenUsage,
)
from domain.runs.approvals import ApprovalService
from domain.runs.runner import Runner
from domain.runs.service import RunService
from domain.tools.calls import ToolContext
from domain.tools.generate import tool_from
from domain.tools.manifest import SideEffect, ToolTraits
from domain.tools.registry import ToolRegistry
from tests.domain.machine_wire import Line, Traffic, Wire
from tests.run_world import ONCE, RunWorld, run_world

Number = Annotated[int, Field(description="Which one.")]
Turn = Sequence[ModelEvent | ModelError]

STORIES = (
    *("approval", "run_order", "run_step", "run", "message", "conversation", "idempotency"),
    *("event", "behavior_version", "behavior_profile"),
)
"""Tables in which a story is written, in the order in which they can be emptied."""

LONG_S = 100_000.0
DONE: Turn = [
    TextDelta("done"),
    TokenUsage(input_tokens=10, output_tokens=3),
    Finished(FinishReason.STOP),
]


@dataclass(slots=True, kw_only=True, eq=False)
class Turnstile:
    """A model or a tool that waits for a rule to let it go on by one."""

    wire: Wire
    place: str
    turns: asyncio.Queue[Turn] = field(default_factory=asyncio.Queue[Turn])


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a tool did to the outside."""

    tool: str
    step_id: str | None


@dataclass(kw_only=True, eq=False)
class Process:
    """One process that works on runs."""

    wire: Wire
    line: Line
    runner: Runner
    service: RunService
    approvals: ApprovalService
    stack: AsyncExitStack
    is_stopping: bool = False

    @property
    def is_awake(self) -> bool:
        """True while it goes on."""
        return self.wire.is_awake

    @property
    def is_working(self) -> bool:
        """True while it takes runs."""
        return self.is_awake and not self.is_stopping


class WaitingModel:
    """Says nothing before a rule says what."""

    name = "scripted"

    def __init__(self, arena: "Arena", wire: Wire) -> None:
        self._arena = arena
        self._wire = wire

    async def aclose(self) -> None:
        """Nothing is held open."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Wait for each piece of the answer."""
        del request
        with self._arena.turnstile(self._wire, "model") as stile:
            while True:
                for act in await stile.turns.get():
                    if isinstance(act, ModelError):
                        raise act
                    yield act
                    if isinstance(act, Finished):
                        return


class Arena:
    """All that one story of the machine happens in."""

    def __init__(self, database: Database, world: RunWorld, traffic: Traffic) -> None:
        self.world = world
        self.traffic = traffic
        self.database = database
        self.clock = world.clock
        self.queue = world.queue
        self.processes: list[Process] = []
        self.stiles: list[Turnstile] = []
        self.effects: list[Effect] = []
        self.conversations: list[str] = []
        self.refused: list[GobError] = []
        self._numbers = 0
        self._kept = asyncio.all_tasks()

    def next_number(self) -> int:
        """Number a call, so that its effects can be told from all others."""
        self._numbers += 1
        return self._numbers

    @property
    def awake(self) -> list[Process]:
        """The processes that go on."""
        return [process for process in self.processes if process.is_awake]

    @property
    def working(self) -> list[Process]:
        """The processes that take runs."""
        return [process for process in self.processes if process.is_working]

    @property
    def asleep(self) -> list[Process]:
        """The processes that are gone, or seem so until they wake."""
        return [process for process in self.processes if not process.is_awake]

    def waiting(self, place: str) -> list[Turnstile]:
        """Models or tools of living processes that wait for a rule."""
        return [s for s in self.stiles if s.place == place and s.wire.is_awake]

    @contextmanager
    def turnstile(self, wire: Wire, place: str) -> Generator[Turnstile]:
        """Put up a turnstile while somebody stands before it."""
        stile = Turnstile(wire=wire, place=place)
        self.stiles.append(stile)
        try:
            yield stile
        finally:
            self.stiles.remove(stile)

    async def hire(self) -> None:
        """Have three agents, of which the first asks the second and that one the third."""
        known = dict(await self.database.fetch("SELECT slug, id FROM agent"))
        asked: list[str] = []
        for slug in ("deep", "helper", "lead"):
            if slug not in known:
                values = {"name": slug, "slug": slug, "delegateIds": asked}
                known[slug] = (await self.world.agents.create(self.world.principal, values)).id
            asked = [known[slug]]

    async def boot(self) -> Process:
        """Start one more process."""
        wire = Wire(self.database, self.traffic)
        line = Line(self.world.bus, wire)
        store = EventStore(wire, line)
        world = replace(
            self.world,
            database=wire,
            bus=line,
            store=store,
            conversations=ConversationService(wire, self.clock, self.world.ids),
            client=WaitingModel(self, wire),
            known_limits=None,
            tools=partial(self._tools, wire),
        )
        stack = AsyncExitStack()
        runner = await stack.enter_async_context(world.process(drain_s=LONG_S))
        process = Process(
            wire=wire,
            line=line,
            runner=runner,
            service=world.service(runner),
            approvals=world.approvals(),
            stack=stack,
        )
        self.processes.append(process)
        return process

    def _tools(self, wire: Wire, _: object) -> ToolRegistry:
        """Only `note` may be repeated; each tool stops before and after its deed."""
        patient = ToolTraits(timeout_s=LONG_S)

        async def act(tool: str, number: int, context: ToolContext) -> str:
            with self.turnstile(wire, "tool") as stile:
                await stile.turns.get()
            self.effects.append(Effect(tool=tool, step_id=context.step_id))
            with self.turnstile(wire, "tool") as stile:
                await stile.turns.get()
            return f"{tool} {number}"

        async def note(number: Number, context: ToolContext) -> str:
            """Note a number."""
            return await act("note", number, context)

        async def pay(number: Number, context: ToolContext) -> str:
            """Pay a bill by its number."""
            return await act("pay", number, context)

        async def erase(number: Number, context: ToolContext) -> str:
            """Erase a file by its number; a person is asked first."""
            return await act("erase", number, context)

        once = replace(ONCE, timeout_s=LONG_S)
        return ToolRegistry(
            [
                tool_from(note, domain="test", traits=patient),
                tool_from(pay, domain="test", traits=once),
                tool_from(
                    erase, domain="test", traits=replace(once, side_effect=SideEffect.DANGEROUS)
                ),
            ]
        )

    async def ask(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Make a client's call, who goes away when nothing moves any more; what it was told."""
        client = asyncio.create_task(call)
        await self.traffic.settle()
        if not client.done():
            client.cancel()
            await self.traffic.settle()
        if client.cancelled():
            return None
        error = client.exception()
        if isinstance(error, GobError):
            self.refused.append(error)
            return None
        return client.result()

    async def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Let a process do something as far as it comes: it may fall asleep over it."""
        task = asyncio.create_task(work)
        await self.traffic.settle()
        if task.done():
            task.result()

    async def sweep(self) -> None:
        """Hint what is due and forgotten, as the sweeper does."""
        for run_id in await self.world.office().forgotten(100):
            self.queue.enqueue("runs.execute", run_id)

    async def let_go_on(self) -> None:
        """Let whoever waits go on to the end of what it does."""
        await self.traffic.settle()
        while stiles := self.waiting("model") + self.waiting("tool"):
            for stile in stiles:
                stile.turns.put_nowait(DONE)
            await self.traffic.settle()

    async def pass_time(self, seconds: float) -> None:
        """Move the clock; every living process gets its turn."""
        self.clock.move(seconds)
        await self.traffic.settle()

    async def forget_everybody(self) -> None:
        """End what is left of all processes, without another word from them."""
        kept = self._kept
        for process in self.processes:
            process.wire.end()
        while left := asyncio.all_tasks() - kept - {asyncio.current_task()}:
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=10)


@asynccontextmanager
async def arena_on(database: Database, traffic: Traffic) -> AsyncGenerator[Arena, None]:
    """Begin a story: two processes, two conversations and nothing done yet."""
    emptying = [Statement(f"DELETE FROM {table}") for table in STORIES]
    await database.write([*emptying, Statement("UPDATE event_head SET cursor = 0")])
    async with run_world(Wire(database, traffic)) as world:
        arena = Arena(database, world, traffic)
        try:
            await arena.hire()
            for _ in range(2):
                await arena.boot()
                row = await world.conversations.create(world.principal, {})
                arena.conversations.append(row.id)
            yield arena
        finally:
            await arena.forget_everybody()
