"""The tools that every server has: all helpers, and files of the workspace."""

from domain.helpers.catalog import HELPERS
from domain.tools.calls import Tool
from domain.tools.files import file_tools
from domain.tools.generate import tool_from
from domain.tools.ports import TreeOf


def builtin_tools(tree_of: TreeOf) -> list[Tool]:
    """Make a tool of each helper, and the file tools over the trees of workspaces."""
    helpers = [tool_from(helper.function, domain=helper.theme) for helper in HELPERS]
    return [*helpers, *file_tools(tree_of)]
