"""One schema, ready to execute: what the HTTP door and the sockets share."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, cast

import graphql
import orjson
import strawberry
from graphql import FieldNode, GraphQLError, GraphQLSchema
from graphql.execution import ExecutionResult
from strawberry.execution import optimized_is_awaitable

from app.graphql.completion import Plan
from app.graphql.errors import (
    ErrorBody,
    cause_of,
    execution_error_bodies,
    source_error_body,
    unexpected_body,
)
from app.graphql.executor import EventCompletion, PlannedExecutor, build_executor
from app.graphql.gate import Gate, Operation
from app.graphql.params import GraphQLParams
from domain.kernel.errors import Forbidden, Unavailable

RECHECK_S = 5.0
"""How long a stream goes on after its key has ended, counted at its events and heartbeats."""

OnDenied = Callable[[Any, Forbidden, str], None]
"""Hears of a field, by its name in the schema, that its caller's key may not use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one execution needs beside its document."""

    params: GraphQLParams
    context: Any
    trace_id: str
    still_allowed: Callable[[], Awaitable[Any]] | None = None
    """Asked now and then by a stream: raises Unauthenticated once the caller's key has ended."""


class SourceFailed(Exception):
    """A subscription's source ended with an error; `body` is what the client gets."""

    def __init__(self, body: ErrorBody) -> None:
        super().__init__(body["message"])
        self.body = body


class GraphQLEngine:
    """Admits and executes operations of one schema.

    An event object must not change after a subscription yielded it: subscribers that are given
    the same object through the same document share one encoded payload.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        gate: Gate | None = None,
        *,
        plan_after: int = 1,
        recheck_s: float = RECHECK_S,
        on_denied: OnDenied | None = None,
    ) -> None:
        self.gate = gate or Gate(graphql_schema(schema))
        self._schema = graphql_schema(schema)
        self._plan_after = plan_after
        self._shared = SharedPayloads()
        self._recheck_s = recheck_s
        self._on_denied = on_denied

    def admit(self, params: GraphQLParams) -> Operation:
        """Return the operation a request names; raises RequestRejected."""
        return self.gate.admit(params.query, params.operation_name)

    async def execute(self, operation: Operation, call: Call) -> bytes:
        """Execute a query or mutation; raises RequestRejected when variables do not fit."""
        executor = self._executor(operation, call)
        result: Any = executor.execute_operation()
        if optimized_is_awaitable(result):
            result = await cast("Awaitable[Any]", result)
        done = cast("ExecutionResult", result)
        self._note_denied(done.errors or (), call)
        return encode_result(done.data, done.errors, call.trace_id)

    async def subscribe(self, operation: Operation, call: Call) -> "EventStream":
        """Open a subscription's source; raises RequestRejected or SourceFailed."""
        executor = self._executor(operation, call)
        source: Any = cast("Any", graphql).create_source_event_stream(executor)
        if optimized_is_awaitable(source):
            source = await source
        if isinstance(source, ExecutionResult):
            self._note_denied(source.errors or (), call)
            raise SourceFailed(execution_error_bodies(source.errors or [], call.trace_id)[0])
        completion = EventCompletion(executor)
        return EventStream(
            source,
            completion,
            shared=self._shared,
            call=call,
            recheck_s=self._recheck_s,
            note_denied=lambda errors: self._note_denied(errors, call, completion.field_name),
        )

    def _note_denied(self, errors: Sequence[Exception], call: Call, root_field: str = "") -> None:
        for error in errors:
            cause = cause_of(error)
            if self._on_denied is not None and isinstance(cause, Forbidden):
                self._on_denied(call.context, cause, _field_of(error) or root_field)

    def _executor(self, operation: Operation, call: Call) -> PlannedExecutor:
        return build_executor(
            self._schema,
            operation,
            variables=call.params.variables,
            context=call.context,
            plan_after=self._plan_after,
        )


