"""When reference cycles are collected."""

import gc
from collections.abc import Generator

import pytest

from app.garbage import AT_START, AT_WORK, begin, settle


@pytest.fixture
def thresholds() -> Generator[tuple[int, int, int]]:
    before = gc.get_threshold()
    yield before
    gc.unfreeze()
    gc.set_threshold(*before)


def test_a_program_that_starts_collects_seldom(thresholds: tuple[int, int, int]):
    begin()

    assert gc.get_threshold() == (AT_START, *thresholds[1:])


def test_what_the_start_has_made_is_left_alone(thresholds: tuple[int, int, int]):
    made = [object() for _ in range(3)]

    settle()

    assert not any(found is made for found in gc.get_objects())
    assert gc.get_threshold() == (AT_WORK, *thresholds[1:])


def test_cycles_made_at_work_are_collected(thresholds: tuple[int, int, int]):
    settle()
    cycle: list[object] = []
    cycle.append(cycle)
    del cycle

    assert gc.collect() >= 1
    assert thresholds != gc.get_threshold()
