"""Tasks under any order of events: what must hold is looked at after each (DESIGN, I8)."""

import asyncio
import os
import secrets
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from app.database import DatabaseOptions, open_database
from domain.kernel.database_sqlite import SqliteDatabase
from domain.runs import tokens
from domain.tasks import firing
from tests.domain.machine_rules import Stage
from tests.domain.machine_wire import Traffic, count_reads
from tests.domain.task_machine_rules import TaskMachine


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.Runner]:
    """One loop for all stories; text is written at once, so that no story hangs on the time.

    Two tasks that are due at once are a burst, one alone takes an ordinary look.
    """
    monkeypatch.setattr(tokens, "TICK_S", 0.0)
    monkeypatch.setattr(firing, "BATCH", 1)
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def stage(loop: asyncio.Runner, database_url: str) -> Iterator[Stage]:
    """A database of each kind for all stories, on a loop of their own."""
    options = DatabaseOptions(url=database_url, migrates_at_start=False)
    stack, traffic = AsyncExitStack(), Traffic()
    database = loop.run(stack.enter_async_context(open_database(options)))
    count_reads(database, traffic)
    if isinstance(database, SqliteDatabase):
        # No story cuts the power of the machine itself.
        loop.run(database.on_writer(lambda writer: writer.execute("PRAGMA synchronous = OFF")))
    yield Stage(loop=loop, database=database, traffic=traffic)
    loop.run(stack.aclose())


def play(stage: Stage, *, first: int | None = None, **more: Any) -> None:
    """Play stories, each a number of rules long, always the same or from a first number on."""
    machine = type("Machine", (TaskMachine,), {"stage": stage})
    run_state_machine_as_test(
        machine if first is None else seed(first)(machine),
        settings=settings(
            deadline=None,
            database=None,
            derandomize=first is None,
            suppress_health_check=[HealthCheck.too_slow],
            **more,
        ),
    )


def test_whatever_happens_each_due_time_has_its_one_fate(stage: Stage) -> None:
    play(stage, max_examples=12, stateful_step_count=25)


@pytest.mark.soak
def test_whatever_happens_each_due_time_has_its_one_fate_in_many_stories(
    stage: Stage,
) -> None:
    first = int(os.environ.get("GOB_SEED") or secrets.randbelow(1_000_000))
    print(f"GOB_SEED={first}")  # noqa: T201 - plays these stories again

    play(stage, first=first, max_examples=40, stateful_step_count=40)
