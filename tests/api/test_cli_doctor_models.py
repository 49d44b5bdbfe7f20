"""`gob doctor` asks the models that are set up, and tells one kind of trouble from another."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.cli.doctor.checks import Check, Status
from app.cli.doctor.model_trouble import CERTIFICATE, LOADING, Asked, trouble
from app.cli.doctor.models import look_at_model, providers_to_ask
from app.cli.doctor.ollama import NO_TOOLS
from app.settings import ModelProvider, Settings, load_settings
from domain.models.ports import ModelError, ModelErrorKind
from tests.ports.scripted_openai import Done, Finish, Say, ScriptedOpenAI, Usage
from tests.server_processes import free_port

NO_FILE = Path("/dev/null")
KEY = "sk-never-to-be-seen"
OPENAI = ModelProvider.OPENAI
OLLAMA = ModelProvider.OLLAMA


@pytest_asyncio.fixture
async def server() -> AsyncGenerator[ScriptedOpenAI, None]:
    async with ScriptedOpenAI() as wire:
        yield wire


def openai_at(address: str, **more: str) -> Settings:
    given = {"MODEL_PROVIDER": "openai", "OPENAI_BASE_URL": address, "OPENAI_API_KEY": KEY}
    return load_settings({**given, **more}, NO_FILE)


def ollama_at(address: str, **more: str) -> Settings:
    given = {"MODEL_PROVIDER": "ollama", "OLLAMA_BASE_URL": address, "MODEL_NAME": "qwen3"}
    return load_settings({**given, **more}, NO_FILE)


async def look(settings: Settings, *, calls: bool = True) -> Check:
    check = await look_at_model(settings, settings.model_provider, calls=calls)
    assert KEY not in repr(check)
    return check


async def test_a_model_that_answers_was_really_asked(server: ScriptedOpenAI):
    server.answer("OK")

    seen = await look(openai_at(server.base_url))

    assert (seen.name, seen.status, seen.cure) == ("model", Status.OK, None)
    assert seen.found.startswith(f"openai at {server.base_url}, model gpt-4.1-mini answers in ")
    assert seen.found.endswith(" s, 8 tokens")
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body["max_tokens"] == 32


async def test_a_model_that_wants_its_bound_by_another_name_gets_it(server: ScriptedOpenAI):
    server.fail(400, message="Unsupported parameter: 'max_tokens'")
    server.answer("OK")

    seen = await look(openai_at(server.base_url))

    assert seen.status is Status.OK
    assert server.requests[1].body["max_completion_tokens"] == 32
    assert "max_tokens" not in server.requests[1].body


async def test_an_answer_that_was_cut_at_its_few_tokens_is_one(server: ScriptedOpenAI):
    server.script(Finish("length"), Usage(), Done())

    seen = await look(openai_at(server.base_url))

    assert seen.status is Status.OK


async def test_a_stream_that_breaks_is_the_servers_trouble(server: ScriptedOpenAI):
    server.script(Say("O"), Done())

    seen = await look(openai_at(server.base_url))

    assert seen.status is Status.FAILED
    assert seen.cure == (
        "What answers does not keep to its API; look at the log of the model server."
    )


async def test_without_calls_nothing_is_asked(server: ScriptedOpenAI):
    seen = await look(openai_at(server.base_url), calls=False)

    assert seen.status is Status.OK
    assert seen.found.endswith(", model gpt-4.1-mini; not asked (--no-calls)")
    assert server.requests == []


TROUBLE: Mapping[str, tuple[int, str, str | None, Status, str]] = {
    "key": (
        401,
        "Incorrect API key provided",
        "invalid_api_key",
        Status.FAILED,
        "Check OPENAI_API_KEY; it is wrong or revoked, or may not use this model.",
    ),
    "quota": (
        429,
        "You exceeded your current quota, please check your plan and billing details",
        "insufficient_quota",
        Status.FAILED,
        "The account has no credit left; add some, or use another OPENAI_API_KEY.",
    ),
    "busy": (
        429,
        "Rate limit reached for requests",
        "rate_limit_exceeded",
        Status.WARNING,
        "It works and is busy: wait, or ask the provider for more a minute.",
    ),
    "down": (
        503,
        "overloaded",
        None,
        Status.FAILED,
        "Look at the log of the model server, or try later.",
    ),
}


@pytest.mark.parametrize("name", TROUBLE)
async def test_each_trouble_has_a_cure_of_its_own(server: ScriptedOpenAI, name: str):
    status, message, code, expected, cure = TROUBLE[name]
    server.fail(status, message=message, code=code)

    seen = await look(openai_at(server.base_url))

    assert (seen.status, seen.cure) == (expected, cure)
    assert message in seen.found
    chats = [one for one in server.requests if one.path.endswith("/chat/completions")]
    assert len(chats) == 1


async def test_a_model_that_is_missing_leads_to_those_that_are_there(server: ScriptedOpenAI):
    server.fail(404, message="The model `gpt-9` does not exist", code="model_not_found")
    models = {"data": [{"id": "gpt-b"}, {"id": "gpt-a"}, "odd", 1, None]}
    server.reply(200, json.dumps(models).encode())

    seen = await look(openai_at(server.base_url, MODEL_NAME="gpt-9"))

    assert seen.status is Status.FAILED
    assert seen.cure == "Set MODEL_NAME to a model that is there: gpt-a, gpt-b."


@pytest.mark.parametrize(
    "reply", [(404, b"<html>Not Found</html>"), (200, b"<html>Welcome</html>")], ids=["404", "200"]
)
async def test_a_wrong_address_is_told_from_a_missing_model(
    server: ScriptedOpenAI, reply: tuple[int, bytes]
):
    status, body = reply
    server.reply(status, body, content_type="text/html")
    server.reply(404, body, content_type="text/html")

    seen = await look(openai_at(server.base_url))

    assert seen.status is Status.FAILED
    assert seen.cure == (
        "Check OPENAI_BASE_URL; it should be an http:// or https:// address that ends before "
        "/chat/completions."
    )


async def test_a_server_that_is_not_there_is_said_to_be_away():
    seen = await look(openai_at(f"http://127.0.0.1:{free_port()}/v1"))

    assert seen.cure == "Check OPENAI_BASE_URL, the network, and that the server runs."


async def test_a_server_that_wants_a_key_says_which(server: ScriptedOpenAI):
    server.fail(401, message="no key")

    seen = await look(openai_at(server.base_url, OPENAI_API_KEY=""))

    assert seen.cure == "The server wants a key; set OPENAI_API_KEY."


def test_every_provider_that_is_set_up_is_asked():
    settings = load_settings({"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY}, NO_FILE)

    assert providers_to_ask(settings) == [
        ModelProvider.OFFLINE,
        ModelProvider.OPENAI,
        ModelProvider.ANTHROPIC,
    ]


async def test_a_provider_beside_the_default_is_asked_for_its_usual_model(server: ScriptedOpenAI):
    server.fail(401, message="no")
    settings = load_settings(
        {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{server.port}"},
        NO_FILE,
    )

    seen = await look_at_model(settings, ModelProvider.ANTHROPIC, calls=True)

    assert (seen.name, seen.status) == ("model anthropic", Status.FAILED)
    assert ", model claude-haiku-4-5: " in seen.found
    assert seen.cure is not None
    assert seen.cure.startswith("Check ANTHROPIC_API_KEY; ")
    assert server.requests[0].path == "/v1/messages"


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (
            ModelError(ModelErrorKind.REJECTED, "providers needs a package for groq."),
            "Do what it says, or set MODEL_NAME to a model of another provider.",
        ),
        (
            ModelError(ModelErrorKind.UNAVAILABLE, "providers cannot be reached at groq.com"),
            "Check the network and what the provider says of its state, or try later.",
        ),
        (
            ModelError(ModelErrorKind.UNAUTHORIZED, "providers answered HTTP 401", status=401),
            "Check the key of this provider.",
        ),
        (
            ModelError(ModelErrorKind.TIMEOUT, "providers sent no token within 30 s."),
            LOADING,
        ),
        (
            ModelError(
                ModelErrorKind.UNAVAILABLE,
                "providers cannot be reached at house: certificate verify failed: self-signed",
            ),
            CERTIFICATE,
        ),
    ],
)
def test_a_provider_that_knows_its_own_address_has_cures_too(error: ModelError, cure: str):
    asked = Asked(name="model", provider="providers", place="providers", model="groq:x")

    seen = trouble(error, asked)

    assert seen.cure == cure
    assert seen.found.startswith("providers, model groq:x: ")


class Ollama:
    """Ollama's endpoints, as scripted: what it is, what it has, and what a model can do."""

    def __init__(self, wire: ScriptedOpenAI) -> None:
        self._wire = wire
        self.address = f"http://127.0.0.1:{wire.port}"

    def has(self, *models: str) -> None:
        self.says({"version": "0.12.3"})
        named: list[object] = [{"name": model} for model in models]
        self.says({"models": [*named, "odd", 1, None]})

    def shows(self, *, can: Sequence[str], window: int = 40_960) -> None:
        self.says({"capabilities": list(can), "model_info": {"qwen3.context_length": window}})

    def chats(self) -> None:
        lines = [
            {"message": {"role": "assistant", "content": "OK"}, "done": False},
            {
                "message": {"role": "assistant", "content": ""},
                "done": True,
                "done_reason": "stop",
                "prompt_eval_count": 12,
                "eval_count": 2,
            },
        ]
        body = "".join(f"{json.dumps(line)}\n" for line in lines)
        self._wire.reply(200, body.encode(), content_type="application/x-ndjson")

    def says(self, document: Mapping[str, Any], status: int = 200) -> None:
        self._wire.reply(status, json.dumps(document).encode())


