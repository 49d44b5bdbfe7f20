"""Settings come from one file and the environment, and a bad one is named before the start."""

import re
from pathlib import Path

import pytest

from app.env_file import BadEnvFile, parse_env
from app.model_clients import model_clients
from app.settings import MigrateMode, ModelProvider, Settings, SettingsError, load_settings
from app.settings_page import EXAMPLE, pages

NO_FILE = Path("/dev/null")
KEY_LINE = re.compile(r"# [A-Z_]+=")


def load(**environ: str) -> Settings:
    return load_settings(environ, NO_FILE)


def refusal(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(**environ)
    return str(caught.value)


def test_without_any_setting_the_server_is_embedded_and_local():
    settings = load()

    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.db_url == "sqlite:///var/gob.db"
    assert settings.sqlite_path == Path("var/gob.db")
    assert settings.is_embedded
    assert settings.is_sqlite
    assert settings.migrates_at_start
    assert not settings.is_public_bind
    assert settings.allow_origins == ("http://localhost:5173",)
    assert settings.trusted_hosts == ("localhost", "127.0.0.1", "[::1]")
    assert settings.model_provider is ModelProvider.OFFLINE
    assert settings.default_model == "offline"
    assert settings.workspace_files == Path("var/files")
    assert settings.api_key_file == Path("var/api-key")
    assert (settings.worker_threads, settings.run_capacity) == (4, 32)
    assert settings.notices == ()


def test_the_environment_wins_over_the_file(tmp_path: Path):
    file = tmp_path / "backend.env"
    file.write_text("PORT=9000\nLOG_LEVEL=debug\nREDIS_URL=redis://localhost:6379\n")

    settings = load_settings({"PORT": "9001", "REDIS_URL": ""}, file)

    assert (settings.port, settings.log_level, settings.redis_url) == (9001, "DEBUG", "")


def test_the_environment_may_name_another_file(tmp_path: Path):
    file = tmp_path / "other.env"
    file.write_text("PORT=9002")

    assert load_settings({"GOB_ENV_FILE": str(file)}).port == 9002


def test_a_file_that_is_named_and_missing_is_refused(tmp_path: Path):
    missing = tmp_path / "gone.env"

    with pytest.raises(SettingsError) as caught:
        load_settings({"GOB_ENV_FILE": str(missing)})

    assert str(caught.value) == f"{missing} cannot be read: No such file or directory."


def test_the_example_file_as_it_stands_changes_nothing(tmp_path: Path):
    file = tmp_path / "backend.env"
    file.write_text(pages()[EXAMPLE])

    assert load_settings({}, file) == load()


def test_each_line_of_the_example_file_may_be_uncommented(tmp_path: Path):
    lines = pages()[EXAMPLE].splitlines()
    file = tmp_path / "backend.env"
    file.write_text("\n".join(line[2:] for line in lines if KEY_LINE.match(line)))

    assert load_settings({}, file) == load()


def test_a_misspelt_key_in_the_file_is_noticed_with_the_closest_one(tmp_path: Path):
    file = tmp_path / "backend.env"
    file.write_text("PROT=9000\nZZZ=1\n")

    settings = load_settings({"SOMETHING_ELSE": "x"}, file)

    assert settings.port == 8080
    assert settings.notices == (
        "PROT in the env file is no setting of this server; did you mean PORT?",
        "ZZZ in the env file is no setting of this server.",
    )


def test_every_bad_value_is_named_at_once():
    message = refusal(PORT="eighty", LOG_LEVEL="loud", RUN_CAPACITY="0")

    assert message.splitlines() == [
        "PORT is 'eighty'; it should be a number from 0 to 65535.",
        "RUN_CAPACITY is '0'; it should be a number from 1 to 1000.",
        "LOG_LEVEL is 'loud'; it should be DEBUG, INFO, WARNING, ERROR or CRITICAL.",
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", "8080.5"),
        ("HOST", "http://x"),
        ("HOST", "1.2.3.4.5"),
        ("DB_URL", "mysql://localhost/gob"),
        ("DB_URL", "sqlite://var/gob.db"),
        ("DB_URL", "sqlite:///:memory:"),
        ("DB_URL", "sqlite:///"),
        ("DB_URL", "sqlite:///gob.db?mode=ro"),
        ("DB_URL", "postgresql://localhost"),
        ("DB_URL", "postgresql://localhost:port/gob"),
        ("DB_URL", "gob.db"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://localhost:x"),
        ("ALLOW_ORIGINS", "*"),
        ("ALLOW_ORIGINS", "localhost:5173"),
        ("ALLOW_ORIGINS", "http://localhost:5173/app"),
        ("ALLOW_ORIGINS", "http://localhost:5173,https://*.example.com"),
        ("MODEL_PROVIDER", "gpt"),
        ("OPENAI_BASE_URL", "localhost:8000"),
        ("OPENAI_BASE_URL", "http://localhost:8000/v1/chat/completions"),
        ("ANTHROPIC_BASE_URL", "https://api.anthropic.com/v1/messages"),
        ("OLLAMA_BASE_URL", "http://localhost:11434/api/chat"),
        ("OLLAMA_NUM_CTX", "-1"),
        ("OLLAMA_NUM_CTX", "100"),
        ("MODEL_TOTAL_TIMEOUT_S", "0"),
        ("MODEL_TOTAL_TIMEOUT_S", "inf"),
        ("MODEL_TOTAL_TIMEOUT_S", "nan"),
        ("MIGRATE", "yes"),
        ("LOG_FORMAT", "xml"),
        ("LEASE_S", "4"),
        ("LEASE_RENEW_S", "5.5"),
        ("WORKER_THREADS", "0"),
    ],
)
def test_a_bad_value_is_refused(key: str, value: str):
    message = refusal(**{key: value})

    assert "; it should be " in message
    assert len(message.splitlines()) == 1


def test_a_password_never_stands_in_a_refusal():
    message = refusal(DB_URL="postgresql://gob:hunter22@db:port/gob", REDIS_URL="x://:hunter22@h")

    assert "hunter22" not in message
    assert message.splitlines()[0].startswith("DB_URL is 'postgresql://(hidden)@db:port/gob';")


def test_settings_printed_show_no_secret():
    settings = load(
        DB_URL="postgresql://gob:hun%40ter22@db/gob",
        REDIS_URL="redis://:other22@cache",
        OPENAI_API_KEY="sk-12345678",
        ANTHROPIC_API_KEY="sk-ant-87654321",
    )

    secrets = ("sk-12345678", "sk-ant-87654321", "hun%40ter22", "hun@ter22", "other22")
    assert not any(secret in repr(settings) for secret in secrets)
    assert settings.secret_values() == secrets


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (
            "postgres://u:p@h:5432/gob?sslmode=require",
            "postgresql://u:p@h:5432/gob?sslmode=require",
        ),
        ("postgresql://h/gob", "postgresql://h/gob"),
        ("postgresql+asyncpg://h/gob", "postgresql://h/gob"),
        ("postgresql:///gob?host=/run/postgresql", "postgresql:///gob?host=/run/postgresql"),
    ],
)
def test_postgres_is_named_as_people_name_it(written: str, read: str):
    settings = load(DB_URL=written)

    assert settings.db_url == read
    assert not settings.is_sqlite
    assert settings.sqlite_path is None
    assert not settings.migrates_at_start


