"""Pages of the tools, by name."""

import pytest

from domain.kernel.errors import BadCursor
from domain.kernel.paging import PageRequest
from domain.tools.manifest import ToolManifest
from resolvers.tool_pages import page_of_tools

NAMES = ["add", "cut", "join", "sort"]
TOOLS = [
    ToolManifest(name=name, domain="text", description=name, input_schema={}, output_schema={})
    for name in NAMES
]


def names(**asked: int | str) -> list[str]:
    return [tool.name for tool in page_of_tools(TOOLS, PageRequest.of(**asked)).items]  # type: ignore[arg-type]


def test_a_list_is_read_forward_page_by_page():
    first = page_of_tools(TOOLS, PageRequest.of(first=3))
    second = page_of_tools(TOOLS, PageRequest.of(first=3, after=first.cursors[-1]))

    assert [tool.name for tool in first.items] == ["add", "cut", "join"]
    assert (first.has_previous, first.has_next) == (False, True)
    assert [tool.name for tool in second.items] == ["sort"]
    assert (second.has_previous, second.has_next) == (True, False)


def test_a_list_is_read_backward_page_by_page():
    last = page_of_tools(TOOLS, PageRequest.of(last=3))
    before = page_of_tools(TOOLS, PageRequest.of(last=3, before=last.cursors[0]))

    assert [tool.name for tool in last.items] == ["cut", "join", "sort"]
    assert (last.has_previous, last.has_next) == (True, False)
    assert [tool.name for tool in before.items] == ["add"]
    assert (before.has_previous, before.has_next) == (False, True)


def test_a_page_without_a_size_has_twenty_items():
    assert names() == NAMES


@pytest.mark.parametrize("cursor", ["", "nonsense", "////", "Y3V0", "ü"])
def test_a_foreign_cursor_is_refused_by_the_name_of_its_field(cursor: str):
    with pytest.raises(BadCursor) as caught:
        names(after=cursor)

    assert caught.value.path == ("after",)
