"""Chooses who carries a run out: the server that was named, the one of this machine, or nobody."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from app.addresses import is_loopback, web_address
from app.cli.run.desk import RunDesk, Tell
from app.failures import StartRefused
from app.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """What was said about it; `server` is empty where none was named."""

    server: str = ""
    key_file: Path | None = None
    is_embedded: bool = False

    def checked(self, settings: Settings) -> Self:
        """With what the settings name where the options name nothing. Raises StartRefused."""
        if self.is_embedded:
            if self.server or self.key_file is not None:
                raise StartRefused("--embedded asks no server: leave out --server and --key-file.")
            return self
        try:
            named = web_address(self.server) if self.server else settings.gob_server
        except ValueError:
            raise StartRefused(
                f"--server is {self.server!r}; it should be an http:// or https:// address."
            ) from None
        return replace(self, server=named)


@asynccontextmanager
async def desk_for(settings: Settings, whom: Whom, tell: Tell) -> AsyncGenerator[RunDesk, None]:
    """Open the server's desk, or one in this process. Raises StartRefused."""
    if not whom.is_embedded:
        # What speaks HTTP is loaded before what serves: only one of them is needed.
        from app.cli.run.server_desk import ServerDesk, is_server

        address = whom.server or own_address(settings)
        if whom.server or (address and await is_server(address)):
            tell(f"Asking the server at {address}.")
            async with ServerDesk(address, _key(settings, whom, address), tell=tell) as desk:
                yield desk
            return
    from app.cli.run.embedded_desk import embedded_desk

    place = str(settings.sqlite_path) if settings.sqlite_path else "PostgreSQL"
    why = "" if whom.is_embedded else f"No server answers {_where(settings)}: "
    said = f"running in this process, on {place}."
    tell(f"{why}{said}" if why else said.capitalize())
    async with embedded_desk(settings, tell) as desk:
        yield desk


def own_address(settings: Settings) -> str:
    """Where a server with these settings would listen; empty where it takes any free port."""
    if not settings.port:
        return ""
    is_any = settings.host in {"127.0.0.1", "0.0.0.0", "::"}  # noqa: S104 compared, not bound
    host = "localhost" if is_any else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _where(settings: Settings) -> str:
    address = own_address(settings)
    return f"at {address}" if address else "(PORT is 0)"


def _key(settings: Settings, whom: Whom, address: str) -> str:
    key = _found_key(settings, whom, address)
    if not key.isascii() or not key.isprintable():
        raise StartRefused("The API key holds letters that no key has; copy it again.")
    return key


def _found_key(settings: Settings, whom: Whom, address: str) -> str:
    """The key for a server; the one of this machine goes to no other. Raises StartRefused."""
    if whom.key_file is not None:
        return _read(whom.key_file)
    given = settings.gob_api_key.get_secret_value().strip()
    if given:
        return given
    if not is_loopback(urlsplit(address).hostname or "") and address != own_address(settings):
        raise StartRefused(f"{address} needs a key: give --key-file, or set GOB_API_KEY.")
    if not settings.api_key_file.is_file():
        raise StartRefused(
            f"The server at {address} needs a key, and there is none in {settings.api_key_file}: "
            "give --key-file, or set GOB_API_KEY."
        )
    return _read(settings.api_key_file)


def _read(path: Path) -> str:
    try:
        key = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise StartRefused(f"The key file {path} cannot be read: {reason}.") from error
    if not key:
        raise StartRefused(f"The key file {path} is empty; `gob keys create NAME` makes a key.")
    return key
