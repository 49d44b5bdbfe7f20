"""Faults around a run: writes that fail, callers that go away, places that run out."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Sequence

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from domain.events.hub import Topic
from domain.kernel.database import Database, Row, Statement
from domain.kernel.errors import NotFound, Unavailable
from domain.models.ports import (
    Finished,
    FinishReason,
    ModelError,
    ModelErrorKind,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallReady,
)
from domain.runs.context import Turn
from domain.runs.rulings import OpenGate, Ruling
from domain.runs.steps import StepStart
from domain.runs.work import Work
from tests.fakes import Gate, call, say
from tests.run_world import RunWorld, run_world

ASKED = {"agent": {"slug": "default"}, "instruction": "do it"}
BROKEN = sqlite3.OperationalError("a fault that nobody foresaw")


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


def fail_once(world: RunWorld, part: str, error: Exception) -> None:
    """Let the first write that holds this SQL fail before it reaches the database."""
    original, left = world.database.write, [error]

    async def write(statements: Sequence[Statement]) -> list[list[Row]]:
        if left and any(part in statement.sql for statement in statements):
            raise left.pop()
        return await original(statements)

    world.database.write = write  # type: ignore[method-assign]


class SlowGate(OpenGate):
    """Takes its time for its rulings."""

    def __init__(self) -> None:
        self.place = Gate()

    async def rule(self, work: Work, turn: Turn, starts: Sequence[StepStart]) -> list[Ruling]:
        """Wait for the test, then allow every call."""
        self.place.reached.set()
        await self.place.opened.wait()
        return await super().rule(work, turn, starts)


def named_tasks(name: str) -> list[asyncio.Task[None]]:
    """The tasks at work that have this name."""
    return [task for task in asyncio.all_tasks() if task.get_name() == name]


async def seqs(world: RunWorld, run_id: str) -> list[int | None]:
    """Numbers of the run's events as they are stored."""
    return [event.seq for event in await world.events(run_id)]


async def test_a_write_that_fails_leaves_no_gap_in_the_events(world: RunWorld) -> None:
    world.model.script(call("note", '{"text": "a"}'), say("done"))
    fail_once(world, "SET status = $2, text", BROKEN)
    run_id = await world.accept()

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    found = await seqs(world, run_id)
    assert (row.status, row.error_code) == ("FAILED", "INTERNAL")
    assert found == list(range(1, len(found) + 1))


async def test_a_run_that_is_stopped_while_its_calls_are_ruled_on_leaves_no_gap(
    world: RunWorld,
) -> None:
    world.gate = gate = SlowGate()
    world.model.script([TextDelta("I pay."), *call("pay", '{"amount": 5}')])
    run_id = await world.accept()
    async with world.process() as runner:
        await runner.execute(run_id)
        async with asyncio.timeout(20):
            await gate.place.reached.wait()

        row = await world.service(runner).cancel(world.principal, run_id, "no")

    events = await world.events(run_id)
    assert (row.status, row.output, world.effects.done) == ("CANCELLED", "I pay.", [])
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    text = [event.data["text"] for event in events if event.type == "TokenDelta"]
    assert "".join(text) == "I pay."


async def test_a_short_outage_hands_the_run_back_and_fails_nothing(world: RunWorld) -> None:
    world.model.script(say("fine"))
    run_id = await world.accept()
    original, left = world.database.fetch, ["agent_version"]

    async def fetch(sql: str, *args: object) -> list[Row]:
        if left and left[0] in sql:
            left.clear()
            raise Unavailable("The database cannot be reached.")
        return await original(sql, *args)

    world.database.fetch = fetch  # type: ignore[method-assign]
    async with world.process() as runner:
        between = await world.work_off(runner, run_id)
        row = await world.work_off(runner, run_id)

    assert (between.status, between.lease_owner, between.losses) == ("RUNNING", None, 0)
    assert (row.status, row.output) == ("SUCCEEDED", "fine")


async def test_a_cancelled_hint_leaves_no_run_that_nobody_holds(world: RunWorld) -> None:
    world.model.script(say("done"))
    run_id = await world.accept()
    async with world.process() as runner:
        hint = asyncio.create_task(runner.execute(run_id))
        await asyncio.sleep(0)
        hint.cancel()
        await asyncio.wait([hint])
        async with asyncio.timeout(20):
            async for _ in world.service(runner).stream(world.principal, run_id):
                pass

    assert (await world.row(run_id)).status == "SUCCEEDED"


