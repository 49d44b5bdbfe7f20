"""Our requests in the terms of pydantic-ai, and its answers in ours. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import pydantic
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    SystemPromptPart,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.messages import ModelRequest as RequestMessage
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from app.adapters.model_http import ANSWER_LIMIT_BYTES, ErrorWords
from app.adapters.model_providers import NAME
from app.adapters.model_providers_errors import UNFINISHED
from app.adapters.model_request import fitting_name
from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelError,
    ModelErrorKind,
    ModelEvent,
    ModelNotice,
    ModelRequest,
    ProviderState,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallReady,
    ToolSpec,
)

_LIMITS = frozenset({"timeout", "request_timeout", "first_event_timeout", "max_retries"})
"""Settings of pydantic-ai whose part our own limits play; no agent's parameters may change them."""
_BODY = frozenset({"model", "messages", "input", "stream", "stream_options", "tools"})
"""Fields of a body that the request itself fills."""
_FAMILIES = frozenset(
    {"anthropic", "bedrock", "cerebras", "cohere", "google", "groq", "huggingface", "mistral"}
    | {"openai", "openrouter", "xai", "zai"}
)
"""A setting that only one kind of provider knows begins with its name: groq_reasoning_format."""
_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "tool_call": FinishReason.TOOL_CALLS,
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.REFUSAL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request as pydantic-ai takes it."""

    messages: Sequence[ModelMessage]
    settings: ModelSettings
    parameters: ModelRequestParameters
    notice: ModelNotice | None = None

    @classmethod
    def of(cls, request: ModelRequest, model: Model[Any], *, timeout_s: float) -> Self:
        """Translate; parameters that the model's package cannot send become a notice."""
        settings = _settings(request, timeout_s=timeout_s)
        unsent = [name for name in settings if name in model.unsupported_settings]
        left_out = sorted(_names(request.parameters, unsent))
        notice = None
        if left_out:
            names = ", ".join(left_out)
            notice = ModelNotice(f"{request.model} was asked without these parameters: {names}.")
        kept = {name: value for name, value in settings.items() if name not in unsent}
        return cls(
            messages=_messages(request.messages),
            settings=cast("ModelSettings", kept),
            parameters=ModelRequestParameters(
                function_tools=[_tool(each) for each in request.tools]
            ),
            notice=notice,
        )


def _settings(request: ModelRequest, *, timeout_s: float) -> dict[str, Any]:
    """Parameters by pydantic-ai's names are its settings; all others go into the request's body."""
    settings: dict[str, Any] = {}
    body: dict[str, Any] = {}
    for name, value in request.parameters.items():
        place = settings if _is_setting(name) else body
        place[name] = value
    body |= _mapping(settings.pop("extra_body", None))
    if further := {name: value for name, value in body.items() if name not in _BODY}:
        settings["extra_body"] = further
    if request.traceparent:
        headers = _mapping(settings.get("extra_headers"))
        settings["extra_headers"] = {**headers, "traceparent": request.traceparent}
    # The SDKs' own waits and retries stay out of the way of ours, which are counted and shown.
    limits = {"timeout": timeout_s, "max_retries": 0}
    return {name: value for name, value in settings.items() if name not in _LIMITS} | limits


def _is_setting(name: str) -> bool:
    return name in ModelSettings.__annotations__ or name.partition("_")[0] in _FAMILIES


