"""Models of pydantic-ai by name: which package, key and address a prefix stands for."""

import asyncio
import importlib.metadata
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class

from app.adapters.model_http import ErrorWords
from app.adapters.model_providers import NAME, ProviderAccess
from domain.models.ports import ModelError, ModelErrorKind

MOST_MODELS = 256
"""Models kept ready; agents may name any number of them."""
_EXAMPLE = "groq:llama-3.3-70b-versatile"
_LOCKED = frozenset({"google", "groq", "mistral", "openai", "openrouter"})
"""What the extra `providers` installs, by pydantic-ai's names; see pyproject.toml."""
_EXTRA = re.compile(r"pydantic-ai-slim\[(?P<extra>[\w-]+)\]")
_OWN_WORDS = re.compile(r" or pass it via `[^`]*`")
"""What pydantic-ai says to those who write code with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """A model that can be asked, and how to speak of its failures."""

    model: Model[Any]
    words: ErrorWords
    address: str
    """Host and port, where the provider's package tells."""


class ModelShelf:
    """Models by name, each made at its first use; those of one prefix share its connections."""

    def __init__(self, access: Mapping[str, ProviderAccess]) -> None:
        self._access = access
        self._providers: dict[str, Provider[Any]] = {}
        self._models: dict[str, NamedModel] = {}
        self._making = asyncio.Lock()

    async def model(self, name: str) -> NamedModel:
        """The model of this name. Raises ModelError when it can never be asked."""
        async with self._making:
            found = self._models.get(name)
            if found is None:
                found = await asyncio.to_thread(self._made, name)
                if len(self._models) >= MOST_MODELS:
                    self._models.clear()
                self._models[name] = found
        return found

    async def aclose(self) -> None:
        """Give back connections; the shelf can be used again."""
        providers = list(self._providers.values())
        self._providers.clear()
        self._models.clear()
        for provider in providers:
            # Leaving a provider is what closes its connections.
            async with provider:
                pass

    def _made(self, name: str) -> NamedModel:
        """Import and build; it takes seconds for the first model of a prefix."""
        prefix, colon, _ = name.partition(":")
        if not colon:
            raise _rejected(f"cannot tell whose model {name!r} is; write it like {_EXAMPLE}.")
        try:
            model = infer_model(name, provider_factory=self._provider)
        except ImportError as error:
            raise _not_installed(prefix, str(error)) from error
        except UserError as error:
            why = _OWN_WORDS.sub("", error.message)
            raise _rejected(f"cannot be asked for {name}: {why}") from error
        _require_finish_reason(model)
        provider = self._providers[prefix]
        words = ErrorWords(prefix, api_key=self._key(prefix))
        return NamedModel(model=model, words=words, address=urlsplit(provider.base_url).netloc)

    def _provider(self, prefix: str) -> Provider[Any]:
        found = self._providers.get(prefix)
        if found is None:
            found = self._providers[prefix] = _built(prefix, self._access.get(prefix))
        return found

    def _key(self, prefix: str) -> str | None:
        """The key in use, which no message may show; the provider's package may have found it."""
        client: object = self._providers[prefix].client
        found = getattr(client, "api_key", None) or getattr(client, "_api_key", None)
        given = self._access.get(prefix, ProviderAccess()).api_key
        return found if isinstance(found, str) else given


def _built(prefix: str, access: ProviderAccess | None) -> Provider[Any]:
    try:
        kind = infer_provider_class(prefix)
    except ValueError as error:
        message = f"knows no provider {prefix!r}; a model is named like {_EXAMPLE}."
        raise _rejected(message) from error
    if access is None:
        return infer_provider(prefix)
    options = {"api_key": access.api_key, "base_url": access.base_url}
    # What a provider's class takes is not in its base; each takes at least a key.
    build = cast("Any", kind)
    return build(**{name: value for name, value in options.items() if value is not None})


def _require_finish_reason(model: Model[Any]) -> None:
    """Have a stream that just ends fail; pydantic-ai takes it for an answer that is whole."""
    profile = cast("dict[str, Any]", model.profile)
    profile["openai_chat_streaming_requires_finish_reason"] = True


def _not_installed(prefix: str, said: str) -> ModelError:
    """The package to install, by the name that pydantic-ai has for it."""
    match = _EXTRA.search(said)
    extra = match["extra"] if match else prefix
    cure = "`make providers`"
    if extra not in _LOCKED:
        version = importlib.metadata.version("pydantic-ai-slim")
        cure = f"`.venv/bin/python -m pip install 'pydantic-ai-slim[{extra}]=={version}'`"
    return _rejected(f"needs a package for {prefix} that is not installed; run {cure}.")


def _rejected(message: str) -> ModelError:
    return ErrorWords(NAME, api_key=None).error(ModelErrorKind.REJECTED, message)
