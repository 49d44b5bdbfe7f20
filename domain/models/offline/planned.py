"""What a plan is made of, and why there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.models.ports import ToolSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A tool to call, and with what."""

    tool: ToolSpec
    arguments: Mapping[str, Any]
    leftover: int = 0
    """Words and values of the clause that the call does not explain."""
    left_values: int = 0
    """Quotes and JSON values among them."""
    beside: bool = False
    """True for a call that is made together with the one before it."""


class Declined(Exception):
    """The instruction, or one step of it, is not understood well enough to act."""

    def __init__(self, reason: str, nearest: Sequence[ToolSpec] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.nearest = nearest
