"""Runs the asynchronous half of a command; loads the event loop only then."""

from collections.abc import Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")


def run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Do the work to its end and return what it gives."""
    import asyncio

    return asyncio.run(work)
