"""The rules of the state machine: what clients, models, processes and bad luck may do.

After each rule all rows are looked at; at the end of a story every run must end.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from domain.access.scopes import Principal
from domain.runs.approval_state import ApprovalDecision, ApprovalScope, ApprovalStatus
from domain.runs.lease import EARLY_US
from domain.runs.service import RunService
from domain.runs.spec import RetryConfig
from domain.runs.state import FINAL
from tests.domain.approval_world import tool_rule
from tests.domain.machine_arena import Process, arena_on
from tests.domain.machine_checks import changes, complaints
from tests.domain.machine_look import Seen, look
from tests.domain.machine_stage import Story
from tests.domain.machine_talk import HABITS, WORDS, turn_of
from tests.domain.machine_wire import Cut, Wire
from tests.run_world import LEASE_S

MOST_AWAKE = 3
MOST_RUNS = 6
MOST_SWEEPS = 12
"""Sweeps after which everything that can go on must have ended."""
TOO_LONG_S = 4000.0
"""Longer than anybody waits for an answer, and than a run may take."""
PLACE = st.integers(0, 5)


def when(is_possible: Callable[["Machine"], object]) -> Callable[[Callable[..., None]], Any]:
    """Do what a rule says where it can be done, else what brings the runs forward.

    So that what hypothesis draws never hangs on what happened, which would confuse it.
    """

    def decorate(does: Callable[..., None]) -> Callable[..., None]:
        @wraps(does)
        def act(self: "Machine", **drawn: Any) -> None:
            if is_possible(self):
                does(self, **drawn)
            else:
                self.act(self.bring_forward())

        return act

    return decorate


class Machine(Story):
    """Processes, clients and misfortunes; a subclass says on which database."""

    def __init__(self) -> None:
        super().__init__()
        self.arena = self.enter(arena_on(self.stage.database, self.stage.traffic))
        self.seen: Seen = self.do(self._look())
        self.writers = {process.runner.owner for process in self.arena.processes}

    async def _look(self) -> Seen:
        return await look(self.stage.database, self.arena.clock.now_us())

    def act(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do what a rule asks for; whoever is awake might write meanwhile."""
        self.writers = {process.runner.owner for process in self.arena.awake}
        self.do(self.settled(work))
        self.writers |= {process.runner.owner for process in self.arena.awake}

    def let(self, wire: Wire) -> None:
        """Let one process do what it may do now; nobody else has a reason to write."""
        self.do(self.settled(asyncio.sleep(0)))
        self.writers = {one.runner.owner for one in self.arena.processes if one.wire is wire}

    @invariant()
    def the_rows_are_right(self) -> None:
        """Nothing is wrong, and nothing was changed that must stay."""
        before, self.seen = self.seen, self.do(self._look())
        wrong = list(complaints(self.seen, self.arena.effects))
        wrong += changes(before, self.seen, self.writers)
        self.judge(wrong)

    # Clients.

    @rule(
        talk=st.sampled_from([None, None, 0, 1]),
        at=PLACE,
        inline=st.booleans(),
        busy=st.sampled_from(["REJECT", "QUEUE", "INTERRUPT"]),
    )
    @when(lambda self: len(self.seen.runs) < MOST_RUNS)
    def start(self, talk: int | None, at: int, inline: bool, busy: str) -> None:
        """Somebody starts a run, alone or in a conversation, and waits for it or not."""
        self.act(self._start(talk, at, inline=inline, busy=busy))

    async def _start(
        self, talk: int | None, at: int, *, inline: bool = False, busy: str = "REJECT"
    ) -> None:
        values: dict[str, Any] = {"agent": {"slug": "lead"}, "instruction": "do it"}
        if talk is not None:
            values |= {"conversationId": self.arena.conversations[talk], "onBusy": busy}
        if inline and self.arena.working:
            values["waitSeconds"] = 300
        told = await self.arena.ask(self._door(at).execute(self._principal, values))
        if told is not None:
            assert told.row.id in (await self._look()).runs

    @property
    def _principal(self) -> Principal:
        return self.arena.world.principal

    def _door(self, at: int) -> RunService:
        return self._worker(at).service if self.arena.working else self.arena.world.service(None)

    @rule(which=PLACE, at=PLACE, heard=st.booleans())
    @when(lambda self: self.seen.runs)
    def cancel(self, which: int, at: int, heard: bool) -> None:
        """Somebody cancels a run; its worker hears of it at once or finds the order later."""
        call = self._door(at).cancel(self._principal, self._run(which), "no")
        self.act(self._told(call, heard=heard))

    @rule(which=PLACE, at=PLACE, heard=st.booleans())
    @when(lambda self: self.seen.runs)
    def pause(self, which: int, at: int, heard: bool) -> None:
        """Somebody has a run held after its step."""
        call = self._door(at).pause(self._principal, self._run(which), "wait")
        self.act(self._told(call, heard=heard))

    @rule(which=PLACE, at=PLACE, heard=st.booleans())
    @when(lambda self: self.seen.runs)
    def resume(self, which: int, at: int, heard: bool) -> None:
        """Somebody lets a run go on, whether it is held, is to be held or neither."""
        call = self._door(at).resume(self._principal, self._run(which))
        self.act(self._told(call, heard=heard))

    @rule(which=PLACE, at=PLACE, heard=st.booleans())
    @when(lambda self: self.seen.runs)
    def steer(self, which: int, at: int, heard: bool) -> None:
        """Somebody tells a run more, perhaps at the last moment."""
        call = self._door(at).steer(self._principal, self._run(which), {"instruction": "and that"})
        self.act(self._told(call, heard=heard))

    @rule(which=PLACE, at=PLACE, step=st.none() | PLACE, config=st.sampled_from(RetryConfig))
    @when(lambda self: 0 < len(self.seen.runs) < MOST_RUNS)
    def retry(self, which: int, at: int, step: int | None, config: RetryConfig) -> None:
        """Somebody has a run done again, whole or from one of its steps."""
        run_id = self._run(which)
        steps = self.seen.steps.get(run_id, ())
        values: dict[str, Any] = {"config": config}
        if step is not None and steps:
            values["fromStepId"] = steps[step % len(steps)].id
        call = self._door(at).retry(self._principal, run_id, values)
        self.act(self.arena.ask(call))

    async def _told(self, call: Coroutine[Any, Any, Any], *, heard: bool) -> None:
        for process in self.arena.processes:
            process.line.is_open = heard
        await self.arena.ask(call)
        for process in self.arena.processes:
            process.line.is_open = True

    @rule(
        which=PLACE,
        at=PLACE,
        decision=st.sampled_from(ApprovalDecision),
        scope=st.sampled_from([ApprovalScope.ONCE, ApprovalScope.RUN]),
    )
    @when(lambda self: self.seen.approvals and self.arena.working)
    def decide(self, which: int, at: int, decision: ApprovalDecision, scope: ApprovalScope) -> None:
        """Somebody answers what a run asks for, perhaps once more or too late."""
        asked = self.seen.approvals[which % len(self.seen.approvals)]
        self.act(self._decide(asked.id, at, decision, scope))

    async def _decide(
        self, approval_id: str, at: int, decision: ApprovalDecision, scope: ApprovalScope
    ) -> None:
        values = {"approvalId": approval_id, "decision": decision, "scope": scope}
        await self.arena.ask(self._worker(at).approvals.decide(self._principal, values))

    @rule(said=st.sampled_from([("DENY", "erase"), ("ASK", "pay"), None]))
    def make_rule(self, said: tuple[str, str] | None) -> None:
        """Somebody has a tool forbidden, or asked about, or takes all rules back."""
        self.act(self._make_rule(said))

    async def _make_rule(self, said: tuple[str, str] | None) -> None:
        rules = [] if said is None else [tool_rule(*said)]
        world = self.arena.world
        changes = {"strategy": "REPLACE", "add": rules}
        await self.arena.ask(world.behavior.adjust(world.principal, changes))

    @rule()
    @when(lambda self: any(asked.status == "PENDING" for asked in self.seen.approvals))
    def let_expire(self) -> None:
        """Nobody answers in time."""
        self.act(self._sweep(TOO_LONG_S))

    # Hints.

    @rule(which=PLACE, at=PLACE, times=st.integers(1, 2))
    @when(lambda self: self.arena.queue.hints and self.arena.working)
    def deliver(self, which: int, at: int, times: int) -> None:
        """A hint arrives, perhaps twice."""
        hints = self.arena.queue.hints
        _, run_id = hints.pop(which % len(hints))
        workers = [self._worker(at + n) for n in range(times)]
        self.act(self._execute(run_id, workers))

    @rule()
    @when(lambda self: self.arena.queue.hints)
    def lose_hints(self) -> None:
        """Every hint on its way is lost."""
        self.arena.queue.hints.clear()

    @rule(which=PLACE, at=PLACE)
    @when(lambda self: self.seen.runs and self.arena.working)
    def hint_again(self, which: int, at: int) -> None:
        """A hint that nobody needs arrives: only what is due, lost or ordered is taken."""
        run = self.seen.runs[self._run(which)]
        now_us = self.seen.now_us
        is_lost = run.lease_until is not None and run.lease_until < now_us
        is_due = run.due_at is not None and run.due_at <= now_us + EARLY_US
        is_wanted = is_lost or is_due or self.seen.orders.get(run.id)
        self.act(self._execute(run.id, [self._worker(at)] * 2))
        if run.status in FINAL or not is_wanted:
            assert self.do(self._look()) == self.seen

    async def _execute(self, run_id: str, workers: list[Process]) -> None:
        for worker in workers:
            await self.arena.begin(worker.runner.execute(run_id))

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, LEASE_S + 1, 64.0]))
    def sweep(self, seconds: float) -> None:
        """Time passes, and the sweeper hints what was forgotten."""
        self.act(self._sweep(seconds))

    async def _sweep(self, seconds: float) -> None:
        await self.arena.pass_time(seconds)
        await self.arena.sweep()

    # Work.

    async def bring_forward(self) -> None:
        """Let the next thing happen that has been begun."""
        arena = self.arena
        if not self.seen.runs:
            await self._start(None, 0)
        elif not arena.working:
            await arena.boot()
        elif arena.queue.hints:
            _, run_id = arena.queue.hints.pop(0)
            await self._execute(run_id, [self._worker(0)])
        elif stiles := arena.waiting("tool"):
            stiles[0].turns.put_nowait(())
        elif stiles := arena.waiting("model"):
            habit = HABITS[arena.next_number() % len(HABITS)]
            stiles[0].turns.put_nowait(turn_of(habit, arena.next_number))
        else:
            await self._sweep(LEASE_S + 1)

    @rule(which=PLACE, what=st.sampled_from(WORDS))
    @when(lambda self: self.arena.waiting("model"))
    def answer(self, which: int, what: str) -> None:
        """A model says something: a few words, a call, its last word, or that it cannot."""
        stiles = self.arena.waiting("model")
        stile = stiles[which % len(stiles)]
        stile.turns.put_nowait(turn_of(what, self.arena.next_number))
        self.let(stile.wire)

    @rule(which=PLACE)
    @when(lambda self: self.arena.waiting("tool"))
    def go_on(self, which: int) -> None:
        """A tool goes on: to what it does to the outside, or from there to its result."""
        stiles = self.arena.waiting("tool")
        stile = stiles[which % len(stiles)]
        stile.turns.put_nowait(())
        self.let(stile.wire)

    # Misfortunes.

    @rule(which=PLACE, cut=st.sampled_from(Cut))
    @when(lambda self: self.arena.awake)
    def fall_asleep(self, which: int, cut: Cut) -> None:
        """A process is stopped without a word: now, or around its next write."""
        awake = self.arena.awake
        awake[which % len(awake)].wire.sleep(cut)

    @rule(which=PLACE)
    @when(lambda self: self.arena.asleep)
    def wake(self, which: int) -> None:
        """A process that seemed dead wakes, and writes what it wanted to write."""
        asleep = self.arena.asleep
        wire = asleep[which % len(asleep)].wire
        wire.wake()
        self.let(wire)

    @rule()
    @when(lambda self: len(self.arena.working) < MOST_AWAKE)
    def boot(self) -> None:
        """One more process starts."""
        self.act(self.arena.boot())

    @rule(which=PLACE)
    @when(lambda self: self.arena.working)
    def shut_down(self, which: int) -> None:
        """A process is told to stop, and hands its runs back."""
        process = self._worker(which)
        process.is_stopping = True
        self.act(self.arena.begin(process.stack.aclose()))

    def _worker(self, which: int) -> Process:
        return self.arena.working[which % len(self.arena.working)]

    def _run(self, which: int) -> str:
        return list(self.seen.runs)[which % len(self.seen.runs)]

    # The end.

    def come_to_an_end(self) -> None:
        """All hints are lost and everybody sleeps on: sweeps alone bring every run to its end."""
        for process in self.arena.processes:
            process.wire.sleep(Cut.NOW)
        self.lose_hints()
        self.boot()
        for _ in range(MOST_SWEEPS):
            self.sweep(LEASE_S + 1)
            self.act(self._work_off())
            self.the_rows_are_right()
            if all(run.status in FINAL for run in self.seen.runs.values()):
                return
        left = [run for run in self.seen.runs.values() if run.status not in FINAL]
        raise AssertionError(f"These runs do not end: {left}")

    async def _work_off(self) -> None:
        hints, self.arena.queue.hints = self.arena.queue.hints, []
        for _, run_id in hints:
            await self._execute(run_id, self.arena.working)
        for run in self.seen.runs.values():
            if run.waits_for == "pause" or "pause" in self.seen.orders.get(run.id, ()):
                await self.arena.ask(self._door(0).resume(self._principal, run.id))
        for place, asked in enumerate(self.seen.approvals):
            if asked.status == ApprovalStatus.PENDING:
                decision = list(ApprovalDecision)[place % 2]
                await self._decide(asked.id, 0, decision, ApprovalScope.ONCE)
        await self.arena.let_go_on()
