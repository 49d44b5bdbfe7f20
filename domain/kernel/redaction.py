"""What must never be read by anyone: masks secrets in anything that leaves the server.

Three nets, each enough alone: keys whose name says secret, values that were registered,
and shapes that only credentials have. Pure; whoever writes to a sink calls it and writes
nothing when it fails.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import cast
from urllib.parse import quote

MASK = "[redacted]"
MIN_SECRET_LENGTH = 4
"""Shorter values are not registered: masking `abc` everywhere hides more than it protects."""
MAX_DEPTH = 32
TOO_DEEP = "[too deep]"

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_ANYWHERE = frozenset({"authorization", "cookie", "password", "passwd", "passphrase"})
_SECRET_AT_END = frozenset({"token", "secret", "credential", "credentials", "apikey", "bearer"})
_SECRET_PAIRS = frozenset((word, "key") for word in ("api", "private", "access", "secret"))

_NAMED = (
    r"authorization|cookie|password|passwd|passphrase|secret|token|credentials?"
    r"|(?:api|private|access|secret)[_-]?key"
)
_SHAPES = re.compile(
    rf"""
    (?P<scheme>\b(?:bearer|basic)\s+) [\w\-.~+/=%]{{6,}}
    | (?P<userinfo>://[^\s/:@"']*:) [^\s/"']+ (?=@)
    | (?P<named>(?<![a-z0-9])(?:{_NAMED})["']?\s*[:=]\s*(?:(?:bearer|basic)\s+)?)
      (?!{re.escape(MASK)}) (?: "[^"]*" | '[^']*' | [^\s"',;&}})\]]+ )
    | (?P<socket>gob\.bearer\.) [\w\-.]{{6,}}
    # The first twelve characters of a key are its public name.
    | (?P<gob>(?<![a-z0-9])gob_) [\w\-]{{9,}}
    | (?P<sk>(?<![a-z0-9])sk-) [\w\-]{{6,}}
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Each shape above needs one of these; plain searches for them cost a tenth of the pattern.
_HINTS = (
    *("bearer", "basic", "authorization", "cookie", "passw", "passphrase", "secret", "token"),
    *("credential", "api_key", "api-key", "apikey", "private_key", "private-key", "privatekey"),
    *("access_key", "access-key", "accesskey", "gob_", "gob.bearer", "sk-", "://"),
)
_PLAIN = frozenset({type(None), bool, int, float})


@lru_cache(maxsize=4096)
def is_secret_key(key: str) -> bool:
    """True for a field name that holds a secret: `api_key`, `X-Auth-Token`, not `token_count`."""
    words = tuple(word.lower() for word in _WORD.findall(key))
    if not words:
        return False
    if not _SECRET_ANYWHERE.isdisjoint(words):
        return True
    return words[-1] in _SECRET_AT_END or words[-2:] in _SECRET_PAIRS


def _masked(match: re.Match[str]) -> str:
    """Keep what names the secret, drop the secret."""
    kept = next((part for part in match.groups() if part is not None), "")
    return f"{kept}{MASK}"


def _spellings(secret: str) -> Iterable[str]:
    """The ways one secret is written: as it is, in an address, inside JSON, inside a repr."""
    yield secret
    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]


class Redactor:
    """Masks secrets; knows their names, their shapes and those registered with it."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: tuple[str, ...] = ()
        for secret in secrets:
            self.register(secret)

    def register(self, secret: str) -> None:
        """Mask this value wherever it turns up from now on; too short a value is left out."""
        if len(secret) < MIN_SECRET_LENGTH:
            return
        spellings = {*self._known, *_spellings(secret)}
        self._known = tuple(sorted(spellings, key=len, reverse=True))

    def text(self, text: str) -> str:
        """The text with each secret masked."""
        if not self._is_suspect(text):
            return text
        for secret in self._known:
            text = text.replace(secret, MASK)
        return _SHAPES.sub(_masked, text)

    def value(self, value: object) -> object:
        """A copy made of plain JSON values, each secret in it masked at any depth."""
        return self._value(value, 0)

    def fields(self, fields: Mapping[str, object]) -> dict[str, object]:
        """A masked copy of named values, such as a log line or an event's payload."""
        return dict(fields) if self._is_clean(fields) else self._fields(fields, 0)

    def _is_clean(self, fields: Mapping[str, object]) -> bool:
        """The quick way for most log lines: flat, and all their texts together unsuspicious."""
        texts: list[str] = []
        for key, item in fields.items():
            if key.__class__ is not str or is_secret_key(key):
                return False
            texts.append(key)
            if isinstance(item, str):
                texts.append(item)
            elif type(item) not in _PLAIN:
                return False
        return not self._is_suspect("\n".join(texts))

    def _is_suspect(self, text: str) -> bool:
        lowered = text.lower()
        for hint in _HINTS:
            if hint in lowered:
                return True
        for secret in self._known:  # noqa: SIM110 a generator doubles the cost of a log line
            if secret in text:
                return True
        return False

    def _fields(self, fields: Mapping[str, object], depth: int) -> dict[str, object]:
        return {
            self.text(str(key)): self._named(str(key), item, depth + 1)
            for key, item in fields.items()
        }

    def _named(self, key: str, value: object, depth: int) -> object:
        if value is None or value is True or value is False or value == "":
            return value
        if is_secret_key(key):
            return MASK
        return self._value(value, depth)

    def _value(self, value: object, depth: int) -> object:
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth >= MAX_DEPTH:
            return TOO_DEEP
        if isinstance(value, Mapping):
            return self._fields(cast("Mapping[str, object]", value), depth)
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(item, depth + 1) for item in cast("Iterable[object]", value)]
        if isinstance(value, bytes):
            return self.text(value.decode("utf-8", "replace"))
        return self.text(str(value))
