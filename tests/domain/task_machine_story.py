"""How stories of tasks go on and end, and how each of their rules is held against the model."""

from collections.abc import Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, cast

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from domain.access.scopes import Principal
from tests.domain.machine_arena import DONE
from tests.domain.machine_stage import Story
from tests.domain.machine_wire import Cut
from tests.domain.task_machine_arena import ENDS, task_arena_on
from tests.domain.task_machine_checks import FINAL, changes, complaints
from tests.domain.task_machine_course import was_looked_at, went_on
from tests.domain.task_machine_look import Seen, look
from tests.domain.task_machine_model import MINUTE_US, SECOND_US, TaskModel
from tests.run_world import LEASE_S

PLACE = st.integers(0, 5)
MOST_ROUNDS = 400
"""Rounds of looks and work after which everything that was begun must have ended."""
THEN = ("look", "a minute", "a minute", "minutes", "an hour", "work", "failures", "nothing")
"""How time goes on after each rule."""
Course = Callable[[Seen, Seen, TaskModel], Iterator[str]]


def always(_: "TaskStory") -> bool:
    """For what can be done at any time."""
    return True


def step(
    is_possible: Callable[[Any], object] = always, **drawn: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Any]:
    """Make a rule of what is done where it can be done, and of how time goes on after it.

    What hypothesis draws never hangs on what happened, which would confuse it.
    """

    def decorate(does: Callable[..., None]) -> Callable[..., None]:
        @wraps(does)
        def act(self: "TaskStory", then: str, **values: Any) -> None:
            if is_possible(self):
                does(self, **values)
                self.all_is_well()
            self.go_on(then)

        drawing: dict[str, Any] = {"then": st.sampled_from(THEN), **drawn}
        return cast("Any", rule)(**drawing)(act)

    return decorate


class TaskStory(Story):
    """Tasks, schedulers, a worker and misfortunes; a subclass says on which database."""

    def __init__(self) -> None:
        super().__init__()
        self.arena = self.enter(task_arena_on(self.stage.database, self.stage.traffic))
        self.models: dict[str, TaskModel] = {}
        self.latest = self.now_us
        self.course: Course = went_on
        self.is_refused = False
        self.seen: Seen = self.see()

    def act(self, work: Coroutine[Any, Any, Any], course: Course = went_on) -> Any:
        """Do what a rule asks for, until nothing moves any more."""
        self.course = course
        return self.do(self.settled(work))

    def see(self) -> Seen:
        """All rows as they are."""
        return self.do(look(self.stage.database, self.now_us, self.latest))

    @property
    def now_us(self) -> int:
        """The moment it is."""
        return self.arena.clock.now_us()

    @property
    def alive(self) -> list[TaskModel]:
        """The tasks that are not deleted."""
        return [model for model in self.models.values() if not model.is_deleted]

    @invariant()
    def all_is_well(self) -> None:
        """Rows are right, and became so as the model did."""
        self.latest = max(self.latest, self.now_us)
        before, self.seen = self.seen, self.see()
        wrong = list(changes(before, self.seen, self.models))
        for model in self.models.values():
            wrong += self.course(before, self.seen, model)
        wrong += complaints(self.seen, self.models)
        if self.is_refused and _rows(before) != _rows(self.seen):
            wrong.append("a refused call has changed something")
        self.course, self.is_refused = went_on, False
        self.judge(wrong)

    def ask(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Make a client's call; None when it was refused, and then nothing may have happened."""
        refused = len(self.arena.refused)
        answer = self.act(self.arena.ask(call))
        self.is_refused = len(self.arena.refused) > refused
        return answer

    def reach(self, schedulers: int, minutes: int, calls: int | None = None) -> None:
        """Some full minute comes, and then so many look, of which the first may die."""
        self.pass_minutes(minutes)
        self.act(self.tick(schedulers, calls), was_looked_at)

    def pass_minutes(self, minutes: int) -> None:
        if minutes:
            rest_us = minutes * MINUTE_US - self.now_us % MINUTE_US
            self.act(self.arena.pass_time(rest_us / SECOND_US))
            self.all_is_well()

    async def tick(self, schedulers: int, calls: int | None = None) -> None:
        await self.arena.tick(schedulers, calls)
        # The end of a run that was replaced may call for one more look.
        await self.arena.tick(1)

    def let_go_on(self, model: TaskModel) -> None:
        row = self.ask(self.arena.service.resume(self.principal, model.id))
        if row is not None and model.status == "PAUSED":
            model.status, model.until, model.failures = "ACTIVE", None, 0

    def at_work(self) -> list[str]:
        return [run.id for run in self.seen.runs.values() if run.status not in FINAL]

    async def replace_worker(self) -> None:
        await self.arena.boot()
        await self.arena.pass_time(LEASE_S + 1)
        await self.arena.sweep()
        await self.arena.deliver()

    def go_on(self, then: str) -> None:
        """Let time go on."""
        if then == "look":
            self.act(self.tick(2), was_looked_at)
        elif then == "work":
            self.act(self.arena.work_off(DONE))
        elif then == "minutes":
            for _ in range(3):
                self._live(1, "nothing")
        elif then != "nothing":
            self._live(60 if then == "an hour" else 1, "down" if then == "failures" else "done")

    def _live(self, minutes: int, end: str) -> None:
        """A full minute comes, is looked at, and what it started ends or goes on for long."""
        self.reach(1, minutes)
        self.all_is_well()
        if end in ENDS:
            self.act(self.arena.work_off(ENDS[end]))
            self.all_is_well()

    @property
    def principal(self) -> Principal:
        return self.arena.world.principal

    def task_at(self, which: int) -> TaskModel:
        return self.alive[which % len(self.alive)]

    # The end.

    def come_to_an_end(self) -> None:
        """Held tasks go on, all work succeeds: nothing may be left that waits or runs."""
        for process in self.arena.working:
            process.wire.sleep(Cut.NOW)
        self.arena.queue.hints.clear()
        self.act(self.replace_worker())
        self.all_is_well()
        for _ in range(MOST_ROUNDS):
            for model in self.alive:
                if model.status == "PAUSED":
                    self.let_go_on(model)
                    self.all_is_well()
            self.act(self.tick(1), was_looked_at)
            self.all_is_well()
            opened = [row for row in self.seen.occurrences.values() if row.is_open]
            if not opened and not self.at_work():
                return
            if not self.act(self._finish()):
                self.act(self.arena.pass_time(self._wait_s()))
            self.all_is_well()
        left = [row for row in self.seen.occurrences.values() if row.is_open]
        raise AssertionError(f"These do not end: {left}")

    async def _finish(self) -> bool:
        """Carry out all that is due; False when nothing is."""
        for run_id in await self.arena.world.office().due(100):
            self.arena.queue.enqueue("runs.execute", run_id)
        if not self.arena.queue.hints and not self.arena.waiting("model"):
            return False
        await self.arena.work_off(DONE)
        return True

    def _wait_s(self) -> float:
        """Until the next of those that wait for their time may begin."""
        opened = [row for row in self.seen.occurrences.values() if row.is_open]
        runs = [self.seen.runs[row.run_id].due_at for row in opened if row.run_id is not None]
        moments = [*runs, *(row.due_at for row in opened)]
        ahead = [moment for moment in moments if moment is not None and moment > self.now_us]
        return (min(ahead) - self.now_us) / SECOND_US if ahead else LEASE_S + 1


def _rows(seen: Seen) -> tuple[object, ...]:
    return seen.tasks, seen.occurrences, seen.runs, seen.told
