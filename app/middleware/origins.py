"""Which hosts and which web pages may speak to this server."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.types import Scope

from app.middleware.responses import headers

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_ANY = "*"


def host_name(host: str) -> str:
    """Return the name in a Host value, lower-case, without port or brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def is_loopback_name(host: str) -> bool:
    """Tell whether a Host value names this machine itself."""
    return host_name(host) in _LOOPBACK_NAMES


def is_same_origin(scope: Scope, origin: str) -> bool:
    """Tell whether an Origin is this server itself, by the Host that the request names."""
    sent = headers(scope, b"host")
    scheme, separator, authority = origin.lower().partition("://")
    if not separator or scheme not in {"http", "https"} or len(sent) != 1:
        return False
    default = ":443" if scheme == "https" else ":80"
    return authority.removesuffix(default) == sent[0].strip().lower().removesuffix(default)


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginPolicy:
    """Hosts this server answers to and origins whose pages may read its answers."""

    allowed_hosts: frozenset[str]
    allow_origins: frozenset[str]

    @classmethod
    def of(cls, allowed_hosts: Iterable[str], allow_origins: Iterable[str]) -> "OriginPolicy":
        """Build a policy from what settings say; `*` stands for any."""
        return cls(
            allowed_hosts=frozenset(host_name(host) for host in allowed_hosts),
            allow_origins=frozenset(
                origin.strip().rstrip("/").lower() for origin in allow_origins if origin.strip()
            ),
        )

    def allows_host(self, scope: Scope) -> bool:
        """Tell whether exactly one Host came and it is one of ours."""
        sent = headers(scope, b"host")
        if len(sent) != 1:
            return False
        return _ANY in self.allowed_hosts or host_name(sent[0]) in self.allowed_hosts

    def allows_origin(self, origin: str) -> bool:
        """Tell whether a page of that origin is one of ALLOW_ORIGINS."""
        return _ANY in self.allow_origins or origin.lower() in self.allow_origins

    def refuses_page(self, scope: Scope, origin: str | None) -> bool:
        """Tell whether a page sent this that may not; clients that are no browsers send none."""
        if origin is None:
            return False
        return not (self.allows_origin(origin) or is_same_origin(scope, origin))


SECURITY_HEADERS: Mapping[bytes, bytes] = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"no-store",
}
"""Sent with every answer that does not say otherwise itself."""
