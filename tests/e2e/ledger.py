"""Runs of five steps with effects in a file, and a scripted model that asks for them.

The instruction `pay r1` makes five steps: the model, `ledger_pay`, the model, `ledger_note`, the
model. `crash r2` asks for the tool that ends its process, `say r3` for twenty words, of which the
last come when the gate is open.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.gob_process import GobProcess
from tests.e2e.stored import rows
from tests.ports.acts import Act, Call, Done, Finish, Pause, Say, Usage, Wait
from tests.ports.scripted_openai import ScriptedOpenAI
from tests.ports.scripted_stage import ReceivedRequest

PROGRAM = "tests.e2e.ledger_program"
ANSWER = "All is paid. "
SAID = "".join(f"word-{number} " for number in range(1, 21))
THINKS_S = 0.1
"""What the model takes for each answer."""
LEAST_S = 0.5
"""Less than a run of five steps can take."""

# Short leases: what a dead process held is taken over after one second, not six.
QUICK = {
    "MODEL_PROVIDER": "openai",
    "OPENAI_API_KEY": "sk-none",
    "LEASE_S": "1",
    "LEASE_GIVE_UP_S": "0.8",
    "LEASE_RENEW_S": "0.25",
    "SWEEP_INTERVAL_S": "0.2",
}


def reply(request: ReceivedRequest, gate: asyncio.Event) -> Sequence[Act]:
    """What the model says next, by what it was asked and what it has seen of it."""
    wanted, entry, seen = asked_for(request)
    end = (Finish(), Usage(), Done())
    if wanted == "say":
        words = [Say(f"{word} ") for word in SAID.split()]
        return (*words[:10], Wait(gate), *words[10:], *end)
    tools = {"pay": ("ledger_pay", "ledger_note"), "crash": ("ledger_crash",)}[wanted]
    if seen < len(tools):
        call = Call(tools[seen], f'{{"entry": "{entry}"}}', id=f"call_{seen}")
        return (Pause(THINKS_S), call, Finish("tool_calls"), Usage(), Done())
    return (Say("All "), Pause(THINKS_S), Say("is paid. "), *end)


def asked_for(request: ReceivedRequest) -> tuple[str, str, int]:
    """What the instruction wants, its entry, and how many results of tools follow it."""
    messages = request.body["messages"]
    last = max(place for place, message in enumerate(messages) if message["role"] == "user")
    wanted, entry = str(messages[last]["content"]).split(" ")
    return wanted, entry, sum(1 for message in messages[last:] if message["role"] == "tool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Where the effects stand, and the model that every process asks."""

    path: Path
    model: ScriptedOpenAI
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def process(self, folder: Path, **settings: str) -> GobProcess:
        """A server with the tools of the ledger; not started yet."""
        own = {"LEDGER_FILE": str(self.path), "OPENAI_BASE_URL": self.model.base_url}
        return GobProcess(folder, {**QUICK, **own, **settings}, module=PROGRAM)

    def effects(self, kind: str) -> Counter[str]:
        """How often each entry was written."""
        return effects_in(self.path, kind)

    def asked(self) -> Counter[tuple[str, int]]:
        """How often the model was asked, by entry and results that it had seen."""
        requests = [asked_for(request) for request in self.model.requests if request.body]
        return Counter((entry, seen) for _, entry, seen in requests)


def effects_in(path: Path, kind: str) -> Counter[str]:
    """How often each entry of a kind stands in a file of effects."""
    lines = path.read_text().splitlines() if path.exists() else []
    return Counter(entry for was, entry, _ in map(str.split, lines) if was == kind)


@asynccontextmanager
async def open_ledger(folder: Path) -> AsyncGenerator[Ledger, None]:
    """An empty ledger and a model that listens."""
    async with ScriptedOpenAI() as model:
        ledger = Ledger(path=folder / "ledger", model=model)
        model.fallback = lambda request: reply(request, ledger.gate)
        yield ledger


Steps = Mapping[str, Sequence[tuple[Any, ...]]]


async def recorded_steps(url: str) -> Steps:
    """All that is stored of each step that has ended, by the instruction of its run, in order."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    sql = (
        "SELECT run.instruction, run_step.id, position, kind, run_step.status, name, text,"
        " arguments, result, run_step.finished_at FROM run_step JOIN run ON run.id = run_id"
        " WHERE run_step.status <> 'RUNNING' ORDER BY run_id, position"
    )
    for instruction, *step in await rows(url, sql):
        found.setdefault(instruction, []).append(tuple(step))
    return found
