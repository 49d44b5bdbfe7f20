"""What the stories of a state machine are played on, and how many of them."""

import asyncio
import os
import secrets
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from app.database import DatabaseOptions, open_database
from domain.kernel.database import Database
from domain.kernel.database_sqlite import SqliteDatabase
from tests.domain.machine_wire import Traffic, count_reads

A = TypeVar("A")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What all stories are played on."""

    loop: asyncio.Runner
    database: Database
    traffic: Traffic


class Story(RuleBasedStateMachine):
    """Rules that are played on a stage, where a story that broke is not brought to its end."""

    stage: Stage

    def __init__(self) -> None:
        super().__init__()
        self._stack = AsyncExitStack()
        self._is_sound = True

    def enter(self, arena: AbstractAsyncContextManager[A]) -> A:
        """Open what the story is about; it is closed at the end of the story."""
        return self.do(self._stack.enter_async_context(arena))

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something."""
        try:
            return self.stage.loop.run(work)
        except BaseException:
            self._is_sound = False
            raise

    async def settled(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something, and wait until nothing moves any more."""
        outcome = await work
        await self.stage.traffic.settle()
        return outcome

    def judge(self, wrong: Sequence[str]) -> None:
        """Fail where something is wrong."""
        self._is_sound = not wrong
        assert not wrong, "\n".join(wrong)

    def come_to_an_end(self) -> None:
        """Bring what was begun to its end, and fail for what is left."""
        raise NotImplementedError

    def teardown(self) -> None:
        """End the story."""
        try:
            if self._is_sound:
                self.come_to_an_end()
        finally:
            self.stage.loop.run(self._stack.aclose())


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


def play(story: type[Story], stage: Stage, *, first: int | None = None, **more: Any) -> None:
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


def play_anew(story: type[Story], stage: Stage, **more: Any) -> None:
    """Play stories that were never played, and print the GOB_SEED that plays them again."""
    first = int(os.environ.get("GOB_SEED") or secrets.randbelow(1_000_000))
    print(f"GOB_SEED={first}")  # noqa: T201 - for whoever reads of a failure
    play(story, stage, first=first, **more)
