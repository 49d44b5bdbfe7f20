"""What the stories of a state machine are played on, and how many of them."""

import asyncio
import os
import secrets
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from app.database import DatabaseOptions, open_database
from domain.kernel.database import Database
from domain.kernel.database_sqlite import SqliteDatabase
from tests.domain.machine_wire import Traffic, count_reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What all stories are played on."""

    loop: asyncio.Runner
    database: Database
    traffic: Traffic


@contextmanager
def stage_on(loop: asyncio.Runner, database_url: str) -> Iterator[Stage]:
    """Open a database for all stories, on a loop of their own."""
    options = DatabaseOptions(url=database_url, migrates_at_start=False)
    stack, traffic = AsyncExitStack(), Traffic()
    database = loop.run(stack.enter_async_context(open_database(options)))
    count_reads(database, traffic)
    if isinstance(database, SqliteDatabase):
        # No story cuts the power of the machine itself.
        loop.run(database.on_writer(lambda writer: writer.execute("PRAGMA synchronous = OFF")))
    yield Stage(loop=loop, database=database, traffic=traffic)
    loop.run(stack.aclose())


def play(
    story: type[RuleBasedStateMachine], stage: Stage, *, first: int | None = None, **more: Any
) -> None:
    """Play stories, each a number of rules long, always the same or from a first number on."""
    machine = type(story.__name__, (story,), {"stage": stage})
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


def play_anew(story: type[RuleBasedStateMachine], stage: Stage, **more: Any) -> None:
    """Play stories that were never played, and print the GOB_SEED that plays them again."""
    first = int(os.environ.get("GOB_SEED") or secrets.randbelow(1_000_000))
    print(f"GOB_SEED={first}")  # noqa: T201 - for whoever reads of a failure
    play(story, stage, first=first, **more)
