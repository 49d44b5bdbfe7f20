"""Which trace a request belongs to, kept in its ASGI scope."""

from starlette.types import Scope

from domain.kernel.tracing import TraceContext, continue_trace, new_trace

_KEY = "gob.trace"
_HEADER = b"traceparent"


def begin_trace(scope: Scope) -> TraceContext:
    """Continue the caller's trace, or begin one, and keep it in the scope."""
    sent = [value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER]
    trace = continue_trace(sent)
    scope[_KEY] = trace
    return trace


def trace_of(scope: Scope) -> TraceContext:
    """Return the trace of a request; outside of the edge each call begins a new one."""
    trace = scope.get(_KEY)
    return trace if isinstance(trace, TraceContext) else new_trace()
