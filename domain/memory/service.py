"""Memories: saved, changed, replaced, forgotten and brought back; each change is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.access.audit import AuditTrail
from domain.access.scopes import Principal, Scope
from domain.conversations.messages import estimate_tokens
from domain.events.store import EventStore
from domain.kernel.database import Database, Statement, WriteRefusedError
from domain.kernel.errors import Conflict, ErrorCode, NotFound, ObjectRef, ValidationFailed
from domain.kernel.idempotency import IdempotencyKeys, digest_of
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock
from domain.kernel.validation import validated
from domain.memory.forgetting import Forgetting, Selected
from domain.memory.policy import MemoryKind
from domain.memory.postings import Postings, counted
from domain.memory.queries import MemoryHit, MemoryOrder, MemoryQueries, SearchResult
from domain.memory.rows import MemoryRow
from domain.memory.specs import ChangeSpec, SaveSpec, UpdateSpec, check_code
from domain.memory.telling import Done, MemoryTeller
from domain.memory.writes import (
    REFERENCES,
    Doing,
    Edit,
    MemoryAction,
    digest_of_memory,
    edit_of,
    insert_memory,
    reindexed,
    twin_state,
    update_memory,
    versioned,
)

__all__ = [
    "MemoryHit",
    "MemoryOrder",
    "MemorySaved",
    "MemoryService",
    "Origin",
    "SearchResult",
    "Selected",
]

SAVE = "saveMemory"
_CHANGEABLE = ("content", "metadata", "artifacts", "pinned", "recallable", "valid_to", "expires_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySaved:
    """A memory as it is now.

    `replayed` under an idempotency key that came before, `unchanged` when nothing was written.
    """

    row: MemoryRow
    replayed: bool = False
    unchanged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a memory comes from, beside who saves it; for what is saved by runs."""

    run_id: str | None = None
    derived_from: Sequence[str] = field(default_factory=tuple)
    trusted: bool = True


