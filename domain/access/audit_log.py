"""The audit log, read: pages of it for admins, and the check that nothing in it was changed."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tortoise.queryset import QuerySet

from domain.access.audit import FIRST_HASH, content_of
from domain.access.rows import AuditRow
from domain.access.scopes import Principal, Scope
from domain.kernel.database import Database
from domain.kernel.errors import ValidationFailed
from domain.kernel.paging import Page, PageRequest, paginate
from domain.kernel.validation import is_storable

BATCH = 500
ACTION = re.compile(r"(?P<name>[a-z_]+(\.[a-z_]+)*)(?P<group>\.\*)?")

_TEXTS = ("id", "actor", "action", "target_kind", "target_id", "detail", "trace_id", "hash")
_ORDER = ("id", "created_at", "actor", "action", "target_kind", "target_id", "detail", "trace_id")
"""The columns in the order in which they were hashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Narrows the log; moments in microseconds, `since_us` included and `until_us` not."""

    actor: str | None = None
    action: str | None = None
    target_id: str | None = None
    trace_id: str | None = None
    since_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a check of a chain found; `reason` is empty when every line fits."""

    checked: int
    head_hash: str | None
    first_broken: int | None = None
    reason: str = ""

    @property
    def is_valid(self) -> bool:
        """True when every line fits."""
        return self.first_broken is None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """Where a chain ends, by its own account and by its lines."""

    seq: int
    hash: str | None
    first_line: int | None
    last_line: int | None


@dataclass(slots=True)
class _Walk:
    """How far a check has come, and whether it met the hash that was kept elsewhere."""

    begin: int
    hash: str
    kept: str | None
    seq: int = 0
    found_kept: bool = False

    def __post_init__(self) -> None:
        self.seq = self.begin - 1
        self.found_kept = self.kept is None or self.hash == self.kept

    def broken(self, reason: str, *, seq: int | None = None) -> Verification:
        return Verification(
            checked=self.seq - self.begin + 1,
            head_hash=None,
            first_broken=self.seq + 1 if seq is None else seq,
            reason=reason,
        )

    def step(self, line: Mapping[str, Any]) -> Verification | None:
        """Take the next line; say what is wrong with it."""
        seq = self.seq + 1
        if line["seq"] != seq:
            return self.broken(f"Line {seq} is missing.")
        if not _fits(self.hash, line):
            return self.broken(f"Line {seq} does not fit: it, or the line before it, was changed.")
        self.seq, self.hash = seq, line["hash"]
        self.found_kept = self.found_kept or self.hash == self.kept
        return None


