"""What every model wire makes of failures, waits and broken streams."""

import asyncio
from collections.abc import Sequence

import pytest

from app.adapters.model_http import ModelTimeouts
from app.adapters.model_http_client import HttpModelClient
from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelErrorKind,
    ModelRequest,
    RetryScheduled,
    TextDelta,
    TokenUsage,
)
from tests.ports.acts import Act, Call, Cut, Done, Endless, Error, Finish, Garbage, Hang, Reset, Say
from tests.ports.model_rig import KEY, Waits, WireUnderTest, collect, failure_of
from tests.ports.scripted_server import ScriptedServer

OVERLOADED = {"type": "overloaded_error", "message": "over capacity"}
HALF_CALL = Call("pay", '{"amount": 999}', whole=False)


async def test_a_rate_limit_is_waited_out_as_the_provider_asks(
    provider: ScriptedServer, client: HttpModelClient, waits: Waits
) -> None:
    provider.fail(429, message="slow down", headers={"Retry-After": "2"})
    provider.answer("ok")

    events, error = await collect(client)

    assert error is None
    retry = events[0]
    assert isinstance(retry, RetryScheduled)
    assert (retry.attempt, retry.delay_s, waits) == (2, 2.0, [2.0])
    assert retry.error.kind is ModelErrorKind.RATE_LIMITED
    assert events[-1] == Finished(FinishReason.STOP)


async def test_server_errors_are_tried_again_with_growing_waits_and_then_raised(
    provider: ScriptedServer, client: HttpModelClient, waits: Waits
) -> None:
    for status in (500, 503, 529):
        provider.fail(status)

    events, error = await collect(client)

    assert [type(event) for event in events] == [RetryScheduled, RetryScheduled]
    assert waits == [0.5, 1.0]
    assert error is not None
    assert (error.kind, error.status) == (ModelErrorKind.UNAVAILABLE, 529)
    assert error.message == f"{client.name} answered HTTP 529: scripted failure"


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "prompt is too long: 9 tokens > 8 maximum", ModelErrorKind.CONTEXT_TOO_LONG),
        (400, "unknown parameter", ModelErrorKind.REJECTED),
        (401, "who are you", ModelErrorKind.UNAUTHORIZED),
        (403, "not for you", ModelErrorKind.UNAUTHORIZED),
    ],
)
async def test_an_error_that_will_not_go_away_is_raised_at_once(
    *,
    provider: ScriptedServer,
    client: HttpModelClient,
    waits: Waits,
    status: int,
    message: str,
    kind: ModelErrorKind,
) -> None:
    provider.fail(status, message=message)

    events, error = await collect(client)

    assert error is not None
    assert (events, waits, len(provider.requests)) == ([], [], 1)
    assert (error.kind, error.status) == (kind, status)
    assert error.message.startswith(f"{client.name} answered HTTP {status}: {message}")


async def test_a_message_holds_no_key_and_stays_short(
    wire: WireUnderTest, provider: ScriptedServer, client: HttpModelClient
) -> None:
    provider.fail(401, message=f"Incorrect API key provided: {KEY}. " + "x" * 400)

    error = await failure_of(client)

    assert (KEY in error.message) is not wire.takes_key
    assert len(error.message) == 300


async def test_a_redirect_is_not_followed(
    provider: ScriptedServer, client: HttpModelClient
) -> None:
    provider.reply(307, b"", headers={"Location": f"{provider.base_url}/elsewhere"})

    error = await failure_of(client)

    assert error.kind is ModelErrorKind.REJECTED
    assert len(provider.requests) == 1


async def test_a_page_instead_of_a_stream_points_at_the_base_url(
    provider: ScriptedServer, client: HttpModelClient
) -> None:
    provider.reply(200, b"<h1>Welcome</h1>", content_type="text/html")

    error = await failure_of(client)

    assert error.kind is ModelErrorKind.BAD_RESPONSE
    assert "is the base URL right?" in error.message


@pytest.mark.parametrize(
    "acts",
    [[Reset()], [Cut()], [HALF_CALL, Cut()], [Error(OVERLOADED)]],
    ids=["reset", "cut", "cut in a call", "error"],
)
async def test_an_answer_that_breaks_before_its_first_delta_is_asked_for_again(
    provider: ScriptedServer, client: HttpModelClient, acts: Sequence[Act]
) -> None:
    provider.script(*acts)
    provider.answer("ok")

    events, error = await collect(client)

    assert error is None
    retry = events[0]
    assert isinstance(retry, RetryScheduled)
    assert retry.error.kind is ModelErrorKind.UNAVAILABLE
    assert events[1:] == [
        TextDelta("ok"),
        TokenUsage(input_tokens=7, output_tokens=1),
        Finished(FinishReason.STOP),
    ]


