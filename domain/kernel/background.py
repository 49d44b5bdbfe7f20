"""Starts tasks that outlive the request or run in which they happen to be started."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


def start_detached(work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start a task in a context of its own: its log lines name no run that it does not work on."""
    return asyncio.create_task(work, name=name, context=Context())