@pytest.fixture
def ollama(server: ScriptedOpenAI) -> Ollama:
    return Ollama(server)


async def test_ollama_that_does_not_run_is_to_be_started():
    address = f"http://127.0.0.1:{free_port()}"

    seen = await look(ollama_at(address))

    assert seen.status is Status.FAILED
    assert seen.found.startswith(f"Ollama does not answer at {address}: ")
    assert seen.cure == "Start it with `ollama serve`, or set OLLAMA_BASE_URL to where it runs."


async def test_what_is_not_ollama_is_told(ollama: Ollama):
    ollama.says({"error": "nothing here"}, 404)

    seen = await look(ollama_at(ollama.address))

    assert seen.found == f"What answers at {ollama.address} is not Ollama (HTTP 404)"
    assert seen.cure == (
        "Set OLLAMA_BASE_URL to where Ollama runs, such as http://localhost:11434."
    )


async def test_a_model_that_was_not_pulled_is_to_be_pulled(ollama: Ollama):
    ollama.has("llama3.2:3b", "gemma3:latest")

    seen = await look(ollama_at(ollama.address))

    assert seen.found == (
        f"Ollama 0.12.3 at {ollama.address} has no model qwen3; pulled are: "
        "gemma3:latest, llama3.2:3b"
    )
    assert seen.cure == "Pull it with `ollama pull qwen3`, or set MODEL_NAME to one that is."


