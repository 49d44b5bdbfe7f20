"""Every delivery may come many times, to many workers: one execution for each attempt."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack

import pytest

from domain.kernel.database import Database, Statement
from domain.models.ports import ModelEvent, ModelRequest, TextDelta
from domain.runs.runner import Runner
from tests.fakes import Gate, ScriptedModel, call, say
from tests.run_world import LEASE_S, RunWorld, run_world

WORKERS, TIMES = 8, 5
sizes = pytest.mark.parametrize("runs", [4, pytest.param(60, marks=pytest.mark.soak)])


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def deliver(workers: Sequence[Runner], ids: Sequence[str]) -> None:
    """Hand every hint to every worker, and again, all at once."""
    hints = [runner.execute(run_id) for _ in range(TIMES) for run_id in ids for runner in workers]
    await asyncio.gather(*hints)


async def ends(workers: Sequence[Runner], ids: Sequence[str]) -> None:
    """Wait until nobody has his hands on any of the runs."""
    held = [runner.held(run_id) for runner in workers for run_id in ids]
    await asyncio.gather(*(one.done.wait() for one in held if one is not None))


class Paying(ScriptedModel):
    """Is stuck in its first calls, one for each gate; then asks for a payment, and is content."""

    def __init__(self, gates: Sequence[Gate]) -> None:
        super().__init__()
        self.script(*[[TextDelta("lost "), gate] for gate in gates])

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Play what is next in the run that asks."""
        if not self.scripts:
            is_paid = request.messages[-1].role == "tool"
            self.script(say("paid") if is_paid else call("pay", '{"amount": 5}'))
        async for event in super().stream(request):
            yield event


@sizes
async def test_each_hint_five_times_to_eight_workers_is_one_execution_of_each_attempt(
    world: RunWorld, runs: int
) -> None:
    gates = [Gate() for _ in range(runs)]
    world.client = model = Paying(gates)
    ids = [await world.accept() for _ in range(runs)]
    async with AsyncExitStack() as stack, asyncio.timeout(120):
        gone = [
            await stack.enter_async_context(world.process(runs=runs, stalled=True))
            for _ in range(WORKERS)
        ]
        await deliver(gone, ids)
        await asyncio.gather(*(gate.reached.wait() for gate in gates))
        await deliver(gone, ids)
        asked_first = len(model.requests)
        world.clock.move(LEASE_S + 1)
        await world.database.write([Statement("UPDATE run SET lease_until = 1")])
        workers = [
            await stack.enter_async_context(world.process(runs=runs)) for _ in range(WORKERS)
        ]
        await deliver(workers, ids)
        await ends(workers, ids)
        await deliver(workers, ids)
        rows = [await world.row(run_id) for run_id in ids]
        events = [await world.events(run_id) for run_id in ids]

    assert asked_first == runs
    assert len(model.requests) == 3 * runs
    assert [(row.status, row.attempt, row.losses) for row in rows] == [("SUCCEEDED", 2, 1)] * runs
    assert world.effects.done == ["pay 5"] * runs
    for story in events:
        kinds = [event.type for event in story]
        assert [event.seq for event in story] == list(range(1, len(story) + 1))
        assert (kinds.count("RunStarted"), kinds.count("RunFinished")) == (2, 1)
        assert kinds.count("ToolCallFinished") == 1
