"""Ids of rows as clients know them: a kind and the bytes of a UUID, such as `task_AZqrze8S...`."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

TASK = "task"
"""The kind of tasks."""


def public_id(kind: str, raw: str) -> str:
    """Return the public form of a row's id."""
    return f"{kind}_{urlsafe_b64encode(UUID(raw).bytes).rstrip(b'=').decode()}"


def row_id(kind: str, text: str) -> str | None:
    """Return the row's id, None for what is no public id of that kind."""
    prefix, _, content = text.partition("_")
    if prefix != kind:
        return None
    try:
        raw = str(UUID(bytes=urlsafe_b64decode(content + "=" * (-len(content) % 4))))
    except (binascii.Error, ValueError):
        return None
    return raw if public_id(kind, raw) == text else None
