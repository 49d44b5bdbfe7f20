"""The job queue as the domain sees it, over Dramatiq."""

import threading
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Self

import structlog
from dramatiq import Actor

log = structlog.get_logger("workers.queue")

JobActor = Actor[[str], None]

MOST_WAITING = 10_000
"""Hints kept while the broker is slow or away; the rest is left to the sweeper."""


class DramatiqJobQueue:
    """Sends hints from a thread of its own, so that a slow broker never holds up the loop.

    A hint that cannot be sent is dropped: the sweeper hints the row again (DESIGN, I1).
    """

    def __init__(self, actors: Mapping[str, JobActor]) -> None:
        self._actors = actors
        self._hints: SimpleQueue[tuple[JobActor, str] | None] = SimpleQueue()
        self._is_full = False
        self._thread = threading.Thread(target=self._send_all, name="job-hints", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._hints.put(None)
        self._thread.join(timeout=5)

    def enqueue(self, job: str, ident: str) -> None:
        """Hint that the row `ident` of the job named `job` is due; call it on the loop.

        Raises KeyError.
        """
        actor, waiting = self._actors[job], self._hints.qsize()
        if waiting < MOST_WAITING:
            self._hints.put((actor, ident))
            # Said again only after the queue was half empty, or each place would be worth a line.
            self._is_full = self._is_full and waiting > MOST_WAITING // 2
        elif not self._is_full:
            self._is_full = True
            log.warning("job.hints_dropped", job=job, waiting=waiting)

    def _send_all(self) -> None:
        reachable = True
        while (hint := self._hints.get()) is not None:
            actor, ident = hint
            try:
                actor.send(ident)
                reachable = True
            except Exception as error:  # noqa: BLE001 - the edge of this thread: hints may go, it may not
                if reachable:
                    log.warning("job.hints_lost", job=actor.actor_name, reason=str(error))
                reachable = False
