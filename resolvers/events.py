"""Everything that happens in a workspace, as one stream."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from domain.access.scopes import Scope as DomainScope
from domain.events.records import EventRecord
from domain.kernel.errors import NotFound, ValidationFailed
from domain.runs.queries import RunPlace
from resolvers.feeds import workspace_stream
from resolvers.services import Info, RequestContext
from schema.declare import api_type
from schema.event_inputs import DELTAS, EventFilter, EventType
from schema.events import Event
from schema.ids import Kind, encode_id
from schema.inputs import values_of

MOST_KNOWN = 1000
"""Runs whose place a subscription remembers."""


@api_type
class EventsSubscription:
    """The stream of all events."""

    @strawberry.subscription(
        description="Everything that happens in the workspace, as far as the key's scopes reach."
    )
    async def events(
        self,
        info: Info,
        narrow: Annotated[
            EventFilter | None,
            strawberry.argument(name="filter", description="Narrows the stream."),
        ] = UNSET,
        after: Annotated[
            str | None,
            strawberry.argument(description="Cursor of the last event seen; absent starts live."),
        ] = UNSET,
    ) -> AsyncGenerator[Event, None]:
        """Replay what came after the cursor, then go on live."""
        wanted = values_of(narrow, above="filter") if narrow else {}
        types = _types(info.context, wanted.get("types"))
        keeps = await _narrowing(info.context, wanted)
        stream = workspace_stream(info, types, after=after, keeps=keeps)
        async with aclosing(stream):
            async for event in stream:
                yield event


def _types(context: RequestContext, names: Sequence[str] | None) -> list[str]:
    """Names of the events that are asked for and may be seen. Raises Forbidden when none may."""
    if names is not None and not names:
        raise ValidationFailed.of("filter.types", "Name at least one type, or leave it out.")
    if names is None:
        asked = [kind for kind in EventType if kind not in DELTAS]
    else:
        asked = [EventType[name] for name in names]
    scopes = {kind: DomainScope[kind.scope.name] for kind in asked}
    context.principal.needs_any(*scopes.values())
    return [kind.carrier for kind, scope in scopes.items() if context.principal.may(scope)]


async def _narrowing(context: RequestContext, wanted: Mapping[str, Any]) -> "_OfRuns | None":
    """Raises NotFound for an agent or a conversation that is not there."""
    agent_id, conversation_id = wanted.get("agentId"), wanted.get("conversationId")
    if agent_id is None and conversation_id is None:
        return None
    if agent_id is not None and await context.loaders.agent(agent_id) is None:
        _unknown(Kind.AGENT, agent_id, "agentId")
    if conversation_id is not None:
        row = await context.loaders.conversation(conversation_id)
        if row is None:
            _unknown(Kind.CONVERSATION, conversation_id, "conversationId")
    return _OfRuns(context, RunPlace(agent_id=agent_id, conversation_id=conversation_id))


def _unknown(kind: Kind, raw: str, field: str) -> None:
    raise NotFound(kind.noun, encode_id(kind, raw), path=["filter", field])


class _OfRuns:
    """Keeps events of runs of one agent or conversation; all others belong to neither."""

    def __init__(self, context: RequestContext, wanted: RunPlace) -> None:
        self._context = context
        self._wanted = wanted
        self._known: dict[str, bool] = {}

    async def __call__(self, record: EventRecord) -> bool:
        """Tell whether a record is kept; where a run belongs never changes."""
        run_id = record.run_id
        if run_id is None:
            return False
        known = self._known.get(run_id)
        if known is None:
            known = await self._is_wanted(run_id)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[run_id] = known
        return known

    async def _is_wanted(self, run_id: str) -> bool:
        place = await self._context.services.runs.place(self._context.principal, run_id)
        wanted = self._wanted
        return (
            place is not None
            and wanted.agent_id in (None, place.agent_id)
            and wanted.conversation_id in (None, place.conversation_id)
        )
