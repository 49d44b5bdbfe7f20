"""Ended runs tried again: whole or from a step, with today's settings or those of the run."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.kernel.database import Database, Statement
from domain.kernel.errors import Conflict, ErrorCode, Forbidden, NotFound, ValidationFailed
from domain.models.ports import ModelError, ModelErrorKind
from domain.runs.rows import RunRow
from tests.fakes import Act, call, say
from tests.run_world import RunWorld, run_world

DOWN = ModelError(ModelErrorKind.UNAVAILABLE, "down")


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def ended(world: RunWorld, *scripts: list[Act], **given: Any) -> RunRow:
    """A run that has ended, with what its model said."""
    world.model.script(*scripts)
    async with world.process() as runner:
        return await world.work_off(runner, await world.accept(**given))


async def again(world: RunWorld, run_id: str, *scripts: list[Act], **given: Any) -> RunRow:
    """The new run, ended."""
    world.model.script(*scripts)
    done = await world.service(None).retry(world.principal, run_id, given)
    async with world.process() as runner:
        return await world.work_off(runner, done.row.id)


async def shape(world: RunWorld, run_id: str) -> list[tuple[int, str, str]]:
    """Its steps by place, name and state."""
    return [(step.position, step.name, step.status) for step in await world.steps(run_id)]


async def count_runs(world: RunWorld) -> int:
    """How many runs exist."""
    return (await world.database.fetch("SELECT count(*) FROM run"))[0][0]


def both() -> list[Act]:
    """An answer with two calls."""
    first, second = call("note", '{"text": "a"}'), call("pay", '{"amount": 5}', ident="call_2")
    return [first[0], *second]


async def test_a_run_is_tried_again_from_its_start(world: RunWorld) -> None:
    given = {"inputs": {"who": "Ada"}, "metadata": {"ticket": 7}, "priority": 8}
    first = await ended(world, [DOWN], **given)
    assert first.status == "FAILED"

    row = await again(world, first.id, say("done"))

    assert (row.status, row.output, row.retry_of, row.attempt) == ("SUCCEEDED", "done", first.id, 1)
    assert (row.instruction, row.inputs, row.metadata, row.priority) == (
        first.instruction,
        {"who": "Ada"},
        {"ticket": 7},
        8,
    )
    assert world.model.requests[1].messages == world.model.requests[0].messages
    assert (await world.row(first.id)).status == "FAILED"


async def test_what_stands_before_a_step_is_taken_over_and_not_done_again(world: RunWorld) -> None:
    first = await ended(world, call("pay", '{"amount": 5}'), [DOWN])
    last = (await world.steps(first.id))[2]

    row = await again(world, first.id, say("done"), fromStepId=last.id)

    assert (row.status, row.output) == ("SUCCEEDED", "done")
    assert world.effects.done == ["pay 5"]
    assert await shape(world, row.id) == [
        (1, "m1", "REUSED"),
        (2, "pay", "REUSED"),
        (3, "m1", "SUCCEEDED"),
    ]
    assert world.model.requests[2].messages == world.model.requests[1].messages
    assert (row.model_calls, row.tool_calls, row.input_tokens) == (1, 0, 10)


async def test_of_one_answer_calls_before_the_step_are_kept_and_the_rest_is_done_again(
    world: RunWorld,
) -> None:
    first = await ended(world, both(), say("one"))
    pay = (await world.steps(first.id))[2]

    row = await again(world, first.id, say("two"), fromStepId=pay.id)

    assert world.effects.done == ["note a", "pay 5", "pay 5"]
    assert await shape(world, row.id) == [
        (1, "m1", "REUSED"),
        (2, "note", "REUSED"),
        (3, "pay", "SUCCEEDED"),
        (4, "m1", "SUCCEEDED"),
    ]
    results = [m.content for m in world.model.requests[2].messages[-2:]]
    assert results == ["noted a", "paid 5"]


async def test_a_call_that_never_ended_is_done_again_and_not_those_beside_it(
    world: RunWorld,
) -> None:
    first = await ended(world, both(), [DOWN])
    steps = await world.steps(first.id)
    broken_off = "UPDATE run_step SET status = 'CANCELLED' WHERE id = $1"
    await world.database.write([Statement(broken_off, (steps[1].id,))])

    row = await again(world, first.id, say("done"), fromStepId=steps[3].id)

    assert (row.status, row.output) == ("SUCCEEDED", "done")
    assert world.effects.done == ["note a", "pay 5", "note a"]
    assert await shape(world, row.id) == [
        (1, "m1", "REUSED"),
        (2, "pay", "REUSED"),
        (3, "note", "SUCCEEDED"),
        (4, "m1", "SUCCEEDED"),
    ]


async def test_from_the_first_step_nothing_is_kept(world: RunWorld) -> None:
    first = await ended(world, both(), say("one"))
    model = (await world.steps(first.id))[0]

    row = await again(world, first.id, say("two"), fromStepId=model.id)

    assert await shape(world, row.id) == [(1, "m1", "SUCCEEDED")]


async def test_a_second_try_is_tried_again_with_what_it_had_taken_over(world: RunWorld) -> None:
    first = await ended(world, call("pay", '{"amount": 5}'), [DOWN])
    last = (await world.steps(first.id))[2]
    second = await again(world, first.id, [DOWN], fromStepId=last.id)
    failed = (await world.steps(second.id))[2]

    third = await again(world, second.id, say("done"), fromStepId=failed.id)

    assert (third.status, third.retry_of) == ("SUCCEEDED", second.id)
    assert world.effects.done == ["pay 5"]
    assert [status for _, _, status in await shape(world, third.id)] == [
        "REUSED",
        "REUSED",
        "SUCCEEDED",
    ]


async def test_what_a_run_was_told_goes_with_the_steps_that_saw_it(world: RunWorld) -> None:
    world.model.script(call("note", '{"text": "a"}'), say("done"))
    run_id = await world.accept()
    steer = {"instruction": "be brief"}
    await world.service(None).steer(world.principal, run_id, steer)
    async with world.process() as runner:
        await world.work_off(runner, run_id)
    last = (await world.steps(run_id))[2]

    await again(world, run_id, say("two"), fromStepId=last.id)
    await again(world, run_id, say("three"))

    assert world.model.requests[2].messages == world.model.requests[1].messages
    assert [m.content for m in world.model.requests[3].messages[1:]] == ["do it"]


async def test_the_agent_is_todays_or_that_of_the_run(world: RunWorld) -> None:
    first = await ended(world, [DOWN])
    changed = {"instructions": "Answer in rhyme."}
    await world.agents.update(world.principal, first.agent_id, changed)

    today = await again(world, first.id, say("1"))
    original = await again(world, first.id, say("2"), config="ORIGINAL")

    assert (today.agent_version, original.agent_version) == (2, 1)
    assert world.model.requests[1].messages[0].content == "Answer in rhyme."
    assert world.model.requests[2].messages == world.model.requests[0].messages
    assert (today.behavior_pin, original.behavior_pin) == (None, [None, None])


async def test_a_try_goes_on_in_the_conversation_and_does_not_see_the_one_before(
    world: RunWorld,
) -> None:
    talk = (await world.conversations.create(world.principal, {})).id
    await ended(world, say("hello"), instruction="hi", conversationId=talk)
    first = await ended(world, say("meh"), instruction="sing", conversationId=talk)

    second = await again(world, first.id, say("mäh"))
    await again(world, second.id, say("la"))

    for request in (2, 3):
        assert [m.content for m in world.model.requests[request].messages[1:]] == [
            "hi",
            "hello",
            "sing",
        ]
    messages = await world.conversations.history(talk, limit_tokens=1000)
    assert [m.content for m in messages] == ["hi", "hello", "sing", "meh", "mäh", "la"]


async def test_a_busy_conversation_takes_no_try(world: RunWorld) -> None:
    talk = (await world.conversations.create(world.principal, {})).id
    first = await ended(world, say("hello"), conversationId=talk)
    holder = await world.accept(conversationId=talk)

    with pytest.raises(Conflict) as caught:
        await world.service(None).retry(world.principal, first.id, {})

    assert (caught.value.reason, caught.value.path) == (ErrorCode.CONVERSATION_BUSY, ("runId",))
    assert caught.value.conflicting is not None
    assert caught.value.conflicting.id == holder
    assert await count_runs(world) == 2


async def test_a_delegated_run_is_tried_again_on_its_own_within_its_bounds(world: RunWorld) -> None:
    first = await ended(world, [DOWN])
    child = (
        "UPDATE run SET parent_run_id = $2, root_run_id = $2, parent_call_id = 's', depth = 1,"
        """ bounds = '{"tools": [["note"]]}', tainted = TRUE WHERE id = $1"""
    )
    parent = await world.accept()
    await world.database.write([Statement(child, (first.id, parent))])

    row = await again(world, first.id, say("done"))

    assert (row.parent_run_id, row.root_run_id, row.depth) == (None, row.id, 0)
    assert (row.bounds, row.tainted) == ({"tools": [["note"]]}, True)


async def test_a_key_makes_one_try(world: RunWorld) -> None:
    first = await ended(world, [DOWN])
    service = world.service(None)
    keyed = {"idempotencyKey": "k1"}

    one = await service.retry(world.principal, first.id, keyed)
    two = await service.retry(world.principal, first.id, {**keyed, "waitSeconds": 0})
    with pytest.raises(Conflict) as caught:
        await service.retry(world.principal, first.id, {**keyed, "config": "ORIGINAL"})

    assert (one.replayed, two.replayed, one.row.id) == (False, True, two.row.id)
    assert caught.value.reason is ErrorCode.IDEMPOTENCY_MISMATCH
    assert await count_runs(world) == 2


async def test_what_cannot_be_tried_again_is_refused_and_starts_nothing(world: RunWorld) -> None:
    first, other = await ended(world, [DOWN]), await ended(world, say("x"))
    strange = (await world.steps(other.id))[0].id
    at_work = await world.accept()
    service = world.service(None)

    for step_id in ("nothing", strange):
        with pytest.raises(NotFound) as unknown:
            await service.retry(world.principal, first.id, {"fromStepId": step_id})
        assert (unknown.value.noun, unknown.value.path) == ("step", ("fromStepId",))
    with pytest.raises(NotFound):
        await service.retry(world.principal, "nothing", {})
    with pytest.raises(Conflict, match="has not ended"):
        await service.retry(world.principal, at_work, {})
    with pytest.raises(ValidationFailed) as invalid:
        await service.retry(world.principal, first.id, {"waitSeconds": 301})
    with pytest.raises(Forbidden):
        await service.retry(world.reader, first.id, {})

    assert invalid.value.path == ("waitSeconds",)
    assert await count_runs(world) == 3
