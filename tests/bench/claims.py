"""Ten thousand tasks due in one second: how soon they are claimed, and their runs started."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from domain.kernel.ids import IdSource
from domain.tasks.firing import IDLE_S
from tests.bench.claiming import BARE_IDLE_S, BareClaims, fill_tables, make_tables
from tests.bench.figures import Figure, Section
from tests.bench.processes import GobWorker
from tests.due_tasks import Fetch, add_tasks, pause, reading

TASKS = 10_000
PROCESSES = (1, 3)
SLEEPS_US, BARE_SLEEPS_US = round(IDLE_S * 1_050_000), round(BARE_IDLE_S * 1_050_000)
AHEAD_US, BARE_AHEAD_US = SLEEPS_US + 1_200_000, BARE_SLEEPS_US + 800_000
LOOK_S, RARE_LOOK_S = 0.01, 0.05
LONGEST_S = 120.0

OCCURRED = "SELECT count(*) FROM occurrence"
MOVED = "SELECT count(*) FROM task WHERE {column} > {due_us}"
STARTED = "SELECT count(*) FROM run"
Seen: TypeAlias = Sequence[tuple[float, int]]
"""What looks saw, in order: seconds after the tasks were due, and how many had come so far."""
EMPTIED = ("message", "run", "occurrence", "task", "conversation", "event")


class SchedulerProcess(GobWorker):
    """A process of the product that fires tasks and works on no runs."""

    def command(self) -> Sequence[str]:
        """As a worker, but for what it does."""
        return self.program(self._settings, "-m", "tests.scheduler_program", "worker")


@dataclass(slots=True)
class Late:
    """When a share of the tasks was seen to have come so far, in seconds after they were due."""

    median_s: list[float] = field(default_factory=list[float])
    slow_s: list[float] = field(default_factory=list[float])
    per_s: list[float] = field(default_factory=list[float])

    def add(self, seen: Seen, total: int) -> None:
        """Add a round."""
        self.median_s.append(_reached(seen, total * 0.5))
        self.slow_s.append(_reached(seen, total * 0.99))
        self.per_s.append(total / _reached(seen, total))


@dataclass(slots=True)
class Rounds:
    """What rounds with so many processes gave."""

    claimed: Late = field(default_factory=Late)
    started: Late = field(default_factory=Late)
    bare: Late = field(default_factory=Late)


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """A database whose tasks are due at one moment, and what is looked at."""

    fetch: Fetch
    due_us: int
    column: str
    """Of the table `task`: when it is due."""
    least_ahead_us: int
    """Longest that one who claims may sleep before the due time is known."""

    @property
    def late_s(self) -> float:
        """Seconds since they were due."""
        return (_now_us() - self.due_us) / 1e6

    async def claimed(self) -> int:
        """How many have a row for the moment, and in the end a later time too, as committed."""
        found = (await self.fetch(OCCURRED))[0][0]
        if found < TASKS:
            return found
        # To count these takes as long as to claim dozens, and both come in one transaction.
        return (await self.fetch(MOVED.format(column=self.column, due_us=self.due_us)))[0][0]

    async def started(self) -> int:
        """How many have a run that is committed."""
        return (await self.fetch(STARTED))[0][0]


def _reached(seen: Seen, count: float) -> float:
    return next(late_s for late_s, found in seen if found >= count)


async def measure_claims(store: str, settings: Mapping[str, str], *, rounds: int) -> list[Section]:
    """Ours and the baseline in turns, with one process and with three."""
    found: dict[int, Rounds] = {}
    for processes in PROCESSES:
        with TemporaryDirectory(prefix="gob-bench-") as folder:
            ours, bare = await _databases(Path(folder), settings, processes)
            found[processes] = await _with_processes(
                {**settings, "DB_URL": ours}, bare, processes=processes, rounds=rounds
            )
    return [_section(store, found)]


async def _databases(folder: Path, settings: Mapping[str, str], number: int) -> tuple[str, str]:
    """Addresses of a new database of ours and of one for the baseline."""
    names = f"claims_{number}", f"bare_{number}"
    if "DB_URL" not in settings:
        ours, bare = (f"sqlite:///{folder / name}.db" for name in names)
    else:
        server = settings["DB_URL"].rpartition("/")[0]
        async with reading(settings["DB_URL"]) as fetch:
            for name in names:
                await fetch(f"CREATE DATABASE {name}")
        ours, bare = (f"{server}/{name}" for name in names)
    await make_tables(bare)
    return ours, bare


async def _with_processes(
    settings: Mapping[str, str], bare: str, *, processes: int, rounds: int
) -> Rounds:
    found = Rounds()
    with ExitStack() as stack:
        for _ in range(processes):
            stack.enter_context(SchedulerProcess(**settings))
        for _ in range(rounds):
            await _ours(settings["DB_URL"], found)
    with ExitStack() as stack:
        for _ in range(processes):
            stack.enter_context(BareClaims(bare))
        for _ in range(rounds):
            await _bare(bare, found)
    return found


async def _ours(url: str, found: Rounds) -> None:
    async with reading(url) as fetch:
        for table in EMPTIED:
            await fetch(f"DELETE FROM {table}")
        due_us = _now_us() + AHEAD_US
        await add_tasks(url, TASKS, due_us=due_us, new_id=IdSource(_now_us))
        burst = Burst(fetch=fetch, due_us=due_us, column="next_run_at", least_ahead_us=SLEEPS_US)
        claimed, started = await _watched(burst)
    found.claimed.add(claimed, TASKS)
    found.started.add(started, TASKS)


async def _bare(url: str, found: Rounds) -> None:
    due_us = _now_us() + BARE_AHEAD_US
    await fill_tables(url, TASKS, due_us=due_us)
    async with reading(url) as fetch:
        claimed, _ = await _watched(
            Burst(fetch=fetch, due_us=due_us, column="next_at", least_ahead_us=BARE_SLEEPS_US),
            runs=False,
        )
    found.bare.add(claimed, TASKS)


async def _watched(burst: Burst, *, runs: bool = True) -> tuple[Seen, Seen]:
    """Look until all are claimed and, with `runs`, started; what each look saw, and how late."""
    if _now_us() > burst.due_us - burst.least_ahead_us:
        message = "The tasks were due before all of them were there; the machine is too busy."
        raise RuntimeError(message)
    claimed: list[tuple[float, int]] = [(0.0, 0)]
    started: list[tuple[float, int]] = [(0.0, 0)]
    await pause((burst.due_us - _now_us()) / 1e6)
    async with asyncio.timeout(LONGEST_S):
        while claimed[-1][1] < TASKS or (runs and started[-1][1] < TASKS):
            if claimed[-1][1] < TASKS:
                count = await burst.claimed()
                claimed.append((burst.late_s, count))
            if runs and burst.late_s >= started[-1][0] + RARE_LOOK_S:
                count = await burst.started()
                started.append((burst.late_s, count))
            await pause(LOOK_S)
    return claimed, started


def _section(store: str, found: Mapping[int, Rounds]) -> Section:
    return Section(
        title=f"{TASKS:,} tasks due at once, on {store}",
        words=(
            "Scheduler processes of the product, which work on no runs, and tasks of 90"
            " expressions in two zones, all due at the same moment. A task is claimed when its"
            " occurrence and its next time are committed, started when its run is: both as an"
            f" observer sees it, who looks every {LOOK_S * 1000:.0f} and"
            f" {RARE_LOOK_S * 1000:.0f} ms. Late is counted from the moment they were due, a rate"
            " is all tasks by the lateness of the last. The baseline claims tasks of the same"
            " expressions in tables of its own: an occurrence row and the next time with the"
            " plain driver, batches of 500, a transaction to each, nothing told, nothing started."
        ),
        figures=[
            figure
            for processes, rounds in found.items()
            for figure in _figures(f"{processes} process{'es' * (processes > 1)}", rounds)
        ],
    )


def _figures(processes: str, found: Rounds) -> list[Figure]:
    claimed, started, bare = found.claimed, found.started, found.bare
    return [
        Figure(
            name=f"claims per second, {processes}",
            unit="",
            ours=claimed.per_s,
            bare=bare.per_s,
            at_least=30_000,
            digits=0,
        ),
        Figure(
            name=f"claimed late, p50, {processes}",
            unit="s",
            ours=claimed.median_s,
            bare=bare.median_s,
            digits=2,
        ),
        Figure(
            name=f"claimed late, p99, {processes}",
            unit="s",
            ours=claimed.slow_s,
            bare=bare.slow_s,
            at_most=0.3,
            digits=2,
        ),
        Figure(name=f"run started late, p50, {processes}", unit="s", ours=started.median_s),
        Figure(name=f"run started late, p99, {processes}", unit="s", ours=started.slow_s),
        Figure(name=f"runs started per second, {processes}", unit="", ours=started.per_s, digits=0),
    ]


def _now_us() -> int:
    return time.time_ns() // 1000
