"""The tools that agents can call, and the helpers they are built from."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry
from strawberry import UNSET, field

from domain.access.scopes import Scope as DomainScope
from domain.helpers.catalog import HELPERS
from domain.kernel.paging import PageRequest
from domain.tools.manifest import ToolManifest
from resolvers.fields import needs
from resolvers.services import Info
from resolvers.tool_pages import counter, page_of_tools
from schema.access import Scope
from schema.declare import api_type
from schema.inputs import values_of
from schema.relay import Paged
from schema.tools import Helper, Tool, ToolConnection, ToolFilter


@api_type
class ToolsQuery:
    """Reads of tools and helpers."""

    @field(description="Tools, by name.", directives=needs(Scope.TOOLS_READ), extensions=[Paged()])
    async def tools(
        self,
        info: Info,
        page: PageRequest,
        narrow: Annotated[
            ToolFilter | None, strawberry.argument(name="filter", description="Narrows the list.")
        ] = UNSET,
    ) -> ToolConnection:
        """List them."""
        info.context.principal.needs(DomainScope.TOOLS_READ)
        wanted = values_of(narrow) if narrow else {}
        manifests = [tool.manifest for tool in info.context.services.tools]
        found = [manifest for manifest in manifests if _fits(manifest, wanted)]
        return ToolConnection.of(page_of_tools(found, page), count=counter(found))

    @field(description="One tool by name.", directives=needs(Scope.TOOLS_READ))
    async def tool(
        self,
        info: Info,
        name: Annotated[str, strawberry.argument(description="Its name, such as http.get.")],
    ) -> Tool | None:
        """Find it."""
        info.context.principal.needs(DomainScope.TOOLS_READ)
        manifest = info.context.loaders.tool(name)
        return None if manifest is None else Tool.of(manifest)

    @field(
        description="Helpers that tools are built from, by name.",
        directives=needs(Scope.TOOLS_READ),
    )
    async def helpers(
        self,
        info: Info,
        theme: Annotated[str | None, strawberry.argument(description="Only this theme.")] = UNSET,
        search: Annotated[
            str | None, strawberry.argument(description="Words in the name or doc.")
        ] = UNSET,
    ) -> list[Helper]:
        """List them."""
        info.context.principal.needs(DomainScope.TOOLS_READ)
        entries = (Helper.of(entry) for entry in HELPERS if not theme or entry.theme == theme)
        found = [entry for entry in entries if _has_words(search, entry.name, entry.doc)]
        return sorted(found, key=lambda entry: entry.name)


def _fits(manifest: ToolManifest, wanted: Mapping[str, Any]) -> bool:
    domain, effects = wanted.get("domain"), wanted.get("sideEffects")
    return (
        (domain is None or manifest.domain == domain)
        and (effects is None or manifest.side_effect.name in effects)
        and _has_words(wanted.get("search"), manifest.name, manifest.description)
    )


def _has_words(search: str | None, *texts: str) -> bool:
    """Tell whether every word of a search is found in some of the texts."""
    within = " ".join(texts).lower()
    return all(word in within for word in (search or "").lower().split())
