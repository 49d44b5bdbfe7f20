"""Agents: found, made, changed, archived and returned to earlier versions."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

from pydantic import StringConstraints

from domain.access.audit import AuditTrail
from domain.access.scopes import SYSTEM, Principal, Scope
from domain.agents.changes import merged, without_nulls
from domain.agents.choices import check_models
from domain.agents.profiles import check_profile, hold_profile
from domain.agents.queries import AgentFilter, AgentOrder, AgentQueries
from domain.agents.rows import AgentRow
from domain.agents.settings import AgentSettings, NewAgent
from domain.agents.slugs import free_slug, slug_of
from domain.agents.writes import Saving, claim_slugs, insert_agent, insert_version, update_agent
from domain.kernel.changes import Change, changes_between
from domain.kernel.database import Database, Statement, WriteRefusedError
from domain.kernel.errors import Conflict, ErrorCode, NotFound, ObjectRef, ValidationFailed
from domain.kernel.idempotency import IdempotencyKeys, digest_of
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock
from domain.kernel.validation import ClientModel, Text, validated
from domain.models.providers import ModelProviders

__all__ = ["AgentFilter", "AgentOrder", "AgentService", "Change", "changes_between"]

DEFAULT_SLUG = "default"
CREATE = "createAgent"

DEFAULT_AGENT = AgentSettings(
    name="Default agent",
    slug=DEFAULT_SLUG,
    description="Answers when no other agent is named.",
    instructions=(
        "Carry out the instruction. Use a tool where it knows better than you, say what you did,"
        " and say plainly what you could not do."
    ),
)


class Note(ClientModel):
    """Why an agent is saved."""

    comment: Annotated[Text, StringConstraints(max_length=1000)] | None = None


class AgentService(AgentQueries):
    """Agents of every workspace; each call sees those of its caller's."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: IdSource,
        idempotency: IdempotencyKeys,
        *,
        audit: AuditTrail | None = None,
        models: ModelProviders | None = None,
    ) -> None:
        """`models` are those that agents may name; without them, none is checked."""
        super().__init__(database)
        self._models = models
        self._audit = audit or AuditTrail(database, clock, ids)
        self._clock = clock
        self._ids = ids
        self._idempotency = idempotency

    async def ensure_default(self, workspace_id: str) -> AgentRow:
        """Return the default agent, making it on first use, also with many processes."""
        query = self._rows(workspace_id).filter(slug=DEFAULT_SLUG)
        found = await query.first()
        if found is None:
            saving = Saving(
                agent_id=self._ids(),
                version_id=self._ids(),
                workspace_id=workspace_id,
                slug=DEFAULT_SLUG,
                settings=DEFAULT_AGENT,
                created_by=SYSTEM,
                now_us=self._clock.now_us(),
            )
            house = Principal.of_house(workspace_id)
            with suppress(WriteRefusedError):  # another process was faster
                await self._database.write(
                    [
                        *claim_slugs(self._database.dialect, workspace_id),
                        insert_agent(saving),
                        insert_version(saving),
                        *self._line(house, "agent.created", saving.agent_id, {"slug": saving.slug}),
                    ]
                )
            found = await query.get()
        return found

    async def create(self, principal: Principal, values: Mapping[str, Any]) -> AgentRow:
        """Make an agent of a client's values; a repeat of its idempotency key makes none.

        Raises ValidationFailed, NotFound for a delegate or a behavior profile, and Conflict
        (NAME_TAKEN, IDEMPOTENCY_MISMATCH).
        """
        principal.needs(Scope.AGENTS_WRITE)
        new = validated(NewAgent, without_nulls(values))
        self._check_models(new, values)
        while True:
            made = await self._recalled(principal, new)
            if made is not None:
                return made
            await self._check_delegates(principal, new)
            await check_profile(self._database, principal.workspace_id, new)
            saving = await self._saving(principal, self._ids(), new)
            try:
                await self._database.write(
                    [
                        *claim_slugs(self._database.dialect, principal.workspace_id),
                        *hold_profile(self._database, principal.workspace_id, new),
                        insert_agent(saving),
                        insert_version(saving),
                        *self._remembered(principal, new, saving.agent_id),
                        *self._line(
                            principal, "agent.created", saving.agent_id, {"slug": saving.slug}
                        ),
                    ]
                )
            except WriteRefusedError:
                continue  # a twin, or another agent with this slug, was faster: look again
            return await self._found(principal, saving.agent_id)

    async def update(
        self,
        principal: Principal,
        agent_id: str,
        values: Mapping[str, Any],
        *,
        expected_version: int | None = None,
        comment: str | None = None,
    ) -> AgentRow:
        """Save a client's values as a new version; without a change there is none.

        An absent field stays, null clears to the default, limits and memory merge by field.
        Raises ValidationFailed, NotFound, and Conflict (NAME_TAKEN, VERSION_MISMATCH).
        """
        principal.needs(Scope.AGENTS_WRITE)
        note = validated(Note, {"comment": comment})
        while True:
            row = await self._found(principal, agent_id)
            _check_version(row, expected_version)
            settings = validated(AgentSettings, merged(row.settings, values))
            self._check_models(settings, values)
            if "delegateIds" in values:
                await self._check_delegates(principal, settings, own=agent_id)
            if "behaviorProfileId" in values:
                await check_profile(self._database, principal.workspace_id, settings)
            if await self._save_over(principal, row, settings, note, action="agent.updated"):
                return await self._found(principal, agent_id)

    async def rollback(
        self, principal: Principal, agent_id: str, *, to_version: int, comment: str | None = None
    ) -> AgentRow:
        """Save the settings of an earlier version as a new one; none where nothing differs.

        Raises NotFound, and ValidationFailed, also when another agent has the version's slug or
        its behavior profile was deleted.
        """
        principal.needs(Scope.AGENTS_WRITE)
        note = validated(Note, {"comment": comment})
        while True:
            row = await self._found(principal, agent_id)
            query = self._versions(principal).filter(agent_id=agent_id, version=to_version)
            earlier = await query.first()
            if earlier is None:
                raise NotFound("version", str(to_version), path=["toVersion"])
            settings = AgentSettings.model_validate(earlier.settings)
            try:
                await check_profile(self._database, principal.workspace_id, settings)
                saved = await self._save_over(
                    principal, row, settings, note, action="agent.rolled_back"
                )
            except Conflict as taken:
                raise ValidationFailed.of("toVersion", taken.message) from taken
            except NotFound as gone:
                message = "The behavior profile of this version was deleted since."
                raise ValidationFailed.of("toVersion", message) from gone
            if saved:
                return await self._found(principal, agent_id)

    async def archive(self, principal: Principal, agent_id: str, *, archived: bool) -> AgentRow:
        """Archive an agent or bring it back; a repeat changes nothing. Raises NotFound."""
        principal.needs(Scope.AGENTS_WRITE)
        now = self._clock.now_us()
        sql = (
            "UPDATE agent SET archived_at = $3, updated_at = $4 WHERE id = $1"
            f" AND workspace_id = $2 AND archived_at IS {'' if archived else 'NOT '}NULL"
            " RETURNING id"
        )
        values = (agent_id, principal.workspace_id, now if archived else None, now)
        action = "agent.archived" if archived else "agent.restored"
        with suppress(WriteRefusedError):  # it is so already, or there is no such agent
            await self._database.write(
                [
                    Statement(sql, values, must_match=True),
                    *self._line(principal, action, agent_id, {}),
                ]
            )
        return await self._found(principal, agent_id)

    def _line(
        self, actor: Principal, action: str, agent_id: str, detail: Mapping[str, Any]
    ) -> list[Statement]:
        target = ObjectRef(kind="Agent", id=agent_id)
        return self._audit.record(actor, action, target=target, detail=detail)

    async def _found(self, principal: Principal, agent_id: str) -> AgentRow:
        row = await self._rows(principal.workspace_id).filter(id=agent_id).first()
        if row is None:
            raise NotFound("agent", agent_id, path=["agentId"])
        return row

    async def _saving(
        self,
        principal: Principal,
        agent_id: str,
        settings: AgentSettings,
        *,
        note: Note | None = None,
    ) -> Saving:
        """Raises Conflict (NAME_TAKEN)."""
        slug = settings.slug
        if slug is None:
            slug = await self._free_slug(principal, settings.name, besides=agent_id)
        else:
            await self._check_slug(principal, slug, besides=agent_id)
        return Saving(
            agent_id=agent_id,
            version_id=self._ids(),
            workspace_id=principal.workspace_id,
            slug=slug,
            settings=settings,
            created_by=principal.name,
            now_us=self._clock.now_us(),
            comment=note.comment if note else None,
        )

    async def _save_over(
        self,
        principal: Principal,
        row: AgentRow,
        settings: AgentSettings,
        note: Note,
        *,
        action: str,
    ) -> bool:
        """Save; false when the agent moved on meanwhile. Raises Conflict (NAME_TAKEN)."""
        saving = await self._saving(principal, row.id, settings, note=note)
        changes = changes_between(row.settings, saving.stored)
        if not changes:
            return True
        detail = {
            "version": row.version + 1,
            "changed": [".".join(change.path) for change in changes],
            "comment": note.comment,
        }
        moves = row.slug != saving.slug
        claims = claim_slugs(self._database.dialect, row.workspace_id) if moves else []
        if settings.behavior_profile_id != row.settings.get("behaviorProfileId"):
            claims += hold_profile(self._database, row.workspace_id, settings)
        updated = update_agent(saving, version=row.version)
        try:
            line = self._line(principal, action, row.id, detail)
            await self._database.write([*claims, updated, insert_version(saving), *line])
        except WriteRefusedError:
            return False
        return True

    async def _recalled(self, principal: Principal, new: NewAgent) -> AgentRow | None:
        if new.idempotency_key is None:
            return None
        agent_id = await self._idempotency.recall(
            principal.workspace_id,
            CREATE,
            key=new.idempotency_key,
            digest=digest_of(new.stored()),
        )
        return None if agent_id is None else await self._found(principal, agent_id)

    def _remembered(self, principal: Principal, new: NewAgent, agent_id: str) -> list[Statement]:
        if new.idempotency_key is None:
            return []
        return [
            self._idempotency.remember(
                principal.workspace_id,
                CREATE,
                key=new.idempotency_key,
                digest=digest_of(new.stored()),
                result_id=agent_id,
            )
        ]

    def _check_models(self, settings: AgentSettings, values: Mapping[str, Any]) -> None:
        if self._models is not None:
            check_models(self._models, settings, values)

    async def _check_delegates(
        self, principal: Principal, settings: AgentSettings, *, own: str | None = None
    ) -> None:
        wanted = settings.delegate_ids
        if own in wanted:
            path = f"delegateIds.{wanted.index(own)}"
            message = "An agent cannot hand work to itself; leave it out."
            raise ValidationFailed.of(path, message)
        rows = self._rows(principal.workspace_id).filter(id__in=wanted)
        known = {row.id for row in await rows}
        for place, ident in enumerate(wanted):
            if ident not in known:
                raise NotFound("agent", ident, path=["delegateIds", str(place)])

    async def _check_slug(self, principal: Principal, slug: str, *, besides: str) -> None:
        rows = self._rows(principal.workspace_id).filter(slug=slug).exclude(id=besides)
        owner = await rows.first()
        if owner is not None:
            raise Conflict(
                f"The agent {owner.name!r} has the slug {slug!r} already.",
                code=ErrorCode.NAME_TAKEN,
                path=["slug"],
                conflicting=ObjectRef(kind="Agent", id=owner.id),
            )

    async def _free_slug(self, principal: Principal, name: str, *, besides: str) -> str:
        wanted = slug_of(name)
        rows = self._rows(principal.workspace_id).exclude(id=besides)
        # The start that every numbered form of it keeps, see `free_slug`.
        alike = rows.filter(slug__startswith=wanted[:50])
        return free_slug(wanted, {row.slug for row in await alike.only("slug")})


def _check_version(row: AgentRow, expected: int | None) -> None:
    if expected is not None and row.version != expected:
        raise Conflict(
            f"The agent is at version {row.version}, not {expected}; read it again.",
            code=ErrorCode.VERSION_MISMATCH,
            path=["expectedVersion"],
            current_version=row.version,
        )
