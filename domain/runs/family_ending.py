"""The part that delegation has in the end of a run: its parent goes on, its children stop."""

from collections.abc import Callable

from domain.kernel.database import Database, Statement
from domain.kernel.ids import IdSource
from domain.runs.endings import EndWrites, RunEnd
from domain.runs.orders import CancelOrder, stop_children
from domain.runs.parking import wake_statements
from domain.runs.state import RunStatus, WaitsFor
from domain.runs.work import Work

ABANDONED = "The run that asked for it has ended."


class FamilyEnding:
    """Makes a parent due when its child ends, and stops what a run that failed leaves at work.

    `hint` tells a worker of a run that is due.
    """

    def __init__(self, database: Database, ids: IdSource, hint: Callable[[str], None]) -> None:
        self._database = database
        self._ids = ids
        self._hint = hint

    def at_end(self, work: Work, end: RunEnd, now_us: int) -> EndWrites | None:
        """Say what to write; nothing for a run that is alone and has its answer."""
        parent_id = work.claim.parent_run_id
        stops = [] if end.status is RunStatus.SUCCEEDED else self._stops(work, now_us)
        if parent_id is None:
            return EndWrites(statements=stops, drafts=(), committed=_nothing) if stops else None
        wakes = wake_statements(self._database, parent_id, now_us=now_us, waits_for=WaitsFor.CALLS)
        return EndWrites(
            statements=[*stops, *wakes], drafts=(), committed=lambda: self._hint(parent_id)
        )

    def _stops(self, work: Work, now_us: int) -> list[Statement]:
        order = CancelOrder(
            workspace_id=work.workspace_id,
            run_id=work.run_id,
            reason=ABANDONED,
            created_by=work.claim.created_by,
        )
        return stop_children(order, self._ids(), now_us)


def _nothing() -> None:
    """Those who wait are found by the sweep, the others look for orders by themselves."""
