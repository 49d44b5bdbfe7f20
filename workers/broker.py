"""The Dramatiq brokers: in process when embedded, Redis else. Middleware is an explicit list."""

import asyncio
from typing import Any, cast

import structlog
from dramatiq import Broker, MessageProxy
from dramatiq.asyncio import EventLoopThread, set_event_loop_thread
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware, Retries
from dramatiq.worker import Worker

log = structlog.get_logger("workers.broker")


class _HostLoop(EventLoopThread):
    """Dramatiq's event loop thread, with a loop that runs already in place of its own thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.interrupt_check_ival = 0.1
        self.logger = log


class HostLoop(Middleware):
    """Runs async actors on the loop of the process that started the worker."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = _HostLoop(loop)

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002 - Dramatiq's hook
        """Lend the loop."""
        set_event_loop_thread(self._loop)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002 - as above
        """Take it back."""
        set_event_loop_thread(cast("Any", None))


class FailedJobs(Middleware):
    """Says which job failed; the row it was about stays due and is hinted again."""

    def after_process_message(
        self,
        broker: Broker,  # noqa: ARG002 - Dramatiq's hook
        message: MessageProxy,
        *,
        result: object | None = None,  # noqa: ARG002 - as above
        exception: BaseException | None = None,
    ) -> None:
        """Log the failure of an actor with its traceback."""
        if exception is not None:
            log.error(
                "job.failed", job=message.actor_name, args=list(message.args), exc_info=exception
            )


def make_broker(redis_url: str, loop: asyncio.AbstractEventLoop, *, namespace: str) -> Broker:
    """Build the broker. Retries and time limits are the engine's, not Dramatiq's."""
    middleware: list[Middleware] = [Retries(max_retries=0), FailedJobs(), HostLoop(loop)]
    if not redis_url:
        return StubBroker(middleware=middleware)
    # Redis' client is loaded only where it is used; it is some megabytes.
    from workers.broker_redis import make_redis_broker

    return make_redis_broker(redis_url, middleware, namespace=namespace)
