"""Which trace a piece of work belongs to, as W3C Trace Context names it."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<future>-.*)?"
)
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_SAMPLED = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """One span of a trace; ids are lower-case hex of 16 and 8 bytes."""

    trace_id: str
    span_id: str
    sampled: bool = True

    def child(self) -> "TraceContext":
        """Return a new span of the same trace."""
        return TraceContext(trace_id=self.trace_id, span_id=_new_id(8), sampled=self.sampled)

    def header(self) -> str:
        """Return the value of a `traceparent` header."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def new_trace() -> TraceContext:
    """Begin a trace of our own."""
    return TraceContext(trace_id=_new_id(16), span_id=_new_id(8))


def parse_traceparent(value: str) -> TraceContext | None:
    """Read a `traceparent` (W3C Trace Context, section 3.2), None where it is not valid.

    Higher versions may carry more after the flags; version ff and ids of zeros are invalid.
    """
    match = _TRACEPARENT.fullmatch(value)
    if match is None or match["version"] == "ff":
        return None
    if match["version"] == "00" and match["future"] is not None:
        return None
    if match["trace"] == _NO_TRACE or match["span"] == _NO_SPAN:
        return None
    sampled = bool(int(match["flags"], 16) & _SAMPLED)
    return TraceContext(trace_id=match["trace"], span_id=match["span"], sampled=sampled)


def continue_trace(traceparents: Sequence[str]) -> TraceContext:
    """Return a span beneath the caller's, or a new trace unless exactly one valid header came."""
    parent = parse_traceparent(traceparents[0]) if len(traceparents) == 1 else None
    return new_trace() if parent is None else parent.child()


def _new_id(size_bytes: int) -> str:
    while True:
        # No secret: random as the standard asks, without a call of the system for each.
        ident = f"{random.getrandbits(8 * size_bytes):0{2 * size_bytes}x}"
        if ident.strip("0"):
            return ident
