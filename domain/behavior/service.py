"""Adjusting behavior: a checked patch becomes a whole new version, in force from the next step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.access.scopes import Principal, Scope
from domain.behavior.adjustment import Adjustment, Rollback
from domain.behavior.conflicts import RuleConflict, conflicts
from domain.behavior.patch import BehaviorDiff, RuleChange, adjusted, diff
from domain.behavior.profiles import BehaviorProfiles, told_of
from domain.behavior.rows import BehaviorProfileRow, BehaviorVersionRow
from domain.behavior.rules import NO_RULES, Rule, RuleKind, read, written
from domain.behavior.writes import Saving, insert_version, put_in_force
from domain.kernel.errors import Conflict, ErrorCode, NotFound
from domain.kernel.validation import validated

__all__ = [
    "BehaviorDiff",
    "BehaviorService",
    "Rule",
    "RuleChange",
    "RuleConflict",
    "RuleKind",
    "read",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """Outcome of an adjustment or a rollback, or what it would be.

    `profile_row` and `version_row` are as they are now; there is no version before the first
    adjustment.
    """

    profile_row: BehaviorProfileRow
    version_row: BehaviorVersionRow | None
    diff: BehaviorDiff
    conflicts: tuple[RuleConflict, ...]
    dry_run: bool
    changed: bool
    """True when a new version was saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What a profile is to become, and how that is recorded."""

    text: str
    action: str
    comment: str | None
    dry_run: bool
    restored_from: int | None = None


class BehaviorService(BehaviorProfiles):
    """Behavior of every workspace; each call sees that of its caller's."""

    async def adjust(self, principal: Principal, values: Mapping[str, Any]) -> Adjusted:
        """Apply a patch of rules, all or none; without a change there is no new version.

        Raises ValidationFailed, NotFound, Conflict (VERSION_MISMATCH) and QuotaExceeded.
        """
        principal.needs(Scope.BEHAVIOR_WRITE)
        asked = validated(Adjustment, values)
        asked.check(self._clock.now_us())
        while True:
            profile = await self._found(principal, asked.profile_id)
            _check_version(profile, asked.expected_version)
            before = await self._current(principal, profile)
            after = adjusted(read(before), asked, new_id=self._ids, created_by=principal.name)
            wanted = _Wanted(
                text=written(after),
                action="behavior.adjusted",
                comment=asked.comment,
                dry_run=asked.dry_run,
            )
            done = await self._become(principal, profile, before, wanted)
            if done is not None:
                return done

    async def rollback(self, principal: Principal, values: Mapping[str, Any]) -> Adjusted:
        """Save the rules of an earlier version, byte for byte, as a new one.

        Raises ValidationFailed and NotFound.
        """
        principal.needs(Scope.BEHAVIOR_WRITE)
        asked = validated(Rollback, values)
        while True:
            profile = await self._found(principal, asked.profile_id)
            earlier = await self._rules_at(principal, profile.id, asked.to_version)
            if earlier is None:
                number = str(asked.to_version)
                raise NotFound("version", number, path=["toVersion"], by="number")
            wanted = _Wanted(
                text=earlier,
                action="behavior.rolled_back",
                comment=asked.comment,
                dry_run=asked.dry_run,
                restored_from=asked.to_version,
            )
            before = await self._current(principal, profile)
            done = await self._become(principal, profile, before, wanted)
            if done is not None:
                return done

    async def _become(
        self, principal: Principal, profile: BehaviorProfileRow, before: str, wanted: _Wanted
    ) -> Adjusted | None:
        """Save what is wanted, if it differs; None when the profile moved on meanwhile."""
        differs = wanted.text != before
        number = profile.version + 1 if differs else profile.version
        rules = read(wanted.text)
        difference = diff(read(before), rules, from_version=profile.version, to_version=number)
        saves = differs and not wanted.dry_run
        if saves:
            saved = await self._save(principal, profile, wanted, difference)
            if not saved:
                return None
            profile = await self._found(principal, profile.id)
        return Adjusted(
            profile_row=profile,
            version_row=await self._version_of(principal, profile),
            diff=difference,
            conflicts=conflicts(rules, self._clock.now_us()),
            dry_run=wanted.dry_run,
            changed=saves,
        )

    async def _save(
        self,
        principal: Principal,
        profile: BehaviorProfileRow,
        wanted: _Wanted,
        difference: BehaviorDiff,
    ) -> bool:
        """Write the version, its audit line and its event as one commit; false when late."""
        saving = Saving(
            version_id=self._ids(),
            workspace_id=principal.workspace_id,
            profile_id=profile.id,
            version=difference.to_version,
            rules=wanted.text,
            restored_from=wanted.restored_from,
            comment=wanted.comment,
            created_by=principal.name,
            now_us=self._clock.now_us(),
        )
        return await self._commit(
            principal,
            [
                put_in_force(saving),
                insert_version(saving),
                *self._line(principal, wanted.action, profile.id, _detail(wanted, difference)),
            ],
            told_of(principal, profile.id, saving.version_id, saving.now_us),
        )

    async def _current(self, principal: Principal, profile: BehaviorProfileRow) -> str:
        version = await self._version_of(principal, profile)
        return NO_RULES if version is None else version.rules

    async def _version_of(
        self, principal: Principal, profile: BehaviorProfileRow
    ) -> BehaviorVersionRow | None:
        if profile.version_id is None:
            return None
        return await self._versions(principal).get(id=profile.version_id)


def _detail(wanted: _Wanted, difference: BehaviorDiff) -> dict[str, Any]:
    """What the audit log keeps of a save; the rules themselves are in the version."""
    return {
        "version": difference.to_version,
        "added": len(difference.added),
        "removed": len(difference.removed),
        "changed": len(difference.changed),
        "restoredFrom": wanted.restored_from,
        "comment": wanted.comment,
    }


def _check_version(row: BehaviorProfileRow, expected: int | None) -> None:
    if expected is not None and row.version != expected:
        raise Conflict(
            f"The profile is at version {row.version}, not {expected}; read it again.",
            code=ErrorCode.VERSION_MISMATCH,
            path=["expectedVersion"],
            current_version=row.version,
        )
