"""The job queue as the domain sees it, over Dramatiq."""

import threading
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Self

import structlog
from dramatiq import Actor
from dramatiq.errors import ConnectionError as BrokerConnectionError
from redis.exceptions import RedisError

log = structlog.get_logger("workers.queue")

Hint = tuple[str, str]


class DramatiqJobQueue:
    """Sends hints from a thread of its own, so that a slow broker never holds up the loop.

    A hint that cannot be sent is dropped: the sweeper hints the row again (DESIGN, I1).
    """

    def __init__(self, actors: Mapping[str, Actor[[str], None]]) -> None:
        self._actors = actors
        self._hints: SimpleQueue[Hint | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._send_all, name="job-hints", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._hints.put(None)
        self._thread.join(timeout=5)

    def enqueue(self, job: str, ident: str) -> None:
        """Hint that the row `ident` of the job named `job` is due."""
        self._hints.put((job, ident))

    def _send_all(self) -> None:
        reachable = True
        while (hint := self._hints.get()) is not None:
            job, ident = hint
            try:
                self._actors[job].send(ident)
                reachable = True
            except (BrokerConnectionError, RedisError) as error:
                if reachable:
                    log.warning("job.hints_lost", job=job, reason=str(error))
                reachable = False
