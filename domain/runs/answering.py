"""What a model says, gathered until its answer is whole, and what it costs."""

from dataclasses import dataclass, field

import structlog

from domain.kernel.validation import storable
from domain.models.ports import (
    Finished,
    InLine,
    ModelEvent,
    ModelNotice,
    ProviderState,
    TokenUsage,
    ToolCall,
    ToolCallReady,
)
from domain.models.prices import Price

log = structlog.get_logger("domain.runs.answering")


@dataclass(slots=True, kw_only=True)
class Asking:
    """A model call under way, as far as it came."""

    step_id: str
    price: Price | None
    offline: bool
    """True where no language model is behind the provider."""
    pieces: list[str] = field(default_factory=list[str])
    reasoning: list[str] = field(default_factory=list[str])
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    usage: TokenUsage | None = None
    """None until the provider told it."""
    notices: list[str] = field(default_factory=list[str])
    """What the provider wants people to know."""
    state: ProviderState | None = None
    finished: Finished | None = None
    cost: int | None = None
    """Pico-dollars, once it is counted; None when nobody knows."""
    is_counted: bool = False
    tries: int = 1
    """Requests made for it."""
    is_in_line: bool = False
    """True while it waits for its turn, so that nobody was asked yet."""

    def take(self, event: ModelEvent) -> None:
        """Keep an event that watchers are not sent as it comes."""
        match event:
            case ToolCallReady():
                self.calls.append(_storable_call(event.call))
            case TokenUsage():
                self.usage = event
            case ModelNotice():
                message = storable(event.message)
                self.notices.append(message)
                log.warning("model.notice", message=message)
            case ProviderState():
                self.state = event
            case InLine():
                self.is_in_line = not event.is_over
            case Finished():
                self.finished = event
            case _:
                return

    @property
    def text(self) -> str:
        """What it said."""
        return "".join(self.pieces)

    @property
    def is_seen(self) -> bool:
        """True when some of its text may have reached somebody."""
        return bool(self.pieces or self.reasoning)

    @property
    def is_offline(self) -> bool:
        """True when no language model took part."""
        return self.offline if self.finished is None else self.finished.offline

    def cost_of(self, told: TokenUsage, *, is_billed: bool) -> int | None:
        """Pico-dollars; a call that broke off may cost more than it told, so nobody knows."""
        has_begun = self.is_seen or self.calls or self.usage is not None
        if self.is_offline or not (is_billed or has_begun):
            return 0
        if self.price is None:
            return None
        if self.price.is_free:
            return 0
        is_whole = self.finished is not None and self.usage is not None
        return self.price.cost(told) if is_whole else None


def _storable_call(call: ToolCall) -> ToolCall:
    return ToolCall(
        id=storable(call.id), name=storable(call.name), arguments=storable(call.arguments)
    )
