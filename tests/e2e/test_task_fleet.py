"""Tasks over Dramatiq while Redis is emptied and killed, and both workers are: each has its run."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from domain.kernel.ids import IdSource
from domain.runs.state import LAST_EVENTS
from domain.tasks.firing import IDLE_S
from tests.due_tasks import Fetch, add_tasks, pause, reading
from tests.e2e.gob_process import GobProcess
from tests.e2e.ledger import PROGRAM, effects_in
from tests.e2e.stored import rows, stories
from tests.server_processes import RedisServer

pytestmark = [pytest.mark.postgres, pytest.mark.redis]

SMALL, FULL = 60, 2_000
LONGEST_S = 600
SETTINGS = {
    "MODEL_PROVIDER": "simulated",
    "RUN_CAPACITY": "6",
    "LEASE_S": "2",
    "LEASE_GIVE_UP_S": "1.5",
    "LEASE_RENEW_S": "0.3",
    "SWEEP_INTERVAL_S": "0.3",
}
ENDED = "SELECT count(*) FROM occurrence WHERE status NOT IN ('QUEUED', 'RUNNING')"
AT_WORK = """
SELECT run.instruction FROM run_step JOIN run ON run.id = run_id
WHERE run_step.status = 'RUNNING' AND name = 'ledger_note'
"""
OUTCOMES = """
SELECT occurrence.status, attempts, run.status, run.output, count(*)
FROM task JOIN occurrence ON occurrence.task_id = task.id
    JOIN run ON run.id = occurrence.run_id AND run.occurrence_id = occurrence.id
GROUP BY 1, 2, 3, 4
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Two workers, each with a scheduler, and the Redis between them."""

    workers: Sequence[GobProcess]
    redis: RedisServer


def empty_redis(fleet: Fleet) -> None:
    """Every hint is gone."""
    fleet.redis.empty()


def restart_redis(fleet: Fleet) -> None:
    """Connections and hints are gone."""
    fleet.redis.restart()


def kill_both_workers(fleet: Fleet) -> None:
    """As a power cut would: for a while nobody fires and nobody works."""
    for worker in fleet.workers:
        worker.kill()


Trouble = Callable[[Fleet], None]
TROUBLES: Sequence[Trouble] = (empty_redis, kill_both_workers, restart_redis)


def note(number: int) -> str:
    """An instruction that notes an entry of the ledger."""
    tool = {"name": "ledger_note", "arguments": {"entry": f"task-{number}"}}
    return json.dumps({"tokens": 2, "tool": tool})


def entry_of(instruction: str) -> str:
    """The entry that an instruction is about."""
    return json.loads(instruction)["tool"]["arguments"]["entry"]


@pytest.mark.parametrize("tasks", [SMALL, pytest.param(FULL, marks=pytest.mark.soak)])
async def test_every_task_has_its_run_and_its_effect_whatever_is_killed(
    tmp_path: Path,
    migrated_postgres_url: str,
    redis_server: RedisServer,
    chance: random.Random,
    tasks: int,
):
    url, ledger = migrated_postgres_url, tmp_path / "ledger"
    settings = {
        **SETTINGS,
        "DB_URL": url,
        "REDIS_URL": redis_server.url,
        "LEDGER_FILE": str(ledger),
    }
    with ExitStack() as stack:
        workers = [
            GobProcess(tmp_path / name, settings, arguments=["worker"], module=PROGRAM)
            for name in ("one", "two")
        ]
        for worker in workers:
            stack.callback(worker.close)
            worker.spawn()
        for worker in workers:
            worker.wait_until_ready()
        due_us = now_us() + round((IDLE_S + tasks / 10_000 + 0.2) * 1_000_000)
        new_id = IdSource(now_us)
        await add_tasks(url, tasks, due_us=due_us, new_id=new_id, instruction=note)
        async with reading(url) as fetch:
            fleet = Fleet(workers=workers, redis=redis_server)
            repeated = await troubled(fleet, fetch, chance, tasks)
            await until_ended(fetch, tasks)

    answer = "token-1 token-2 "
    assert await rows(url, OUTCOMES) == [("SUCCEEDED", 1, "SUCCEEDED", answer, tasks)]
    counts = [
        (await rows(url, f"SELECT count(*) FROM {table}"))[0][0]
        for table in ("task", "occurrence", "run")
    ]
    assert counts == [tasks] * 3
    effects = effects_in(ledger, "note")
    assert set(effects) == {f"task-{number}" for number in range(tasks)}
    # A call that may be repeated is made again when its process died in the middle of it.
    assert {entry for entry, count in effects.items() if count > 1} <= repeated
    for story in (await stories(url)).values():
        kinds = [kind for _, kind in story]
        assert [seq for seq, _ in story] == list(range(1, len(story) + 1))
        assert kinds.count("ToolCallFinished") == 1
        assert [kind for kind in kinds if kind in LAST_EVENTS] == kinds[-1:] == ["RunFinished"]
    crashed = [line["exception"] for gob in workers for line in gob.lines if "exception" in line]
    assert crashed == []


async def troubled(fleet: Fleet, fetch: Fetch, chance: random.Random, tasks: int) -> set[str]:
    """Let each trouble come when so many are done; the entries at work when the workers died."""
    shares = sorted(chance.uniform(0.05, 0.7) for _ in TROUBLES)
    at_work: set[str] = set()
    for trouble, share in zip(TROUBLES, shares, strict=True):
        await until_ended(fetch, share * tasks)
        trouble(fleet)
        if trouble is kill_both_workers:
            at_work = {entry_of(row[0]) for row in await fetch(AT_WORK)}
            for worker in fleet.workers:
                worker.spawn()
    return at_work


async def until_ended(fetch: Fetch, least: float) -> None:
    """Look again and again until so many occurrences have ended."""
    async with asyncio.timeout(LONGEST_S):
        while (await fetch(ENDED))[0][0] < least:
            await pause(0.01)


def now_us() -> int:
    """The moment by the clock of this machine, which the database shares."""
    return time.time_ns() // 1000
