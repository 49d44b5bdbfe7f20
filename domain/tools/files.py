"""Tools that list and read files in the workspace folder, and nowhere else."""

from typing import Annotated

from pydantic import Field

from domain.tools.calls import Tool, ToolContext
from domain.tools.generate import tool_from
from domain.tools.manifest import SideEffect, ToolTraits
from domain.tools.ports import FileListing, FileText, TreeOf

MAX_PATH_CHARS = 1_024
MAX_ENTRIES = 1_000
MAX_PART_BYTES = 60_000
_READS_FILES = ToolTraits(
    side_effect=SideEffect.READ,
    capabilities=("fs.read",),
    untrusted_output=True,
    # JSON writes a control character with six bytes.
    output_limit_bytes=6 * MAX_PART_BYTES + 1_000,
)


def file_tools(tree_of: TreeOf) -> tuple[Tool, ...]:
    """Make the file tools over the trees of workspaces."""
    return (_files_list(tree_of), _files_read(tree_of))


def _files_list(tree_of: TreeOf) -> Tool:
    async def files_list(
        context: ToolContext,
        *,
        path: Annotated[
            str,
            Field(
                description="Folder, relative to the workspace folder; empty lists that itself.",
                max_length=MAX_PATH_CHARS,
            ),
        ] = "",
        limit: Annotated[
            int, Field(description="Most entries to return.", ge=1, le=MAX_ENTRIES)
        ] = 200,
    ) -> FileListing:
        """List the files and folders in a folder of the workspace."""
        return await tree_of(context.workspace_id).list(path, limit=limit)

    return tool_from(files_list, domain="files", traits=_READS_FILES)


def _files_read(tree_of: TreeOf) -> Tool:
    async def files_read(
        context: ToolContext,
        *,
        path: Annotated[
            str,
            Field(
                description="File, relative to the workspace folder, such as notes/todo.md.",
                min_length=1,
                max_length=MAX_PATH_CHARS,
            ),
        ],
        offset: Annotated[
            int, Field(description="Byte to start at; next_offset of the part before.", ge=0)
        ] = 0,
        limit_bytes: Annotated[
            int, Field(description="Most bytes to read.", ge=4, le=MAX_PART_BYTES)
        ] = 20_000,
    ) -> FileText:
        """Read a text file of the workspace, whole or in parts."""
        tree = tree_of(context.workspace_id)
        return await tree.read_text(path, offset=offset, limit_bytes=limit_bytes)

    return tool_from(files_read, domain="files", traits=_READS_FILES)
