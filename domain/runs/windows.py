"""What was used in the hour, day or month under way: cheap to ask before every step.

Days that are over for a day are read once, the rest of the window each minute, the last hour or
two each second. What this process counted since is added, so its own runs are seen at once; what
other processes used is seen within a second, or a minute for calls that took hours.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

from domain.behavior.rules import LimitWindow
from domain.kernel.database import Database
from domain.kernel.ports import Clock
from domain.runs.usage import COUNTED, DAY_US, HOUR_US, SUMS, month_start, summed, usage_of
from domain.runs.work import RunUsage, Work

RECENT_S = 1.0
EARLIER_S = 60.0
MOST_DAYS = 2048
MOST_SCOPES = 256


class Window(NamedTuple):
    """Half-open span of time in microseconds."""

    since_us: int
    until_us: int


class Scope(NamedTuple):
    """Whose use is counted: a workspace's, or that of one of its agents."""

    workspace_id: str
    agent_id: str | None = None


@dataclass(slots=True, kw_only=True)
class _Sums:
    """Use of a scope since a window began, as it was read last."""

    earlier: RunUsage
    earlier_at: float
    recent: RunUsage
    recent_at: float
    recent_from_us: int
    own: RunUsage
    """What this process had counted when they were read."""


def window_of(kind: LimitWindow, moment_us: int) -> Window:
    """The hour, day or month of a moment, in UTC."""
    if kind is LimitWindow.MONTH:
        since_us = month_start(moment_us)
        return Window(since_us, month_start(since_us + 32 * DAY_US))
    length_us = HOUR_US if kind is LimitWindow.HOUR else DAY_US
    since_us = moment_us // length_us * length_us
    return Window(since_us, since_us + length_us)


class WindowSums:
    """Use by scope and window; one per process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._sums: dict[tuple[Scope, int], _Sums] = {}
        self._days: dict[tuple[Scope, int], RunUsage] = {}
        self._own: dict[Scope, RunUsage] = {}
        self._seen: WeakKeyDictionary[Work, RunUsage] = WeakKeyDictionary()

    def count(self, work: Work) -> None:
        """Count what a run of this process used since it was counted last."""
        before = self._seen.get(work)
        self._seen[work] = replace(work.usage)
        if before is None:
            # What a run brings along is in its rows.
            return
        used = difference(work.usage, before)
        for scope in (Scope(work.workspace_id), Scope(work.workspace_id, work.claim.agent_id)):
            self._own[scope] = summed([self._own.get(scope, RunUsage()), used])

    def leave(self, work: Work) -> None:
        """Count what a run used at last, if it was ever counted."""
        if work in self._seen:
            self.count(work)

    async def refresh(self, scope: Scope, since_us: int) -> None:
        """Read what was used since a window began, as far as it is old; then `total` tells it.

        A run that is to be counted with it is counted after this: it may not be in its rows yet.
        """
        now_us, now_s = self._clock.now_us(), self._clock.monotonic()
        recent_from_us = max(since_us, now_us // HOUR_US * HOUR_US - HOUR_US)
        known = self._sums.get((scope, since_us))
        if (
            known is None
            or known.recent_from_us != recent_from_us
            or now_s - known.earlier_at >= EARLIER_S
        ):
            earlier, read_at = await self._earlier(scope, since_us, recent_from_us), now_s
        elif now_s - known.recent_at >= RECENT_S:
            earlier, read_at = known.earlier, known.earlier_at
        else:
            return
        recent = await self._sum(scope, recent_from_us, None)
        if len(self._sums) >= MOST_SCOPES:
            self._sums.clear()
        self._sums[scope, since_us] = _Sums(
            earlier=earlier,
            earlier_at=read_at,
            recent=recent,
            recent_at=now_s,
            recent_from_us=recent_from_us,
            own=self._own.get(scope, RunUsage()),
        )

    def total(self, scope: Scope, since_us: int) -> RunUsage:
        """What was used since a window began, with what this process counted meanwhile."""
        known = self._sums.get((scope, since_us))
        if known is None:
            return RunUsage()
        own = difference(self._own.get(scope, RunUsage()), known.own)
        return summed([known.earlier, known.recent, own])

    async def _earlier(self, scope: Scope, since_us: int, until_us: int) -> RunUsage:
        """Sum up days that no step can change any more from memory, and read what follows."""
        parts: list[RunUsage] = []
        settled_us = self._clock.now_us() - DAY_US
        while since_us + DAY_US <= min(until_us, settled_us):
            day = (scope, since_us)
            if day not in self._days:
                if len(self._days) >= MOST_DAYS:
                    self._days.clear()
                self._days[day] = await self._sum(scope, since_us, since_us + DAY_US)
            parts.append(self._days[day])
            since_us += DAY_US
        if since_us < until_us:
            parts.append(await self._sum(scope, since_us, until_us))
        return summed(parts)

    async def _sum(self, scope: Scope, since_us: int, until_us: int | None) -> RunUsage:
        args: list[object] = [scope.workspace_id, since_us]
        until = agent = ""
        if until_us is not None:
            args.append(until_us)
            until = f" AND run_step.started_at < ${len(args)}"
        if scope.agent_id is not None:
            args.append(scope.agent_id)
            agent = f" JOIN run ON run.id = run_step.run_id AND run.agent_id = ${len(args)}"
        sql = f"""
            SELECT {SUMS} FROM run_step{agent}
            WHERE run_step.workspace_id = $1 AND run_step.started_at >= $2{until} AND {COUNTED}
        """
        row = (await self._database.fetch(sql, *args))[0]
        return RunUsage() if row[0] is None else usage_of(row)


def difference(after: RunUsage, before: RunUsage) -> RunUsage:
    """What was used between two countings."""
    return RunUsage(
        input_tokens=after.input_tokens - before.input_tokens,
        output_tokens=after.output_tokens - before.output_tokens,
        cached_tokens=after.cached_tokens - before.cached_tokens,
        reasoning_tokens=after.reasoning_tokens - before.reasoning_tokens,
        model_calls=after.model_calls - before.model_calls,
        tool_calls=after.tool_calls - before.tool_calls,
        cost_pico_usd=after.cost_pico_usd - before.cost_pico_usd,
        cost_known=after.cost_known,
    )