@pytest.mark.parametrize(
    ("acts", "words"),
    [
        ([Cut()], "cut the connection"),
        ([HALF_CALL, Cut()], "cut the connection"),
        ([Garbage(), Finish(), Done()], "malformed"),
        ([Done()], "without a finish reason"),
        ([], "without a finish reason"),
        ([Call("pay", "{}")], "without a finish reason"),
        ([Finish("whatever"), Done()], "finish reason that is not known: whatever"),
    ],
)
async def test_a_broken_stream_is_a_bad_response_and_never_an_answer(
    provider: ScriptedServer, client: HttpModelClient, acts: Sequence[Act], words: str
) -> None:
    provider.script(Say("Hel"), *acts)

    events, error = await collect(client)

    assert events == [TextDelta("Hel")]
    assert error is not None
    assert error.kind is ModelErrorKind.BAD_RESPONSE
    assert words in error.message
    assert len(provider.requests) == 1


async def test_an_answer_that_is_whole_stands_although_its_tail_is_cut(
    provider: ScriptedServer, client: HttpModelClient
) -> None:
    provider.script(Say("ok"), Finish(), Cut())

    events, error = await collect(client)

    assert error is None
    assert events == [TextDelta("ok"), Finished(FinishReason.STOP)]


async def test_an_error_inside_the_stream_ends_it_and_is_not_tried_again(
    provider: ScriptedServer, client: HttpModelClient, waits: Waits
) -> None:
    provider.script(Say("Hel"), Error(OVERLOADED))

    events, error = await collect(client)

    assert (events, waits) == ([TextDelta("Hel")], [])
    assert error is not None
    assert error.kind is ModelErrorKind.UNAVAILABLE
    assert "broke off with an error: over capacity" in error.message


async def test_a_provider_that_nobody_listens_for_is_unavailable(
    provider: ScriptedServer, client: HttpModelClient, waits: Waits
) -> None:
    provider.leave()

    error = await failure_of(client)

    assert error.kind is ModelErrorKind.UNAVAILABLE
    assert error.message.startswith(
        f"{client.name} cannot be reached at 127.0.0.1:{provider.port}: "
    )
    assert waits == [0.5, 1.0]


async def test_a_provider_that_sends_no_token_times_out_and_is_left(
    wire: WireUnderTest, provider: ScriptedServer, waits: Waits
) -> None:
    timeouts = ModelTimeouts(first_token_s=0.05)
    client = wire.client_of(provider, waits, timeouts=timeouts, max_attempts=2)
    provider.script(Hang())
    provider.script(Hang())

    events, error = await collect(client)

    assert [type(event) for event in events] == [RetryScheduled]
    assert error is not None
    assert error.kind is ModelErrorKind.TIMEOUT
    assert error.message == f"{client.name} sent no token within 0.05 s."
    async with asyncio.timeout(20):
        await asyncio.gather(*(request.disconnected.wait() for request in provider.requests))
    await client.aclose()


async def test_a_stream_that_stalls_is_given_up(
    wire: WireUnderTest, provider: ScriptedServer, waits: Waits
) -> None:
    client = wire.client_of(provider, waits, timeouts=ModelTimeouts(idle_s=0.05))
    provider.script(Say("Hel"), Hang())

    events, error = await collect(client)

    assert (events, waits) == ([TextDelta("Hel")], [])
    assert error is not None
    assert error.kind is ModelErrorKind.TIMEOUT
    assert error.message == f"{client.name} sent nothing more for 0.05 s."
    async with asyncio.timeout(20):
        await provider.requests[0].disconnected.wait()
    await client.aclose()


async def test_a_stream_that_never_ends_is_given_up(
    wire: WireUnderTest, provider: ScriptedServer, waits: Waits
) -> None:
    client = wire.client_of(provider, waits, timeouts=ModelTimeouts(total_s=0.25))
    provider.script(Say("Hel"), Endless(pause_s=0.005))

    events, error = await collect(client)

    assert (events[0], waits) == (TextDelta("Hel"), [])
    assert error is not None
    assert error.kind is ModelErrorKind.TIMEOUT
    assert error.message == f"{client.name} took longer than 0.25 s in all."
    async with asyncio.timeout(20):
        await provider.requests[0].disconnected.wait()
    await client.aclose()


async def test_a_request_that_json_cannot_hold_is_rejected_and_not_sent(
    provider: ScriptedServer, client: HttpModelClient
) -> None:
    message = ChatMessage(role="user", content="half a pair: \ud83d")

    error = await failure_of(client, ModelRequest(model="m", messages=[message]))

    assert error.kind is ModelErrorKind.REJECTED
    assert provider.requests == []
