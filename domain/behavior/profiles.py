"""Profiles of behavior as wholes: made, put in force, deleted."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import orjson
from pydantic import StringConstraints

from domain.access.audit import AuditTrail
from domain.access.scopes import Principal, Scope
from domain.behavior.queries import BehaviorQueries
from domain.behavior.rows import BehaviorProfileRow
from domain.behavior.rules import NO_RULES
from domain.behavior.writes import (
    MOST_PROFILES,
    PROFILE,
    Saving,
    activate,
    agents_with,
    claim_profiles,
    deactivate,
    insert_profile,
    insert_version,
    mark_deleted,
    put_in_force,
)
from domain.events.records import EventDraft
from domain.events.store import EventStore
from domain.kernel.database import Database, Row, Statement, WriteRefusedError
from domain.kernel.errors import Conflict, ErrorCode, NotFound, ObjectRef, QuotaExceeded
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock
from domain.kernel.validation import ClientModel, Text, validated

BEHAVIOR_UPDATE = "BehaviorUpdate"
"""The event: a profile has a new version in force, or was put in force with the one it has."""
_NAMED = 3
"""Agents named in a refusal."""

ProfileName = Annotated[
    Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)
]


class NewProfile(ClientModel):
    """What a client sends to make a profile."""

    name: ProfileName
    description: Annotated[Text, StringConstraints(max_length=2000)] = ""


class BehaviorProfiles(BehaviorQueries):
    """Profiles of the caller's workspace, of which exactly one is active."""

    def __init__(
        self,
        database: Database,
        *,
        store: EventStore,
        audit: AuditTrail,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        super().__init__(database, clock, ids)
        self._store = store
        self._audit = audit

    async def create(self, principal: Principal, values: Mapping[str, Any]) -> BehaviorProfileRow:
        """Make an empty profile that nobody follows yet.

        Raises ValidationFailed, Conflict (NAME_TAKEN) and QuotaExceeded.
        """
        principal.needs(Scope.BEHAVIOR_WRITE)
        new = validated(NewProfile, values)
        await self._active(principal.workspace_id)
        while True:
            await self._check_free(principal, new.name)
            ident, now_us = self._ids(), self._clock.now_us()
            row = (ident, principal.workspace_id, new.name, new.description, now_us)
            try:
                await self._database.write(
                    [
                        *claim_profiles(self._database.dialect, principal.workspace_id),
                        insert_profile(row),
                        *self._line(principal, "behavior.created", ident, {"name": new.name}),
                    ]
                )
            except WriteRefusedError:
                continue  # another profile was faster to the name or the last place: look again
            return await self._found(principal, ident)

    async def activate(self, principal: Principal, profile_id: str) -> BehaviorProfileRow:
        """Put a profile in force at the next step of every run, in place of the one that is.

        A repeat changes nothing. Raises NotFound.
        """
        principal.needs(Scope.BEHAVIOR_WRITE)
        before = await self._active(principal.workspace_id)
        while True:
            profile = await self._found(principal, profile_id)
            if profile.active:
                return profile
            if await self._put_in_force(principal, profile, instead_of=before.name):
                return await self._found(principal, profile.id)

    async def delete(self, principal: Principal, profile_id: str) -> str:
        """Delete a profile that is not in use; runs that followed it still show its versions.

        Return its id. Raises NotFound and Conflict.
        """
        principal.needs(Scope.BEHAVIOR_WRITE)
        workspace_id = principal.workspace_id
        async with self._database.transaction() as tx:
            await tx.run(claim_profiles(self._database.dialect, workspace_id))
            rows = await tx.fetch(PROFILE, profile_id, workspace_id)
            if not rows:
                raise NotFound("behavior profile", profile_id, path=["profileId"])
            name, is_active = rows[0]
            if is_active:
                raise Conflict(
                    f"{name!r} is the workspace's profile; activate another one first.",
                    path=["profileId"],
                )
            _check_unused(name, profile_id, await tx.fetch(*agents_with(workspace_id, profile_id)))
            line = self._line(principal, "behavior.deleted", profile_id, {"name": name})
            await tx.run([mark_deleted(workspace_id, profile_id, self._clock.now_us()), *line])
        return profile_id

    async def _put_in_force(
        self, principal: Principal, profile: BehaviorProfileRow, *, instead_of: str
    ) -> bool:
        """Activate it as it was read; false when it moved on meanwhile."""
        workspace_id, now_us = principal.workspace_id, self._clock.now_us()
        version_id, version, filling = profile.version_id, profile.version, list[Statement]()
        if version_id is None:
            # A version of no rules, for steps to record and for the event to name.
            version_id, version = self._ids(), 1
            saving = Saving(
                version_id=version_id,
                workspace_id=workspace_id,
                profile_id=profile.id,
                version=version,
                rules=NO_RULES,
                restored_from=None,
                comment=None,
                created_by=principal.name,
                now_us=now_us,
            )
            filling = [put_in_force(saving), insert_version(saving)]
        detail = {"name": profile.name, "version": version, "insteadOf": instead_of}
        return await self._commit(
            principal,
            [
                *claim_profiles(self._database.dialect, workspace_id),
                *filling,
                deactivate(workspace_id, now_us),
                activate(workspace_id, profile.id, version=version, now_us=now_us),
                *self._line(principal, "behavior.activated", profile.id, detail),
            ],
            told_of(principal, profile.id, version_id, now_us),
        )

    async def _commit(
        self, principal: Principal, statements: Sequence[Statement], told: EventDraft
    ) -> bool:
        """Write and tell as one commit; false when a statement came too late."""
        appended = self._store.append(principal.workspace_id, [told])
        try:
            results = await self._database.write([*statements, *appended])
        except WriteRefusedError:
            return False
        self._store.announce(principal.workspace_id, self._store.head_of(results), [told])
        return True

    def _line(
        self, principal: Principal, action: str, profile_id: str, detail: Mapping[str, Any]
    ) -> list[Statement]:
        target = ObjectRef(kind="BehaviorProfile", id=profile_id)
        return self._audit.record(principal, action, target=target, detail=detail)

    async def _found(self, principal: Principal, profile_id: str | None) -> BehaviorProfileRow:
        if profile_id is None:
            return await self._active(principal.workspace_id)
        row = await self._profiles(principal).filter(id=profile_id).first()
        if row is None:
            raise NotFound("behavior profile", profile_id, path=["profileId"])
        return row

    async def _check_free(self, principal: Principal, name: str) -> None:
        """Raise Conflict (NAME_TAKEN), or QuotaExceeded."""
        rows = await self._profiles(principal)
        owner = next((row for row in rows if row.name == name), None)
        if owner is not None:
            raise Conflict(
                f"There is a behavior profile {name!r} already; take another name.",
                code=ErrorCode.NAME_TAKEN,
                path=["name"],
                conflicting=ObjectRef(kind="BehaviorProfile", id=owner.id),
            )
        if len(rows) >= MOST_PROFILES:
            raise QuotaExceeded(
                f"A workspace has at most {MOST_PROFILES} behavior profiles; delete one first.",
                quota="behavior.profiles",
                limit=MOST_PROFILES,
                retry_after_s=None,
            )


def told_of(principal: Principal, profile_id: str, version_id: str, now_us: int) -> EventDraft:
    """Build the event that a version is in force."""
    content = orjson.dumps({"versionId": version_id, "profileId": profile_id}).decode()
    return EventDraft(BEHAVIOR_UPDATE, content, principal.trace.trace_id, now_us)


def _check_unused(name: str, profile_id: str, agents: Sequence[Row]) -> None:
    """Raise Conflict naming the agents whose current version has the profile."""
    using = [
        (ident, agent)
        for ident, agent, settings in agents
        if orjson.loads(settings).get("behaviorProfileId") == profile_id
    ]
    if not using:
        return
    named = ", ".join(repr(agent) for _, agent in using[:_NAMED])
    more = f" and {len(using) - _NAMED} more" if len(using) > _NAMED else ""
    raise Conflict(
        f"{name!r} is the profile of {named}{more}; give them another one or none first.",
        path=["profileId"],
        conflicting=ObjectRef(kind="Agent", id=using[0][0]),
    )
