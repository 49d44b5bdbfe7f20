"""Asking once for what many fields want at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

LARGEST_BATCH = 500


class Batch(Generic[K, V]):
    """Collects keys until the loop has run what is ready, then fetches them together.

    Answers are not kept after they were given: a later field, the next mutation of a document or
    the next event of a subscription reads again, so nothing is ever stale.
    """

    def __init__(self, fetch: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._fetch = fetch
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._fetching: set[asyncio.Task[Mapping[K, V]]] = set()

    async def load(self, key: K) -> V | None:
        """Return what belongs to the key, None where nothing does. Raises what fetching raised."""
        future = self._waiting.get(key)
        if future is None:
            loop = asyncio.get_running_loop()
            if not self._waiting:
                loop.call_soon(self._send)
            future = self._waiting[key] = loop.create_future()
        # Others may wait for the same answer: one that is cancelled must not cancel it for all.
        return await asyncio.shield(future)

    async def load_many(self, keys: Sequence[K]) -> list[V]:
        """Return what belongs to the keys, in their order, without what nothing belongs to."""
        found = await asyncio.gather(*(self.load(key) for key in keys))
        return [value for value in found if value is not None]

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        keys = list(waiting)
        for start in range(0, len(keys), LARGEST_BATCH):
            part = {key: waiting[key] for key in keys[start : start + LARGEST_BATCH]}
            task = asyncio.create_task(self._fetched(list(part)))
            self._fetching.add(task)
            task.add_done_callback(partial(self._answer, part))

    async def _fetched(self, keys: Sequence[K]) -> Mapping[K, V]:
        return await self._fetch(keys)

    def _answer(
        self, waiting: "Mapping[K, asyncio.Future[V | None]]", task: asyncio.Task[Mapping[K, V]]
    ) -> None:
        self._fetching.discard(task)
        for key, future in waiting.items():
            if future.done():
                continue
            if task.cancelled():
                future.cancel()
            elif (error := task.exception()) is not None:
                future.set_exception(error)
                # Whoever waited may be gone; then nobody is left to be told.
                future.exception()
            else:
                future.set_result(task.result().get(key))