async def test_a_model_of_ollama_was_really_asked(ollama: Ollama, server: ScriptedOpenAI):
    ollama.has("qwen3:latest")
    ollama.shows(can=["completion", "tools"])
    ollama.chats()

    seen = await look(ollama_at(f"{ollama.address}/v1"))

    assert (seen.status, seen.cure) == (Status.OK, None)
    assert seen.found.startswith(f"Ollama 0.12.3 at {ollama.address}, model qwen3 answers in ")
    assert seen.found.endswith(" s, 14 tokens, 16,384 tokens of context of 40,960")
    assert [request.path for request in server.requests] == [
        "/api/version",
        "/api/tags",
        "/api/show",
        "/api/chat",
    ]
    assert server.requests[-1].body["options"] == {"num_ctx": 16384, "num_predict": 32}


@pytest.mark.parametrize(
    ("can", "window", "end", "cure"),
    [
        (
            ["completion"],
            40_960,
            "; it cannot call tools",
            NO_TOOLS,
        ),
        (
            ["completion", "tools"],
            8192,
            "; it has room for 8,192 tokens and OLLAMA_NUM_CTX is 16,384",
            "Set OLLAMA_NUM_CTX to 8192 at most.",
        ),
    ],
    ids=["tools", "context"],
)
async def test_what_a_model_of_ollama_cannot_do_is_told(
    ollama: Ollama, can: Sequence[str], window: int, end: str, cure: str
):
    ollama.has("qwen3:latest")
    ollama.shows(can=can, window=window)
    ollama.chats()

    seen = await look(ollama_at(ollama.address))

    assert (seen.status, seen.cure) == (Status.WARNING, cure)
    assert seen.found.endswith(end)


async def test_ollama_beside_the_default_tells_what_it_has(ollama: Ollama):
    ollama.has("qwen3:latest")
    settings = load_settings({"OLLAMA_BASE_URL": ollama.address}, NO_FILE)

    seen = await look_at_model(settings, OLLAMA, calls=True)

    assert (seen.name, seen.status) == ("model ollama", Status.OK)
    assert seen.found == f"Ollama 0.12.3 at {ollama.address}; pulled are qwen3:latest"
