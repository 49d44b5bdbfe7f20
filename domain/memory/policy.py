"""Kinds of memory, and how much of it an agent uses."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from domain.kernel.validation import ClientModel, Flag, Whole


class MemoryScope(StrEnum):
    """Whose memory an agent uses."""

    NONE = "NONE"
    CONVERSATION = "CONVERSATION"
    AGENT = "AGENT"
    WORKSPACE = "WORKSPACE"


class MemoryKind(StrEnum):
    """What a memory is."""

    USER_DATA = "USER_DATA"
    FRAGMENT = "FRAGMENT"
    SOLUTION = "SOLUTION"
    KNOWLEDGE = "KNOWLEDGE"


def _without_repeats(kinds: tuple[MemoryKind, ...]) -> tuple[MemoryKind, ...]:
    return tuple(dict.fromkeys(kinds))


class MemoryPolicy(ClientModel):
    """What a run recalls from memory and writes to it."""

    scope: MemoryScope = MemoryScope.WORKSPACE
    recall_kinds: Annotated[
        tuple[MemoryKind, ...], Field(max_length=len(MemoryKind)), AfterValidator(_without_repeats)
    ] = (MemoryKind.USER_DATA, MemoryKind.FRAGMENT, MemoryKind.SOLUTION)
    recall_limit: Whole = Field(default=8, ge=0, le=50)
    memorize: Flag = True
