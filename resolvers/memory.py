"""Memories: found, saved, changed, forgotten, brought back and followed."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, TypeAlias, cast

import strawberry
from strawberry import UNSET, field

from domain.access.scopes import Scope as DomainScope
from domain.events.records import EventRecord
from domain.kernel.paging import PageRequest
from domain.memory.filters import MemoryFilter as DomainFilter
from domain.memory.filters import parse_filter
from domain.memory.service import MemoryOrder as DomainOrder
from domain.memory.telling import MEMORY_UPDATE
from domain.memory.writes import MemoryAction as DomainAction
from resolvers.feeds import workspace_stream
from resolvers.fields import IdOf, needs
from resolvers.outcomes import answers
from resolvers.services import Info, RequestContext
from schema.access import Scope
from schema.declare import api_type
from schema.errors import Conflict, Forbidden, NotFound, QuotaExceeded, ValidationFailed
from schema.ids import Kind, decode_id
from schema.inputs import values_of
from schema.memory import (
    MemoriesSuccess,
    Memory,
    MemoryConnection,
    MemorySearchResult,
    MemorySuccess,
)
from schema.memory_events import MemoryStreamItem
from schema.memory_inputs import (
    ForgetMemoriesInput,
    MemoryFilter,
    MemoryOrder,
    RestoreMemoriesInput,
    SaveMemoryInput,
    SearchMemoryInput,
    UpdateMemoryInput,
)
from schema.relay import Paged

SaveMemoryResult: TypeAlias = Annotated[
    MemorySuccess | ValidationFailed | NotFound | Conflict | Forbidden | QuotaExceeded,
    strawberry.union("SaveMemoryResult", description="Outcome of saveMemory."),
]
UpdateMemoryResult: TypeAlias = Annotated[
    MemorySuccess | ValidationFailed | NotFound | Conflict | Forbidden,
    strawberry.union("UpdateMemoryResult", description="Outcome of updateMemory."),
]
ForgetMemoriesResult: TypeAlias = Annotated[
    MemoriesSuccess | ValidationFailed | NotFound | Forbidden,
    strawberry.union("ForgetMemoriesResult", description="Outcome of forgetMemories."),
]
RestoreMemoriesResult: TypeAlias = Annotated[
    MemoriesSuccess | ValidationFailed | NotFound | Forbidden | QuotaExceeded,
    strawberry.union("RestoreMemoriesResult", description="Outcome of restoreMemories."),
]


@api_type
class MemoryQuery:
    """Reads of memories."""

    @field(
        description="Memories, listed without ranking.",
        directives=needs(Scope.MEMORY_READ),
        extensions=[Paged()],
    )
    async def memories(
        self,
        info: Info,
        page: PageRequest,
        narrow: Annotated[
            MemoryFilter | None,
            strawberry.argument(name="filter", description="Narrows the list."),
        ] = UNSET,
        order_by: Annotated[
            MemoryOrder, strawberry.argument(description="Sort order.")
        ] = MemoryOrder.CREATED_AT_DESC,
    ) -> MemoryConnection:
        """List them."""
        wanted = values_of(narrow, above="filter") if narrow else None
        found = await info.context.services.memory.memories(
            info.context.principal, wanted, DomainOrder[order_by.name], page
        )
        return MemoryConnection.of(found)

    @field(description="One memory; null when unknown.", directives=needs(Scope.MEMORY_READ))
    async def memory(self, info: Info, ident: IdOf) -> Memory | None:
        """Find it."""
        raw = decode_id(Kind.MEMORY, ident, path="id")
        row = await info.context.services.memory.memory(info.context.principal, raw)
        return None if row is None else Memory.of(row)

    @field(
        description="Memories that answer a question, best first, knowledge included.",
        directives=needs(Scope.MEMORY_READ),
    )
    async def search_memory(
        self,
        info: Info,
        given: Annotated[
            SearchMemoryInput, strawberry.argument(name="input", description="The question.")
        ],
    ) -> MemorySearchResult:
        """Search."""
        service, principal = info.context.services.memory, info.context.principal
        return MemorySearchResult.of(await service.search(principal, values_of(given)))


@api_type
class MemoryMutation:
    """Changes of memories."""

    @strawberry.mutation(description="Saves a memory.", directives=needs(Scope.MEMORY_WRITE))
    @answers
    async def save_memory(
        self,
        info: Info,
        given: Annotated[
            SaveMemoryInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> SaveMemoryResult:
        """Save it."""
        service, principal = info.context.services.memory, info.context.principal
        return MemorySuccess.of(await service.save(principal, values_of(given)))

    @strawberry.mutation(
        description="Changes, pins or excludes a memory.", directives=needs(Scope.MEMORY_WRITE)
    )
    @answers
    async def update_memory(
        self,
        info: Info,
        given: Annotated[
            UpdateMemoryInput,
            strawberry.argument(name="input", description="What to change."),
        ],
    ) -> UpdateMemoryResult:
        """Change what is given."""
        service, principal = info.context.services.memory, info.context.principal
        return MemorySuccess.of(await service.update(principal, values_of(given)))

    @strawberry.mutation(
        description="Forgets memories; they can be restored unless erased.",
        directives=needs(Scope.MEMORY_WRITE),
    )
    @answers
    async def forget_memories(
        self,
        info: Info,
        given: Annotated[
            ForgetMemoriesInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> ForgetMemoriesResult:
        """Forget them."""
        service, principal = info.context.services.memory, info.context.principal
        return MemoriesSuccess.of(await service.forget(principal, values_of(given)))

    @strawberry.mutation(
        description="Brings forgotten memories back.", directives=needs(Scope.MEMORY_WRITE)
    )
    @answers
    async def restore_memories(
        self,
        info: Info,
        given: Annotated[
            RestoreMemoriesInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> RestoreMemoriesResult:
        """Bring them back."""
        service, principal = info.context.services.memory, info.context.principal
        return MemoriesSuccess.of(await service.restore(principal, values_of(given)))


@api_type
class MemorySubscription:
    """Streams of memories."""

    @strawberry.subscription(
        description="Changes of memories.", directives=needs(Scope.MEMORY_READ)
    )
    async def memory_updates(
        self,
        info: Info,
        narrow: Annotated[
            MemoryFilter | None,
            strawberry.argument(name="filter", description="Only memories that fit."),
        ] = UNSET,
        after: Annotated[
            str | None,
            strawberry.argument(description="Cursor of the last event seen; absent starts live."),
        ] = UNSET,
    ) -> AsyncGenerator[MemoryStreamItem, None]:
        """Replay what came after the cursor, then go on live."""
        info.context.principal.needs(DomainScope.MEMORY_READ)
        wanted = parse_filter(values_of(narrow, above="filter")) if narrow else None
        keeps = None if wanted is None else _Fitting(info.context, wanted)
        stream = workspace_stream(info, [MEMORY_UPDATE], after=after, keeps=keeps)
        async with aclosing(stream):
            async for item in stream:
                yield cast("MemoryStreamItem", item)


class _Fitting:
    """Keeps changes of memories that fit; an erased one is told to all, for it fits nothing."""

    def __init__(self, context: RequestContext, wanted: DomainFilter) -> None:
        self._context = context
        self._wanted = wanted

    async def __call__(self, record: EventRecord) -> bool:
        """Tell whether a record is kept."""
        if record.data["action"] == DomainAction.ERASED:
            return True
        service, principal = self._context.services.memory, self._context.principal
        return bool(await service.fitting(principal, self._wanted, [record.data["memoryId"]]))
