"""What a key may do, and who is calling."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from domain.kernel.errors import FieldProblem, Forbidden, ValidationFailed
from domain.kernel.tracing import TraceContext, new_trace

SYSTEM = "system"
"""Actor of what the server does by itself."""
COMMAND_LINE = "command line"
"""Actor of what an operator does on the machine."""
NOBODY = "nobody"
"""Actor of calls whose key says nothing of who sent them."""
HOUSE_NAMES = frozenset({SYSTEM, COMMAND_LINE, NOBODY})
"""Names that no key may have: the audit log names actors by them."""


class Scope(StrEnum):
    """One permission, written noun:verb."""

    AGENTS_READ = "agents:read"
    AGENTS_WRITE = "agents:write"
    RUNS_READ = "runs:read"
    RUNS_EXECUTE = "runs:execute"
    RUNS_APPROVE = "runs:approve"
    MEMORY_READ = "memory:read"
    MEMORY_WRITE = "memory:write"
    TASKS_READ = "tasks:read"
    TASKS_WRITE = "tasks:write"
    BEHAVIOR_READ = "behavior:read"
    BEHAVIOR_WRITE = "behavior:write"
    TOOLS_READ = "tools:read"
    TOOLS_WRITE = "tools:write"
    ADMIN = "admin"


def parse_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Read scopes as people write them. Raises ValidationFailed naming the unknown ones."""
    known = {scope.value: scope for scope in Scope}
    found: set[Scope] = set()
    for name in names:
        scope = known.get(name.strip().lower())
        if scope is None:
            message = f"{name!r} is no scope; the scopes are {', '.join(known)}."
            raise ValidationFailed([FieldProblem(path=("scopes",), message=message)])
        found.add(scope)
    if not found:
        raise ValidationFailed.of("scopes", f"Name at least one of {', '.join(known)}.")
    return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who is calling: a key, its workspace, what it may do, and the trace of this call."""

    workspace_id: str
    key_id: str | None
    name: str
    scopes: frozenset[Scope]
    trace: TraceContext = field(default_factory=new_trace, compare=False)

    @classmethod
    def of_house(cls, workspace_id: str, name: str = SYSTEM) -> "Principal":
        """The server itself, or its operator: acts without a key, in a trace of its own."""
        return cls(
            workspace_id=workspace_id, key_id=None, name=name, scopes=frozenset({Scope.ADMIN})
        )

    def within(self, trace: TraceContext) -> "Principal":
        """The same caller in the trace of one request."""
        return replace(self, trace=trace)

    def needs(self, scope: Scope) -> None:
        """Raise Forbidden unless the scope, or admin, is held."""
        if scope not in self.scopes and Scope.ADMIN not in self.scopes:
            message = f"The key {self.name!r} lacks the scope {scope.value}."
            raise Forbidden(message, scope=scope.value)

    def needs_any(self, *scopes: Scope) -> None:
        """Raise Forbidden naming the first scope unless one of them, or admin, is held.

        For what a caller meets on the way: the agent of a run that it may see.
        """
        if not any(self.may(scope) for scope in scopes):
            self.needs(scopes[0])

    def may(self, scope: Scope) -> bool:
        """True when the scope, or admin, is held."""
        return scope in self.scopes or Scope.ADMIN in self.scopes
