"""What the client of further providers makes of failures, waits and broken streams."""

import asyncio
import dataclasses
from collections.abc import Sequence

import pytest

from app.adapters import model_providers_wire
from app.adapters.model_http import ModelTimeouts
from app.adapters.model_providers import ProvidersModelClient
from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelErrorKind,
    ModelRequest,
    RetryScheduled,
    TextDelta,
)
from tests.ports.acts import (
    Act,
    Call,
    Cut,
    Done,
    Endless,
    Error,
    Finish,
    Hang,
    Raw,
    Reason,
    Say,
)
from tests.ports.model_rig import KEY, PROVIDERS, ClientUnderTest, Waits, collect, failure_of
from tests.ports.scripted_openai import ScriptedOpenAI

HELLO = ChatMessage(role="user", content="Hello")
ASK = ModelRequest(model=PROVIDERS.model, messages=[HELLO])
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def wire() -> ClientUnderTest:
    """Only the client of further providers."""
    return PROVIDERS


@pytest.mark.parametrize(
    ("acts", "words"),
    [
        ([Cut()], "cut the connection"),
        ([Raw(b'data: {"choices": [{"index"\n\n')], "makes no sense"),
        ([Raw(b'data: {"choices": 7}\n\n')], "makes no sense"),
        ([Raw(b"data: \xff\xfe\n\n")], "makes no sense"),
        ([Raw(b"data: null\n\n")], "makes no sense"),
        ([Done()], "without a finish reason"),
        ([], "without a finish reason"),
        ([Finish("whatever"), Done()], "finish reason that is not known: whatever"),
        ([Finish("tool_calls"), Done()], "announced tool calls"),
    ],
)
async def test_a_broken_stream_is_a_bad_response_and_never_an_answer(
    provider: ScriptedOpenAI, client: ProvidersModelClient, acts: Sequence[Act], words: str
) -> None:
    provider.script(Say("Hel"), *acts)

    events, error = await collect(client, ASK)

    assert events == [TextDelta("Hel")]
    assert error is not None
    assert error.kind is ModelErrorKind.BAD_RESPONSE
    assert words in error.message
    assert len(provider.requests) == 1


async def test_an_answer_that_is_whole_stands_although_its_tail_is_cut(
    provider: ScriptedOpenAI, client: ProvidersModelClient
) -> None:
    provider.script(Say("ok"), Finish(), Cut())

    events, error = await collect(client, ASK)

    assert error is None
    assert events == [TextDelta("ok"), Finished(FinishReason.STOP)]


@pytest.mark.parametrize(
    "failure",
    [Cut(), Error({"message": "over capacity"})],
    ids=["cut", "error in the stream"],
)
async def test_a_failure_before_the_first_delta_is_tried_again_by_us_alone(
    provider: ScriptedOpenAI, client: ProvidersModelClient, waits: Waits, failure: Act
) -> None:
    provider.script(failure)
    provider.answer("ok")

    events, error = await collect(client, ASK)

    assert error is None
    retry = events[0]
    assert isinstance(retry, RetryScheduled)
    assert (retry.attempt, retry.error.kind) == (2, ModelErrorKind.UNAVAILABLE)
    assert events[1] == TextDelta("ok")
    assert (waits, len(provider.requests)) == ([0.5], 2)


async def test_a_rate_limit_is_waited_out_as_the_provider_asks(
    provider: ScriptedOpenAI, client: ProvidersModelClient, waits: Waits
) -> None:
    provider.fail(429, headers={"Retry-After": "2"})
    provider.answer("ok")

    _, error = await collect(client, ASK)

    assert error is None
    assert waits == [2.0]


async def test_server_errors_are_tried_again_and_then_raised(
    provider: ScriptedOpenAI, client: ProvidersModelClient, waits: Waits
) -> None:
    for status in (500, 503, 502):
        provider.fail(status)

    events, error = await collect(client, ASK)

    assert [type(event) for event in events] == [RetryScheduled, RetryScheduled]
    assert waits == [0.5, 1.0]
    assert error is not None
    assert (error.kind, error.status) == (ModelErrorKind.UNAVAILABLE, 502)
    assert error.message == "openai-chat answered HTTP 502: scripted failure"


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (400, "context_length_exceeded", "too long", ModelErrorKind.CONTEXT_TOO_LONG),
        (400, None, "unknown parameter", ModelErrorKind.REJECTED),
        (404, "model_not_found", "no such model", ModelErrorKind.REJECTED),
        (401, "invalid_api_key", "who are you", ModelErrorKind.UNAUTHORIZED),
        (429, "insufficient_quota", "pay first", ModelErrorKind.REJECTED),
    ],
)
async def test_an_error_that_will_not_go_away_is_raised_at_once(
    *,
    provider: ScriptedOpenAI,
    client: ProvidersModelClient,
    status: int,
    code: str | None,
    message: str,
    kind: ModelErrorKind,
) -> None:
    provider.fail(status, code=code, message=message)

    events, error = await collect(client, ASK)

    assert error is not None
    assert (events, len(provider.requests)) == ([], 1)
    assert (error.kind, error.status) == (kind, status)
    assert error.message == f"openai-chat answered HTTP {status}: {message}"


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ({"message": "over capacity", "type": "server_error"}, ModelErrorKind.UNAVAILABLE),
        ({"message": "slow down", "code": 429}, ModelErrorKind.RATE_LIMITED),
        ("boom", ModelErrorKind.UNAVAILABLE),
        ({"message": "bad", "type": "invalid_request_error"}, ModelErrorKind.REJECTED),
        ({"code": "context_length_exceeded"}, ModelErrorKind.CONTEXT_TOO_LONG),
    ],
)
@pytest.mark.parametrize("finish", [[], [Finish()]], ids=["before its end", "after it"])
async def test_an_error_inside_the_stream_ends_it_with_its_kind(
    *,
    provider: ScriptedOpenAI,
    client: ProvidersModelClient,
    sent: object,
    kind: ModelErrorKind,
    finish: Sequence[Act],
) -> None:
    provider.script(Say("Hel"), *finish, Error(sent))

    events, error = await collect(client, ASK)

    assert events == [TextDelta("Hel")]
    assert error is not None
    assert error.kind is kind
    assert "broke off with an error" in error.message


