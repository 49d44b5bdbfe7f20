"""What every model client does alike: the contract of the ModelClient port."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

import pytest

from app.adapters.clock import SystemClock
from app.adapters.model_offline import OfflineModelClient
from app.adapters.model_simulated import SimulatedModelClient
from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelClient,
    ModelEvent,
    ModelRequest,
    TextDelta,
    TokenUsage,
    ToolCallReady,
    ToolSpec,
)
from tests.ports.acts import Done, Endless, Finish, Hang, Say, Wait
from tests.ports.model_rig import CLIENTS, ClientUnderTest, Waits, collect
from tests.ports.scripted_server import ScriptedServer

CALCULATE = ToolSpec(
    name="calculate",
    description="Calculate an expression.",
    input_schema={
        "type": "object",
        "properties": {"expression": {"type": "string"}},
        "required": ["expression"],
    },
)
ANSWER = "The sum is four."


@dataclass
class Rig:
    """A client, and the instructions that make it answer and call a tool."""

    client: ModelClient
    to_answer: str
    to_call: str
    is_offline: bool
    provider: ScriptedServer | None = None
    model: str = "m"

    def ask(self, *messages: ChatMessage) -> ModelRequest:
        """A request with one tool."""
        return ModelRequest(model=self.model, messages=messages, tools=[CALCULATE])

    def will_answer(self, text: str = ANSWER) -> None:
        if self.provider:
            self.provider.answer(text)

    def will_call(self) -> None:
        if self.provider:
            self.provider.call_tool("calculate", {"expression": "2 + 2"})


OFFLINE = {
    "offline": (lambda: OfflineModelClient(SystemClock()), "Hi", "calculate 2 + 2"),
    "simulated": (
        SimulatedModelClient,
        '{"tokens": 30}',
        json.dumps({"tool": {"name": "calculate", "arguments": {"expression": "2 + 2"}}}),
    ),
}


@pytest.fixture(params=[*CLIENTS, *OFFLINE])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Each client."""
    name = request.param
    async with AsyncExitStack() as stack:
        if name in OFFLINE:
            make, to_answer, to_call = OFFLINE[name]
            built = Rig(make(), to_answer, to_call, is_offline=True)
        else:
            under_test = CLIENTS[name]
            provider = await stack.enter_async_context(under_test.server())
            client = under_test.client_of(provider, Waits())
            built = Rig(client, "Hi", "2 + 2?", is_offline=False, provider=provider)
            built.model = under_test.model
        assert built.client.name == name
        yield built
        await built.client.aclose()


def user(text: str) -> ChatMessage:
    return ChatMessage(role="user", content=text)


async def events_of(rig: Rig, request: ModelRequest) -> list[ModelEvent]:
    async with asyncio.timeout(20), aclosing(rig.client.stream(request)) as stream:
        return [event async for event in stream]


async def test_an_answer_is_text_then_usage_then_one_finish(rig: Rig) -> None:
    rig.will_answer()

    *deltas, usage, finish = await events_of(rig, rig.ask(user(rig.to_answer)))

    assert {type(delta) for delta in deltas} == {TextDelta}
    assert len(deltas) > 1
    assert isinstance(usage, TokenUsage)
    assert usage.output_tokens == len(deltas)
    assert isinstance(finish, Finished)
    assert finish.offline is rig.is_offline


async def test_a_call_comes_whole_and_ends_the_answer(rig: Rig) -> None:
    rig.will_call()

    ready, usage, finish = await events_of(rig, rig.ask(user(rig.to_call)))

    assert isinstance(ready, ToolCallReady)
    assert ready.call.name == "calculate"
    assert ready.call.id != ""
    assert json.loads(ready.call.arguments) == {"expression": "2 + 2"}
    assert isinstance(usage, TokenUsage)
    assert finish == Finished(FinishReason.TOOL_CALLS, offline=rig.is_offline)


async def test_the_result_of_a_call_is_answered_in_text(rig: Rig) -> None:
    rig.will_call()
    ready = (await events_of(rig, rig.ask(user(rig.to_call))))[0]
    assert isinstance(ready, ToolCallReady)
    asked = ChatMessage(role="assistant", tool_calls=(ready.call,))
    result = ChatMessage(
        role="tool", content="4", tool_call_id=ready.call.id, tool_name="calculate"
    )
    rig.will_answer()

    *deltas, _, finish = await events_of(rig, rig.ask(user(rig.to_call), asked, result))

    assert {type(delta) for delta in deltas} == {TextDelta}
    assert finish == Finished(FinishReason.STOP, offline=rig.is_offline)


async def test_a_stream_closed_in_the_middle_leaves_the_client_usable(rig: Rig) -> None:
    rig.will_answer()
    rig.will_answer()

    asked = rig.ask(user(rig.to_answer))
    async with asyncio.timeout(20), aclosing(rig.client.stream(asked)) as stream:
        await anext(stream)
    events = await events_of(rig, asked)

    assert isinstance(events[-1], Finished)


async def test_streams_side_by_side_do_not_mix(rig: Rig) -> None:
    for _ in range(5):
        rig.will_answer()
    asked = rig.ask(user(rig.to_answer))
    alone = await events_of(rig, asked)

    together = await asyncio.gather(*(events_of(rig, asked) for _ in range(4)))

    assert together == [alone] * 4


async def test_a_client_may_be_closed_twice(rig: Rig) -> None:
    await rig.client.aclose()
    await rig.client.aclose()

    assert rig.client.name in {*CLIENTS, *OFFLINE}


@pytest.fixture(params=CLIENTS)
def wire(request: pytest.FixtureRequest) -> ClientUnderTest:
    """Each client that asks a provider over a socket."""
    return CLIENTS[request.param]


async def test_a_delta_reaches_the_caller_before_the_answer_goes_on(
    wire: ClientUnderTest, provider: ScriptedServer, client: ModelClient
) -> None:
    go_on = asyncio.Event()
    provider.script(Say("first"), Wait(go_on), Say("second"), Finish(), Done())

    async with asyncio.timeout(20), aclosing(client.stream(asked(wire))) as stream:
        first = await anext(stream)
        go_on.set()
        rest = [event async for event in stream]

    assert first == TextDelta("first")
    assert rest == [TextDelta("second"), Finished(FinishReason.STOP)]


async def test_closing_the_stream_closes_the_connection_to_the_provider(
    wire: ClientUnderTest, provider: ScriptedServer, client: ModelClient
) -> None:
    provider.script(Endless())

    async with aclosing(client.stream(asked(wire))) as stream:
        await anext(stream)

    async with asyncio.timeout(20):
        await provider.requests[0].disconnected.wait()


async def test_cancelling_the_reader_closes_the_connection_to_the_provider(
    wire: ClientUnderTest, provider: ScriptedServer, client: ModelClient
) -> None:
    provider.script(Hang())
    reading = asyncio.create_task(collect(client, asked(wire)))
    received = await provider.received(1)

    reading.cancel()

    async with asyncio.timeout(20):
        await received.disconnected.wait()
    with pytest.raises(asyncio.CancelledError):
        await reading


def asked(wire: ClientUnderTest) -> ModelRequest:
    return ModelRequest(model=wire.model, messages=[user("Hello")])
