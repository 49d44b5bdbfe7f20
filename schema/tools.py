"""Functions that agents can call, and the helpers they are built from."""

import inspect
import math
import re
from collections.abc import Callable
from enum import Enum
from typing import Self, get_type_hints

from strawberry import ID, UNSET, field

from domain.behavior.policy import default_of
from domain.helpers.catalog import Helper as HelperEntry
from domain.kernel.paging import Page
from domain.tools.manifest import ToolManifest
from schema.behavior import ToolDecision
from schema.declare import api_enum, api_input, api_type
from schema.ids import Kind, encode_id
from schema.relay import Count, CountedConnection, Edge, Node
from schema.scalars import Json

_MODULES = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])")


@api_enum
class SideEffect(Enum):
    """What a tool can do to the world."""

    NONE = "Computes only."
    READ = "Reads files, the network or data."
    WRITE = "Changes files, data or other systems."
    DANGEROUS = "Runs code or does what cannot be undone."


@api_type
class Tool(Node):
    """Function that agents can call."""

    id: ID = field(description="Opaque global id.")
    name: str = field(description="Unique dotted name, such as http.get.")
    domain: str = field(description="Group it belongs to, such as http, fs or memory.")
    version: str = field(description="Version.")
    description: str = field(description="What it does; models choose tools by this.")
    input_schema: Json = field(description="JSON Schema of the arguments.")
    output_schema: Json | None = field(
        description="JSON Schema of the result; null for plain text."
    )
    side_effect: SideEffect = field(description="What it can do to the world.")
    idempotent: bool = field(
        description="True when a repeated call with the same arguments does no harm."
    )
    capabilities: list[str] = field(
        description="Capabilities it needs, such as fs.read or net:api.example.com."
    )
    approval_default: ToolDecision = field(description="Decision when no rule says otherwise.")
    timeout_seconds: int = field(description="Longest time of a call.")

    @classmethod
    def of(cls, manifest: ToolManifest) -> Self:
        """Show a manifest."""
        return cls(
            id=encode_id(Kind.TOOL, manifest.name),
            name=manifest.name,
            domain=manifest.domain,
            version=str(manifest.version),
            description=manifest.description,
            input_schema=Json(manifest.input_schema),
            output_schema=Json(manifest.output_schema),
            side_effect=SideEffect[manifest.side_effect.name],
            idempotent=manifest.idempotent,
            capabilities=list(manifest.capabilities),
            approval_default=ToolDecision[default_of(manifest.side_effect)],
            timeout_seconds=math.ceil(manifest.timeout_s),
        )


@api_type
class ToolEdge(Edge[Tool]):
    """Place of one tool in a page."""


@api_type
class ToolConnection(CountedConnection[Tool, ToolEdge]):
    """Page of tools."""

    @classmethod
    def of(cls, page: Page[ToolManifest], *, count: Count) -> Self:
        """Show a page of manifests."""
        nodes = [Tool.of(manifest) for manifest in page.items]
        return cls.counted(page, nodes, ToolEdge, count=count)


@api_type
class Helper:
    """Small function that tools are built from."""

    name: str = field(description="Unique name, such as text.slugify.")
    theme: str = field(description="Theme it belongs to, such as text or dates.")
    signature: str = field(description="Python signature.")
    doc: str = field(description="What it does.")

    @classmethod
    def of(cls, entry: HelperEntry) -> Self:
        """Show a helper as its function describes itself."""
        return cls(
            name=entry.name,
            theme=entry.theme,
            signature=f"{entry.name}{_signature(entry.function)}",
            doc=inspect.getdoc(entry.function) or "",
        )


@api_input
class ToolFilter:
    """Narrows a list of tools."""

    search: str | None = field(description="Words in the name or description.", default=UNSET)
    domain: str | None = field(description="Only this domain.", default=UNSET)
    side_effects: list[SideEffect] | None = field(
        description="Only these side effects.", default=UNSET
    )


def _signature(function: Callable[..., object]) -> str:
    """Write the parameters with their bare types, without descriptions and modules."""
    hints = get_type_hints(function)
    signature = inspect.signature(function)
    bare = signature.replace(
        parameters=[
            parameter.replace(annotation=hints[name])
            for name, parameter in signature.parameters.items()
        ],
        return_annotation=hints["return"],
    )
    return _MODULES.sub("", str(bare))
