"""Days of a scheduler's life, played in seconds: a stepped clock, schedulers that tick and die.

A scheduler ticks at every multiple of its tick. Ticks at which nothing can be due are jumped over,
but for some drawn at random, which are made and must change nothing.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from domain.models.ports import ModelError, ModelErrorKind
from domain.runs.runner import Runner
from domain.tasks.commits import SCHEDULER_CHANNEL
from tests.domain.task_world import TaskWorld
from tests.fakes import say
from workers.scheduler import Scheduler

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
MOST_AWAITS = 20
"""A look at one task has about as many."""
REFUSED = ModelError(ModelErrorKind.REFUSED, "No.")


class CutShort:
    """Awaits a coroutine, and is cancelled at one of the places where it waits."""

    def __init__(self, work: Coroutine[Any, Any, Any], waits: int) -> None:
        self._work = work
        self._waits = waits

    @property
    def is_cut(self) -> bool:
        """True when it did not come to its end."""
        return self._waits <= 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._work.__await__()
        go_on: Callable[[], Any] = partial(next, steps)
        while True:
            try:
                waiting = go_on()
            except StopIteration as ended:
                return ended.value
            self._waits -= 1
            if self._waits == 0:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield waiting
                go_on = partial(next, steps)
            except asyncio.CancelledError as cancelled:
                go_on = partial(steps.throw, cancelled)


@dataclass(kw_only=True)
class Ticker:
    """One process that ticks."""

    scheduler: Scheduler
    tick_us: int
    phase_us: int
    back_at: int = 0
    """When it is started again, after it was killed."""

    def next_tick(self, after_us: int) -> int:
        """Return its first tick at or after a moment."""
        moment = max(after_us, self.back_at)
        return moment + (self.phase_us - moment) % self.tick_us


@dataclass(kw_only=True)
class Simulation:
    """Schedulers over one world, a worker that ends what they start, and dice."""

    world: TaskWorld
    dice: random.Random
    runner: Runner
    tick_us: int
    longest_run_us: int = HOUR_US // 8
    tickers: list[Ticker] = field(default_factory=list[Ticker])
    kills: int = 0
    rescues: int = 0
    """Due times that one left behind as it died."""
    idle_ticks: int = 0

    def start(self, phase_us: int = 0) -> Ticker:
        """Start one more scheduler."""
        ticker = Ticker(scheduler=self._scheduler(), tick_us=self.tick_us, phase_us=phase_us)
        self.tickers.append(ticker)
        return ticker

    def _scheduler(self) -> Scheduler:
        runs = self.world.runs
        return Scheduler(
            fire_due=self.world.scheduler().fire_due,
            bus=runs.bus,
            channel=SCHEDULER_CHANNEL,
            clock=runs.clock,
        )

    @property
    def now_us(self) -> int:
        """The moment now."""
        return self.world.runs.clock.now_us()

    def move_to(self, moment_us: int) -> None:
        """Let it become that moment."""
        self.world.runs.clock.move((moment_us - self.now_us) / SECOND_US)

    async def nearest(self) -> int | None:
        """Return when something may be due."""
        found = await self.world.runs.database.fetch("SELECT min(wake_at) FROM task")
        return found[0][0]

    async def play(self, until_us: int, *, mortal: Ticker | None = None) -> None:
        """Let every scheduler tick after each moment at which something is due."""
        while (nearest := await self.nearest()) is not None and nearest <= until_us:
            await self._idle(nearest)
            due_us = max(nearest, self.now_us)
            ticks = [(ticker.next_tick(due_us), ticker) for ticker in self.tickers]
            for moment, ticker in sorted(ticks, key=lambda tick: tick[0]):
                if moment > due_us + self.tick_us:
                    continue  # it is dead, and the others go on
                self.move_to(moment)
                if ticker is mortal and self.dice.random() < 0.3:
                    await self._kill(ticker)
                else:
                    await self._tick(ticker)
            await self._work()

    async def _idle(self, nearest: int) -> None:
        """Make one of the ticks before anything is due, which finds nothing."""
        ticker = self.dice.choice(self.tickers)
        moment = ticker.next_tick(self.now_us + self.dice.randrange(HOUR_US))
        if moment >= nearest or self.dice.random() > 0.1:
            return
        before = await self._counts()
        self.move_to(moment)
        assert await ticker.scheduler.tick() > 0
        assert await self._counts() == before
        self.idle_ticks += 1

    async def _counts(self) -> list[tuple[Any, ...]]:
        sql = (
            "SELECT (SELECT count(*) FROM occurrence), (SELECT count(*) FROM run),"
            " (SELECT count(*) FROM event), (SELECT sum(wake_at) FROM task)"
        )
        return await self.world.runs.database.fetch(sql)

    async def _tick(self, ticker: Ticker) -> None:
        while not await ticker.scheduler.tick():
            pass

    async def _kill(self, ticker: Ticker) -> None:
        """Let it die somewhere in its tick; another takes its place some ticks or hours later."""
        cut = CutShort(self._tick(ticker), self.dice.randint(1, MOST_AWAITS))
        with suppress(asyncio.CancelledError):
            await asyncio.create_task(_awaited(cut))
        self.kills += cut.is_cut
        found = await self.nearest()
        self.rescues += found is not None and found <= self.now_us
        ticker.scheduler = self._scheduler()
        ticker.back_at = self.now_us + self.dice.choice([1, self.tick_us, 5 * HOUR_US // 2])

    async def _work(self) -> None:
        """End what was started, each run some time later, one in five with a failure."""
        runs = self.world.runs
        for run_id in await runs.office().due(10):
            self.move_to(self.now_us + self.dice.randrange(SECOND_US, self.longest_run_us))
            runs.model.script([REFUSED] if self.dice.random() < 0.2 else say("done"))
            await runs.work_off(self.runner, run_id)
        runs.queue.hints.clear()


async def _awaited(work: CutShort) -> Any:
    return await work


@asynccontextmanager
async def simulation(
    world: TaskWorld, *, tick_s: float, dice: random.Random
) -> AsyncGenerator[Simulation, None]:
    """A simulation without schedulers."""
    async with world.runs.process() as runner:
        yield Simulation(world=world, dice=dice, runner=runner, tick_us=round(tick_s * SECOND_US))
