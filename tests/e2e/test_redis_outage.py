"""Redis gone in mid-stream: streams go on from the table, nothing is missed or doubled."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.graphql_client import Client, is_delta, numbers, text_of
from tests.server_processes import RedisServer

pytestmark = [pytest.mark.postgres, pytest.mark.redis]

OUTAGES = [
    pytest.param(2, 120, id="2-seconds"),
    pytest.param(10, 400, id="10-seconds", marks=pytest.mark.soak),
]


async def passed(client: Client, tokens: int) -> None:
    """Wait as long as a run that waits for nobody takes: twenty tokens a second."""
    instruction = f'{{"tokens": {tokens}, "delay_s": 0.05}}'
    run = await client.execute(instruction, waitSeconds=60)
    assert run["status"] == "SUCCEEDED"


@pytest.mark.parametrize(("seconds", "tokens"), OUTAGES)
async def test_redis_can_go_and_come_back_in_mid_stream(
    tmp_path: Path, postgres_url: str, redis_server: RedisServer, seconds: int, tokens: int
):
    settings = {
        "DB_URL": postgres_url,
        "MIGRATE": "auto",
        "REDIS_URL": redis_server.url,
        "MODEL_PROVIDER": "simulated",
    }
    words = "".join(f"token-{number} " for number in range(1, tokens + 1))
    with (
        GobProcess(tmp_path / "api", settings) as api,
        GobProcess(tmp_path / "worker", settings, arguments=["worker"]) as worker,
    ):
        async with Client.of(api) as client:
            run = await client.execute(f'{{"tokens": {tokens}, "delay_s": 0.05}}')
            seen = await client.events_until(run["id"], is_delta)
            watching = asyncio.create_task(client.story(run["id"]))
            redis_server.kill()
            # Inline runs need no Redis, and each shows that time went by without it.
            await passed(client, 20 * seconds)
            accepted_meanwhile = await client.execute('{"tokens": 3}')
            redis_server.start()
            story = await watching
            meanwhile = await client.story(accepted_meanwhile["id"])
            after = await client.execute('{"tokens": 3}')
            afterwards = await client.story(after["id"])
            ended = await client.run(run["id"])

    assert seen[-1]["seq"] in numbers(story)
    assert (ended["status"], ended["attempt"]) == ("SUCCEEDED", 1)
    assert numbers(story) == list(range(1, story[-1]["seq"] + 1))
    assert text_of(story) == ended["output"] == words
    assert [items[-1]["__typename"] for items in (meanwhile, afterwards)] == ["RunFinished"] * 2
    assert TRACEBACK not in api.err + worker.err
