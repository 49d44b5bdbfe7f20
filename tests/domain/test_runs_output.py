"""Answers as data: held against a schema, asked for again, kept beside the text, or refused."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from app.adapters.model_offline import OfflineModelClient
from domain.kernel.database import Database
from domain.kernel.errors import ValidationFailed
from domain.kernel.json_schema_words import TYPES
from domain.models.ports import TextDelta
from domain.runs.rows import RunRow
from tests.fakes import Act, Gate, call, say
from tests.run_world import RunWorld, run_world

SUM = {
    "type": "object",
    "required": ["total"],
    "properties": {"total": {"type": "integer"}, "items": {"items": {"type": "number"}}},
}
COMPLAINT = (
    "Your answer does not fit the JSON Schema: total: is string, but must be integer. Give the"
    " whole answer again, as one JSON value that fits it and nothing else."
)


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world with a scripted model, on each database."""
    async with run_world(database) as built:
        yield built


async def run_off(world: RunWorld, *scripts: list[Act], **given: Any) -> RunRow:
    world.model.script(*scripts)
    async with world.process() as runner:
        return await world.work_off(runner, await world.accept(outputSchema=SUM, **given))


@pytest.mark.parametrize(
    "text",
    [
        '{"total": 3}',
        ' \n{"total": 3}\n',
        '```json\n{"total": 3}\n```',
        'So:\n```\n{"total": 3}```',
    ],
)
async def test_an_answer_that_fits_is_kept_as_data_and_as_it_was_written(
    world: RunWorld, text: str
) -> None:
    row = await run_off(world, say(text))

    assert (row.status, row.output, row.output_data) == ("SUCCEEDED", text, {"total": 3})


async def test_the_model_is_told_the_schema_after_the_instructions(world: RunWorld) -> None:
    await run_off(world, say('{"total": 3}'))

    [request] = world.model.requests
    first = request.messages[0]
    assert first.role == "system"
    assert first.content.endswith(
        "Your last answer, when you call no more tools, must be one JSON value and nothing else."
        ' It must fit this JSON Schema:\n{"type":"object","required":["total"],"properties":'
        '{"total":{"type":"integer"},"items":{"items":{"type":"number"}}}}'
    )
    assert request.output_schema == SUM


async def test_an_answer_that_does_not_fit_is_asked_for_again(world: RunWorld) -> None:
    row = await run_off(
        world, call("note", '{"text": "x"}'), say('{"total": "3"}'), say('{"total": 4}')
    )

    retries = [each.data for each in await world.events(row.id) if each.type == "Retrying"]
    steps = await world.steps(row.id)
    messages = world.model.requests[-1].messages
    assert (row.status, row.output, row.output_data) == ("SUCCEEDED", '{"total": 4}', {"total": 4})
    assert [message.content for message in messages[-2:]] == ['{"total": "3"}', COMPLAINT]
    assert [(each["attempt"], each["error"]["code"], each["voidedStepId"]) for each in retries] == [
        (2, "OUTPUT_INVALID", steps[2].id)
    ]
    assert [(step.kind, step.status) for step in steps] == [
        ("MODEL_CALL", "SUCCEEDED"),
        ("TOOL_CALL", "SUCCEEDED"),
        ("MODEL_CALL", "SUCCEEDED"),
        ("MODEL_CALL", "SUCCEEDED"),
    ]


async def test_after_two_repairs_the_run_fails_and_keeps_its_last_text(world: RunWorld) -> None:
    row = await run_off(
        world, say("none"), say('{"items": [1, "x"]}'), say('{"total": 1, "items": [1, "x"]}')
    )

    assert (row.status, row.error_code, row.model_calls) == ("FAILED", "OUTPUT_INVALID", 3)
    assert row.error_message == (
        "The answer does not fit the output schema: items.1: is string, but must be number."
    )
    assert (row.output, row.output_data) == ('{"total": 1, "items": [1, "x"]}', None)


async def test_repairs_are_counted_over_workers(world: RunWorld) -> None:
    gate = Gate()
    world.model.script(say("one"), say('{"total": "3"}'), [TextDelta("lost"), gate])
    async with world.process() as first:
        run_id = await world.accept(outputSchema=SUM)
        await first.execute(run_id)
        async with asyncio.timeout(20):
            await gate.reached.wait()
    world.model.script(say("three"), say("never"))

    async with world.process() as second:
        row = await world.work_off(second, run_id)

    told = [message.content for message in world.model.requests[-1].messages[-4:]]
    assert (row.status, row.error_code) == ("FAILED", "OUTPUT_INVALID")
    assert told[0::2] == ["one", '{"total": "3"}']
    assert told[3] == COMPLAINT
    assert len(world.model.scripts) == 1


async def test_a_repair_needs_room_among_the_steps(world: RunWorld) -> None:
    row = await run_off(world, say("none"), say("never"), limits={"maxSteps": 1})

    assert (row.status, row.error_code, row.output) == ("FAILED", "LIMIT_REACHED", "none")


async def test_the_offline_planner_answers_with_the_data_of_its_last_step(world: RunWorld) -> None:
    world.client = OfflineModelClient(world.clock)
    kinds: list[Any] = [
        {"type": "string"},
        {"type": "object", "required": ["noted"], "properties": {"noted": {"type": "string"}}},
        {"type": "integer"},
    ]

    async with world.process() as runner:
        rows = [
            await world.work_off(
                runner, await world.accept('note {"text": "x"}', outputSchema=schema)
            )
            for schema in kinds
        ]

    assert [row.output_data for row in rows] == ["noted x", {"noted": "noted x"}, None]
    assert [(row.status, row.error_code, row.model_calls) for row in rows] == [
        ("SUCCEEDED", None, 2),
        ("SUCCEEDED", None, 2),
        ("FAILED", "OUTPUT_INVALID", 2),
    ]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            {"properties": {"a": {"type": "text"}}},
            f"outputSchema: Use one or more of {', '.join(TYPES)}. At properties.a.type.",
        ),
        (
            {"$ref": "https://example.com/x.json"},
            "outputSchema: Refer to a place in the same schema, such as #/$defs/item. At $ref.",
        ),
        ([], "outputSchema: Give a JSON object."),
        (
            {"description": "x" * 70_000},
            "outputSchema: Use at most 65536 bytes as JSON; this has 70018.",
        ),
    ],
)
async def test_a_schema_that_cannot_be_used_is_refused_before_the_run(
    world: RunWorld, schema: Any, message: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await world.accept(outputSchema=schema)

    assert refused.value.message == message
    assert await RunRow.filter().using_db(world.database.reader).count() == 0
