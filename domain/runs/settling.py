"""The calls of an answer from beginning to end: ruled on, run, waited for, told."""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from domain.events.records import EventDraft
from domain.kernel.database import Statement
from domain.kernel.ports import Clock
from domain.models.ports import ToolCall
from domain.runs.calls import CallDone, CallRunner
from domain.runs.context import Turn
from domain.runs.journal import Journal
from domain.runs.parking import Parking
from domain.runs.rulings import CallGate, Delegations, Next, Ruling
from domain.runs.state import RunStatus, StepKind, WaitsFor
from domain.runs.stepping import Stepper
from domain.runs.steps import StepStart
from domain.runs.work import Work


@dataclass(slots=True)
class _Batch:
    """What the next commit writes and tells."""

    statements: list[Statement] = field(default_factory=list[Statement])
    drafts: list[EventDraft] = field(default_factory=list[EventDraft])


class CallSettler:
    """Brings the calls of an answer to their ends, over as many claims as that takes."""

    def __init__(
        self,
        *,
        calls: CallRunner,
        gate: CallGate,
        delegations: Delegations,
        journal: Journal,
        stepper: Stepper,
        clock: Clock,
    ) -> None:
        self._calls = calls
        self._gate = gate
        self._delegations = delegations
        self._journal = journal
        self._stepper = stepper
        self._clock = clock

    async def begin(
        self,
        work: Work,
        turn: Turn,
        calls: Sequence[ToolCall],
        *,
        statements: Sequence[Statement],
        drafts: Sequence[EventDraft],
    ) -> StepStart | None:
        """Begin the calls of an answer with what is written before them, and settle them.

        Returns the next model call, None when the run was parked.
        """
        hands_on = _hands_on(self._delegations, turn)
        starts = self._calls.starts(work, turn, calls, hands_on=hands_on)
        work.usage.tool_calls += sum(1 for start in starts if start.kind is StepKind.TOOL_CALL)
        rulings = await self._rule(work, turn, starts)
        steps = [start.statement() for start in starts]
        batch = _Batch([*statements, *steps], list(drafts))
        return await self._carry(work, turn, rulings, batch)

    async def go_on(
        self,
        work: Work,
        turn: Turn,
        starts: Sequence[StepStart],
        *,
        statements: Sequence[Statement] = (),
        drafts: Sequence[EventDraft] = (),
    ) -> StepStart | None:
        """Take up calls that wait or lost their worker, and settle them."""
        rulings = await self._rule(work, turn, starts)
        return await self._carry(work, turn, rulings, _Batch(list(statements), list(drafts)))

    async def _rule(self, work: Work, turn: Turn, starts: Sequence[StepStart]) -> list[Ruling]:
        """Ask the gate about every call, and the delegations about those that hand work on."""
        rulings = await self._gate.rule(work, turn, starts)
        handed_on = [
            ruling
            for ruling in rulings
            if ruling.next is Next.RUN and ruling.start.kind is StepKind.DELEGATION
        ]
        if not handed_on:
            return rulings
        begun = await self._delegations.rule(work, turn, handed_on)
        known = {ruling.start.id: ruling for ruling in begun}
        return [known.get(ruling.start.id, ruling) for ruling in rulings]

    async def _carry(
        self, work: Work, turn: Turn, rulings: Sequence[Ruling], batch: _Batch
    ) -> StepStart | None:
        """Write the rulings, run what may run, then go on to the next step or wait."""
        running = [ruling.start for ruling in rulings if ruling.next is Next.RUN]
        waiting = [ruling for ruling in rulings if ruling.next is Next.WAIT]
        new = [start for start in running if not start.reopened]
        if running and not any(ruling.is_asked for ruling in waiting):
            states, changes = self._stepper.at_work(work)
            batch.statements += states
            batch.drafts += changes
        for ruling in rulings:
            self._add(work, turn, ruling, batch)
        batch.statements += self._calls.recorded(work, turn.agent, new)
        hints = [ruling.committed for ruling in rulings if ruling.committed is not None]
        if running:
            await self._journal.progress(work, batch.statements, batch.drafts)
            work.keep_text()
            _call_all(hints)
            hints, batch = [], await self._run(work, turn, running)
        step = await self._leave(work, turn, waiting, batch)
        work.keep_text()
        _call_all(hints)
        return step

    def _add(self, work: Work, turn: Turn, ruling: Ruling, batch: _Batch) -> None:
        """Add what one ruling writes and tells."""
        now_us = self._clock.now_us()
        batch.statements += ruling.statements
        batch.drafts += [work.draft(kind, data, now_us) for kind, data in ruling.tellings]
        if ruling.done is not None:
            self._end(work, turn, ruling.done, batch)
        elif ruling.next is Next.RUN and not ruling.start.reopened:
            batch.drafts.append(self._calls.started_event(work, ruling.start))

    def _end(self, work: Work, turn: Turn, done: CallDone, batch: _Batch) -> None:
        """Keep a result for the model; write it and tell it."""
        turn.batch[done.start.position] = self._calls.message(done)
        batch.statements.append(self._calls.end_statement(done))
        if done.is_untrusted:
            work.is_tainted = True
        if done.start.kind is not StepKind.DELEGATION:
            batch.drafts.append(self._calls.finished_event(work, done))

    async def _run(self, work: Work, turn: Turn, running: Sequence[StepStart]) -> _Batch:
        """Run the calls and journal each result as it comes; the last is left to be written."""
        left, batch, work.is_calling = len(running), _Batch(), True
        async with aclosing(self._calls.run(work, turn.tools, running, agent=turn.agent)) as ended:
            async for done in ended:
                left, batch = left - 1, _Batch()
                self._end(work, turn, done, batch)
                if left:
                    await self._journal.progress(work, batch.statements, batch.drafts)
        work.is_calling = False
        return batch

    async def _leave(
        self, work: Work, turn: Turn, waiting: Sequence[Ruling], batch: _Batch
    ) -> StepStart | None:
        """Begin the next step with what is left to be written, or park."""
        if not waiting:
            turn.close_batch()
            return await self._stepper.begin(work, turn, batch.statements, batch.drafts)
        if await self._stepper.is_held(work, batch.statements, batch.drafts):
            return None
        ends = [ruling.until_us for ruling in waiting if ruling.until_us is not None]
        is_asked = any(ruling.is_asked for ruling in waiting)
        if not is_asked:
            ends.append(work.deadline_us(turn.limits.max_seconds, self._clock.now_us()))
        parking = Parking(
            status=RunStatus.WAITING_APPROVAL if is_asked else RunStatus.RUNNING,
            waits_for=WaitsFor.CALLS,
            due_us=min(ends, default=None),
        )
        await self._journal.park(work, parking, batch.statements, batch.drafts)
        return None


def _hands_on(delegations: Delegations, turn: Turn) -> Callable[[str], bool]:
    return lambda name: delegations.is_delegation(turn, name)


def _call_all(hints: Sequence[Callable[[], None]]) -> None:
    for hint in hints:
        hint()
