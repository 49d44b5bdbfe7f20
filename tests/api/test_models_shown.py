"""What clients see of models: who answered, who failed, and what it cost; by every door."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from domain.models.ports import ModelError, ModelErrorKind, TextDelta
from domain.models.prices import Price, Prices, Rates
from tests.api.rest_world import ROOT, RestWorld, rest_world
from tests.fakes import Act, say

PRICES = Prices(
    {
        "scripted:m1": Price(rates=Rates.per_million(1, 2)),
        "scripted:m2": Price(rates=Rates.per_million(3, 4)),
    }
)
AWAY = ModelError(ModelErrorKind.UNAVAILABLE, "It is away.")
RUN = """
query ($id: ID!) { run(id: $id) {
  error { code message }
  usage { modelCalls costUsd }
  totalUsage { costUsd }
  steps { nodes { id status error { message }
    ... on ModelCallStep { model { provider name parameters } text usage { costUsd } }
  } }
} }
"""
EVENTS = """
subscription ($id: ID!) { runEvents(runId: $id) {
  __typename
  ... on Retrying { attempt voidedStepId error { message } }
  ... on UsageUpdated { usage { costUsd } }
  ... on RunFinished { usage { costUsd } }
} }
"""
TOKENS = "subscription ($id: ID!) { agentTokens(runId: $id) { text reset } }"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[RestWorld, None]:
    async with rest_world(tmp_path, prices=PRICES) as built:
        yield built


async def careful(world: RestWorld, *scripts: list[Act], **given: Any) -> dict[str, Any]:
    """Let an agent with a fallback carry something out; the run over REST."""
    second = {"provider": "scripted", "name": "m2", "parameters": {"temperature": 0}}
    await world.api.runs.agents.create(
        world.api.runs.principal, {"name": "Careful", "fallbackModels": [second]}
    )
    answer = await world.execute(*scripts, agent={"slug": "careful"}, **given)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_run_shows_each_model_that_was_asked_and_what_it_cost(world: RestWorld) -> None:
    run = await careful(world, [TextDelta("Half"), AWAY], say("whole"))

    shown = (await world.api.ask(RUN, id=run["id"]))["run"]

    failed, answered = shown["steps"]["nodes"]
    assert (failed["status"], failed["error"]["message"]) == ("FAILED", "It is away.")
    assert failed["model"] == {"provider": "scripted", "name": "m1", "parameters": {}}
    assert (failed["text"], failed["usage"]["costUsd"]) == ("Half", None)
    assert answered["status"] == "SUCCEEDED"
    assert answered["model"] == {
        "provider": "scripted",
        "name": "m2",
        "parameters": {"temperature": 0},
    }
    assert (answered["text"], answered["usage"]["costUsd"]) == ("whole", 0.000042)
    assert shown["usage"] == {"modelCalls": 2, "costUsd": None}
    assert shown["totalUsage"] == {"costUsd": None}
    assert run["usage"]["costUsd"] is None


async def test_a_stream_says_whose_text_is_void_and_who_goes_on(world: RestWorld) -> None:
    run = await careful(world, [TextDelta("Half"), AWAY], say("whole"))

    events = [each["runEvents"] for each in await world.api.listen(EVENTS, id=run["id"])]
    tokens = [each["agentTokens"] for each in await world.api.listen(TOKENS, id=run["id"])]

    failed = (await world.api.ask(RUN, id=run["id"]))["run"]["steps"]["nodes"][0]["id"]
    assert [each for each in events if each["__typename"] == "Retrying"] == [
        {
            "__typename": "Retrying",
            "attempt": 2,
            "voidedStepId": failed,
            "error": {"message": "It is away; goes on with scripted:m2."},
        }
    ]
    assert [(each["reset"], each["text"]) for each in tokens] == [
        (False, "Half"),
        (True, ""),
        (False, "whole"),
    ]


async def test_a_price_that_is_known_is_the_same_by_every_door(world: RestWorld) -> None:
    run = await careful(world, [AWAY], say("whole"))

    shown = (await world.api.ask(RUN, id=run["id"]))["run"]
    events = [each["runEvents"] for each in await world.api.listen(EVENTS, id=run["id"])]
    told = await world.client.get(f"{ROOT}/runs/{run['id']}")

    costs = [each["usage"]["costUsd"] for each in events if "usage" in each]
    assert costs == [0.0, 0.000042, 0.000042]
    assert shown["usage"]["costUsd"] == shown["totalUsage"]["costUsd"] == 0.000042
    assert run["usage"]["costUsd"] == told.json()["usage"]["costUsd"] == 0.000042


async def test_a_fallback_of_a_run_with_a_model_of_its_own_shows_its_own_parameters(
    world: RestWorld,
) -> None:
    own = {"provider": "scripted", "name": "m1", "parameters": {"temperature": 1}}
    run = await careful(world, [AWAY], say("whole"), model=own)

    shown = (await world.api.ask(RUN, id=run["id"]))["run"]

    assert [each["model"]["parameters"] for each in shown["steps"]["nodes"]] == [
        {"temperature": 1},
        {"temperature": 0},
    ]


async def test_a_limit_in_money_without_a_price_is_refused_by_every_door(world: RestWorld) -> None:
    given = {
        "agent": {"slug": "default"},
        "instruction": "do it",
        "model": {"provider": "scripted", "name": "odd"},
        "limits": {"maxCostUsd": 1},
    }
    document = """
    mutation ($input: ExecuteAgentInput!) { executeAgent(input: $input) {
      ... on ValidationFailed { path message }
    } }
    """

    refused = await world.client.post(f"{ROOT}/agents/execute", json=given)
    shown = (await world.api.ask(document, input=given))["executeAgent"]

    assert refused.status_code == 422
    assert shown["path"] == ["limits", "maxCostUsd"]
    assert "No price is known for scripted:odd" in shown["message"]
    assert "No price is known for scripted:odd" in refused.text
    assert await world.run_count() == 0
