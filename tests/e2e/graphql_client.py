"""A small real client: GraphQL over HTTP, and `graphql-transport-ws` over a socket."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.gob_process import GobProcess

PROTOCOL = "graphql-transport-ws"
DEADLINE_S = 60

RUN_FIELDS = """
  id status statusReason instruction output offline attempt traceId
  error { code message retryable }
  usage { inputTokens outputTokens modelCalls toolCalls }
"""
EXECUTE = (
    "mutation Execute($input: ExecuteAgentInput!) { executeAgent(input: $input) { __typename"
    " ... on RunSuccess { replayed run {" + RUN_FIELDS + "} }"
    " ... on ValidationFailed { fields { path message } }"
    " ... on Error { code message path } } }"
)
CANCEL = (
    "mutation Cancel($input: CancelRunInput!) { cancelRun(input: $input) { __typename"
    " ... on RunSuccess { run {" + RUN_FIELDS + "} } ... on Error { code message path } } }"
)
RUN = "query Run($id: ID!) { run(id: $id) {" + RUN_FIELDS + "} }"
EVENTS = """
subscription Events($runId: ID!, $after: String) {
  runEvents(runId: $runId, after: $after) {
    __typename
    ... on Event { cursor traceId occurredAt }
    ... on RunEvent { seq runId }
    ... on TokenDelta { fromSeq stepId text }
    ... on ReasoningDelta { fromSeq stepId text }
    ... on ToolCallStarted { stepId toolName arguments }
    ... on ToolCallFinished { stepId toolName toolStatus: status result }
    ... on Retrying { attempt delayMs voidedStepId error { code message retryable } }
    ... on RunFinished { status output }
    ... on RunFailed { status output error { code message retryable } }
    ... on ResyncRequired { oldestCursor }
  }
}
"""
TOKENS = """
subscription Tokens($runId: ID!, $after: Int!) {
  agentTokens(runId: $runId, after: $after) { seq reset text }
}
"""

Item = Mapping[str, Any]


class Refused(Exception):
    """The server answered a subscription with an error frame; `errors` is its payload."""

    def __init__(self, errors: Sequence[Item]) -> None:
        super().__init__(str(errors))
        self.errors = errors


class Client:
    """Talks to one server with one key; closes its connections at the end."""

    def __init__(self, address: str, key: str | None, *, traceparent: str | None = None) -> None:
        self.address = address
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        if traceparent is not None:
            self._headers["traceparent"] = traceparent
        self.http = httpx.AsyncClient(
            base_url=address, headers=self._headers, timeout=DEADLINE_S, trust_env=False
        )

    @classmethod
    def of(cls, gob: GobProcess, *, traceparent: str | None = None) -> Self:
        """A client of that process, with its own key."""
        return cls(gob.address, gob.key, traceparent=traceparent)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def post(self, document: str, variables: Item | None = None) -> httpx.Response:
        """Send an operation and return the answer as it came."""
        body = {"query": document, "variables": variables or {}}
        return await self.http.post("/graphql", json=body)

    async def ask(self, document: str, variables: Item | None = None) -> Any:
        """Send an operation that must not fail and return its data."""
        answer = (await self.post(document, variables)).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def attempt(self, instruction: str, **given: Any) -> Any:
        """Execute the default agent and return what executeAgent says."""
        wanted = {"agent": {"slug": "default"}, "instruction": instruction, **given}
        return (await self.ask(EXECUTE, {"input": wanted}))["executeAgent"]

    async def execute(self, instruction: str, **given: Any) -> Any:
        """Execute the default agent, which must be accepted, and return the run."""
        answer = await self.attempt(instruction, **given)
        assert answer["__typename"] == "RunSuccess", answer
        return answer["run"]

    async def cancel(self, run_id: str, reason: str | None = None) -> Any:
        """Cancel a run and return what cancelRun says."""
        return (await self.ask(CANCEL, {"input": {"runId": run_id, "reason": reason}}))["cancelRun"]

    async def run(self, run_id: str) -> Any:
        """Read a run."""
        return (await self.ask(RUN, {"id": run_id}))["run"]

    def socket(self) -> connect:
        """Open a socket that is not greeted yet."""
        address = self.address.replace("http", "ws", 1)
        return connect(
            f"{address}/graphql",
            subprotocols=[PROTOCOL],
            additional_headers=self._headers,
            proxy=None,
            open_timeout=DEADLINE_S,
        )

    async def subscribe(self, document: str, variables: Item) -> AsyncGenerator[Item, None]:
        """Yield the data of each result until the server completes; raises Refused."""
        async with self.socket() as socket:
            await self._open(socket, document, variables)
            while (frame := await receive(socket))["type"] != "complete":
                if frame["type"] == "error":
                    raise Refused(frame["payload"])
                assert "errors" not in frame["payload"], frame
                yield frame["payload"]["data"]

    async def events(self, run_id: str, after: str | None = None) -> AsyncGenerator[Item, None]:
        """Yield a run's events after the cursor, heartbeats left out."""
        variables = {"runId": run_id, "after": after}
        async with aclosing(self.subscribe(EVENTS, variables)) as stream:
            async for data in stream:
                if data["runEvents"]["__typename"] != "Heartbeat":
                    yield data["runEvents"]

    async def tokens(self, run_id: str, after: int = 0) -> AsyncGenerator[Item, None]:
        """Yield the pieces of a run's answer after that seq."""
        async with aclosing(self.subscribe(TOKENS, {"runId": run_id, "after": after})) as stream:
            async for data in stream:
                yield data["agentTokens"]

    async def story(self, run_id: str, after: str | None = None) -> list[Item]:
        """All events of a run after the cursor, to its last."""
        async with aclosing(self.events(run_id, after)) as stream:
            return [item async for item in stream]

    async def events_until(
        self, run_id: str, is_reached: Callable[[Item], bool], after: str | None = None
    ) -> list[Item]:
        """The events up to and with the first that the condition accepts; then it hangs up."""
        seen: list[Item] = []
        async with aclosing(self.events(run_id, after)) as stream:
            async for item in stream:
                seen.append(item)
                if is_reached(item):
                    return seen
        raise AssertionError(f"The run ended first: {seen}")

    async def cut_off(self, run_id: str, after: str | None, count: int) -> list[Item]:
        """Read so many events, or fewer where the run ends, and lose the connection."""
        seen: list[Item] = []
        async with self.socket() as socket:
            await self._open(socket, EVENTS, {"runId": run_id, "after": after})
            while len(seen) < count and (frame := await receive(socket))["type"] == "next":
                seen.append(frame["payload"]["data"]["runEvents"])
            socket.transport.abort()
        return [item for item in seen if item["__typename"] != "Heartbeat"]

    @staticmethod
    async def _open(socket: ClientConnection, document: str, variables: Item) -> None:
        await greet(socket)
        payload = {"query": document, "variables": variables}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))


