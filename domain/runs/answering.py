"""What a model says besides its text, gathered until its answer is whole."""

from dataclasses import dataclass, field

import structlog

from domain.kernel.validation import storable
from domain.models.ports import (
    Finished,
    ModelEvent,
    ModelNotice,
    ProviderState,
    TokenUsage,
    ToolCall,
    ToolCallReady,
)
from domain.runs.steps import ModelAnswer
from domain.runs.work import Work

log = structlog.get_logger("domain.runs.answering")


@dataclass(slots=True)
class AnswerParts:
    """The parts of one model answer that watchers are not sent as they come."""

    reasoning: list[str] = field(default_factory=list[str])
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    usage: TokenUsage = field(default_factory=TokenUsage)
    state: ProviderState | None = None
    finished: Finished | None = None

    def take(self, work: Work, event: ModelEvent) -> None:
        """Keep an event; a notice is logged, and stays with the work should the call fail."""
        match event:
            case ToolCallReady():
                self.calls.append(_storable_call(event.call))
            case TokenUsage():
                self.usage = event
            case ModelNotice():
                message = storable(event.message)
                work.notices.append(message)
                log.warning("model.notice", run_id=work.run_id, message=message)
            case ProviderState():
                self.state = event
            case Finished():
                self.finished = event
            case _:
                return

    def answer(self, work: Work) -> ModelAnswer:
        """The answer with the text that `work` holds."""
        return ModelAnswer(
            text="".join(work.pieces),
            reasoning="".join(self.reasoning),
            calls=tuple(self.calls),
            usage=self.usage,
            offline=self.finished is not None and self.finished.offline,
            notices=tuple(work.notices),
            provider_state=self.state,
        )


def _storable_call(call: ToolCall) -> ToolCall:
    return ToolCall(
        id=storable(call.id), name=storable(call.name), arguments=storable(call.arguments)
    )
