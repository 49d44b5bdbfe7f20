"""Who is calling, what the server is, and any object by its id."""

import asyncio
from typing import Annotated

import strawberry
from strawberry import ID, field

from domain.kernel.errors import ValidationFailed
from resolvers.services import Info
from schema.access import Viewer
from schema.declare import api_type
from schema.ids import decode_any
from schema.nodes import node_of
from schema.relay import Node
from schema.server import Health, ServerInfo

MOST_NODES = 100


@api_type
class ServerQuery:
    """Reads that need no scope."""

    @field(description="Object of any type by id; null when unknown or not visible.")
    async def node(
        self,
        info: Info,
        ident: Annotated[ID, strawberry.argument(name="id", description="The id.")],
    ) -> Node | None:
        """Load it."""
        kind, raw = decode_any(ident, path="id")
        return await node_of(info.context.loaders, kind, raw)

    @field(description="Objects by id, in the order asked; unknown ones are null.")
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[ID], strawberry.argument(description="The ids, at most 100.")],
    ) -> list[Node | None]:
        """Load them together."""
        if len(ids) > MOST_NODES:
            message = f"Ask for at most {MOST_NODES} objects, not {len(ids)}."
            raise ValidationFailed.of("ids", message)
        wanted = [decode_any(ident, path=f"ids.{place}") for place, ident in enumerate(ids)]
        loaders = info.context.loaders
        return await asyncio.gather(*(node_of(loaders, kind, raw) for kind, raw in wanted))

    @field(description="Who is calling and in which workspace.")
    async def viewer(self, info: Info) -> Viewer:
        """Load workspace and key."""
        context = info.context
        access, principal = context.services.access, context.principal
        workspace = await access.workspace(principal)
        key_id = principal.key_id
        key = None if key_id is None else await access.key(principal.workspace_id, key_id)
        return Viewer.of(principal, workspace, key)

    @field(description="What this server is and can do.")
    async def server_info(self, info: Info) -> ServerInfo:
        """Ask the process."""
        return ServerInfo.of(await info.context.services.server.facts())

    @field(description="Whether the server can do its work.")
    async def health(self, info: Info) -> Health:
        """Check now."""
        return Health.of(await info.context.services.server.health())