class MemoryService(MemoryQueries):
    """Memories of every workspace; each call sees those of its caller's."""

    def __init__(
        self,
        database: Database,
        store: EventStore,
        *,
        idempotency: IdempotencyKeys,
        audit: AuditTrail,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        super().__init__(database, clock)
        self._idempotency = idempotency
        self._ids = ids
        self._teller = MemoryTeller(store, audit, clock)
        self._forgetting = Forgetting(database, self._teller, clock)

    async def save(
        self, principal: Principal, values: Mapping[str, Any], *, origin: Origin | None = None
    ) -> MemorySaved:
        """Save a client's values, unless an equal memory is there already.

        Raises ValidationFailed, NotFound for what it points at, and Conflict for a repeated
        idempotency key with another input or a memory that is replaced already.
        """
        principal.needs(Scope.MEMORY_WRITE)
        given = {key: value for key, value in values.items() if value is not None}
        spec = validated(SaveSpec, given)
        check_code(spec.kind, spec.artifacts)
        digest = digest_of(spec.model_dump(mode="json")) if spec.idempotency_key else ""
        while True:
            known = await self._replayed(principal, spec, digest)
            if known is not None:
                return known
            row = self._new_row(principal, spec, origin or Origin())
            replaced = await self._replaced(principal, spec, row)
            try:
                await self._insert(principal, spec, row, replaced, digest=digest)
            except WriteRefusedError:
                equal = await self._why_refused(principal, spec, row)
                if equal is not None:
                    await self._remember(principal, spec, digest, equal)
                    return MemorySaved(row=equal, unchanged=True)
                continue  # a twin was faster, or what it replaces moved on: look again
            return MemorySaved(row=row)

    async def update(self, principal: Principal, values: Mapping[str, Any]) -> MemorySaved:
        """Change what is given: absent stays, null clears; without a change nothing is written.

        Raises ValidationFailed, NotFound, and Conflict (VERSION_MISMATCH, or forgotten).
        """
        principal.needs(Scope.MEMORY_WRITE)
        named = {part.alias or name for name, part in UpdateSpec.model_fields.items()}
        update = validated(UpdateSpec, {key: values[key] for key in values if key in named})
        given = {key: value for key, value in values.items() if key not in named}
        change = validated(ChangeSpec, _without_nulls(given))
        wanted = {
            name for name, part in ChangeSpec.model_fields.items() if (part.alias or name) in given
        }
        while True:
            row = await self._found(principal, update.memory_id)
            _check_current(row, update.expected_version)
            edit = self._edit(row, change, wanted)
            if edit is None:
                return MemorySaved(row=row, unchanged=True)
            doing = Doing(principal.name, self._clock.now_us(), update.reason)
            if await self._save_over(principal, edit, doing):
                return MemorySaved(row=await self._found(principal, row.id))

    async def forget(self, principal: Principal, values: Mapping[str, Any]) -> Selected:
        """Forget memories, or with `erase` delete them for good; `dryRun` only counts.

        Raises ValidationFailed, also where a filter fits everything or more than a call may
        forget, NotFound, and Forbidden.
        """
        principal.needs(Scope.MEMORY_WRITE)
        return await self._forgetting.forget(principal, values)

    async def restore(self, principal: Principal, values: Mapping[str, Any]) -> Selected:
        """Bring forgotten memories back. Raises ValidationFailed, NotFound and Forbidden."""
        principal.needs(Scope.MEMORY_WRITE)
        return await self._forgetting.restore(principal, values)

    async def _found(
        self, principal: Principal, memory_id: str, *, path: Sequence[str] = ("memoryId",)
    ) -> MemoryRow:
        row = (await self._rows(principal, [memory_id])).get(memory_id)
        if row is None:
            raise NotFound("memory", memory_id, path=path)
        return row

    async def _replayed(
        self, principal: Principal, spec: SaveSpec, digest: str
    ) -> MemorySaved | None:
        if spec.idempotency_key is None:
            return None
        memory_id = await self._idempotency.recall(
            principal.workspace_id, SAVE, key=spec.idempotency_key, digest=digest
        )
        if memory_id is None:
            return None
        row = await self._found(principal, memory_id, path=("idempotencyKey",))
        return MemorySaved(row=row, replayed=True, unchanged=True)

    def _remembering(
        self, principal: Principal, spec: SaveSpec, digest: str, memory_id: str
    ) -> list[Statement]:
        if spec.idempotency_key is None:
            return []
        return [
            self._idempotency.remember(
                principal.workspace_id,
                SAVE,
                key=spec.idempotency_key,
                digest=digest,
                result_id=memory_id,
            )
        ]

    async def _remember(
        self, principal: Principal, spec: SaveSpec, digest: str, row: MemoryRow
    ) -> None:
        """Let a repeat of the key find the equal memory, even once another one is."""
        keeping = self._remembering(principal, spec, digest, row.id)
        if keeping:
            try:
                await self._database.write(keeping)
            except WriteRefusedError:
                return  # a twin with the same key and outcome was faster

    def _new_row(self, principal: Principal, spec: SaveSpec, origin: Origin) -> MemoryRow:
        now = self._clock.now_us()
        if spec.expires_at is not None and spec.expires_at <= now:
            raise ValidationFailed.of("expiresAt", "Give a moment in the future.")
        return MemoryRow(
            id=self._ids(),
            workspace_id=principal.workspace_id,
            kind=spec.kind,
            content=spec.content,
            metadata=spec.metadata,
            artifacts=[artifact.stored() for artifact in spec.artifacts],
            agent_id=spec.agent_id,
            conversation_id=spec.conversation_id,
            message_id=spec.message_id,
            run_id=origin.run_id,
            derived_from=list(origin.derived_from),
            trusted=origin.trusted,
            pinned=spec.pinned,
            recallable=True,
            valid_from=now if spec.valid_from is None else spec.valid_from,
            expires_at=spec.expires_at,
            token_count=estimate_tokens(spec.content),
            word_count=0,
            recall_count=0,
            last_recalled_at=0,
            version=1,
            created_by=principal.name,
            created_at=now,
            updated_at=now,
        )

    async def _replaced(self, principal: Principal, spec: SaveSpec, row: MemoryRow) -> list[Edit]:
        """What becomes of the memories that end where this one begins."""
        found = await self._rows(principal, spec.supersedes)
        edits: list[Edit] = []
        for place, ident in enumerate(spec.supersedes):
            path = ["supersedes", str(place)]
            old = found.get(ident)
            if old is None:
                raise NotFound("memory", ident, path=path)
            if old.superseded_by is not None:
                raise Conflict(
                    "Another memory has replaced it already; replace that one.",
                    path=path,
                    conflicting=ObjectRef(kind="Memory", id=old.superseded_by),
                )
            end = max(old.valid_from, row.valid_from)
            ends = end if old.valid_to is None else min(end, old.valid_to)
            columns = {"superseded_by": row.id, "valid_to": ends}
            edits.append(edit_of(old, columns, MemoryAction.SUPERSEDED))
        return edits

    async def _insert(
        self,
        principal: Principal,
        spec: SaveSpec,
        row: MemoryRow,
        replaced: Sequence[Edit],
        *,
        digest: str,
    ) -> None:
        """Write it with all that belongs to it as one commit. Raises WriteRefusedError."""
        doing = Doing(principal.name, row.created_at)
        postings = Postings.of(row.workspace_id, row.content)
        row.word_count = postings.length
        may_repeat = bool(replaced) or spec.valid_from is not None
        statements = [
            *self._remembering(principal, spec, digest, row.id),
            insert_memory(row, may_repeat=may_repeat),
            versioned([row.id], MemoryAction.SAVED, (), doing),
            postings.added(self._database.dialect, row.id),
        ]
        for edit in replaced:
            statements += update_memory(edit, doing)
        statements.append(counted(row.workspace_id, memories=1, words=postings.length))
        done = [Done(MemoryAction.SAVED, row.id)]
        done += [Done(MemoryAction.SUPERSEDED, edit.row.id) for edit in replaced]
        detail: dict[str, Any] = {"kind": row.kind}
        if replaced:
            detail["supersedes"] = [edit.row.id for edit in replaced]
        telling = self._teller.telling(
            principal, "memory.saved", done, detail=detail, target=row.id
        )
        results = await self._database.write([*statements, *telling.statements])
        self._teller.announce(telling, results)

    async def _why_refused(
        self, principal: Principal, spec: SaveSpec, row: MemoryRow
    ) -> MemoryRow | None:
        """Return the equal memory that stood in the way, None to try again. Raises NotFound."""
        for table, column in REFERENCES:
            ident = getattr(row, column)
            if ident is None:
                continue
            sql = f"SELECT 1 FROM {table} WHERE id = $1 AND workspace_id = $2"
            if not await self._database.fetch(sql, ident, principal.workspace_id):
                raise NotFound(table, ident, path=[f"{table}Id"])
        if spec.supersedes or spec.valid_from is not None:
            return None
        sql = (
            "SELECT twin.id FROM memory AS twin WHERE twin.workspace_id = $1 AND twin.digest = $2"
            f" AND {twin_state(row, now='$3', expiry='$4')} ORDER BY twin.id LIMIT 1"
        )
        expiry = () if row.expires_at is None else (row.expires_at,)
        args = (principal.workspace_id, digest_of_memory(row), row.created_at, *expiry)
        found = await self._database.fetch(sql, *args)
        return (await self._rows(principal, [found[0][0]])).get(found[0][0]) if found else None

    def _edit(self, row: MemoryRow, change: ChangeSpec, wanted: set[str]) -> Edit | None:
        """What an update comes to; None where it changes nothing. Raises ValidationFailed."""
        given = {name: getattr(change, name) for name in _CHANGEABLE if name in wanted}
        if "artifacts" in given:
            check_code(MemoryKind(row.kind), change.artifacts)
            given["artifacts"] = [artifact.stored() for artifact in change.artifacts]
        self._check_moments(row, given)
        edit = edit_of(row, given, MemoryAction.UPDATED)
        return edit if edit.changes else None

    def _check_moments(self, row: MemoryRow, given: Mapping[str, Any]) -> None:
        expires_at, valid_to = given.get("expires_at"), given.get("valid_to")
        if expires_at is not None and expires_at <= self._clock.now_us():
            message = "Give a moment in the future; forgetMemories takes it out now."
            raise ValidationFailed.of("expiresAt", message)
        if valid_to is not None and valid_to < row.valid_from:
            raise ValidationFailed.of("validTo", "Give a moment at or after its validFrom.")

    async def _save_over(self, principal: Principal, edit: Edit, doing: Doing) -> bool:
        """Save; false when the memory moved on meanwhile."""
        row = edit.row
        statements = update_memory(edit, doing)
        content = edit.columns.get("content", row.content)
        if content != row.content:
            postings = Postings.of(row.workspace_id, content)
            statements += reindexed(row, postings, self._database.dialect)
        done = [Done(MemoryAction.UPDATED, row.id)]
        fields = sorted({change.path[0] for change in edit.changes})
        detail = {"fields": fields, "reason": doing.reason}
        telling = self._teller.telling(
            principal, "memory.updated", done, detail=detail, target=row.id
        )
        try:
            results = await self._database.write([*statements, *telling.statements])
        except WriteRefusedError:
            return False
        self._teller.announce(telling, results)
        return True


def _without_nulls(given: Mapping[str, Any]) -> dict[str, Any]:
    """Let a null ask for the default; a memory without content is none, so that one is refused."""
    return {key: value for key, value in given.items() if value is not None or key == "content"}


def _check_current(row: MemoryRow, expected: int | None) -> None:
    if expected is not None and row.version != expected:
        raise Conflict(
            f"The memory is at version {row.version}, not {expected}; read it again.",
            code=ErrorCode.VERSION_MISMATCH,
            path=["expectedVersion"],
            current_version=row.version,
        )
    if row.forgotten_at is not None:
        message = "The memory is forgotten; bring it back with restoreMemories first."
        raise Conflict(message, path=["memoryId"])
