"""What the chat-completions client makes of failures, waits and broken streams."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from app.adapters.model_http import ModelTimeouts, RetryPolicy
from app.adapters.model_openai import OpenAIModelClient
from domain.models.ports import (
    Finished,
    FinishReason,
    ModelErrorKind,
    RetryScheduled,
    TextDelta,
)
from tests.ports.acts import Act, Done, Error, Finish, Raw, Say
from tests.ports.model_rig import WIRES, Waits, WireUnderTest, collect
from tests.ports.scripted_openai import ScriptedOpenAI

DATE = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def wire() -> WireUnderTest:
    return WIRES["openai"]


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


@pytest.mark.parametrize(
    ("acts", "words"),
    [
        ([Raw(b'data: {"choices": 7}\n\n')], "malformed chunk"),
        ([Raw(b'data: {"choices": [{"delta": {"content": 7}}]}\n\n')], "malformed chunk"),
        ([Raw(b"data: \xff\xfe\n\n")], "malformed chunk"),
        ([Raw(b"data: null\n\n")], "malformed chunk"),
        ([Raw(b'data: {"cho')], "malformed chunk"),
        ([Finish("tool_calls"), Done()], "announced tool calls"),
    ],
)
async def test_chunks_that_make_no_sense_are_a_bad_response_and_never_an_answer(
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


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"message": "over capacity", "type": "server_error"}, ModelErrorKind.UNAVAILABLE),
        ({"message": "slow down", "code": 429}, ModelErrorKind.RATE_LIMITED),
        ("boom", ModelErrorKind.UNAVAILABLE),
        ({"message": "bad", "type": "invalid_request_error"}, ModelErrorKind.REJECTED),
        ({"code": "context_length_exceeded"}, ModelErrorKind.CONTEXT_TOO_LONG),
    ],
)
async def test_an_error_inside_the_stream_ends_it_with_its_kind(
    provider: ScriptedOpenAI, client: OpenAIModelClient, said: object, kind: ModelErrorKind
) -> None:
    provider.script(Say("Hel"), Error(said))

    events, error = await collect(client)

    assert events == [TextDelta("Hel")]
    assert error is not None
    assert error.kind is kind
    assert "broke off with an error" in error.message


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
