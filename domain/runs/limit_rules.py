"""Limits as rules of behavior: what of them is reached, over a run or over a window of time.

Rules of the workspace's profile count over the whole workspace, those of an agent's own profile
over the runs of that agent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from domain.agents.rows import AgentRow
from domain.behavior.rules import LimitAction, LimitEffect, LimitMetric, LimitWindow, Rule, read
from domain.behavior.writes import version_in_force, version_of_profile
from domain.kernel.database import Database, Statement
from domain.kernel.errors import QuotaExceeded
from domain.kernel.moments import SECOND_US, format_moment
from domain.kernel.ports import Clock
from domain.models.prices import dollars
from domain.runs.family import runs_before, used_around, used_below
from domain.runs.steps import StepStart
from domain.runs.usage import DAY_US, summed
from domain.runs.windows import Scope, Window, WindowSums, window_of
from domain.runs.work import RunUsage, Work

MOST_KEPT = 256
IN_FORCE_S = 1.0
"""How long a process may refuse new runs by rules that have changed; runs obey them at once."""

IN_FORCE = f"SELECT {version_in_force('$1')}, {version_of_profile('$1', '$2')}"

KEEP_MARKS_US = 93 * DAY_US
PRUNE_MARKS = "DELETE FROM limit_mark WHERE created_at < $1 RETURNING rule_id"

# No further than the bound: how many runs there are beyond it does not matter.
COUNT_RUNS = """
SELECT count(*) FROM (
    SELECT 1 FROM run WHERE {whose} = $1 AND created_at >= $2
        AND (created_at < $3 OR (created_at = $3 AND id < $4)) LIMIT {most}
) AS counted
"""
CREATED = "SELECT created_at FROM run WHERE id = $1"

_UNITS: Mapping[LimitMetric, str] = {
    LimitMetric.COST_USD: "US dollars",
    LimitMetric.TOKENS: "tokens",
    LimitMetric.STEPS: "steps",
    LimitMetric.TOOL_CALLS: "tool calls",
    LimitMetric.RUNS: "runs",
}
_LENGTHS: Mapping[LimitWindow, str] = {
    LimitWindow.RUN: "a run",
    LimitWindow.HOUR: "an hour",
    LimitWindow.DAY: "a day",
    LimitWindow.MONTH: "a month",
}


class LimitRule(NamedTuple):
    """A rule that bounds something, and for whom it counts."""

    rule: Rule
    effect: LimitEffect
    scope: Scope


class Ahead(NamedTuple):
    """What is about to be done, beside what was used: steps, and calls of tools among them."""

    steps: int
    tool_calls: int


ASKING = Ahead(steps=1, tool_calls=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A limit that is reached, and what was used of it; `window` is None for a run's."""

    limit: LimitRule
    used: float
    window: Window | None

    @property
    def action(self) -> LimitAction:
        """What happens now."""
        return self.limit.effect.on_reach

    @property
    def since_us(self) -> int:
        """Begin of the window; 0 for a run's."""
        return 0 if self.window is None else self.window.since_us

    @property
    def message(self) -> str:
        """Which limit it is, what was used, and what can be done."""
        effect = self.limit.effect
        whose = "" if self.limit.scope.agent_id is None else " of this agent"
        bound = f"{_number(effect.maximum)} {_UNITS[effect.metric]} {_LENGTHS[effect.window]}"
        text = (
            f"The limit of {bound}{whose} is reached with {_number(self.used)}"
            f" (rule {_short(self.limit.rule.statement)!r})."
        )
        if self.window is None:
            return f"{text} Raise the rule's maximum, or ask for less at once."
        anew = format_moment(self.window.until_us)
        return f"{text} It counts anew at {anew}; raise the rule's maximum to go on before."