@pytest.mark.parametrize(
    ("address", "path"),
    [("sqlite:////srv/gob.db", "/srv/gob.db"), ("sqlite:///a b.db", "a b.db")],
)
def test_a_sqlite_address_names_its_file(address: str, path: str):
    assert load(DB_URL=address).sqlite_path == Path(path)


def test_migration_at_start_may_be_chosen():
    assert load(DB_URL="postgresql://h/gob", MIGRATE="AUTO").migrates_at_start
    assert not load(MIGRATE="manual").migrates_at_start
    assert load(MIGRATE="manual").migrate is MigrateMode.MANUAL


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gob.example.com"])
def test_any_host_but_loopback_is_public(host: str):
    assert load(HOST=host).is_public_bind


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_loopback_is_not_public(host: str):
    assert not load(HOST=host).is_public_bind


def test_trusted_hosts_follow_the_host_unless_they_are_named():
    assert load(HOST="fd00::5").trusted_hosts[-1] == "[fd00::5]"
    assert load(HOST="gob.lan").trusted_hosts[-1] == "gob.lan"
    assert load(ALLOWED_HOSTS="a.example, b.example").trusted_hosts == ("a.example", "b.example")


def test_origins_are_read_as_browsers_send_them():
    settings = load(ALLOW_ORIGINS=" https://Ops.Example.com/ , http://[::1]:5173 ")

    assert settings.allow_origins == ("https://ops.example.com", "http://[::1]:5173")


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_provider_without_its_key_is_refused_in_one_line(provider: str):
    name = provider.upper()
    assert refusal(MODEL_PROVIDER=provider) == (
        f"{name}_API_KEY is empty; MODEL_PROVIDER={provider} needs it, "
        f"or {name}_BASE_URL of a server that takes none."
    )


def test_ollama_needs_no_key_but_the_name_of_a_model():
    settings = load(MODEL_PROVIDER="ollama", MODEL_NAME="qwen3")

    assert settings.default_model == "qwen3"
    assert (settings.ollama_base_url, settings.ollama_num_ctx) == ("http://localhost:11434", 16_384)
    assert refusal(MODEL_PROVIDER="ollama") == (
        "MODEL_NAME is empty; MODEL_PROVIDER=ollama has no default model: "
        "name one that you have pulled, such as qwen3."
    )


