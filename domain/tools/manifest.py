"""What a tool says about itself: to models, to policy and to whoever runs it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue

from domain.models.ports import ToolSpec

# The wires of model providers take no other names.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_CAPABILITY = re.compile(r"[a-z]+(\.[a-z]+)*(:\S+)?\Z")


class SideEffect(StrEnum):
    """What a tool can do to the world."""

    NONE = "NONE"
    """Computes only."""
    READ = "READ"
    """Reads files, the network or data."""
    WRITE = "WRITE"
    """Changes files, data or other systems."""
    DANGEROUS = "DANGEROUS"
    """Runs code or does what cannot be undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTraits:
    """How a tool behaves, apart from what its function already says."""

    version: int = 1
    """Raised whenever schemas or behaviour change."""
    side_effect: SideEffect = SideEffect.NONE
    capabilities: tuple[str, ...] = ()
    """What the tool must be granted, such as fs.read."""
    idempotent: bool = True
    """A repeated call with the same arguments does no harm."""
    timeout_s: float = 10.0
    """Longest time of one call."""
    output_limit_bytes: int = 65_536
    """A result that is longer as JSON reaches the model as its beginning only."""
    untrusted_output: bool = False
    """Results hold text that others than the workspace's people may have written."""
    parallel: bool = True
    """Calls may run beside other calls of the same step."""


COMPUTES = ToolTraits()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolManifest(ToolTraits):
    """All that is said about one tool; its schemas are JSON Schema 2020-12."""

    name: str
    domain: str
    """Group the tool belongs to, such as tables or files."""
    description: str
    input_schema: Mapping[str, JsonValue]
    output_schema: Mapping[str, JsonValue]

    def __post_init__(self) -> None:
        """Refuse what no provider or policy could work with."""
        if _NAME.match(self.name) is None:
            raise ValueError(
                f"{self.name!r} is no tool name: 1 to 64 of A-Z, a-z, 0-9, _ and - are."
            )
        for capability in self.capabilities:
            if _CAPABILITY.match(capability) is None:
                raise ValueError(f"{capability!r} is no capability; fs.read or net:host would be.")


def to_spec(manifest: ToolManifest) -> ToolSpec:
    """Give what a model needs to choose and call the tool."""
    return ToolSpec(
        name=manifest.name,
        description=manifest.description,
        input_schema=manifest.input_schema,
        read_only=manifest.side_effect in (SideEffect.NONE, SideEffect.READ),
    )