def _names(parameters: Mapping[str, Any], unsent: Sequence[str]) -> set[str]:
    """The parameters that stand behind settings; our own additions are nobody's parameters."""
    of_body = {name for name in parameters if not _is_setting(name)} - _BODY
    return {name for name in parameters if name in unsent} | (
        of_body if "extra_body" in unsent else set()
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _tool(tool: ToolSpec) -> ToolDefinition:
    schema = dict(tool.input_schema)
    return ToolDefinition(
        name=tool.name, description=tool.description, parameters_json_schema=schema
    )


def _messages(messages: Sequence[ChatMessage]) -> list[ModelMessage]:
    """Messages in turns: what is said to the model up to its next answer is one request."""
    turns: list[ModelMessage] = []
    parts: list[ModelRequestPart] = []
    for message in messages:
        if message.role == "assistant":
            if parts:
                turns.append(RequestMessage(parts=parts))
                parts = []
            turns.append(_answer(message))
        else:
            parts.append(_part(message))
    if parts:
        turns.append(RequestMessage(parts=parts))
    return turns


def _part(message: ChatMessage) -> ModelRequestPart:
    if message.role == "system":
        return SystemPromptPart(content=message.content)
    if message.role == "user":
        return UserPromptPart(content=message.content)
    return ToolReturnPart(
        tool_name=fitting_name(message.tool_name or ""),
        content=message.content,
        tool_call_id=message.tool_call_id or "",
        outcome="failed" if message.failed else "success",
    )


def _answer(message: ChatMessage) -> ModelResponse:
    """An answer as its provider gave it where that was kept, else as we tell it."""
    if (kept := _kept(message)) is not None:
        return kept
    parts: list[ModelResponsePart] = []
    if message.content:
        parts.append(TextPart(content=message.content))
    parts += [
        ToolCallPart(
            tool_name=fitting_name(call.name), args=call.arguments or "{}", tool_call_id=call.id
        )
        for call in message.tool_calls
    ]
    return ModelResponse(parts=parts)


def _kept(message: ChatMessage) -> ModelResponse | None:
    state = message.provider_state
    if state is None or state.provider != NAME:
        return None
    try:
        [kept] = ModelMessagesTypeAdapter.validate_python([state.data])
    except pydantic.ValidationError:
        return None
    if not isinstance(kept, ModelResponse):
        return None
    for part in kept.parts:
        if type(part) is ToolCallPart:
            part.tool_name = fitting_name(part.tool_name)
    ids = [call.tool_call_id for call in kept.tool_calls]
    return kept if ids == [call.id for call in message.tool_calls] else None


class AnswerReader:
    """Reads the parts of one answer in order; `conclude` gives what stands at its end."""

    def __init__(self, words: ErrorWords) -> None:
        self._words = words
        self._response: StreamedResponse | None = None
        self._size = 0
        self.has_begun = False
        """True once a part of the answer has come, if only a fragment of a call."""

    def open(self, response: StreamedResponse) -> None:
        """Take the response whose parts follow."""
        self._response = response

    @property
    def is_open(self) -> bool:
        """True once the provider began to answer."""
        return self._response is not None

    @property
    def is_finished(self) -> bool:
        """True once the provider gave its reason to stop."""
        return self._response is not None and self._response.finish_reason is not None

    def read(self, part: ModelResponseStreamEvent) -> ModelEvent | None:
        """What of the answer is new in this part; calls come with `conclude`.

        Raises ModelError for an answer that is too long.
        """
        new: object = None
        if isinstance(part, PartDeltaEvent):
            new = part.delta
        elif isinstance(part, PartStartEvent):
            new = part.part
        else:
            return None
        self.has_begun = True
        self._size += _length(new)
        if self._size > ANSWER_LIMIT_BYTES:
            raise self._bad(f"sent more than {ANSWER_LIMIT_BYTES:,} bytes for one answer.")
        match new:
            case TextPartDelta(content_delta=str(text)) | TextPart(content=text) if text:
                return TextDelta(text)
            case ThinkingPartDelta(content_delta=str(text)) | ThinkingPart(content=text) if text:
                return ReasoningDelta(text)
            case _:
                return None

    def conclude(self) -> Sequence[ModelEvent]:
        """Calls, usage and the end. Raises ModelError for an answer that is not whole."""
        if self._response is None:
            raise self._bad("gave no answer.")
        answer = self._response.get()
        if answer.finish_reason is None or answer.state == "suspended":
            raise self._bad(_unfinished(answer))
        reason = _FINISH_REASONS.get(answer.finish_reason)
        if reason is None:
            raise self._bad("broke its answer off with an error.")
        calls = self._whole_calls(answer, reason)
        if calls:
            reason = FinishReason.TOOL_CALLS
        return (*_refusal(answer), *calls, *_usage(answer.usage), *_state(answer), Finished(reason))

    def _whole_calls(self, answer: ModelResponse, reason: FinishReason) -> list[ToolCallReady]:
        """Calls to run; one that a length limit or a filter cut is not whole."""
        if reason not in (FinishReason.STOP, FinishReason.TOOL_CALLS):
            return []
        calls = [
            ToolCall(id=part.tool_call_id, name=part.tool_name, arguments=_arguments(part))
            for part in answer.tool_calls
        ]
        unnamed = any(not call.name for call in calls)
        if unnamed or (reason is FinishReason.TOOL_CALLS and not calls):
            raise self._bad("announced tool calls but did not name them.")
        return [ToolCallReady(call) for call in calls]

    def _bad(self, message: str) -> ModelError:
        return self._words.error(ModelErrorKind.BAD_RESPONSE, message)


def _length(new: object) -> int:
    """Letters of a part, or of what is new in it."""
    match new:
        case (
            TextPartDelta(content_delta=str(text))
            | TextPart(content=text)
            | ThinkingPartDelta(content_delta=str(text))
            | ThinkingPart(content=text)
            | ToolCallPartDelta(args_delta=str(text))
            | ToolCallPart(args=str(text))
        ):
            return len(text)
        case _:
            return 0


def _unfinished(answer: ModelResponse) -> str:
    if answer.state == "suspended":
        return "wants to go on with its answer later, which is not supported."
    told = (answer.provider_details or {}).get("finish_reason")
    if told is None:
        return UNFINISHED
    return f"gave a finish reason that is not known: {told}"


def _arguments(part: ToolCallPart) -> str:
    """JSON text as the model wrote it, checked by nobody yet."""
    return (part.args if isinstance(part.args, str) else part.args_as_json_str()) or "{}"


def _refusal(answer: ModelResponse) -> Sequence[ModelEvent]:
    """The words of a refusal, which are no text of the answer to pydantic-ai."""
    words = (answer.provider_details or {}).get("refusal")
    return [TextDelta(words)] if isinstance(words, str) and words else []


def _usage(usage: RequestUsage) -> Sequence[ModelEvent]:
    if not usage.has_values():
        return []
    return [
        TokenUsage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cache_read_tokens,
            reasoning_tokens=usage.output_reasoning_tokens
            or usage.details.get("reasoning_tokens", 0),
            cache_write_tokens=usage.cache_write_tokens,
        )
    ]


def _state(answer: ModelResponse) -> Sequence[ModelEvent]:
    """The answer as it came, where a part of it carries what its provider may want back."""
    if not any(_is_signed(part) for part in answer.parts):
        return []
    [data] = ModelMessagesTypeAdapter.dump_python([answer], mode="json", exclude_none=True)
    return [ProviderState(provider=NAME, data=data)]


def _is_signed(part: ModelResponsePart) -> bool:
    return isinstance(part, ThinkingPart) or bool(getattr(part, "provider_details", None))