class EventStream:
    """The encoded payloads of one subscription."""

    def __init__(
        self,
        source: Any,
        completion: EventCompletion,
        *,
        shared: "SharedPayloads",
        call: Call,
        recheck_s: float,
        note_denied: Callable[[Sequence[Exception]], None],
    ) -> None:
        self._recheck_s = recheck_s
        self._note_denied = note_denied
        self._source = source
        self._completion = completion
        self._shared = shared
        self._trace_id = call.trace_id
        self._still_allowed = call.still_allowed

    async def payloads(self) -> AsyncGenerator[str, None]:
        """Yield a JSON text per event; closing this closes the source at once.

        Raises SourceFailed when the source does, which ends the subscription.
        """
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        async with _closing(self._source) as events:
            try:
                async for event in events:
                    if (
                        self._still_allowed is not None
                        and loop.time() - asked_at >= self._recheck_s
                    ):
                        asked_at = loop.time()
                        # Without the database nobody can tell: the stream goes on.
                        with suppress(Unavailable):
                            await self._still_allowed()
                    text = self._planned(event)
                    yield await self._completed(event) if text is None else text
            except Exception as error:  # noqa: BLE001  # logged and masked, or typed
                self._note_denied([error])
                raise SourceFailed(source_error_body(error, self._trace_id)) from None

    def _planned(self, event: Any) -> str | None:
        plan = self._completion.plan
        if plan is None:
            return None
        text = self._shared.find(plan, event)
        if text is None and event is not None:
            try:
                data = {self._completion.response_name: plan(event)}
                text = f'{{"data":{orjson.dumps(data).decode()}}}'
            except Exception:  # noqa: BLE001  # any surprise means: the specification's way
                return None
            self._shared.keep(plan, event, text)
        return text

    async def _completed(self, event: Any) -> str:
        data, errors = await self._completion.complete(event)
        self._note_denied(errors)
        return encode_result(data, errors, self._trace_id).decode()


class SharedPayloads:
    """Payloads of events that many subscribers are given, by plan and identity of the event.

    A plan reads nothing but the event, so its payload is the same for every subscriber. Entries
    hold their event, so that its identity stays its own.
    """

    def __init__(self, *, capacity: int = 2048, max_chars: int = 16_384) -> None:
        self._entries: OrderedDict[tuple[Plan, int], tuple[Any, str]] = OrderedDict()
        self._capacity = capacity
        self._max_chars = max_chars

    def find(self, plan: Plan, event: Any) -> str | None:
        """Return the payload that another subscriber had made of the same object."""
        found = self._entries.get((plan, id(event)))
        return found[1] if found is not None else None

    def keep(self, plan: Plan, event: Any, text: str) -> None:
        """Remember a payload; the oldest ones and very long ones are not kept."""
        if len(text) > self._max_chars:
            return
        self._entries[plan, id(event)] = (event, text)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)


def encode_result(
    data: dict[str, Any] | None, errors: Sequence[GraphQLError] | None, trace_id: str
) -> bytes:
    """Encode a response; what cannot be encoded is logged and answered by a masked error."""
    body: dict[str, Any] = {"data": data}
    if errors:
        body = {"errors": execution_error_bodies(errors, trace_id), "data": data}
    try:
        return orjson.dumps(body)
    except TypeError as error:
        return orjson.dumps({"errors": [unexpected_body(error, trace_id)], "data": None})


def encode_errors(bodies: Sequence[ErrorBody]) -> bytes:
    """Encode the answer to a request that was not executed: errors and no data."""
    return orjson.dumps({"errors": list(bodies)})


def graphql_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """Return the graphql-core schema beneath strawberry's, which has no public name."""
    return schema._schema  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no public way


def _field_of(error: Exception) -> str:
    """The field where it failed, by its own name and not by the client's alias."""
    nodes = error.nodes if isinstance(error, GraphQLError) else None
    return nodes[0].name.value if nodes and isinstance(nodes[0], FieldNode) else ""


def _closing(source: Any) -> AbstractAsyncContextManager[Any]:
    return aclosing(source) if hasattr(source, "aclose") else nullcontext(source)
