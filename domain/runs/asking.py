"""Asking a model: one call, streamed as it comes, and typed when it fails."""

from contextlib import aclosing
from typing import NoReturn

from domain.kernel.ports import Clock
from domain.kernel.validation import storable
from domain.models.ports import (
    FinishReason,
    ModelError,
    ModelErrorKind,
    ModelRequest,
    ReasoningDelta,
    RetryScheduled,
    TextDelta,
    TokenUsage,
)
from domain.runs.answering import Asking
from domain.runs.context import Turn
from domain.runs.failures import RunFailedError, failure_of
from domain.runs.guidance import Guidance, guided
from domain.runs.journal import Journal
from domain.runs.rulings import Offers
from domain.runs.state import EventType, RunErrorCode
from domain.runs.steps import ModelAnswer, StepStart
from domain.runs.tokens import TokenWriter
from domain.runs.work import RunFailure, Work

TURNED_AWAY = frozenset(
    {
        ModelErrorKind.RATE_LIMITED,
        ModelErrorKind.UNAVAILABLE,
        ModelErrorKind.UNAUTHORIZED,
        ModelErrorKind.REJECTED,
        ModelErrorKind.CONTEXT_TOO_LONG,
    }
)
"""Failures for which nobody is billed, as long as nothing of an answer came."""


class Asker:
    """Asks models on behalf of runs; one per process."""

    def __init__(
        self,
        guidance: Guidance,
        journal: Journal,
        tokens: TokenWriter,
        *,
        offers: Offers,
        clock: Clock,
    ) -> None:
        self._guidance = guidance
        self._offers = offers
        self._journal = journal
        self._tokens = tokens
        self._clock = clock

    async def ask(self, work: Work, turn: Turn, step: StepStart) -> ModelAnswer:
        """Stream one model call. Raises ModelError and RunFailedError.

        What came of it stays in `work.asking`, also when it fails.
        """
        words = await self._guidance.words(step.behavior_version_id, step.agent_behavior_version_id)
        output = turn.output
        if output is not None:
            words = f"{words}\n\n{output.words}" if words else output.words
        model = turn.choice.model
        request = ModelRequest(
            model=model.name,
            messages=guided(turn.messages, words),
            tools=await self._offers.offered(work, turn, step),
            parameters=model.parameters,
            traceparent=work.traceparent,
            output_schema=None if output is None else output.schema,
        )
        asking = work.begin_call(step.id, model.price, offline=model.is_offline)
        try:
            await self._stream(work, turn, asking, request)
        except ModelError as error:
            work.count_call(is_billed=error.kind not in TURNED_AWAY)
            raise
        work.count_call()
        return _answer(asking)

    async def _stream(self, work: Work, turn: Turn, asking: Asking, request: ModelRequest) -> None:
        async with aclosing(turn.choice.model.client.stream(request)) as events:
            async for event in events:
                match event:
                    case TextDelta():
                        text = storable(event.text)
                        asking.pieces.append(text)
                        self._tokens.add(work, EventType.TOKEN_DELTA, asking.step_id, text)
                    case ReasoningDelta():
                        text = storable(event.text)
                        asking.reasoning.append(text)
                        self._tokens.add(work, EventType.REASONING_DELTA, asking.step_id, text)
                    case RetryScheduled():
                        asking.tries = event.attempt
                        await self._tell_retry(work, turn, event)
                    case _:
                        asking.take(event)

    async def _tell_retry(self, work: Work, turn: Turn, event: RetryScheduled) -> None:
        drafts = await self._journal.settled(work)
        data = {
            "attempt": turn.choice.tries + event.attempt,
            "delayMs": round(event.delay_s * 1000),
            "error": failure_of(event.error).as_json(),
            "voidedStepId": None,
        }
        drafts.append(work.draft(EventType.RETRYING, data, self._clock.now_us()))
        await self._journal.progress(work, [], drafts)


def _answer(asking: Asking) -> ModelAnswer:
    """Refuse what only looks like an answer."""
    finished = asking.finished
    if finished is None:
        _fail(RunErrorCode.MODEL_BAD_RESPONSE, "The model's stream ended without an end.")
    if finished.reason is FinishReason.LENGTH:
        _fail(
            RunErrorCode.MODEL_BAD_RESPONSE,
            "The model's answer was cut off at its longest length.",
        )
    if finished.reason is FinishReason.REFUSAL:
        _fail(RunErrorCode.MODEL_REFUSED, asking.text or "The model declined to answer.")
    if finished.reason is FinishReason.STUCK:
        _fail(RunErrorCode.TOOL_FAILED, asking.text or "A tool failed.")
    return answer_of(asking)


def answer_of(asking: Asking) -> ModelAnswer:
    """What a model call came to, whole or not."""
    return ModelAnswer(
        text=asking.text,
        reasoning="".join(asking.reasoning),
        calls=tuple(asking.calls),
        usage=asking.usage or TokenUsage(),
        cost=asking.cost,
        notices=tuple(asking.notices),
        provider_state=asking.state,
        is_made=not asking.is_in_line,
    )


def _fail(code: RunErrorCode, message: str) -> NoReturn:
    raise RunFailedError(RunFailure(code=code, message=message))
