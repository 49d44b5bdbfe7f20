"""Everything an operator can set: keys, defaults, meanings and what each value must be."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic.config import JsonDict

from app.addresses import (
    host_name,
    is_loopback,
    origin,
    postgres_or_sqlite,
    redis_address,
    sqlite_file,
    web_address,
)

OPENAI_ADDRESS = "https://api.openai.com/v1"


class ModelProvider(StrEnum):
    """Where answers come from."""

    OFFLINE = "offline"
    OPENAI = "openai"
    SIMULATED = "simulated"


class MigrateMode(StrEnum):
    """When the database is brought to the newest revision."""

    AUTO = "auto"
    MANUAL = "manual"


def _comma_separated(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _lowered(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def setting(
    default: Any, meaning: str, *, should_be: str, example: str, group: str, **rules: Any
) -> Any:
    """A field with the words that the reference page, the example file and errors show."""
    words: JsonDict = {"should_be": should_be, "example": example, "group": group}
    field: Any = Field(default=default, description=meaning, json_schema_extra=words, **rules)
    return field


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Text = Annotated[str, BeforeValidator(lambda value: str(value).strip())]


class Settings(BaseModel):
    """Everything an operator can set, checked; each field is the key in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: Annotated[Text, BeforeValidator(host_name)] = setting(
        "127.0.0.1",
        "Address to listen on. Anything but loopback is public and needs an API key made before.",
        should_be="a host name or an address, such as 127.0.0.1 or 0.0.0.0",
        example="0.0.0.0",  # noqa: S104 an example to copy, not a bind
        group="Server",
    )
    port: int = setting(
        8080,
        "Port to listen on; 0 takes any free one.",
        should_be="a number from 0 to 65535",
        example="9000",
        group="Server",
        ge=0,
        le=65535,
    )
    allow_origins: Annotated[
        tuple[Annotated[str, BeforeValidator(origin)], ...], BeforeValidator(_comma_separated)
    ] = setting(
        ("http://localhost:5173",),
        "Web origins that may call the API and open sockets from a browser, comma separated.",
        should_be="origins such as http://localhost:5173, comma separated, without a path or *",
        example="https://ops.example.com,http://localhost:5173",
        group="Server",
    )
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(_comma_separated)] = setting(
        (),
        "Names clients may call this server by (the Host header), comma separated; `*` allows "
        "all. Empty: localhost, 127.0.0.1, [::1] and HOST.",
        should_be="host names without scheme or port, comma separated",
        example="gob.example.com",
        group="Server",
    )
    db_url: Annotated[Text, BeforeValidator(postgres_or_sqlite)] = setting(
        "sqlite:///var/gob.db",
        "The database. `sqlite:///var/gob.db` is relative to the working folder, "
        "`sqlite:////srv/gob.db` absolute; parameters such as `?sslmode=require` are kept. "
        "Empty: `gob.db` in DATA_DIR.",
        should_be="sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME",
        example="postgresql://gob:password@localhost:5432/gob",
        group="Storage",
        repr=False,
    )
    redis_url: Annotated[Text, BeforeValidator(redis_address)] = setting(
        "",
        "Redis for the queue and the event bus. Empty: embedded, everything in one process.",
        should_be="empty, or redis://, rediss:// or unix:// and an address",
        example="redis://localhost:6379/0",
        group="Storage",
        repr=False,
    )
    migrate: Annotated[MigrateMode | None, BeforeValidator(_lowered)] = setting(
        None,
        "auto migrates at start, manual refuses to start until `gob migrate` was run. "
        "Empty: auto on SQLite, manual on PostgreSQL.",
        should_be="auto or manual",
        example="auto",
        group="Storage",
    )
    data_dir: Path = setting(
        Path("var"),
        "Folder of the server's own files: the generated API key, artifacts, the default SQLite.",
        should_be="a folder",
        example="/var/lib/gob",
        group="Storage",
    )
    files_dir: Path | None = setting(
        None,
        "Workspace folder that tools may read. Empty: `files` in DATA_DIR.",
        should_be="a folder",
        example="/srv/workspace",
        group="Storage",
    )
    model_provider: Annotated[ModelProvider, BeforeValidator(_lowered)] = setting(
        ModelProvider.OFFLINE,
        "Where answers come from. offline plans without a language model, simulated streams "
        "tokens as told, openai speaks to any server with the chat-completions API.",
        should_be="offline, openai or simulated",
        example="openai",
        group="Models",
    )
    model_name: Text = setting(
        "",
        "Model to ask when an agent names none. Empty: the provider's default.",
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
        "Seconds to wait for the first token of an answer.",
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
    sweep_interval_s: Positive = setting(
        1.0,
        "Seconds between two looks for work that is due and that no hint announced.",
        should_be="seconds, more than 0",
        example="2",
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
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)
    ] = setting(
        "INFO",
        "Lowest level of log lines.",
        should_be="DEBUG, INFO, WARNING, ERROR or CRITICAL",
        example="DEBUG",
        group="Logs",
    )
    log_format: Annotated[Literal["auto", "console", "json"], BeforeValidator(_lowered)] = setting(
        "auto",
        "console for people, json for programs; auto is console on a terminal, else json.",
        should_be="auto, console or json",
        example="json",
        group="Logs",
    )
    notices: tuple[str, ...] = Field(default=(), exclude=True)
    """What was odd while reading, such as a misspelt key; worth a warning at start."""

    @property
    def is_public_bind(self) -> bool:
        """True when others than this machine could connect."""
        return not is_loopback(self.host)

    @property
    def is_embedded(self) -> bool:
        """True when everything runs in one process, without Redis."""
        return not self.redis_url

    @property
    def is_sqlite(self) -> bool:
        """True on SQLite, False on PostgreSQL."""
        return self.db_url.startswith("sqlite:")

    @property
    def sqlite_path(self) -> Path | None:
        """The SQLite file, None on PostgreSQL."""
        return sqlite_file(self.db_url) if self.is_sqlite else None

    @property
    def migrates_at_start(self) -> bool:
        """True when the server migrates by itself."""
        if self.migrate is None:
            return self.is_sqlite
        return self.migrate is MigrateMode.AUTO

    @property
    def trusted_hosts(self) -> tuple[str, ...]:
        """Names that the Host header may have, without ports; `*` stands for any."""
        if self.allowed_hosts:
            return self.allowed_hosts
        own = f"[{self.host}]" if ":" in self.host else self.host
        return tuple(dict.fromkeys(("localhost", "127.0.0.1", "[::1]", own)))

    @property
    def workspace_files(self) -> Path:
        """The folder that tools may read."""
        return self.files_dir or self.data_dir / "files"

    @property
    def api_key_file(self) -> Path:
        """Where the key made for this machine is kept."""
        return self.data_dir / "api-key"

    @property
    def default_model(self) -> str:
        """Name of the model that agents without one of their own use."""
        if self.model_name:
            return self.model_name
        return (
            "gpt-4.1-mini" if self.model_provider is ModelProvider.OPENAI else self.model_provider
        )

    def secret_values(self) -> tuple[str, ...]:
        """Values that must never be shown; register them with the redactor."""
        passwords = (urlsplit(self.db_url).password, urlsplit(self.redis_url).password)
        found = [self.openai_api_key.get_secret_value()]
        for password in passwords:
            found += [password, unquote(password)] if password else []
        return tuple(dict.fromkeys(value for value in found if value))


def words(name: str) -> Mapping[str, str]:
    """What errors and pages say about a field: should_be, example, group."""
    extra = cast("Mapping[str, str] | None", Settings.model_fields[name].json_schema_extra)
    return extra or {}


def known_keys() -> tuple[str, ...]:
    """Every key that can be set, in the order of the reference page."""
    return tuple(name.upper() for name in Settings.model_fields if name != "notices")
