"""Cursors as clients hold them: a place in the events of one workspace."""

import zlib
from functools import lru_cache

from domain.kernel.errors import BadCursor

LONGEST = 40


@lru_cache(maxsize=1024)
def _tag(workspace_id: str) -> str:
    return f"{zlib.crc32(workspace_id.encode()):08x}"


def encode_cursor(workspace_id: str, cursor: int) -> str:
    """Return the opaque form of a place."""
    return f"{cursor}.{_tag(workspace_id)}"


def decode_cursor(workspace_id: str, text: str) -> int:
    """Return the place. Raises BadCursor for what this workspace never gave out."""
    number, dot, tag = text.partition(".")
    if not dot or len(text) > LONGEST or not (number.isascii() and number.isdigit()):
        raise BadCursor(
            f"{text[:LONGEST]!r} is no cursor; send one that an event of this workspace carried.",
            path=["after"],
        )
    if tag != _tag(workspace_id):
        raise BadCursor("This cursor belongs to another workspace.", path=["after"])
    return int(number)