class LimitRules:
    """Knows the limits in force, and what was used of them; one per process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.sums = WindowSums(database, clock)
        self._rules: dict[str, Sequence[Rule]] = {}
        self._in_force: dict[Scope, tuple[float, Sequence[LimitRule]]] = {}

    async def reached(self, work: Work, step: StepStart, ahead: Ahead) -> list[Reached]:
        """Return the limits that a run may not go beyond now, and those it is to warn of."""
        limits = await self._of_step(work, step)
        if not limits:
            return []
        now_us = self._clock.now_us()
        windows = {
            limit.effect.window: window_of(limit.effect.window, now_us)
            for limit in limits
            if limit.effect.window is not LimitWindow.RUN
        }
        for limit in limits:
            if limit.effect.window in windows:
                await self.sums.refresh(limit.scope, windows[limit.effect.window].since_us)
        self.sums.count(work)
        found = [
            await self._held_against(work, limit, windows.get(limit.effect.window), ahead)
            for limit in limits
        ]
        return [each for each in found if each is not None]

    async def check_new(self, agent: AgentRow) -> None:
        """Refuse a new run where a limit over a window stops all. Raises QuotaExceeded."""
        now_us, scope = self._clock.now_us(), Scope(agent.workspace_id, agent.id)
        for limit in await self._at_start(scope, agent.settings.get("behaviorProfileId")):
            effect = limit.effect
            if effect.on_reach is not LimitAction.STOP or effect.window is LimitWindow.RUN:
                continue
            window = window_of(effect.window, now_us)
            if effect.metric is LimitMetric.RUNS:
                used: float = await self._count_runs(limit, window, before="")
            else:
                await self.sums.refresh(limit.scope, window.since_us)
                used = _used(effect.metric, self.sums.total(limit.scope, window.since_us))
            if used >= effect.maximum:
                raise QuotaExceeded(
                    Reached(limit=limit, used=used, window=window).message,
                    quota=f"{effect.metric}.{effect.window}".lower(),
                    limit=effect.maximum,
                    retry_after_s=ceil((window.until_us - now_us) / SECOND_US),
                )

    async def prune(self) -> int:
        """Forget marks of windows that are long over; return how many."""
        cutoff_us = self._clock.now_us() - KEEP_MARKS_US
        rows = await self._database.write([Statement(PRUNE_MARKS, (cutoff_us,))])
        return len(rows[0])

    async def _held_against(
        self, work: Work, limit: LimitRule, window: Window | None, ahead: Ahead
    ) -> Reached | None:
        effect = limit.effect
        if effect.metric is LimitMetric.RUNS:
            used, window = await self._runs_before(work, limit)
            is_reached = used >= effect.maximum
            used += 1
        else:
            usage = await self._usage(work, limit, window)
            used = _used(effect.metric, usage)
            is_reached = _is_reached(effect, used, ahead)
        return Reached(limit=limit, used=used, window=window) if is_reached else None

    async def _usage(self, work: Work, limit: LimitRule, window: Window | None) -> RunUsage:
        if window is not None:
            return self.sums.total(limit.scope, window.since_us)
        claim = work.claim
        if limit.scope.agent_id is not None:
            others = await used_below(self._database, work.run_id)
        else:
            others = await used_around(self._database, claim.root_run_id, work.run_id)
        return summed([work.usage, others])

    async def _runs_before(self, work: Work, limit: LimitRule) -> tuple[float, Window | None]:
        """Count the runs before this one: those after it do not stop it."""
        if limit.effect.window is LimitWindow.RUN:
            before = await runs_before(self._database, work.claim.root_run_id, work.run_id)
            return before, None
        created_at = (await self._database.fetch(CREATED, work.run_id))[0][0]
        window = window_of(limit.effect.window, created_at)
        span = Window(window.since_us, created_at)
        return await self._count_runs(limit, span, before=work.run_id), window

    async def _count_runs(self, limit: LimitRule, span: Window, *, before: str) -> int:
        """Count runs of a span; of those that were made at its very end, the ids before one."""
        scope = limit.scope
        whose = "workspace_id" if scope.agent_id is None else "agent_id"
        sql = COUNT_RUNS.format(whose=whose, most=ceil(limit.effect.maximum) + 1)
        ident = scope.agent_id or scope.workspace_id
        rows = await self._database.fetch(sql, ident, span.since_us, span.until_us, before)
        return rows[0][0]

    async def _at_start(self, scope: Scope, profile_id: str | None) -> Sequence[LimitRule]:
        """Return the limits in force for an agent, as they were up to a second ago."""
        now_s = self._clock.monotonic()
        known = self._in_force.get(scope)
        if known is not None and now_s - known[0] < IN_FORCE_S:
            return known[1]
        rows = await self._database.fetch(IN_FORCE, scope.workspace_id, profile_id)
        limits = await self._of(scope, rows[0][0], rows[0][1])
        if len(self._in_force) >= MOST_KEPT:
            self._in_force.clear()
        self._in_force[scope] = (now_s, limits)
        return limits

    async def _of_step(self, work: Work, step: StepStart) -> Sequence[LimitRule]:
        """Return the limits that a step follows; for a pinned one, those in force as well."""
        own = Scope(work.workspace_id, work.claim.agent_id)
        limits = await self._of(own, step.behavior_version_id, step.agent_behavior_version_id)
        if work.pinned is None:
            return limits
        rows = await self._database.fetch(IN_FORCE, work.workspace_id, step.behavior_profile_id)
        return tuple(dict.fromkeys([*limits, *await self._of(own, rows[0][0], rows[0][1])]))

    async def _of(
        self, own: Scope, of_workspace: str | None, of_agent: str | None
    ) -> Sequence[LimitRule]:
        """Return the limits of both versions that have not expired."""
        if of_workspace is None and of_agent is None:
            return ()
        now_us = self._clock.now_us()
        limits: list[LimitRule] = []
        for version_id, scope in ((of_workspace, Scope(own.workspace_id)), (of_agent, own)):
            rules = () if version_id is None else await self._of_version(version_id)
            limits += [
                LimitRule(rule, rule.effect, scope)
                for rule in rules
                if isinstance(rule.effect, LimitEffect) and rule.is_in_force(now_us)
            ]
        return limits

    async def _of_version(self, version_id: str) -> Sequence[Rule]:
        """Versions never change, so they are kept."""
        known = self._rules.get(version_id)
        if known is None:
            sql = "SELECT rules FROM behavior_version WHERE id = $1"
            rows = await self._database.fetch(sql, version_id)
            rules = read(rows[0][0]) if rows else ()
            known = tuple(rule for rule in rules if isinstance(rule.effect, LimitEffect))
            if len(self._rules) >= MOST_KEPT:
                del self._rules[next(iter(self._rules))]
            self._rules[version_id] = known
        return known


def _used(metric: LimitMetric, usage: RunUsage) -> float:
    if metric is LimitMetric.COST_USD:
        return dollars(usage.cost_pico_usd)
    if metric is LimitMetric.TOKENS:
        return usage.input_tokens + usage.output_tokens
    if metric is LimitMetric.STEPS:
        return usage.model_calls + usage.tool_calls
    return usage.tool_calls


def _is_reached(effect: LimitEffect, used: float, ahead: Ahead) -> bool:
    """Of what can be counted ahead, as much as the maximum is let pass; not so of the rest."""
    if effect.on_reach is LimitAction.WARN or effect.metric in (
        LimitMetric.COST_USD,
        LimitMetric.TOKENS,
    ):
        return used >= effect.maximum
    more = ahead.steps if effect.metric is LimitMetric.STEPS else ahead.tool_calls
    return more > 0 and used + more > effect.maximum


def _number(amount: float) -> str:
    return f"{amount:.9f}".rstrip("0").rstrip(".")


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