async def test_callers_that_wait_get_no_more_places_than_there_are(world: RunWorld) -> None:
    gates = [Gate() for _ in range(20)]
    world.model.script(*[[gate, *say("x")] for gate in gates])
    async with world.process() as runner:
        service = world.service(runner)
        asked = {**ASKED, "waitSeconds": 1}
        done = await asyncio.gather(*(service.execute(world.principal, asked) for _ in gates))

        statuses = [outcome.row.status for outcome in done]
        for gate in gates:
            gate.opened.set()

    assert (statuses.count("RUNNING"), statuses.count("QUEUED")) == (8, 12)


async def test_a_queued_run_can_be_cancelled_in_a_full_process(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([gate, *say("x")])
    async with world.process(runs=1) as runner:
        first, second = await world.accept(), await world.accept()
        await runner.execute(first)
        await gate.reached.wait()

        row = await world.service(runner).cancel(world.principal, second, "no")
        gate.opened.set()

    assert (row.status, row.status_reason) == ("CANCELLED", "no")


async def test_only_one_of_many_twins_is_no_replay(world: RunWorld) -> None:
    service, keyed = world.service(None), {**ASKED, "idempotencyKey": "k"}

    done = await asyncio.gather(*(service.execute(world.principal, keyed) for _ in range(8)))

    assert [outcome.replayed for outcome in done].count(False) == 1


async def test_a_conversation_deleted_meanwhile_is_not_found(world: RunWorld) -> None:
    conversation = await world.conversations.create(world.principal, {})
    service = world.service(None)
    original = world.database.write

    async def write(statements: Sequence[Statement]) -> list[list[Row]]:
        world.database.write = original  # type: ignore[method-assign]
        await world.conversations.delete(world.principal, conversation.id)
        return await original(statements)

    world.database.write = write  # type: ignore[method-assign]
    with pytest.raises(NotFound):
        await service.execute(world.principal, {**ASKED, "conversationId": conversation.id})

    assert await world.database.fetch("SELECT id FROM run") == []


@pytest.mark.parametrize(
    "script",
    [
        [
            ToolCallReady(ToolCall(id="c\x001", name="no\x00te", arguments="{}")),
            TokenUsage(),
            Finished(FinishReason.TOOL_CALLS),
        ],
        [TextDelta("a"), ModelError(ModelErrorKind.BAD_RESPONSE, "bad \x00 thing")],
    ],
    ids=["call", "error"],
)
async def test_nul_from_a_model_ends_no_run_by_a_fault_of_ours(
    world: RunWorld, script: list
) -> None:
    world.model.script(script, say("fine"))
    run_id = await world.accept()

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert row.error_code in {None, "MODEL_BAD_RESPONSE"}
    assert (await seqs(world, run_id))[-1] == len(await seqs(world, run_id))


@pytest.mark.parametrize("arguments", ['{"amount": "\\u0000"}', '{"no\\u0000pe": 1}'])
async def test_nul_in_a_complaint_of_a_tool_ends_the_step_and_not_the_run(
    world: RunWorld, arguments: str
) -> None:
    world.model.script(call("pay", arguments), say("sorry"))
    run_id = await world.accept()

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    step = (await world.steps(run_id))[1]
    assert (row.status, row.output) == ("SUCCEEDED", "sorry")
    assert (step.status, step.error_code) == ("FAILED", "TOOL_FAILED")
    assert world.effects.done == []
    found = await seqs(world, run_id)
    assert found == list(range(1, len(found) + 1))


async def test_a_reader_that_goes_away_at_once_leaves_nothing_behind(world: RunWorld) -> None:
    topic = Topic(workspace_id=world.principal.workspace_id)

    async def follow() -> None:
        async for _ in world.hub.follow(topic, after=0):
            pass

    reader = asyncio.create_task(follow())
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.wait([reader])

    assert world.hub._tails == {}


async def test_what_is_done_for_many_runs_is_logged_in_the_name_of_none(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("x"), gate, *say("y")], say("z"))
    fail_once(world, "RETURNING run_id, seq, cursor", BROKEN)
    original = world.database.fetch

    async def fetch(sql: str, *args: object) -> list[Row]:
        if "AND lease_owner IS NULL" in sql:
            raise Unavailable("away")
        return await original(sql, *args)

    world.database.fetch = fetch  # type: ignore[method-assign]
    with capture_logs(processors=[merge_contextvars]) as logs:
        async with world.process(runs=1) as runner:
            first, second = await world.accept(), await world.accept()
            await runner.execute(first)
            await gate.reached.wait()
            await runner.execute(second)
            held = runner.held(first)
            assert held is not None
            await asyncio.wait_for(held.done.wait(), 20)
            await asyncio.wait_for(asyncio.gather(*named_tasks("take-due")), 20)

    named = {line["event"]: line.get("run_id") for line in logs}
    assert named["runs.tokens_not_written"] is None
    assert named["runs.due_not_read"] is None
    assert named["run.released"] == first
