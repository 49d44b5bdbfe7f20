"""The sweeper hints what was forgotten, and the housekeeper cleans up, whatever fails."""

import asyncio

import pytest
from structlog.testing import capture_logs

from domain.kernel.database import Database
from domain.kernel.errors import Unavailable
from tests.fakes import HintedQueue, SteppedClock, say
from tests.run_world import run_world
from workers.sweeper import BATCH, Housekeeper, Sweeper


class Forgotten:
    """Due rows: each is given once, as rows are that were hinted a moment ago."""

    def __init__(self, count: int) -> None:
        self.idents = [f"run_{number}" for number in range(count)]
        self.asked: asyncio.Queue[int] = asyncio.Queue()
        self.failure: Exception | None = None

    async def __call__(self, limit: int) -> list[str]:
        self.asked.put_nowait(limit)
        if self.failure is not None:
            raise self.failure
        given, self.idents = self.idents[:limit], self.idents[limit:]
        return given

    async def next_limit(self) -> int:
        async with asyncio.timeout(5):
            return await self.asked.get()


def sweeper_of(
    forgotten: Forgotten, queue: HintedQueue, clock: SteppedClock, *, due: Forgotten | None = None
) -> Sweeper:
    return Sweeper(
        due=due or Forgotten(0),
        forgotten=forgotten,
        job="runs.execute",
        queue=queue,
        clock=clock,
        interval_s=2.0,
    )


async def test_everything_forgotten_is_hinted_batch_by_batch() -> None:
    forgotten, queue = Forgotten(2 * BATCH + 50), HintedQueue()
    expected = [("runs.execute", ident) for ident in forgotten.idents]
    sweeper = sweeper_of(forgotten, queue, SteppedClock())

    with capture_logs() as logs:
        counts = [await sweeper.sweep() for _ in range(4)]

    assert counts == [BATCH, BATCH, 50, 0]
    assert queue.hints == expected
    assert [(line["event"], line["job"], line["count"]) for line in logs] == [
        ("sweep.hinted", "runs.execute", BATCH),
        ("sweep.hinted", "runs.execute", BATCH),
        ("sweep.hinted", "runs.execute", 50),
    ]


async def test_a_sweeper_sweeps_at_its_start_and_whenever_its_interval_has_passed() -> None:
    forgotten, queue, clock = Forgotten(BATCH + 1), HintedQueue(), SteppedClock()
    task = asyncio.create_task(sweeper_of(forgotten, queue, clock).run())

    assert await forgotten.next_limit() == BATCH
    assert len(queue.hints) == BATCH
    clock.move(1.9)
    await asyncio.sleep(0)
    assert forgotten.asked.empty()
    clock.move(0.1)
    assert await forgotten.next_limit() == BATCH
    assert len(queue.hints) == BATCH + 1

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_sweeper_hints_at_its_start_what_another_was_told_of() -> None:
    due, forgotten, queue = Forgotten(3), Forgotten(0), HintedQueue()
    clock = SteppedClock()
    task = asyncio.create_task(sweeper_of(forgotten, queue, clock, due=due).run())
    for _ in range(2):
        await forgotten.next_limit()
        clock.move(2)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [ident for _, ident in queue.hints] == ["run_0", "run_1", "run_2"]
    assert due.asked.qsize() == 1


async def test_a_sweep_that_fails_hints_nothing_is_said_and_the_next_one_goes_on() -> None:
    forgotten, queue, clock = Forgotten(1), HintedQueue(), SteppedClock()
    forgotten.failure = Unavailable("The database cannot be reached.")
    with capture_logs() as logs:
        task = asyncio.create_task(sweeper_of(forgotten, queue, clock).run())
        await forgotten.next_limit()
        hints_of_the_failed = list(queue.hints)

        forgotten.failure = None
        clock.move(2)
        await forgotten.next_limit()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert hints_of_the_failed == []
    assert queue.hints == [("runs.execute", "run_0")]
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("warning", "sweep.failed"),
        ("info", "sweep.hinted"),
    ]
    assert logs[0]["reason"] == "The database cannot be reached."


# PostgreSQL goes by its own clock, which a test cannot move.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_run_that_was_hinted_and_swept_twice_is_carried_out_once(
    database: Database,
) -> None:
    async with run_world(database) as world, world.process() as runner:
        world.model.script(say("once"))
        run_id = await world.accept()
        sweeper = Sweeper(
            due=world.office().due,
            forgotten=world.office().forgotten,
            job="runs.execute",
            queue=world.queue,
            clock=world.clock,
            interval_s=1.0,
        )

        for _ in range(2):
            world.clock.move(60)
            assert await sweeper.sweep() == 1
        for _, ident in world.queue.hints:
            await world.work_off(runner, ident)
        row = await world.row(run_id)

    assert world.queue.hints == [("runs.execute", run_id)] * 3
    assert (row.status, row.output, row.attempt) == ("SUCCEEDED", "once", 1)
    assert len(world.model.requests) == 1


async def test_every_chore_is_done_although_one_fails() -> None:
    async def broken() -> int:
        raise Unavailable("The database cannot be reached.")

    async def idle() -> int:
        return 0

    async def busy() -> int:
        return 7

    chores = {"broken": broken, "idle": idle, "busy": busy}
    housekeeper = Housekeeper(chores, clock=SteppedClock(), interval_s=60)

    with capture_logs() as logs:
        await housekeeper.clean()

    assert logs == [
        {
            "event": "chore.failed",
            "log_level": "warning",
            "chore": "broken",
            "reason": "The database cannot be reached.",
        },
        {"event": "chore.done", "log_level": "info", "chore": "busy", "count": 7},
    ]


async def test_a_housekeeper_waits_before_its_first_cleaning() -> None:
    clock, done = SteppedClock(), asyncio.Event()

    async def chore() -> int:
        done.set()
        return 1

    task = asyncio.create_task(Housekeeper({"c": chore}, clock=clock, interval_s=60).run())
    await asyncio.sleep(0)
    was_done_at_once = done.is_set()
    clock.move(60)
    async with asyncio.timeout(5):
        await done.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not was_done_at_once
