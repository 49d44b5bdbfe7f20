"""The model providers: each one that is set up is asked for a few tokens, as a run would ask."""

import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import orjson

from app.adapters.certificates import trust_for
from app.cli.doctor.checks import Check, fine
from app.cli.doctor.model_trouble import Asked, is_answer, trouble
from app.model_clients import client_of
from app.settings import ModelProvider, Settings
from app.settings_model import DEFAULT_MODELS, OPENAI_ADDRESS, words
from domain.models.ports import (
    ChatMessage,
    ModelClient,
    ModelError,
    ModelErrorKind,
    ModelRequest,
    TokenUsage,
)

MODEL = "model"
CALL_S = 30.0
"""Longest wait for the few tokens; a model that has to be loaded first takes long."""
FEW_TOKENS = 32
LIST_S = 5.0
WITHOUT_CALLS = "not asked (--no-calls)"
QUESTION = "Reply with the word OK."
NO_MODEL = frozenset({ModelProvider.OFFLINE, ModelProvider.SIMULATED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A model's answer: how long it took, and what it used."""

    seconds: float
    usage: TokenUsage

    def __str__(self) -> str:
        tokens = self.usage.input_tokens + self.usage.output_tokens
        return f"answers in {self.seconds:.1f} s" + (f", {tokens} tokens" if tokens else "")


def providers_to_ask(settings: Settings) -> Sequence[ModelProvider]:
    """The default, then what else is set up."""
    default = settings.model_provider
    others = [one for one in settings.configured_providers if one not in {default, *NO_MODEL}]
    return [default, *others]


def check_name(settings: Settings, provider: ModelProvider) -> str:
    """`model` for the default, `model NAME` for the others."""
    return MODEL if provider is settings.model_provider else f"{MODEL} {provider}"


def address_of(settings: Settings, provider: ModelProvider) -> str | None:
    """Where a provider is; None where its own package knows."""
    return getattr(settings, f"{provider}_base_url", None)


async def look_at_model(settings: Settings, provider: ModelProvider, *, calls: bool) -> Check:
    """Ask a provider's model, and say how it went."""
    name = check_name(settings, provider)
    if provider in NO_MODEL:
        return fine(name, f"{provider}, no language model")
    if provider is ModelProvider.OLLAMA:
        from app.cli.doctor.ollama import look_at_ollama

        return await look_at_ollama(settings, name, calls=calls)
    asked = _asked(settings, provider, name)
    if not asked.model:
        return fine(name, f"{asked.place}; asked once an agent or a run names a model of it")
    if not calls:
        return fine(name, f"{asked.place}, model {asked.model}; {WITHOUT_CALLS}")
    try:
        answered = await ask(settings, provider, asked.model)
    except ModelError as error:
        if is_answer(error):
            return fine(name, f"{asked.place}, model {asked.model} answers")
        there = await _models_there(settings, provider)
        return trouble(error, asked, there=there)
    return fine(name, f"{asked.place}, model {asked.model} {answered}")


async def ask(settings: Settings, provider: ModelProvider, model: str) -> Answered:
    """Ask for a few tokens through the client that runs use. Raises ModelError."""
    first_s = min(settings.model_first_token_timeout_s, CALL_S)
    bounded = settings.model_copy(
        update={
            "model_max_retries": 0,
            "model_first_token_timeout_s": first_s,
            "model_total_timeout_s": min(settings.model_total_timeout_s, CALL_S),
        }
    )
    client = client_of(provider, bounded)
    *others, last = _bounds(settings, provider)
    try:
        for bound in others:
            try:
                return await _answer(client, model, bound)
            except ModelError as error:
                if error.kind is not ModelErrorKind.REJECTED or bound not in error.message:
                    raise
        return await _answer(client, model, last)
    finally:
        await client.aclose()


async def _answer(client: ModelClient, model: str, bound: str) -> Answered:
    request = ModelRequest(
        model=model,
        messages=[ChatMessage(role="user", content=QUESTION)],
        parameters={bound: FEW_TOKENS},
    )
    began = time.monotonic()
    usage = TokenUsage()
    async with aclosing(client.stream(request)) as events:
        async for event in events:
            if isinstance(event, TokenUsage):
                usage = event
    return Answered(seconds=time.monotonic() - began, usage=usage)


def _bounds(settings: Settings, provider: ModelProvider) -> Sequence[str]:
    """Names for a bound on the answer, the likely one first: some models refuse one of them."""
    if provider is ModelProvider.OLLAMA:
        return ["num_predict"]
    if provider is ModelProvider.OPENAI:
        names = ["max_tokens", "max_completion_tokens"]
        return names[::-1] if settings.openai_base_url == OPENAI_ADDRESS else names
    return ["max_tokens"]


def _asked(settings: Settings, provider: ModelProvider, name: str) -> Asked:
    is_default = provider is settings.model_provider
    model = settings.default_model if is_default else DEFAULT_MODELS.get(provider, "")
    address = address_of(settings, provider)
    prefix = provider.upper()
    has_own_key = f"{provider}_api_key" in Settings.model_fields
    return Asked(
        name=name,
        provider=provider,
        place=f"{provider} at {shown_address(address)}" if address else str(provider),
        model=model,
        model_key="MODEL_NAME" if is_default else "the agent's model",
        key=f"{prefix}_API_KEY" if has_own_key else None,
        has_key=bool(_key(settings, provider)),
        address_key=f"{prefix}_BASE_URL" if address else None,
        address_should_be=words(f"{provider}_base_url")["should_be"] if address else "",
    )


def shown_address(address: str) -> str:
    """An address without a name and a password in it."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _key(settings: Settings, provider: ModelProvider) -> str:
    secret = getattr(settings, f"{provider}_api_key", None)
    return "" if secret is None else secret.get_secret_value()


async def _models_there(settings: Settings, provider: ModelProvider) -> Sequence[str] | None:
    """Names of the models that a server lists; None where it lists none."""
    address, key = address_of(settings, provider), _key(settings, provider)
    if address is None:
        return None
    if provider is ModelProvider.ANTHROPIC:
        from app.adapters.model_anthropic import API_VERSION

        url = f"{address.removesuffix('/v1')}/v1/models"
        headers = {"anthropic-version": API_VERSION, **({"x-api-key": key} if key else {})}
    else:
        url = f"{address}/models"
        headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        async with httpx.AsyncClient(
            timeout=LIST_S, trust_env=False, verify=trust_for(url)
        ) as client:
            answer = await client.get(url, headers=headers)
        found: object = orjson.loads(answer.content)
    except (httpx.HTTPError, orjson.JSONDecodeError):
        return None
    return names_in(found, "data", "id")


def names_in(document: object, member: str, name: str) -> Sequence[str] | None:
    """The names of the objects in a list of a document; None where there is no such list."""
    if not isinstance(document, dict):
        return None
    listed = cast("Mapping[str, Any]", document).get(member)
    if not isinstance(listed, list):
        return None
    # Whatever it lists besides objects has no name.
    entries = cast("list[object]", listed)
    objects = [cast("Mapping[str, object]", one) for one in entries if isinstance(one, dict)]
    return sorted(str(one[name]) for one in objects if name in one)