async def test_a_message_never_holds_the_key(
    provider: ScriptedOpenAI, client: ProvidersModelClient
) -> None:
    provider.fail(401, message=f"Incorrect API key provided: {KEY}.")

    error = await failure_of(client, ASK)

    assert "[key]" in error.message
    assert KEY not in error.message


async def test_a_redirect_is_not_followed(
    provider: ScriptedOpenAI, client: ProvidersModelClient
) -> None:
    provider.reply(307, b"", headers={"Location": f"{provider.base_url}/elsewhere"})

    error = await failure_of(client, ASK)

    assert error.kind is ModelErrorKind.REJECTED
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("timeouts", "acts", "message"),
    [
        (ModelTimeouts(first_token_s=0.05), [Hang()], "sent no token within 0.05 s."),
        (ModelTimeouts(idle_s=0.05), [Say("Hel"), Hang()], "sent nothing more for 0.05 s."),
        (ModelTimeouts(total_s=0.3), [Say("Hel"), Endless()], "took longer than 0.3 s in all."),
    ],
    ids=["first token", "idle", "total"],
)
async def test_a_stream_that_takes_too_long_is_given_up(
    provider: ScriptedOpenAI,
    client: ProvidersModelClient,
    timeouts: ModelTimeouts,
    acts: Sequence[Act],
    message: str,
) -> None:
    await client.prepare(PROVIDERS.model)
    hasty = PROVIDERS.client_of(provider, Waits(), timeouts=timeouts)
    await hasty.prepare(PROVIDERS.model)
    for _ in range(3):
        provider.script(*acts)

    error = await failure_of(hasty, ASK)

    assert (error.kind, error.message) == (ModelErrorKind.TIMEOUT, f"openai-chat {message}")
    async with asyncio.timeout(20):
        await asyncio.gather(*(request.disconnected.wait() for request in provider.requests))
    await hasty.aclose()


async def test_a_provider_that_nobody_listens_for_is_unavailable(
    provider: ScriptedOpenAI, client: ProvidersModelClient, waits: Waits
) -> None:
    provider.leave()

    error = await failure_of(client, ASK)

    assert error.kind is ModelErrorKind.UNAVAILABLE
    assert error.message.startswith(f"openai-chat cannot be reached at 127.0.0.1:{provider.port}: ")
    assert waits == [0.5, 1.0]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("m-1", "cannot tell whose model 'm-1' is; write it like groq:"),
        ("nobody:m-1", "knows no provider 'nobody'"),
        ("deepseek:m-1", "Set the `DEEPSEEK_API_KEY` environment variable"),
        ("bedrock:m-1", "pip install 'pydantic-ai-slim[bedrock]=="),
    ],
)
async def test_a_model_that_can_never_be_asked_is_refused_with_the_reason(
    *,
    provider: ScriptedOpenAI,
    client: ProvidersModelClient,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    words: str,
) -> None:
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)

    error = await failure_of(client, dataclasses.replace(ASK, model=model))

    assert error.kind is ModelErrorKind.REJECTED
    assert error.message.startswith("providers ")
    assert words in error.message
    assert provider.requests == []


async def test_a_request_that_json_cannot_hold_is_rejected_and_not_sent(
    provider: ScriptedOpenAI, client: ProvidersModelClient
) -> None:
    message = ChatMessage(role="user", content="half a pair: \ud83d")

    error = await failure_of(client, ModelRequest(model=PROVIDERS.model, messages=[message]))

    assert error.kind is ModelErrorKind.REJECTED
    assert provider.requests == []


@pytest.mark.parametrize(
    "act",
    [Reason("x" * 9000), Call("pay", '{"a": "' + "x" * 9000 + '"}', pieces=9), Endless()],
    ids=["reasoning", "arguments", "text"],
)
async def test_an_answer_that_grows_beyond_all_bounds_is_given_up(
    provider: ScriptedOpenAI,
    client: ProvidersModelClient,
    monkeypatch: pytest.MonkeyPatch,
    act: Act,
) -> None:
    monkeypatch.setattr(model_providers_wire, "ANSWER_LIMIT_BYTES", 8000)
    provider.script(Say("Hel"), act, Finish(), Done())

    events, error = await collect(client, ASK)

    assert events[0] == TextDelta("Hel")
    assert error is not None
    assert error.kind is ModelErrorKind.BAD_RESPONSE
    assert error.message == "openai-chat sent more than 8,000 bytes for one answer."
    assert len(provider.requests) == 1
