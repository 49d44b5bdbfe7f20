"""Forgetting many memories at once, erasing them for good, and bringing them back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.access.scopes import Principal, Scope
from domain.kernel.changes import Change
from domain.kernel.condition_sql import Parameters
from domain.kernel.database import Database, Row, Statement, Transaction, placeholders
from domain.kernel.errors import NotFound, ValidationFailed
from domain.kernel.ports import Clock
from domain.kernel.rows import fetch_rows
from domain.kernel.validation import validated
from domain.memory.bounds import MOST_AT_ONCE
from domain.memory.filters import check_narrows, filter_sql, parse_filter
from domain.memory.postings import counted, unindexed
from domain.memory.reach import named_sql, present_sql
from domain.memory.rows import MemoryRow
from domain.memory.specs import ForgetSpec, RestoreSpec, SelectionSpec
from domain.memory.telling import Done, MemoryTeller, Telling
from domain.memory.writes import Doing, MemoryAction, versioned

SAMPLE = 10
SELECT_FILTER = ("select", "filter")
_FORGET = """
UPDATE memory SET forgotten_at = $1, updated_at = $1, version = version + 1 WHERE id IN ({ids})
"""
_RESTORE = """
UPDATE memory SET forgotten_at = NULL, updated_at = $1, version = version + 1 WHERE id IN ({ids})
"""
# Written before the change, which takes the moment away that is told of.
_RESTORED = """
INSERT INTO memory_version (id, workspace_id, memory_id, version, action, changes, changed_by,
                            created_at)
SELECT id || ':' || (version + 1), workspace_id, id, version + 1, $1,
       '[{{"path":["forgottenAt"],"before":' || forgotten_at || ',"after":null}}]', $2, $3
FROM memory WHERE id IN ({ids})
"""
_AUDITED = {
    MemoryAction.FORGOTTEN: "memory.forgotten",
    MemoryAction.RESTORED: "memory.restored",
    MemoryAction.ERASED: "memory.erased",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """How many memories are concerned, and the first of them; none once they are erased."""

    count: int
    sample: Sequence[MemoryRow]
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What is done to which memories: a condition in SQL, with its parameters."""

    action: MemoryAction
    condition: str
    args: Sequence[Any]
    reason: str | None = None


