"""Reading approvals, within the caller's workspace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from domain.access.scopes import Principal, Scope
from domain.kernel.database import Database
from domain.kernel.paging import Page, PageRequest, paginate
from domain.kernel.ports import Clock
from domain.runs.approval_rows import ApprovalRow
from domain.runs.approval_state import ApprovalStatus

_BELOW = """
WITH RECURSIVE below (id) AS (
    SELECT id FROM run WHERE id = $1 AND workspace_id = $2
    UNION ALL
    SELECT run.id FROM run JOIN below ON run.parent_run_id = below.id
)
SELECT DISTINCT approval.run_id FROM approval JOIN below ON below.id = approval.run_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalFilter:
    """Narrows a list of approvals; `run_id` takes in the runs below it."""

    statuses: Sequence[str] | None = None
    run_id: str | None = None
    agent_id: str | None = None


class ApprovalQueries:
    """What clients read of approvals."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def approvals(
        self,
        principal: Principal,
        narrowing: ApprovalFilter,
        page: PageRequest,
        *,
        newest_first: bool = False,
    ) -> Page[ApprovalRow]:
        """List approvals by the time they were asked. Raises BadCursor."""
        return await paginate(
            await self._narrowed(principal, narrowing),
            sort=("created_at", "id"),
            descending=newest_first,
            request=page,
            database=self._database,
            within=principal.workspace_id,
        )

    async def count(self, principal: Principal, narrowing: ApprovalFilter) -> int:
        """Length of the whole list."""
        return await (await self._narrowed(principal, narrowing)).count()

    async def approval(self, principal: Principal, approval_id: str) -> ApprovalRow | None:
        """Return one approval, None when unknown."""
        return await self._approvals(principal).filter(id=approval_id).first()

    async def by_ids(self, principal: Principal, ids: Sequence[str]) -> dict[str, ApprovalRow]:
        """Return those of the approvals that exist, by id."""
        rows = await self._approvals(principal).filter(id__in=list(ids))
        return {row.id: row for row in rows}

    async def of_steps(
        self, principal: Principal, step_ids: Sequence[str]
    ) -> dict[str, ApprovalRow]:
        """Return the approval of each call that needed one, by step."""
        rows = await self._approvals(principal).filter(step_id__in=list(step_ids))
        return {row.step_id: row for row in rows}

    async def of_runs(
        self, principal: Principal, run_ids: Sequence[str]
    ) -> Mapping[str, Sequence[ApprovalRow]]:
        """Return what each run asked for, oldest first."""
        rows = self._approvals(principal).filter(run_id__in=list(run_ids))
        found: dict[str, list[ApprovalRow]] = {}
        for row in await rows.order_by("created_at", "id"):
            found.setdefault(row.run_id, []).append(row)
        return found

    async def _narrowed(
        self, principal: Principal, narrowing: ApprovalFilter
    ) -> QuerySet[ApprovalRow]:
        rows = self._approvals(principal)
        if narrowing.agent_id is not None:
            rows = rows.filter(agent_id=narrowing.agent_id)
        if narrowing.statuses is not None:
            rows = rows.filter(_in_state(narrowing.statuses, self._clock.now_us()))
        if narrowing.run_id is not None:
            below = await self._database.fetch(_BELOW, narrowing.run_id, principal.workspace_id)
            rows = rows.filter(run_id__in=[row[0] for row in below])
        return rows

    def _approvals(self, principal: Principal) -> QuerySet[ApprovalRow]:
        principal.needs(Scope.RUNS_READ)
        rows = ApprovalRow.filter(workspace_id=principal.workspace_id)
        return rows.using_db(self._database.reader)


def _in_state(statuses: Sequence[str], now_us: int) -> Q:
    """Tell states as they are now: silence beyond its time has expired already."""
    asked = set(statuses)
    conditions = Q(status__in=sorted(asked - {ApprovalStatus.PENDING}))
    if ApprovalStatus.PENDING in asked:
        conditions |= Q(status=ApprovalStatus.PENDING, expires_at__gt=now_us)
    if ApprovalStatus.EXPIRED in asked:
        conditions |= Q(status=ApprovalStatus.PENDING, expires_at__lte=now_us)
    return conditions
