"""What a model call leaves besides its answer: notices for people, and what its provider wants."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.kernel.database import Database, Statement
from domain.models.ports import (
    Finished,
    FinishReason,
    ModelNotice,
    ModelRequest,
    ProviderState,
    TextDelta,
)
from tests.fakes import Act, Gate, call, say
from tests.run_world import LEASE_S, RunWorld, run_world

SIGNED: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Hm.\u0000 ü", "signature": "EqQBCg=="}
]
STATE = ProviderState(provider="scripted", data=SIGNED)


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


def noting(act: Act) -> list[Act]:
    """A call of `note` that comes with something else."""
    return [act, *call("note", '{"text": "a"}')]


def states_of(request: ModelRequest) -> list[ProviderState | None]:
    return [each.provider_state for each in request.messages if each.role == "assistant"]


async def test_what_a_provider_wants_back_goes_with_its_answer(world: RunWorld) -> None:
    world.model.script(noting(STATE), call("note", '{"text": "b"}'), say("done"))

    async with world.process() as runner:
        row = await world.work_off(runner, await world.accept())

    assert row.status == "SUCCEEDED"
    assert states_of(world.model.requests[2]) == [STATE, None]


async def test_what_a_provider_wants_back_outlives_a_worker(world: RunWorld) -> None:
    gate = Gate()
    world.model.script(noting(STATE), [TextDelta("lost"), gate], say("done"))
    async with world.process(stalled=True) as first, world.process() as second:
        run_id = await world.accept()
        await first.execute(run_id)
        async with asyncio.timeout(20):
            await gate.reached.wait()

        world.clock.move(LEASE_S + 1)
        expired = "UPDATE run SET lease_until = 1 WHERE id = $1"
        await world.database.write([Statement(expired, (run_id,))])
        row = await world.work_off(second, run_id)

    assert row.status == "SUCCEEDED"
    assert states_of(world.model.requests[2]) == [STATE]


async def test_a_notice_stays_with_its_step(world: RunWorld) -> None:
    world.model.script(noting(ModelNotice("The prompt\u0000 was cut.")), say("done"))

    async with world.process() as runner:
        run_id = await world.accept()
        await world.work_off(runner, run_id)

    assert [step.notices for step in await world.steps(run_id)] == [
        ["The prompt\ufffd was cut."],
        None,
        None,
    ]


async def test_a_notice_stays_with_a_call_that_fails(world: RunWorld) -> None:
    cut: list[Act] = [ModelNotice("The prompt was cut."), Finished(FinishReason.LENGTH)]
    world.model.script(cut)

    async with world.process() as runner:
        run_id = await world.accept()
        row = await world.work_off(runner, run_id)

    assert row.status == "FAILED"
    [step] = await world.steps(run_id)
    assert (step.status, step.notices) == ("FAILED", ["The prompt was cut."])
