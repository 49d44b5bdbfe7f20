"""Behavior adjusted while a run goes on: in its next step, in whichever process it runs."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.gob_process import TRACEBACK, GobProcess, run_gob
from tests.e2e.graphql_client import Client
from tests.e2e.stored import rows
from tests.ports.acts import Call, Done, Finish, Usage, Wait
from tests.ports.scripted_openai import ScriptedOpenAI
from tests.ports.scripted_stage import ReceivedRequest

ADJUST = """
mutation ($input: AdjustBehaviorInput!) { adjustBehavior(input: $input) {
  ... on AdjustBehaviorSuccess { profile { version } diff { added { id } } }
} }
"""
EVENTS = """
subscription ($after: String) {
  events(after: $after, filter: { types: [BEHAVIOR_UPDATE] }) {
    ... on BehaviorUpdate { version { version rules { statement } } }
  }
}
"""
FOLLOWED = "query ($id: ID!) { run(id: $id) { behaviorVersions { version profile { name } } } }"


@dataclass(frozen=True, kw_only=True)
class Home:
    """The server that clients talk to, where it keeps its data, and the model it asks."""

    server: GobProcess
    url: str
    provider: ScriptedOpenAI


def model_settings(provider: ScriptedOpenAI) -> Mapping[str, str]:
    return {
        "MODEL_PROVIDER": "openai",
        "OPENAI_BASE_URL": provider.base_url,
        "OPENAI_API_KEY": "sk-scripted",
        "MODEL_NAME": "scripted-1",
    }


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("server", marks=[pytest.mark.postgres, pytest.mark.redis]),
    ]
)
async def home(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Home, None]:
    """One process; or a server whose background runs are the worker's, over two databases."""
    is_embedded = request.param == "embedded"
    url = f"sqlite:///{tmp_path / 'gob.db'}"
    more: dict[str, str] = {}
    if not is_embedded:
        url = request.getfixturevalue("postgres_url")
        more["REDIS_URL"] = request.getfixturevalue("redis_url")
    async with ScriptedOpenAI() as provider, AsyncExitStack() as stack:
        settings = {"DB_URL": url, **model_settings(provider), **more}
        if not is_embedded:
            assert run_gob(tmp_path / "migrating", "migrate", settings=settings).code == 0
        processes = [stack.enter_context(GobProcess(tmp_path / "server", settings))]
        if not is_embedded:
            worker = GobProcess(tmp_path / "worker", settings, arguments=["worker"])
            processes.append(stack.enter_context(worker))
        yield Home(server=processes[0], url=url, provider=provider)
        assert [process for process in processes if TRACEBACK in process.err] == []


def rules_in(request: ReceivedRequest) -> list[str]:
    """The rules that a model was told."""
    first = request.body["messages"][0]
    assert first["role"] == "system"
    return [line for line in first["content"].splitlines() if line.startswith("- ")]


async def test_what_is_adjusted_while_a_run_goes_on_is_in_its_next_step(home: Home):
    go_on, provider = asyncio.Event(), home.provider
    provider.script(
        Wait(go_on),
        Call("calculate", '{"expression": "2*21"}'),
        Finish("tool_calls"),
        Usage(),
        Done(),
    )
    provider.answer("It is 42.")
    async with Client.of(home.server) as client:
        run = await client.execute("What is 2*21?")
        first = await provider.received(1)
        (started,) = await client.events_until(run["id"], lambda item: True)

        given = {"add": [{"statement": "Rhyme."}, {"statement": "Be kind.", "priority": 90}]}
        adjusted = (await client.ask(ADJUST, {"input": given}))["adjustBehavior"]
        go_on.set()
        story = await client.story(run["id"])
        second = await provider.received(2)
        async with aclosing(client.subscribe(EVENTS, {"after": started["cursor"]})) as events:
            told = (await anext(events))["events"]
        followed = (await client.ask(FOLLOWED, {"id": run["id"]}))["run"]

    assert story[-1]["output"] == "It is 42."
    assert adjusted["profile"] == {"version": 1}
    assert rules_in(first) == []
    assert rules_in(second) == ["- Be kind.", "- Rhyme."]
    statements = [{"statement": "Be kind."}, {"statement": "Rhyme."}]
    assert told == {"version": {"version": 1, "rules": statements}}
    assert followed["behaviorVersions"] == [{"version": 1, "profile": {"name": "default"}}]
    [(version_id,)] = await rows(home.url, "SELECT id FROM behavior_version")
    steps = await rows(home.url, "SELECT kind, behavior_version_id FROM run_step ORDER BY position")
    assert steps == [
        ("MODEL_CALL", None),
        ("TOOL_CALL", version_id),
        ("MODEL_CALL", version_id),
    ]
