"""What `/readyz` tries before it says that writes work, and how often."""

import asyncio

import pytest

from app.facts import WRITE_EVERY_S, WriteTrial
from domain.kernel.database import Database
from domain.kernel.errors import Unavailable
from tests.database_faults import Outage
from tests.fakes import SteppedClock

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@SQLITE
async def test_however_many_ask_one_write_a_second_is_tried(database: Database) -> None:
    clock, outage = SteppedClock(), Outage(database)
    trial = WriteTrial(database, clock)
    outage.is_away = True

    asked = [trial.check() for _ in range(20)]
    first = await asyncio.gather(*asked, return_exceptions=True)
    with pytest.raises(Unavailable):
        await trial.check()
    tried_at_once = outage.refused
    clock.move(WRITE_EVERY_S)
    with pytest.raises(Unavailable):
        await trial.check()

    assert {type(one) for one in first} == {Unavailable}
    assert (tried_at_once, outage.refused) == (1, 2)


@SQLITE
async def test_a_database_that_takes_writes_again_is_ready_a_second_later(
    database: Database,
) -> None:
    clock, outage = SteppedClock(), Outage(database)
    trial = WriteTrial(database, clock)
    outage.is_away = True
    with pytest.raises(Unavailable):
        await trial.check()

    outage.is_away = False
    clock.move(WRITE_EVERY_S)
    await trial.check()

    assert outage.refused == 1
