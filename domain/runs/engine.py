"""The loop: ask the model, journal the answer, run its calls, journal each result, again.

Every step is written before and after its outside call, never around it, so whoever takes a run
over goes on at the first step that is not recorded (DESIGN, I6).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import structlog

from domain.agents.settings import RunLimits
from domain.events.records import EventDraft
from domain.kernel.database import Statement
from domain.kernel.errors import GobError, Unavailable
from domain.kernel.ports import Clock
from domain.models.ports import ModelError
from domain.models.prices import FREE_PROVIDERS
from domain.models.providers import ModelRef
from domain.runs.asking import Asker, answer_of
from domain.runs.calls import CallRunner
from domain.runs.context import ContextBuilder, Turn, calls_of
from domain.runs.endings import RunEnd
from domain.runs.failures import RunFailedError, failure_of
from domain.runs.journal import Journal, LeaseLostError, OvertakenError
from domain.runs.lease import MOST_LOSSES, PastStep
from domain.runs.limits import StepLimits, out_of_time, rest_s
from domain.runs.messages import EndMessages
from domain.runs.output import MOST_REPAIRS, Reading, misfit
from domain.runs.recovery import Recovery, recover
from domain.runs.settling import CallSettler
from domain.runs.state import EventType, RunErrorCode, RunStatus, StepStatus, WaitsFor
from domain.runs.stepping import RunLeavesError, Stepper
from domain.runs.steps import ModelAnswer, StepStart, end_model_step, void_model_step
from domain.runs.work import PauseWish, RunFailure, Work

log = structlog.get_logger("domain.runs.engine")


class RunEngine:
    """Carries out claimed runs; one per process."""

    def __init__(  # noqa: PLR0913 - the engine's collaborators, each a noun of its own
        self,
        *,
        contexts: ContextBuilder,
        asker: Asker,
        calls: CallRunner,
        settler: CallSettler,
        stepper: Stepper,
        limits: StepLimits,
        journal: Journal,
        messages: EndMessages,
        clock: Clock,
    ) -> None:
        self._contexts = contexts
        self._asker = asker
        self._calls = calls
        self._settler = settler
        self._stepper = stepper
        self._limits = limits
        self._journal = journal
        self._messages = messages
        self._clock = clock

    def first_step(self, work: Work, model: ModelRef, *, profile_id: str | None) -> StepStart:
        """The model step that a run accepted inline begins with, written with its acceptance.

        `profile_id` names the agent's own profile of behavior.
        """
        return self._stepper.model_step(work, model, profile_id=profile_id)

    async def carry_out(
        self, work: Work, past: Sequence[PastStep], first: StepStart | None = None
    ) -> None:
        """Run to its end or to a wait.

        Raises LeaseLostError, RunLeavesError, Unavailable and CancelledError.
        """
        turn: Turn | None = None
        try:
            if work.claim.losses >= MOST_LOSSES:
                voided = recover(past).voided
                if voided is not None:
                    self._count_lost(work, voided)
                self._fail(
                    RunErrorCode.WORKER_LOST,
                    f"The run lost its worker {work.claim.losses} times and is not tried again.",
                )
            if work.claim.line_at is not None:
                return await self._stepper.stand_in_line(work)
            turn = await self._contexts.build(work, past)
            async with asyncio.timeout(rest_s(work, turn.limits, self._clock.now_us())):
                await self._loop(work, turn, past, first)
        except TimeoutError:
            limits = turn.limits if turn is not None else RunLimits()
            await self._end_failed(work, out_of_time(limits), RunStatus.TIMED_OUT)
        except (LeaseLostError, RunLeavesError, Unavailable):
            raise
        except RunFailedError as error:
            await self._end_failed(work, error.failure, of_step=error.of_step)
        except GobError as error:
            await self._end_failed(work, failure_of(error))
        except Exception:  # the edge of a run: a fault of ours ends it, with a traceback for us
            log.exception("run.crashed", run_id=work.run_id)
            failure = RunFailure(
                code=RunErrorCode.INTERNAL,
                message=f"A fault of the server; quote the trace {work.claim.trace_id}.",
            )
            await self._end_failed(work, failure)
        finally:
            self._limits.leave(work)

    async def end_cancelled(
        self, work: Work, reason: str | None, lost: Sequence[PastStep] = ()
    ) -> None:
        """End a run that was stopped by order; what it said so far is kept.

        `lost` are its steps so far where its work was not taken up again before.
        """
        voided = recover(lost).voided
        if voided is not None:
            self._count_lost(work, voided)
        work.count_call()
        drafts = await self._journal.settled(work)
        now_us = self._clock.now_us()
        usage = work.total_usage.as_json()
        data = {"status": RunStatus.CANCELLED, "output": work.partial, "usage": usage}
        drafts.append(work.draft(EventType.RUN_FINISHED, data, now_us))
        end = RunEnd(status=RunStatus.CANCELLED, output=work.partial, reason=reason)
        statements = self._broken_off(work, StepStatus.CANCELLED, now_us)
        statements += self._messages.partial(work)
        await self._journal.end(work, end, statements, drafts)

    async def _loop(
        self, work: Work, turn: Turn, past: Sequence[PastStep], first: StepStart | None
    ) -> None:
        step = first if first is not None else await self._resume(work, turn, recover(past))
        while step is not None and not await self._is_held(work, turn, step):
            step, answer = await self._answered(work, turn, step)
            if answer.calls:
                step = await self._act(work, turn, step, answer)
            else:
                step = await self._finish(work, turn, step, answer)

    async def _is_held(self, work: Work, turn: Turn, step: StepStart) -> bool:
        """Park a run that a rule wants held; its model was not asked, so there is no step of it."""
        hold = await self._limits.before_asking(work, turn, step)
        if hold is None:
            return False
        work.pause = PauseWish(reason=hold.reason, is_ordered=False)
        unasked = Statement("DELETE FROM run_step WHERE id = $1", (step.id,))
        return await self._stepper.is_held(work, [unasked, *hold.statements], [])

    async def _resume(self, work: Work, turn: Turn, found: Recovery) -> StepStart | None:
        """Say that the run begins, again where it began before, and find its next step."""
        drafts: list[EventDraft] = []
        statements: list[Statement] = []
        if work.waits_for is not WaitsFor.CALLS or found.voided is not None:
            drafts.append(work.draft(EventType.RUN_STARTED, {}, self._clock.now_us()))
        if found.voided is not None:
            self._count_lost(work, found.voided)
            statements.append(self._void(work, found.voided.id))
            work.keep_text()
            drafts.append(self._retrying(work, turn, found.voided.id))
        if await self._stepper.is_held(work, statements, drafts):
            return None
        if found.open_calls:
            starts = self._calls.reopened(work, found.open_calls)
            return await self._settler.go_on(
                work, turn, starts, statements=statements, drafts=drafts
            )
        if found.unbegun is not None:
            said = calls_of(found.unbegun.calls)
            calls = [said[place] for place in found.places]
            return await self._settler.begin(
                work, turn, calls, statements=statements, drafts=drafts
            )
        turn.close_batch()
        return await self._stepper.begin(work, turn, statements, drafts)

    def _count_lost(self, work: Work, step: PastStep) -> None:
        """Count a model call that was lost with its worker; nobody knows what came of it."""
        provider = step.provider or ""
        price = self._contexts.price_of(provider, step.name)
        work.begin_call(step.id, price, offline=provider in FREE_PROVIDERS)
        work.count_call()

    def _void(self, work: Work, step_id: str) -> Statement:
        cost = None if work.asking is None else work.asking.cost
        return void_model_step(step_id, cost, self._clock.now_us())

    def _retrying(self, work: Work, turn: Turn, voided: str) -> EventDraft:
        failure = RunFailure(
            code=RunErrorCode.WORKER_LOST, message="The worker was lost.", retryable=True
        )
        data = {
            "attempt": turn.choice.tries + 1,
            "delayMs": 0,
            "error": failure.as_json(),
            "voidedStepId": voided,
        }
        return work.draft(EventType.RETRYING, data, self._clock.now_us())

    async def _answered(
        self, work: Work, turn: Turn, step: StepStart
    ) -> tuple[StepStart, ModelAnswer]:
        """Ask the model, and after it the fallbacks in order; the step is of who answered."""
        while True:
            try:
                answer = await self._asker.ask(work, turn, step)
            except (ModelError, RunFailedError) as error:
                step = await self._fall_back(work, turn, failure_of(error))
            else:
                turn.choice.tries = 0
                return step, answer

    async def _fall_back(self, work: Work, turn: Turn, failure: RunFailure) -> StepStart:
        """Record the failed call and begin one of the next model, told to whoever watches."""
        choice, asking = turn.choice, work.asking
        if asking is None or not choice.move_on(failure):
            raise RunFailedError(choice.final(failure), of_step=failure)
        self._limits.check_spent(work, turn, failure)
        drafts = await self._journal.settled(work)
        drafts.append(self._usage_event(work))
        choice.tries += asking.tries
        reason = failure.message.rstrip(".")
        told = replace(failure, message=f"{reason}; goes on with {choice.model.label}.")
        data = {
            "attempt": choice.tries + 1,
            "delayMs": 0,
            "error": told.as_json(),
            "voidedStepId": asking.step_id if asking.is_seen else None,
        }
        now_us = self._clock.now_us()
        drafts.append(work.draft(EventType.RETRYING, data, now_us))
        ended = self._broken_off(work, StepStatus.FAILED, now_us, failure)
        # Before the write: a run that is cancelled in it has no part of a text that is void.
        work.keep_text()
        step = await self._stepper.go_on(work, turn, ended, drafts)
        log.warning(
            "run.fell_back", run_id=work.run_id, model=choice.model.label, code=failure.code
        )
        return step

    def _usage_event(self, work: Work) -> EventDraft:
        usage = work.usage.as_json()
        return work.draft(EventType.USAGE_UPDATED, {"usage": usage}, self._clock.now_us())

    async def _bounded(
        self, work: Work, turn: Turn, step: StepStart, calls: int
    ) -> Sequence[Statement]:
        """Check the bounds before calls; what is written where a rule wants the run held."""
        hold = await self._limits.before_calls(work, turn, step, calls)
        if hold is None:
            return ()
        work.pause = PauseWish(reason=hold.reason, is_ordered=False)
        return hold.statements

    async def _act(
        self, work: Work, turn: Turn, step: StepStart, answer: ModelAnswer
    ) -> StepStart | None:
        """Journal the answer and the start of its calls in one commit, then run them."""
        held = await self._bounded(work, turn, step, len(answer.calls))
        drafts = await self._journal.settled(work)
        drafts.append(self._usage_event(work))
        statements = [end_model_step(step.id, answer, self._clock.now_us())]
        turn.messages.append(self._calls.asked(answer))
        statements += held
        if await self._stepper.is_held(work, statements, drafts):
            return None
        return await self._settler.begin(
            work, turn, answer.calls, statements=statements, drafts=drafts
        )

    async def _finish(
        self, work: Work, turn: Turn, step: StepStart, answer: ModelAnswer
    ) -> StepStart | None:
        """End the run with its answer; return the next step where it goes on instead."""
        reading = Reading() if turn.output is None else turn.output.read(answer.text)
        if reading.complaint is not None:
            return await self._repair(work, turn, step, answer, complaint=reading.complaint)
        drafts = await self._journal.settled(work)
        now_us = self._clock.now_us()
        drafts.append(self._usage_event(work))
        usage = work.total_usage.as_json()
        data = {"status": RunStatus.SUCCEEDED, "output": answer.text, "usage": usage}
        drafts.append(work.draft(EventType.RUN_FINISHED, data, now_us))
        statements = [end_model_step(step.id, answer, now_us)]
        statements += self._messages.answer(work, answer.text)
        end = RunEnd(status=RunStatus.SUCCEEDED, output=answer.text, data=reading.data)
        try:
            await self._journal.end(work, end, statements, drafts)
        except OvertakenError:
            # Somebody told it more at the last moment: the answer was not its last.
            work.seq, work.is_steered = work.seq - 1, True
            # Before the write: a run that is cancelled in it does not say its answer twice.
            work.keep_text()
            await self._journal.progress(work, statements, drafts[:-1])
            turn.messages.append(self._calls.asked(answer))
            # After the write: a limit that ends the run must not take what was said along.
            held = await self._bounded(work, turn, step, 0)
            return await self._stepper.begin(work, turn, held, [])
        return None

    async def _repair(
        self, work: Work, turn: Turn, step: StepStart, answer: ModelAnswer, *, complaint: str
    ) -> StepStart | None:
        """Ask again for an answer that fits, told to whoever watches. Raises RunFailedError."""
        failure = misfit(complaint)
        # A planner would give the same answer again.
        if turn.repairs >= MOST_REPAIRS or turn.choice.model.is_offline or turn.output is None:
            raise RunFailedError(failure)
        self._limits.before_repair(work, turn)
        turn.repairs += 1
        drafts = await self._journal.settled(work)
        drafts.append(self._usage_event(work))
        now_us = self._clock.now_us()
        data = {
            "attempt": turn.repairs + 1,
            "delayMs": 0,
            "error": failure.as_json(),
            "voidedStepId": step.id,
        }
        drafts.append(work.draft(EventType.RETRYING, data, now_us))
        turn.messages += [self._calls.asked(answer), *turn.output.objections(answer.text)]
        work.keep_text()
        ended = end_model_step(step.id, answer, now_us)
        return await self._stepper.begin(work, turn, [ended], drafts)

    async def _end_failed(
        self,
        work: Work,
        failure: RunFailure,
        status: RunStatus = RunStatus.FAILED,
        *,
        of_step: RunFailure | None = None,
    ) -> None:
        work.count_call()
        drafts = await self._journal.settled(work)
        now_us = self._clock.now_us()
        data = {"status": status, "output": work.partial, "error": failure.as_json()}
        drafts.append(work.draft(EventType.RUN_FAILED, data, now_us))
        kind = StepStatus.TIMED_OUT if status is RunStatus.TIMED_OUT else StepStatus.FAILED
        statements = self._broken_off(work, kind, now_us, of_step or failure)
        statements += self._messages.partial(work)
        end = RunEnd(status=status, output=work.partial, failure=failure)
        await self._journal.end(work, end, statements, drafts)
        # A failure in the model's own words may repeat the prompt.
        in_its_words = failure.code in (RunErrorCode.MODEL_REFUSED, RunErrorCode.TOOL_FAILED)
        reason = None if in_its_words else failure.message
        log.warning("run.failed", run_id=work.run_id, code=failure.code, reason=reason)

    @staticmethod
    def _broken_off(
        work: Work, status: StepStatus, now_us: int, failure: RunFailure | None = None
    ) -> list[Statement]:
        """Record how far the model call under way came, if there is one."""
        if work.asking is None:
            return []
        came = replace(answer_of(work.asking), calls=())
        ended = end_model_step(work.asking.step_id, came, now_us, status=status, failure=failure)
        return [ended]

    @staticmethod
    def _fail(code: RunErrorCode, message: str) -> NoReturn:
        raise RunFailedError(RunFailure(code=code, message=message))
