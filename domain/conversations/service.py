"""Conversations: started, branched, changed, deleted while idle, and added to by runs."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

import orjson
from pydantic import Field, StringConstraints
from pydantic.alias_generators import to_camel

from domain.access.audit import AuditTrail
from domain.access.scopes import Principal, Scope
from domain.conversations.branching import MessageCopies, title_of_branch
from domain.conversations.messages import (
    MessageRole,
    NewMessage,
    estimate_tokens,
    statements_of,
)
from domain.conversations.queries import ConversationFilter, ConversationQueries
from domain.conversations.rows import ConversationRow
from domain.kernel.database import Database, Statement, WriteRefusedError
from domain.kernel.errors import Conflict, ErrorCode, NotFound, ObjectRef
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock
from domain.kernel.validation import ClientModel, JsonObject, Text, validated

__all__ = ["ConversationFilter", "ConversationService", "MessageRole", "estimate_tokens"]

_LOCK = "SELECT id FROM conversation WHERE id = $1 AND workspace_id = $2 FOR UPDATE"
_DELETE = """
DELETE FROM conversation
WHERE id = $1 AND workspace_id = $2
  AND NOT EXISTS (
      SELECT 1 FROM run
      WHERE conversation_id = $1 AND (holds_conversation OR line_at IS NOT NULL)
  )
