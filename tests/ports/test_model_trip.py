"""A run through the real engine over each client: its whole trip, and each fault on its way."""

import asyncio
import itertools
from collections.abc import Sequence
from statistics import median

import pytest

from domain.events.records import EventRecord
from domain.kernel.database import Database
from domain.runs.rows import RunRow, RunStepRow
from tests.ports.acts import Act, Endless, Hang, Say
from tests.ports.model_rig import CLIENTS
from tests.ports.trip import FAULTS, TRIP, Fault, Scene, script_trip, trip_scene

FEW = [
    pytest.param(client, row // len(CLIENTS) % len(TRIP), fault, id=f"{client}-{fault.name}")
    for row, (fault, client) in enumerate(zip(FAULTS, itertools.cycle(CLIENTS), strict=False))
]
ALL = [
    pytest.param(client, at, fault, id=f"{client}-{fault.name}-{at + 1}")
    for fault in FAULTS
    for at in range(len(TRIP))
    for client in CLIENTS
]


async def travel(scene: Scene) -> RunRow:
    """Carry a run out to its end."""
    run_id = await scene.world.accept("go")
    async with scene.world.process() as runner:
        return await scene.world.work_off(runner, run_id)


def told(events: Sequence[EventRecord], kind: str) -> list[EventRecord]:
    """The events of one kind."""
    return [event for event in events if event.type == kind]


def streamed(events: Sequence[EventRecord], step: RunStepRow, kind: str = "TokenDelta") -> str:
    """What watchers saw of a step."""
    return "".join(
        event.data["text"] for event in told(events, kind) if event.data["stepId"] == step.id
    )


async def check_steps(scene: Scene, row: RunRow, *, whole: int) -> list[EventRecord]:
    """What was streamed is what was kept, and each tool did its work once."""
    events = await scene.world.events(row.id)
    asked = [step for step in await scene.world.steps(row.id) if step.kind == "MODEL_CALL"]
    calls = [step for step in await scene.world.steps(row.id) if step.kind == "TOOL_CALL"]
    done = [effect for request in TRIP[:whole] for effect in request.does]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [step.status for step in asked[:whole]] == ["SUCCEEDED"] * whole
    assert [step.text or "" for step in asked[:whole]] == [one.text for one in TRIP[:whole]]
    assert [streamed(events, step) for step in asked] == [step.text or "" for step in asked]
    assert sorted(scene.world.effects.done) == sorted(done)
    assert [step.status for step in calls] == ["SUCCEEDED"] * len(done)
    assert len(told(events, "ToolCallStarted")) == len(told(events, "ToolCallFinished"))
    assert len(told(events, "ToolCallFinished")) == len(done)
    return events


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_trip_of_four_requests_and_five_calls_tells_each_thing_once(
    database: Database, client: str
) -> None:
    async with trip_scene(database, client) as scene:
        script_trip(scene.provider)

        row = await travel(scene)

        assert (row.status, row.output, row.error_code) == ("SUCCEEDED", "All is done.", None)
        assert (row.model_calls, row.tool_calls) == (4, 5)
        assert (row.input_tokens, row.output_tokens) == (112, 24)
        assert scene.world.effects.done[0] == "note a"
        assert scene.world.effects.done[3:] == ["pay 1", "pay 2"]
        assert (len(scene.provider.requests), scene.provider.unplayed) == (4, 0)
        events = await check_steps(scene, row, whole=4)
        first = (await scene.world.steps(row.id))[0]
        assert first.reasoning == "A note first."
        assert streamed(events, first, "ReasoningDelta") == "A note first."
        assert [event.type for event in events if not event.type.endswith("Delta")] == [
            "RunStarted",
            *("UsageUpdated", "ToolCallStarted", "ToolCallFinished"),
            *("UsageUpdated", *["ToolCallStarted"] * 2, *["ToolCallFinished"] * 2),
            *("UsageUpdated", *["ToolCallStarted"] * 2, *["ToolCallFinished"] * 2),
            *("UsageUpdated", "RunFinished"),
        ]


async def check_fault(database: Database, client: str, at: int, fault: Fault) -> None:
    """Travel with a fault at one request; its outcome is typed, counted and told once."""
    async with trip_scene(database, client, patience=fault.patience, at=at) as scene:
        script_trip(scene.provider, fault, at)
        if fault.refused and at == 0:
            scene.provider.leave()

        row = await travel(scene)

        whole = len(TRIP) if fault.failed is None else at
        events = await check_steps(scene, row, whole=whole)
        retries = told(events, "Retrying")
        assert [event.data["error"]["code"] for event in retries] == (
            [fault.retrying] * len(fault.delays_s)
        )
        assert [event.data["delayMs"] for event in retries] == [
            round(delay_s * 1000) for delay_s in fault.delays_s
        ]
        assert scene.waits == list(fault.delays_s)
        arrived = whole + (0 if fault.refused else fault.times)
        assert (len(scene.provider.requests), scene.provider.unplayed) == (arrived, 0)
        if fault.failed is None:
            assert (row.status, row.output) == ("SUCCEEDED", "All is done.")
            assert (row.input_tokens, row.output_tokens) == (112, 24)
            return
        assert (row.status, row.error_code, row.output) == ("FAILED", fault.failed, fault.partial)
        assert (events[-1].type, events[-1].data["error"]["code"]) == ("RunFailed", fault.failed)
        assert events[-1].data["output"] == fault.partial
        broken = (await scene.world.steps(row.id))[-1]
        assert (broken.status, broken.error_code, broken.text) == (
            "FAILED",
            fault.failed,
            fault.partial,
        )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("client", "at", "fault"), FEW)
