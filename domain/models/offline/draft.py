"""Arguments as they are found: what is known so far, and what of a clause is still to be had."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.models.offline.literals import Reading
from domain.models.offline.parameters import Kind, Parameter

EVIDENCE = {
    Kind.SUM: 1.2,
    Kind.URL: 0.8,
    Kind.UNIT: 1.2,
    Kind.OBJECT: 0.5,
    Kind.JSON: 0.4,
    Kind.PATH: 0.5,
    Kind.MOMENT: 0.5,
    Kind.CHOICE: 0.4,
    Kind.LIST: 0.3,
    Kind.ZONE: 0.4,
    Kind.PATTERN: 0.6,
    Kind.TEXT: 0.4,
}
"""How much a value of this kind speaks for a tool that takes one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where an instruction is read: at what moment, and whether a step came before."""

    now: datetime
    has_earlier: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """Stands for the result of the step before, as a value of a kind."""

    kind: Kind
    template: str | None = None
    """A text in which RESULT stands for the result."""


@dataclass(slots=True)
class Draft:
    """The arguments found so far, and what of the clause is still to be had."""

    parameters: Sequence[Parameter]
    reading: Reading
    scene: Scene
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    evidence: float = 0.0
    is_exact: bool = True

    def wants(self, *kinds: Kind) -> list[Parameter]:
        """Needed parameters of these kinds that have no value yet."""
        return [
            each
            for each in self.parameters
            if each.required and each.kind in kinds and each.name not in self.values
        ]
