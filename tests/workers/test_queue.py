"""Hints reach the actors of a real worker, in process and through Redis, and hold up nobody."""

import asyncio
import logging
import socket
import threading
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import pytest
import redis
from dramatiq import Broker, Message
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Middleware
from redis.backoff import NoBackoff
from redis.retry import Retry
from structlog.contextvars import bound_contextvars, get_contextvars
from structlog.testing import capture_logs
from structlog.typing import EventDict

from domain.kernel.jobs import Job, JobRegistry
from tests.server_processes import RedisServer
from workers import queue as queue_module
from workers.actors import make_actors
from workers.broker import make_broker
from workers.broker_redis import OwnedRedisBroker
from workers.queue import DramatiqJobQueue
from workers.runtime import running_worker

JOB, QUEUE = "test.work", "test"
CarryOut = Callable[[str], Awaitable[None]]


@dataclass
class Carried:
    """A job that keeps what it was asked for, and where it ran."""

    idents: list[str] = field(default_factory=list)
    loops: list[asyncio.AbstractEventLoop] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, ident: str) -> None:
        self.idents.append(ident)
        self.loops.append(asyncio.get_running_loop())
        self.more.set()

    async def holds(self, count: int) -> list[str]:
        async with asyncio.timeout(10):
            while len(self.idents) < count:
                self.more.clear()
                await self.more.wait()
        return sorted(self.idents)


class Watch(Middleware):
    """Keeps what a broker sent, and how each message was taken back."""

    def __init__(self) -> None:
        self.sent: list[tuple[object, ...]] = []
        self.acknowledged: list[object] = []
        self.rejected: list[object] = []

    def after_enqueue(self, broker: Broker, message: Message[None], delay: int | None) -> None:
        self.sent.append((*message.args, delay))

    def after_ack(self, broker: Broker, message: Message[None]) -> None:
        self.acknowledged += message.args

    def after_nack(self, broker: Broker, message: Message[None]) -> None:
        self.rejected += message.args


def queue_on(redis_url: str, carry_out: CarryOut, watch: Watch) -> tuple[Broker, DramatiqJobQueue]:
    broker = make_broker(redis_url, asyncio.get_running_loop(), namespace="t")
    broker.add_middleware(watch)
    jobs = JobRegistry()
    jobs.register(Job(name=JOB, queue=QUEUE, carry_out=carry_out))
    return broker, DramatiqJobQueue(make_actors(jobs, broker))


@asynccontextmanager
async def working(
    redis_url: str, carry_out: CarryOut, watch: Watch | None = None
) -> AsyncGenerator[DramatiqJobQueue, None]:
    """A worker that carries out what is hinted, until all of it is done."""
    broker, queue = queue_on(redis_url, carry_out, watch or Watch())
    with queue:
        async with running_worker(broker, {}, threads=2):
            yield queue


@pytest.fixture(params=["in process", pytest.param("redis", marks=pytest.mark.redis)])
def broker_url(request: pytest.FixtureRequest) -> str:
    """The address of each broker; in process there is none."""
    return "" if request.param == "in process" else request.getfixturevalue("redis_url")


async def test_hints_are_carried_out_on_the_loop_that_started_the_worker(broker_url: str) -> None:
    carried, watch = Carried(), Watch()

    async with working(broker_url, carried, watch) as queue:
        for number in range(20):
            queue.enqueue(JOB, f"run_{number:02}")
        idents = await carried.holds(20)

    assert idents == [f"run_{number:02}" for number in range(20)]
    assert set(carried.loops) == {asyncio.get_running_loop()}
    assert sorted(watch.acknowledged) == idents


async def test_a_job_runs_in_the_context_in_which_it_was_declared(broker_url: str) -> None:
    opened: ContextVar[str] = ContextVar("opened", default="nothing")
    carried, seen = Carried(), list[tuple[str, object]]()

    async def look(ident: str) -> None:
        seen.append((opened.get(), get_contextvars()))
        opened.set(ident)
        await carried(ident)

    opened.set("the database")
    with bound_contextvars(run_id="run_of_another"):
        async with working(broker_url, look) as queue:
            queue.enqueue(JOB, "run_1")
            await carried.holds(1)
            queue.enqueue(JOB, "run_2")
            await carried.holds(2)

    assert seen == [("the database", {})] * 2


async def test_a_doubled_hint_is_delivered_twice_for_the_job_to_judge(broker_url: str) -> None:
    carried = Carried()

    async with working(broker_url, carried) as queue:
        queue.enqueue(JOB, "run_1")
        queue.enqueue(JOB, "run_1")

        assert await carried.holds(2) == ["run_1", "run_1"]


