"""Pages of the tools, which are few and live in memory, in the order of their names."""

import base64
import binascii
from collections.abc import Sequence

from domain.kernel.errors import BadCursor
from domain.kernel.paging import Page, PageRequest
from domain.tools.manifest import ToolManifest
from schema.relay import Count

_TAG = "tools:"
_SHOWN = 40


def page_of_tools(tools: Sequence[ToolManifest], request: PageRequest) -> Page[ToolManifest]:
    """Cut a page out of tools that are sorted by name. Raises BadCursor."""
    after = None if request.after is None else _decode(request.after, "after")
    before = None if request.before is None else _decode(request.before, "before")
    within = [
        tool
        for tool in tools
        if (after is None or tool.name > after) and (before is None or tool.name < before)
    ]
    backward = request.is_backward
    items = within[-request.size :] if backward else within[: request.size]
    more = len(within) > len(items)
    return Page(
        items=items,
        cursors=[_encode(tool.name) for tool in items],
        has_next=before is not None if backward else more,
        has_previous=more if backward else after is not None,
    )


def counter(tools: Sequence[ToolManifest]) -> Count:
    """Make what counts a list that is already here."""

    async def count() -> int:
        return len(tools)

    return count


def _encode(name: str) -> str:
    return base64.urlsafe_b64encode(f"{_TAG}{name}".encode()).rstrip(b"=").decode()


def _decode(cursor: str, field: str) -> str:
    try:
        opened = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (ValueError, binascii.Error):
        opened = ""
    if not opened.startswith(_TAG):
        message = f"{cursor[:_SHOWN]!r} is no cursor; send one that a page of this list gave."
        raise BadCursor(message, path=[field])
    return opened.removeprefix(_TAG)
