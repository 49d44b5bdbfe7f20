"""What every model wire does alike, over a real socket."""

import dataclasses
import functools
from collections.abc import Sequence

import pytest

from app.adapters.model_http_client import HttpModelClient
from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelEvent,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
    ToolCallReady,
    ToolSpec,
)
from tests.ports.acts import (
    Act,
    Call,
    Done,
    Finish,
    Reason,
    Say,
    Usage,
)
from tests.ports.model_rig import ASK, KEY, Waits, WireUnderTest, collect
from tests.ports.scripted_server import ScriptedServer
from tests.ports.standing_server import answer_of

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_an_answer_is_reasoning_text_usage_and_a_finish(
    provider: ScriptedServer, client: HttpModelClient
) -> None:
    acts = (Reason("Two ", "words."), Say("Hel", "lo"), Finish(), Usage(11, 5), Done())
    provider.script(*acts)

    events, error = await collect(client)

    assert error is None
    kept = [event for event in events if isinstance(event, ReasoningDelta | TextDelta)]
    assert kept == [
        ReasoningDelta("Two "),
        ReasoningDelta("words."),
        TextDelta("Hel"),
        TextDelta("lo"),
    ]
    assert events[-2:] == [
        TokenUsage(input_tokens=11, output_tokens=5),
        Finished(FinishReason.STOP),
    ]


async def test_calls_side_by_side_come_whole_with_ids_of_their_own(
    provider: ScriptedServer, client: HttpModelClient
) -> None:
    provider.script(
        Call("csv_read", '{"path": "ä.csv"}', id="call_1", index=0, pieces=4),
        Call("json_merge", '{"a": {"x": 1}}', id="call_2", index=1, pieces=7),
        Call("uuid", "{}", id="call_3", index=2),
        Finish("tool_calls"),
        Done(),
    )

    events, error = await collect(client)

    assert error is None
    calls = [event.call for event in events if isinstance(event, ToolCallReady)]
    assert [call.name for call in calls] == ["csv_read", "json_merge", "uuid"]
    assert [call.arguments.replace(" ", "") for call in calls] == [
        '{"path":"ä.csv"}',
        '{"a":{"x":1}}',
        "{}",
    ]
    assert len({call.id for call in calls}) == 3
    assert events[-1] == Finished(FinishReason.TOOL_CALLS)


@pytest.mark.parametrize(
    ("acts", "expected"),
    [
        ([Say("a"), Finish("length"), Done()], [TextDelta("a"), Finished(FinishReason.LENGTH)]),
        ([Finish("stop"), Done()], [Finished(FinishReason.STOP)]),
    ],
    ids=["length", "nothing to say"],
)
async def test_a_reason_to_stop_is_told(
    provider: ScriptedServer,
    client: HttpModelClient,
    acts: Sequence[Act],
    expected: Sequence[ModelEvent],
) -> None:
    provider.script(*acts)

    events, error = await collect(client)

    assert (events, error) == (expected, None)


async def test_a_request_carries_the_trace_and_the_names_of_model_and_tools(
    wire: WireUnderTest, provider: ScriptedServer, client: HttpModelClient
) -> None:
    provider.answer("ok")
    request = ModelRequest(
        model="m-1",
        messages=[ChatMessage(role="user", content="Add.")],
        tools=[ToolSpec(name="add", description="Adds.", input_schema={"type": "object"})],
        traceparent=TRACE,
    )

    await collect(client, request)

    [received] = provider.requests
    assert received.method == "POST"
    assert received.headers["traceparent"] == TRACE
    assert received.headers["content-type"] == "application/json"
    assert (received.body["model"], received.body["stream"]) == ("m-1", True)
    assert len(received.body["tools"]) == 1
    sent = [value for value in received.headers.values() if KEY in value]
    assert len(sent) == (1 if wire.takes_key else 0)


@pytest.mark.parametrize("base_url", ["ftp://example.test/v1", "localhost", "http://", ""])
def test_a_base_url_that_is_no_web_address_is_refused(wire: WireUnderTest, base_url: str) -> None:
    with pytest.raises(ValueError, match="should start with http"):
        wire.client(base_url=base_url)


async def test_requests_one_after_the_other_share_a_connection(
    provider: ScriptedServer, client: HttpModelClient
) -> None:
    provider.answer("one")
    provider.answer("two")

    await collect(client)
    await collect(client)

    assert [request.connection for request in provider.requests] == [1, 1]


async def test_a_connection_that_the_provider_closed_meanwhile_is_not_used_again(
    provider: ScriptedServer, client: HttpModelClient
) -> None:
    provider.script(Say("one"), Finish(), Done(), then="closes")
    provider.answer("two")
    await collect(client)
    await provider.alone()

    events, error = await collect(client)

    assert (events[0], error) == (TextDelta("two"), None)
    assert [request.connection for request in provider.requests] == [1, 2]


async def test_a_server_may_answer_what_nobody_scripted(
    provider: ScriptedServer, client: HttpModelClient
) -> None:
    provider.fallback = functools.partial(answer_of, tokens=2, pause_s=0)

    usual, _ = await collect(client)
    named, _ = await collect(client, dataclasses.replace(ASK, model="words-5"))

    assert [usual.count(TextDelta("word ")), named.count(TextDelta("word "))] == [2, 5]


async def test_proxies_of_the_environment_are_not_used(
    wire: WireUnderTest,
    provider: ScriptedServer,
    waits: Waits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    client = wire.client_of(provider, waits)
    provider.answer("ok")

    events, error = await collect(client)
    await client.aclose()

    assert error is None
    assert events[0] == TextDelta("ok")
