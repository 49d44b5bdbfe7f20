"""A scripted server that speaks Anthropic's Messages wire."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.ports.acts import Act, Call, Delta, Done, Error, Finish, Reason, Say, Spoken, Usage
from tests.ports.scripted_server import ScriptedServer
from tests.ports.scripted_stage import Answer

_STOP_REASONS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicAnswer(Answer):
    """Named events around content blocks; text and reasoning share a block with what precedes."""

    content_type = "text/event-stream; charset=utf-8"
    half_line = b'event: content_block_delta\ndata: {"type": "content_block_delta", "ind'

    def __init__(self) -> None:
        self._index = 0
        self._open: str | None = None
        self._usage: Usage | None = None

    def opening(self, acts: Sequence[Act]) -> bytes:
        """The message to come, with the count of its input."""
        self._usage = next((act for act in acts if isinstance(act, Usage)), None)
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            **({} if self._usage is None else {"usage": _input_usage(self._usage)}),
        }
        return _event("message_start", message=message)

    def lines(self, act: Spoken) -> Iterator[bytes]:
        """Render an act."""
        match act:
            case Say():
                yield from self._block("text", {"type": "text", "text": ""})
                yield from (self._delta("text_delta", text=part) for part in act.parts)
            case Reason():
                yield from self._block("thinking", _THINKING)
                yield from (self._delta("thinking_delta", thinking=part) for part in act.parts)
            case Delta(delta):
                yield _event(str(delta.get("type", "unknown")), **delta)
            case Call():
                yield from self.calls([act])
            case Finish(reason):
                yield from self._close()
                yield self._message_delta(_STOP_REASONS.get(reason, reason))
            case Usage():
                return
            case Error(error):
                whole = error if isinstance(error, dict) else {"message": str(error)}
                yield _event("error", error={"type": "api_error", **whole})
            case Done():
                yield from self._close()
                yield _event("message_stop")

    def calls(self, calls: Sequence[Call]) -> Iterator[bytes]:
        """A block after the other."""
        for call in calls:
            ident = {} if call.id is None else {"id": call.id}
            block = {"type": "tool_use", **ident, "name": call.name, "input": {}}
            yield from self._block("tool_use", block)
            for fragment in call.fragments:
                yield self._delta("input_json_delta", partial_json=fragment)
            if call.whole:
                yield from self._close()

    def _block(self, kind: str, block: Mapping[str, Any]) -> Iterator[bytes]:
        if self._open == kind != "tool_use":
            return
        yield from self._close()
        self._open = kind
        yield _event("content_block_start", index=self._index, content_block=block)

    def _close(self) -> Iterator[bytes]:
        if self._open is None:
            return
        if self._open == "thinking":
            yield self._delta("signature_delta", signature="c2lnbmVk")
        yield _event("content_block_stop", index=self._index)
        self._open = None
        self._index += 1

    def _delta(self, kind: str, **fields: str) -> bytes:
        return _event("content_block_delta", index=self._index, delta={"type": kind, **fields})

    def _message_delta(self, reason: str) -> bytes:
        counts = {} if self._usage is None else {"output_tokens": self._usage.output_tokens}
        delta = {"stop_reason": reason, "stop_sequence": None}
        return _event("message_delta", delta=delta, usage=counts)


class ScriptedAnthropic(ScriptedServer):
    """Point ANTHROPIC_BASE_URL at its `base_url`."""

    answer_type = AnthropicAnswer

    def error_body(self, status: int, *, message: str, code: str | None) -> Mapping[str, Any]:
        """An error in Anthropic's shape."""
        kind = code or _ERROR_TYPES.get(status, "api_error")
        error = {"type": kind, "message": message}
        return {"type": "error", "error": error, "request_id": "req_1"}


_THINKING = {"type": "thinking", "thinking": "", "signature": ""}


def _event(name: str, **fields: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()


def _input_usage(usage: Usage) -> Mapping[str, int]:
    """Cached tokens are counted apart from the others on this wire."""
    return {
        "input_tokens": usage.input_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": 1,
    }
