"""Conversations: found, begun, changed and deleted."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import strawberry
from strawberry import UNSET, field

from domain.conversations.service import ConversationFilter as DomainFilter
from domain.kernel.paging import PageRequest
from resolvers.fields import IdOf, needs
from resolvers.outcomes import answers
from resolvers.services import Info
from schema.access import Scope
from schema.conversations import (
    BranchConversationInput,
    Conversation,
    ConversationConnection,
    ConversationFilter,
    ConversationSuccess,
    CreateConversationInput,
    DeleteConversationInput,
    DeleteSuccess,
    UpdateConversationInput,
)
from schema.declare import api_type
from schema.errors import Conflict, Forbidden, NotFound, QuotaExceeded, ValidationFailed
from schema.ids import Kind, decode_id, encode_id
from schema.inputs import values_of
from schema.relay import Paged, TimeOrder

CreateConversationResult: TypeAlias = Annotated[
    ConversationSuccess | ValidationFailed | NotFound | Forbidden | QuotaExceeded,
    strawberry.union("CreateConversationResult", description="Outcome of createConversation."),
]
BranchConversationResult: TypeAlias = Annotated[
    ConversationSuccess | NotFound | Forbidden | QuotaExceeded,
    strawberry.union("BranchConversationResult", description="Outcome of branchConversation."),
]
UpdateConversationResult: TypeAlias = Annotated[
    ConversationSuccess | ValidationFailed | NotFound | Forbidden,
    strawberry.union("UpdateConversationResult", description="Outcome of updateConversation."),
]
DeleteConversationResult: TypeAlias = Annotated[
    DeleteSuccess | NotFound | Conflict | Forbidden,
    strawberry.union("DeleteConversationResult", description="Outcome of deleteConversation."),
]


@api_type
class ConversationsQuery:
    """Reads of conversations."""

    @field(
        description="Conversations of the workspace.",
        directives=needs(Scope.RUNS_READ),
        extensions=[Paged()],
    )
    async def conversations(
        self,
        info: Info,
        page: PageRequest,
        narrow: Annotated[
            ConversationFilter | None,
            strawberry.argument(name="filter", description="Narrows the list."),
        ] = UNSET,
        order_by: Annotated[
            TimeOrder, strawberry.argument(description="Sort order, by last change.")
        ] = TimeOrder.NEWEST_FIRST,
    ) -> ConversationConnection:
        """List them."""
        wanted = values_of(narrow, above="filter") if narrow else {}
        span: Mapping[str, Any] = wanted.get("updated") or {}
        narrowing = DomainFilter(
            search=wanted.get("search"),
            agent_id=wanted.get("agentId"),
            busy=wanted.get("busy"),
            since_us=span.get("since"),
            until_us=span.get("until"),
        )
        found = await info.context.services.conversations.conversations(
            info.context.principal,
            narrowing,
            page,
            newest_first=order_by is TimeOrder.NEWEST_FIRST,
        )
        return ConversationConnection.of(found)

    @field(description="One conversation; null when unknown.", directives=needs(Scope.RUNS_READ))
    async def conversation(self, info: Info, ident: IdOf) -> Conversation | None:
        """Find it."""
        raw = decode_id(Kind.CONVERSATION, ident, path="id")
        row = await info.context.services.conversations.conversation(info.context.principal, raw)
        return None if row is None else Conversation.of(row)


@api_type
class ConversationsMutation:
    """Changes of conversations."""

    @strawberry.mutation(
        description="Starts an empty conversation.", directives=needs(Scope.RUNS_EXECUTE)
    )
    @answers
    async def create_conversation(
        self,
        info: Info,
        given: Annotated[
            CreateConversationInput,
            strawberry.argument(name="input", description="What to create."),
        ],
    ) -> CreateConversationResult:
        """Make it."""
        service, principal = info.context.services.conversations, info.context.principal
        row = await service.create(principal, values_of(given))
        return ConversationSuccess(conversation=Conversation.of(row))

    @strawberry.mutation(
        description="Changes a conversation's title, agent or metadata.",
        directives=needs(Scope.RUNS_EXECUTE),
    )
    @answers
    async def update_conversation(
        self,
        info: Info,
        given: Annotated[
            UpdateConversationInput,
            strawberry.argument(name="input", description="What to change."),
        ],
    ) -> UpdateConversationResult:
        """Save what is given."""
        values = values_of(given)
        conversation_id = values.pop("conversationId")
        service, principal = info.context.services.conversations, info.context.principal
        row = await service.update(principal, conversation_id, values)
        return ConversationSuccess(conversation=Conversation.of(row))

    @strawberry.mutation(
        description="Copies a conversation up to one message.",
        directives=needs(Scope.RUNS_EXECUTE),
    )
    @answers
    async def branch_conversation(
        self,
        info: Info,
        given: Annotated[
            BranchConversationInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> BranchConversationResult:
        """Copy it."""
        values = values_of(given)
        row = await info.context.services.conversations.branch(
            info.context.principal, values["messageId"], values.get("title")
        )
        return ConversationSuccess(conversation=Conversation.of(row))

    @strawberry.mutation(
        description="Deletes an idle conversation and its messages; runs are kept.",
        directives=needs(Scope.RUNS_EXECUTE),
    )
    @answers
    async def delete_conversation(
        self,
        info: Info,
        given: Annotated[
            DeleteConversationInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> DeleteConversationResult:
        """Delete it."""
        raw = values_of(given)["conversationId"]
        await info.context.services.conversations.delete(info.context.principal, raw)
        return DeleteSuccess(deleted_id=encode_id(Kind.CONVERSATION, raw))
