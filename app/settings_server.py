"""What an operator can set of the server itself: where it listens, where it stores."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from app.addresses import (
    host_name,
    is_loopback,
    origin,
    postgres_or_sqlite,
    redis_address,
    sqlite_file,
)
from app.settings_fields import Text, comma_separated, lowered, setting


class MigrateMode(StrEnum):
    """When the database is brought to the newest revision."""

    AUTO = "auto"
    MANUAL = "manual"


class ServerSettings(BaseModel):
    """Addresses, origins, database, Redis and folders."""

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
        tuple[Annotated[str, BeforeValidator(origin)], ...], BeforeValidator(comma_separated)
    ] = setting(
        ("http://localhost:5173",),
        "Web origins that may call the API and open sockets from a browser, comma separated.",
        should_be="origins such as http://localhost:5173, comma separated, without a path or *",
        example="https://ops.example.com,http://localhost:5173",
        group="Server",
    )
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(comma_separated)] = setting(
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
    migrate: Annotated[MigrateMode | None, BeforeValidator(lowered)] = setting(
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
