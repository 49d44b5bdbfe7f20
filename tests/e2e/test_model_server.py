"""The real server against model servers that stream, stumble and break off."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.graphql_client import Client, Item, is_delta, numbers, text_of
from tests.e2e.stored import rows
from tests.ports.acts import (
    Act,
    Call,
    Cut,
    Done,
    Endless,
    Error,
    Finish,
    Raw,
    Reason,
    Say,
    Usage,
    Wait,
)
from tests.ports.scripted_anthropic import ScriptedAnthropic
from tests.ports.scripted_ollama import ScriptedOllama
from tests.ports.scripted_openai import ScriptedOpenAI
from tests.ports.scripted_server import ScriptedServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL_KEY = "sk-scripted-1234567890abcdef"
WIRES = (
    pytest.param("openai", "openai", "scripted-1", id="openai"),
    pytest.param("anthropic", "anthropic", "scripted-1", id="anthropic"),
    pytest.param("ollama", "ollama", "scripted-1", id="ollama"),
    pytest.param("providers", "openai", "openai-chat:m", id="providers"),
)
"""A provider, the wire it speaks, and a model of it."""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HALF_CHUNK = b'data: {"choices": [{"index": 0, "delta": {"content": "x"\n\n'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def speakers() -> AsyncGenerator[Mapping[str, ScriptedServer], None]:
    """A model server for each wire."""
    async with ScriptedOpenAI() as one, ScriptedAnthropic() as two, ScriptedOllama() as three:
        yield {"openai": one, "anthropic": two, "ollama": three}


@pytest.fixture(scope="module")
def provider(speakers: Mapping[str, ScriptedServer]) -> ScriptedServer:
    """The model server that is asked where a run names no model."""
    return speakers["openai"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gob(
    speakers: Mapping[str, ScriptedServer], tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[GobProcess, None]:
    """Our server, which asks those and tries once more."""
    settings = {
        "MODEL_PROVIDER": "openai",
        "OPENAI_BASE_URL": speakers["openai"].base_url,
        "OPENAI_API_KEY": MODEL_KEY,
        "ANTHROPIC_BASE_URL": speakers["anthropic"].base_url,
        "ANTHROPIC_API_KEY": MODEL_KEY,
        "OLLAMA_BASE_URL": speakers["ollama"].base_url,
        "GROQ_API_KEY": MODEL_KEY,
        "MODEL_NAME": "scripted-1",
        "MODEL_MAX_RETRIES": "1",
    }
    with GobProcess(tmp_path_factory.mktemp("with-model"), settings) as process:
        yield process
        assert TRACEBACK not in process.err
        assert MODEL_KEY not in process.err


@pytest_asyncio.fixture(loop_scope="module")
async def client(
    gob: GobProcess, speakers: Mapping[str, ScriptedServer]
) -> AsyncGenerator[Client, None]:
    """A client; each of its tests asks for all that it scripted."""
    for speaker in speakers.values():
        speaker.requests.clear()
    async with Client.of(gob, traceparent=f"00-{TRACE}-00f067aa0ba902b7-01") as opened:
        yield opened
    assert [speaker.unplayed for speaker in speakers.values()] == [0, 0, 0]


def kinds(items: Sequence[Item]) -> list[str]:
    """What happened, pieces of text left out."""
    return [item["__typename"] for item in items if not is_delta(item)]


async def test_text_streams_while_the_model_writes_it(client: Client, provider: ScriptedServer):
    go_on = asyncio.Event()
    provider.script(Say("Hello "), Wait(go_on), Say("world"), Finish(), Usage(7, 2), Done())

    run = await client.execute("Say hello")
    seen = await client.events_until(run["id"], is_delta)
    go_on.set()
    rest = await client.story(run["id"], seen[-1]["cursor"])
    ended = await client.run(run["id"])

    assert text_of(seen) == "Hello "
    assert text_of([*seen, *rest]) == rest[-1]["output"] == "Hello world"
    assert numbers([*seen, *rest]) == list(range(1, rest[-1]["seq"] + 1))
    assert (ended["status"], ended["offline"]) == ("SUCCEEDED", False)
    assert ended["usage"] == {
        "inputTokens": 7,
        "outputTokens": 2,
        "modelCalls": 1,
        "toolCalls": 0,
    }


async def test_the_server_says_which_providers_are_set_up(client: Client):
    seen = await client.ask(
        "{ serverInfo { offline hint modelProviders { name configured models } } }"
    )

    assert (seen["serverInfo"]["offline"], seen["serverInfo"]["hint"]) == (False, None)
    providers = {each.pop("name"): each for each in seen["serverInfo"]["modelProviders"]}
    assert providers.pop("openai") == {"configured": True, "models": ["scripted-1"]}
    assert set(providers) == {"anthropic", "ollama", "providers", "offline", "simulated"}
    assert all(each == {"configured": True, "models": []} for each in providers.values())


async def test_the_model_server_gets_key_model_trace_and_tools(
    client: Client, provider: ScriptedServer
):
    provider.answer("Hi")

    run = await client.execute("Say hi", waitSeconds=30)

    (request,) = provider.requests
    assert run["traceId"] == TRACE
    assert request.headers["traceparent"].split("-")[1] == TRACE
    assert request.headers["authorization"] == f"Bearer {MODEL_KEY}"
    assert (request.body["model"], request.body["stream"]) == ("scripted-1", True)
    assert request.body["messages"][-1] == {"role": "user", "content": "Say hi"}
    assert "calculate" in {tool["function"]["name"] for tool in request.body["tools"]}


async def test_a_tool_call_goes_there_and_back(client: Client, provider: ScriptedServer):
    provider.script(Call("calculate", '{"expression": "2*21"}'), Finish("tool_calls"), Usage())
    provider.answer("It is 42.")

    run = await client.execute("What is 2*21?", waitSeconds=30)
    items = await client.story(run["id"])

    assert (run["status"], run["output"]) == ("SUCCEEDED", "It is 42.")
    assert kinds(items) == [
        "RunStarted",
        "UsageUpdated",
        "ToolCallStarted",
        "ToolCallFinished",
        "UsageUpdated",
        "RunFinished",
    ]
    asked, told = provider.requests[1].body["messages"][-2:]
    assert asked["tool_calls"][0]["function"]["name"] == "calculate"
    assert told["role"] == "tool"
    assert told["tool_call_id"] == asked["tool_calls"][0]["id"] == "call_a"
    assert json.loads(told["content"]) == {"value": 42, "text": "42"}


async def test_two_calls_at_once_and_one_that_fails_go_back_to_the_model(
    client: Client, provider: ScriptedServer
):
    good = Call("calculate", '{"expression": "1+1"}', id="call_1", index=0)
    bad = Call("calculate", '{"expression": 5}', id="call_2", index=1)
    provider.script(good, bad, Finish("tool_calls"), Usage())
    provider.answer("One worked.")

    run = await client.execute("Try two", waitSeconds=30)
    items = await client.story(run["id"])

    ended = [item for item in items if item["__typename"] == "ToolCallFinished"]
    assert sorted(item["toolStatus"] for item in ended) == ["FAILED", "SUCCEEDED"]
    assert (run["status"], run["usage"]["toolCalls"]) == ("SUCCEEDED", 2)
    told = [m for m in provider.requests[1].body["messages"] if m["role"] == "tool"]
    assert [message["tool_call_id"] for message in told] == ["call_1", "call_2"]


async def test_a_rate_limit_is_waited_out_and_told(client: Client, provider: ScriptedServer):
    provider.fail(429, message="slow down", headers={"Retry-After": "1"})
    provider.answer("At last")

    run = await client.execute("Be patient", waitSeconds=30)
    items = await client.story(run["id"])

    assert (run["status"], run["output"]) == ("SUCCEEDED", "At last")
    assert kinds(items) == ["RunStarted", "Retrying", "UsageUpdated", "RunFinished"]
    (retrying,) = [item for item in items if item["__typename"] == "Retrying"]
    assert (retrying["attempt"], retrying["delayMs"]) == (2, 1000)
    assert retrying["error"]["code"] == "MODEL_RATE_LIMITED"
    assert len(provider.requests) == 2


async def test_server_errors_without_end_fail_the_run(client: Client, provider: ScriptedServer):
    provider.fail(500)
    provider.fail(503)

    run = await client.execute("Try", waitSeconds=30)
    items = await client.story(run["id"])

    assert (run["status"], run["output"]) == ("FAILED", None)
    assert run["error"]["code"] == "MODEL_UNAVAILABLE"
    assert run["error"]["retryable"] is True
    assert kinds(items) == ["RunStarted", "Retrying", "RunFailed"]


BROKEN: dict[str, tuple[list[Act], str, str | None]] = {
    "cut": ([Say("Half a ", "sen"), Cut()], "MODEL_BAD_RESPONSE", "Half a sen"),
    "malformed chunk": ([Say("Half"), Raw(HALF_CHUNK)], "MODEL_BAD_RESPONSE", "Half"),
    "no finish reason": ([Say("Half"), Done()], "MODEL_BAD_RESPONSE", "Half"),
    "no end at all": ([Say("Half")], "MODEL_BAD_RESPONSE", "Half"),
    "nothing": ([Done()], "MODEL_BAD_RESPONSE", None),
    "too long": ([Say("Half"), Finish("length"), Done()], "MODEL_BAD_RESPONSE", "Half"),
    "filtered": ([Finish("content_filter"), Done()], "MODEL_REFUSED", None),
    "an error in it": ([Say("Half"), Error({"message": "boom"})], "MODEL_UNAVAILABLE", "Half"),
    "half a call": (
        [Call("calculate", '{"expression": "1'), Done()],
        "MODEL_BAD_RESPONSE",
        None,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_stream_is_a_failed_run_with_a_code_and_what_came(
    client: Client, provider: ScriptedServer, name: str
):
    acts, code, partial = BROKEN[name]
    provider.script(*acts)

    run = await client.execute("Try", waitSeconds=30)
    items = await client.story(run["id"])

    assert (run["status"], run["error"]["code"]) == ("FAILED", code)
    assert (run["output"] or None) == partial
    assert (items[-1]["__typename"], items[-1]["error"]["code"]) == ("RunFailed", code)
    assert (text_of(items) or None) == partial


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "MODEL_UNAVAILABLE"), (400, "MODEL_BAD_RESPONSE"), (404, "MODEL_BAD_RESPONSE")],
)
async def test_a_refusal_of_the_model_server_is_not_tried_again(
    client: Client, provider: ScriptedServer, status: int, code: str
):
    provider.fail(status, message="no")

    run = await client.execute("Try", waitSeconds=30)

    assert (run["status"], run["error"]["code"]) == ("FAILED", code)
    assert run["error"]["retryable"] is False
    assert len(provider.requests) == 1


@pytest.mark.parametrize(("name", "wire", "model"), WIRES)
async def test_a_tool_call_goes_there_and_back_on_each_wire(
    *, client: Client, speakers: Mapping[str, ScriptedServer], name: str, wire: str, model: str
):
    speaker = speakers[wire]
    speaker.script(
        Reason("Add."),
        Say("Let me see."),
        Call("calculate", '{"expression": "2*21"}'),
        Finish("tool_calls"),
        Usage(7, 3),
        Done(),
    )
    speaker.answer("It is 42.")

    asked = {"provider": name, "name": model}
    run = await client.execute("What is 2*21?", model=asked, waitSeconds=30)

    assert (run["status"], run["output"], run["error"]) == ("SUCCEEDED", "It is 42.", None)
    usage = {"inputTokens": 14, "outputTokens": 6, "modelCalls": 2, "toolCalls": 1}
    assert run["usage"] == usage
    told = json.dumps(speaker.requests[1].body["messages"])
    assert r"{\"value\":42,\"text\":\"42\"}" in told


@pytest.mark.parametrize(("name", "wire", "model"), WIRES)
async def test_a_cancelled_run_leaves_its_model_in_mid_stream_and_keeps_what_it_said(
    *, client: Client, speakers: Mapping[str, ScriptedServer], name: str, wire: str, model: str
):
    speakers[wire].script(Say("As I was "), Endless(pause_s=0.005))
    run = await client.execute("Talk", model={"provider": name, "name": model})
    await client.events_until(run["id"], is_delta)

    answer = await client.cancel(run["id"], "enough")

    assert answer["run"]["status"] == "CANCELLED"
    assert answer["run"]["output"].replace("more ", "") == "As I was "
    async with asyncio.timeout(30):
        await speakers[wire].requests[0].disconnected.wait()


async def test_a_model_server_that_is_gone_fails_the_run(tmp_path: Path):
    async with ScriptedOpenAI() as gone:
        base_url = gone.base_url
    settings = {
        "MODEL_PROVIDER": "openai",
        "OPENAI_BASE_URL": base_url,
        "MODEL_MAX_RETRIES": "0",
        "DB_URL": f"sqlite:///{tmp_path / 'gob.db'}",
    }
    with GobProcess(tmp_path, settings) as process:
        async with Client.of(process) as client:
            run = await client.execute("Try", waitSeconds=30)

    assert (run["status"], run["error"]["code"]) == ("FAILED", "MODEL_UNAVAILABLE")
    assert TRACEBACK not in process.err
    assert await rows(settings["DB_URL"], "SELECT status FROM run_step") == [("FAILED",)]
