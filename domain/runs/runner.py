"""The runs in the hands of this process: claimed, renewed, stopped, handed back."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Self

import structlog

from domain.kernel.background import start_detached
from domain.kernel.errors import GobError, Unavailable
from domain.kernel.ports import Clock, EventBus, Listener
from domain.runs.engine import RunEngine
from domain.runs.held import Capacity, Held, Stop, is_last_try
from domain.runs.journal import Journal, LeaseLostError
from domain.runs.lease import Claimed, LeaseOffice, PastStep
from domain.runs.lease_keeper import LeaseKeeper
from domain.runs.orders import ORDERS_CHANNEL, OrderKind
from domain.runs.stepping import RunLeavesError
from domain.runs.steps import StepStart
from domain.runs.work import PauseWish, Work

ORDERS_POLL_S = 1.0

log = structlog.get_logger("domain.runs.runner")


class Runner:
    """One per process that works on runs; owns their tasks."""

    def __init__(
        self,
        *,
        engine_of: Callable[[Callable[[Work], None]], tuple[RunEngine, Journal]],
        office: LeaseOffice,
        bus: EventBus,
        clock: Clock,
        capacity: Capacity,
    ) -> None:
        self._engine, self._journal = engine_of(self.lose)
        self._office = office
        self._bus = bus
        self._clock = clock
        self._capacity = capacity
        self._held: dict[str, Held] = {}
        self._claiming: set[str] = set()
        self._taking: set[asyncio.Task[None]] = set()
        self._reserved = 0
        self._more = False
        self._pull_task: asyncio.Task[None] | None = None
        self._set_aside: dict[str, None] = {}
        """Hinted while places are filled from the table, or for the last of them."""
        self._draining = False
        self._claims_fail = False
        self._tasks: list[asyncio.Task[None]] = []
        self._listener: Listener | None = None

    async def __aenter__(self) -> Self:
        self._listener = self._bus.listen(ORDERS_CHANNEL, self._hear)
        self._tasks = [
            asyncio.create_task(self._lease_keeper().keep(), name="lease-keeper"),
            asyncio.create_task(self._watch_orders(), name="order-watch"),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain()
        if self._listener is not None:
            self._listener.close()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    def _lease_keeper(self) -> LeaseKeeper:
        return LeaseKeeper(
            office=self._office,
            clock=self._clock,
            limits=self._capacity,
            at_work=lambda: {run_id: held.work for run_id, held in self._held.items()},
            lose=self.lose,
        )

    @property
    def engine(self) -> RunEngine:
        """What carries the runs out."""
        return self._engine

    @property
    def owner(self) -> str:
        """Name of this process in leases."""
        return self._office.owner

    @property
    def lease_us(self) -> int:
        """Length of a lease in microseconds."""
        return self._office.lease_us

    def reserve_inline(self) -> bool:
        """Take a place for a caller that waits, False when there is none; give it back after."""
        inline = sum(1 for held in self._held.values() if held.inline) + self._reserved
        if self._draining or inline >= self._capacity.inline:
            return False
        self._reserved += 1
        return True

    def give_back_inline(self) -> None:
        """End a reservation: the run is held by now, or was not accepted."""
        self._reserved -= 1

    def is_full(self) -> bool:
        """True when no more background runs are taken."""
        return self._draining or self._free() <= 0

    def _free(self) -> int:
        taken = sum(1 for held in self._held.values() if not held.inline) + len(self._claiming)
        return self._capacity.runs - taken

    def held(self, run_id: str) -> Held | None:
        """The run if it is at work here."""
        return self._held.get(run_id)

    async def execute(self, run_id: str, *, urgent: bool = False) -> None:
        """Take a due run and start it; a full process leaves it due and looks again later.

        The last free place goes to the one that is most urgent of all that are due. A run that has
        to be taken in any case, such as one that only has to end, is `urgent`.
        """
        held = self._held.get(run_id)
        if held is not None:
            # It may have been parked already, and what it waits for be what the hint is about.
            held.hinted = True
            return
        if run_id in self._claiming:
            if self._pull_task is not None:
                await asyncio.shield(self._pull_task)
            return
        if self._draining or (self.is_full() and not urgent):
            self._more = True
            return
        if urgent or (self._free() > 1 and self._pull_task is None):
            await self._begin(run_id)
            return
        self._set_aside[run_id] = None
        await asyncio.shield(self._pull())

    async def _begin(self, run_id: str) -> None:
        self._claiming.add(run_id)
        await self.carry_through(self._take(run_id))

    async def carry_through(self, take: Coroutine[Any, Any, None]) -> None:
        """Take a run to its end though the caller goes away: what is claimed must be held."""
        await asyncio.shield(self._taken(take, "take-run"))

    def _taken(self, take: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = start_detached(take, name=name)
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)
        return task

    async def _take(self, run_id: str) -> None:
        try:
            claimed = await self._office.claim(run_id, beside_last_try=self._has_last_try())
        except Unavailable as error:
            # It stays due, or its lease over: the next sweep hints it again. Said once an outage.
            if not self._claims_fail:
                log.warning("runs.not_claimed", reason=error.message)
            self._claims_fail = True
            return
        finally:
            self._claiming.discard(run_id)
        self._claims_fail = False
        if claimed is None:
            return
        if is_last_try(claimed.work) and self._has_last_try() and not claimed.orders:
            await self._hand_back(claimed.work)
        else:
            self.hold(claimed)

    def _has_last_try(self) -> bool:
        """True while a run is at work here that may be what ended its workers."""
        return any(is_last_try(held.work) for held in self._held.values())

    async def _hand_back(self, work: Work) -> None:
        try:
            await self._journal.release(work)
            log.info("run.released", run_id=work.run_id)
        except LeaseLostError:
            log.warning("run.taken_over", run_id=work.run_id)
        except GobError as error:
            log.warning("run.not_released", run_id=work.run_id, reason=error.message)

    def hold(self, claimed: Claimed, *, first: StepStart | None = None) -> Held:
        """Start work on a run whose lease is ours; with `first`, inline for a caller."""
        held = Held(work=claimed.work, inline=first is not None)
        self._held[claimed.work.run_id] = held
        held.task = asyncio.create_task(
            self._drive(held, claimed.past, first), name=f"run-{claimed.work.run_id}"
        )
        for order in claimed.orders:
            self.obey(order.run_id, order.kind, order.reason)
        if self._draining:
            self.stop(claimed.work.run_id, Stop.SHUTDOWN)
        return held

    def stop(self, run_id: str, why: Stop, reason: str | None = None) -> None:
        """Take a run from its engine; only the first reason counts."""
        held = self._held.get(run_id)
        if held is None or held.stop is not None:
            return
        held.stop, held.reason = why, reason
        # A task that is cancelled before its first step would not run at all.
        if held.started and held.task is not None:
            held.task.cancel()

    def lose(self, work: Work) -> None:
        """Stop a run whose lease is no longer ours; one that was taken again since stays."""
        held = self._held.get(work.run_id)
        if held is not None and held.work is work and held.stop is None and not work.ending:
            log.warning("run.lease_lost", run_id=work.run_id)
            self.stop(work.run_id, Stop.LOST)

    async def drain(self) -> None:
        """Take nothing new and hand every run back, due at once for another process.

        Tools at work get some time to end, so that nobody has to wonder what came of them.
        """
        self._draining = True
        await self._let_calls_end()
        while self._taking or self._held:
            for run_id in tuple(self._held):
                self.stop(run_id, Stop.SHUTDOWN)
            at_work = [held.task for held in self._held.values() if held.task is not None]
            await asyncio.wait([*self._taking, *at_work])

    async def _let_calls_end(self) -> None:
        """Stop runs that ask a model; wait for those that call tools, within the time for it."""
        calling: list[asyncio.Task[None]] = []
        for run_id, held in self._held.items():
            held.work.is_leaving = True
            if held.task is not None and held.work.is_calling:
                calling.append(held.task)
            else:
                self.stop(run_id, Stop.SHUTDOWN)
        if calling:
            await asyncio.wait(calling, timeout=self._capacity.drain_s)

    async def _drive(self, held: Held, past: Sequence[PastStep], first: StepStart | None) -> None:
        work, held.started = held.work, True
        structlog.contextvars.bind_contextvars(
            run_id=work.run_id, workspace_id=work.workspace_id, trace_id=work.claim.trace_id
        )
        try:
            if held.stop is not None:
                return await self._stopped(held, past)
            await self._engine.carry_out(work, past, first)
            held.ended = work.has_ended
            told = "run.ended" if work.has_ended else "run.parked"
            log.info(told, steps=work.position, events=work.seq)
        except asyncio.CancelledError:
            if held.stop is None:
                raise
            await self._stopped(held)
        except RunLeavesError:
            await self._hand_back(work)
        except LeaseLostError:
            log.warning("run.taken_over")
        except Unavailable as error:
            log.warning("run.interrupted", reason=error.message)
            await self._hand_back(work)
        finally:
            was_full = self.is_full()
            self._held.pop(work.run_id, None)
            held.done.set()
            # While it was full, hints may have been spent by another process that was full too.
            self._more = self._more or was_full or is_last_try(work)
            if work.is_due or (held.hinted and work.ending and not work.has_ended):
                self._start(self.execute(work.run_id), "go-on")
            if self._more and not self.is_full():
                self._pull()

    async def _stopped(self, held: Held, untouched: Sequence[PastStep] = ()) -> None:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            task.uncancel()
        try:
            if held.stop is Stop.CANCEL:
                await self._engine.end_cancelled(held.work, held.reason, untouched)
                held.ended = True
                log.info("run.cancelled")
            else:
                await self._hand_back(held.work)
        except LeaseLostError:
            # A cancel may meet the very write with which the run was parked.
            held.work.is_due = held.stop is Stop.CANCEL
            log.warning("run.taken_over")
        except GobError as error:
            log.warning("run.not_ended", reason=error.message)

    def _pull(self) -> asyncio.Task[None]:
        """Fill free places from the table; hints that come meanwhile are set aside for it."""
        if self._pull_task is None:
            self._pull_task = self._taken(self._take_all(), "take-due")
        return self._pull_task

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(start_detached(work, name=name))

    async def _take_all(self) -> None:
        tried: set[str] = set()
        try:
            while (self._more or self._set_aside) and not self.is_full():
                await self._take_due(tried)
        finally:
            self._pull_task = None
            self._more = self._more or bool(self._set_aside)
            self._set_aside.clear()

    async def _take_due(self, tried: set[str]) -> None:
        """Take the most urgent of those that are due, then those whose moment is just ahead.

        Another process may take what was read here first: then what is behind is read too.
        """
        self._more, hinted, due = False, tuple(self._set_aside), list[str]()
        self._set_aside.clear()
        try:
            due = await self._office.due(self._capacity.runs)
        except GobError as error:
            log.warning("runs.due_not_read", reason=error.message)
        for run_id in dict.fromkeys((*due, *hinted)):
            if self.is_full():
                self._more = True
                return
            if run_id not in self._held and run_id not in self._claiming:
                await self._begin(run_id)
        self._more = self._more or not tried.issuperset(due)
        tried.update(due)

    def _hear(self, message: bytes) -> None:
        kind, run_id, words = message.decode().split("\n", 2)
        self.obey(run_id, kind, words or None)

    def obey(self, run_id: str, kind: str, words: str | None) -> None:
        """Do what somebody asks of a run, at once or at its next step, if it is at work here."""
        held = self._held.get(run_id)
        if held is None:
            return
        match kind:
            case OrderKind.CANCEL:
                self.stop(run_id, Stop.CANCEL, words)
            case OrderKind.PAUSE:
                held.work.pause = PauseWish(reason=words)
            case OrderKind.RESUME:
                held.work.pause = None
            case OrderKind.STEER:
                held.work.is_steered = True
            case _:
                log.warning("run.order_unknown", run_id=run_id, kind=kind)

    async def _watch_orders(self) -> None:
        """Read orders whose hint was lost, once a second, also those to runs that wait."""
        while True:
            await self._clock.sleep(ORDERS_POLL_S)
            try:
                if self._held:
                    for order in await self._office.orders(tuple(self._held)):
                        self.obey(order.run_id, order.kind, order.reason)
                if not self._draining:
                    for run_id in await self._office.asked(self._capacity.runs):
                        await self.execute(run_id, urgent=True)
            except GobError as error:
                log.warning("runs.orders_not_read", reason=error.message)
            except Exception:  # the edge of a background loop: the next look tries again
                log.exception("runs.orders_not_read")
