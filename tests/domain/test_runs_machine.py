"""Runs under any order of events: what must hold is looked at after each (DESIGN, I1 to I6)."""

import asyncio
from collections.abc import Iterator

import pytest

from domain.runs import tokens
from tests.domain.machine_rules import Machine
from tests.domain.machine_stage import Stage, play, play_anew, stage_on


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.Runner]:
    """One loop for all stories; text is written at once, so that no story hangs on the time."""
    monkeypatch.setattr(tokens, "TICK_S", 0.0)
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def stage(loop: asyncio.Runner, database_url: str) -> Iterator[Stage]:
    """A database of each kind for all stories, on a loop of their own."""
    with stage_on(loop, database_url) as built:
        yield built


def test_whatever_happens_runs_stay_true_and_end(stage: Stage) -> None:
    play(Machine, stage, max_examples=16, stateful_step_count=40)


@pytest.mark.soak
def test_whatever_happens_runs_stay_true_and_end_in_hundreds_of_stories(stage: Stage) -> None:
    play_anew(Machine, stage, max_examples=300, stateful_step_count=50)
