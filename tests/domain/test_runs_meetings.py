"""Runs that wait, orders to them, and what happens at the same moment."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from domain.kernel.database import Database, Row, Statement
from domain.kernel.paging import PageRequest
from domain.models.ports import TextDelta
from domain.runs.queries import RunFilter, RunOrder
from domain.runs.runner import Runner
from tests.fakes import Gate, call, say
from tests.run_world import RunWorld, run_world


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def conversation(world: RunWorld) -> str:
    """A new conversation."""
    return (await world.conversations.create(world.principal, {})).id


async def queued(world: RunWorld, conversation_id: str, words: str, **more: Any) -> str:
    """Put a run in line for a conversation."""
    given = {"onBusy": "QUEUE", **more}
    return await world.accept(words, conversationId=conversation_id, **given)


async def held_by(world: RunWorld, runner: Runner, run_id: str) -> None:
    """Let a process hold a run that it works on for somebody."""
    await world.service(None).pause(world.principal, run_id, None)
    assert (await world.work_off(runner, run_id)).status == "PAUSED"


class Meanwhile:
    """A database after whose next write something else happens first."""

    def __init__(self, database: Database, then: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._then: Callable[[], Awaitable[None]] | None = then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def write(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Write, and let it happen."""
        results = await self._database.write(statements)
        then, self._then = self._then, None
        if then is not None:
            await then()
        return results


async def test_an_order_that_met_a_run_on_its_way_into_a_wait_is_found(world: RunWorld) -> None:
    run_id = await world.accept()
    async with world.process() as runner:
        await held_by(world, runner, run_id)
        # As a commit leaves it that did not see the wait, nor was seen by it.
        await world.order_cancel(run_id)

        world.clock.move(1)
        async with asyncio.timeout(5):
            await world.service(None).wait_end(world.principal, run_id, 5)

    row = await world.row(run_id)
    assert (row.status, row.losses) == ("CANCELLED", 0)


async def test_a_full_process_ends_a_run_that_waits(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("at work"), gate, *say("done")])
    async with world.process(runs=1) as runner:
        waiting = await world.accept("wait")
        await held_by(world, runner, waiting)
        working = await world.accept("work")
        await runner.execute(working)
        await gate.reached.wait()
        assert runner.is_full()

        await world.order_cancel(waiting)
        world.clock.move(1)
        await world.service(None).wait_end(world.principal, waiting, 5)
        stopped = await world.row(waiting)
        gate.opened.set()
        row = await world.work_off(runner, working)

    assert stopped.status == "CANCELLED"
    assert (row.status, row.output) == ("SUCCEEDED", "at workdone")


async def test_a_run_that_was_stopped_in_line_says_its_words_when_it_is_tried_again(
    world: RunWorld,
) -> None:
    talk = await conversation(world)
    world.model.script(say("one"), say("two"))
    async with world.process() as runner:
        first = await queued(world, talk, "first")
        second = await queued(world, talk, "second")
        await world.service(runner).cancel(world.principal, second, None)
        await world.work_off(runner, first)

        again = await world.service(None).retry(world.principal, second, {})
        row = await world.work_off(runner, again.row.id)
        third = await world.service(None).retry(world.principal, first, {})

    rows = await world.conversations.history(talk, limit_tokens=10_000)
    assert row.output == "two"
    assert third.row.retry_of == first
    assert [(one.role, one.content) for one in rows] == [
        ("USER", "first"),
        ("ASSISTANT", "one"),
        ("USER", "second"),
        ("ASSISTANT", "two"),
    ]


async def test_a_run_that_takes_over_stops_nobody_but_who_held_the_conversation(
    world: RunWorld,
) -> None:
    talk, gate = await conversation(world), Gate()
    world.model.script([TextDelta("b"), gate, *say("c")], say("d"))
    async with world.process() as runner:
        first = await queued(world, talk, "first")
        await held_by(world, runner, first)
        second = await queued(world, talk, "second", onBusy="INTERRUPT")

        async def second_begins() -> None:
            await world.work_off(runner, first)
            await runner.execute(second)
            await gate.reached.wait()

        database = world.database
        world.database = Meanwhile(database, second_begins)  # pyright: ignore[reportAttributeAccessIssue]
        third = await queued(world, talk, "third", onBusy="INTERRUPT")
        world.database = database
        gate.opened.set()
        rows = [await world.work_off(runner, run_id) for run_id in (first, second, third)]

    assert [row.status for row in rows] == ["CANCELLED", "SUCCEEDED", "SUCCEEDED"]


async def test_time_that_a_run_is_held_in_line_is_not_added_to_its_limit(world: RunWorld) -> None:
    talk = await conversation(world)
    world.model.script(say("one"), say("two"))
    async with world.process() as runner:
        first = await queued(world, talk, "first")
        second = await queued(world, talk, "second")
        await held_by(world, runner, second)
        world.clock.move(3600)
        await world.service(None).resume(world.principal, second)
        await world.work_off(runner, second)
        await world.work_off(runner, first)
        row = await world.work_off(runner, second)

    assert (row.status, row.waited_us) == ("SUCCEEDED", 0)


async def test_a_run_that_answers_at_once_keeps_that_it_read_what_nobody_trusts(
    world: RunWorld,
) -> None:
    talk = await conversation(world)
    world.model.script(say("one"), say("two"))
    async with world.process() as runner:
        first = await queued(world, talk, "first")
        await world.work_off(runner, first)
        await world.taint(first)
        given = {
            "agent": {"slug": "default"},
            "instruction": "second",
            "conversationId": talk,
            "waitSeconds": 5,
        }
        done = await world.service(runner).execute(world.principal, given)

    assert (done.row.status, (await world.row(done.row.id)).tainted) == ("SUCCEEDED", True)


async def test_what_nobody_trusts_is_kept_though_a_hold_is_taken_back(world: RunWorld) -> None:
    talk, gate = await conversation(world), Gate()
    world.model.script(say("one"), [gate, *call("note", '{"text": "x"}')], say("two"))
    async with world.process() as runner:
        first = await queued(world, talk, "first")
        await world.work_off(runner, first)
        await world.taint(first)
        second = await world.accept("second", conversationId=talk)
        # Held by a hint whose order is taken back already.
        await runner.execute(second)
        runner.obey(second, "pause", None)
        await gate.reached.wait()
        gate.opened.set()
        row = await world.work_off(runner, second)

    assert (row.status, row.tainted) == ("SUCCEEDED", True)


async def test_an_order_that_met_the_end_of_its_run_changes_nothing_in_lists(
    world: RunWorld,
) -> None:
    world.model.script(say("done"))
    run_id = await world.accept()
    async with world.process() as runner:
        await world.work_off(runner, run_id)
        await world.order_cancel(run_id)
        world.clock.move(1)

    async def listed(*statuses: str) -> list[str]:
        narrowing = RunFilter(statuses=statuses)
        page = await world.service(None).runs(
            world.principal, narrowing, RunOrder.CREATED_AT_DESC, PageRequest.of(first=10)
        )
        return [row.id for row in page.items]

    assert await listed("CANCELLING") == []
    assert await listed("SUCCEEDED", "RUNNING") == [run_id]
    assert (await world.row(run_id)).fence == 1
