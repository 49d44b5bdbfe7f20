"""The rules of the state machine of tasks: what clients, schedulers, workers and bad luck may do.

After each rule all rows are held against the model; at the end of a story nothing may be left.
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from domain.kernel.moments import format_moment
from tests.domain.machine_wire import Cut
from tests.domain.task_machine_arena import AGENTS, ENDS
from tests.domain.task_machine_course import may_have_been_looked_at
from tests.domain.task_machine_model import CRONS, SECOND_US, TaskModel, Timing
from tests.domain.task_machine_story import PLACE, TaskStory, step

MOST_TASKS = 3
OFFSETS = (30, 90, 3600, 86_400)
"""Seconds until the times of a planned task."""
TIMINGS = ("minutes", "minutes", "twenties", "hours", "days", "planned", "adhoc", "at once")
BOUNDS = (None, None, None, (600, None), (None, 5400), (1200, 90_000))
"""Seconds until a task may begin, and until it has to be over."""
POLICIES = {
    "overlapPolicy": st.sampled_from(["SKIP", "QUEUE", "PARALLEL", "REPLACE"]),
    "missedRunPolicy": st.sampled_from(["SKIP", "RUN_ONCE", "RUN_ALL"]),
    "maxConcurrency": st.sampled_from([1, 2, 3]),
    "graceSeconds": st.sampled_from([0, 60, 60, 3600]),
    "conversationMode": st.sampled_from(["NEW", "NEW", "NEW", "CONTINUE"]),
}
EXTRAS = {
    "retry": st.sampled_from([(1, 30), (2, 0), (3, 20), (2, 90)]),
    "jitterSeconds": st.sampled_from([0, 0, 25]),
    "pauseAfterFailures": st.sampled_from([None, None, 1, 2]),
    "agent": st.sampled_from(AGENTS),
    "timing": st.sampled_from(TIMINGS),
    "bounds": st.sampled_from(BOUNDS),
}


class TaskMachine(TaskStory):
    """What may happen to tasks; a subclass says on which database."""

    # Clients.

    @initialize(policies=st.fixed_dictionaries(POLICIES), extras=st.fixed_dictionaries(EXTRAS))
    def begin(self, policies: dict[str, Any], extras: dict[str, Any]) -> None:
        """A story begins with a task."""
        self._create(policies, extras)

    @step(
        lambda self: len(self.models) < MOST_TASKS,
        policies=st.fixed_dictionaries(POLICIES),
        extras=st.fixed_dictionaries(EXTRAS),
    )
    def create(self, policies: dict[str, Any], extras: dict[str, Any]) -> None:
        """Somebody makes a task."""
        self._create(policies, extras)

    def _create(self, policies: dict[str, Any], extras: dict[str, Any]) -> None:
        attempts, backoff_s = extras["retry"]
        values = {
            **policies,
            "retry": {"maxAttempts": attempts, "backoffSeconds": backoff_s},
            "jitterSeconds": extras["jitterSeconds"],
            "pauseAfterFailures": extras["pauseAfterFailures"],
        }
        timing = self._timing(extras["timing"], extras["bounds"], policies["missedRunPolicy"])
        asked = {
            "name": "Report",
            "instruction": "do it",
            "agent": {"slug": extras["agent"]},
            **values,
            **_asked_timing(timing, runs_now=extras["timing"] == "at once"),
        }
        row = self.ask(self.arena.service.create(self.principal, asked))
        if row is not None:
            agent_id = self.arena.agent_ids[extras["agent"]]
            self.models[row.id] = TaskModel(
                id=row.id,
                values={**values, "agent": agent_id},
                timing=timing,
                since=self.now_us,
                reached=self.now_us,
            )

    def _timing(
        self, kind: str, bounds: tuple[int | None, int | None] | None, missed: str
    ) -> Timing:
        """A schedule; a task that runs all it missed is due seldom, or the story never ends."""
        starts_s, ends_s = bounds or (None, None)
        starts_at = None if starts_s is None else self.now_us + starts_s * SECOND_US
        ends_at = None if ends_s is None else self.now_us + ends_s * SECOND_US
        if kind in ("adhoc", "at once"):
            return Timing()
        if kind == "planned":
            times = tuple(self.now_us + offset * SECOND_US for offset in OFFSETS)
            return Timing(times=times, starts_at=starts_at, ends_at=ends_at)
        place = ("minutes", "twenties", "hours", "days").index(kind)
        cron = CRONS[max(place, 2) if missed == "RUN_ALL" else place]
        return Timing(cron=cron, starts_at=starts_at, ends_at=ends_at)

    @step(
        lambda self: self.alive,
        which=PLACE,
        kind=st.sampled_from(TIMINGS[:-1]),
        bounds=st.sampled_from(BOUNDS),
    )
    def change_timing(
        self, which: int, kind: str, bounds: tuple[int | None, int | None] | None
    ) -> None:
        """Somebody gives a task other times."""
        model = self.task_at(which)
        timing = self._timing(kind, bounds, model.values["missedRunPolicy"])
        values = {"taskId": model.id, **_asked_timing(timing, runs_now=False)}
        row = self.ask(self.arena.service.update(self.principal, values))
        if row is not None and timing != model.timing:
            model.change_timing(timing, self.now_us)

    @step(
        lambda self: self.alive,
        which=PLACE,
        policies=st.fixed_dictionaries(POLICIES),
        agent=st.sampled_from(AGENTS),
    )
    def change_policies(self, which: int, policies: dict[str, Any], agent: str) -> None:
        """Somebody has a task treated otherwise, by another agent."""
        model = self.task_at(which)
        is_frequent = model.timing.cron in CRONS[:2]
        if is_frequent and policies["missedRunPolicy"] == "RUN_ALL":
            policies = {**policies, "missedRunPolicy": "RUN_ONCE"}
        values = {"taskId": model.id, **policies, "agent": {"slug": agent}}
        if self.ask(self.arena.service.update(self.principal, values)) is not None:
            model.values |= {**policies, "agent": self.arena.agent_ids[agent]}

    @step(lambda self: self.alive, which=PLACE, seconds=st.sampled_from([None, None, 45, 7200]))
    def pause(self, which: int, seconds: int | None) -> None:
        """Somebody holds a task, for good or for a while."""
        model = self.task_at(which)
        until = None if seconds is None else self.now_us + seconds * SECOND_US
        values = {"taskId": model.id, "until": until and format_moment(until), "reason": "rest"}
        if self.ask(self.arena.service.pause(self.principal, values)) is not None:
            model.status, model.until = "PAUSED", until

    @step(lambda self: self.alive, which=PLACE)
    def resume(self, which: int) -> None:
        """Somebody lets a task go on."""
        self.let_go_on(self.task_at(which))

    @step(lambda self: self.alive, which=PLACE)
    def run_now(self, which: int) -> None:
        """Somebody starts a task beside its schedule."""
        model = self.task_at(which)
        started = self.ask(self.arena.service.run_now(self.principal, {"taskId": model.id}))
        if started is not None:
            found = self.see().occurrences[started.row.id]
            assert (found.task_id, found.trigger) == (model.id, "MANUAL")

    @step(lambda self: self.alive, which=PLACE)
    def delete(self, which: int) -> None:
        """Somebody deletes a task."""
        model = self.task_at(which)
        if self.ask(self.arena.service.delete(self.principal, model.id)) is not None:
            model.is_deleted = True

    @step(agent=st.sampled_from(AGENTS), archived=st.booleans())
    def archive(self, agent: str, archived: bool) -> None:
        """Somebody archives an agent, or brings it back."""
        agent_id = self.arena.agent_ids[agent]
        agents = self.arena.world.agents
        self.ask(agents.archive(self.principal, agent_id, archived=archived))

    @step(lambda self: self.at_work(), which=PLACE)
    def cancel(self, which: int) -> None:
        """Somebody cancels a run of a task."""
        runs = self.at_work()
        service = self.arena.world.service(None)
        self.act(self.arena.ask(service.cancel(self.principal, runs[which % len(runs)], "no")))

    # Time and schedulers.

    @step(seconds=st.sampled_from([1, 6, 30, 61, 300, 3600, 86_400]))
    def pass_time(self, seconds: int) -> None:
        """Time passes while no scheduler is up."""
        self.act(self.arena.pass_time(seconds))

    @step(seconds=st.sampled_from([2, 90, 3600]))
    def set_back(self, seconds: int) -> None:
        """The clock is set back."""
        self.act(self.arena.pass_time(-seconds))

    @step(schedulers=st.integers(1, 3), minutes=st.sampled_from([0, 1, 1, 20, 60]))
    def look(self, schedulers: int, minutes: int) -> None:
        """So many schedulers look at once, now or at a full minute ahead."""
        self.reach(schedulers, minutes)

    @step(calls=st.integers(0, 16), minutes=st.sampled_from([0, 1, 1, 60]))
    def die(self, calls: int, minutes: int) -> None:
        """The only scheduler dies in the middle of a look."""
        self.pass_minutes(minutes)
        self.act(self.arena.die(calls), may_have_been_looked_at)

    @step(schedulers=st.integers(2, 3), calls=st.integers(0, 16))
    def die_beside_others(self, schedulers: int, calls: int) -> None:
        """One of several schedulers dies while all of them look at what is due at a minute."""
        self.reach(schedulers, 1, calls)

    # Work.

    @step(end=st.sampled_from(["done", "done", *ENDS]))
    def work_off(self, end: str) -> None:
        """What was hinted is carried out and ends, with whatever has been at work."""
        self.act(self.arena.work_off(ENDS[end]))

    @step()
    def deliver(self) -> None:
        """What was hinted begins, and goes on for long."""
        self.act(self.arena.deliver())

    @step()
    def lose_hints(self) -> None:
        """Every hint on its way is lost."""
        self.arena.queue.hints.clear()

    @step()
    def sweep(self) -> None:
        """The sweeper hints what is due and forgotten."""
        self.act(self.arena.sweep())

    @step(lambda self: self.arena.working)
    def lose_worker(self) -> None:
        """The worker is gone; another one takes its place, and finds what it left."""
        self.arena.working[0].wire.sleep(Cut.NOW)
        self.act(self.replace_worker())


def _asked_timing(timing: Timing, *, runs_now: bool) -> dict[str, Any]:
    """A schedule and its bounds as a client asks for them; absent bounds are cleared."""
    schedule: dict[str, Any] = {"adhoc": {"runNow": runs_now}}
    if timing.cron is not None:
        cron = {"expression": timing.cron.expression}
        schedule = {"scheduled": {"cron": cron, "timezone": timing.cron.timezone}}
    elif timing.times:
        schedule = {"planned": {"times": [format_moment(time) for time in timing.times]}}
    bounds = {"startsAt": timing.starts_at, "endsAt": timing.ends_at}
    return {"schedule": schedule} | {
        name: moment and format_moment(moment) for name, moment in bounds.items()
    }
