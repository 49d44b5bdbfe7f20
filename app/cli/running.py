"""Runs the asynchronous half of a command; loads the event loop only then."""

from collections.abc import Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")


def run(work: Coroutine[Any, Any, Answer], *, log_level: str = "WARNING") -> Answer:
    """Do the work to its end and return what it gives."""
    import asyncio

    from app.logging import configure_logging

    # Log lines would mix with what the command prints for programs: these go to standard error.
    configure_logging(log_level)
    return asyncio.run(work)
