"""Tasks due in the same second: one occurrence and one run each, whichever scheduler is killed."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from domain.kernel.ids import IdSource
from domain.tasks.firing import IDLE_S
from domain.tasks.schedule import next_due, read
from tests.databases import new_sqlite
from tests.due_tasks import Fetch, add_tasks, pause, reading
from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.stored import rows

PROGRAM = "tests.scheduler_program"
SMALL, FULL = 400, 10_000
LONGEST_S = 300
CLAIMED = "SELECT count(*) FROM occurrence"
STARTED = "SELECT count(*) FROM run"
UNSETTLED = """
SELECT (SELECT count(*) FROM task WHERE next_run_at <= {due_us} OR wake_at <= {due_us})
    + (SELECT count(*) FROM occurrence WHERE run_id IS NULL)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """When a process is killed: as soon as so large a share is counted."""

    counted: str
    share: float


def drawn(chance: random.Random, kills: int) -> Sequence[Kill]:
    """Moments for so many kills: the first at the first claims, half of the others later on."""
    claims = sorted([0.0, *(chance.uniform(0, 0.8) for _ in range((kills - 1) // 2))])
    starts = sorted(chance.uniform(0.1, 0.9) for _ in range(kills // 2))
    found = [Kill(counted=CLAIMED, share=share) for share in claims]
    return [*found, *(Kill(counted=STARTED, share=share) for share in starts)][:kills]


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.redis])]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Mapping[str, str]:
    """Settings of a new migrated database of each kind; with Redis where processes need it."""
    if request.param == "sqlite":
        return {"DB_URL": new_sqlite(tmp_path)}
    url = request.getfixturevalue("migrated_postgres_url")
    return {"DB_URL": url, "REDIS_URL": request.getfixturevalue("redis_url")}


sizes = pytest.mark.parametrize(
    ("tasks", "processes", "kills"),
    [
        pytest.param(SMALL, 3, 2, id="400-three-processes-two-kills"),
        pytest.param(FULL, 1, 0, id="10000-one-process", marks=pytest.mark.soak),
        pytest.param(FULL, 3, 0, id="10000-three-processes", marks=pytest.mark.soak),
        pytest.param(FULL, 1, 3, id="10000-one-process-three-kills", marks=pytest.mark.soak),
        pytest.param(FULL, 3, 6, id="10000-three-processes-six-kills", marks=pytest.mark.soak),
    ],
)


@sizes
async def test_tasks_due_in_one_second_run_once_each_whichever_scheduler_is_killed(
    tmp_path: Path,
    store: Mapping[str, str],
    chance: random.Random,
    tasks: int,
    processes: int,
    kills: int,
):
    url = store["DB_URL"]
    with schedulers(tmp_path, store, processes) as fleet:
        due_us = now_us() + round((IDLE_S + tasks / 10_000 + 0.2) * 1_000_000)
        await add_tasks(url, tasks, due_us=due_us, new_id=IdSource(now_us))
        async with reading(url) as fetch:
            left = [
                await killed(fleet[number % processes], fetch, kill, tasks)
                for number, kill in enumerate(drawn(chance, kills))
            ]
            await until(fetch, UNSETTLED.format(due_us=due_us), lambda count: count == 0)
        ended = [await asyncio.to_thread(stopped, process) for process in fleet]

    assert left == [] or left[0] > 0
    assert ended == [0] * processes
    assert [process.err for process in fleet if TRACEBACK in process.err] == []
    await check_tasks(url, tasks, due_us)
    await check_events(url)


@contextmanager
def schedulers(
    folder: Path, store: Mapping[str, str], count: int
) -> Generator[Sequence[GobProcess], None, None]:
    """So many processes that fire tasks, all ready."""
    with ExitStack() as stack:
        found = [
            GobProcess(folder / f"scheduler-{n}", store, arguments=["worker"], module=PROGRAM)
            for n in range(count)
        ]
        for process in found:
            stack.callback(process.close)
            process.spawn()
        for process in found:
            process.wait_until_ready()
        yield found


async def killed(process: GobProcess, fetch: Fetch, kill: Kill, tasks: int) -> int:
    """Kill a process at its moment and start it again; how many runs were not there yet."""
    await until(fetch, kill.counted, lambda count: count > kill.share * tasks)
    process.kill()
    left = tasks - (await fetch(STARTED))[0][0]
    process.spawn()
    return left


async def until(fetch: Fetch, counted: str, is_enough: Callable[[int], bool]) -> None:
    """Look again and again, since a database tells nobody of its changes."""
    async with asyncio.timeout(LONGEST_S):
        while not is_enough((await fetch(counted))[0][0]):
            await pause(0.001)


def stopped(process: GobProcess) -> int:
    """Let a process get ready, so that it has looked for what is due, and end."""
    process.wait_until_ready()
    return process.stop()


async def check_tasks(url: str, tasks: int, due_us: int) -> None:
    """Each task has one occurrence of that moment, one run, and the time that comes after it."""
    sql = (
        "SELECT task.id, schedule, next_run_at, wake_at, scheduled_for, occurrence.status,"
        " attempts, run.status FROM task JOIN occurrence ON occurrence.task_id = task.id"
        " JOIN run ON run.id = occurrence.run_id AND run.occurrence_id = occurrence.id"
        " AND run.task_id = task.id"
    )
    found = await rows(url, sql)
    counts = [
        (await rows(url, f"SELECT count(*) FROM {table}"))[0][0]
        for table in ("task", "occurrence", "run", "conversation", "message")
    ]
    assert counts == [tasks] * 5
    assert len({task_id for task_id, *_ in found}) == len(found) == tasks
    assert {row[4:] for row in found} == {(due_us, "RUNNING", 1, "QUEUED")}
    following = {row[1]: next_due(read(json.loads(row[1])), after_us=due_us) for row in found}
    assert [row for row in found if not following[row[1]] == row[2] == row[3]] == []


async def check_events(url: str) -> None:
    """The cursors have no gap, and each occurrence was told."""
    told = await rows(url, "SELECT cursor, type, data FROM event ORDER BY cursor")
    occurrences = await rows(url, "SELECT id FROM occurrence")
    heads = await rows(url, "SELECT cursor FROM event_head")

    assert [cursor for cursor, *_ in told] == list(range(1, len(told) + 1))
    assert heads == [(len(told),)]
    assert {kind for _, kind, _ in told} == {"TaskUpdate"}
    assert {json.loads(data)["occurrenceId"] for *_, data in told} == {
        row[0] for row in occurrences
    }


def now_us() -> int:
    """The moment by the clock of this machine, which the databases share."""
    return time.time_ns() // 1000
