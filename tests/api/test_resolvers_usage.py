"""Use and output schemas through the API, over the real engine with a scripted model."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from domain.access.scopes import Scope
from domain.kernel.database import Statement
from schema.ids import Kind, encode_id
from tests.api.api_world import ApiWorld, api_world
from tests.fakes import call, say

USAGE = """
query ($input: UsageInput!) { usage(input: $input) {
  total { inputTokens outputTokens cachedTokens reasoningTokens modelCalls toolCalls costUsd }
  rows { agent { slug } task { id } model period runs usage { inputTokens costUsd } }
} }
"""
EXECUTE = """
mutation ($input: ExecuteAgentInput!) { executeAgent(input: $input) {
  __typename
  ... on RunSuccess { run { status output outputData error { code message } } }
  ... on ValidationFailed { fields { path message } }
  ... on QuotaExceeded { quota limit retryAfterSeconds }
} }
"""
DO = {"agent": {"slug": "default"}, "instruction": "do it", "waitSeconds": 10}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


async def used(world: ApiWorld, **given: Any) -> dict[str, Any]:
    return (await world.ask(USAGE, input=given))["usage"]


async def executed(world: ApiWorld, **given: Any) -> dict[str, Any]:
    return (await world.ask(EXECUTE, input={**DO, **given}))["executeAgent"]


async def test_use_is_told_by_day_where_nothing_else_is_asked(world: ApiWorld):
    await world.execute(call("note", '{"text": "x"}'), say("ok"))

    report = await used(world)

    assert report == {
        "total": {
            "inputTokens": 15,
            "outputTokens": 4,
            "cachedTokens": 0,
            "reasoningTokens": 0,
            "modelCalls": 2,
            "toolCalls": 1,
            "costUsd": None,
        },
        "rows": [
            {
                "agent": None,
                "task": None,
                "model": None,
                "period": "2023-11-14T00:00:00.000Z",
                "runs": 1,
                "usage": {"inputTokens": 15, "costUsd": None},
            }
        ],
    }


async def test_rows_name_the_agent_the_task_and_the_model(world: ApiWorld):
    run = await world.execute(say("ok"))
    task_id = "019aabcd-ef12-7456-9abc-def012345678"
    sql = "UPDATE run SET task_id = $1"
    await world.runs.database.write([Statement(sql, (task_id,))])

    [row] = (await used(world, groupBy=["TASK", "AGENT", "MODEL"]))["rows"]
    none = await used(world, taskId=encode_id(Kind.TASK, "019aabcd-ef12-7456-9abc-def012345670"))

    assert run["status"] == "SUCCEEDED"
    assert (row["agent"], row["task"], row["model"]) == ({"slug": "default"}, None, "scripted:m1")
    assert none["rows"] == []


async def test_two_periods_at_once_are_an_error_that_names_the_field(world: ApiWorld):
    answer = await world.answer(USAGE, input={"groupBy": ["DAY", "MONTH"]})

    [error] = answer["errors"]
    assert answer["data"] is None
    assert error["message"] == "groupBy: Use one of HOUR, DAY and MONTH, not DAY and MONTH."
    assert error["extensions"]["code"] == "VALIDATION_FAILED"


async def test_use_is_told_to_those_who_may_read_runs(world: ApiWorld):
    answer = await world.answer(USAGE, caller=world.caller(Scope.AGENTS_READ), input={})

    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]


async def test_an_answer_comes_as_data_where_a_schema_is_given(world: ApiWorld):
    world.runs.model.script(say('{"total": 3}'))

    done = await executed(world, outputSchema={"required": ["total"]})

    assert done["run"] == {
        "status": "SUCCEEDED",
        "output": '{"total": 3}',
        "outputData": {"total": 3},
        "error": None,
    }


async def test_a_schema_that_cannot_be_used_is_refused_by_name(world: ApiWorld):
    done = await executed(world, outputSchema={"type": "text"})

    assert done["__typename"] == "ValidationFailed"
    assert [field["path"] for field in done["fields"]] == [["outputSchema"]]
    assert (await world.ask("{ runs { nodes { id } } }"))["runs"]["nodes"] == []


async def test_a_budget_that_is_used_up_is_told_with_the_wait(world: ApiWorld):
    rule = {
        "statement": "One run an hour",
        "effect": {"limit": {"metric": "RUNS", "maximum": 1, "window": "HOUR"}},
    }
    adjusted = await world.ask(
        "mutation ($input: AdjustBehaviorInput!) { adjustBehavior(input: $input) { __typename } }",
        input={"add": [rule]},
    )
    await world.execute(say("ok"))

    done = await executed(world)

    assert adjusted["adjustBehavior"]["__typename"] == "AdjustBehaviorSuccess"
    assert done == {
        "__typename": "QuotaExceeded",
        "quota": "runs.hour",
        "limit": 1.0,
        "retryAfterSeconds": 2800,
    }
