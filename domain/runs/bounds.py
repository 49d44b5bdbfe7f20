"""What a run inherits from those who handed it work: nothing it does may reach beyond it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

ALL_TOOLS = ("*",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Grants of all runs above a run, as `run.bounds` keeps them; at the top there are none."""

    tools: tuple[tuple[str, ...], ...] = ()
    """Lists of patterns; a tool must fit each of them."""
    profiles: tuple[str, ...] = ()
    """Behavior profiles of the agents above that have one; the strictest decision counts."""
    agents: tuple[str, ...] = ()
    """Agents at work above, the first at the top; none of them can be asked again."""

    @classmethod
    def read(cls, stored: str | None) -> "Bounds":
        """Read what a row keeps."""
        if stored is None:
            return cls()
        kept: dict[str, Any] = orjson.loads(stored)
        return cls(
            tools=tuple(tuple(patterns) for patterns in kept.get("tools", ())),
            profiles=tuple(kept.get("profiles", ())),
            agents=tuple(kept.get("agents", ())),
        )

    def grown(
        self, agent_id: str, patterns: Sequence[Sequence[str]], profile_id: str | None
    ) -> "Bounds":
        """Add what bounds an agent that hands work on: its own patterns and those of its run."""
        more = tuple(tuple(each) for each in patterns if tuple(each) != ALL_TOOLS)
        profiles = () if profile_id is None else (profile_id,)
        return Bounds(
            tools=(*self.tools, *(each for each in more if each not in self.tools)),
            profiles=(*self.profiles, *profiles),
            agents=(*self.agents, agent_id),
        )

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return {"tools": self.tools, "profiles": self.profiles, "agents": self.agents}
