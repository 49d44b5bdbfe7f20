"""Runs the asynchronous half of a command; loads the event loop only then."""

from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

Answer = TypeVar("Answer")


def run(
    work: Coroutine[Any, Any, Answer], *, log_level: str = "WARNING", secrets: Iterable[str] = ()
) -> Answer:
    """Do the work to its end and return what it gives; log lines mask the secrets."""
    import asyncio

    from app.logging import configure_logging
    from domain.kernel.redaction import Redactor

    # Log lines would mix with what the command prints for programs: these go to standard error.
    configure_logging(log_level, redactor=Redactor(secrets))
    return asyncio.run(work)
