"""What a language model is to us: a stream of events for a request."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

ChatRole = Literal["system", "user", "assistant", "tool"]

INPUTS = "\n\nInputs:\n"
"""What stands between an instruction and the named values it refers to, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool as a model sees it; `input_schema` is a JSON Schema object."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    read_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that a model asks for; `arguments` is its JSON text, not yet checked."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderState:
    """What a provider wants back, unchanged, with its answer in the next request.

    `data` is a JSON value in the provider's own terms, such as signed blocks of reasoning. Only the
    provider of that name reads it; to all others it is nothing.
    """

    provider: str
    data: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """One message of the context; a tool's result names the call it answers."""

    role: ChatRole
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    tool_name: str | None = None
    failed: bool = False
    provider_state: ProviderState | None = None
    """What the provider of an assistant's message gave with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """What a model is asked; `parameters` go to the provider as they are.

    The messages say that the answer must fit `output_schema`, where there is one.
    """

    model: str
    messages: Sequence[ChatMessage]
    tools: Sequence[ToolSpec] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    traceparent: str | None = None
    output_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More text of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallReady:
    """A whole call, its arguments complete."""

    call: ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens of one model call.

    Cached ones (read from a provider's cache) and written ones (kept there for later) are parts of
    the input, reasoning is part of the output.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ModelNotice:
    """Something about this call that a person should know; the answer goes on."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled:
    """The request failed before anything was streamed and goes out again after `delay_s`."""

    attempt: int
    delay_s: float
    error: "ModelError"


@dataclass(frozen=True, slots=True)
class InLine:
    """The call waits for its turn, and nobody is asked until `is_over` says that it came."""

    is_over: bool


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"
    TOOL_CALLS = "tool_calls"
    LENGTH = "length"
    REFUSAL = "refusal"
    STUCK = "stuck"
    """A tool failed, and it could not go on; language models never say so."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole; a stream without it failed. `offline` says no model was involved."""

    reason: FinishReason
    offline: bool = False


ModelEvent = (
    TextDelta
    | ReasoningDelta
    | ToolCallReady
    | TokenUsage
    | ModelNotice
    | ProviderState
    | RetryScheduled
    | InLine
    | Finished
)


class ModelErrorKind(StrEnum):
    """Why a model call failed."""

    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    BAD_RESPONSE = "bad_response"
    REFUSED = "refused"
    CONTEXT_TOO_LONG = "context_too_long"
    UNAUTHORIZED = "unauthorized"
    REJECTED = "rejected"


RETRYABLE_KINDS = frozenset(
    {ModelErrorKind.RATE_LIMITED, ModelErrorKind.UNAVAILABLE, ModelErrorKind.TIMEOUT}
)


class ModelError(Exception):
    """A model call that failed; never turned into an answer."""

    def __init__(
        self,
        kind: ModelErrorKind,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def is_retryable(self) -> bool:
        """True when the same request could succeed later."""
        return self.kind in RETRYABLE_KINDS


class ModelClient(Protocol):
    """A source of models. Closing the stream closes what is behind it at once."""

    name: str
    """Provider name used in model references, such as openai."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Ask, and yield events as they come; the last one is Finished.

        Raises ModelError. Retries happen inside, before the first delta only.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...
