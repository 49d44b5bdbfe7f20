"""Instructions for runs at work: seen before the next model call, in order, never swallowed."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.kernel.database import Database, Statement
from domain.kernel.errors import Conflict, ErrorCode, Forbidden, NotFound, ValidationFailed
from domain.runs.rows import RunRow
from domain.runs.runner import Runner
from tests.fakes import Gate, call, say
from tests.run_world import STRANGER, RunWorld, run_world


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def steer(world: RunWorld, run_id: str, words: str, **more: Any) -> bool:
    """Tell a run more from another process; return whether it was told before."""
    given = {"instruction": words, **more}
    return (await world.service(None).steer(world.principal, run_id, given)).replayed


async def begun(world: RunWorld, runner: Runner, gate: Gate, **given: Any) -> str:
    """A run whose model waits at the gate."""
    run_id = await world.accept(**given)
    await runner.execute(run_id)
    await gate.reached.wait()
    return run_id


async def left(world: RunWorld, runner: Runner, run_id: str) -> RunRow:
    """The run once its process has done with it."""
    held = runner.held(run_id)
    if held is not None:
        async with asyncio.timeout(20):
            await held.done.wait()
    return await world.row(run_id)


async def taken(world: RunWorld, run_id: str) -> list[tuple[str, int | None]]:
    """What the run was told, and the step that saw it."""
    sql = "SELECT detail, position FROM run_order WHERE run_id = $1 AND kind = 'steer' ORDER BY id"
    return await world.database.fetch(sql, run_id)


def heard(world: RunWorld, request: int) -> list[tuple[str, str]]:
    """What the model was shown but for its standing instructions."""
    return [(m.role, m.content) for m in world.model.requests[request].messages[1:]]


async def test_instructions_are_seen_before_the_next_model_call_in_order(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([gate, *call("note", '{"text": "a"}')], say("done"))
    talk = (await world.conversations.create(world.principal, {})).id
    async with world.process() as runner:
        run_id = await begun(world, runner, gate, conversationId=talk)

        await steer(world, run_id, "be brief")
        await steer(world, run_id, "and kind")
        gate.opened.set()
        row = await left(world, runner, run_id)

    assert row.status == "SUCCEEDED"
    assert heard(world, 1)[-3:] == [
        ("tool", "noted a"),
        ("user", "be brief"),
        ("user", "and kind"),
    ]
    assert await taken(world, run_id) == [("be brief", 3), ("and kind", 3)]
    messages = await world.conversations.history(talk, limit_tokens=1000)
    assert [(m.role, m.content, m.run_id) for m in messages] == [
        ("USER", "do it", run_id),
        ("USER", "be brief", run_id),
        ("USER", "and kind", run_id),
        ("ASSISTANT", "done", run_id),
    ]


async def test_a_run_that_would_have_ended_goes_on_with_what_it_was_told_last(
    world: RunWorld,
) -> None:
    gate = Gate()
    world.model.script([gate, *say("the answer")], say("a better one"))
    talk = (await world.conversations.create(world.principal, {})).id
    async with world.process() as runner:
        run_id = await begun(world, runner, gate, conversationId=talk)

        await steer(world, run_id, "in rhyme")
        gate.opened.set()
        row = await left(world, runner, run_id)

    assert (row.status, row.output) == ("SUCCEEDED", "a better one")
    assert heard(world, 1) == [
        ("user", "do it"),
        ("assistant", "the answer"),
        ("user", "in rhyme"),
    ]
    assert [step.status for step in await world.steps(run_id)] == ["SUCCEEDED", "SUCCEEDED"]
    events = await world.events(run_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events].count("RunFinished") == 1
    messages = await world.conversations.history(talk, limit_tokens=1000)
    assert [m.content for m in messages] == ["do it", "the answer", "in rhyme", "a better one"]


async def test_a_run_in_the_queue_keeps_what_it_is_told(world: RunWorld) -> None:
    world.model.script(say("done"))
    run_id = await world.accept()
    await steer(world, run_id, "be brief")

    async with world.process() as runner:
        await world.work_off(runner, run_id)

    assert heard(world, 0) == [("user", "do it"), ("user", "be brief")]
    assert await taken(world, run_id) == [("be brief", 1)]


async def test_a_held_run_sees_what_it_was_told_when_it_goes_on(world: RunWorld) -> None:
    world.model.script(say("done"))
    run_id = await world.accept()
    async with world.process() as runner:
        service = world.service(runner)
        await service.pause(world.principal, run_id, None)

        await steer(world, run_id, "be brief")
        assert (await world.row(run_id)).status == "PAUSED"
        await service.resume(world.principal, run_id)
        await world.work_off(runner, run_id)

    assert heard(world, 0) == [("user", "do it"), ("user", "be brief")]


async def test_a_worker_that_takes_over_shows_it_at_the_same_place(world: RunWorld) -> None:
    gate, lost = Gate(), Gate()
    world.model.script(
        [gate, *call("note", '{"text": "a"}')],
        [*call("note", '{"text": "b"}', ident="call_2")],
        [lost],
        say("done"),
    )
    async with world.process(stalled=True) as first:
        run_id = await begun(world, first, gate)
        await steer(world, run_id, "be brief")
        gate.opened.set()
        await lost.reached.wait()
        await steer(world, run_id, "and kind")
        expired = "UPDATE run SET lease_until = 1 WHERE id = $1"
        await world.database.write([Statement(expired, (run_id,))])

        async with world.process() as second:
            row = await world.work_off(second, run_id)

    assert row.status == "SUCCEEDED"
    assert heard(world, 3) == [
        ("user", "do it"),
        ("assistant", ""),
        ("tool", "noted a"),
        ("user", "be brief"),
        ("assistant", ""),
        ("tool", "noted b"),
        ("user", "and kind"),
    ]
    assert await taken(world, run_id) == [("be brief", 3), ("and kind", 6)]


async def test_a_hint_that_was_lost_is_made_up_for_within_a_second(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([gate, *call("note", '{"text": "a"}')], say("done"))
    async with world.process() as runner:
        run_id = await begun(world, runner, gate)
        held = runner.held(run_id)
        assert held is not None
        sql = (
            "INSERT INTO run_order (id, workspace_id, run_id, kind, detail, created_by,"
            " created_at) VALUES ($1, $2, $3, 'steer', 'be brief', 'tester', 1) RETURNING id"
        )
        async with world.database.transaction() as tx:
            await tx.fetch(sql, world.ids(), world.principal.workspace_id, run_id)
        world.clock.move(1.1)
        while not held.work.is_steered:
            await world.database.fetch("SELECT 1")
        gate.opened.set()
        await left(world, runner, run_id)

    assert heard(world, 1)[-1] == ("user", "be brief")


async def test_no_instruction_is_swallowed_by_an_end_that_meets_it(world: RunWorld) -> None:
    count = 16
    world.model.script(*[say("answer") for _ in range(2 * count)])
    refused: list[str] = []
    async with world.process(runs=count) as runner:
        ids = [await world.accept() for _ in range(count)]

        async def tell(run_id: str) -> None:
            try:
                await steer(world, run_id, "more")
            except Conflict:
                refused.append(run_id)

        async with asyncio.timeout(60):
            await asyncio.gather(
                *(world.work_off(runner, run_id) for run_id in ids), *(tell(i) for i in ids)
            )

    for run_id in ids:
        seen = await taken(world, run_id)
        if run_id in refused:
            assert seen == []
        else:
            assert seen[0][1] in {1, 2}
        assert (await world.row(run_id)).status == "SUCCEEDED"


async def test_an_instruction_with_a_key_is_told_once(world: RunWorld) -> None:
    run_id, other = await world.accept(), await world.accept()

    first = await steer(world, run_id, "be brief", idempotencyKey="k1")
    again = await asyncio.gather(
        *(steer(world, run_id, "be brief", idempotencyKey="k1") for _ in range(4))
    )
    with pytest.raises(Conflict) as caught:
        await steer(world, other, "be brief", idempotencyKey="k1")

    assert (first, again) == (False, [True] * 4)
    assert caught.value.reason is ErrorCode.IDEMPOTENCY_MISMATCH
    assert await taken(world, run_id) == [("be brief", None)]
    assert await taken(world, other) == []


@pytest.mark.parametrize("words", ["", "x" * 20_001])
async def test_an_instruction_of_no_use_is_refused(world: RunWorld, words: str) -> None:
    run_id = await world.accept()

    with pytest.raises(ValidationFailed) as caught:
        await steer(world, run_id, words)

    assert caught.value.path == ("instruction",)
    assert await taken(world, run_id) == []


async def test_who_has_ended_or_is_stopping_is_told_nothing(world: RunWorld) -> None:
    world.model.script(say("done"))
    async with world.process() as runner:
        ended = await world.work_off(runner, await world.accept())
    stopping = await world.accept()
    await world.order_cancel(stopping)

    with pytest.raises(Conflict, match="has ended as SUCCEEDED"):
        await steer(world, ended.id, "more")
    with pytest.raises(Conflict, match="being stopped"):
        await steer(world, stopping, "more")

    assert await taken(world, ended.id) + await taken(world, stopping) == []


async def test_others_runs_are_told_nothing(world: RunWorld) -> None:
    run_id = await world.accept()
    given = {"instruction": "more"}

    with pytest.raises(Forbidden):
        await world.service(None).steer(world.reader, run_id, given)
    with pytest.raises(NotFound):
        await world.service(None).steer(STRANGER, run_id, given)

    assert await taken(world, run_id) == []
