"""Idempotency keys: one outcome a day, whoever is faster."""

import asyncio

import pytest

from domain.kernel.database import Database, Statement, WriteRefusedError
from domain.kernel.errors import Conflict, ErrorCode
from domain.kernel.idempotency import IdempotencyKeys, digest_of
from tests.fakes import SteppedClock

DAY_S = 24 * 60 * 60


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def keys(database: Database, clock: SteppedClock) -> IdempotencyKeys:
    sql = "INSERT INTO workspace (id, slug, name, created_at) VALUES ($1, $1, $1, 0)"
    await database.write([Statement(sql, ("w1",)), Statement(sql, ("w2",))])
    return IdempotencyKeys(database, clock)


async def _make(
    database: Database, keys: IdempotencyKeys, result_id: str, *, digest: str = "d"
) -> str:
    """Make a workspace as the outcome of the key `k`, or answer that of a twin."""
    insert = "INSERT INTO workspace (id, slug, name, created_at) VALUES ($1, $1, $1, 0)"
    keeping = keys.remember("w1", "make", key="k", digest=digest, result_id=result_id)
    try:
        await database.write([Statement(insert, (result_id,)), keeping])
    except WriteRefusedError as error:
        if error.statement is not keeping:
            raise
        first = await keys.recall("w1", "make", key="k", digest=digest)
        assert first is not None
        return first
    return result_id


async def _made(database: Database) -> list[str]:
    rows = await database.fetch("SELECT id FROM workspace WHERE id LIKE 'made%' ORDER BY id")
    return [row[0] for row in rows]


async def test_a_new_key_recalls_nothing(keys: IdempotencyKeys) -> None:
    assert await keys.recall("w1", "make", key="k", digest="d") is None


async def test_a_repeat_recalls_the_first_outcome(
    database: Database, keys: IdempotencyKeys
) -> None:
    await _make(database, keys, "made1")

    repeated = await _make(database, keys, "made2")

    assert repeated == "made1"
    assert await _made(database) == ["made1"]


async def test_a_key_belongs_to_its_workspace_and_operation(
    database: Database, keys: IdempotencyKeys
) -> None:
    await _make(database, keys, "made1")

    assert await keys.recall("w2", "make", key="k", digest="d") is None
    assert await keys.recall("w1", "other", key="k", digest="d") is None
    assert await keys.recall("w1", "make", key="K", digest="d") is None


async def test_a_key_with_another_input_is_a_conflict(
    database: Database, keys: IdempotencyKeys
) -> None:
    await _make(database, keys, "made1")

    with pytest.raises(Conflict) as refused:
        await _make(database, keys, "made2", digest="other")

    assert refused.value.reason is ErrorCode.IDEMPOTENCY_MISMATCH
    assert refused.value.path == ("idempotencyKey",)
    assert await _made(database) == ["made1"]


async def test_a_key_is_new_again_after_a_day(
    database: Database, keys: IdempotencyKeys, clock: SteppedClock
) -> None:
    await _make(database, keys, "made1")

    clock.move(DAY_S - 1)
    within = await _make(database, keys, "made2", digest="d")
    clock.move(1)
    after = await _make(database, keys, "made3", digest="other")

    assert (within, after) == ("made1", "made3")
    assert await _made(database) == ["made1", "made3"]
    assert await keys.recall("w1", "make", key="k", digest="other") == "made3"


async def test_twins_at_the_same_time_have_one_outcome(
    database: Database, keys: IdempotencyKeys
) -> None:
    outcomes = await asyncio.gather(*(_make(database, keys, f"made{n}") for n in range(20)))

    assert len(set(outcomes)) == 1
    assert await _made(database) == outcomes[:1]


async def test_pruning_deletes_what_is_older_than_a_day(
    database: Database, keys: IdempotencyKeys, clock: SteppedClock
) -> None:
    await _make(database, keys, "made1")
    clock.move(DAY_S)
    await database.write([keys.remember("w1", "make", key="new", digest="d", result_id="made1")])

    pruned = await keys.prune()

    assert pruned == 1
    assert await keys.recall("w1", "make", key="new", digest="d") == "made1"


def test_a_digest_does_not_depend_on_the_order_of_fields() -> None:
    first = digest_of({"a": 1, "b": {"c": [1, 2], "d": None}})

    assert first == digest_of({"b": {"d": None, "c": [1, 2]}, "a": 1})
    assert first != digest_of({"a": 1, "b": {"c": [2, 1], "d": None}})
