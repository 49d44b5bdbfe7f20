"""Calls of the tools over tasks, as runs of the default agent make them."""

from typing import Any

from domain.access.scopes import Principal, Scope
from domain.tasks.tools import task_tools
from domain.tools.calls import Reading, ToolContext, ToolResult
from domain.tools.registry import ToolRegistry
from tests.domain.task_world import TaskWorld


async def called(
    world: TaskWorld,
    tool: str,
    *,
    by_run: str | None = None,
    reading: Reading | None = None,
    **arguments: Any,
) -> ToolResult:
    """Call a tool with the scopes that its manifest gives a run."""
    agent = await world.runs.agents.agent(world.runs.principal, slug="default")
    assert agent is not None
    registry = ToolRegistry(task_tools(world.service, world.runs.clock))
    manifest = next(each.manifest for each in registry if each.manifest.name == tool)
    granted = {capability.replace(".", ":") for capability in manifest.capabilities}
    actor = Principal(
        workspace_id=world.runs.principal.workspace_id,
        key_id=None,
        name="default",
        scopes=frozenset(scope for scope in Scope if scope.value in granted),
    )
    context = ToolContext(
        workspace_id=actor.workspace_id,
        run_id=by_run,
        step_id="step_1",
        agent_id=agent.id,
        actor=actor,
        reading=reading or Reading(),
    )
    return await registry.call(tool, arguments, context=context)
