"""Checks the addresses that settings hold; each check returns the value or raises ValueError."""

import ipaddress
import re
from pathlib import Path
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.\-]*[A-Za-z0-9])?")
_ENDPOINTS = ("/chat/completions", "/messages", "/api/chat")
_POSTGRES = re.compile(r"postgres(?:ql)?(?:\+[a-z0-9]+)?://")


def host_name(value: object) -> str:
    """A host name, an IPv4 or an IPv6 address, the last with or without brackets."""
    text = str(value).strip()
    bare = text.removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        if _HOST.fullmatch(text) is None or text.replace(".", "").isdigit():
            raise
        return text


def is_loopback(host: str) -> bool:
    """True for an address that only this machine can reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def origin(value: object) -> str:
    """A web origin in the spelling browsers send: scheme, host and port, no path."""
    text = str(value).strip().lower().removesuffix("/")
    parts = urlsplit(text)
    is_bare = text == f"{parts.scheme}://{parts.netloc}"
    if not is_bare or parts.scheme not in {"http", "https"} or not parts.hostname or "@" in text:
        raise ValueError("not an origin")
    if "*" in text:
        raise ValueError("a pattern")
    _ = parts.port
    return text


def postgres_or_sqlite(value: object) -> str:
    """A database address; the spellings of PostgreSQL's scheme become one."""
    text = str(value).strip()
    if text.startswith("sqlite:"):
        sqlite_file(text)
        return text
    match = _POSTGRES.match(text)
    if match is None:
        raise ValueError("neither SQLite nor PostgreSQL")
    text = f"postgresql://{text[match.end() :]}"
    parts = urlsplit(text)
    if parts.path in {"", "/"} or parts.port == 0:
        raise ValueError("no database name")
    return text


def sqlite_file(address: str) -> Path:
    """The file of `sqlite:///relative` or `sqlite:////absolute`."""
    path = address.removeprefix("sqlite:///")
    if not address.startswith("sqlite:///") or path in {"", "/", ":memory:"} or "?" in path:
        raise ValueError("no file")
    return Path(path)


def redis_address(value: object) -> str:
    """A Redis address, or empty for none."""
    text = str(value).strip()
    if not text:
        return text
    parts = urlsplit(text)
    if parts.scheme not in {"redis", "rediss", "unix"} or not (parts.hostname or parts.path):
        raise ValueError("not Redis")
    _ = parts.port
    return text


def web_address(value: object) -> str:
    """An HTTP address without a slash at its end."""
    text = str(value).strip().rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("no HTTP address")
    if parts.query or parts.fragment or text.endswith(_ENDPOINTS):
        raise ValueError("more than a base address")
    _ = parts.port
    return text
