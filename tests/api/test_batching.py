"""Many fields that want rows at the same moment ask for them once."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from resolvers.batching import LARGEST_BATCH, Batch


class Source:
    """Answers with the square of even numbers and writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    async def fetch(self, keys: Sequence[int]) -> Mapping[int, int]:
        self.asked.append(list(keys))
        return {key: key * key for key in keys if key % 2 == 0}


async def test_keys_of_one_moment_are_fetched_together_and_each_once():
    source = Source()
    batch = Batch(source.fetch)

    found = await asyncio.gather(*(batch.load(key) for key in (4, 2, 4, 3)))

    assert found == [16, 4, 16, None]
    assert source.asked == [[4, 2, 3]]


async def test_a_later_moment_reads_again():
    source = Source()
    batch = Batch(source.fetch)

    await batch.load(4)
    await batch.load(4)

    assert source.asked == [[4], [4]]


async def test_a_list_keeps_its_order_and_leaves_out_what_is_missing():
    batch = Batch(Source().fetch)

    assert await batch.load_many([6, 3, 2]) == [36, 4]


async def test_more_keys_than_a_query_takes_are_split():
    source = Source()
    batch = Batch(source.fetch)

    await batch.load_many(range(LARGEST_BATCH + 1))

    assert [len(keys) for keys in source.asked] == [LARGEST_BATCH, 1]


async def test_a_failure_reaches_everyone_who_waits():
    async def fetch(_: Sequence[int]) -> Mapping[int, int]:
        raise RuntimeError("gone")

    batch = Batch(fetch)

    outcomes = await asyncio.gather(batch.load(1), batch.load(2), return_exceptions=True)

    assert [str(outcome) for outcome in outcomes] == ["gone", "gone"]


async def test_one_who_gives_up_does_not_take_the_answer_from_others():
    release = asyncio.Event()

    async def fetch(keys: Sequence[int]) -> Mapping[int, int]:
        await release.wait()
        return {key: key for key in keys}

    batch = Batch(fetch)
    leaving, staying = (asyncio.create_task(batch.load(1)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    release.set()

    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await staying == 1
