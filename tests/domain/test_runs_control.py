"""Runs as clients start and stop them: waiting, idempotent, one to a conversation, cancelled."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database
from domain.kernel.errors import (
    Conflict,
    ErrorCode,
    Forbidden,
    GobError,
    NotFound,
    ProviderUnavailable,
    ValidationFailed,
)
from domain.models.ports import TextDelta
from tests.fakes import Gate, say
from tests.run_world import STRANGER, RunWorld, run_world

ASKED = {"agent": {"slug": "default"}, "instruction": "do it"}


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def count_runs(world: RunWorld) -> int:
    """How many runs exist."""
    return (await world.database.fetch("SELECT count(*) FROM run"))[0][0]


async def test_a_caller_that_waits_gets_the_ended_run(world: RunWorld) -> None:
    world.model.script(say("here"))

    async with world.process() as runner:
        done = await world.service(runner).execute(world.principal, {**ASKED, "waitSeconds": 20})

    assert (done.row.status, done.row.output, done.replayed) == ("SUCCEEDED", "here", False)
    assert world.queue.hints == []


async def test_a_caller_that_waits_too_short_gets_the_run_as_it_is(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("slow"), gate, *say("")])
    async with world.process() as runner:
        done = await world.service(runner).execute(world.principal, {**ASKED, "waitSeconds": 1})

        assert (done.row.status, done.row.output) == ("RUNNING", "slow")
        gate.opened.set()


async def test_a_background_run_is_hinted_once_it_is_committed(world: RunWorld) -> None:
    done = await world.service(None).execute(world.principal, ASKED)

    assert (done.row.status, done.row.started_at) == ("QUEUED", None)
    assert world.queue.hints == [("runs.execute", done.row.id)]
    assert await world.events(done.row.id) == []


async def test_the_same_key_and_input_give_the_same_run(world: RunWorld) -> None:
    service = world.service(None)
    keyed = {**ASKED, "idempotencyKey": "k1"}

    outcomes = await asyncio.gather(*(service.execute(world.principal, keyed) for _ in range(8)))
    again = await service.execute(world.principal, keyed)

    assert {done.row.id for done in outcomes} == {again.row.id}
    assert [done.replayed for done in outcomes].count(False) <= 8
    assert again.replayed is True
    assert await count_runs(world) == 1


async def test_the_same_key_with_another_input_is_refused(world: RunWorld) -> None:
    service = world.service(None)
    await service.execute(world.principal, {**ASKED, "idempotencyKey": "k1"})

    with pytest.raises(Conflict) as caught:
        await service.execute(
            world.principal, {**ASKED, "instruction": "else", "idempotencyKey": "k1"}
        )

    assert caught.value.reason is ErrorCode.IDEMPOTENCY_MISMATCH
    assert await count_runs(world) == 1


async def test_a_conversation_takes_one_run_at_a_time_and_remembers_both(world: RunWorld) -> None:
    conversation = await world.conversations.create(world.principal, {})
    asked = {**ASKED, "conversationId": conversation.id, "waitSeconds": 20}
    gate = Gate()
    world.model.script([gate, *say("one")], say("two"))
    async with world.process() as runner:
        service = world.service(runner)
        first = asyncio.create_task(service.execute(world.principal, asked))
        await gate.reached.wait()

        with pytest.raises(Conflict) as caught:
            await service.execute(world.principal, asked)
        gate.opened.set()
        done = await first
        second = await service.execute(world.principal, {**asked, "instruction": "and then"})

    assert caught.value.reason is ErrorCode.CONVERSATION_BUSY
    assert caught.value.conflicting is not None
    assert caught.value.conflicting.id == done.row.id
    assert (done.row.status, second.row.status) == ("SUCCEEDED", "SUCCEEDED")
    assert [(m.role, m.content) for m in world.model.requests[1].messages[1:]] == [
        ("user", "do it"),
        ("assistant", "one"),
        ("user", "and then"),
    ]


async def test_a_run_at_work_is_cancelled_and_keeps_what_it_said(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("so far"), gate])
    async with world.process() as runner:
        run_id = await world.accept()
        await runner.execute(run_id)
        await gate.reached.wait()

        row = await world.service(runner).cancel(world.principal, run_id, "enough")

    assert (row.status, row.status_reason, row.output) == ("CANCELLED", "enough", "so far")
    assert world.model.closed == 1
    assert (await world.events(run_id))[-1].data["status"] == "CANCELLED"
    assert [step.status for step in await world.steps(run_id)] == ["CANCELLED"]


async def test_a_run_is_cancelled_from_another_process(world: RunWorld) -> None:
    gate, other = Gate(), Gate()
    world.model.script([TextDelta("x"), gate], [TextDelta("y"), other, *say("z")])
    async with world.process() as worker, world.process() as door:
        run_id, kept = await world.accept(), await world.accept()
        await worker.execute(run_id)
        await gate.reached.wait()
        await worker.execute(kept)
        await other.reached.wait()

        row = await world.service(door).cancel(world.principal, run_id, None)
        other.opened.set()
        held = worker.held(kept)
        assert held is not None
        await held.done.wait()

    assert row.status == "CANCELLED"
    assert (await world.row(kept)).status == "SUCCEEDED"


async def test_an_order_whose_hint_was_lost_is_read_from_the_table(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("x"), gate])
    async with world.process() as worker:
        run_id = await world.accept()
        await worker.execute(run_id)
        await gate.reached.wait()
        held = worker.held(run_id)
        assert held is not None

        await world.order_cancel(run_id)
        async with asyncio.timeout(20):
            while not held.done.is_set():
                world.clock.move(1)
                await asyncio.sleep(0)

    assert (await world.row(run_id)).status == "CANCELLED"


async def test_a_queued_run_is_cancelled_before_it_begins(world: RunWorld) -> None:
    async with world.process() as runner:
        run_id = await world.accept()

        row = await world.service(runner).cancel(world.principal, run_id, None)

    assert (row.status, row.output) == ("CANCELLED", None)
    assert world.model.requests == []


async def test_an_ended_run_cannot_be_cancelled(world: RunWorld) -> None:
    world.model.script(say("done"))
    async with world.process() as runner:
        row = await world.work_off(runner, await world.accept())

        with pytest.raises(Conflict, match="has ended as SUCCEEDED"):
            await world.service(runner).cancel(world.principal, row.id, None)

    assert (await world.row(row.id)).status == "SUCCEEDED"


@pytest.mark.parametrize(
    ("values", "error", "path"),
    [
        ({}, ValidationFailed, ("agent",)),
        ({**ASKED, "instruction": ""}, ValidationFailed, ("instruction",)),
        ({**ASKED, "instruction": "x" * 200_001}, ValidationFailed, ("instruction",)),
        ({**ASKED, "agent": {}}, ValidationFailed, ("agent",)),
        ({**ASKED, "agent": {"id": "a", "slug": "b"}}, ValidationFailed, ("agent",)),
        ({**ASKED, "agent": {"slug": "nobody"}}, NotFound, ("agent",)),
        ({**ASKED, "conversationId": "nothing"}, NotFound, ("conversationId",)),
        ({**ASKED, "waitSeconds": 301}, ValidationFailed, ("waitSeconds",)),
        ({**ASKED, "priority": 10}, ValidationFailed, ("priority",)),
        ({**ASKED, "limits": {"maxSteps": 0}}, ValidationFailed, ("limits", "maxSteps")),
        ({**ASKED, "limits": {"maxStep": 1}}, ValidationFailed, ("limits", "maxStep")),
        ({**ASKED, "allowedTools": ["a b"]}, ValidationFailed, ("allowedTools", "0")),
        ({**ASKED, "inputs": [1]}, ValidationFailed, ("inputs",)),
        ({**ASKED, "model": {"provider": "x", "name": "y"}}, ProviderUnavailable, None),
    ],
)
async def test_bad_input_names_the_field_and_starts_nothing(
    world: RunWorld, values: dict, error: type[GobError], path: tuple[str, ...] | None
) -> None:
    with pytest.raises(error) as caught:
        await world.service(None).execute(world.principal, values)

    if path is not None:
        assert caught.value.path == path
    assert await count_runs(world) == 0
    assert world.queue.hints == []


async def test_a_key_without_the_scope_starts_and_stops_nothing(world: RunWorld) -> None:
    run_id = await world.accept()

    with pytest.raises(Forbidden):
        await world.service(None).execute(world.reader, ASKED)
    with pytest.raises(Forbidden):
        await world.service(None).cancel(world.reader, run_id, None)

    assert await count_runs(world) == 1
    assert (await world.row(run_id)).status == "QUEUED"


async def test_runs_of_another_workspace_do_not_exist(world: RunWorld) -> None:
    run_id = await world.accept()
    service = world.service(None)

    assert await service.run(STRANGER, run_id) is None
    with pytest.raises(NotFound):
        await service.cancel(STRANGER, run_id, None)
    with pytest.raises(NotFound):
        await anext(service.stream(STRANGER, run_id))