class AuditLog:
    """Reads the log of the caller's workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        principal: Principal,
        narrowing: AuditFilter,
        page: PageRequest,
        *,
        newest_first: bool = True,
    ) -> Page[AuditRow]:
        """List lines in the order of the chain. Raises ValidationFailed and BadCursor."""
        principal.needs(Scope.ADMIN)
        return await paginate(
            self._narrowed(principal, narrowing),
            sort=("seq",),
            descending=newest_first,
            request=page,
            database=self._database,
            within=principal.workspace_id,
        )

    async def entry(self, principal: Principal, entry_id: str) -> AuditRow | None:
        """Return one line, None when unknown."""
        principal.needs(Scope.ADMIN)
        return await self._rows(principal).filter(id=entry_id).first()

    async def verify(
        self, principal: Principal, *, from_seq: int = 1, kept_hash: str | None = None
    ) -> Verification:
        """Recompute the chain from a line on and name the first that does not fit.

        The line before `from_seq` is taken as it is. `kept_hash`, noted at an earlier check, must
        be that of a line passed: only so is it seen when the whole chain was written anew, or its
        end cut off with all that tells of it. Raises ValidationFailed for a line beyond the end.
        """
        principal.needs(Scope.ADMIN)
        workspace_id = principal.workspace_id
        head = await self._head(workspace_id)
        if not 1 <= from_seq <= head.seq + 1:
            message = f"The log has {head.seq} lines; begin at one of 1 to {head.seq + 1}."
            raise ValidationFailed.of("fromSeq", message)
        begun = await self._begin(workspace_id, from_seq, kept_hash)
        found = begun if isinstance(begun, Verification) else await self._walk(workspace_id, begun)
        return found if found.is_valid else replace(found, head_hash=head.hash)

    async def _begin(
        self, workspace_id: str, from_seq: int, kept_hash: str | None
    ) -> _Walk | Verification:
        if from_seq == 1:
            return _Walk(begin=1, hash=FIRST_HASH, kept=kept_hash)
        before = await self._lines(workspace_id, after=from_seq - 2, limit=1)
        if not before or before[0]["seq"] != from_seq - 1:
            gone = from_seq - 1
            reason = f"Line {gone} is missing."
            return Verification(checked=0, head_hash=None, first_broken=gone, reason=reason)
        return _Walk(begin=from_seq, hash=before[0]["hash"], kept=kept_hash)

    async def _walk(self, workspace_id: str, walk: _Walk) -> Verification:
        while True:
            lines = await self._lines(workspace_id, after=walk.seq, limit=BATCH)
            for line in lines:
                broken = walk.step(line)
                if broken is not None:
                    return broken
            head = await self._head(workspace_id)
            # Lines may have been added meanwhile; the end is judged once there are no more.
            if len(lines) < BATCH and (head.last_line or 0) <= walk.seq:
                return self._end(walk, head)

    def _end(self, walk: _Walk, head: _Head) -> Verification:
        if head.first_line is not None and head.first_line < 1:
            return walk.broken("A line stands before the first.", seq=head.first_line)
        if head.hash is None and walk.seq > 0:
            return walk.broken("The record of the chain's end is missing.", seq=walk.seq)
        if head.seq > walk.seq:
            return walk.broken(f"Line {walk.seq + 1} is missing: the log had {head.seq} lines.")
        if head.seq < walk.seq:
            reason = f"Line {head.seq + 1} was added behind the chain's end."
            return walk.broken(reason, seq=head.seq + 1)
        if head.hash is not None and head.hash != walk.hash:
            return walk.broken("The record of the chain's end does not fit.", seq=walk.seq)
        if not walk.found_kept:
            reason = "No line has the hash that was kept: the log was cut off or written anew."
            return walk.broken(reason, seq=walk.begin)
        return Verification(checked=walk.seq - walk.begin + 1, head_hash=head.hash)

    async def _head(self, workspace_id: str) -> _Head:
        """Read where the chain ends; one statement, so that nothing comes in between."""
        sql = (
            "SELECT (SELECT seq FROM audit_head WHERE workspace_id = $1),"
            " (SELECT hash FROM audit_head WHERE workspace_id = $1),"
            " (SELECT min(seq) FROM audit WHERE workspace_id = $1),"
            " (SELECT max(seq) FROM audit WHERE workspace_id = $1)"
        )
        ((seq, head_hash, first, last),) = await self._database.fetch(sql, workspace_id)
        if not isinstance(seq, int):
            # A head that was removed must not hide the lines it stood for.
            seq, head_hash = last, None
        return _Head(seq=seq or 0, hash=head_hash, first_line=first, last_line=last)

    async def _lines(self, workspace_id: str, *, after: int, limit: int) -> list[dict[str, Any]]:
        """Read lines as bytes where the database would refuse text that it holds broken."""
        is_sqlite = self._database.dialect == "sqlite"
        texts = [f"CAST({name} AS BLOB)" if is_sqlite else name for name in _TEXTS]
        sql = (
            f"SELECT seq, created_at, {', '.join(texts)} FROM audit"
            " WHERE workspace_id = $1 AND seq > $2 ORDER BY seq LIMIT $3"
        )
        rows = await self._database.fetch(sql, workspace_id, after, limit)
        names = ("seq", "created_at", *_TEXTS)
        return [
            {name: _text(value) for name, value in zip(names, row, strict=True)} for row in rows
        ]

    def _rows(self, principal: Principal) -> QuerySet[AuditRow]:
        rows = AuditRow.filter(workspace_id=principal.workspace_id)
        return rows.using_db(self._database.reader)

    def _narrowed(self, principal: Principal, narrowing: AuditFilter) -> QuerySet[AuditRow]:
        rows = self._rows(principal)
        equal = {
            "actor": narrowing.actor,
            "target_id": narrowing.target_id,
            "trace_id": narrowing.trace_id,
        }
        for column, wanted in equal.items():
            if wanted is not None:
                rows = rows.filter(**{column: wanted if is_storable(wanted) else ""})
        if narrowing.since_us is not None:
            rows = rows.filter(created_at__gte=narrowing.since_us)
        if narrowing.until_us is not None:
            rows = rows.filter(created_at__lt=narrowing.until_us)
        return rows if narrowing.action is None else _of_action(rows, narrowing.action)


def _of_action(rows: QuerySet[AuditRow], wanted: str) -> QuerySet[AuditRow]:
    match = ACTION.fullmatch(wanted)
    if match is None:
        message = "Write an action such as agent.updated, or a group of them such as agent.*."
        raise ValidationFailed.of("filter.action", message)
    if match["group"] is None:
        return rows.filter(action=wanted)
    return rows.filter(action__startswith=f"{match['name']}.")


def _text(value: Any) -> Any:
    """Text, with marks that no hash covers where its bytes are none."""
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value


def _fits(before: str, line: Mapping[str, Any]) -> bool:
    try:
        content = content_of([line[name] for name in _ORDER])
    except TypeError:  # a type that no line has
        return False
    text = f"{before}|{line['seq']}|{content}"
    return hashlib.sha256(text.encode()).hexdigest() == line["hash"]
