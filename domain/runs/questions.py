"""Calls that a person is asked about: asked, waited for, answered, and used once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from domain.access.scopes import SYSTEM
from domain.behavior.policy import Decision
from domain.behavior.rules import ToolDecision
from domain.kernel.database import Database, Statement, placeholders
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock
from domain.kernel.rows import fetch_rows
from domain.kernel.validation import storable
from domain.runs import approval_events as events
from domain.runs import approval_writes as writes
from domain.runs.approval_rows import ApprovalRow
from domain.runs.approval_state import ApprovalScope, ApprovalStatus
from domain.runs.approval_writes import Closing
from domain.runs.calls import CallDone
from domain.runs.endings import EndWrites, RunEnd
from domain.runs.rulings import Next, Ruling, Telling
from domain.runs.state import EventType, RunErrorCode, StepKind
from domain.runs.steps import StepStart
from domain.runs.work import Work, dumps
from domain.tools.calls import ToolFailure, ToolResult
from domain.tools.manifest import SideEffect

UNKNOWN_FIRST_TRY = (
    "Its worker was lost while it ran, so what it did is unknown; it would run again."
)

_WAITS = "UPDATE run_step SET status = 'WAITING_APPROVAL' WHERE id = $1"
_RUNS = "UPDATE run_step SET status = 'RUNNING', arguments = $2 WHERE id = $1"
_STANDING = (ApprovalScope.RUN, ApprovalScope.ALWAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the rules say to one call."""

    start: StepStart
    decision: Decision
    side_effect: SideEffect
    is_idempotent: bool
    versions: Sequence[str]
    """Of behavior, by which it was judged."""

    @property
    def asks(self) -> bool:
        """True when a person is to be asked, unless one has answered."""
        return self.decision.decision is ToolDecision.ASK

    @property
    def is_lost(self) -> bool:
        """True when it ran already, nobody knows how far, and must not be repeated blindly."""
        return self.start.reopened and not self.is_idempotent


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownApprovals:
    """What people were asked in a run: by step, and decisions for all calls of a tool."""

    of_step: Mapping[str, ApprovalRow]
    standing: Mapping[str, ApprovalRow]

    def arguments_of(self, start: StepStart) -> object:
        """What a call would run with: what a person made of its arguments, or what they are."""
        row = self.of_step.get(start.id)
        if row is None or row.edited is None or not start.waited:
            return start.arguments
        return row.edited


NONE_KNOWN = KnownApprovals(of_step={}, standing={})


