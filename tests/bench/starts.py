"""How long a start takes, and what a server holds and burns while nobody asks for anything."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench.figures import Figure, Section
from tests.bench.processes import BareServer, GobServer, Measured

IDLE_S = 2.0


@dataclass(slots=True)
class Started:
    """What starts of one kind took."""

    first_s: list[float] = field(default_factory=list[float])
    again_s: list[float] = field(default_factory=list[float])
    cpu_s: list[float] = field(default_factory=list[float])
    memory_mb: list[float] = field(default_factory=list[float])
    idle_share: list[float] = field(default_factory=list[float])


async def measure_starts(*, rounds: int) -> Sequence[Section]:
    """Start each kind on an empty folder and again on what it left."""
    bare, ours = Started(), Started()
    for _ in range(rounds):
        await _start(BareServer(), bare)
        await _start(GobServer(), ours)
    return [
        Section(
            title="Start and rest",
            words=(
                "From the start of the process to the first 200 on `/readyz`: with an empty"
                " folder, where ours makes its database and its key first, and again. Memory is"
                " resident, right after that; CPU at rest is a share of one core. On a busy machine"
                " read the CPU of a start: it waits for nobody."
            ),
            figures=[
                Figure(
                    name="first start",
                    unit="s",
                    ours=ours.first_s,
                    bare=bare.first_s,
                    digits=2,
                ),
                Figure(
                    name="cold start",
                    unit="s",
                    ours=ours.again_s,
                    bare=bare.again_s,
                    at_most=1.5,
                    digits=2,
                ),
                Figure(
                    name="CPU of a cold start",
                    unit="s",
                    ours=ours.cpu_s,
                    bare=bare.cpu_s,
                    digits=2,
                ),
                Figure(
                    name="memory after start",
                    unit="MB",
                    ours=ours.memory_mb,
                    bare=bare.memory_mb,
                    at_most=90,
                    digits=1,
                ),
                Figure(
                    name="CPU at rest",
                    unit="%",
                    ours=[share * 100 for share in ours.idle_share],
                    bare=[share * 100 for share in bare.idle_share],
                    digits=2,
                ),
            ],
        )
    ]


async def _start(server: Measured, found: Started) -> None:
    loop = asyncio.get_running_loop()
    try:
        for times in (found.first_s, found.again_s):
            server.stop()
            began = time.perf_counter()
            server.start()
            while not server.is_ready:
                pass
            times.append(time.perf_counter() - began)
        found.cpu_s.append(server.cpu_s())
        found.memory_mb.append(server.memory_mb())
        cpu_s = server.cpu_s()
        over = loop.create_future()
        loop.call_later(IDLE_S, over.set_result, None)
        await over
        found.idle_share.append((server.cpu_s() - cpu_s) / IDLE_S)
    finally:
        server.close()
