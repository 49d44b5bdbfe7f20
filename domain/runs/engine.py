"""The loop: ask the model, journal the answer, run its calls, journal each result, again.

Every step is written before and after its outside call, never around it, so whoever takes a run
over goes on at the first step that is not recorded (DESIGN, I6).
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import NoReturn

import structlog

from domain.events.records import EventDraft
from domain.kernel.database import Statement
from domain.kernel.errors import GobError, Unavailable
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock
from domain.kernel.validation import storable
from domain.models.ports import (
    Finished,
    FinishReason,
    ModelError,
    ModelRequest,
    ReasoningDelta,
    RetryScheduled,
    TextDelta,
    TokenUsage,
)
from domain.runs.answering import AnswerParts
from domain.runs.calls import CallDone, CallRunner
from domain.runs.context import ContextBuilder, Turn
from domain.runs.endings import RunEnd
from domain.runs.failures import RunFailedError, failure_of
from domain.runs.guidance import Guidance, guided
from domain.runs.journal import Journal, LeaseLostError
from domain.runs.lease import MOST_LOSSES, PastStep
from domain.runs.messages import EndMessages
from domain.runs.recovery import Recovery, recover
from domain.runs.state import EventType, RunErrorCode, RunStatus, StepKind, StepStatus
from domain.runs.steps import ModelAnswer, StepStart, end_model_step
from domain.runs.tokens import TokenWriter
from domain.runs.work import RunFailure, Work

log = structlog.get_logger("domain.runs.engine")


class RunEngine:
    """Carries out claimed runs; one per process."""

    def __init__(  # noqa: PLR0913 - the engine's collaborators, each a noun of its own
        self,
        *,
        contexts: ContextBuilder,
        guidance: Guidance,
        calls: CallRunner,
        journal: Journal,
        tokens: TokenWriter,
        messages: EndMessages,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        self._contexts = contexts
        self._guidance = guidance
        self._calls = calls
        self._journal = journal
        self._tokens = tokens
        self._messages = messages
        self._clock = clock
        self._ids = ids

    def first_step(self, work: Work, *, provider: str, model: str) -> StepStart:
        """The model step that a run accepted inline begins with, written with its acceptance."""
        return self._next_step(work, provider, model)

    async def carry_out(
        self, work: Work, past: Sequence[PastStep], first: StepStart | None = None
    ) -> None:
        """Run to the end, whatever it is. Raises LeaseLostError, Unavailable, CancelledError."""
        turn: Turn | None = None
        try:
            if work.claim.losses >= MOST_LOSSES:
                self._fail(
                    RunErrorCode.WORKER_LOST,
                    f"The run lost its worker {work.claim.losses} times and is not tried again.",
                )
            turn = await self._contexts.build(work, past)
            async with asyncio.timeout(self._rest_s(work, turn)):
                await self._loop(work, turn, past, first)
        except TimeoutError:
            seconds = turn.limits.max_seconds if turn is not None else 0
            failure = RunFailure(
                code=RunErrorCode.TIMED_OUT,
                message=f"The run took longer than its {seconds} seconds.",
            )
            await self._end_failed(work, failure, RunStatus.TIMED_OUT)
        except (LeaseLostError, Unavailable):
            raise
        except (RunFailedError, ModelError, GobError) as error:
            await self._end_failed(work, failure_of(error))
        except Exception:  # the edge of a run: a fault of ours ends it, with a traceback for us
            log.exception("run.crashed", run_id=work.run_id)
            failure = RunFailure(
                code=RunErrorCode.INTERNAL,
                message=f"A fault of the server; quote the trace {work.claim.trace_id}.",
            )
            await self._end_failed(work, failure)

    async def end_cancelled(self, work: Work, reason: str | None) -> None:
        """End a run that was stopped by order; what it said so far is kept."""
        work.count_cut_off()
        drafts = await self._journal.settled(work)
        now_us = self._clock.now_us()
        usage = work.usage.as_json(offline=work.offline)
        data = {"status": RunStatus.CANCELLED, "output": work.partial, "usage": usage}
        drafts.append(work.draft(EventType.RUN_FINISHED, data, now_us))
        end = RunEnd(status=RunStatus.CANCELLED, output=work.partial, reason=reason)
        await self._journal.end(work, end, self._messages.partial(work), drafts)

    def _rest_s(self, work: Work, turn: Turn) -> float:
        spent_us = self._clock.now_us() - work.claim.started_at
        return max(0.0, turn.limits.max_seconds - spent_us / 1_000_000)

    async def _loop(
        self, work: Work, turn: Turn, past: Sequence[PastStep], first: StepStart | None
    ) -> None:
        step = first if first is not None else await self._resume(work, turn, recover(past))
        while True:
            answer = await self._ask(work, turn, step)
            if not answer.calls:
                return await self._finish(work, step, answer)
            self._check_limits(work, turn, len(answer.calls))
            step = await self._act(work, turn, step, answer)

    async def _resume(self, work: Work, turn: Turn, found: Recovery) -> StepStart:
        """Say that the run begins, again where it began before, and find its next step."""
        drafts = [work.draft(EventType.RUN_STARTED, {}, self._clock.now_us())]
        statements: list[Statement] = []
        if found.voided is not None:
            statements.append(self._void(found.voided))
            drafts.append(self._retrying(work, found.voided))
        if not found.open_calls:
            return await self._begin_step(work, turn, statements, drafts)
        await self._journal.progress(work, statements, drafts)
        return await self._settle_calls(work, turn, self._calls.reopened(work, found.open_calls))

    def _void(self, step_id: str) -> Statement:
        return Statement(
            "UPDATE run_step SET status = $2, finished_at = $3 WHERE id = $1",
            (step_id, StepStatus.CANCELLED, self._clock.now_us()),
        )

    def _retrying(self, work: Work, voided: str) -> EventDraft:
        failure = RunFailure(
            code=RunErrorCode.WORKER_LOST, message="The worker was lost.", retryable=True
        )
        data = {
            "attempt": work.claim.attempt,
            "delayMs": 0,
            "error": failure.as_json(),
            "voidedStepId": voided,
        }
        return work.draft(EventType.RETRYING, data, self._clock.now_us())

    def _next_step(self, work: Work, provider: str, model: str) -> StepStart:
        return StepStart(
            id=self._ids(),
            workspace_id=work.workspace_id,
            run_id=work.run_id,
            position=work.next_position(),
            kind=StepKind.MODEL_CALL,
            provider=provider,
            name=model,
            trace_id=work.claim.trace_id,
            started_at=self._clock.now_us(),
        )

    async def _begin_step(
        self,
        work: Work,
        turn: Turn,
        statements: Sequence[Statement],
        drafts: Sequence[EventDraft],
    ) -> StepStart:
        step = self._next_step(work, turn.provider, turn.model)
        results = await self._journal.progress(work, [*statements, step.statement()], drafts)
        return step.begun(results[-1])

    async def _ask(self, work: Work, turn: Turn, step: StepStart) -> ModelAnswer:
        """Stream one model call. Raises ModelError; the text so far stays in `work`."""
        words = await self._guidance.words(step.behavior_version_id)
        request = ModelRequest(
            model=turn.model,
            messages=guided(turn.messages, words),
            tools=turn.specs,
            parameters=turn.parameters,
            traceparent=work.traceparent,
        )
        parts = AnswerParts()
        work.begin_text(step.id)
        async with aclosing(turn.client.stream(request)) as events:
            async for event in events:
                match event:
                    case TextDelta():
                        text = storable(event.text)
                        work.pieces.append(text)
                        self._tokens.add(work, EventType.TOKEN_DELTA, step.id, text)
                    case ReasoningDelta():
                        text = storable(event.text)
                        parts.reasoning.append(text)
                        self._tokens.add(work, EventType.REASONING_DELTA, step.id, text)
                    case RetryScheduled():
                        await self._tell_retry(work, event)
                    case _:
                        parts.take(work, event)
        work.count(parts.usage)
        return self._answer(work, parts.finished, parts.answer(work))

    def _answer(self, work: Work, finished: Finished | None, answer: ModelAnswer) -> ModelAnswer:
        """Refuse what only looks like an answer."""
        work.offline = work.offline and answer.offline
        if finished is None:
            self._fail(RunErrorCode.MODEL_BAD_RESPONSE, "The model's stream ended without an end.")
        if finished.reason is FinishReason.LENGTH:
            self._fail(
                RunErrorCode.MODEL_BAD_RESPONSE,
                "The model's answer was cut off at its longest length.",
            )
        if finished.reason is FinishReason.REFUSAL:
            self._fail(RunErrorCode.MODEL_REFUSED, answer.text or "The model declined to answer.")
        return answer

    async def _tell_retry(self, work: Work, event: RetryScheduled) -> None:
        drafts = await self._journal.settled(work)
        data = {
            "attempt": event.attempt,
            "delayMs": round(event.delay_s * 1000),
            "error": failure_of(event.error).as_json(),
            "voidedStepId": None,
        }
        drafts.append(work.draft(EventType.RETRYING, data, self._clock.now_us()))
        await self._journal.progress(work, [], drafts)

    def _usage_event(self, work: Work) -> EventDraft:
        usage = work.usage.as_json(offline=work.offline)
        return work.draft(EventType.USAGE_UPDATED, {"usage": usage}, self._clock.now_us())

    def _check_limits(self, work: Work, turn: Turn, calls: int) -> None:
        """End the run unless its calls and the model's next word still fit."""
        limits, usage = turn.limits, work.usage
        tokens = usage.input_tokens + usage.output_tokens
        if limits.max_tokens is not None and tokens >= limits.max_tokens:
            self._fail(
                RunErrorCode.LIMIT_REACHED,
                f"The run used {tokens} of its {limits.max_tokens} tokens (maxTokens).",
            )
        if work.position + calls + 1 > limits.max_steps:
            self._fail(
                RunErrorCode.LIMIT_REACHED,
                f"The run needs more than its {limits.max_steps} steps (maxSteps) for an answer.",
            )

    async def _act(self, work: Work, turn: Turn, step: StepStart, answer: ModelAnswer) -> StepStart:
        """Journal the answer and the start of its calls in one commit, then run them."""
        drafts = await self._journal.settled(work)
        now_us = self._clock.now_us()
        drafts.append(self._usage_event(work))
        starts = self._calls.starts(work, answer.calls)
        drafts += [self._calls.started_event(work, start) for start in starts]
        statements = [end_model_step(step.id, answer, now_us)]
        statements += [start.statement() for start in starts]
        statements += self._calls.recorded(work, turn.agent, starts)
        work.usage.tool_calls += len(starts)
        await self._journal.progress(work, statements, drafts)
        work.keep_text()
        turn.messages.append(self._calls.asked(answer))
        return await self._settle_calls(work, turn, starts)

    async def _settle_calls(self, work: Work, turn: Turn, starts: Sequence[StepStart]) -> StepStart:
        """Run the calls, journal each result as it comes; the last also begins the next step."""
        results: dict[str, CallDone] = {}
        statements: list[Statement] = []
        drafts: list[EventDraft] = []
        async with aclosing(self._calls.run(work, turn.tools, starts, agent=turn.agent)) as ended:
            async for done in ended:
                results[done.start.id] = done
                drafts = [self._calls.finished_event(work, done)]
                statements = [self._calls.end_statement(done)]
                if len(results) < len(starts):
                    await self._journal.progress(work, statements, drafts)
        turn.messages += [self._calls.message(results[start.id]) for start in starts]
        return await self._begin_step(work, turn, statements, drafts)

    async def _finish(self, work: Work, step: StepStart, answer: ModelAnswer) -> None:
        drafts = await self._journal.settled(work)
        now_us = self._clock.now_us()
        drafts.append(self._usage_event(work))
        usage = work.usage.as_json(offline=work.offline)
        data = {"status": RunStatus.SUCCEEDED, "output": answer.text, "usage": usage}
        drafts.append(work.draft(EventType.RUN_FINISHED, data, now_us))
        statements = [end_model_step(step.id, answer, now_us)]
        statements += self._messages.answer(work, answer.text)
        end = RunEnd(status=RunStatus.SUCCEEDED, output=answer.text)
        await self._journal.end(work, end, statements, drafts)

    async def _end_failed(
        self, work: Work, failure: RunFailure, status: RunStatus = RunStatus.FAILED
    ) -> None:
        work.count_cut_off()
        drafts = await self._journal.settled(work)
        now_us = self._clock.now_us()
        data = {"status": status, "output": work.partial, "error": failure.as_json()}
        drafts.append(work.draft(EventType.RUN_FAILED, data, now_us))
        statements: list[Statement] = []
        if work.step_id is not None:
            answer = ModelAnswer(
                text="".join(work.pieces),
                reasoning="",
                calls=(),
                usage=TokenUsage(),
                offline=work.offline,
                notices=tuple(work.notices),
            )
            kind = StepStatus.TIMED_OUT if status is RunStatus.TIMED_OUT else StepStatus.FAILED
            statements.append(
                end_model_step(work.step_id, answer, now_us, status=kind, failure=failure)
            )
        statements += self._messages.partial(work)
        end = RunEnd(status=status, output=work.partial, failure=failure)
        await self._journal.end(work, end, statements, drafts)
        # A refusal is in the model's words, which may repeat the prompt.
        reason = None if failure.code == RunErrorCode.MODEL_REFUSED else failure.message
        log.warning("run.failed", run_id=work.run_id, code=failure.code, reason=reason)

    @staticmethod
    def _fail(code: RunErrorCode, message: str) -> NoReturn:
        raise RunFailedError(RunFailure(code=code, message=message))
