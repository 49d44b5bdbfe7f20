"""Whom a run may hand work to, read from the agents as they are now."""

from collections.abc import Sequence

from domain.agents.settings import AgentSettings, RunLimits
from domain.kernel.database import Database, placeholders
from domain.runs.bounds import Bounds
from domain.runs.delegate_call import DELEGATE, Circle, Delegate
from domain.runs.work import Work
from domain.tools.patterns import fits


def may_delegate(settings: AgentSettings, narrowed: Sequence[str] | None) -> bool:
    """Tell whether a run may hand work on; `narrowed` are the tools its caller allows it."""
    is_left = narrowed is None or fits(DELEGATE, narrowed)
    return bool(settings.delegate_ids) and is_left


class Circles:
    """Reads the agents that other agents name as delegates."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, work: Work, settings: AgentSettings, limits: RunLimits) -> Circle:
        """Whom the run may ask, by its agent's definition, its bounds and its depth."""
        above = Bounds.read(work.claim.bounds).agents
        return Circle(
            delegates=await self._delegates(work.workspace_id, settings.delegate_ids),
            above=frozenset({*above, work.claim.agent_id}),
            depth_left=limits.max_delegation_depth,
        )

    async def strangers(self, workspace_id: str, slugs: Sequence[str]) -> frozenset[str]:
        """Return those of the slugs that agents of the workspace have."""
        if not slugs:
            return frozenset()
        sql = (
            "SELECT slug FROM agent WHERE workspace_id = $1"
            f" AND slug IN ({placeholders(2, len(slugs))})"
        )
        return frozenset(row[0] for row in await self._database.fetch(sql, workspace_id, *slugs))

    async def _delegates(self, workspace_id: str, agent_ids: Sequence[str]) -> Sequence[Delegate]:
        if not agent_ids:
            return ()
        sql = (
            "SELECT id, slug, name, description, version, archived_at FROM agent"
            f" WHERE workspace_id = $1 AND id IN ({placeholders(2, len(agent_ids))})"
        )
        rows = await self._database.fetch(sql, workspace_id, *agent_ids)
        found = {
            ident: Delegate(
                id=ident,
                slug=slug,
                name=name,
                description=description,
                version=version,
                is_archived=archived_at is not None,
            )
            for ident, slug, name, description, version, archived_at in rows
        }
        return [found[ident] for ident in agent_ids if ident in found]
