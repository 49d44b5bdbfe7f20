"""Which rules bind a run now: the workspace's, its agent's, and those of all agents above it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from domain.behavior.rules import Rules, read
from domain.kernel.database import Database, placeholders
from domain.kernel.errors import NotFound
from domain.runs.bounds import Bounds
from domain.runs.work import Work

MOST_KEPT = 256
"""Versions whose rules are kept at hand."""

Patterns = Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSets:
    """What binds one run: the call must be allowed by each list of rules, and by each bound.

    `versions` are those of the first list, the workspace's before the agent's.
    """

    lists: Sequence[Rules]
    versions: Sequence[str]
    bounds: Sequence[Patterns]
    """Names or patterns of tools that each agent above may call."""


class RulesInForce:
    """Finds them anew for every ruling; versions never change, so their rules are kept."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, Rules] = {}

    async def of_run(self, work: Work, profile_id: str | None) -> RuleSets:
        """Find what binds a run whose agent has this profile of its own."""
        bounds = Bounds.read(work.claim.bounds)
        above = bounds.profiles
        active, versions = await self._versions(work.workspace_id, {*above, profile_id} - {None})
        own = [active, versions.get(profile_id or "")]
        followed = [own]
        if work.claim.behavior_pin is not None:
            # What a retry is pinned to comes on top: a rule made since is obeyed too.
            followed.append(orjson.loads(work.claim.behavior_pin))
        followed += [[active, versions.get(ident)] for ident in above]
        # Not by depth: a run that tries a delegated one again stands alone, within its bounds.
        if len(bounds.agents) > len(above):
            followed.append([active])
        return RuleSets(
            lists=[await self._rules(idents) for idents in followed],
            versions=[ident for ident in own if ident is not None],
            bounds=bounds.tools,
        )

    async def of_versions(self, *version_ids: str | None) -> Rules:
        """Return the rules of these versions together."""
        return await self._rules(version_ids)

    async def _versions(
        self, workspace_id: str, profile_ids: set[Any]
    ) -> tuple[str | None, dict[str, str]]:
        """The version in force of the workspace's profile, and of each of the others."""
        others = sorted(profile_ids)
        named = f" OR id IN ({placeholders(2, len(others))})" if others else ""
        rows = await self._database.fetch(
            "SELECT id, version_id, active FROM behavior_profile"
            f" WHERE workspace_id = $1 AND version_id IS NOT NULL AND (active{named})",
            workspace_id,
            *others,
        )
        active = next((version_id for _, version_id, is_active in rows if is_active), None)
        return active, {ident: version_id for ident, version_id, is_active in rows if not is_active}

    async def _rules(self, version_ids: Sequence[str | None]) -> Rules:
        found: Rules = ()
        for ident in version_ids:
            if ident is not None:
                found += await self._of_version(ident)
        return found

    async def _of_version(self, version_id: str) -> Rules:
        known = self._known.get(version_id)
        if known is None:
            sql = "SELECT rules FROM behavior_version WHERE id = $1"
            rows = await self._database.fetch(sql, version_id)
            if not rows:
                raise NotFound("behavior version", version_id)
            if len(self._known) >= MOST_KEPT:
                del self._known[next(iter(self._known))]
            known = self._known[version_id] = read(rows[0][0])
        return known
