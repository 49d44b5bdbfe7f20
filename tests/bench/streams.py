"""Streams: what a token costs the server and the wire, fan-out, and many streams at once."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from tests.bench.clients import (
    AGENT_TOKENS,
    RUN_EVENTS,
    TIMEOUT_S,
    Caller,
    Subscriber,
    text_of,
)
from tests.bench.figures import Figure, Section
from tests.bench.processes import Measured, answer

WINDOW_S = 1.2
RUNS = 20
SUBSCRIBERS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Runs at a pace, each followed by some subscribers."""

    query: str
    runs: int
    delay_s: float
    subscribers: int = 1
    window_s: float = WINDOW_S

    @property
    def tokens(self) -> int:
        """Enough that all runs stream for the whole window, with time to begin and to end."""
        return round((self.window_s + 0.6 + self.runs / 30) / self.delay_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the tokens of a window cost, each counted once for each subscriber."""

    cpu_us: float
    size_bytes: float
    per_frame: float
    per_s: float
    cores: float
    whole: int
    """Streams that brought their whole text, neither more nor less."""


class StreamsTooShort(Exception):
    """A stream ended before the window did, so its figures mean nothing; the machine is busy."""

    def __init__(self, load: Load) -> None:
        super().__init__(f"Streams ended while they were measured; is the machine busy? {load}")


async def cost_of(server: Measured, load: Load) -> Cost:
    """Start the runs, follow them all, measure while all of them stream, and see them end."""
    async with AsyncExitStack() as stack:
        count = load.runs * load.subscribers
        followers = [await stack.enter_async_context(Subscriber(server)) for _ in range(count)]
        caller = await stack.enter_async_context(Caller(server))
        for number in range(load.runs):
            run = await caller.run(load.tokens, load.delay_s, wait_s=0)
            for follower in followers[number :: load.runs]:
                follower.subscribe(load.query, run["id"])
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(*(follower.first for follower in followers))
            window = await _window(server, followers, load.window_s)
            if any(follower.done.done() for follower in followers):
                raise StreamsTooShort(load)
            await asyncio.gather(*(follower.done for follower in followers))
    whole = text_of(followers).count(answer(load.tokens))
    return _cost(window, load, whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    cpu_s: float
    took_s: float
    tokens: int
    frames: int
    size_bytes: int


async def _window(server: Measured, followers: Sequence[Subscriber], seconds: float) -> _Window:
    loop = asyncio.get_running_loop()
    before, cpu_s, began = _counted(followers), server.cpu_s(), time.perf_counter()
    over = loop.create_future()
    loop.call_later(seconds, over.set_result, None)
    await over
    took_s, cpu_s = time.perf_counter() - began, server.cpu_s() - cpu_s
    after = _counted(followers)
    tokens, frames, size = (new - old for new, old in zip(after, before, strict=True))
    return _Window(cpu_s=cpu_s, took_s=took_s, tokens=tokens, frames=frames, size_bytes=size)


def _counted(followers: Sequence[Subscriber]) -> tuple[int, int, int]:
    return (
        sum(follower.tokens for follower in followers),
        sum(follower.frames for follower in followers),
        sum(follower.size_bytes for follower in followers),
    )


def _cost(window: _Window, load: Load, whole: int) -> Cost:
    tokens = max(window.tokens, 1)
    return Cost(
        cpu_us=window.cpu_s * 1e6 / tokens,
        size_bytes=window.size_bytes / tokens,
        per_frame=tokens / max(window.frames, 1),
        per_s=tokens / window.took_s,
        cores=window.cpu_s / window.took_s,
        whole=whole,
    )


async def measure_tokens(ours: Measured, bare: Measured, *, rounds: int) -> Sequence[Section]:
    """One token to an event, several to an event, and one run with many subscribers."""
    return [
        await _paced(ours, bare, delay_s=0.025, rounds=rounds),
        await _paced(ours, bare, delay_s=0.005, rounds=rounds),
        await _fanned_out(ours, bare, rounds=rounds),
    ]


async def _paced(ours: Measured, bare: Measured, *, delay_s: float, rounds: int) -> Section:
    events = Load(query=RUN_EVENTS, runs=RUNS, delay_s=delay_s)
    short = Load(query=AGENT_TOKENS, runs=RUNS, delay_s=delay_s)
    found: list[tuple[Cost, Cost, Cost]] = [
        (await cost_of(bare, short), await cost_of(ours, events), await cost_of(ours, short))
        for _ in range(rounds)
    ]
    baseline, full, bare_text = zip(*found, strict=True)
    rate, is_single = round(1 / delay_s), delay_s >= 0.025
    return Section(
        title=f"Streams of {rate} tokens a second",
        words=(
            f"{RUNS} runs at once, each followed by one subscriber on a socket of its own, CPU"
            f" of the whole server while all of them stream: the model's pace, the write of each"
            f" event, its encoding and its sending. In the middle of the rounds an event of ours"
            f" held {sorted(cost.per_frame for cost in full)[rounds // 2]:.1f} tokens, one of the"
            " baseline 1. The selection on `runEvents`: `__typename cursor occurredAt seq runId"
            " stepId text`; on `agentTokens`: `seq text`."
        ),
        figures=[
            Figure(
                name="CPU per token on runEvents",
                unit="us",
                ours=[cost.cpu_us for cost in full],
                bare=[cost.cpu_us for cost in baseline],
                at_most=90 if is_single else 40,
                digits=0,
            ),
            Figure(
                name="CPU per token on agentTokens",
                unit="us",
                ours=[cost.cpu_us for cost in bare_text],
                bare=[cost.cpu_us for cost in baseline],
                digits=0,
            ),
            Figure(
                name="bytes per token on runEvents",
                unit="bytes",
                ours=[cost.size_bytes for cost in full],
                bare=[cost.size_bytes for cost in baseline],
                at_most=450 if is_single else None,
                digits=0,
            ),
            Figure(
                name="bytes per token on agentTokens",
                unit="bytes",
                ours=[cost.size_bytes for cost in bare_text],
                bare=[cost.size_bytes for cost in baseline],
                at_most=150 if is_single else None,
                digits=0,
            ),
        ],
    )


async def _fanned_out(ours: Measured, bare: Measured, *, rounds: int) -> Section:
    many = Load(query=RUN_EVENTS, runs=1, delay_s=0.025, subscribers=SUBSCRIBERS)
    short = Load(query=AGENT_TOKENS, runs=1, delay_s=0.025, subscribers=SUBSCRIBERS)
    found = [
        (await cost_of(bare, short), await cost_of(ours, many), await cost_of(ours, short))
        for _ in range(rounds)
    ]
    baseline, full, text = zip(*found, strict=True)
    return Section(
        title="Fan-out",
        words=(
            f"One run of 40 tokens a second with {SUBSCRIBERS} subscribers, each on a socket of"
            " its own; a token counts once for each of them."
        ),
        figures=[
            Figure(
                name="CPU per delivered token on runEvents",
                unit="us",
                ours=[cost.cpu_us for cost in full],
                bare=[cost.cpu_us for cost in baseline],
                digits=0,
            ),
            Figure(
                name="CPU per delivered token on agentTokens",
                unit="us",
                ours=[cost.cpu_us for cost in text],
                bare=[cost.cpu_us for cost in baseline],
                digits=0,
            ),
        ],
    )


async def measure_held(ours: Measured, bare: Measured, *, streams: int) -> Sequence[Section]:
    """Many streams at once: all of them bring all of their text."""
    load = Load(query=AGENT_TOKENS, runs=streams, delay_s=0.1, window_s=3.0)
    baseline, held = await cost_of(bare, load), await cost_of(ours, load)
    return [
        Section(
            title=f"{streams} streams at once",
            words=(
                f"{streams} runs of 10 tokens a second, each of {load.tokens} tokens and with a"
                " subscriber to agentTokens on a socket of its own. A stream counts as whole when"
                " its text is exactly what the model said."
            ),
            figures=[
                Figure(
                    name="whole streams",
                    unit="",
                    ours=[held.whole],
                    bare=[baseline.whole],
                    at_least=streams,
                    digits=0,
                ),
                Figure(
                    name="tokens a second delivered",
                    unit="",
                    ours=[held.per_s],
                    bare=[baseline.per_s],
                    digits=0,
                ),
                Figure(
                    name="cores in use",
                    unit="",
                    ours=[held.cores],
                    bare=[baseline.cores],
                    digits=2,
                ),
                Figure(
                    name="CPU per token",
                    unit="us",
                    ours=[held.cpu_us],
                    bare=[baseline.cpu_us],
                    digits=0,
                ),
            ],
        )
    ]
