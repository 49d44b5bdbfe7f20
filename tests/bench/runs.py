"""Runs from end to end: how long one takes, how many a second, what they cost, the first token."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from statistics import median, quantiles

from tests.bench.clients import AGENT_TOKENS, TIMEOUT_S, Caller, RunRefused, Subscriber
from tests.bench.figures import Figure, Section
from tests.bench.processes import Measured, answer

TOKENS = 50
CLIENTS = 16
WARM = 30


@dataclass(slots=True)
class Timed:
    """What rounds of runs took on one server."""

    median_ms: list[float] = field(default_factory=list[float])
    slow_ms: list[float] = field(default_factory=list[float])
    cpu_ms: list[float] = field(default_factory=list[float])
    alone_per_s: list[float] = field(default_factory=list[float])
    per_s: list[float] = field(default_factory=list[float])
    busy_cpu_ms: list[float] = field(default_factory=list[float])
    first_ms: list[float] = field(default_factory=list[float])


async def measure_runs(
    ours: Measured, bare: Measured, *, rounds: int, store: str
) -> Sequence[Section]:
    """Ours and the baseline in turns, after both are warm."""
    timed = {server: Timed() for server in (bare, ours)}
    for server in timed:
        await _warm(server)
    for _ in range(rounds):
        for server, found in timed.items():
            await _alone(server, found, runs=100)
            await _together(server, found, runs=400)
            await _first_tokens(server, found, runs=40)
    return [_section(timed[ours], timed[bare], store)]


def _section(ours: Timed, bare: Timed, store: str) -> Section:
    run = f"{TOKENS} tokens without a pause"
    return Section(
        title=f"Runs on {store}",
        words=(
            f"`executeAgent` with {run} and `waitSeconds`: accepted, claimed, journaled, its"
            " events written, its end committed and answered. The baseline answers the same"
            " text and keeps nothing. First token: `executeAgent` in the background, then"
            " `agentTokens` on a socket that is open, until its first frame. CPU is that of the"
            " product's processes, without that of database servers."
        ),
        figures=[
            Figure(
                name="run, 1 client, p50",
                unit="ms",
                ours=ours.median_ms,
                bare=bare.median_ms,
                at_most=10,
                digits=2,
            ),
            Figure(
                name="run, 1 client, p99",
                unit="ms",
                ours=ours.slow_ms,
                bare=bare.slow_ms,
                digits=2,
            ),
            Figure(
                name="runs per second, 1 client",
                unit="",
                ours=ours.alone_per_s,
                bare=bare.alone_per_s,
                digits=0,
            ),
            Figure(
                name=f"runs per second, {CLIENTS} clients",
                unit="",
                ours=ours.per_s,
                bare=bare.per_s,
                at_least_share=1 / 30,
                digits=0,
            ),
            Figure(
                name="server CPU per run, 1 client",
                unit="ms",
                ours=ours.cpu_ms,
                bare=bare.cpu_ms,
                digits=2,
            ),
            Figure(
                name=f"server CPU per run, {CLIENTS} clients",
                unit="ms",
                ours=ours.busy_cpu_ms,
                bare=bare.busy_cpu_ms,
                at_most=2,
                digits=2,
            ),
            Figure(
                name="first token, 1 client, p50",
                unit="ms",
                ours=ours.first_ms,
                bare=bare.first_ms,
                at_most=20,
                digits=2,
            ),
        ],
    )


async def _warm(server: Measured) -> None:
    async with Caller(server) as caller:
        for _ in range(WARM):
            await _whole_run(caller)


async def _alone(server: Measured, found: Timed, *, runs: int) -> None:
    took: list[float] = []
    cpu_s = server.cpu_s()
    async with Caller(server) as caller:
        for _ in range(runs):
            began = time.perf_counter()
            await _whole_run(caller)
            took.append((time.perf_counter() - began) * 1e3)
    found.alone_per_s.append(runs / sum(took) * 1e3)
    found.cpu_ms.append((server.cpu_s() - cpu_s) * 1e3 / runs)
    found.median_ms.append(median(took))
    found.slow_ms.append(quantiles(took, n=100)[98])


async def _together(server: Measured, found: Timed, *, runs: int) -> None:
    async with AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(Caller(server)) for _ in range(CLIENTS)]
        cpu_s, began = server.cpu_s(), time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(_repeat(lambda c=caller: _whole_run(c), runs // CLIENTS))
        took_s = time.perf_counter() - began
        found.busy_cpu_ms.append((server.cpu_s() - cpu_s) * 1e3 / runs)
        found.per_s.append(runs / took_s)


async def _first_tokens(server: Measured, found: Timed, *, runs: int) -> None:
    took: list[float] = []
    async with Caller(server) as caller, Subscriber(server) as subscriber:
        for _ in range(runs):
            subscriber.restart()
            began = time.perf_counter()
            run = await caller.run(TOKENS, 0.0, wait_s=0)
            subscriber.subscribe(AGENT_TOKENS, run["id"])
            async with asyncio.timeout(TIMEOUT_S):
                took.append((await subscriber.first - began) * 1e3)
                await subscriber.done
    found.first_ms.append(median(took))


async def _repeat(once: Callable[[], Awaitable[None]], times: int) -> None:
    for _ in range(times):
        await once()


async def _whole_run(caller: Caller) -> None:
    run = await caller.run(TOKENS, 0.0, wait_s=30)
    if run["output"] != answer(TOKENS):
        raise RunRefused(str(run))
