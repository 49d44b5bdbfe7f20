"""One Dramatiq actor for each registered job; the message holds only an id."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import dramatiq
from dramatiq import Actor, Broker

from domain.kernel.jobs import Job, JobRegistry


def _coroutine(job: Job) -> Callable[[str], Coroutine[Any, Any, None]]:
    async def carry_out(ident: str) -> None:
        await job.carry_out(ident)

    return carry_out


def make_actors(jobs: JobRegistry, broker: Broker) -> dict[str, Actor[[str], Awaitable[None]]]:
    """Declare an actor per job on the broker, by the job's name."""
    actors: dict[str, Actor[[str], Awaitable[None]]] = {}
    for job in jobs:
        actors[job.name] = dramatiq.actor(
            _coroutine(job),
            actor_name=job.name,
            queue_name=job.queue,
            broker=broker,
            max_retries=0,
        )
    return actors