class Questions:
    """Turns what the rules say into rulings, with the answers of people."""

    def __init__(self, database: Database, clock: Clock, ids: IdSource, *, expiry_s: float) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._expiry_us = int(expiry_s * 1_000_000)

    async def known(self, work: Work, starts: Sequence[StepStart]) -> KnownApprovals:
        """Read what was asked before, where any of these calls may have been asked about."""
        steps = [start.id for start in starts if start.reopened or start.waited]
        return await self._read(work, steps) if steps else NONE_KNOWN

    async def standing(self, work: Work) -> KnownApprovals:
        """Read the decisions for all calls of a tool."""
        return await self._read(work, [])

    async def begun(self, work: Work, steps: Sequence[str]) -> frozenset[str]:
        """Return those of the steps whose work another agent has begun."""
        sql = (
            "SELECT parent_call_id FROM run WHERE parent_run_id = $1"
            f" AND parent_call_id IN ({placeholders(2, len(steps))})"
        )
        return frozenset(row[0] for row in await self._database.fetch(sql, work.run_id, *steps))

    async def _read(self, work: Work, steps: Sequence[str]) -> KnownApprovals:
        among = f"step_id IN ({placeholders(2, len(steps))}) OR " if steps else ""
        condition = f"run_id = $1 AND ({among}scope IN ('RUN', 'ALWAYS'))"
        rows = await fetch_rows(self._database, ApprovalRow, condition, work.run_id, *steps)
        standing = [row for row in rows if row.scope in _STANDING]
        standing.sort(key=lambda row: (row.decided_at or 0, row.id))
        return KnownApprovals(
            of_step={row.step_id: row for row in rows},
            standing={row.tool_name: row for row in standing},
        )

    def ruling(self, work: Work, one: Judged, known: KnownApprovals) -> Ruling:
        """What becomes of a call now."""
        row = known.of_step.get(one.start.id)
        if one.decision.decision is ToolDecision.DENY:
            return self._denied(one, row)
        if row is not None and not one.is_lost:
            return self._taken_up(one, row, known.standing.get(one.start.name))
        if one.decision.decision is ToolDecision.ALLOW:
            return Ruling(next=Next.RUN, start=one.start)
        standing = known.standing.get(one.start.name)
        if standing is None or one.is_lost:
            return self._ask(work, one, row)
        if standing.status == ApprovalStatus.APPROVED:
            return Ruling(next=Next.RUN, start=one.start)
        return _refused(one.start, RunErrorCode.APPROVAL_DENIED, _words_of(standing))

    def at_end(self, work: Work, end: RunEnd, now_us: int) -> EndWrites | None:
        """Close the questions that a run leaves open when it ends."""
        del end
        if work.claim.fence <= 1 and not work.has_asked:
            return None
        closing = [writes.cancel(work.run_id, now_us)]
        return EndWrites(statements=closing, drafts=(), committed=_nothing)

    def _ask(self, work: Work, one: Judged, before: ApprovalRow | None) -> Ruling:
        now_us, start = self._clock.now_us(), one.start
        words = one.decision.explanation
        question = writes.Question(
            id=self._ids() if before is None else before.id,
            workspace_id=work.workspace_id,
            run_id=work.run_id,
            root_run_id=work.claim.root_run_id,
            agent_id=work.claim.agent_id,
            step_id=start.id,
            tool_name=start.name,
            side_effect=one.side_effect,
            arguments=start.arguments,
            reason=f"{UNKNOWN_FIRST_TRY} {words}" if one.is_lost else words,
            rule=one.decision.rule,
            behavior_versions=one.versions,
            asked_at=now_us,
            expires_at=now_us + self._expiry_us,
        )
        work.has_asked = True
        return Ruling(
            next=Next.WAIT,
            start=start,
            is_asked=True,
            until_us=question.expires_at,
            statements=[Statement(_WAITS, (start.id,)), writes.ask(question)],
            tellings=[(EventType.APPROVAL_REQUESTED, events.asked(question))],
        )

    def _taken_up(self, one: Judged, row: ApprovalRow, standing: ApprovalRow | None) -> Ruling:
        """Go on with a call that was asked about, by what came of that."""
        start = one.start
        if not _is_bound(row, start):
            words = "The approval was given for another call than this one."
            return _refused(start, RunErrorCode.APPROVAL_DENIED, words)
        if start.reopened:
            # The approved call had begun, and may be repeated.
            return Ruling(next=Next.RUN, start=start)
        status = row.status_at(self._clock.now_us())
        if status is ApprovalStatus.PENDING:
            return self._pending(one, row, standing)
        if status is ApprovalStatus.APPROVED:
            return self._approved(one, row)
        if status is ApprovalStatus.EXPIRED:
            closing = Closing(status=status, reason="Nobody decided in time.")
            return self._closed(one, row, closing)
        return _refused(
            start,
            RunErrorCode.APPROVAL_DENIED,
            _words_of(row),
            statements=[writes.tell(row.id, self._clock.now_us())],
            tellings=_resolved(row),
        )

    def _pending(self, one: Judged, row: ApprovalRow, standing: ApprovalRow | None) -> Ruling:
        """Wait, unless the answer to another call or a rule made since answers this one."""
        start = one.start
        if standing is not None:
            status = ApprovalStatus(standing.status)
            closing = Closing(
                status=status,
                reason=standing.decision_reason or f"Decided for all calls of {row.tool_name}.",
                decided_by=standing.decided_by,
            )
            if status is ApprovalStatus.DENIED:
                return self._closed(one, row, closing)
        elif one.decision.decision is ToolDecision.ALLOW:
            closing = Closing(
                status=ApprovalStatus.APPROVED, reason=one.decision.explanation, decided_by=SYSTEM
            )
        else:
            return Ruling(next=Next.WAIT, start=start, is_asked=True, until_us=row.expires_at)
        now_us = self._clock.now_us()
        using = [writes.close(row.id, closing, now_us), writes.use(row.id, now_us)]
        return self._begun(start, using, _resolved(row, closing))

    def _approved(self, one: Judged, row: ApprovalRow) -> Ruling:
        """Begin the approved call, with the arguments of the person who edited them."""
        start = one.start
        if row.edited is not None:
            start = replace(start, arguments=row.edited)
        using = [writes.use(row.id, self._clock.now_us())]
        return self._begun(start, using, _resolved(row))

    @staticmethod
    def _begun(start: StepStart, using: Sequence[Statement], tellings: Sequence[Telling]) -> Ruling:
        running = Statement(_RUNS, (start.id, dumps(start.arguments)))
        return Ruling(next=Next.RUN, start=start, statements=[*using, running], tellings=tellings)

    def _denied(self, one: Judged, row: ApprovalRow | None) -> Ruling:
        """Refuse by a rule, whatever a person has said or might say."""
        words = one.decision.explanation
        if row is None or one.start.reopened:
            return _refused(one.start, RunErrorCode.POLICY_DENIED, words)
        if row.status == ApprovalStatus.PENDING:
            closing = Closing(status=ApprovalStatus.DENIED, reason=words, decided_by=SYSTEM)
            return self._closed(one, row, closing, code=RunErrorCode.POLICY_DENIED)
        return _refused(
            one.start,
            RunErrorCode.POLICY_DENIED,
            words,
            statements=[writes.tell(row.id, self._clock.now_us())],
            tellings=_resolved(row),
        )

    def _closed(
        self,
        one: Judged,
        row: ApprovalRow,
        closing: Closing,
        *,
        code: RunErrorCode = RunErrorCode.APPROVAL_DENIED,
    ) -> Ruling:
        """Refuse a call whose question is closed with that."""
        return _refused(
            one.start,
            code,
            closing.reason,
            statements=[writes.close(row.id, closing, self._clock.now_us())],
            tellings=_resolved(row, closing),
        )


