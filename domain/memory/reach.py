"""Which memories can be seen: not forgotten, not expired, and within an agent's scope."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.kernel.condition_sql import Parameters
from domain.kernel.database import Dialect
from domain.memory.filters import MemoryFilter, filter_sql
from domain.memory.policy import MemoryScope


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Whose memory an agent sees in a conversation; what may not be recalled is out of it."""

    scope: MemoryScope
    agent_id: str | None
    conversation_id: str | None


def named_sql(ids: Sequence[str], parameters: Parameters, workspace: str) -> str:
    """Compile the memories of these ids in a workspace, given as a placeholder."""
    # Without statistics SQLite would rather walk the workspace than look up many ids.
    return f"id IN ({parameters.add_all(ids)}) AND workspace_id || '' = {workspace}"


class Sight(Protocol):
    """What decides which memories are seen."""

    @property
    def narrowing(self) -> MemoryFilter:
        """What is asked for."""
        ...

    @property
    def reach(self) -> Reach | None:
        """Bounds of an agent."""
        ...

    @property
    def now_us(self) -> int:
        """The moment now."""
        ...

    @property
    def as_of_us(self) -> int | None:
        """When it must have been true."""
        ...


def visible_sql(sight: Sight, parameters: Parameters, dialect: Dialect) -> str:
    """Compile what a search sees: what is asked for, true at the moment, within reach."""
    moment = parameters.add(sight.now_us if sight.as_of_us is None else sight.as_of_us)
    conditions = [
        f"memory.valid_from <= {moment}",
        f"(memory.valid_to IS NULL OR memory.valid_to > {moment})",
        present_sql(sight.narrowing, parameters, dialect, now_us=sight.now_us),
    ]
    if sight.reach is not None:
        conditions.append(_reach_sql(sight.reach, parameters))
    return " AND ".join(conditions)


def present_sql(
    narrowing: MemoryFilter, parameters: Parameters, dialect: Dialect, *, now_us: int
) -> str:
    """Compile a filter, leaving out what is forgotten or expired unless it asks for it."""
    wanted = filter_sql(narrowing, parameters, dialect)
    if narrowing.asks_for_forgotten:
        return wanted
    now = parameters.add(now_us)
    live = f"(memory.expires_at IS NULL OR memory.expires_at > {now} OR memory.pinned)"
    return f"memory.forgotten_at IS NULL AND {live} AND {wanted}"


def _reach_sql(reach: Reach, parameters: Parameters) -> str:
    if reach.scope is MemoryScope.NONE:
        return "FALSE"
    if reach.scope is MemoryScope.CONVERSATION:
        here = _only("conversation_id", reach.conversation_id, parameters)
        return f"memory.recallable AND {here}"
    whose = _only if reach.scope is MemoryScope.AGENT else _or_null
    here = _or_null("conversation_id", reach.conversation_id, parameters)
    return f"memory.recallable AND {here} AND {whose('agent_id', reach.agent_id, parameters)}"


def _only(column: str, ident: str | None, parameters: Parameters) -> str:
    return "FALSE" if ident is None else f"memory.{column} = {parameters.add(ident)}"


def _or_null(column: str, ident: str | None, parameters: Parameters) -> str:
    if ident is None:
        return f"memory.{column} IS NULL"
    return f"(memory.{column} IS NULL OR memory.{column} = {parameters.add(ident)})"