RETURNING id
"""
_START = """
INSERT INTO conversation (id, workspace_id, title, agent_id, metadata, created_at, updated_at)
VALUES ($1, $2, $3, $4, '{}', $5, $5)
"""


class ConversationSettings(ClientModel):
    """What a client says of a conversation; an empty title lets the first message decide."""

    title: Annotated[Text, StringConstraints(max_length=200)] = ""
    agent_id: Annotated[Text, StringConstraints(min_length=1, max_length=64)] | None = None
    metadata: JsonObject = Field(default_factory=dict[str, Any])


class ConversationService(ConversationQueries):
    """Conversations of every workspace; each call sees those of its caller's."""

    def __init__(
        self, database: Database, clock: Clock, ids: IdSource, *, audit: AuditTrail | None = None
    ) -> None:
        super().__init__(database)
        self._audit = audit or AuditTrail(database, clock, ids)
        self._clock = clock
        self._ids = ids

    async def create(self, principal: Principal, values: Mapping[str, Any]) -> ConversationRow:
        """Start an empty conversation. Raises ValidationFailed, NotFound for the agent."""
        principal.needs(Scope.RUNS_EXECUTE)
        given = {key: value for key, value in values.items() if value is not None}
        settings = validated(ConversationSettings, given)
        await self._check_agent(principal, settings.agent_id)
        now = self._clock.now_us()
        row = ConversationRow(
            id=self._ids(),
            workspace_id=principal.workspace_id,
            **settings.model_dump(),
            created_at=now,
            updated_at=now,
        )
        async with self._database.transaction() as tx:
            await row.save(using_db=tx.client, force_create=True)
            detail = {"title": row.title, "agentId": row.agent_id}
            await tx.run(self._line(principal, "conversation.created", row.id, detail))
        return row

    async def update(
        self, principal: Principal, conversation_id: str, values: Mapping[str, Any]
    ) -> ConversationRow:
        """Change what is given: absent stays, null clears. Raises ValidationFailed, NotFound."""
        principal.needs(Scope.RUNS_EXECUTE)
        given = {key: value for key, value in values.items() if value is not None}
        settings = validated(ConversationSettings, given)
        await self._check_agent(principal, settings.agent_id)
        known = ConversationSettings.model_fields.items()
        columns = {name for name, field in known if (field.alias or name) in values}
        row = await self._found(principal, conversation_id)
        wanted = settings.model_dump(include=columns)
        changes = {name: value for name, value in wanted.items() if getattr(row, name) != value}
        if changes:
            await self._change(principal, conversation_id, changes)
        return await self._found(principal, conversation_id)

    async def delete(self, principal: Principal, conversation_id: str) -> str:
        """Delete an idle conversation and its messages; runs are kept. Return its id.

        Raises NotFound and, while a run holds it, Conflict (CONVERSATION_BUSY).
        """
        principal.needs(Scope.RUNS_EXECUTE)
        named = (conversation_id, principal.workspace_id)
        # A run that is being accepted holds this lock until its row can be seen.
        locked = [Statement(_LOCK, named)] if self._database.dialect == "postgres" else []
        deleting = Statement(_DELETE, named, must_match=True)
        while True:
            try:
                line = self._line(principal, "conversation.deleted", conversation_id, {})
                await self._database.write([*locked, deleting, *line])
            except WriteRefusedError:
                await self._found(principal, conversation_id)
                await self._check_idle(conversation_id)
            else:
                return conversation_id

    async def branch(
        self, principal: Principal, message_id: str, title: str | None
    ) -> ConversationRow:
        """Copy a conversation up to one message, and leave it as it is.

        Raises ValidationFailed for the title and NotFound for the message.
        """
        principal.needs(Scope.RUNS_EXECUTE)
        asked = validated(ConversationSettings, {"title": title or ""})
        message = await self._messages(principal).filter(id=message_id).first()
        if message is None:
            raise NotFound("message", message_id, path=["messageId"])
        source = await self._found(principal, message.conversation_id)
        now_us = self._clock.now_us()
        row = ConversationRow(
            id=self._ids(),
            workspace_id=principal.workspace_id,
            title=asked.title or title_of_branch(source.title),
            agent_id=source.agent_id,
            metadata=source.metadata,
            branched_from_id=message_id,
            created_at=now_us,
            updated_at=now_us,
        )
        copies = await self._copies(source.id, upto=message_id, into=row.id)
        detail = {"title": row.title, "branchedFrom": message_id, "messages": copies.count}
        async with self._database.transaction() as tx:
            await row.save(using_db=tx.client, force_create=True)
            await tx.run(copies.statements)
            await tx.run(self._line(principal, "conversation.branched", row.id, detail))
        return row

    async def _copies(self, source_id: str, *, upto: str, into: str) -> MessageCopies:
        """Messages are never changed, so they are named before the write."""
        sql = "SELECT id FROM message WHERE conversation_id = $1 AND id <= $2 ORDER BY id"
        found = [row[0] for row in await self._database.fetch(sql, source_id, upto)]
        return MessageCopies.of(found, into=into, ids=self._ids)

    def start_statement(
        self, workspace_id: str, conversation_id: str, *, title: str, agent_id: str | None
    ) -> Statement:
        """Statement that starts an empty conversation, for the write of whoever needs one."""
        values = (conversation_id, workspace_id, title, agent_id, self._clock.now_us())
        return Statement(_START, values)

    def message_statements(
        self,
        *,
        workspace_id: str,
        conversation_id: str,
        role: str,
        content: str,
        run_id: str | None,
        opens: bool = False,
    ) -> list[Statement]:
        """Statements that add a message, for the write of whoever says it.

        They refuse the write when the conversation is gone. The first message of a user names
        a conversation without a title. One that `opens` its conversation goes with the statement
        that starts it, in the same write.
        """
        return statements_of(
            NewMessage(
                id=self._ids(),
                workspace_id=workspace_id,
                conversation_id=conversation_id,
                role=MessageRole(role),
                content=content,
                run_id=run_id,
                now_us=self._clock.now_us(),
            ),
            opens=opens,
        )

    def _line(
        self, actor: Principal, action: str, conversation_id: str, detail: Mapping[str, Any]
    ) -> list[Statement]:
        target = ObjectRef(kind="Conversation", id=conversation_id)
        return self._audit.record(actor, action, target=target, detail=detail)

    async def _found(self, principal: Principal, conversation_id: str) -> ConversationRow:
        row = await self._rows(principal).filter(id=conversation_id).first()
        if row is None:
            raise NotFound("conversation", conversation_id, path=["conversationId"])
        return row

    async def _change(
        self, principal: Principal, conversation_id: str, changes: Mapping[str, Any]
    ) -> None:
        values = {**changes, "updated_at": self._clock.now_us()}
        if "metadata" in values:
            values["metadata"] = orjson.dumps(values["metadata"]).decode()
        columns = ", ".join(f"{name} = ${place}" for place, name in enumerate(values, 3))
        sql = f"UPDATE conversation SET {columns} WHERE id = $1 AND workspace_id = $2 RETURNING id"
        args = (conversation_id, principal.workspace_id, *values.values())
        changing = Statement(sql, args, must_match=True)
        detail = {"changed": [to_camel(name) for name in changes]}
        line = self._line(principal, "conversation.updated", conversation_id, detail)
        with suppress(WriteRefusedError):  # it was deleted meanwhile
            await self._database.write([changing, *line])

    async def _check_agent(self, principal: Principal, agent_id: str | None) -> None:
        if agent_id is None:
            return
        sql = "SELECT 1 FROM agent WHERE id = $1 AND workspace_id = $2"
        if not await self._database.fetch(sql, agent_id, principal.workspace_id):
            raise NotFound("agent", agent_id, path=["agentId"])

    async def _check_idle(self, conversation_id: str) -> None:
        sql = (
            "SELECT id FROM run WHERE conversation_id = $1"
            " AND (holds_conversation OR line_at IS NOT NULL) ORDER BY line_at IS NOT NULL, id"
        )
        rows = await self._database.fetch(sql, conversation_id)
        if rows:
            raise Conflict(
                "A run is at work on the conversation or waits for it; cancel it or wait for its"
                " end.",
                code=ErrorCode.CONVERSATION_BUSY,
                path=["conversationId"],
                conflicting=ObjectRef(kind="Run", id=rows[0][0]),
            )