class Forgetting:
    """Acts on selections of memories, each call as one commit."""

    def __init__(self, database: Database, teller: MemoryTeller, clock: Clock) -> None:
        self._database = database
        self._teller = teller
        self._clock = clock

    async def forget(self, principal: Principal, values: Mapping[str, Any]) -> Selected:
        """Forget, erase or count. Raises ValidationFailed, NotFound and Forbidden."""
        given = {key: value for key, value in values.items() if value is not None}
        spec = validated(ForgetSpec, given)
        if spec.erase:
            principal.needs(Scope.ADMIN)
        action = MemoryAction.ERASED if spec.erase else MemoryAction.FORGOTTEN
        order = await self._order(principal, spec.select, action, reason=spec.reason)
        return await (self._count(order) if spec.dry_run else self._carry_out(principal, order))

    async def restore(self, principal: Principal, values: Mapping[str, Any]) -> Selected:
        """Bring back. Raises ValidationFailed and NotFound."""
        spec = validated(RestoreSpec, values)
        order = await self._order(principal, spec.select, MemoryAction.RESTORED)
        return await self._carry_out(principal, order)

    async def _order(
        self,
        principal: Principal,
        select: SelectionSpec,
        action: MemoryAction,
        *,
        reason: str | None = None,
    ) -> _Order:
        parameters = Parameters([principal.workspace_id])
        if select.ids is not None:
            await self._check_known(principal, select.ids)
            condition = named_sql(select.ids, parameters, "$1")
        else:
            condition = f"workspace_id = $1 AND {self._fitting(select, action, parameters)}"
        if action is not MemoryAction.ERASED:
            forgotten = "NOT NULL" if action is MemoryAction.RESTORED else "NULL"
            condition += f" AND forgotten_at IS {forgotten}"
        return _Order(
            action=action,
            condition=condition,
            args=parameters.values,
            reason=reason,
        )

    def _fitting(self, select: SelectionSpec, action: MemoryAction, parameters: Parameters) -> str:
        narrowing = parse_filter(select.filter, at=SELECT_FILTER)
        check_narrows(narrowing, at=SELECT_FILTER)
        dialect = self._database.dialect
        if action is MemoryAction.RESTORED:
            return filter_sql(narrowing, parameters, dialect)
        return present_sql(narrowing, parameters, dialect, now_us=self._clock.now_us())

    async def _check_known(self, principal: Principal, ids: Sequence[str]) -> None:
        parameters = Parameters([principal.workspace_id])
        sql = f"SELECT id FROM memory WHERE {named_sql(ids, parameters, '$1')}"
        known = {row[0] for row in await self._database.fetch(sql, *parameters.values)}
        for place, ident in enumerate(ids):
            if ident not in known:
                raise NotFound("memory", ident, path=["select", "ids", str(place)])

    async def _count(self, order: _Order) -> Selected:
        [[count]] = await self._database.fetch(
            f"SELECT COUNT(*) FROM memory WHERE {order.condition}", *order.args
        )
        first = f"{order.condition} ORDER BY id LIMIT {SAMPLE}"
        rows = await fetch_rows(self._database, MemoryRow, first, *order.args)
        return Selected(count=count, sample=rows, dry_run=True)

    async def _carry_out(self, principal: Principal, order: _Order) -> Selected:
        doing = Doing(principal.name, self._clock.now_us(), order.reason)
        told: tuple[Telling, Sequence[Sequence[Row]]] | None = None
        async with self._database.transaction() as tx:
            ids, words = await self._locked(tx, order)
            if ids:
                telling = self._telling(principal, order, ids)
                acting = _statements(principal, order.action, ids, doing, words=words)
                told = (telling, await tx.run([*acting, *telling.statements]))
        if told is not None:
            self._teller.announce(*told)
        return Selected(count=len(ids), sample=await self._sample(order.action, ids))

    async def _locked(self, tx: Transaction, order: _Order) -> tuple[list[str], int]:
        """Memories that are acted on, in an order in which writers do not block each other."""
        lock = " FOR UPDATE" if self._database.dialect == "postgres" else ""
        sql = (
            f"SELECT id, word_count FROM memory WHERE {order.condition}"
            f" ORDER BY id LIMIT {MOST_AT_ONCE + 1}{lock}"
        )
        found = await tx.fetch(sql, *order.args)
        if len(found) > MOST_AT_ONCE:
            message = (
                f"This fits more than {MOST_AT_ONCE} memories, the most for one call;"
                " narrow it, such as by created, and call again for the rest."
            )
            raise ValidationFailed.of("select.filter", message)
        return [row[0] for row in found], sum(row[1] for row in found)

    def _telling(self, principal: Principal, order: _Order, ids: Sequence[str]) -> Telling:
        done = [Done(order.action, ident) for ident in ids]
        detail = {"count": len(ids), "memoryIds": ids[:20], "reason": order.reason}
        target = ids[0] if len(ids) == 1 else None
        action = _AUDITED[order.action]
        return self._teller.telling(principal, action, done, detail=detail, target=target)

    async def _sample(self, action: MemoryAction, ids: Sequence[str]) -> list[MemoryRow]:
        first = ids[:SAMPLE]
        if action is MemoryAction.ERASED or not first:
            return []
        condition = f"id IN ({placeholders(1, len(first))}) ORDER BY id"
        return await fetch_rows(self._database, MemoryRow, condition, *first)


def _statements(
    principal: Principal, action: MemoryAction, ids: Sequence[str], doing: Doing, *, words: int
) -> list[Statement]:
    if action is MemoryAction.ERASED:
        gone = f"DELETE FROM memory WHERE id IN ({placeholders(1, len(ids))})"
        return [
            unindexed(ids),
            Statement(gone, ids),
            counted(principal.workspace_id, memories=-len(ids), words=-words),
        ]
    if action is MemoryAction.RESTORED:
        changing = _RESTORE.format(ids=placeholders(2, len(ids)))
        telling = _RESTORED.format(ids=placeholders(4, len(ids)))
        return [
            Statement(telling, (action, doing.actor, doing.now_us, *ids)),
            Statement(changing, (doing.now_us, *ids)),
        ]
    changes = [Change(path=("forgottenAt",), before=None, after=doing.now_us)]
    changing = _FORGET.format(ids=placeholders(2, len(ids)))
    return [
        Statement(changing, (doing.now_us, *ids)),
        versioned(ids, action, changes, doing),
    ]
