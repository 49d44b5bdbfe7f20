"""Global ids: the opaque form, unique across all types, in which clients see a row's id.

An id is a kind and the 16 bytes of a UUID in base64url (RFC 4648, section 5), such as
`run_AZqrze8SdFaavN7wEjRWeA`. What has a name instead of a UUID carries the name's bytes.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from enum import Enum
from functools import lru_cache
from uuid import UUID

from strawberry import ID

from domain.kernel.errors import FieldProblem, NotFound, ValidationFailed
from domain.kernel.public_ids import public_id

LONGEST = 200
_SHOWN = 60


class Kind(Enum):
    """Kinds of objects that have ids; the value is the prefix."""

    WORKSPACE = "ws"
    API_KEY = "key"
    AGENT = "agent"
    CONVERSATION = "conv"
    MESSAGE = "msg"
    RUN = "run"
    STEP = "step"
    APPROVAL = "approval"
    TOOL = "tool"
    BEHAVIOR_PROFILE = "profile"
    BEHAVIOR_VERSION = "ruleset"
    BEHAVIOR_RULE = "rule"
    TASK = "task"
    OCCURRENCE = "occ"
    MEMORY = "mem"
    AUDIT_ENTRY = "audit"

    @property
    def noun(self) -> str:
        """What people call it."""
        return _NOUNS[self]


_NOUNS = {
    Kind.WORKSPACE: "workspace",
    Kind.API_KEY: "API key",
    Kind.AGENT: "agent",
    Kind.CONVERSATION: "conversation",
    Kind.MESSAGE: "message",
    Kind.RUN: "run",
    Kind.STEP: "step",
    Kind.APPROVAL: "approval",
    Kind.TOOL: "tool",
    Kind.BEHAVIOR_PROFILE: "behavior profile",
    Kind.BEHAVIOR_VERSION: "behavior version",
    Kind.BEHAVIOR_RULE: "behavior rule",
    Kind.TASK: "task",
    Kind.OCCURRENCE: "occurrence",
    Kind.MEMORY: "memory",
    Kind.AUDIT_ENTRY: "audit entry",
}
_BY_NOUN = {noun.lower().replace(" ", ""): kind for kind, noun in _NOUNS.items()}
_KINDS = {kind.value: kind for kind in Kind}
_NAMED = frozenset({Kind.TOOL})


class MalformedId(ValidationFailed):
    """A text that no id of this API looks like; `text` is what was sent."""

    def __init__(self, path: str, text: str) -> None:
        message = f"{text[:_SHOWN]!r} is no id; send one that this API gave out."
        super().__init__([FieldProblem(path=tuple(path.split(".")), message=message)])
        self.text = text


@lru_cache(maxsize=8192)
def encode_id(kind: Kind, raw: str) -> ID:
    """Return the public form of a row's id."""
    if kind not in _NAMED:
        return ID(public_id(kind.value, raw))
    return ID(f"{kind.value}_{urlsafe_b64encode(raw.encode()).rstrip(b'=').decode()}")


def optional_id(kind: Kind, raw: str | None) -> ID | None:
    """Return the public form, or None where there is no id."""
    return None if raw is None else encode_id(kind, raw)


def decode_any(text: str, *, path: str) -> tuple[Kind, str]:
    """Return the kind and the row's id. Raises MalformedId at `path`."""
    prefix, _, content = text.partition("_")
    kind = _KINDS.get(prefix)
    if kind is None or not content or len(text) > LONGEST:
        raise MalformedId(path, text)
    try:
        packed = urlsafe_b64decode(content + "=" * (-len(content) % 4))
        raw = packed.decode() if kind in _NAMED else str(UUID(bytes=packed))
    except (binascii.Error, ValueError):
        raise MalformedId(path, text) from None
    # One object has one id: base64 with other padding bits or foreign letters is refused.
    if encode_id(kind, raw) != text:
        raise MalformedId(path, text)
    return kind, raw


def decode_id(kind: Kind, text: str, *, path: str) -> str:
    """Return the row's id. Raises MalformedId, or NotFound for an id of another kind."""
    found, raw = decode_any(text, path=path)
    if found is not kind:
        raise NotFound(kind.noun, text, path=path.split("."))
    return raw


def kind_named(noun: str) -> Kind:
    """Return the kind that the domain calls by a noun or a type's name."""
    return _BY_NOUN[noun.lower().replace(" ", "")]


def known_kind(noun: str) -> Kind | None:
    """Return the kind of a noun or a type's name; None for what has no ids."""
    return _BY_NOUN.get(noun.lower().replace(" ", ""))


def public_ident(noun: str, ident: str) -> str:
    """Return the id as clients know it of what the domain names by its raw id; else as it is."""
    kind = known_kind(noun)
    return encode_id(kind, ident) if kind is not None and _is_uuid(ident) else ident


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
