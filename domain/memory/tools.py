"""Tools by which agents remember and recall, within the scope that their policy gives them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from domain.access.scopes import Principal
from domain.kernel.errors import Forbidden
from domain.memory.bounds import LONGEST_CONTENT, LONGEST_QUERY
from domain.memory.filters import MemoryFilter
from domain.memory.policy import MemoryKind, MemoryPolicy, MemoryScope
from domain.memory.reach import Reach
from domain.memory.service import MemoryService, Origin
from domain.tools.calls import Tool, ToolContext, ToolError, ToolFailureCode
from domain.tools.generate import tool_from
from domain.tools.manifest import SideEffect, ToolTraits

PolicyOf = Callable[[ToolContext], Awaitable[MemoryPolicy]]
"""Finds the memory policy of the agent that calls."""

MOST_RECALLED = 20
RECALL_TOKENS = 8_000
"""Most tokens of all memories that one call brings before a model."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REMEMBERS = ToolTraits(side_effect=SideEffect.WRITE, capabilities=("memory.write",))
_RECALLS = ToolTraits(
    side_effect=SideEffect.READ,
    capabilities=("memory.read",),
    # Tokens are estimated from bytes; JSON may write one byte with six.
    output_limit_bytes=24 * RECALL_TOKENS,
)

SavedKind = Literal["USER_DATA", "FRAGMENT", "SOLUTION"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What became of a memory: new, or known before."""

    kind: str
    content: str
    already_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecalledMemory:
    """A memory as a model reads it."""

    kind: str
    content: str
    metadata: dict[str, JsonValue]
    since: datetime
    """Since when it is true."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """Memories that answer, best first."""

    memories: list[RecalledMemory]


async def default_policy(_: ToolContext) -> MemoryPolicy:
    """The policy of agents that say nothing of memory."""
    return MemoryPolicy()


def memory_tools(service: MemoryService, policy_of: PolicyOf = default_policy) -> list[Tool]:
    """Make the tools over the service; `policy_of` gives each agent's policy."""
    return [_remember(service, policy_of), _recall(service, policy_of)]


def _remember(service: MemoryService, policy_of: PolicyOf) -> Tool:
    async def remember(
        context: ToolContext,
        *,
        content: Annotated[
            str,
            Field(
                description="What to remember, as a sentence that is clear by itself.",
                min_length=1,
                max_length=LONGEST_CONTENT,
            ),
        ],
        kind: Annotated[
            SavedKind,
            Field(
                description=(
                    "USER_DATA for a fact about the user or the workspace, FRAGMENT for a piece"
                    " of context, SOLUTION for a way to solve a problem."
                )
            ),
        ] = "USER_DATA",
        metadata: Annotated[
            dict[str, JsonValue] | None, Field(description="Data to filter by.")
        ] = None,
    ) -> Remembered:
        """Remember a fact, a piece of context or a solution for later."""
        policy = await policy_of(context)
        values: dict[str, Any] = {
            "content": content,
            "kind": kind,
            "metadata": metadata,
            **_belonging(policy.scope, context),
        }
        if context.step_id is not None:
            # A call that is repeated after its worker was lost saves nothing twice.
            values["idempotencyKey"] = f"step:{context.step_id}"
        origin = Origin(run_id=context.run_id, trusted=not context.is_tainted)
        saved = await service.save(_actor(context), values, origin=origin)
        known = saved.unchanged and not saved.replayed
        return Remembered(kind=saved.row.kind, content=saved.row.content, already_known=known)

    return tool_from(remember, domain="memory", traits=_REMEMBERS)


def _recall(service: MemoryService, policy_of: PolicyOf) -> Tool:
    async def recall(
        context: ToolContext,
        *,
        query: Annotated[
            str,
            Field(
                description="Words or a question that the memories should answer.",
                min_length=1,
                max_length=LONGEST_QUERY,
            ),
        ],
        kinds: Annotated[
            list[SavedKind] | None, Field(description="Only these kinds; all by default.")
        ] = None,
        limit: Annotated[
            int, Field(description="Most memories to return.", ge=1, le=MOST_RECALLED)
        ] = 8,
    ) -> Recalled:
        """Recall what was remembered earlier about something."""
        policy = await policy_of(context)
        if policy.scope is MemoryScope.NONE:
            raise _without_memory()
        wanted = [kind for kind in policy.recall_kinds if kinds is None or kind in kinds]
        most = min(limit, policy.recall_limit)
        if not wanted or most == 0:
            return Recalled(memories=[])
        result = await service.recall(
            _actor(context),
            query,
            reach=Reach(
                scope=policy.scope,
                agent_id=context.agent_id,
                conversation_id=context.conversation_id,
            ),
            narrowing=MemoryFilter(kinds=tuple(MemoryKind(kind) for kind in wanted)),
            limit=most,
            max_tokens=RECALL_TOKENS,
        )
        if not all(hit.row.trusted for hit in result.hits):
            context.reading.is_untrusted = True
        return Recalled(
            memories=[
                RecalledMemory(
                    kind=hit.row.kind,
                    content=hit.row.content,
                    metadata=hit.row.metadata,
                    since=_EPOCH + timedelta(microseconds=hit.row.valid_from),
                )
                for hit in result.hits
            ]
        )

    return tool_from(recall, domain="memory", traits=_RECALLS)


def _actor(context: ToolContext) -> Principal:
    if context.actor is None:
        raise Forbidden("Nobody is named on whose behalf memory is used.", scope=None)
    return context.actor


def _belonging(scope: MemoryScope, context: ToolContext) -> dict[str, Any]:
    """Where a memory belongs, so that just those recall it whose scope reaches it."""
    if scope is MemoryScope.NONE:
        raise _without_memory()
    if scope is MemoryScope.WORKSPACE:
        return {}
    if scope is MemoryScope.AGENT:
        return {"agentId": context.agent_id}
    if context.conversation_id is None:
        raise ToolError(
            "This agent remembers within a conversation only, and this run has none.",
            code=ToolFailureCode.REFUSED,
        )
    return {"agentId": context.agent_id, "conversationId": context.conversation_id}


def _without_memory() -> ToolError:
    return ToolError(
        "This agent has no memory: its memory scope is NONE.", code=ToolFailureCode.REFUSED
    )
