"""Control of runs from any process: stopped, held, let go on, and told more while at work.

Each call leaves an order in the table and tells the worker; whoever holds the run's lease obeys
it (DESIGN, section 5).
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any

from pydantic import Field

from domain.access.scopes import Principal, Scope
from domain.kernel.database import Statement, WriteRefusedError
from domain.kernel.errors import Conflict, NotFound, ObjectRef
from domain.kernel.idempotency import IdempotencyKey, digest_of
from domain.kernel.validation import ClientModel, Text, validated
from domain.runs.keyed import Keyed
from domain.runs.orders import EXECUTE_JOB, CancelOrder, OrderKind, RunOrders, Told
from domain.runs.parts import Executed, RunParts
from domain.runs.rows import RunRow
from domain.runs.state import RunStatus
from domain.runs.watching import RunWatching

CANCEL_WAIT_S = 2.0
LONGEST_STEER = 20_000
STEER = "steerRun"


class SteerSpec(ClientModel):
    """More to take into account, for a run at work."""

    instruction: Annotated[Text, Field(min_length=1, max_length=LONGEST_STEER)]
    idempotency_key: IdempotencyKey | None = None


class RunControl(RunWatching):
    """Orders to runs of the caller's workspace."""

    def __init__(self, parts: RunParts) -> None:
        super().__init__(parts)
        self._orders = RunOrders(
            parts.database, parts.queue, parts.bus, clock=parts.clock, ids=parts.ids
        )

    async def cancel(self, principal: Principal, run_id: str, reason: str | None) -> RunRow:
        """Do as `stop`, and return the run alone."""
        return (await self.stop(principal, run_id, reason)).row

    async def stop(self, principal: Principal, run_id: str, reason: str | None) -> Executed:
        """Order a run and all runs below it to stop, and wait shortly until it has.

        Raises NotFound, and Conflict when the run has ended otherwise.
        """
        principal.needs(Scope.RUNS_EXECUTE)
        run = await self._run_of(principal, run_id)
        order = CancelOrder(
            workspace_id=run.workspace_id, run_id=run_id, reason=reason, created_by=principal.name
        )
        recorded = self._line(principal, "run.cancelled", run_id, {"reason": reason})
        replayed = run.status == RunStatus.CANCELLED
        if not replayed:
            self._check_open(run)
            try:
                await self._parts.database.write([*self._orders.cancel(order), *recorded])
            except WriteRefusedError:
                replayed = True
            await self._reach(run, OrderKind.CANCEL, reason)
            await self._orders.tell(order)
            await self.wait_end(principal, run_id, CANCEL_WAIT_S)
        row = await self._row(run_id)
        if replayed and row.status != RunStatus.CANCELLED:
            self._check_open(row)
        await self._told([row])
        return Executed(row=row, replayed=replayed)

    async def pause(self, principal: Principal, run_id: str, reason: str | None) -> Executed:
        """Order a run to hold after its step; runs below it go on.

        Raises NotFound, and Conflict when the run has ended or is being stopped.
        """
        principal.needs(Scope.RUNS_EXECUTE)
        run = await self._run_of(principal, run_id)
        self._check_open(run)
        order = Told(
            workspace_id=run.workspace_id, run_id=run_id, words=reason, created_by=principal.name
        )
        recorded = self._line(principal, "run.paused", run_id, {"reason": reason})
        try:
            await self._parts.database.write([*self._orders.pause(order), *recorded])
        except WriteRefusedError:
            return Executed(row=await self._held_already(run_id), replayed=True)
        if await self._reach(run, OrderKind.PAUSE, reason):
            await self._wait_left(run_id)
        else:
            self._orders.hint(run_id, OrderKind.PAUSE, reason)
        return Executed(row=await self._now(run_id), replayed=False)

    async def _held_already(self, run_id: str) -> RunRow:
        """Return a run that is held, or will be after its step. Raises Conflict for others."""
        row = await self._now(run_id)
        self._check_open(row)
        if row.status == RunStatus.CANCELLING:
            raise self._conflict(run_id, "The run is being stopped.")
        return row

    async def resume(self, principal: Principal, run_id: str) -> Executed:
        """Let a held run go on, or one that was to be held after its step.

        Raises NotFound, and Conflict when the run has ended.
        """
        principal.needs(Scope.RUNS_EXECUTE)
        run = await self._run_of(principal, run_id)
        self._check_open(run)
        recorded = self._line(principal, "run.resumed", run_id, {})
        try:
            await self._parts.database.write([*self._orders.resume(run_id), *recorded])
        except WriteRefusedError:
            row = await self._now(run_id)
            self._check_open(row)
            return Executed(row=row, replayed=True)
        self._parts.queue.enqueue(EXECUTE_JOB, run_id)
        self._orders.publish(run_id, OrderKind.RESUME)
        return Executed(row=await self._now(run_id), replayed=False)

    async def steer(self, principal: Principal, run_id: str, values: Mapping[str, Any]) -> Executed:
        """Add an instruction that the run sees before its next model call.

        Raises ValidationFailed, NotFound, and Conflict when the run has ended or is being stopped.
        """
        principal.needs(Scope.RUNS_EXECUTE)
        spec = validated(SteerSpec, values)
        run = await self._run_of(principal, run_id)
        ident, parts = self._parts.ids(), self._parts
        keyed = self._keyed(
            principal,
            STEER,
            spec.idempotency_key,
            lambda: digest_of({"run": run_id, "instruction": spec.instruction}),
        )
        if await keyed.recall() is not None:
            return Executed(row=await self._now(run_id), replayed=True)
        self._check_open(run)
        order = Told(
            workspace_id=run.workspace_id,
            run_id=run_id,
            words=spec.instruction,
            created_by=principal.name,
        )
        recorded = self._line(principal, "run.steered", run_id, {"instruction": spec.instruction})
        keeping = keyed.remember(ident)
        try:
            await parts.database.write([*keeping, *self._orders.steer(order, ident), *recorded])
        except WriteRefusedError as error:
            if error.statement in keeping and await keyed.recall() is not None:
                return Executed(row=await self._now(run_id), replayed=True)
            row = await self._now(run_id)
            self._check_open(row)
            raise self._conflict(run_id, "The run is being stopped.") from error
        self._orders.publish(run_id, OrderKind.STEER)
        return Executed(row=await self._now(run_id), replayed=False)

    def _keyed(
        self, principal: Principal, operation: str, key: str | None, digest: Callable[[], str]
    ) -> Keyed:
        return Keyed(
            keys=self._parts.idempotency,
            workspace_id=principal.workspace_id,
            operation=operation,
            key=key,
            digest="" if key is None else digest(),
        )

    async def _run_of(self, principal: Principal, run_id: str) -> RunRow:
        run = await self._find(principal, run_id)
        if run is None:
            raise NotFound("run", run_id, path=["runId"])
        return run

    async def _now(self, run_id: str) -> RunRow:
        return (await self._told([await self._row(run_id)]))[0]

    async def _wait_left(self, run_id: str) -> None:
        """Wait shortly until a run that was taken here has left again."""
        runner = self._parts.runner
        held = None if runner is None else runner.held(run_id)
        if held is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_WAIT_S):
                await held.done.wait()

    async def _reach(self, run: RunRow, kind: OrderKind, words: str | None) -> bool:
        """Let this process obey at once where it holds the run or may take it.

        True when the run was taken for the order, so that it obeys in a moment.
        """
        runner = self._parts.runner
        if runner is None:
            return False
        if runner.held(run.id) is not None:
            runner.obey(run.id, kind, words)
            return False
        if run.lease_owner is None:
            await runner.execute(run.id, urgent=True)
        return runner.held(run.id) is not None

    def _check_open(self, run: RunRow) -> None:
        if RunStatus(run.status).is_final:
            raise self._conflict(run.id, f"The run has ended as {run.status} already.")

    @staticmethod
    def _conflict(run_id: str, message: str) -> Conflict:
        return Conflict(message, path=["runId"], conflicting=ObjectRef(kind="Run", id=run_id))

    def _line(
        self, principal: Principal, action: str, run_id: str, detail: Mapping[str, Any]
    ) -> list[Statement]:
        target = ObjectRef(kind="Run", id=run_id)
        return self._parts.audit.record(principal, action, target=target, detail=detail)
