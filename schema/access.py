"""Who is calling, in which workspace, with which key and scopes."""

from collections.abc import Iterable
from enum import Enum
from typing import Self

import strawberry
from strawberry import ID, UNSET, field
from strawberry.schema_directive import Location

from domain.access.rows import ApiKeyRow, WorkspaceRow
from domain.access.scopes import Principal
from domain.access.scopes import Scope as DomainScope
from domain.kernel.paging import Page
from schema.behavior import BehaviorProfile
from schema.context import Info
from schema.declare import api_enum, api_input, api_type
from schema.ids import Kind, encode_id
from schema.inputs import refers_to
from schema.relay import Count, CountedConnection, Edge, Node
from schema.scalars import Moment, moment


@api_enum
class Scope(Enum):
    """What an API key may do; written noun:verb in REST and settings."""

    AGENTS_READ = "agents:read, see agents and their versions."
    AGENTS_WRITE = "agents:write, create and change agents."
    RUNS_READ = "runs:read, see conversations, runs, approvals and usage."
    RUNS_EXECUTE = "runs:execute, start and control runs and conversations."
    RUNS_APPROVE = "runs:approve, decide approvals."
    MEMORY_READ = "memory:read, see and search memory and knowledge."
    MEMORY_WRITE = "memory:write, change memory, knowledge and retention."
    TASKS_READ = "tasks:read, see tasks and occurrences."
    TASKS_WRITE = "tasks:write, create, change and start tasks."
    BEHAVIOR_READ = "behavior:read, see behavior profiles."
    BEHAVIOR_WRITE = "behavior:write, change behavior profiles."
    TOOLS_READ = "tools:read, see tools and helpers."
    TOOLS_WRITE = "tools:write, enable, test and promote tools."
    ADMIN = "admin, everything, including keys, webhooks and the audit log."

    @classmethod
    def of(cls, name: str) -> Self:
        """Read a scope written noun:verb."""
        return cls[DomainScope(name).name]


@strawberry.schema_directive(
    name="needs",
    locations=[Location.FIELD_DEFINITION],
    description="Scope the caller's API key must hold to use this field.",
)
class Needs:
    """Tells clients which scope a field asks for; the services check it."""

    scope: Scope = field(description="The required scope.")


@api_type
class Workspace(Node):
    """Tenant that owns every other object."""

    id: ID = field(description="Opaque global id.")
    name: str = field(description="Display name.")
    created_at: Moment = field(description="When it was created.")

    @classmethod
    def of(cls, row: WorkspaceRow) -> Self:
        """Show a row."""
        return cls(
            id=encode_id(Kind.WORKSPACE, row.id),
            name=row.name,
            created_at=Moment(row.created_at),
        )

    @field(description="Profile in force for every agent of the workspace.")
    async def behavior_profile(self, info: Info) -> BehaviorProfile:
        """Load it."""
        return BehaviorProfile.of(await info.context.loaders.active_behavior())


@api_type
class ApiKey(Node):
    """Key that lets a program call this API; its secret is never shown again."""

    id: ID = field(description="Opaque global id.")
    name: str = field(description="Display name.")
    prefix: str = field(description="First characters of the secret, to recognise it.")
    scopes: list[Scope] = field(description="What it may do.")
    created_by: str = field(description="Who made it.")
    created_at: Moment = field(description="When it was created.")
    expires_at: Moment | None = field(description="When it stops working; null for never.")
    last_used_at: Moment | None = field(
        description="Last use, exact to the minute; null when unused."
    )
    revoked_at: Moment | None = field(description="When it was revoked; null while it works.")

    @classmethod
    def of(cls, row: ApiKeyRow) -> Self:
        """Show a row."""
        return cls(
            id=encode_id(Kind.API_KEY, row.id),
            name=row.name,
            prefix=row.prefix,
            scopes=scopes_of(row.scopes),
            created_by=row.created_by,
            created_at=Moment(row.created_at),
            expires_at=moment(row.expires_at),
            last_used_at=moment(row.last_used_at),
            revoked_at=moment(row.revoked_at),
        )


@api_type
class ApiKeyEdge(Edge[ApiKey]):
    """Place of one API key in a page."""


@api_type
class ApiKeyConnection(CountedConnection[ApiKey, ApiKeyEdge]):
    """Page of API keys."""

    @classmethod
    def of(cls, page: Page[ApiKeyRow], *, count: Count) -> Self:
        """Show a page of rows."""
        return cls.counted(page, [ApiKey.of(row) for row in page.items], ApiKeyEdge, count=count)


@api_type
class CreateApiKeySuccess:
    """The new key."""

    api_key: ApiKey = field(description="The key.")
    secret: str = field(description="The secret to send; shown this once.")


@api_type
class ApiKeySuccess:
    """The key as it is now."""

    api_key: ApiKey = field(description="The key.")


@api_input
class CreateApiKeyInput:
    """New API key."""

    name: str = field(description="Display name.")
    scopes: list[Scope] = field(description="What it may do; never more than the caller.")
    expires_at: Moment | None = field(description="When it stops working.", default=UNSET)


@api_input
class RevokeApiKeyInput:
    """Object that revokeApiKey acts on."""

    api_key_id: ID = field(description="The key.", metadata=refers_to(Kind.API_KEY))


@api_type
class Viewer:
    """Who is calling."""

    workspace: Workspace = field(description="Workspace that every call of this API key works in.")
    api_key: ApiKey | None = field(
        description="Key in use; null on a local server without authentication."
    )
    scopes: list[Scope] = field(description="Scopes in force.")

    @classmethod
    def of(cls, principal: Principal, workspace: WorkspaceRow, key: ApiKeyRow | None) -> Self:
        """Show who is calling."""
        return cls(
            workspace=Workspace.of(workspace),
            api_key=None if key is None else ApiKey.of(key),
            scopes=scopes_of(principal.scopes),
        )


def scopes_of(names: Iterable[str]) -> list[Scope]:
    """Return scopes in the order of the contract."""
    held = {Scope.of(name) for name in names}
    return [scope for scope in Scope if scope in held]
