"""Model wires: what a call and a token cost who asks, and how soon a provider feels a cancel."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from statistics import quantiles
from typing import Any

import orjson

from tests.bench.asking import LONG, SHORT, WIRES
from tests.bench.clients import AGENT_TOKENS, TIMEOUT_S, Caller, Subscriber
from tests.bench.figures import Figure, Section
from tests.bench.processes import ROOT, GobServer, Measured
from tests.ports.acts import Endless
from tests.ports.scripted_openai import ScriptedOpenAI
from tests.ports.standing_server import READY

CANCEL = "mutation($i: CancelRunInput!) { cancelRun(input: $i) { __typename } }"
CANCELS = 10
PAUSE_S = 0.02
LONGEST_S = 300

Rounds = Sequence[Mapping[str, Mapping[str, float]]]


class ModelServer(Measured):
    """The scripted model server as a process of its own, on one wire."""

    ready = READY

    def __init__(self, wire: str) -> None:
        super().__init__()
        self._wire = wire

    @property
    def url(self) -> str:
        """The address that a client of this wire is given."""
        return self.said.partition(READY)[2].split()[0]

    def command(self) -> Sequence[str]:
        """On the port that was found free."""
        arguments = ("--wire", self._wire, "--port", str(self.port))
        return self.program({}, "-m", "tests.ports.standing_server", *arguments)


async def measure_wires(*, rounds: int) -> Sequence[Section]:
    """Each wire in turns with the bare loop, then cancels through the whole product."""
    found = {client: await _asked(client, rounds) for client in WIRES if WIRES[client].is_there}
    return [_costs(found), await _cancels()]


async def _asked(client: str, rounds: int) -> Rounds:
    """What a process found that asked a server in another one."""
    with ModelServer(WIRES[client].wire) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.asking", "--client", client),
            *("--url", server.url, "--rounds", str(rounds)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(LONGEST_S):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode != 0:
        message = f"The process that asked over {client} ended with {process.returncode}."
        raise RuntimeError(message)
    return orjson.loads(said)


def _costs(found: Mapping[str, Rounds]) -> Section:
    return Section(
        title="Models over their wires",
        words=(
            "A process asks a scripted model server in another one. A plain call is a request"
            f" with an answer of {SHORT} tokens, connection kept; a token is what an answer of"
            f" {LONG:,} costs beyond that, each a delta of its own and sent as fast as the server"
            " can. The baseline is httpx's client reading the same bytes and decoding the JSON of"
            " each line, without types, time limits or errors. CPU is that of the process that"
            " asks. `providers`, where it is installed, asks through pydantic-ai on OpenAI's wire."
        ),
        figures=[
            figure
            for client, rounds in found.items()
            for figure in (
                _figure(client, rounds, "call_s", unit="ms"),
                _figure(client, rounds, "token_s", unit="us"),
            )
        ],
    )


def _figure(client: str, rounds: Rounds, key: str, *, unit: str) -> Figure:
    scale, at_most, digits = {"ms": (1e3, 1.5, 2), "us": (1e6, 25.0, 1)}[unit]
    ours, bare = ([found[way][key] * scale for found in rounds] for way in ("ours", "bare"))
    return Figure(
        name=f"CPU per {'plain call' if key == 'call_s' else 'token'}, {client}",
        unit=unit,
        ours=ours,
        bare=bare,
        at_most=at_most if WIRES[client].is_ours else None,
        digits=digits,
    )


async def _cancels() -> Section:
    async with ScriptedOpenAI() as provider:
        provider.fallback = lambda _: (Endless("word ", PAUSE_S),)
        settings = {
            "MODEL_PROVIDER": "openai",
            "MODEL_NAME": "words",
            "OPENAI_BASE_URL": provider.base_url,
            "OPENAI_API_KEY": "key",
        }
        with GobServer(**settings) as server:
            async with Caller(server) as caller, Subscriber(server) as subscriber:
                took_ms = [
                    await _cancel(provider, caller, subscriber) * 1e3 for _ in range(CANCELS)
                ]
    return Section(
        title="A cancel in mid-stream",
        words=(
            f"From the call of `cancelRun` to the moment at which the provider sees its"
            f" connection closed, over the whole product; {CANCELS} runs, one after the other."
        ),
        figures=[
            Figure(
                name="cancel until the connection is closed",
                unit="ms",
                ours=took_ms,
                at_most=200,
                digits=1,
            ),
            Figure(name="the same, p90", unit="ms", ours=[quantiles(took_ms, n=10)[8]], digits=1),
        ],
    )


async def _cancel(provider: ScriptedOpenAI, caller: Caller, subscriber: Subscriber) -> float:
    """Start a run, see its first token, cancel it; seconds until the provider was left."""
    subscriber.restart()
    run = await caller.run(1, 0.0, wait_s=0)
    subscriber.subscribe(AGENT_TOKENS, run["id"])
    async with asyncio.timeout(TIMEOUT_S):
        await subscriber.first
        began = time.perf_counter()
        variables: dict[str, Any] = {"i": {"runId": run["id"]}}
        cancelling = asyncio.create_task(caller.post({"query": CANCEL, "variables": variables}))
        await provider.requests[-1].disconnected.wait()
        took_s = time.perf_counter() - began
        await asyncio.gather(cancelling, subscriber.done)
    return took_s
