"""Everything an operator can set: keys, defaults, meanings and what each value must be."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, cast
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field, SecretStr

from app.addresses import web_address
from app.settings_fields import Positive, Text, lowered, setting, upper
from app.settings_server import ServerSettings

OPENAI_ADDRESS = "https://api.openai.com/v1"
ANTHROPIC_ADDRESS = "https://api.anthropic.com"
OLLAMA_ADDRESS = "http://localhost:11434"
MOST_PER_PROVIDER = 10_000


class ModelProvider(StrEnum):
    """Where answers come from."""

    OFFLINE = "offline"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    OLLAMA = "ollama"
    PROVIDERS = "providers"
    SIMULATED = "simulated"


DEFAULT_MODELS = {
    ModelProvider.OFFLINE: "offline",
    ModelProvider.OPENAI: "gpt-4.1-mini",
    ModelProvider.ANTHROPIC: "claude-haiku-4-5",
    ModelProvider.SIMULATED: "simulated",
}
"""What a provider is asked for where nobody names a model; Ollama has what was pulled."""


_READ_FROM_OTHERS = frozenset({"notices", "provider_keys"})
"""Fields that are no keys of their own."""

PerProvider = tuple[tuple[str, int], ...]
"""A number for each provider; that for `*` counts for those not named."""


def per_provider(value: object) -> object:
    """Read `16`, `openai=16,ollama=1`, or both. Raises ValueError."""
    if not isinstance(value, str):
        return value
    found: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        name, equals, number = part.rpartition("=")
        provider = name.strip().lower() if equals else "*"
        if provider not in ("*", *ModelProvider) or provider in found:
            raise ValueError(f"{name.strip()!r} is no provider, or comes twice")
        found[provider] = int(number)
        if not 1 <= found[provider] <= MOST_PER_PROVIDER:
            raise ValueError(f"{found[provider]} is not from 1 to {MOST_PER_PROVIDER}")
    return tuple(found.items())


def _address_or_none(value: object) -> str:
    return web_address(value) if str(value).strip() else ""


class Settings(ServerSettings):
    """Everything an operator can set, checked; each field is the key in lower case."""

    model_provider: Annotated[ModelProvider, BeforeValidator(lowered)] = setting(
        ModelProvider.OFFLINE,
        "Where answers come from. offline plans without a language model, simulated streams "
        "tokens as told, openai speaks to any server with the chat-completions API, anthropic to "
        "Claude models, ollama to models that Ollama runs, providers to all others.",
        should_be="offline, openai, anthropic, ollama, providers or simulated",
        example="anthropic",
        group="Models",
    )
    model_name: Text = setting(
        "",
        "Model to ask when an agent names none; for providers with its provider, such as "
        "groq:llama-3.3-70b-versatile. Empty: the default, which ollama and providers lack.",
        should_be="a model name",
        example="gpt-4.1-mini",
        group="Models",
    )
    openai_api_key: SecretStr = setting(
        SecretStr(""),
        "Key for the OpenAI API, or for the server at OPENAI_BASE_URL where that wants one.",
        should_be="an API key",
        example="sk-...",
        group="Models",
    )
    openai_base_url: Annotated[Text, BeforeValidator(web_address)] = setting(
        OPENAI_ADDRESS,
        "Any server that speaks the chat-completions API: vLLM, llama.cpp, LM Studio and others.",
        should_be="an http:// or https:// address that ends before /chat/completions",
        example="http://localhost:8000/v1",
        group="Models",
        repr=False,
    )
    anthropic_api_key: SecretStr = setting(
        SecretStr(""),
        "Key for the Anthropic API, or for the server at ANTHROPIC_BASE_URL where that wants one.",
        should_be="an API key",
        example="sk-ant-...",
        group="Models",
    )
    anthropic_base_url: Annotated[Text, BeforeValidator(web_address)] = setting(
        ANTHROPIC_ADDRESS,
        "Any server that speaks Anthropic's Messages API.",
        should_be="an http:// or https:// address that ends before /v1/messages",
        example="https://gateway.example.com/anthropic",
        group="Models",
        repr=False,
    )
    ollama_base_url: Annotated[Text, BeforeValidator(web_address)] = setting(
        OLLAMA_ADDRESS,
        "Where Ollama runs.",
        should_be="an http:// or https:// address that ends before /api/chat",
        example="http://gpu.example.com:11434",
        group="Models",
        repr=False,
    )
    ollama_num_ctx: int = setting(
        16_384,
        "Tokens that prompt and answer may have together with Ollama, which cuts longer prompts. "
        "More takes more memory; 0 leaves it to Ollama and the model.",
        should_be="0, or a number from 512 to 10000000",
        example="32768",
        group="Models",
        ge=0,
        le=10_000_000,
    )
    model_connect_timeout_s: Positive = setting(
        10.0,
        "Seconds to wait for a connection to the model server.",
        should_be="seconds, more than 0",
        example="5",
        group="Models",
    )
    model_first_token_timeout_s: Positive = setting(
        60.0,
        "Seconds to wait for the first token of an answer, and for each further one if it is more "
        "than 60.",
        should_be="seconds, more than 0",
        example="120",
        group="Models",
    )
    model_total_timeout_s: Positive = setting(
        600.0,
        "Seconds one answer may take in all.",
        should_be="seconds, more than 0",
        example="1200",
        group="Models",
    )
    model_max_retries: int = setting(
        3,
        "Tries again after a failed model call that has streamed nothing yet.",
        should_be="a number from 0 to 10",
        example="5",
        group="Models",
        ge=0,
        le=10,
    )
    model_prices: Text = setting(
        "",
        "Prices of models in US dollars for a million tokens, beside the list prices of OpenAI "
        "and Anthropic that the server knows: a JSON file, or the JSON itself. "
        "docs/howto/connect-a-model.md shows the shape.",
        should_be='a JSON file or text such as {"openai:my-model": {"input": 1, "output": 2}}',
        example="/etc/gob/prices.json",
        group="Models",
    )
    model_concurrency: Annotated[PerProvider, BeforeValidator(per_provider)] = setting(
        (),
        "Calls of a provider that one process makes at a time: a number for all, "
        "`provider=number`, or both. Empty: 1 for ollama, no bound for the others.",
        should_be="numbers from 1 to 10000 such as 16 or openai=16,ollama=2",
        example="openai=16,ollama=2",
        group="Models",
    )
    model_requests_per_minute: Annotated[PerProvider, BeforeValidator(per_provider)] = setting(
        (),
        "Requests to a provider that one process makes within any minute: a number for all, "
        "`provider=number`, or both. Empty: no bound.",
        should_be="numbers from 1 to 10000 such as 500 or openai=500,anthropic=50",
        example="openai=500,anthropic=50",
        group="Models",
    )
    run_capacity: int = setting(
        32,
        "Runs that one process works on at a time.",
        should_be="a number from 1 to 1000",
        example="64",
        group="Work",
        ge=1,
        le=1000,
    )
    inline_capacity: int = setting(
        16,
        "Runs that an API process works on itself because a caller waits for them.",
        should_be="a number from 0 to 1000",
        example="8",
        group="Work",
        ge=0,
        le=1000,
    )
    worker_threads: int = setting(
        4,
        "Threads of the queue's worker in one process. They only start runs, so few suffice.",
        should_be="a number from 1 to 64",
        example="8",
        group="Work",
        ge=1,
        le=64,
    )
    lease_s: Positive = setting(
        6.0,
        "Seconds after which the run of a process that is gone is taken over.",
        should_be="seconds, more than LEASE_GIVE_UP_S",
        example="10",
        group="Work",
    )
    lease_give_up_s: Positive = setting(
        5.0,
        "Seconds without a renewal after which a process stops its own runs.",
        should_be="seconds, more than LEASE_RENEW_S and less than LEASE_S",
        example="8",
        group="Work",
    )
    lease_renew_s: Positive = setting(
        2.0,
        "Seconds between renewals of a process's leases.",
        should_be="seconds, less than LEASE_GIVE_UP_S",
        example="3",
        group="Work",
    )
    drain_s: Positive = setting(
        5.0,
        "Seconds that tools at work get to end when the process is asked to stop.",
        should_be="seconds, more than 0",
        example="20",
        group="Work",
    )
    sweep_interval_s: Positive = setting(
        1.0,
        "Seconds between two looks for work that is due and that no hint announced.",
        should_be="seconds, more than 0",
        example="2",
        group="Work",
    )
    approval_expiry_s: Positive = setting(
        3600.0,
        "Seconds a person has to decide an approval; silence beyond them denies the call.",
        should_be="seconds, more than 0",
        example="86400",
        group="Work",
    )
    event_retention_days: int = setting(
        30,
        "Days that events are kept for replay.",
        should_be="a number from 1 to 3650",
        example="90",
        group="Work",
        ge=1,
        le=3650,
    )
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(upper)
    ] = setting(
        "INFO",
        "Lowest level of log lines.",
        should_be="DEBUG, INFO, WARNING, ERROR or CRITICAL",
        example="DEBUG",
        group="Logs",
    )
    log_format: Annotated[Literal["auto", "console", "json"], BeforeValidator(lowered)] = setting(
        "auto",
        "console for people, json for programs; auto is console on a terminal, else json.",
        should_be="auto, console or json",
        example="json",
        group="Logs",
    )
    gob_server: Annotated[Text, BeforeValidator(_address_or_none)] = setting(
        "",
        "The server that `gob run` and `gob demo` talk to. Empty: the one on this machine.",
        should_be="an http:// or https:// address",
        example="https://gob.example.com",
        group="Command line",
    )
    gob_api_key: SecretStr = setting(
        SecretStr(""),
        "API key with which the command line asks a server. Empty: the key made for this machine.",
        should_be="an API key",
        example="gob_...",
        group="Command line",
    )
    notices: tuple[str, ...] = Field(default=(), exclude=True)
    """What was odd while reading, such as a misspelt key; worth a warning at start."""
    provider_keys: Mapping[str, SecretStr] = Field(default_factory=dict, exclude=True, repr=False)
    """Keys of further providers by prefix, such as groq; see settings_providers."""

    @property
    def default_model(self) -> str:
        """Name of the model that agents without one of their own use."""
        return self.model_name or DEFAULT_MODELS.get(self.model_provider, "")

    @property
    def configured_providers(self) -> tuple[ModelProvider, ...]:
        """Providers with a key, or with a server of one's own that may need none.

        Ollama is one once it is chosen or its address is set: it is not looked for. `providers` is
        one once it is chosen or a key of theirs is set.
        """
        usable = {
            ModelProvider.OFFLINE: True,
            ModelProvider.SIMULATED: True,
            ModelProvider.OPENAI: bool(self.openai_api_key.get_secret_value())
            or self.openai_base_url != OPENAI_ADDRESS,
            ModelProvider.ANTHROPIC: bool(self.anthropic_api_key.get_secret_value())
            or self.anthropic_base_url != ANTHROPIC_ADDRESS,
            ModelProvider.OLLAMA: self.model_provider is ModelProvider.OLLAMA
            or "ollama_base_url" in self.model_fields_set,
            ModelProvider.PROVIDERS: self.model_provider is ModelProvider.PROVIDERS
            or bool(self.provider_keys),
        }
        return tuple(provider for provider, is_usable in usable.items() if is_usable)

    def secret_values(self) -> tuple[str, ...]:
        """Values that must never be shown; register them with the redactor."""
        models = (self.openai_base_url, self.anthropic_base_url, self.ollama_base_url)
        passwords = [urlsplit(each).password for each in (self.db_url, self.redis_url, *models)]
        keys = (
            self.openai_api_key,
            self.anthropic_api_key,
            self.gob_api_key,
            *self.provider_keys.values(),
        )
        found = [key.get_secret_value() for key in keys]
        for password in passwords:
            found += [password, unquote(password)] if password else []
        return tuple(dict.fromkeys(value for value in found if value))


def words(name: str) -> Mapping[str, str]:
    """What errors and pages say about a field: should_be, example, group."""
    extra = cast("Mapping[str, str] | None", Settings.model_fields[name].json_schema_extra)
    return extra or {}


def known_keys() -> tuple[str, ...]:
    """Every key that can be set, in the order of the reference page."""
    return tuple(name.upper() for name in Settings.model_fields if name not in _READ_FROM_OTHERS)
