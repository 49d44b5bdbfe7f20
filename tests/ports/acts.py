"""What a scripted model server can be told to play, whatever wire it speaks."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class _Parts:
    """Deltas, each an event of its own."""

    def __init__(self, *parts: str) -> None:
        self.parts = parts


class Say(_Parts):
    """Text deltas."""


class Reason(_Parts):
    """Deltas of the model's reasoning."""


@dataclass(frozen=True)
class Delta:
    """A delta of any shape in the wire's own words, such as {"refusal": "..."}."""

    delta: Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """A tool call whose arguments come in fragments, where the wire has fragments.

    OpenAI's wire interleaves calls that stand side by side. One that is not whole breaks off in
    the middle of its arguments. Ollama's wire never names an id.
    """

    name: str
    arguments: str
    id: str | None = "call_a"
    index: int | None = 0
    pieces: int = 3
    whole: bool = True

    @property
    def fragments(self) -> list[str]:
        """The arguments in pieces."""
        size = max(1, -(-len(self.arguments) // self.pieces))
        cuts = [self.arguments[at : at + size] for at in range(0, len(self.arguments), size)]
        return cuts if self.whole else cuts[: len(cuts) // 2]


@dataclass(frozen=True)
class Finish:
    """The reason to stop: stop, tool_calls, length, content_filter, or a word of the wire."""

    reason: str = "stop"


@dataclass(frozen=True)
class Usage:
    """Counts of tokens; `input_tokens` holds the cached ones, `output_tokens` the reasoning."""

    input_tokens: int = 7
    output_tokens: int = 3
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class Error:
    """An error inside the stream."""

    error: Any


@dataclass(frozen=True)
class Raw:
    """Bytes as they are, in a chunk of the transfer."""

    data: bytes


@dataclass(frozen=True)
class Wait:
    """Nothing until the test sets the event."""

    event: asyncio.Event


@dataclass(frozen=True)
class Pause:
    """Nothing for so long, as a slow model would."""

    seconds: float


class Hang:
    """Nothing, until the client goes away."""


@dataclass(frozen=True)
class Endless:
    """The same text delta until the client goes away."""

    text: str = "more "
    pause_s: float = 0.0


class Garbage:
    """A whole line that makes no sense."""


class Cut:
    """Half a line, then the connection is gone."""


class Reset:
    """The connection is gone before any answer; nothing may stand before it."""


class Done:
    """The mark at the end of a stream, where the wire has one."""


Spoken = Say | Reason | Delta | Call | Finish | Usage | Error | Done
"""What each wire writes in its own way."""

Act = Spoken | Raw | Wait | Pause | Hang | Endless | Garbage | Cut | Reset
