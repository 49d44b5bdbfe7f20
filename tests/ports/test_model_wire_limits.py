"""What every model wire does with answers that are too long, and with failures told by halves."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx
import orjson
import pytest

from app.adapters import model_http_client
from app.adapters.model_anthropic_wire import MessagesReader
from app.adapters.model_http import ErrorWords
from app.adapters.model_http_client import AnswerReader, HttpModelClient
from app.adapters.model_ollama_wire import OllamaReader
from app.adapters.model_openai_wire import ChatCompletionReader
from app.adapters.model_reader import MOST_TOKENS, count_of
from app.model_clients import model_timeouts
from app.settings import load_settings
from domain.models.ports import (
    Finished,
    FinishReason,
    ModelErrorKind,
    RetryScheduled,
    TextDelta,
    TokenUsage,
)
from tests.ports.acts import Call, Cut, Done, Endless, Finish, Hang, Raw, Reason, Say
from tests.ports.model_rig import ASK, Waits, collect, failure_of
from tests.ports.scripted_server import ScriptedServer

WORDS = ErrorWords("m", api_key=None)


@pytest.mark.parametrize(
    "act",
    [Reason("x" * 9000), Call("pay", '{"a": "' + "x" * 9000 + '"}', pieces=9), Endless()],
    ids=["reasoning", "arguments", "text"],
)
async def test_an_answer_that_grows_beyond_all_bounds_is_given_up(
    provider: ScriptedServer,
    client: HttpModelClient,
    monkeypatch: pytest.MonkeyPatch,
    act: Reason | Call | Endless,
) -> None:
    monkeypatch.setattr(model_http_client, "ANSWER_LIMIT_BYTES", 8000)
    provider.script(Say("Hel"), act, Finish(), Done())

    events, error = await collect(client)

    assert error is not None
    assert events[0] == TextDelta("Hel")
    assert error.kind is ModelErrorKind.BAD_RESPONSE
    assert error.message == f"{client.name} sent more than 8,000 bytes for one answer."
    assert len(provider.requests) == 1
    if isinstance(act, Endless):
        async with asyncio.timeout(20):
            await provider.requests[0].disconnected.wait()


@pytest.mark.parametrize("act", [Cut(), Hang()], ids=["cut", "endless"])
async def test_a_refusal_counts_although_its_words_never_end(
    provider: ScriptedServer,
    client: HttpModelClient,
    waits: Waits,
    monkeypatch: pytest.MonkeyPatch,
    act: Cut | Hang,
) -> None:
    monkeypatch.setattr(model_http_client, "_TAIL_S", 0.05)
    provider.script(Raw(b'{"error": "who are you"'), act, status=401)

    error = await failure_of(client)

    assert (error.kind, error.status) == (ModelErrorKind.UNAUTHORIZED, 401)
    assert error.message.startswith(f"{client.name} answered HTTP 401: ")
    assert (waits, len(provider.requests)) == ([], 1)


async def test_an_error_that_came_as_a_success_is_told(
    provider: ScriptedServer, client: HttpModelClient
) -> None:
    provider.reply(200, orjson.dumps({"error": {"message": "no such model", "code": 404}}))

    error = await failure_of(client)

    assert error.kind is ModelErrorKind.REJECTED
    assert "no such model" in error.message


async def test_a_wait_that_is_written_without_end_is_no_wait(
    provider: ScriptedServer, client: HttpModelClient, waits: Waits
) -> None:
    provider.fail(429, headers={"retry-after-ms": "9" * 5000})
    provider.answer("ok")

    events, error = await collect(client)

    assert error is None
    assert isinstance(events[0], RetryScheduled)
    assert waits == [0.5]


@pytest.mark.parametrize(
    ("said", "kind", "status"),
    [
        ({"code": "1302", "message": "busy"}, ModelErrorKind.UNAVAILABLE, None),
        ({"code": "429", "message": "busy"}, ModelErrorKind.RATE_LIMITED, 429),
        ({"code": "9" * 5000, "message": "busy"}, ModelErrorKind.UNAVAILABLE, None),
    ],
    ids=["a code", "a status", "digits without end"],
)
def test_a_code_is_a_status_only_if_it_can_be_one(
    said: dict[str, str], kind: ModelErrorKind, status: int | None
) -> None:
    error = ErrorWords("openai", api_key=None).of_object(said)

    assert (error.kind, error.status) == (kind, status)


@pytest.mark.parametrize(
    "message",
    [
        "The input token count (9) exceeds the maximum number of tokens allowed (8).",
        "This model's maximum prompt length is 8 but the request contains 9 tokens.",
        "Input is too long for requested model.",
        "the request exceeds the available context size, try increasing it",
        "input length and `max_tokens` exceed context limit: 9 + 16000 > 8",
    ],
)
def test_a_prompt_that_is_too_long_is_known_in_the_words_of_many_providers(message: str) -> None:
    body = orjson.dumps({"error": {"message": message}})

    error = ErrorWords("openai", api_key=None).of_response(httpx.Response(400), body)

    assert error.kind is ModelErrorKind.CONTEXT_TOO_LONG


@pytest.mark.parametrize(("first", "idle"), [("5", 60.0), ("240", 240.0)])
def test_a_model_may_be_as_silent_between_tokens_as_before_the_first(
    first: str, idle: float
) -> None:
    settings = load_settings({"MODEL_FIRST_TOKEN_TIMEOUT_S": first}, Path("/dev/null"))

    timeouts = model_timeouts(settings)

    assert (timeouts.first_token_s, timeouts.idle_s) == (float(first), idle)


@pytest.mark.parametrize(
    ("key", "said"), [("x", "The maximum is 7."), ("sk-12345678", "Wrong: [key]")]
)
def test_only_what_can_be_a_secret_is_hidden(key: str, said: str) -> None:
    words = ErrorWords("openai", api_key=key)

    assert words.clean("The maximum is 7." if key == "x" else f"Wrong: {key}") == said


@pytest.mark.parametrize(
    ("told", "counted"), [(-5, 0), (1e30, MOST_TOKENS), (None, 0), ("12", 0), (12.0, 12)]
)
def test_a_count_of_tokens_can_always_be_stored(told: object, counted: int) -> None:
    assert count_of(told) == counted


@pytest.mark.parametrize(
    ("reader", "chunks"),
    [
        (
            ChatCompletionReader(ASK, WORDS),
            [
                {"choices": [{"finish_reason": "stop"}]},
                {"usage": {"prompt_tokens": 1e30, "completion_tokens": -7}},
            ],
        ),
        (
            MessagesReader(ASK, WORDS),
            [
                {"type": "message_start", "message": {"usage": {"input_tokens": 1e30}}},
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": "end_turn"},
                    "usage": {"output_tokens": -7},
                },
            ],
        ),
        (
            OllamaReader(ASK, WORDS, 0),
            [{"done": True, "prompt_eval_count": 1e30, "eval_count": -7}],
        ),
    ],
    ids=["openai", "anthropic", "ollama"],
)
def test_counts_that_make_no_sense_do_no_harm(
    reader: AnswerReader, chunks: Sequence[dict[str, object]]
) -> None:
    for chunk in chunks:
        reader.read(orjson.dumps(chunk))

    usage, finished = reader.conclude()

    assert usage == TokenUsage(input_tokens=MOST_TOKENS, output_tokens=0)
    assert finished == Finished(FinishReason.STOP)