async def greet(socket: ClientConnection) -> None:
    """Begin the protocol on an open socket."""
    await socket.send('{"type": "connection_init"}')
    assert (await receive(socket))["type"] == "connection_ack"


async def receive(socket: ClientConnection) -> Any:
    """The next frame that is no ping; pings are answered."""
    while True:
        async with asyncio.timeout(DEADLINE_S):
            frame = json.loads(await socket.recv())
        if frame["type"] != "ping":
            return frame
        await socket.send('{"type": "pong"}')


def is_delta(item: Item) -> bool:
    """True for a piece of text."""
    return item["__typename"] == "TokenDelta"


def numbers(items: Sequence[Item]) -> list[int]:
    """The seq of every event that the items stand for; folded deltas count each of theirs."""
    return [
        number
        for item in items
        for number in range(item.get("fromSeq") or item["seq"], item["seq"] + 1)
    ]


def text_of(items: Sequence[Item]) -> str:
    """The answer that a client shows: deltas in order, voided and tool-calling steps dropped."""
    kept: list[tuple[str, str]] = []
    for item in items:
        if item["__typename"] == "TokenDelta":
            kept.append((item["stepId"], item["text"]))
        elif item["__typename"] == "Retrying":
            kept = [piece for piece in kept if piece[0] != item["voidedStepId"]]
    return "".join(text for _, text in kept)


def shown(pieces: Sequence[Item]) -> str:
    """The text that the pieces of agentTokens make."""
    text = ""
    for piece in pieces:
        text = piece["text"] if piece["reset"] else text + piece["text"]
    return text
