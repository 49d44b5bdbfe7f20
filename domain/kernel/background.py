"""Starts tasks that outlive the request or run in which they happen to be started."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeVar

from structlog.contextvars import clear_contextvars

T = TypeVar("T")


def nameless_context() -> Context:
    """Copy the present context without what log lines would name: the database stays in reach."""
    context = copy_context()
    context.run(clear_contextvars)
    return context


def start_detached(work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start a task whose log lines name no run that it does not work on."""
    return asyncio.create_task(work, name=name, context=nameless_context())
