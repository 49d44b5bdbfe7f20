"""Where a caller's key may stand: the header, a socket's subprotocol or greeting, our cookie."""

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.types import Scope

from app.middleware.origins import is_same_origin
from app.middleware.responses import header

COOKIE = "gob_explorer"
SUBPROTOCOL_PREFIX = "gob.bearer."


def read_token(scope: Scope) -> str | None:
    """Return the key a request brings; never from its address.

    A key that was sent on purpose wins over the explorer's cookie.
    """
    sent = explicit_token(scope)
    return cookie_token(scope) if sent is None else sent


def explicit_token(scope: Scope) -> str | None:
    """Return the key of the Authorization header, or of a socket's `gob.bearer.KEY`."""
    sent = header(scope, b"authorization")
    if sent is not None:
        return bearer(sent)
    for offered in scope.get("subprotocols", ()):
        if offered.startswith(SUBPROTOCOL_PREFIX):
            return offered.removeprefix(SUBPROTOCOL_PREFIX)
    return None


def cookie_token(scope: Scope) -> str | None:
    """Return the key of the explorer's cookie, which counts on requests of our own pages only."""
    sent = header(scope, b"cookie") if _is_own_page(scope) else None
    if sent is None:
        return None
    try:
        found = SimpleCookie(sent).get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None else None


def init_token(payload: Mapping[str, Any]) -> str | None:
    """Return the key in the payload of `connection_init`: `authorization` or `token`."""
    for name, value in payload.items():
        if name.lower() == "authorization" and isinstance(value, str):
            return bearer(value)
    token = payload.get("token")
    return token if isinstance(token, str) else None


def bearer(value: str) -> str:
    """Return the key of an Authorization value; another scheme gives what no key equals."""
    scheme, _, token = value.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _is_own_page(scope: Scope) -> bool:
    site = header(scope, b"sec-fetch-site")
    origin = header(scope, b"origin")
    if origin is not None:
        return is_same_origin(scope, origin) and site in {None, "same-origin"}
    return site in {"same-origin", "none"}
