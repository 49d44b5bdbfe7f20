"""One Dramatiq actor for each registered job; the message holds only an id."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import dramatiq
from dramatiq import Actor, Broker

from domain.kernel.background import nameless_context
from domain.kernel.jobs import Job, JobRegistry


def _coroutine(job: Job) -> Callable[[str], Coroutine[Any, Any, None]]:
    # Dramatiq's threads have a context of their own, in which the ORM finds no database.
    declared_in = nameless_context()

    async def carry_out(ident: str) -> None:
        task = asyncio.create_task(_carried_out(job, ident), context=declared_in.copy())
        await task

    return carry_out


async def _carried_out(job: Job, ident: str) -> None:
    await job.carry_out(ident)


def make_actors(jobs: JobRegistry, broker: Broker) -> dict[str, Actor[[str], None]]:
    """Declare an actor per job on the broker, by the job's name."""
    actors: dict[str, Actor[[str], None]] = {}
    for job in jobs:
        # What is in `throws` ends a job for good; FailedJobs logs it, Dramatiq not once more.
        declare = dramatiq.actor(
            actor_name=job.name, queue_name=job.queue, broker=broker, throws=Exception
        )
        actors[job.name] = declare(_coroutine(job))
    return actors
