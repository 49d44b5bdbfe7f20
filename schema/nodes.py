"""Any object by its kind and id."""

from collections.abc import Awaitable, Callable, Mapping

from domain.kernel.errors import Forbidden
from schema.access import ApiKey, Workspace
from schema.agents import Agent
from schema.approvals import Approval
from schema.behavior import BehaviorProfile, BehaviorVersion
from schema.context import Loaders
from schema.conversations import Conversation, Message
from schema.ids import Kind
from schema.memory import Memory
from schema.occurrences import Occurrence
from schema.relay import Node
from schema.runs import Run
from schema.steps import step_of
from schema.tasks import Task
from schema.tools import Tool


async def _workspace(loaders: Loaders, raw: str) -> Node | None:
    row = await loaders.workspace(raw)
    return None if row is None else Workspace.of(row)


async def _api_key(loaders: Loaders, raw: str) -> Node | None:
    row = await loaders.api_key(raw)
    return None if row is None else ApiKey.of(row)


async def _agent(loaders: Loaders, raw: str) -> Node | None:
    row = await loaders.agent(raw)
    return None if row is None else Agent.of(row)


async def _conversation(loaders: Loaders, raw: str) -> Node | None:
    row = await loaders.conversation(raw)
    return None if row is None else Conversation.of(row)


async def _message(loaders: Loaders, raw: str) -> Node | None:
    row = await loaders.message(raw)
    return None if row is None else Message.of(row)


async def _run(loaders: Loaders, raw: str) -> Node | None:
    row = await loaders.run(raw)
    return None if row is None else Run.of(row)


async def _step(loaders: Loaders, raw: str) -> Node | None:
    row = await loaders.step(raw)
    return None if row is None else step_of(row)


async def _approval(loaders: Loaders, raw: str) -> Node | None:
    row = await loaders.approval(raw)
    return None if row is None else Approval.of(row)


async def _tool(loaders: Loaders, raw: str) -> Node | None:
    manifest = loaders.tool(raw)
    return None if manifest is None else Tool.of(manifest)


async def _behavior_profile(loaders: Loaders, raw: str) -> Node | None:
    row = await loaders.behavior_profile(raw)
    if row is None or row.deleted_at is not None:
        return None
    return BehaviorProfile.of(row)


async def _behavior_version(loaders: Loaders, raw: str) -> Node | None:
    row = await loaders.behavior_version(raw)
    return None if row is None else BehaviorVersion.of(row)


async def _no_node(_: Loaders, _raw: str) -> Node | None:
    """Rules have ids, and are only found in their profile."""
    return None


async def _task(loaders: Loaders, raw: str) -> Node | None:
    row = await loaders.task(raw)
    return None if row is None else Task.of(row)


async def _occurrence(loaders: Loaders, raw: str) -> Node | None:
    row = await loaders.occurrence(raw)
    return None if row is None else Occurrence.of(row)


async def _memory(loaders: Loaders, raw: str) -> Node | None:
    row = await loaders.memory(raw)
    return None if row is None else Memory.of(row)


async def _audit_entry(loaders: Loaders, raw: str) -> Node | None:
    # An entry shows its target, which is a node of any kind.
    from schema.audit import AuditEntry

    row = await loaders.audit_entry(raw)
    return None if row is None else AuditEntry.of(row)


_LOAD: Mapping[Kind, Callable[[Loaders, str], Awaitable[Node | None]]] = {
    Kind.WORKSPACE: _workspace,
    Kind.API_KEY: _api_key,
    Kind.AGENT: _agent,
    Kind.CONVERSATION: _conversation,
    Kind.MESSAGE: _message,
    Kind.RUN: _run,
    Kind.STEP: _step,
    Kind.APPROVAL: _approval,
    Kind.TOOL: _tool,
    Kind.BEHAVIOR_PROFILE: _behavior_profile,
    Kind.BEHAVIOR_VERSION: _behavior_version,
    Kind.BEHAVIOR_RULE: _no_node,
    Kind.TASK: _task,
    Kind.OCCURRENCE: _occurrence,
    Kind.MEMORY: _memory,
    Kind.AUDIT_ENTRY: _audit_entry,
}


async def node_of(loaders: Loaders, kind: Kind, raw: str) -> Node | None:
    """Load an object; None when it is unknown or the caller may not see it."""
    try:
        return await _LOAD[kind](loaders, raw)
    except Forbidden:
        return None
