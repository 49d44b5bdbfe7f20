"""Conversations: threads of messages that runs read and add to."""

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Self

import strawberry
from strawberry import ID, UNSET, Private, field

from domain.conversations.rows import ConversationRow, MessageRow
from domain.kernel.errors import NotFound
from domain.kernel.paging import Page, PageRequest
from domain.runs.queries import RunFilter
from schema.agents import Agent
from schema.context import Info
from schema.declare import api_enum, api_input, api_type
from schema.ids import Kind, encode_id
from schema.inputs import refers_to
from schema.relay import Connection, Edge, Node, Paged, TimeRange
from schema.scalars import Json, Moment

if TYPE_CHECKING:
    from schema.runs import Run, RunConnection


@api_enum
class MessageRole(Enum):
    """Who speaks in a message."""

    USER = "A person or a client program."
    ASSISTANT = "An agent."
    SYSTEM = "The runtime, such as a steering note."
    TOOL = "A tool's result."


@api_type
class Message(Node):
    """One message of a conversation; never changed once written."""

    id: ID = field(description="Opaque global id.")
    role: MessageRole = field(description="Who speaks.")
    content: str = field(description="What was said.")
    token_count: int = field(description="Length in tokens, estimated.")
    created_at: Moment = field(description="When it was created.")

    row: Private[MessageRow]

    @classmethod
    def of(cls, row: MessageRow) -> Self:
        """Show a row."""
        return cls(
            id=encode_id(Kind.MESSAGE, row.id),
            role=MessageRole[row.role],
            content=row.content,
            token_count=row.token_count,
            created_at=Moment(row.created_at),
            row=row,
        )

    @field(description="Conversation it belongs to.")
    async def conversation(self, info: Info) -> "Conversation":
        """Load it."""
        row = await info.context.loaders.conversation(self.row.conversation_id)
        if row is None:
            ident = encode_id(Kind.CONVERSATION, self.row.conversation_id)
            raise NotFound(Kind.CONVERSATION.noun, ident)
        return Conversation.of(row)

    @field(description="Run that wrote or consumed it; null for imported messages.")
    async def run(self, info: Info) -> Annotated["Run", strawberry.lazy("schema.runs")] | None:
        """Load it."""
        from schema.runs import Run

        row = None if self.row.run_id is None else await info.context.loaders.run(self.row.run_id)
        return None if row is None else Run.of(row)


@api_type
class MessageEdge(Edge[Message]):
    """Place of one message in a page."""


@api_type
class MessageConnection(Connection[Message, MessageEdge]):
    """Page of messages."""

    @classmethod
    def of(cls, page: Page[MessageRow]) -> Self:
        """Show a page of rows."""
        return cls.over(page, [Message.of(row) for row in page.items], MessageEdge)


@api_type
class Conversation(Node):
    """Thread of messages that runs read and add to."""

    id: ID = field(description="Opaque global id.")
    title: str = field(description="Short title.")
    metadata: Json = field(description="Free data of the client.")
    created_at: Moment = field(description="When it was created.")
    updated_at: Moment = field(description="When it last changed.")

    row: Private[ConversationRow]

    @classmethod
    def of(cls, row: ConversationRow) -> Self:
        """Show a row."""
        return cls(
            id=encode_id(Kind.CONVERSATION, row.id),
            title=row.title,
            metadata=Json(row.metadata),
            created_at=Moment(row.created_at),
            updated_at=Moment(row.updated_at),
            row=row,
        )

    @field(description="Agent that answers by default; null when none is set.")
    async def agent(self, info: Info) -> Agent | None:
        """Load it."""
        if self.row.agent_id is None:
            return None
        row = await info.context.loaders.agent(self.row.agent_id)
        return None if row is None else Agent.of(row)

    @field(description="Messages, oldest first.", extensions=[Paged()])
    async def messages(self, info: Info, page: PageRequest) -> MessageConnection:
        """List them."""
        return MessageConnection.of(await info.context.loaders.messages(self.row.id, page))

    @field(description="Runs of the conversation, newest first.", extensions=[Paged()])
    async def runs(
        self, info: Info, page: PageRequest
    ) -> Annotated["RunConnection", strawberry.lazy("schema.runs")]:
        """List them."""
        from schema.runs import RunConnection

        narrowed = RunFilter(conversation_id=self.row.id)
        return RunConnection.of(await info.context.loaders.runs(narrowed, page))

    @field(description="Run at work on it now; null when idle.")
    async def active_run(
        self, info: Info
    ) -> Annotated["Run", strawberry.lazy("schema.runs")] | None:
        """Load it."""
        from schema.runs import Run

        row = await info.context.loaders.active_run(self.row.id)
        return None if row is None else Run.of(row)

    @field(description="Message it was branched from; null for a conversation of its own.")
    async def branched_from(self, info: Info) -> Message | None:
        """Load it."""
        if self.row.branched_from_id is None:
            return None
        row = await info.context.loaders.message(self.row.branched_from_id)
        return None if row is None else Message.of(row)


@api_type
class ConversationEdge(Edge[Conversation]):
    """Place of one conversation in a page."""


@api_type
class ConversationConnection(Connection[Conversation, ConversationEdge]):
    """Page of conversations."""

    @classmethod
    def of(cls, page: Page[ConversationRow]) -> Self:
        """Show a page of rows."""
        nodes = [Conversation.of(row) for row in page.items]
        return cls.over(page, nodes, ConversationEdge)


@api_type
class ConversationSuccess:
    """The conversation as saved."""

    conversation: Conversation = field(description="The conversation.")


@api_type
class DeleteSuccess:
    """Something was deleted."""

    deleted_id: ID = field(description="Id of what was deleted.")


@api_input
class ConversationFilter:
    """Narrows a list of conversations."""

    search: str | None = field(description="Words in the title or messages.", default=UNSET)
    agent_id: ID | None = field(
        description="Only those of this agent.", default=UNSET, metadata=refers_to(Kind.AGENT)
    )
    busy: bool | None = field(
        description="True for those with an active run only, false for idle ones.", default=UNSET
    )
    updated: TimeRange | None = field(description="Only those changed in this span.", default=UNSET)


@api_input
class CreateConversationInput:
    """New conversation."""

    title: str | None = field(
        description="Short title; absent lets the first message decide.", default=UNSET
    )
    agent_id: ID | None = field(
        description="Agent that answers by default.", default=UNSET, metadata=refers_to(Kind.AGENT)
    )
    metadata: Json | None = field(description="Free data of the client.", default=UNSET)


@api_input
class UpdateConversationInput:
    """Changes to a conversation."""

    conversation_id: ID = field(
        description="The conversation.", metadata=refers_to(Kind.CONVERSATION)
    )
    title: str | None = field(description="Short title.", default=UNSET)
    agent_id: ID | None = field(
        description="Agent that answers by default.", default=UNSET, metadata=refers_to(Kind.AGENT)
    )
    metadata: Json | None = field(
        description="Free data of the client; replaces the old.", default=UNSET
    )


@api_input
class DeleteConversationInput:
    """Object that deleteConversation acts on."""

    conversation_id: ID = field(
        description="The conversation.", metadata=refers_to(Kind.CONVERSATION)
    )


@api_input
class BranchConversationInput:
    """Copy of a conversation up to one message."""

    message_id: ID = field(
        description="Last message to take over.", metadata=refers_to(Kind.MESSAGE)
    )
    title: str | None = field(description="Title of the branch; absent derives it.", default=UNSET)
