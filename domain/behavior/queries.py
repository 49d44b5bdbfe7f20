"""Behavior profiles and their versions, as clients find them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tortoise.queryset import QuerySet

from domain.access.scopes import Principal, Scope
from domain.behavior.effective import EffectiveRule, resolve
from domain.behavior.merging import sourced
from domain.behavior.patch import BehaviorDiff, diff
from domain.behavior.policy import forbids
from domain.behavior.rows import BehaviorProfileRow, BehaviorVersionRow
from domain.behavior.rules import NO_RULES, Rules, read
from domain.behavior.writes import insert_default
from domain.kernel.database import Database
from domain.kernel.ids import IdSource
from domain.kernel.paging import Page, PageRequest, paginate
from domain.kernel.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachingRule:
    """A rule that reaches an agent, and the profile it comes from."""

    found: EffectiveRule
    profile_row: BehaviorProfileRow


class BehaviorQueries:
    """Reads behavior of the caller's workspace, which always has one active profile."""

    def __init__(self, database: Database, clock: Clock, ids: IdSource) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    async def profile(
        self, principal: Principal, profile_id: str | None = None
    ) -> BehaviorProfileRow | None:
        """Return one profile, the workspace's without an id; None when unknown."""
        principal.needs(Scope.BEHAVIOR_READ)
        if profile_id is None:
            return await self._active(principal.workspace_id)
        return await self._profiles(principal).filter(id=profile_id).first()

    async def active(self, principal: Principal) -> BehaviorProfileRow:
        """Return the workspace's profile."""
        principal.needs(Scope.BEHAVIOR_READ)
        return await self._active(principal.workspace_id)

    async def profiles(self, principal: Principal) -> list[BehaviorProfileRow]:
        """List every profile by name."""
        principal.needs(Scope.BEHAVIOR_READ)
        await self._active(principal.workspace_id)
        return await self._profiles(principal).order_by("name")

    async def versions(
        self, principal: Principal, profile_id: str, page: PageRequest
    ) -> Page[BehaviorVersionRow]:
        """List the versions of a profile, newest first. Raises BadCursor."""
        principal.needs(Scope.BEHAVIOR_READ)
        return await paginate(
            self._versions(principal).filter(profile_id=profile_id),
            sort=("version", "id"),
            descending=True,
            request=page,
            database=self._database,
            within=profile_id,
        )

    async def version(self, principal: Principal, version_id: str) -> BehaviorVersionRow | None:
        """Return one version, None when unknown."""
        return (await self.versions_by_ids(principal, [version_id])).get(version_id)

    async def diff(
        self, principal: Principal, profile_id: str, *, older: int, newer: int
    ) -> BehaviorDiff | None:
        """Compare two versions by number, 0 being none; None when one does not exist."""
        principal.needs(Scope.BEHAVIOR_READ)
        before, after = [
            await self._rules_at(principal, profile_id, number) for number in (older, newer)
        ]
        if before is None or after is None:
            return None
        return diff(read(before), read(after), from_version=older, to_version=newer)

    async def effective(
        self, principal: Principal, profile_ids: Iterable[str]
    ) -> Mapping[str, list[ReachingRule]]:
        """Resolve the rules that reach agents of these own profiles, by profile.

        A profile that is the workspace's, or none at all, adds nothing to the workspace's.
        """
        principal.needs(Scope.BEHAVIOR_READ)
        active = await self._active(principal.workspace_id)
        wanted = list(dict.fromkeys(profile_ids))
        own = {row.id: row for row in await self._profiles(principal).filter(id__in=wanted)}
        rules = await self._rules_of(principal, [active, *own.values()])
        return {
            ident: self._resolved(active, None if ident == active.id else own.get(ident), rules)
            for ident in wanted
        }

    async def denied_tools(
        self, principal: Principal, profile_ids: Iterable[str], names: Iterable[str]
    ) -> Mapping[str, frozenset[str]]:
        """Return the tools of which agents of these own profiles may make no call, by profile.

        Also for those who see agents or tools.
        """
        principal.needs_any(Scope.TOOLS_READ, Scope.AGENTS_READ)
        active = await self._active(principal.workspace_id)
        wanted, now_us = list(dict.fromkeys(profile_ids)), self._clock.now_us()
        own = {row.id: row for row in await self._profiles(principal).filter(id__in=wanted)}
        rules = await self._rules_of(principal, [active, *own.values()])
        binding = {
            ident: rules[active.id] + (rules[ident] if ident in own and ident != active.id else ())
            for ident in wanted
        }
        return {
            ident: frozenset(name for name in names if forbids(found, name, now_us))
            for ident, found in binding.items()
        }

    def _resolved(
        self,
        active: BehaviorProfileRow,
        own: BehaviorProfileRow | None,
        rules: Mapping[str, Rules],
    ) -> list[ReachingRule]:
        of_agent = () if own is None else rules[own.id]
        found = resolve(sourced(rules[active.id], of_agent), self._clock.now_us())
        return [
            ReachingRule(found=one, profile_row=own if one.is_agents and own else active)
            for one in found
        ]

    async def _rules_of(
        self, principal: Principal, profiles: Iterable[BehaviorProfileRow]
    ) -> dict[str, Rules]:
        """The rules in force of each profile, by its id."""
        version_of = {row.id: row.version_id for row in profiles}
        ids = [ident for ident in version_of.values() if ident is not None]
        written = {row.id: row.rules for row in await self._versions(principal).filter(id__in=ids)}
        return {
            ident: read(written.get(version_id or "", NO_RULES))
            for ident, version_id in version_of.items()
        }

    async def profiles_by_ids(
        self, principal: Principal, ids: Iterable[str]
    ) -> dict[str, BehaviorProfileRow]:
        """Return profiles by id, deleted ones too: runs still name them, so who sees runs may."""
        principal.needs_any(Scope.BEHAVIOR_READ, Scope.RUNS_READ, Scope.RUNS_EXECUTE)
        rows = await self._with_deleted(principal).filter(id__in=list(ids))
        return {row.id: row for row in rows}

    async def versions_by_ids(
        self, principal: Principal, ids: Iterable[str]
    ) -> dict[str, BehaviorVersionRow]:
        """Return the versions that exist, by id; also for those who see runs."""
        principal.needs_any(Scope.BEHAVIOR_READ, Scope.RUNS_READ, Scope.RUNS_EXECUTE)
        rows = await self._versions(principal).filter(id__in=list(ids))
        return {row.id: row for row in rows}

    async def _active(self, workspace_id: str) -> BehaviorProfileRow:
        """Return the workspace's profile, making it on first need, also with many processes."""
        rows = BehaviorProfileRow.filter(workspace_id=workspace_id, active=True)
        query = rows.using_db(self._database.reader)
        found = await query.first()
        if found is None:
            insertion = insert_default(self._ids(), workspace_id, self._clock.now_us())
            await self._database.write([insertion])
            found = await query.get()
        return found

    async def _rules_at(self, principal: Principal, profile_id: str, number: int) -> str | None:
        """The written rules of a version; None when the profile never had it."""
        if number == 0 and await self._profiles(principal).filter(id=profile_id).exists():
            return NO_RULES
        rows = self._versions(principal).filter(profile_id=profile_id, version=number)
        found = await rows.first()
        return None if found is None else found.rules

    def _profiles(self, principal: Principal) -> QuerySet[BehaviorProfileRow]:
        return self._with_deleted(principal).filter(deleted_at__isnull=True)

    def _with_deleted(self, principal: Principal) -> QuerySet[BehaviorProfileRow]:
        rows = BehaviorProfileRow.filter(workspace_id=principal.workspace_id)
        return rows.using_db(self._database.reader)

    def _versions(self, principal: Principal) -> QuerySet[BehaviorVersionRow]:
        rows = BehaviorVersionRow.filter(workspace_id=principal.workspace_id)
        return rows.using_db(self._database.reader)
