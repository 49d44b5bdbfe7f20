"""Watching runs: their events and their words as they come, and waiting for their end."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from domain.access.scopes import Principal, Scope
from domain.kernel.errors import NotFound
from domain.runs.parts import RunParts
from domain.runs.queries import RunQueries
from domain.runs.state import RunStatus
from domain.runs.stream import RunTopic, StreamItem, TokenPiece


class RunWatching(RunQueries):
    """Streams of runs of the caller's workspace."""

    def __init__(self, parts: RunParts) -> None:
        super().__init__(parts.database, parts.clock)
        self._parts = parts

    async def stream(
        self,
        principal: Principal,
        run_id: str,
        *,
        after: str | None = None,
        include_descendants: bool = False,
    ) -> AsyncGenerator[StreamItem, None]:
        """Yield a run's events after a cursor, to its last. Raises NotFound and BadCursor."""
        principal.needs(Scope.RUNS_READ)
        topic = await self._topic(principal, run_id)
        async for item in self._parts.streams.events(topic, after=after, below=include_descendants):
            yield item

    async def is_told(self, principal: Principal, run_id: str, *, after: str | None) -> bool:
        """Tell whether `stream` has nothing left to yield: the run's last event was seen.

        Raises NotFound and BadCursor, as `stream` does before its first event.
        """
        principal.needs(Scope.RUNS_READ)
        topic = await self._topic(principal, run_id)
        return await self._parts.streams.is_told(topic, after=after)

    async def tokens(
        self, principal: Principal, run_id: str, *, after: int = 0
    ) -> AsyncGenerator[TokenPiece, None]:
        """Yield a run's answer as text after a seq. Raises NotFound."""
        principal.needs(Scope.RUNS_READ)
        topic = await self._topic(principal, run_id)
        async with aclosing(self._parts.streams.tokens(topic, after=after)) as pieces:
            async for piece in pieces:
                yield piece

    async def wait_end(self, principal: Principal, run_id: str, seconds: float) -> None:
        """Wait for the end of a run, here or elsewhere, without asking again and again."""
        runner = self._parts.runner
        held = runner.held(run_id) if runner is not None else None
        try:
            async with asyncio.timeout(seconds):
                if held is not None:
                    await held.done.wait()
                    if held.ended:
                        return
                topic = await self._topic(principal, run_id)
                if topic.is_final:
                    return
                events = self._parts.streams.events(topic, after=None, below=False)
                async with aclosing(events):
                    async for _ in events:
                        pass
        except TimeoutError:
            return

    async def _topic(self, principal: Principal, run_id: str) -> RunTopic:
        run = await self._find(principal, run_id)
        if run is None:
            raise NotFound("run", run_id, path=["runId"])
        return RunTopic(
            workspace_id=run.workspace_id,
            run_id=run.id,
            root_run_id=run.root_run_id,
            trace_id=run.trace_id,
            is_final=RunStatus(run.status).is_final,
        )
