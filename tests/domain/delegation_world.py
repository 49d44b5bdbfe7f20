"""Agents that hand work to each other, each with a scripted model of its own."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from domain.agents.rows import AgentRow
from domain.models.ports import Finished, FinishReason, TokenUsage, ToolCall, ToolCallReady
from domain.runs.rows import RunRow
from domain.runs.runner import Runner
from tests.fakes import Act, ScriptedModel
from tests.run_world import RunWorld


def ask(agent: str, instruction: str = "do it", **more: Any) -> str:
    """Arguments of a call that hands work on."""
    return json.dumps({"agent": agent, "instruction": instruction, **more})


def delegate(*arguments: str, tokens: int = 6) -> list[Act]:
    """An answer that hands work on, as often as there are arguments."""
    calls = [
        ToolCallReady(ToolCall(id=f"call_{place}", name="delegate", arguments=each))
        for place, each in enumerate(arguments, 1)
    ]
    usage = TokenUsage(input_tokens=tokens - 1, output_tokens=1)
    return [*calls, usage, Finished(FinishReason.TOOL_CALLS)]


@dataclass(kw_only=True)
class Family:
    """A world with agents in it."""

    world: RunWorld
    models: dict[str, ScriptedModel] = field(default_factory=dict[str, ScriptedModel])
    agents: dict[str, AgentRow] = field(default_factory=dict[str, AgentRow])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def agent(
        self, slug: str, *scripts: Sequence[Act], asks: Sequence[str] = (), **more: Any
    ) -> ScriptedModel:
        """Make an agent with a script, who may ask the agents of these slugs."""
        model = self.models[slug] = ScriptedModel(slug)
        model.script(*scripts)
        self.world.others.append(model)
        values = {
            "name": slug.title(),
            "slug": slug,
            "model": {"provider": slug, "name": "m"},
            "delegateIds": [self.agents[each].id for each in asks],
            **more,
        }
        self.agents[slug] = await self.world.agents.create(self.world.principal, values)
        return model

    async def change(self, slug: str, **values: Any) -> None:
        """Save an agent with other settings."""
        world, agent_id = self.world, self.agents[slug].id
        self.agents[slug] = await world.agents.update(world.principal, agent_id, values)

    @asynccontextmanager
    async def process(self) -> AsyncGenerator[Runner, None]:
        """A process that takes what it is hinted at."""
        async with self.world.process() as runner:
            self.deliver_to(runner)
            yield runner
            self.world.queue.deliver = None

    def deliver_to(self, runner: Runner) -> None:
        """Let this process hear every hint from now on."""

        def deliver(run_id: str) -> None:
            task = asyncio.create_task(runner.execute(run_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self.world.queue.deliver = deliver

    async def accept(self, slug: str, **more: Any) -> str:
        """Accept a run of an agent, hinted to whoever listens."""
        return await self.world.accept(agent={"slug": slug}, **more)

    async def end_of(self, run_id: str) -> RunRow:
        """Wait for the end of a run."""
        await self.world.service(None).wait_end(self.world.principal, run_id, 20)
        return await self.world.row(run_id)

    async def run(self, slug: str, **more: Any) -> RunRow:
        """Have a process carry out a run and all that it begins."""
        async with self.process():
            return await self.end_of(await self.accept(slug, **more))

    async def children(self, run_id: str) -> list[RunRow]:
        """Runs that a run began, oldest first."""
        rows = RunRow.filter(parent_run_id=run_id).using_db(self.world.database.reader)
        return await rows.order_by("created_at", "id")