def _is_bound(row: ApprovalRow, start: StepStart) -> bool:
    """True when the approval is for just this call; once it began, with its edited arguments."""
    expected = writes.call_hash(row.run_id, start.id, start.name, start.arguments)
    if start.reopened and row.edited is not None:
        return expected == writes.call_hash(row.run_id, row.step_id, row.tool_name, row.edited)
    return expected == row.call_hash


def _resolved(row: ApprovalRow, closing: Closing | None = None) -> list[Telling]:
    if row.told_at is not None:
        return []
    return [(EventType.APPROVAL_RESOLVED, events.resolved(row, closing))]


def _words_of(row: ApprovalRow) -> str:
    """Why a person said no."""
    who = row.decided_by or "A person"
    reason = f": {row.decision_reason}" if row.decision_reason else "."
    return f"{who} denied the call{reason}"


def _refused(
    start: StepStart,
    code: RunErrorCode,
    words: str,
    *,
    statements: Sequence[Statement] = (),
    tellings: Sequence[Telling] = (),
) -> Ruling:
    failure = ToolFailure(code=code, message=storable(words))
    # A call that hands no work on is told as the call of a tool that it stays.
    told = replace(start, kind=StepKind.TOOL_CALL)
    done = CallDone(start=told, result=ToolResult(failure=failure), duration_ms=0, denied=code)
    return Ruling(next=Next.DONE, start=start, done=done, statements=statements, tellings=tellings)


def _nothing() -> None:
    """No hint follows."""
