"""Two servers and a worker over one PostgreSQL and one Redis: any door shows any run."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.gob_process import TRACEBACK, GobProcess, run_gob
from tests.e2e.graphql_client import Client, is_delta, numbers, text_of
from tests.e2e.stored import new_database
from tests.server_processes import PostgresServer, RedisServer

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.redis,
    pytest.mark.asyncio(loop_scope="module"),
]

# Short leases: what a dead process held is taken over after two seconds, not six.
QUICK = {
    "MODEL_PROVIDER": "simulated",
    "LEASE_S": "2",
    "LEASE_GIVE_UP_S": "1.5",
    "LEASE_RENEW_S": "0.3",
    "SWEEP_INTERVAL_S": "0.2",
}

WORDS = "".join(f"token-{number} " for number in range(1, 26))
WORDS_TO_SAY = '{"tokens": 25, "delay_s": 0.06}'
ENDLESS = '{"tokens": 10000, "delay_s": 0.05}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Servers `one` and `two`, and the worker."""

    one: GobProcess
    two: GobProcess
    worker: GobProcess
    settings: Mapping[str, str]

    @property
    def all(self) -> tuple[GobProcess, ...]:
        """The three processes."""
        return (self.one, self.two, self.worker)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(
    postgres_server: PostgresServer,
    shared_redis: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator[Fleet, None]:
    """Migrated as an operator does it, then started one by one."""
    folder: Path = tmp_path_factory.mktemp("fleet")
    async with new_database(postgres_server) as url:
        settings = {**QUICK, "DB_URL": url, "REDIS_URL": shared_redis.url}
        assert run_gob(folder / "migrating", "migrate", settings=settings).code == 0
        with (
            GobProcess(folder / "one", settings) as one,
            GobProcess(folder / "two", settings) as two,
            GobProcess(folder / "worker", settings, arguments=["worker"]) as worker,
        ):
            fleet = Fleet(one=one, two=two, worker=worker, settings=settings)
            yield fleet
        assert [process for process in fleet.all if TRACEBACK in process.err] == []


def wait_for_end(process: GobProcess, run: Mapping[str, Any], event: str = "run.ended") -> None:
    """Wait until that process has said the end of that run."""
    trace_id = run["traceId"]
    process.wait_for(lambda: trace_id in traces(process, event), f"the end of {trace_id}")


def traces(process: GobProcess, event: str = "run.ended") -> set[str]:
    """Of which runs that process has said the end."""
    return {line["trace_id"] for line in process.named(event)}


async def test_a_run_accepted_by_one_is_done_by_the_worker_and_streamed_by_the_other(fleet: Fleet):
    async with Client.of(fleet.one) as one, Client.of(fleet.two) as two:
        run = await one.execute(WORDS_TO_SAY)
        live = await two.story(run["id"])
        replayed = await one.story(run["id"])
        tokens = [piece async for piece in two.tokens(run["id"])]
        ended = await two.run(run["id"])
    wait_for_end(fleet.worker, run)

    assert (ended["status"], ended["output"]) == ("SUCCEEDED", WORDS)
    assert numbers(live) == numbers(replayed) == list(range(1, live[-1]["seq"] + 1))
    assert text_of(live) == text_of(replayed) == "".join(p["text"] for p in tokens) == WORDS
    assert len([item for item in live if is_delta(item)]) > 10
    assert run["traceId"] not in traces(fleet.one) | traces(fleet.two)


async def test_a_caller_that_waits_has_its_run_in_its_own_server_and_the_other_streams_it(
    fleet: Fleet,
):
    async with Client.of(fleet.one) as one, Client.of(fleet.two) as two:
        run = await one.execute(WORDS_TO_SAY, waitSeconds=1)
        seen = await two.story(run["id"])
    wait_for_end(fleet.one, run)

    assert run["status"] == "RUNNING"
    assert text_of(seen) == WORDS
    assert run["traceId"] not in traces(fleet.worker) | traces(fleet.two)


CREATE = """
mutation ($input: CreateAgentInput!) {
  createAgent(input: $input) { ... on AgentSuccess { agent { id } } ... on Error { message } }
}
"""
HANDED_OVER = """
query ($id: ID!) {
  run(id: $id) {
    status output
    steps { nodes { ... on DelegationStep { child { output parent { id } } } } }
  }
}
"""


async def test_work_is_handed_from_agent_to_agent_over_processes_without_a_key(fleet: Fleet):
    planner = {"provider": "offline", "name": "planner"}
    async with Client.of(fleet.one) as one, Client.of(fleet.two) as two:
        asked: list[str] = []
        for name in ("Writer", "Checker", "Lead"):
            values = {"name": name, "model": planner, "delegateIds": asked}
            made = await one.ask(CREATE, {"input": values})
            asked = [*asked, made["createAgent"]["agent"]["id"]]
        words = "Let the writer calculate 6 * 7 and the checker calculate 2 + 2"
        run = await two.execute(words, agent={"slug": "lead"}, waitSeconds=30)
        shown = (await one.ask(HANDED_OVER, {"id": run["id"]}))["run"]
    wait_for_end(fleet.worker, run)

    children = [step["child"] for step in shown["steps"]["nodes"] if step]
    assert run["status"] == shown["status"] == "SUCCEEDED"
    assert shown["output"] == "1. writer: 6 * 7 = 42\n2. checker: 2 + 2 = 4"
    assert [child["output"] for child in children] == ["6 * 7 = 42", "2 + 2 = 4"]
    assert {child["parent"]["id"] for child in children} == {run["id"]}


async def test_cancelling_at_the_other_server_stops_the_worker_and_keeps_the_text(fleet: Fleet):
    async with Client.of(fleet.one) as one, Client.of(fleet.two) as two:
        run = await one.execute(ENDLESS)
        await one.events_until(run["id"], is_delta)
        answer = await two.cancel(run["id"], "enough")
        story = await one.story(run["id"])
        ended = await two.run(run["id"])
    wait_for_end(fleet.worker, run, "run.cancelled")

    assert (answer["__typename"], ended["status"]) == ("RunSuccess", "CANCELLED")
    assert ended["statusReason"] == "enough"
    assert ended["output"].startswith("token-1 ")
    assert ended["output"] == story[-1]["output"] == text_of(story)
    assert (story[-1]["__typename"], story[-1]["status"]) == ("RunFinished", "CANCELLED")


async def test_the_run_of_a_worker_that_dies_is_finished_by_another(fleet: Fleet, tmp_path: Path):
    second = GobProcess(tmp_path, fleet.settings, arguments=["worker"])
    async with Client.of(fleet.one) as one:
        run = await one.execute(WORDS_TO_SAY)
        seen = await one.events_until(run["id"], is_delta)
        fleet.worker.kill()
        with second:
            rest = await one.story(run["id"], seen[-1]["cursor"])
            wait_for_end(second, run)
        ended = await one.run(run["id"])
        fleet.worker.start()

    assert (ended["status"], ended["output"], ended["attempt"]) == ("SUCCEEDED", WORDS, 2)
    assert numbers([*seen, *rest]) == list(range(1, rest[-1]["seq"] + 1))
    assert text_of([*seen, *rest]) == WORDS


async def test_the_run_of_a_server_that_dies_while_its_caller_waits_is_finished_by_the_worker(
    fleet: Fleet,
):
    async with Client.of(fleet.one) as one, Client.of(fleet.two) as two:
        run = await one.execute(WORDS_TO_SAY, waitSeconds=1)
        fleet.one.kill()
        story = await two.story(run["id"])
        ended = await two.run(run["id"])
    wait_for_end(fleet.worker, run)
    fleet.one.start()

    assert (story[-1]["__typename"], text_of(story)) == ("RunFinished", WORDS)
    assert (ended["status"], ended["attempt"]) == ("SUCCEEDED", 2)


async def test_a_background_run_of_a_conversation_ends_well_and_leaves_its_messages(fleet: Fleet):
    make = (
        "mutation { createConversation(input: {})"
        " { ... on ConversationSuccess { conversation { id } } } }"
    )
    read = "query($id: ID!) { conversation(id: $id) { messages { nodes { role content } } } }"
    async with Client.of(fleet.two) as client:
        conversation = (await client.ask(make))["createConversation"]["conversation"]["id"]
        for _ in range(2):
            run = await client.execute(WORDS_TO_SAY, conversationId=conversation)
            story = await client.story(run["id"])
        messages = await client.ask(read, {"id": conversation})

    assert story[-1]["__typename"] == "RunFinished"
    said = messages["conversation"]["messages"]["nodes"]
    assert [message["role"] for message in said] == ["USER", "ASSISTANT"] * 2
    assert {m["content"] for m in said if m["role"] == "ASSISTANT"} == {WORDS}
