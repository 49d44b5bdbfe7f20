"""What the chat-completions client makes of failures, waits and broken streams."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from app.adapters.model_http import ModelTimeouts, RetryPolicy
from app.adapters.model_openai import OpenAIModelClient
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
from tests.ports.acts import Act, Cut, Done, Endless, Error, Finish, Hang, Raw, Say
from tests.ports.model_rig import KEY, WIRES, Waits, collect, failure_of
from tests.ports.scripted_openai import ScriptedOpenAI

DATE = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedOpenAI]:
    async with ScriptedOpenAI() as provider:
        yield provider


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
async def client(provider: ScriptedOpenAI, waits: Waits) -> AsyncIterator[OpenAIModelClient]:
    client = WIRES["openai"].client_of(provider, waits)
    yield client
    await client.aclose()


@pytest.mark.parametrize(
    ("headers", "delay_s"),
    [
        ({"Retry-After": "2"}, 2.0),
        ({"retry-after-ms": "250"}, 0.25),
        (
            {
                "Retry-After": format_datetime(DATE + timedelta(seconds=7), usegmt=True),
                "Date": format_datetime(DATE, usegmt=True),
            },
            7.0,
        ),
        ({"Retry-After": "86400"}, 60.0),
        ({"Retry-After": "soon"}, 0.5),
        ({}, 0.5),
    ],
    ids=["seconds", "milliseconds", "date", "capped", "nonsense", "none"],
)
async def test_a_rate_limit_is_waited_out_as_the_provider_asks(
    *,
    provider: ScriptedOpenAI,
    client: OpenAIModelClient,
    waits: Waits,
    headers: dict[str, str],
    delay_s: float,
) -> None:
    provider.fail(429, message="slow down", headers=headers)
    provider.answer("ok")

    events, error = await collect(client)

    assert error is None
    retry = events[0]
    assert isinstance(retry, RetryScheduled)
    assert (retry.attempt, retry.delay_s) == (2, delay_s)
    assert retry.error.kind is ModelErrorKind.RATE_LIMITED
    assert waits == [delay_s]
    assert events[-1] == Finished(FinishReason.STOP)


async def test_server_errors_are_tried_again_with_growing_waits_and_then_raised(
    provider: ScriptedOpenAI, client: OpenAIModelClient, waits: Waits
) -> None:
    for status in (500, 503, 502):
        provider.fail(status)

    events, error = await collect(client)

    assert [type(event) for event in events] == [RetryScheduled, RetryScheduled]
    assert waits == [0.5, 1.0]
    assert error is not None
    assert (error.kind, error.status) == (ModelErrorKind.UNAVAILABLE, 502)
    assert error.message == "openai answered HTTP 502: scripted failure"


async def test_jitter_takes_up_to_half_of_a_wait() -> None:
    policy = RetryPolicy(random=lambda: 1.0)

    waits = [policy.delay_s(failures=count, retry_after_s=None) for count in (1, 2, 5, 9)]

    assert waits == [0.25, 0.5, 4.0, 4.0]


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (400, "context_length_exceeded", "too long", ModelErrorKind.CONTEXT_TOO_LONG),
        (400, None, "maximum context length is 8192", ModelErrorKind.CONTEXT_TOO_LONG),
        (400, None, "unknown parameter", ModelErrorKind.REJECTED),
        (404, "model_not_found", "no such model", ModelErrorKind.REJECTED),
        (401, "invalid_api_key", "who are you", ModelErrorKind.UNAUTHORIZED),
        (403, None, "not for you", ModelErrorKind.UNAUTHORIZED),
        (429, "insufficient_quota", "pay first", ModelErrorKind.REJECTED),
    ],
)
async def test_an_error_that_will_not_go_away_is_raised_at_once(
    *,
    provider: ScriptedOpenAI,
    client: OpenAIModelClient,
    waits: Waits,
    status: int,
    code: str | None,
    message: str,
    kind: ModelErrorKind,
) -> None:
    provider.fail(status, code=code, message=message)

    events, error = await collect(client)

    assert error is not None
    assert (events, waits, len(provider.requests)) == ([], [], 1)
    assert (error.kind, error.status) == (kind, status)
    assert error.message == f"openai answered HTTP {status}: {message}"


async def test_a_message_never_holds_the_key_and_stays_short(
    provider: ScriptedOpenAI, client: OpenAIModelClient
) -> None:
    provider.fail(401, message=f"Incorrect API key provided: {KEY}. " + "x" * 400)

    error = await failure_of(client)

    assert "[key]" in error.message
    assert KEY not in error.message
    assert len(error.message) == 300


async def test_a_redirect_is_not_followed(
    provider: ScriptedOpenAI, client: OpenAIModelClient
) -> None:
    provider.reply(307, b"", headers={"Location": f"{provider.base_url}/elsewhere"})

    error = await failure_of(client)

    assert error.kind is ModelErrorKind.REJECTED
    assert len(provider.requests) == 1


async def test_a_page_instead_of_a_stream_points_at_the_base_url(
    provider: ScriptedOpenAI, client: OpenAIModelClient
) -> None:
    provider.reply(200, b"<h1>Welcome</h1>", content_type="text/html")

    error = await failure_of(client)

    assert error.kind is ModelErrorKind.BAD_RESPONSE
    assert "is the base URL right?" in error.message


async def test_a_stream_cut_before_its_first_delta_is_tried_again(
    provider: ScriptedOpenAI, client: OpenAIModelClient
) -> None:
    provider.script(Cut())
    provider.answer("ok")

    events, error = await collect(client)

    assert error is None
    retry = events[0]
    assert isinstance(retry, RetryScheduled)
    assert retry.error.kind is ModelErrorKind.UNAVAILABLE
    assert events[1] == TextDelta("ok")


@pytest.mark.parametrize(
    ("acts", "words"),
    [
        ([Cut()], "cut the connection"),
        ([Raw(b'data: {"choices": [{"index"\n\n')], "malformed chunk"),
        ([Raw(b'data: {"choices": 7}\n\n')], "malformed chunk"),
        ([Raw(b'data: {"choices": [{"delta": {"content": 7}}]}\n\n')], "malformed chunk"),
        ([Raw(b"data: \xff\xfe\n\n")], "malformed chunk"),
        ([Raw(b"data: null\n\n")], "malformed chunk"),
        ([Raw(b'data: {"cho')], "malformed chunk"),
        ([Done()], "without a finish reason"),
        ([], "without a finish reason"),
        ([Finish("whatever"), Done()], "finish reason that is not known: whatever"),
        ([Finish("tool_calls"), Done()], "announced tool calls"),
    ],
)
async def test_a_broken_stream_is_a_bad_response_and_never_an_answer(
    provider: ScriptedOpenAI,
    client: OpenAIModelClient,
    acts: Sequence[Act],
    words: str,
) -> None:
    provider.script(Say("Hel"), *acts)

    events, error = await collect(client)

    assert events == [TextDelta("Hel")]
    assert error is not None
    assert error.kind is ModelErrorKind.BAD_RESPONSE
    assert words in error.message
    assert len(provider.requests) == 1


async def test_an_answer_that_is_whole_stands_although_its_tail_is_cut(
    provider: ScriptedOpenAI, client: OpenAIModelClient
) -> None:
    provider.script(Say("ok"), Finish(), Cut())

    events, error = await collect(client)

    assert error is None
    assert events == [TextDelta("ok"), Finished(FinishReason.STOP)]


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        ({"message": "over capacity", "type": "server_error"}, ModelErrorKind.UNAVAILABLE),
        ({"message": "slow down", "code": 429}, ModelErrorKind.RATE_LIMITED),
        ("boom", ModelErrorKind.UNAVAILABLE),
        ({"message": "bad", "type": "invalid_request_error"}, ModelErrorKind.REJECTED),
        ({"code": "context_length_exceeded"}, ModelErrorKind.CONTEXT_TOO_LONG),
    ],
)
async def test_an_error_inside_the_stream_ends_it_with_its_kind(
    provider: ScriptedOpenAI, client: OpenAIModelClient, wire: object, kind: ModelErrorKind
) -> None:
    provider.script(Say("Hel"), Error(wire))

    events, error = await collect(client)

    assert events == [TextDelta("Hel")]
    assert error is not None
    assert error.kind is kind
    assert "broke off with an error" in error.message


async def test_an_error_inside_the_stream_before_the_first_delta_is_tried_again(
    provider: ScriptedOpenAI, client: OpenAIModelClient
) -> None:
    provider.script(Error({"message": "over capacity"}))
    provider.answer("ok")

    events, error = await collect(client)

    assert error is None
    assert [type(event) for event in events] == [
        RetryScheduled,
        TextDelta,
        TokenUsage,
        Finished,
    ]


async def test_a_provider_that_nobody_listens_for_is_unavailable(waits: Waits) -> None:
    async with ScriptedOpenAI() as gone:
        address = gone.base_url
    retries = RetryPolicy(max_attempts=2, sleep=waits, random=lambda: 0.0)
    client = OpenAIModelClient(base_url=address, retries=retries)

    error = await failure_of(client)
    await client.aclose()

    assert error.kind is ModelErrorKind.UNAVAILABLE
    assert error.message.startswith(f"openai cannot be reached at 127.0.0.1:{gone.port}: ")
    assert waits == [0.5]


async def test_a_provider_that_sends_no_token_times_out_and_is_left(
    provider: ScriptedOpenAI, waits: Waits
) -> None:
    timeouts = ModelTimeouts(first_token_s=0.05)
    client = WIRES["openai"].client_of(provider, waits, timeouts=timeouts)
    for _ in range(3):
        provider.script(Hang())

    events, error = await collect(client)

    assert [type(event) for event in events] == [RetryScheduled, RetryScheduled]
    assert error is not None
    assert error.kind is ModelErrorKind.TIMEOUT
    assert error.message == "openai sent no token within 0.05 s."
    async with asyncio.timeout(20):
        await asyncio.gather(*(request.disconnected.wait() for request in provider.requests))
    await client.aclose()


@pytest.mark.parametrize(
    ("timeouts", "act", "message"),
    [
        (ModelTimeouts(idle_s=0.05), Hang(), "openai sent nothing more for 0.05 s."),
        (ModelTimeouts(total_s=0.3), Endless(), "openai took longer than 0.3 s in all."),
    ],
    ids=["idle", "total"],
)
async def test_a_stream_that_stalls_or_never_ends_is_given_up(
    *, provider: ScriptedOpenAI, waits: Waits, timeouts: ModelTimeouts, act: Act, message: str
) -> None:
    client = WIRES["openai"].client_of(provider, waits, timeouts=timeouts)
    provider.script(Say("Hel"), act)

    events, error = await collect(client)

    assert events[0] == TextDelta("Hel")
    assert error is not None
    assert (error.kind, error.message) == (ModelErrorKind.TIMEOUT, message)
    assert waits == []
    async with asyncio.timeout(20):
        await provider.requests[0].disconnected.wait()
    await client.aclose()


async def test_a_wait_that_does_not_fit_into_the_whole_time_is_not_begun(
    provider: ScriptedOpenAI, waits: Waits
) -> None:
    client = WIRES["openai"].client_of(provider, waits, timeouts=ModelTimeouts(total_s=10))
    provider.fail(429, headers={"Retry-After": "30"})

    events, error = await collect(client)
    await client.aclose()

    assert (events, waits) == ([], [])
    assert error is not None
    assert (error.kind, error.retry_after_s) == (ModelErrorKind.RATE_LIMITED, 30.0)


async def test_a_request_that_json_cannot_hold_is_rejected_and_not_sent(
    provider: ScriptedOpenAI, client: OpenAIModelClient
) -> None:
    message = ChatMessage(role="user", content="half a pair: \ud83d")

    error = await failure_of(client, ModelRequest(model="m", messages=[message]))

    assert error.kind is ModelErrorKind.REJECTED
    assert provider.requests == []
