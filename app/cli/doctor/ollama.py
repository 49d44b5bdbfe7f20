"""Ollama, by its own endpoints: does it run, is the model there, and what can it do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import httpx
import orjson

from app.adapters.certificates import trust_for
from app.cli.doctor.checks import Check, failed, fine, warning
from app.cli.doctor.model_trouble import CERTIFICATE, Asked, listed, trouble
from app.cli.doctor.models import LIST_S, WITHOUT_CALLS, ask, names_in, shown_address
from app.settings import ModelProvider, Settings
from domain.models.ports import ModelError

START = "Start it with `ollama serve`, or set OLLAMA_BASE_URL to where it runs."
NOT_OLLAMA = "Set OLLAMA_BASE_URL to where Ollama runs, such as http://localhost:11434."
NO_TOOLS = (
    "Choose a model that calls tools, or give the agents that use this one `allowedTools: []`."
)


class NoOllamaError(Exception):
    """Ollama does not answer, or what answers is something else; carries the cure."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.cure = cure


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What Ollama says of a model; None where it does not say."""

    calls_tools: bool | None
    window: int | None
    """Tokens that it can read and write together."""


async def look_at_ollama(settings: Settings, name: str, *, calls: bool) -> Check:
    """Look at the server, at the model, and ask it."""
    address = settings.ollama_base_url.rstrip("/").removesuffix("/v1").removesuffix("/api")
    is_default = settings.model_provider is ModelProvider.OLLAMA
    model = settings.default_model if is_default else ""
    if not calls:
        said = f", model {model}" if model else ""
        return fine(name, f"ollama at {shown_address(address)}{said}; {WITHOUT_CALLS}")
    async with httpx.AsyncClient(
        base_url=address, timeout=LIST_S, trust_env=False, verify=trust_for(address)
    ) as http:
        server = _Server(http, shown_address(address))
        try:
            place = f"Ollama {await server.version()} at {shown_address(address)}"
            there = await server.models()
            if not model:
                return _without_model(name, place, there)
            if not is_pulled(model, there):
                return _not_pulled(name, place, model, there)
            about = await server.about(model)
        except NoOllamaError as error:
            return failed(name, str(error), error.cure)
    asked = Asked(name=name, provider="ollama", place=place, model=model)
    return await _asked(settings, asked, about)


def is_pulled(model: str, there: Sequence[str]) -> bool:
    """True when the model is there; a name without a tag means `latest`."""
    return (model if ":" in model else f"{model}:latest") in there


async def _asked(settings: Settings, asked: Asked, about: Model) -> Check:
    try:
        answered = await ask(settings, ModelProvider.OLLAMA, asked.model)
    except ModelError as error:
        return trouble(error, asked)
    found = f"{asked.place}, model {asked.model} {answered}"
    size = settings.ollama_num_ctx
    if about.window is not None and size > about.window:
        cure = f"Set OLLAMA_NUM_CTX to {about.window} at most."
        found += f"; it has room for {about.window:,} tokens and OLLAMA_NUM_CTX is {size:,}"
        return warning(asked.name, found, cure)
    if about.calls_tools is False:
        return warning(asked.name, f"{found}; it cannot call tools", NO_TOOLS)
    room = f", {size:,} tokens of context" if size else ""
    of = f" of {about.window:,}" if size and about.window is not None else ""
    return fine(asked.name, f"{found}{room}{of}")


def _without_model(name: str, place: str, there: Sequence[str]) -> Check:
    if not there:
        return warning(name, f"{place}; no model is pulled", "Pull one: `ollama pull qwen3`.")
    return fine(name, f"{place}; pulled are {listed(there)}")


def _not_pulled(name: str, place: str, model: str, there: Sequence[str]) -> Check:
    found = f"{place} has no model {model}; pulled are: {listed(there)}"
    instead = ", or set MODEL_NAME to one that is" if there else ""
    return failed(name, found, f"Pull it with `ollama pull {model}`{instead}.")


class _Server:
    """Ollama's endpoints that tell about it."""

    def __init__(self, http: httpx.AsyncClient, place: str) -> None:
        self._http = http
        self._place = place

    async def version(self) -> str:
        """Its version."""
        answer = await self._ask("GET", "/api/version")
        return str(answer.get("version", "of unknown version"))

    async def models(self) -> Sequence[str]:
        """Names of the models that are pulled."""
        answer = await self._ask("GET", "/api/tags")
        return names_in(answer, "models", "name") or ()

    async def about(self, model: str) -> Model:
        """What the model can do."""
        answer = await self._ask("POST", "/api/show", {"model": model})
        can: object = answer.get("capabilities")
        facts = cast("Mapping[str, Any]", answer.get("model_info") or {})
        windows = [value for name, value in facts.items() if name.endswith(".context_length")]
        window = windows[0] if windows and isinstance(windows[0], int) else None
        tools = "tools" in cast("Sequence[str]", can) if isinstance(can, list) else None
        return Model(calls_tools=tools, window=window)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise NoOllamaError(
                f"Ollama does not answer at {self._place}: {reason}",
                CERTIFICATE if "certificate verify failed" in reason else START,
            ) from error
        try:
            document: object = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            document = None
        if answer.status_code != 200 or not isinstance(document, dict):
            message = f"What answers at {self._place} is not Ollama (HTTP {answer.status_code})"
            raise NoOllamaError(message, NOT_OLLAMA)
        return cast("Mapping[str, Any]", document)
