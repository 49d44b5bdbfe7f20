"""Tasks under any order of events: what must hold is looked at after each (DESIGN, I8)."""

import asyncio
from collections.abc import Iterator

import pytest

from domain.runs import tokens
from domain.tasks import firing
from tests.domain.machine_stage import Stage, play, play_anew, stage_on
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
    with stage_on(loop, database_url) as built:
        yield built


def test_whatever_happens_each_due_time_has_its_one_fate(stage: Stage) -> None:
    play(TaskMachine, stage, max_examples=12, stateful_step_count=25)


@pytest.mark.soak
def test_whatever_happens_each_due_time_has_its_one_fate_in_many_stories(
    stage: Stage,
) -> None:
    play_anew(TaskMachine, stage, max_examples=40, stateful_step_count=40)
