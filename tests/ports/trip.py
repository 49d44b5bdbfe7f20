"""A trip: a run of four model requests and five tool calls, and what may go wrong on its way."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from app.adapters.model_http import ModelTimeouts
from domain.kernel.database import Database
from domain.models.ports import ModelClient, ModelEvent, ModelRequest
from domain.runs.state import RunErrorCode
from domain.tools.generate import tool_from
from domain.tools.manifest import SideEffect, ToolTraits
from domain.tools.registry import ToolRegistry
from tests.ports.acts import (
    Act,
    Call,
    Cut,
    Done,
    Error,
    Finish,
    Garbage,
    Hang,
    Reason,
    Reset,
    Say,
    Usage,
)
from tests.ports.model_rig import CLIENTS, Waits
from tests.ports.scripted_server import ScriptedServer
from tests.run_world import Effects, RunWorld, run_world

ONE_BY_ONE = ToolTraits(side_effect=SideEffect.WRITE, idempotent=False, parallel=False)
OVERLOADED = {"type": "overloaded_error", "message": "over capacity"}

UNAVAILABLE = RunErrorCode.MODEL_UNAVAILABLE
LIMITED = RunErrorCode.MODEL_RATE_LIMITED
BAD = RunErrorCode.MODEL_BAD_RESPONSE


@dataclass(frozen=True)
class Request:
    """What the model answers at one point of the trip, and what has been done after it."""

    acts: tuple[Act, ...]
    text: str
    does: tuple[str, ...] = ()


TRIP: Sequence[Request] = (
    Request(
        (
            Reason("A note ", "first."),
            Say("First ", "a note."),
            Call("note", '{"text": "a"}', id="call_a"),
            Finish("tool_calls"),
            Usage(11, 5),
            Done(),
        ),
        "First a note.",
        ("note a",),
    ),
    Request(
        (
            Call("meet", '{"name": "b"}', id="call_b", index=0),
            Call("meet", '{"name": "c"}', id="call_c", index=1),
            Finish("tool_calls"),
            Usage(23, 7),
            Done(),
        ),
        "",
        ("meet b", "meet c"),
    ),
    Request(
        (
            Say("Now ", "pay twice."),
            Call("pay", '{"amount": 1}', id="call_d", index=0),
            Call("pay", '{"amount": 2}', id="call_e", index=1),
            Finish("tool_calls"),
            Usage(37, 9),
            Done(),
        ),
        "Now pay twice.",
        ("pay 1", "pay 2"),
    ),
    Request((Say("All ", "is ", "done."), Finish(), Usage(41, 3), Done()), "All is done."),
)


def trip_tools(effects: Effects) -> ToolRegistry:
    """`meet` waits until two are in it, so it ends only where calls run side by side."""
    both = asyncio.Barrier(2)

    async def note(text: Annotated[str, Field(description="What to note.")]) -> str:
        """Note a text."""
        effects.done.append(f"note {text}")
        return f"noted {text}"

    async def meet(name: Annotated[str, Field(description="Who comes.")]) -> str:
        """Meet somebody."""
        async with asyncio.timeout(20):
            await both.wait()
        effects.done.append(f"meet {name}")
        return f"met {name}"

    async def pay(amount: Annotated[int, Field(description="How much.")]) -> str:
        """Pay an amount."""
        effects.done.append(f"pay {amount}")
        return f"paid {amount}"

    plain = [tool_from(tool, domain="test") for tool in (note, meet)]
    return ToolRegistry([*plain, tool_from(pay, domain="test", traits=ONE_BY_ONE)])


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with one request, and what must come of it."""

    name: str
    acts: tuple[Act, ...] | None = None
    """What is played instead of the answer; None where `status` or `refused` says it."""
    status: int | None = None
    retry_after_s: int | None = None
    refused: bool = False
    patience: ModelTimeouts | None = None
    """For faults that a client only notices when it runs out of patience."""
    times: int = 1
    retrying: RunErrorCode | None = None
    """Why the request goes out again."""
    delays_s: tuple[float, ...] = ()
    failed: RunErrorCode | None = None
    """Why the run ends here; None when the next attempt succeeds."""
    partial: str | None = None


_HALF_CALL = Call("pay", '{"amount": 999}', id="call_x", whole=False)


def again(name: str, *acts: Act, **more: Any) -> Fault:
    """A fault before anything of the answer was seen: the request goes out again."""
    usual: dict[str, Any] = {"retrying": UNAVAILABLE, "delays_s": (0.5,)}
    return Fault(name, acts or None, **{**usual, **more})


