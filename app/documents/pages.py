"""Parts of growing lists as JSON."""

from typing import Any, Self

from pydantic import Field

from app.documents.base import Document
from domain.kernel.paging import Page


class PageInfo(Document):
    """Where a page lies in its list."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None

    @classmethod
    def of(cls, page: Page[Any]) -> Self:
        """Show where a page lies."""
        return cls(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.cursors[0] if page.cursors else None,
            end_cursor=page.cursors[-1] if page.cursors else None,
        )


class PageDocument(Document):
    """Base of pages; each names its nodes."""

    page_info: PageInfo = Field(description="Where the page lies; the Link header leads on.")
