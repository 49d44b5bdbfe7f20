"""What workers can be asked to do: named coroutines that take the id of a due row."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An order such as `runs.execute`, the queue it travels on, and what carries it out."""

    name: str
    queue: str
    carry_out: Callable[[str], Awaitable[None]]


class JobRegistry:
    """Every job of the product by name; the workers make one actor of each."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def register(self, job: Job) -> None:
        """Add a job. Raises ValueError when the name is taken."""
        if job.name in self._jobs:
            message = f"A job named {job.name!r} is registered already."
            raise ValueError(message)
        self._jobs[job.name] = job

    def __getitem__(self, name: str) -> Job:
        return self._jobs[name]

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())
