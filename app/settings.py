"""Reads what an operator set, once, from the environment and `ops/env/backend.env`.

The only place that reads the environment. The settings themselves stand in `settings_model`.
"""

import difflib
import os
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from app.env_file import BadEnvFile, read_env_file
from app.failures import StartRefused
from app.model_prices import BadPrices, read_prices
from app.settings_model import ModelProvider, Settings, known_keys, words
from app.settings_providers import ALL_KEY_NAMES, is_sendable, provider_keys
from app.settings_server import MigrateMode

__all__ = [
    "PROJECT_ROOT",
    "MigrateMode",
    "ModelProvider",
    "Settings",
    "SettingsError",
    "SettingsProblem",
    "load_settings",
]

PROJECT_ROOT = Path(__file__).resolve().parent.parent
ENV_FILE = PROJECT_ROOT / "ops" / "env" / "backend.env"
ENV_FILE_KEY = "GOB_ENV_FILE"
MASKED = "(hidden)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsProblem:
    """One key that cannot stay as it is."""

    key: str
    value: str
    should_be: str

    def __str__(self) -> str:
        return f"{self.key} is {self.value}; it should be {self.should_be}."


class SettingsError(StartRefused):
    """The server cannot start with these settings; names every bad key at once."""

    def __init__(self, problems: Sequence[SettingsProblem | str]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def load_settings(
    environ: Mapping[str, str] | None = None, env_file: Path | None = None
) -> Settings:
    """Read the settings; the environment wins over the file. Raises SettingsError.

    The file is `env_file`, else the one that GOB_ENV_FILE names, else `ops/env/backend.env`
    where it exists. An empty value stands for the default.
    """
    environ = os.environ if environ is None else environ
    written = _written(environ, env_file)
    keys = known_keys()
    values = dict(written) | {key: environ[key] for key in keys if key in environ}
    given = {key: values[key].strip() for key in keys if values.get(key, "").strip()}
    if "DATA_DIR" in given and "DB_URL" not in given:
        given["DB_URL"] = f"sqlite:///{given['DATA_DIR']}/gob.db"
    further = {key: environ.get(key, written.get(key, "")) for key in ALL_KEY_NAMES}
    bad_keys = _bad_keys(given | further)
    strangers = [key for key in written if key not in keys and key not in further]
    notices = tuple(_unknown_key(key, keys) for key in strangers)
    settings = _checked(given, bad_keys, notices=notices, provider_keys=provider_keys(further))
    _refuse([*bad_keys, *_contradictions(settings)])
    return settings


def shown(key: str, value: str) -> str:
    """A value as messages may show it: secrets hidden, passwords in addresses too."""
    if not value:
        return "empty"
    if key.lower().endswith(("_key", "_token", "_secret", "_password")):
        return MASKED
    if "@" in value:
        scheme, mark, rest = value.rpartition("://")
        return repr(f"{scheme}{mark}{MASKED}@{rest.rpartition('@')[2]}")
    return repr(value)


def _written(environ: Mapping[str, str], env_file: Path | None) -> Mapping[str, str]:
    named = environ.get(ENV_FILE_KEY, "")
    path = env_file or (Path(named) if named else ENV_FILE)
    if path == ENV_FILE and not path.exists():
        return types.MappingProxyType({})
    try:
        return read_env_file(path)
    except BadEnvFile as error:
        raise SettingsError([str(error)]) from error


def _checked(
    given: Mapping[str, str], bad_keys: Sequence[SettingsProblem], **read: object
) -> Settings:
    try:
        return Settings.model_validate({key.lower(): value for key, value in given.items()} | read)
    except ValidationError as error:
        bad = dict.fromkeys(str(problem["loc"][0]) for problem in error.errors())
        raise SettingsError([*bad_keys, *(_problem(name, given) for name in bad)]) from None


def _bad_keys(given: Mapping[str, str]) -> list[SettingsProblem]:
    names = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", *ALL_KEY_NAMES)
    should_be = "a key of plain letters, digits and signs"
    return [
        SettingsProblem(key=name, value=MASKED, should_be=should_be)
        for name in names
        if not is_sendable(given.get(name, "").strip())
    ]


def _problem(name: str, given: Mapping[str, str]) -> SettingsProblem:
    key = name.upper()
    return SettingsProblem(
        key=key, value=shown(key, given[key]), should_be=words(name)["should_be"]
    )


def _contradictions(settings: Settings) -> list[SettingsProblem | str]:
    """Values that are fine alone and impossible together."""
    problems: list[SettingsProblem | str] = []
    for name, is_bad in (
        ("lease_give_up_s", not settings.lease_renew_s < settings.lease_give_up_s),
        ("lease_s", not settings.lease_give_up_s < settings.lease_s),
    ):
        if is_bad:
            value = repr(str(getattr(settings, name)))
            should_be = words(name)["should_be"]
            problems.append(SettingsProblem(key=name.upper(), value=value, should_be=should_be))
    provider = settings.model_provider
    if provider not in settings.configured_providers:
        name = provider.upper()
        problems.append(
            f"{name}_API_KEY is empty; MODEL_PROVIDER={provider} needs it, "
            f"or {name}_BASE_URL of a server that takes none."
        )
    problems.extend(_without_model(settings))
    try:
        read_prices(settings.model_prices)
    except BadPrices as error:
        problems.append(f"MODEL_PRICES {error}.")
    if 0 < settings.ollama_num_ctx < 512:
        should_be = words("ollama_num_ctx")["should_be"]
        value = repr(str(settings.ollama_num_ctx))
        problems.append(SettingsProblem(key="OLLAMA_NUM_CTX", value=value, should_be=should_be))
    return problems


def _without_model(settings: Settings) -> Iterator[str]:
    """What is wrong with MODEL_NAME where a provider has no default to fall back on."""
    provider, name = settings.model_provider, settings.default_model
    if provider is ModelProvider.PROVIDERS and ":" not in name:
        found = f"MODEL_NAME is {name!r}" if name else "MODEL_NAME is empty"
        yield (
            f"{found}; MODEL_PROVIDER={provider} needs a model with its provider in front, "
            "such as groq:llama-3.3-70b-versatile."
        )
    elif not name:
        yield (
            f"MODEL_NAME is empty; MODEL_PROVIDER={provider} has no default model: "
            "name one that you have pulled, such as qwen3."
        )


def _refuse(problems: Sequence[SettingsProblem | str]) -> None:
    if problems:
        raise SettingsError(problems)


def _unknown_key(key: str, keys: Sequence[str]) -> str:
    near = difflib.get_close_matches(key.upper(), keys, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else "."
    return f"{key} in the env file is no setting of this server{hint}"
