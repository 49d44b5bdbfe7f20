"""API keys: listed, made and revoked."""

from typing import Annotated, TypeAlias

import strawberry
from strawberry import field

from domain.access.scopes import Scope as DomainScope
from domain.kernel.paging import PageRequest
from resolvers.fields import needs
from resolvers.outcomes import answers
from resolvers.services import Info
from schema.access import (
    ApiKey,
    ApiKeyConnection,
    ApiKeySuccess,
    CreateApiKeyInput,
    CreateApiKeySuccess,
    RevokeApiKeyInput,
    Scope,
)
from schema.declare import api_type
from schema.errors import Conflict, Forbidden, NotFound, QuotaExceeded, ValidationFailed
from schema.inputs import values_of
from schema.relay import Paged

CreateApiKeyResult: TypeAlias = Annotated[
    CreateApiKeySuccess | ValidationFailed | Conflict | Forbidden | QuotaExceeded,
    strawberry.union("CreateApiKeyResult", description="Outcome of createApiKey."),
]
RevokeApiKeyResult: TypeAlias = Annotated[
    ApiKeySuccess | NotFound | Forbidden,
    strawberry.union("RevokeApiKeyResult", description="Outcome of revokeApiKey."),
]


@api_type
class AccessQuery:
    """Reads of API keys."""

    @field(
        description="API keys, newest first.",
        directives=needs(Scope.ADMIN),
        extensions=[Paged()],
    )
    async def api_keys(self, info: Info, page: PageRequest) -> ApiKeyConnection:
        """List them."""
        access, principal = info.context.services.access, info.context.principal
        found = await access.api_keys(principal, page)
        return ApiKeyConnection.of(found, count=lambda: access.count_keys(principal))


@api_type
class AccessMutation:
    """Changes of API keys."""

    @strawberry.mutation(
        description="Creates an API key and shows its secret once.",
        directives=needs(Scope.ADMIN),
    )
    @answers
    async def create_api_key(
        self,
        info: Info,
        given: Annotated[
            CreateApiKeyInput, strawberry.argument(name="input", description="What to create.")
        ],
    ) -> CreateApiKeyResult:
        """Make it."""
        values = values_of(given)
        values["scopes"] = [DomainScope[name].value for name in values["scopes"]]
        made = await info.context.services.access.create_api_key(info.context.principal, values)
        return CreateApiKeySuccess(api_key=ApiKey.of(made.row), secret=made.secret)

    @strawberry.mutation(description="Revokes an API key at once.", directives=needs(Scope.ADMIN))
    @answers
    async def revoke_api_key(
        self,
        info: Info,
        given: Annotated[
            RevokeApiKeyInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> RevokeApiKeyResult:
        """End it."""
        raw = values_of(given)["apiKeyId"]
        row = await info.context.services.access.revoke_api_key(info.context.principal, raw)
        return ApiKeySuccess(api_key=ApiKey.of(row))
