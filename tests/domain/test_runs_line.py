"""The line for a conversation: what a run does that finds it busy, and who comes next."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.kernel.database import Database, Statement
from domain.kernel.errors import Conflict, ErrorCode, NotFound
from domain.models.ports import TextDelta
from domain.runs.endings import EndWrites, RunEnd
from domain.runs.rows import RunRow
from domain.runs.runner import Runner
from domain.runs.work import Work
from tests.fakes import Gate, say
from tests.run_world import RunWorld, run_world


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def conversation(world: RunWorld) -> str:
    """A new conversation."""
    return (await world.conversations.create(world.principal, {})).id


async def said(world: RunWorld, conversation_id: str) -> list[tuple[str, str]]:
    """Its messages, oldest first."""
    rows = await world.conversations.history(conversation_id, limit_tokens=10_000)
    return [(row.role, row.content) for row in rows]


async def queued(world: RunWorld, conversation_id: str, words: str, **more: Any) -> str:
    """Put a run in line for a conversation."""
    given = {"onBusy": "QUEUE", **more}
    return await world.accept(words, conversationId=conversation_id, **given)


async def holder_of(world: RunWorld, conversation_id: str) -> str | None:
    """The run that holds a conversation."""
    sql = "SELECT id FROM run WHERE conversation_id = $1 AND holds_conversation"
    rows = await world.database.fetch(sql, conversation_id)
    return rows[0][0] if rows else None


async def work_off_all(world: RunWorld, runner: Runner, *run_ids: str) -> list[RunRow]:
    """Let a process take runs one after the other."""
    return [await world.work_off(runner, run_id) for run_id in run_ids]


async def test_runs_in_line_begin_one_after_the_other_in_order(world: RunWorld) -> None:
    talk = await conversation(world)
    first = await queued(world, talk, "one")
    second = await queued(world, talk, "two")
    third = await queued(world, talk, "three")
    assert await said(world, talk) == [("USER", "one")]
    world.model.script(say("1"), say("2"), say("3"))

    async with world.process() as runner:
        early = await world.work_off(runner, third)
        assert (early.status, early.fence) == ("QUEUED", 0)
        rows = await work_off_all(world, runner, first, second, third)

    assert [row.status for row in rows] == ["SUCCEEDED"] * 3
    assert [ident for _, ident in world.queue.hints] == [first, second, third]
    assert await said(world, talk) == [
        ("USER", "one"),
        ("ASSISTANT", "1"),
        ("USER", "two"),
        ("ASSISTANT", "2"),
        ("USER", "three"),
        ("ASSISTANT", "3"),
    ]
    assert [m.content for m in world.model.requests[2].messages[-5:]] == [
        "one",
        "1",
        "two",
        "2",
        "three",
    ]
    assert await holder_of(world, talk) is None


async def test_a_place_in_line_counts_those_before_it(world: RunWorld) -> None:
    talk = await conversation(world)
    ids = [await queued(world, talk, f"run {n}") for n in range(4)]
    world.clock.move(1)
    urgent = await queued(world, talk, "at once", onBusy="INTERRUPT")

    places = await world.service(None).queue_positions(world.principal, [*ids, urgent])

    assert places == {ids[0]: 0, urgent: 0, ids[1]: 1, ids[2]: 2, ids[3]: 3}


async def test_an_interrupting_run_stops_the_one_at_work_and_goes_first(world: RunWorld) -> None:
    talk = await conversation(world)
    gate = Gate()
    world.model.script([TextDelta("half of it"), gate], say("fresh"), say("late"))
    async with world.process() as runner:
        first = await queued(world, talk, "one")
        await runner.execute(first)
        await gate.reached.wait()
        held = runner.held(first)
        assert held is not None
        waiting = await queued(world, talk, "two")

        urgent = await queued(world, talk, "instead", onBusy="INTERRUPT")
        await held.done.wait()
        rows = await work_off_all(world, runner, first, urgent, waiting)

    assert [row.status for row in rows] == ["CANCELLED", "SUCCEEDED", "SUCCEEDED"]
    assert (rows[0].output, rows[0].status_reason) == (
        "half of it",
        "A newer run took over its conversation.",
    )
    assert await said(world, talk) == [
        ("USER", "one"),
        ("ASSISTANT", "half of it"),
        ("USER", "instead"),
        ("ASSISTANT", "fresh"),
        ("USER", "two"),
        ("ASSISTANT", "late"),
    ]


async def test_an_interrupting_run_on_an_idle_conversation_just_begins(world: RunWorld) -> None:
    talk = await conversation(world)
    world.model.script(say("here"))
    async with world.process() as runner:
        row = await world.work_off(runner, await queued(world, talk, "x", onBusy="INTERRUPT"))

    assert (row.status, row.output) == ("SUCCEEDED", "here")
    title = await world.conversations.conversation(world.principal, talk)
    assert title is not None
    assert title.title == "x"


async def test_a_run_that_is_not_to_wait_is_refused_while_others_are_at_work(
    world: RunWorld,
) -> None:
    talk = await conversation(world)
    first = await queued(world, talk, "one")

    with pytest.raises(Conflict) as caught:
        await world.accept("two", conversationId=talk)

    assert caught.value.reason is ErrorCode.CONVERSATION_BUSY
    assert caught.value.conflicting is not None
    assert caught.value.conflicting.id == first
    assert await said(world, talk) == [("USER", "one")]
    assert await world.database.fetch("SELECT count(*) FROM run") == [(1,)]


async def test_nobody_stands_in_line_for_a_conversation_that_is_not_there(world: RunWorld) -> None:
    with pytest.raises(NotFound) as caught:
        await queued(world, "nothing", "one")

    assert caught.value.path == ("conversationId",)
    assert await world.database.fetch("SELECT count(*) FROM run") == [(0,)]


async def test_a_caller_that_waits_in_line_gets_the_ended_run(world: RunWorld) -> None:
    talk = await conversation(world)
    gate = Gate()
    world.model.script([gate, *say("one")], say("two"))
    async with world.process() as runner:
        first = await queued(world, talk, "1")
        await runner.execute(first)
        await gate.reached.wait()
        world.queue.deliver = lambda run_id: tasks.append(
            asyncio.create_task(runner.execute(run_id))
        )
        tasks: list[asyncio.Task[None]] = []
        asked = {
            "agent": {"slug": "default"},
            "instruction": "2",
            "conversationId": talk,
            "onBusy": "QUEUE",
            "waitSeconds": 20,
        }
        waiting = asyncio.create_task(world.service(runner).execute(world.principal, asked))
        in_line = "SELECT 1 FROM run WHERE line_at IS NOT NULL"
        while not await world.database.fetch(in_line):
            await world.database.fetch("SELECT 1")

        gate.opened.set()
        done = await waiting
        await asyncio.gather(*tasks)

    assert (done.row.status, done.row.output) == ("SUCCEEDED", "two")


async def test_a_cancelled_run_leaves_the_line_and_the_others_move_up(world: RunWorld) -> None:
    talk = await conversation(world)
    ids = [await queued(world, talk, f"run {n}") for n in range(3)]
    world.model.script(say("0"), say("2"))
    async with world.process() as runner:
        row = await world.service(runner).cancel(world.principal, ids[1], "changed my mind")
        assert (row.status, row.started_at) == ("CANCELLED", None)
        rows = await work_off_all(world, runner, ids[0], ids[2])

    assert [row.status for row in rows] == ["SUCCEEDED", "SUCCEEDED"]
    assert ("USER", "run 1") not in await said(world, talk)


async def test_a_held_run_lets_others_pass_and_takes_its_turn_when_it_goes_on(
    world: RunWorld,
) -> None:
    talk = await conversation(world)
    ids = [await queued(world, talk, f"run {n}") for n in range(3)]
    world.model.script(say("0"), say("2"), say("1"))
    async with world.process() as runner:
        service = world.service(runner)
        paused = (await service.pause(world.principal, ids[1], None)).row
        assert (paused.status, paused.waits_for) == ("PAUSED", "pause")
        await world.work_off(runner, ids[0])
        assert await holder_of(world, talk) == ids[2]

        await service.resume(world.principal, ids[1])
        again = await world.work_off(runner, ids[1])
        assert (again.status, again.waits_for) == ("QUEUED", "conversation")
        rows = await work_off_all(world, runner, ids[2], ids[1])

    assert [row.status for row in rows] == ["SUCCEEDED", "SUCCEEDED"]
    assert (await said(world, talk))[-4:] == [
        ("USER", "run 2"),
        ("ASSISTANT", "2"),
        ("USER", "run 1"),
        ("ASSISTANT", "1"),
    ]


async def test_a_held_run_that_goes_on_takes_a_conversation_that_is_free(world: RunWorld) -> None:
    talk = await conversation(world)
    first, second = await queued(world, talk, "one"), await queued(world, talk, "two")
    world.model.script(say("1"), say("2"))
    async with world.process() as runner:
        service = world.service(runner)
        await service.pause(world.principal, second, None)
        await world.work_off(runner, first)

        await service.resume(world.principal, second)
        await world.work_off(runner, second)
        row = await world.work_off(runner, second)

    assert (row.status, row.output) == ("SUCCEEDED", "2")


async def test_a_conversation_is_not_deleted_under_those_who_wait_for_it(world: RunWorld) -> None:
    talk = await conversation(world)
    first, second = await queued(world, talk, "one"), await queued(world, talk, "two")
    world.model.script(say("1"))
    async with world.process() as runner:
        await world.service(runner).pause(world.principal, second, None)
        await world.work_off(runner, first)

    with pytest.raises(Conflict) as caught:
        await world.conversations.delete(world.principal, talk)

    assert caught.value.conflicting is not None
    assert caught.value.conflicting.id == second
    assert await world.conversations.conversation(world.principal, talk) is not None


async def test_no_run_is_left_in_line_however_ends_and_arrivals_meet(world: RunWorld) -> None:
    talk = await conversation(world)
    world.model.script(*[say("ok") for _ in range(12)])
    done: set[str] = set()
    async with world.process() as one, world.process() as two:
        ids: list[str] = []

        async def arrive(n: int) -> None:
            ids.append(await queued(world, talk, f"run {n}"))

        async def work(runner: Runner) -> None:
            while len(done) < 12:
                for run_id in await world.office().due(20):
                    if (await world.work_off(runner, run_id)).finished_at is not None:
                        done.add(run_id)
                await asyncio.sleep(0)

        async with asyncio.timeout(60):
            await asyncio.gather(*(arrive(n) for n in range(12)), work(one), work(two))

    rows = await world.database.fetch("SELECT DISTINCT status FROM run")
    assert rows == [("SUCCEEDED",)]
    talked = await said(world, talk)
    assert [role for role, _ in talked] == ["USER", "ASSISTANT"] * 12
    assert len({words for role, words in talked if role == "USER"}) == 12


async def test_a_retry_of_a_task_keeps_the_conversation_before_those_in_line(
    world: RunWorld,
) -> None:
    talk = await conversation(world)
    first, second = await queued(world, talk, "one"), await queued(world, talk, "two")
    world.model.script(say("1"))
    # As the ending commit of a task does, before the line moves on.
    world.endings.append(TakesOver(second))

    async with world.process() as runner:
        await world.work_off(runner, first)

    assert await holder_of(world, talk) == second
    assert await said(world, talk) == [("USER", "one"), ("ASSISTANT", "1")]


class TakesOver:
    """A feature that gives the conversation to a run of its choice."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    def at_end(self, work: Work, end: RunEnd, now_us: int) -> EndWrites:
        """Take it in the commit that ends the run before."""
        del work, end, now_us
        sql = "UPDATE run SET holds_conversation = TRUE, line_at = NULL WHERE id = $1"
        taking = [Statement(sql, (self.run_id,))]
        return EndWrites(statements=taking, drafts=[], committed=lambda: None)