async def test_a_failed_job_is_logged_once_with_its_traceback_and_never_tried_again(
    broker_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    carried, watch = Carried(), Watch()

    async def fail_once(ident: str) -> None:
        await carried(ident)
        if ident == "run_bad":
            raise LookupError("no such row")

    with capture_logs() as logs, caplog.at_level(logging.ERROR):
        async with working(broker_url, fail_once, watch) as queue:
            queue.enqueue(JOB, "run_bad")
            await carried.holds(1)
            queue.enqueue(JOB, "run_good")
            await carried.holds(2)

    (line,) = logs
    error = line["exc_info"]
    assert (line["log_level"], line["event"]) == ("error", "job.failed")
    assert (line["job"], line["args"], repr(error)) == (
        JOB,
        ["run_bad"],
        "LookupError('no such row')",
    )
    assert traceback.extract_tb(error.__traceback__)[-1].name == "fail_once"
    assert caplog.records == []
    assert carried.idents == ["run_bad", "run_good"]
    assert watch.sent == [("run_bad", None), ("run_good", None)]
    assert (watch.rejected, watch.acknowledged) == (["run_bad"], ["run_good"])


@pytest.fixture
def closed_url() -> Iterator[str]:
    """An address that refuses every connection: bound, and nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"redis://127.0.0.1:{bound.getsockname()[1]}/0"


async def test_hints_for_a_broker_that_is_away_are_lost_and_said_once(closed_url: str) -> None:
    carried, watch = Carried(), Watch()
    _, queue = queue_on(closed_url, carried, watch)

    with capture_logs() as logs, queue:
        for number in range(3):
            queue.enqueue(JOB, f"run_{number}")

    assert [(line["log_level"], line["event"], line["job"]) for line in logs] == [
        ("warning", "job.hints_lost", JOB)
    ]
    assert (watch.sent, carried.idents) == ([], [])


async def test_a_broker_that_says_nothing_does_not_hold_up_the_loop() -> None:
    reached: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def keep(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reached.put(writer)

    # The silent broker lives on this loop: were the loop held up, nobody would take the call.
    silent = await asyncio.start_server(keep, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    carried, watch = Carried(), Watch()
    _, queue = queue_on(f"redis://127.0.0.1:{port}/0", carried, watch)
    with capture_logs() as logs, queue:
        queue.enqueue(JOB, "run_1")
        async with asyncio.timeout(5):
            writer = await reached.get()
        queue.enqueue(JOB, "run_2")
        logged_meanwhile = list(logs)
        silent.close()
        writer.transport.abort()
        await writer.wait_closed()

    assert logged_meanwhile == []
    assert [line["event"] for line in logs] == ["job.hints_lost"]
    assert watch.sent == []


async def test_a_redis_that_does_not_answer_in_time_is_an_outage_for_dramatiq() -> None:
    accepted: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: accepted.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    client = redis.Redis(port=port, socket_timeout=0.1, retry=Retry(NoBackoff(), 0))
    broker = OwnedRedisBroker(client=client, middleware=[])

    for command in (broker.do_fetch, broker.do_ack, broker.do_requeue):
        with pytest.raises(ConnectionClosed):
            await asyncio.to_thread(command, "test", "1")

    broker.close()
    silent.close()
    for writer in accepted:
        writer.transport.abort()
    assert accepted != []


class Stuck(Middleware):
    """Holds the thread that sends hints until it is let go."""

    def __init__(self) -> None:
        self.reached, self.freed = threading.Event(), threading.Event()

    def before_enqueue(self, broker: Broker, message: Message[None], delay: int | None) -> None:
        self.reached.set()
        self.freed.wait(10)


async def test_hints_beyond_what_may_wait_are_left_to_the_sweeper_and_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue_module, "MOST_WAITING", 4)
    watch, stuck = Watch(), Stuck()
    broker, queue = queue_on("", Carried(), watch)
    broker.add_middleware(stuck)

    with capture_logs() as logs, queue:
        queue.enqueue(JOB, "run_0")
        stuck.reached.wait(10)
        for number in range(1, 10):
            queue.enqueue(JOB, f"run_{number}")
        stuck.freed.set()
    broker.close()

    assert [ident for ident, _ in watch.sent] == [f"run_{number}" for number in range(5)]
    assert logs == [
        {"event": "job.hints_dropped", "log_level": "warning", "job": JOB, "waiting": 4}
    ]


class Bell(Middleware):
    """Rung on the thread that sends hints, heard on the loop: by a sent hint or a log line."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rings: asyncio.Queue[None] = asyncio.Queue()

    def after_enqueue(self, broker: Broker, message: Message[None], delay: int | None) -> None:
        self._loop.call_soon_threadsafe(self._rings.put_nowait, None)

    def on_log_line(self, logger: object, method: str, line: EventDict) -> EventDict:
        self._loop.call_soon_threadsafe(self._rings.put_nowait, None)
        return line

    async def heard(self) -> None:
        async with asyncio.timeout(10):
            await self._rings.get()


@pytest.mark.redis
async def test_hints_flow_again_and_a_new_loss_is_said_after_redis_was_away(
    redis_server: RedisServer,
) -> None:
    watch, bell = Watch(), Bell()
    broker, queue = queue_on(redis_server.url, Carried(), watch)
    broker.add_middleware(bell)

    with capture_logs(processors=[bell.on_log_line]) as logs, queue:
        for outage in (1, 2):
            redis_server.kill()
            queue.enqueue(JOB, "lost")
            await bell.heard()
            redis_server.start()
            queue.enqueue(JOB, f"kept_{outage}")
            await bell.heard()

    assert watch.sent == [("kept_1", None), ("kept_2", None)]
    assert [line["event"] for line in logs] == ["job.hints_lost", "job.hints_lost"]
