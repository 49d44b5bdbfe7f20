"""Starts tasks that outlive the request or run in which they happen to be started."""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

from structlog.contextvars import clear_contextvars

T = TypeVar("T")


def start_detached(work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start a task whose log lines name no run that it does not work on.

    All else of the context stays: the ORM finds its connections by it.
    """
    context = copy_context()
    context.run(clear_contextvars)
    return asyncio.create_task(work, name=name, context=context)
