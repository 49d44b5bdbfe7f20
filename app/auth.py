"""Who is calling: keys of the database, and on loopback the key in a file of this machine."""

import hashlib
import hmac
import os
from pathlib import Path

from starlette.types import Scope

from app.failures import StartRefused
from app.middleware.tracing import trace_of
from app.settings import Settings
from domain.access.denials import Denials, KeyRefused
from domain.access.scopes import Principal
from domain.access.scopes import Scope as Permission
from domain.access.service import AccessService
from domain.kernel.database import is_lost_connection
from domain.kernel.errors import Unauthenticated, Unavailable

LOCAL_KEY_NAME = "local"
EXPLORER = "explorer."


class Authenticator:
    """Turns the token of a request into its principal; keys that do not work are noted."""

    def __init__(
        self, access: AccessService, denials: Denials, *, key_file: Path, local_secret: str | None
    ) -> None:
        self._access = access
        self._denials = denials
        self._key_file = key_file
        self._local_secret = local_secret
        self._explorer = None if local_secret is None else _explorer_token(local_secret)

    async def __call__(self, token: str | None, scope: Scope) -> Principal:
        """Return who calls. Raises Unauthenticated with where to find a key, and Unavailable."""
        if not token:
            raise Unauthenticated(f"Send a key: `Authorization: Bearer KEY`. {self._where()}")
        if self._explorer is not None and hmac.compare_digest(
            token.encode(), self._explorer.encode()
        ):
            token = self._local_secret or token
        try:
            return await self._access.authenticate(token)
        except KeyRefused as error:
            self._denials.login_failed(error, address=_address(scope), trace=trace_of(scope))
            raise Unauthenticated(f"{error.message} {self._where()}") from None
        except Exception as error:  # drivers share no base; what is no outage goes on
            if is_lost_connection(error):
                message = "The database cannot be reached; try again soon."
                raise Unavailable(message) from error
            raise

    def explorer_cookie(self, scope: Scope) -> str | None:  # noqa: ARG002 - the door's signature
        """Value with which the explorer's own page opens on this machine."""
        return self._explorer

    def _where(self) -> str:
        if self._local_secret is not None:
            return f"This server keeps one in {self._key_file}; `gob keys create NAME` makes more."
        return "Ask the operator for one; `gob keys create NAME` makes it."


def _address(scope: Scope) -> str | None:
    client = scope.get("client")
    return None if client is None else client[0]


def _explorer_token(secret: str) -> str:
    """Derived from the local key, so that an open page outlives a restart of the server."""
    digest = hmac.new(secret.encode(), b"gob.explorer", hashlib.sha256).hexdigest()
    return EXPLORER + digest


async def open_door(
    access: AccessService, denials: Denials, settings: Settings, workspace_id: str
) -> Authenticator:
    """Decide how callers get in: refuse a public bind without keys, make the local key else."""
    if settings.is_public_bind:
        if not await access.has_keys():
            raise StartRefused(
                f"HOST={settings.host} is reachable from outside and there is no API key yet. "
                "Make one first with `gob keys create NAME`, or set HOST=127.0.0.1."
            )
        return Authenticator(access, denials, key_file=settings.api_key_file, local_secret=None)
    secret = await _local_key(access, settings.api_key_file, workspace_id)
    return Authenticator(access, denials, key_file=settings.api_key_file, local_secret=secret)


async def _local_key(access: AccessService, path: Path, workspace_id: str) -> str:
    """Read the key of DATA_DIR, or make it once, readable by this user alone."""
    secret = _read(path)
    if secret is not None:
        try:
            await access.authenticate(secret)
            return secret
        except Unauthenticated:
            _forget(path)
    made = await access.create_key(
        workspace_id, name=LOCAL_KEY_NAME, scopes=[Permission.ADMIN], created_by="system"
    )
    if _written(path, made.secret):
        return made.secret
    # Another server of this machine was faster; its key is as good.
    await access.revoke_key(workspace_id, made.row.id)
    return _read(path) or ""


def _read(path: Path) -> str | None:
    return path.read_text().strip() if path.exists() else None


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)


def _written(path: Path, secret: str) -> bool:
    """Write the file whole and for this user alone, unless there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
        file.write(secret + "\n")
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
