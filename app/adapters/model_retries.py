"""Tries a model call again as long as nothing of its answer has reached anybody."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from app.adapters.model_http import RetryPolicy
from domain.models.ports import ModelError, ModelEvent, RetryScheduled


async def retried(
    attempt: Callable[[], AsyncGenerator[ModelEvent, None]],
    policy: RetryPolicy,
    *,
    total_by: float,
) -> AsyncGenerator[ModelEvent, None]:
    """Events of the first attempt that yields one; `total_by` is a time of the running loop."""
    for number in range(1, policy.max_attempts + 1):
        begun = False
        try:
            async with aclosing(attempt()) as events:
                async for event in events:
                    begun = True
                    yield event
            return
        except ModelError as error:
            if begun or not error.is_retryable:
                raise
            retry = _next(error, policy, failures=number, total_by=total_by)
        yield retry
        await policy.sleep(retry.delay_s)


def _next(
    error: ModelError, policy: RetryPolicy, *, failures: int, total_by: float
) -> RetryScheduled:
    """When the next attempt is due; raises the error itself if there is no room for one."""
    delay_s = policy.delay_s(failures=failures, retry_after_s=error.retry_after_s)
    is_too_late = asyncio.get_running_loop().time() + delay_s >= total_by
    if failures >= policy.max_attempts or is_too_late:
        raise error
    return RetryScheduled(attempt=failures + 1, delay_s=delay_s, error=error)
