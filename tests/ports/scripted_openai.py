"""A scripted server that speaks OpenAI's chat-completions wire."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.ports.acts import Act, Call, Delta, Done, Error, Finish, Reason, Say, Spoken, Usage
from tests.ports.scripted_server import ScriptedServer
from tests.ports.scripted_stage import Answer


class OpenAIAnswer(Answer):
    """Chunks of one choice, a `data:` line each."""

    content_type = "text/event-stream"
    half_line = b'data: {"choices": [{"index": 0, "delta": {"cont'

    def opening(self, acts: Sequence[Act]) -> bytes:
        """Say whose turn it is."""
        del acts
        return _choice({"role": "assistant", "content": ""})

    def lines(self, act: Spoken) -> Iterator[bytes]:
        """Render an act."""
        match act:
            case Say():
                yield from (_choice({"content": part}) for part in act.parts)
            case Reason():
                yield from (_choice({"reasoning_content": part}) for part in act.parts)
            case Delta(delta):
                yield _choice(delta)
            case Finish(reason):
                yield _choice({}, finish_reason=reason)
            case Usage():
                yield _chunk({"choices": [], "usage": _usage(act)})
            case Error(error):
                yield _chunk({"error": error})
            case Call():
                yield from self.calls([act])
            case Done():
                yield b"data: [DONE]\n\n"

    def calls(self, calls: Sequence[Call]) -> Iterator[bytes]:
        """Interleave the fragments of calls."""
        by_call = [_fragments(call) for call in calls]
        for turn in range(max(map(len, by_call))):
            for fragments in by_call:
                if turn < len(fragments):
                    yield _choice({"tool_calls": [fragments[turn]]})


class ScriptedOpenAI(ScriptedServer):
    """Point OPENAI_BASE_URL at its `base_url`."""

    answer_type = OpenAIAnswer
    prefix = "/v1"

    def error_body(self, status: int, *, message: str, code: str | None) -> Mapping[str, Any]:
        """An error in OpenAI's shape."""
        del status
        return {"error": {"message": message, "type": "scripted", "code": code}}


def _choice(delta: Mapping[str, Any], *, finish_reason: str | None = None) -> bytes:
    return _chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})


def _chunk(fields: Mapping[str, Any]) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", **fields}
    return f"data: {json.dumps(chunk)}\n\n".encode()


def _fragments(call: Call) -> list[Mapping[str, Any]]:
    place = {} if call.index is None else {"index": call.index}
    ident = {} if call.id is None else {"id": call.id}
    opening = {**place, **ident, "type": "function", "function": {"name": call.name}}
    return [opening, *({**place, "function": {"arguments": cut}} for cut in call.fragments)]


def _usage(usage: Usage) -> Mapping[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
