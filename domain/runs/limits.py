"""Every bound of a run, held in one place before each model call and before each batch of calls.

Steps, tokens, money and time of the agent and of the run; limits that rules of behavior set; and
the guard against agents that go round in circles.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from domain.agents.settings import RunLimits
from domain.behavior.rules import LimitAction
from domain.kernel.database import Database, Statement
from domain.kernel.ports import Clock
from domain.models.prices import dollars
from domain.runs.context import Turn
from domain.runs.failures import RunFailedError
from domain.runs.journal import Journal
from domain.runs.limit_rules import ASKING, Ahead, LimitRules, Reached
from domain.runs.loops import loop_of
from domain.runs.state import EventType, RunErrorCode, RunStatus
from domain.runs.steps import StepStart
from domain.runs.work import RunFailure, RunUsage, Work

MARK = """
INSERT INTO limit_mark (rule_id, window_start, run_id, workspace_id, created_at)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING rule_id
"""
MARKED = "SELECT 1 FROM limit_mark WHERE rule_id = $1 AND window_start = $2 AND run_id = $3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A rule wants the run to be held: why, and what keeps it from being held for it again."""

    reason: str
    statements: Sequence[Statement] = field(default=())


class StepLimits:
    """Holds runs to their bounds; one per process."""

    def __init__(
        self, database: Database, journal: Journal, rules: LimitRules, clock: Clock
    ) -> None:
        self._database = database
        self._journal = journal
        self._rules = rules
        self._clock = clock

    async def before_asking(self, work: Work, turn: Turn, step: StepStart) -> Hold | None:
        """Check a run whose model is to be asked. Raises RunFailedError, also for a loop."""
        loop = loop_of(turn.messages)
        if loop is not None:
            failure = RunFailure(code=RunErrorCode.LOOP_DETECTED, message=loop)
            raise RunFailedError(failure)
        self.check_spent(work, turn)
        reached = await self._rules.reached(work, step, ASKING)
        if not reached:
            return None
        hold = await self._obeyed(work, reached)
        for each in reached:
            if hold is None and each.action is LimitAction.WARN:
                await self._warn(work, each)
        return hold

    async def before_calls(
        self, work: Work, turn: Turn, step: StepStart, calls: int
    ) -> Hold | None:
        """Check a run whose model asks for so many calls. Raises RunFailedError."""
        self._check_room(work, turn, calls)
        ahead = Ahead(steps=calls, tool_calls=calls)
        reached = await self._rules.reached(work, step, ahead)
        return await self._obeyed(work, reached) if reached else None

    def before_repair(self, work: Work, turn: Turn) -> None:
        """Check a run whose model is to answer once more. Raises RunFailedError."""
        self._check_room(work, turn, 0)

    @staticmethod
    def check_spent(work: Work, turn: Turn, of_step: RunFailure | None = None) -> None:
        """End a run whose tokens or money are used up, with those it handed work to."""
        limits = turn.limits
        if limits.max_tokens is None and limits.max_cost_usd is None:
            return
        message = _overspent(limits, work.total_usage)
        if message is not None:
            failure = RunFailure(code=RunErrorCode.LIMIT_REACHED, message=message)
            raise RunFailedError(failure, of_step=of_step)

    def leave(self, work: Work) -> None:
        """Count what a run used at last; it is no longer at work here."""
        self._rules.sums.leave(work)

    def _check_room(self, work: Work, turn: Turn, calls: int) -> None:
        """End the run unless so many calls and the model's next word still fit."""
        self.check_spent(work, turn)
        limits, asking = turn.limits, work.asking
        if limits.max_cost_usd is not None and asking is not None and asking.cost is None:
            _fail(
                f"{turn.choice.model.label} did not say what it used, so a limit in money"
                " (maxCostUsd) cannot be kept."
            )
        # Of calls after which another model or worker went on, no step is counted.
        if work.position - turn.choice.lost_steps + calls + 1 > limits.max_steps:
            _fail(
                f"The run needs more than its {limits.max_steps} steps (maxSteps) for an answer."
                " Raise the limit, or ask for less at once."
            )

    async def _obeyed(self, work: Work, reached: Sequence[Reached]) -> Hold | None:
        """End the run where a rule says so, or say why it is to be held."""
        for each in reached:
            if each.action is LimitAction.STOP:
                _fail(each.message)
        pausing = [each for each in reached if each.action is LimitAction.PAUSE]
        open_ones = [each for each in pausing if not await self._is_marked(each, work.run_id)]
        if not open_ones:
            return None
        return Hold(
            reason=f"{open_ones[0].message} Resume the run to let it go on in spite of it.",
            statements=[self._mark(work, each, work.run_id) for each in open_ones],
        )

    async def _warn(self, work: Work, reached: Reached) -> None:
        """Tell once for each window, whichever run comes first."""
        of_run = "" if reached.window is not None else work.claim.root_run_id
        if await self._is_marked(reached, of_run):
            return
        mark = self._mark(work, reached, of_run)
        data = {
            "previousStatus": RunStatus.RUNNING,
            "status": RunStatus.RUNNING,
            "reason": reached.message,
        }
        told = [work.draft(EventType.RUN_STATE_CHANGED, data, self._clock.now_us())]
        await self._journal.once(work, mark, told)

    async def _is_marked(self, reached: Reached, run_id: str) -> bool:
        rule_id = reached.limit.rule.id
        return bool(await self._database.fetch(MARKED, rule_id, reached.since_us, run_id))

    def _mark(self, work: Work, reached: Reached, run_id: str) -> Statement:
        values = (
            reached.limit.rule.id,
            reached.since_us,
            run_id,
            work.workspace_id,
            self._clock.now_us(),
        )
        return Statement(MARK, values)


def rest_s(work: Work, limits: RunLimits, now_us: int) -> float:
    """Seconds that a run may still take; waits for people are not counted."""
    rest_us = work.deadline_us(limits.max_seconds, now_us) - now_us
    return max(0.0, rest_us / 1_000_000)


def out_of_time(limits: RunLimits) -> RunFailure:
    """Why a run ends that took too long."""
    return RunFailure(
        code=RunErrorCode.TIMED_OUT,
        message=(
            f"The run took longer than its {limits.max_seconds} seconds (maxSeconds)."
            " Raise the limit, or ask for less at once."
        ),
    )


def _overspent(limits: RunLimits, used: RunUsage) -> str | None:
    tokens, cost_usd = used.input_tokens + used.output_tokens, dollars(used.cost_pico_usd)
    if limits.max_tokens is not None and tokens >= limits.max_tokens:
        spent = f"The run used {tokens} of its {limits.max_tokens} tokens (maxTokens)."
    elif limits.max_cost_usd is not None and cost_usd >= limits.max_cost_usd:
        most = f"{_money(limits.max_cost_usd)} US dollars (maxCostUsd)"
        spent = f"The run spent {_money(cost_usd)} of its {most}."
    else:
        return None
    return f"{spent} Raise the limit, or ask for less at once."


def _fail(message: str) -> NoReturn:
    raise RunFailedError(RunFailure(code=RunErrorCode.LIMIT_REACHED, message=message))


def _money(amount: float) -> str:
    return f"{amount:.9f}".rstrip("0").rstrip(".")