def fatal(name: str, *acts: Act, **more: Any) -> Fault:
    """A fault that ends the run."""
    return Fault(name, acts or None, **{"failed": BAD, **more})


FAULTS: Sequence[Fault] = (
    again("rate-limit", status=429, retry_after_s=2, retrying=LIMITED, delays_s=(2.0,)),
    again("server-error", status=500),
    again("refused", refused=True),
    again("reset", Reset()),
    again("cut-at-once", Cut()),
    again("cut-in-a-call", _HALF_CALL, Cut()),
    again("error-at-once", Error(OVERLOADED)),
    again("silent", Hang(), patience=ModelTimeouts(first_token_s=0.05)),
    again("down-for-long", status=503, times=3, delays_s=(0.5, 1.0), failed=UNAVAILABLE),
    fatal("unauthorized", status=401, failed=UNAVAILABLE),
    fatal("cut-in-the-text", Say("Half ", "an "), Cut(), partial="Half an "),
    fatal("cut-in-a-call-after-text", Say("Half"), _HALF_CALL, Cut(), partial="Half"),
    fatal("garbage-at-once", Garbage()),
    fatal("garbage-in-the-text", Say("Half"), Garbage(), partial="Half"),
    fatal("error-in-the-text", Say("Half"), Error(OVERLOADED), failed=UNAVAILABLE, partial="Half"),
    fatal(
        "stalled",
        Say("Half"),
        Hang(),
        patience=ModelTimeouts(idle_s=0.05),
        failed=UNAVAILABLE,
        partial="Half",
    ),
    fatal("no-finish-reason", Say("Half"), Done(), partial="Half"),
    fatal("nothing", Done()),
    fatal("no-end-after-a-call", Call("pay", '{"amount": 999}', id="call_x")),
    fatal("cut-off-by-length", Say("Half"), Finish("length"), Done(), partial="Half"),
)


class Traveller:
    """Asks as the client does, with another patience at one point of the trip."""

    def __init__(self, client: ModelClient, hasty: ModelClient, hasty_at: int) -> None:
        self.name = client.name
        self.heard = asyncio.Event()
        """Set once something of an answer has come."""
        self._client = client
        self._hasty = hasty
        self._hasty_at = hasty_at
        self._asked = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Ask the one whose turn it is."""
        client = self._hasty if self._asked == self._hasty_at else self._client
        self._asked += 1
        async with aclosing(client.stream(request)) as events:
            async for event in events:
                self.heard.set()
                yield event

    async def aclose(self) -> None:
        """Give back connections."""
        await self._client.aclose()
        await self._hasty.aclose()


def script_trip(provider: ScriptedServer, fault: Fault | None = None, at: int = 0) -> None:
    """Write down what the provider plays: the trip, with the fault at one of its requests."""
    for number, request in enumerate(TRIP):
        if fault is not None and number == at:
            _script_fault(provider, fault)
            if fault.failed is not None:
                return
        refuses_next = fault is not None and fault.refused and number + 1 == at
        provider.script(*request.acts, then="leaves" if refuses_next else "waits")


def _script_fault(provider: ScriptedServer, fault: Fault) -> None:
    headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
    for _ in range(fault.times):
        if fault.status is not None:
            provider.fail(fault.status, headers=headers)
        elif fault.acts is not None:
            provider.script(*fault.acts)


@dataclass
class Scene:
    """A world whose model is a provider on a socket."""

    world: RunWorld
    provider: ScriptedServer
    client: Traveller
    waits: Waits


@asynccontextmanager
async def trip_scene(
    database: Database, name: str, *, patience: ModelTimeouts | None = None, at: int = 0
) -> AsyncGenerator[Scene, None]:
    """Build the world, whose client has this patience with one request.

    While it waits to try again, the provider comes back and its patience grows.
    """

    class ComingBack(Waits):
        async def __call__(self, delay_s: float) -> None:
            await super().__call__(delay_s)
            await provider.listen()
            hasty._timeouts = ModelTimeouts()

    under_test, waits = CLIENTS[name], ComingBack()
    async with run_world(database) as world, under_test.server() as provider:
        hasty = under_test.client_of(provider, waits, timeouts=patience)
        client = Traveller(under_test.client_of(provider, waits), hasty, at)
        world.client, world.model_name, world.tools = client, under_test.model, trip_tools
        yield Scene(world, provider, client, waits)
        await client.aclose()
