"""Further providers are set up by settings alone, and cost nothing where nobody asks for them."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.failures import StartRefused
from app.model_clients import check_default_model, model_clients
from app.settings import Settings
from domain.models.ports import ChatMessage, Finished, FinishReason, ModelRequest
from tests.ports.model_rig import KEY, PROVIDERS, collect
from tests.ports.scripted_openai import ScriptedOpenAI

WITHOUT_KEY = "Set the `TOGETHER_API_KEY` environment variable to use the Together AI provider."
SERVE_AND_LIST = """
import asyncio, sys
from app.container import Role, open_container
from app.settings import load_settings

async def main():
    async with open_container(load_settings(), Role.EMBEDDED) as container:
        print(*container.models.names)
        print(*(name for name in {names} if name in sys.modules))

asyncio.run(main())
"""


async def test_a_model_by_its_prefix_is_asked_with_the_key_and_address_of_the_settings() -> None:
    async with ScriptedOpenAI() as provider:
        provider.answer("ok")
        settings = Settings(
            model_provider="providers",
            model_name=PROVIDERS.model,
            openai_api_key=KEY,
            openai_base_url=provider.base_url,
        )
        await check_default_model(settings)
        models = model_clients(settings)

        client = models.resolve(None, None)
        ask = ModelRequest(
            model=PROVIDERS.model, messages=[ChatMessage(role="user", content="Hello")]
        )
        events, error = await collect(client, ask)
        await models.aclose()

    assert (client.name, error) == ("providers", None)
    assert events[-1] == Finished(FinishReason.STOP)
    assert provider.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            "nobody:m",
            "knows no provider 'nobody'; a model is named like groq:llama-3.3-70b-versatile.",
        ),
        ("together:m", f"cannot be asked for together:m: {WITHOUT_KEY}"),
    ],
)
async def test_a_default_model_that_can_never_be_asked_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, model: str, said: str
) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)

    with pytest.raises(StartRefused) as refused:
        await check_default_model(Settings(model_provider="providers", model_name=model))

    assert str(refused.value) == f"MODEL_PROVIDER=providers {said}"


async def test_packages_that_are_not_installed_are_named_with_the_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "app.adapters.model_providers_calls", raising=False)
    monkeypatch.setitem(sys.modules, "pydantic_ai.direct", None)

    with pytest.raises(StartRefused) as refused:
        await check_default_model(Settings(model_provider="providers", model_name=PROVIDERS.model))

    assert str(refused.value) == (
        "MODEL_PROVIDER=providers needs packages that are not installed; run `make providers`."
    )


def test_a_server_that_asks_no_further_provider_loads_nothing_of_them(tmp_path: Path) -> None:
    heavy = ("pydantic_ai", "openai", "httpx2")
    environment = {"GROQ_API_KEY": "gsk-1", "DATA_DIR": str(tmp_path), "GOB_ENV_FILE": "/dev/null"}

    ended = subprocess.run(
        [sys.executable, "-c", SERVE_AND_LIST.format(names=heavy)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert ended.stdout.split("\n")[-3:] == ["offline providers simulated", "", ""]
