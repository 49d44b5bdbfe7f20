"""A scripted server that speaks Ollama's own chat wire."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.ports.acts import Act, Call, Delta, Done, Error, Finish, Reason, Say, Spoken, Usage
from tests.ports.scripted_server import ScriptedServer
from tests.ports.scripted_stage import Answer


class OllamaAnswer(Answer):
    """A JSON object to a line; calls come whole, and only the last line counts tokens."""

    content_type = "application/x-ndjson"
    half_line = b'{"model": "m", "message": {"role": "assist'

    def __init__(self) -> None:
        self._usage: Usage | None = None

    def opening(self, acts: Sequence[Act]) -> bytes:
        """Nothing stands before the first words."""
        self._usage = next((act for act in acts if isinstance(act, Usage)), None)
        return b""

    def lines(self, act: Spoken) -> Iterator[bytes]:
        """Render an act."""
        match act:
            case Say():
                yield from (_message(content=part) for part in act.parts)
            case Reason():
                yield from (_message(content="", thinking=part) for part in act.parts)
            case Delta(delta):
                yield _message(**delta)
            case Call():
                yield from self.calls([act])
            case Finish(reason):
                yield self._last("stop" if reason == "tool_calls" else reason)
            case Error(error):
                said = error.get("message", "") if isinstance(error, dict) else error
                yield _line({"error": said})
            case Usage() | Done():
                return

    def calls(self, calls: Sequence[Call]) -> Iterator[bytes]:
        """A line each; a call that is not whole is the first half of its line."""
        for call in calls:
            arguments = json.loads(call.arguments or "{}")
            function = {"name": call.name, "arguments": arguments}
            line = _message(content="", tool_calls=[{"function": function}])
            yield line if call.whole else line[: len(line) // 2]

    def _last(self, reason: str) -> bytes:
        counts = {"total_duration": 5_000_000, "load_duration": 1_000_000}
        if self._usage is not None:
            counts["prompt_eval_count"] = self._usage.input_tokens
            counts["eval_count"] = self._usage.output_tokens
        message = {"role": "assistant", "content": ""}
        return _line({"message": message, "done": True, "done_reason": reason, **counts})


class ScriptedOllama(ScriptedServer):
    """Point OLLAMA_BASE_URL at its `base_url`."""

    answer_type = OllamaAnswer

    def error_body(self, status: int, *, message: str, code: str | None) -> Mapping[str, Any]:
        """An error in Ollama's shape, which has no codes."""
        del status, code
        return {"error": message}


def _message(**fields: Any) -> bytes:
    return _line({"message": {"role": "assistant", **fields}, "done": False})


def _line(fields: Mapping[str, Any]) -> bytes:
    whole = {"model": "m", "created_at": "2026-03-01T12:00:00.000000Z", **fields}
    return json.dumps(whole).encode() + b"\n"