async def test_a_fault_on_the_trip_is_told_and_nothing_happens_twice(
    database: Database, client: str, at: int, fault: Fault
) -> None:
    await check_fault(database, client, at, fault)


@pytest.mark.soak
@pytest.mark.parametrize(("client", "at", "fault"), ALL)
async def test_any_fault_at_any_request_is_told_and_nothing_happens_twice(
    database: Database, client: str, at: int, fault: Fault
) -> None:
    await check_fault(database, client, at, fault)


async def cancelled(scene: Scene, act: Act) -> float:
    """Cancel a run while its model answers; seconds until the provider is left."""
    scene.provider.script(Say("As I was "), act)
    run_id = await scene.world.accept("go")
    async with scene.world.process() as runner:
        await runner.execute(run_id)
        await scene.client.heard.wait()
        begun = asyncio.get_running_loop().time()

        row = await scene.world.service(runner).cancel(scene.world.principal, run_id, "enough")
        async with asyncio.timeout(20):
            await scene.provider.requests[0].disconnected.wait()

    assert (row.status, row.status_reason) == ("CANCELLED", "enough")
    assert (row.output or "").replace("more ", "") == "As I was "
    assert len(scene.provider.requests) == 1
    return (scene.provider.requests[0].left_at or 0) - begun


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("act", [Endless(), Hang()], ids=["talking", "stalled"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_cancelled_run_leaves_its_provider_without_waiting_for_more(
    database: Database, client: str, act: Act
) -> None:
    async with trip_scene(database, client) as scene:
        await cancelled(scene, act)


@pytest.mark.soak
@pytest.mark.parametrize("act", [Endless(), Hang()], ids=["talking", "stalled"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_cancelled_run_leaves_its_provider_within_a_fifth_of_a_second(
    database: Database, client: str, act: Act
) -> None:
    took_s: list[float] = []
    async with trip_scene(database, client) as scene:
        for _ in range(20):
            scene.provider.requests.clear()
            scene.client.heard.clear()
            took_s.append(await cancelled(scene, act))

    assert median(took_s) < 0.2
