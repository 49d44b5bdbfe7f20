"""Each client against aimock: what we think of a wire, held against what others think of it."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from app.adapters.model_anthropic import AnthropicModelClient
from app.adapters.model_http import ModelTimeouts, RetryPolicy
from app.adapters.model_ollama import OllamaModelClient
from app.adapters.model_openai import OpenAIModelClient
from app.adapters.model_providers import ProviderAccess, ProvidersModelClient
from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelClient,
    ModelErrorKind,
    ModelEvent,
    ModelRequest,
    ProviderState,
    ReasoningDelta,
    RetryScheduled,
    TextDelta,
    TokenUsage,
    ToolCallReady,
    ToolSpec,
)
from tests.peers.aimock import Aimock
from tests.ports.model_rig import KEY, Waits, collect

pytestmark = pytest.mark.peers

ANSWER = "The sum of two and two is four."
LONG = "word " * 200
HASTY = ModelTimeouts(first_token_s=0.3, idle_s=20.0)
CALLS = [
    {"id": "call_1", "name": "add", "arguments": {"a": 1}},
    {"id": "call_2", "name": "sub", "arguments": {"b": 2}},
]
TOOLS = [
    ToolSpec(
        name=name,
        description=f"Would {name}.",
        input_schema={"type": "object", "properties": {of: {"type": "integer"}}},
    )
    for name, of in (("add", "a"), ("sub", "b"))
]


@dataclass(frozen=True)
class Caller:
    """A client, the model it asks for, and what aimock tells on its wire."""

    make: Callable[[str, RetryPolicy, ModelTimeouts], ModelClient]
    model: str = "m-1"
    tells: frozenset[str] = frozenset({"calls", "usage", "reasoning", "length"})
    """Without `calls`, aimock's are none that the provider's own package reads."""


def _openai(url: str, retries: RetryPolicy, timeouts: ModelTimeouts) -> ModelClient:
    base_url = f"{url}/v1"
    return OpenAIModelClient(base_url=base_url, api_key=KEY, retries=retries, timeouts=timeouts)


def _anthropic(url: str, retries: RetryPolicy, timeouts: ModelTimeouts) -> ModelClient:
    return AnthropicModelClient(base_url=url, api_key=KEY, retries=retries, timeouts=timeouts)


def _ollama(url: str, retries: RetryPolicy, timeouts: ModelTimeouts) -> ModelClient:
    return OllamaModelClient(base_url=url, retries=retries, timeouts=timeouts)


def _providers(url: str, retries: RetryPolicy, timeouts: ModelTimeouts) -> ModelClient:
    there, beneath = (ProviderAccess(api_key=KEY, base_url=base) for base in (url, f"{url}/v1"))
    access = {"openai-chat": beneath, "openai": beneath}
    access |= {"google": there, "groq": there, "mistral": there}
    return ProvidersModelClient(access, retries=retries, timeouts=timeouts)


ALL = {
    "openai": Caller(_openai),
    "anthropic": Caller(_anthropic),
    "ollama": Caller(_ollama, tells=frozenset({"calls"})),
    "openai-chat": Caller(_providers, "openai-chat:m-1"),
    "openai-responses": Caller(
        _providers, "openai:gpt-5", frozenset({"calls", "usage", "reasoning"})
    ),
    "google": Caller(
        _providers, "google:gemini-2.5-flash", frozenset({"usage", "reasoning", "length"})
    ),
    "groq": Caller(_providers, "groq:m-1", frozenset({"calls", "length"})),
    "mistral": Caller(_providers, "mistral:m-1", frozenset({"length"})),
}


def telling(what: str) -> list[str]:
    """Callers on whose wire aimock tells this."""
    return [name for name, caller in ALL.items() if what in caller.tells]


@pytest.fixture(scope="session")
def peer() -> Iterator[Aimock]:
    with Aimock() as peer:
        yield peer


@pytest.fixture
def aimock(peer: Aimock) -> Aimock:
    """The peer with nothing to say."""
    peer.forget()
    return peer


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def caller(request: pytest.FixtureRequest) -> Caller:
    return ALL[request.param]


@pytest.fixture
async def client(caller: Caller, aimock: Aimock, waits: Waits) -> AsyncIterator[ModelClient]:
    retries = RetryPolicy(max_attempts=3, sleep=waits, random=lambda: 0.0)
    client = caller.make(aimock.url, retries, ModelTimeouts(idle_s=20.0))
    yield client
    await client.aclose()


def ask(caller: Caller, *messages: ChatMessage) -> ModelRequest:
    return ModelRequest(model=caller.model, messages=messages, tools=TOOLS)


def user(text: str) -> ChatMessage:
    return ChatMessage(role="user", content=text)


def text_of(events: Sequence[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


every_caller = pytest.mark.parametrize("caller", ALL, indirect=True)


@every_caller
async def test_an_answer_is_read_whole(aimock: Aimock, caller: Caller, client: ModelClient) -> None:
    aimock.answer("hello", {"content": ANSWER})

    events, error = await collect(client, ask(caller, user("Say hello.")))

    assert error is None
    assert text_of(events) == ANSWER
    assert events[-1] == Finished(FinishReason.STOP)


@every_caller
async def test_instructions_arrive_as_such(
    aimock: Aimock, caller: Caller, client: ModelClient
) -> None:
    aimock.answer("hello", {"content": ANSWER}, match={"systemMessage": "Be brief."})
    system = ChatMessage(role="system", content="You add. Be brief.")

    events, error = await collect(client, ask(caller, system, user("Say hello.")))

    assert error is None
    assert text_of(events) == ANSWER


@pytest.mark.parametrize("caller", telling("usage"), indirect=True)
async def test_tokens_are_counted(aimock: Aimock, caller: Caller, client: ModelClient) -> None:
    counted = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    aimock.answer("hello", {"content": ANSWER, "usage": counted})

    events, _ = await collect(client, ask(caller, user("Say hello.")))

    assert [event for event in events if isinstance(event, TokenUsage)] == [
        TokenUsage(input_tokens=10, output_tokens=5)
    ]


@pytest.mark.parametrize("caller", telling("reasoning"), indirect=True)
async def test_reasoning_is_told_apart(aimock: Aimock, caller: Caller, client: ModelClient) -> None:
    aimock.answer("hello", {"content": ANSWER, "reasoning": "Two and two."})

    events, _ = await collect(client, ask(caller, user("Say hello.")))

    thought = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    assert (thought, text_of(events)) == ("Two and two.", ANSWER)


@pytest.mark.parametrize("caller", telling("length"), indirect=True)
async def test_an_answer_cut_by_its_length_says_so(
    aimock: Aimock, caller: Caller, client: ModelClient
) -> None:
    aimock.answer("hello", {"content": "The sum", "finishReason": "length"})

    events, error = await collect(client, ask(caller, user("Say hello.")))

    assert error is None
    assert events[-1] == Finished(FinishReason.LENGTH)


@pytest.mark.parametrize("caller", telling("calls"), indirect=True)
async def test_two_calls_go_out_whole_and_their_results_come_back(
    aimock: Aimock, caller: Caller, client: ModelClient
) -> None:
    aimock.answer(
        "hello", {"content": "I will.", "toolCalls": CALLS}, match={"hasToolResult": False}
    )
    aimock.answer("hello", {"content": ANSWER}, match={"hasToolResult": True})
    asked, error = await collect(client, ask(caller, user("Say hello.")))
    calls = tuple(event.call for event in asked if isinstance(event, ToolCallReady))
    states = [event for event in asked if isinstance(event, ProviderState)]

    answer = ChatMessage(role="assistant", content=text_of(asked), tool_calls=calls)
    if states:
        answer = replace(answer, provider_state=states[0])
    results = [
        ChatMessage(role="tool", content="3", tool_call_id=call.id, tool_name=call.name)
        for call in calls
    ]
    events, error_after = await collect(client, ask(caller, user("Say hello."), answer, *results))

    assert (error, error_after) == (None, None)
    assert text_of(asked) == "I will."
    assert [(call.name, call.arguments) for call in calls] == [
        ("add", '{"a":1}'),
        ("sub", '{"b":2}'),
    ]
    assert len({call.id for call in calls}) == 2
    assert asked[-1] == Finished(FinishReason.TOOL_CALLS)
    assert text_of(events) == ANSWER


@every_caller
async def test_a_rate_limit_is_waited_out(
    aimock: Aimock, caller: Caller, client: ModelClient, waits: Waits
) -> None:
    slow_down = {"error": {"message": "slow down", "type": "rate_limit_error"}, "status": 429}
    aimock.answer("hello", slow_down, match={"sequenceIndex": 0})
    aimock.answer("hello", {"content": ANSWER}, match={"sequenceIndex": 1})

    events, error = await collect(client, ask(caller, user("Say hello.")))

    assert error is None
    retry = events[0]
    assert isinstance(retry, RetryScheduled)
    assert retry.error.kind is ModelErrorKind.RATE_LIMITED
    assert "HTTP 429: slow down" in retry.error.message
    assert waits == [1.0]
    assert text_of(events) == ANSWER


@every_caller
@pytest.mark.parametrize(
    ("status", "said", "kind", "requests"),
    [
        (500, "it broke", ModelErrorKind.UNAVAILABLE, 3),
        (401, "who are you", ModelErrorKind.UNAUTHORIZED, 1),
        (400, "no such thing", ModelErrorKind.REJECTED, 1),
    ],
)
async def test_an_error_has_its_kind_and_its_words(
    *,
    aimock: Aimock,
    caller: Caller,
    client: ModelClient,
    status: int,
    said: str,
    kind: ModelErrorKind,
    requests: int,
) -> None:
    aimock.answer("hello", {"error": {"message": said, "type": "its_type"}, "status": status})

    events, error = await collect(client, ask(caller, user("Say hello.")))

    assert error is not None
    assert (error.kind, error.status) == (kind, status)
    assert f"answered HTTP {status}: {said}" in error.message
    assert text_of(events) == ""
    assert len(aimock.requests()) == requests


@every_caller
async def test_a_stream_cut_in_its_middle_is_no_answer(
    aimock: Aimock, caller: Caller, client: ModelClient, waits: Waits
) -> None:
    aimock.answer("hello", {"content": LONG}, truncateAfterChunks=20, latency=5)

    events, error = await collect(client, ask(caller, user("Say hello.")))

    assert error is not None
    assert error.kind is ModelErrorKind.BAD_RESPONSE
    assert "cut the connection" in error.message
    assert LONG.startswith(text_of(events))
    assert text_of(events) != ""
    assert (waits, len(aimock.requests())) == ([], 1)


@every_caller
async def test_a_connection_dropped_before_the_answer_is_tried_again(
    aimock: Aimock, caller: Caller, client: ModelClient, waits: Waits
) -> None:
    aimock.answer("hello", {"content": ANSWER}, chaos={"disconnectRate": 1})

    events, error = await collect(client, ask(caller, user("Say hello.")))

    assert error is not None
    assert error.kind is ModelErrorKind.UNAVAILABLE
    assert [type(event) for event in events] == [RetryScheduled, RetryScheduled]
    assert waits == [0.5, 1.0]


@every_caller
async def test_an_answer_that_is_no_json_is_a_bad_response(
    aimock: Aimock, caller: Caller, client: ModelClient
) -> None:
    aimock.answer("hello", {"content": ANSWER}, chaos={"malformedRate": 1})

    events, error = await collect(client, ask(caller, user("Say hello.")))

    assert error is not None
    assert error.kind is ModelErrorKind.BAD_RESPONSE
    assert events == []


@every_caller
async def test_a_model_that_says_nothing_is_given_up(aimock: Aimock, caller: Caller) -> None:
    aimock.answer("hello", {"content": ANSWER}, streamingProfile={"ttft": 60_000})
    client = caller.make(aimock.url, RetryPolicy(max_attempts=1), HASTY)

    events, error = await collect(client, ask(caller, user("Say hello.")))
    await client.aclose()

    assert error is not None
    assert error.kind is ModelErrorKind.TIMEOUT
    assert error.message.endswith("sent no token within 0.3 s.")
    assert events == []