@pytest.mark.parametrize(
    ("environ", "model"),
    [
        ({"MODEL_PROVIDER": "openai", "OPENAI_API_KEY": "k"}, "gpt-4.1-mini"),
        ({"MODEL_PROVIDER": "anthropic", "ANTHROPIC_API_KEY": "k"}, "claude-haiku-4-5"),
        ({"MODEL_PROVIDER": "simulated"}, "simulated"),
        ({"MODEL_PROVIDER": "anthropic", "ANTHROPIC_API_KEY": "k", "MODEL_NAME": "m"}, "m"),
    ],
    ids=str,
)
def test_a_provider_has_a_default_model_that_a_setting_replaces(
    environ: dict[str, str], model: str
):
    assert load(**environ).default_model == model


@pytest.mark.parametrize(
    ("environ", "more"),
    [
        ({}, ()),
        ({"OPENAI_API_KEY": "k"}, ("openai",)),
        ({"OPENAI_BASE_URL": "http://localhost:8000/v1"}, ("openai",)),
        ({"ANTHROPIC_API_KEY": "k"}, ("anthropic",)),
        ({"ANTHROPIC_BASE_URL": "http://localhost:8000"}, ("anthropic",)),
        ({"OLLAMA_BASE_URL": "http://localhost:11434"}, ("ollama",)),
        ({"MODEL_PROVIDER": "ollama", "MODEL_NAME": "qwen3"}, ("ollama",)),
        (
            {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "OLLAMA_BASE_URL": "http://a"},
            ("openai", "anthropic", "ollama"),
        ),
    ],
    ids=str,
)
async def test_a_provider_is_usable_with_a_key_or_an_address_of_its_own(
    environ: dict[str, str], more: tuple[str, ...]
):
    models = model_clients(load(**environ))

    assert set(models.names) == {"offline", "simulated", *more}
    await models.aclose()


def test_openai_on_another_server_needs_no_key():
    settings = load(MODEL_PROVIDER="OpenAI", OPENAI_BASE_URL="http://localhost:8000/v1/")

    assert settings.openai_base_url == "http://localhost:8000/v1"
    assert settings.model_provider is ModelProvider.OPENAI


def test_further_providers_need_a_model_with_its_provider_in_front():
    wanted = (
        "MODEL_PROVIDER=providers needs a model with its provider in front, "
        "such as groq:llama-3.3-70b-versatile."
    )

    assert refusal(MODEL_PROVIDER="providers") == f"MODEL_NAME is empty; {wanted}"
    assert refusal(MODEL_PROVIDER="providers", MODEL_NAME="m") == f"MODEL_NAME is 'm'; {wanted}"


def test_keys_of_further_providers_are_read_by_their_usual_names_and_kept_secret(tmp_path: Path):
    file = tmp_path / "backend.env"
    file.write_text("GROQ_API_KEY=gsk-file\nMISTRAL_API_KEY=msk\nGEMINI_API_KEY=\n")

    settings = load_settings({"GROQ_API_KEY": "gsk-env", "GOOGLE_API_KEY": " "}, file)

    keys = {prefix: key.get_secret_value() for prefix, key in settings.provider_keys.items()}
    assert keys == {"groq": "gsk-env", "mistral": "msk"}
    assert settings.secret_values() == ("gsk-env", "msk")
    assert "gsk" not in repr(settings)
    assert settings.notices == ()
    assert ModelProvider.PROVIDERS in settings.configured_providers
    assert ModelProvider.PROVIDERS not in load().configured_providers


def test_an_env_file_is_read_as_shells_write_it():
    values = parse_env(
        "# comment\r\n\r\nA=1\nexport B = two words # why\nC='# no \\n comment'\n"
        'D="line\\nnext \\"q\\"" # tail\nE=\nF=a#b\nA=3\nG=x=y\n'
    )

    assert values == {
        "A": "3",
        "B": "two words",
        "C": "# no \\n comment",
        "D": 'line\nnext "q"',
        "E": "",
        "F": "a#b",
        "G": "x=y",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nhello", "the text, line 2 is no KEY=value line."),
        ("1A=2", "the text, line 1 is no KEY=value line."),
        ('A="open', "the text, line 1 opens a quote and does not close it."),
        ("A='a' b", "the text, line 1 opens a quote and does not close it."),
    ],
)
def test_a_line_that_is_none_is_named(text: str, message: str):
    with pytest.raises(BadEnvFile) as caught:
        parse_env(text)

    assert str(caught.value) == message


def test_a_file_that_is_no_text_is_refused(tmp_path: Path):
    file = tmp_path / "backend.env"
    file.write_bytes(b"PORT=\xff")

    with pytest.raises(SettingsError) as caught:
        load_settings({}, file)

    assert str(caught.value) == f"{file} is not UTF-8 text."


def test_without_an_address_the_database_lies_in_the_data_folder(tmp_path: Path) -> None:
    settings = load_settings({"DATA_DIR": str(tmp_path)})
    named = load_settings({"DATA_DIR": str(tmp_path), "DB_URL": "sqlite:///other.db"})

    assert settings.db_url == f"sqlite:///{tmp_path}/gob.db"
    assert named.db_url == "sqlite:///other.db"
