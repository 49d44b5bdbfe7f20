"""Memory over REST: saved, listed and searched."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import Field

from app.documents.memory import Memory, MemoryPage, MemorySearchResult
from app.rest import examples
from app.rest.answers import Answer, Outcome, next_page, replayed_header
from app.rest.calls import Call
from app.rest.endpoints import KEYED, Body, Endpoint, Example, Success
from app.rest.queries import After, MomentQuery, PageSize, Query, QueryRefused, of_kind
from domain.access.scopes import Scope
from domain.kernel.errors import FieldProblem, ValidationFailed
from domain.kernel.paging import DEFAULT_SIZE, PageRequest
from domain.kernel.validation import Text
from domain.memory.bounds import LONGEST_QUERY
from domain.memory.policy import MemoryKind
from domain.memory.queries import MemoryOrder
from domain.memory.specs import SaveSpec
from schema.ids import Kind, decode_id

METADATA = "metadata."


class MemoryQuery(Query):
    """Which memories, and which part of them."""

    open_fields: ClassVar[Mapping[str, str]] = {METADATA: "metadata"}

    q: Annotated[
        Text | None,
        Field(
            min_length=1,
            max_length=LONGEST_QUERY,
            description="Words or a question; absent lists memories, newest first.",
        ),
    ] = None
    kind: list[MemoryKind] = Field(
        default_factory=list[MemoryKind], description="One of these kinds; may come several times."
    )
    agent_id: Annotated[
        Text | None, of_kind(Kind.AGENT), Field(description="Belongs to this agent.")
    ] = None
    conversation_id: Annotated[
        Text | None, of_kind(Kind.CONVERSATION), Field(description="Belongs to this conversation.")
    ] = None
    metadata: dict[str, Text] = Field(
        default_factory=dict[str, Text],
        description=(
            "`metadata.PATH=value`: the value at this dotted path, such as customer.tier or"
            " items.0.sku, is this text, or the number, true, false or null written like it."
        ),
    )
    since: Annotated[MomentQuery | None, Field(description="Created at or after this moment.")] = (
        None
    )
    until: Annotated[MomentQuery | None, Field(description="Created before this moment.")] = None
    first: PageSize = DEFAULT_SIZE
    after: After | None = None


async def save(call: Call) -> Outcome:
    """Keep a memory."""
    done = await call.services.memory.save(call.principal, call.values)
    more = [replayed_header()] if done.replayed else []
    status = 200 if done.unchanged and not done.replayed else 201
    return Answer(status=status, body=Memory.of(done.row).json_bytes(), headers=more)


async def query(call: Call) -> Outcome:
    """Search memories, or list them."""
    asked = call.query(MemoryQuery)
    narrowing = _filter(asked)
    try:
        if asked.q is not None:
            return await _found(call, asked, narrowing)
        page = PageRequest.of(first=asked.first, after=asked.after)
        found = await call.services.memory.memories(
            call.principal, narrowing, MemoryOrder.CREATED_AT_DESC, page
        )
    except ValidationFailed as error:
        raise QueryRefused([_as_asked(problem, asked) for problem in error.problems]) from None
    headers = next_page(call.scope, found)
    return Answer(status=200, body=MemoryPage.of(found).json_bytes(), headers=headers)


async def _found(call: Call, asked: MemoryQuery, narrowing: Mapping[str, Any]) -> Outcome:
    if asked.after is not None:
        message = "Leave this out with q: a search has one page; ask for more with first."
        raise ValidationFailed.of("after", message)
    values = {"query": asked.q, "filter": narrowing, "limit": asked.first}
    result = await call.services.memory.search(call.principal, values)
    return Answer.of(MemorySearchResult.of(result))


def _filter(asked: MemoryQuery) -> dict[str, Any]:
    """The filter of the GraphQL twins, as the parameters say it."""
    found: dict[str, Any] = {}
    if asked.kind:
        found["kinds"] = asked.kind
    if asked.agent_id is not None:
        found["agentId"] = decode_id(Kind.AGENT, asked.agent_id, path="agentId")
    if asked.conversation_id is not None:
        kind = Kind.CONVERSATION
        found["conversationId"] = decode_id(kind, asked.conversation_id, path="conversationId")
    span = {"since": asked.since, "until": asked.until}
    if any(span.values()):
        found["created"] = span
    if asked.metadata:
        found["metadata"] = [
            {"path": path, "test": {"in": list(_meanings(text))}}
            for path, text in asked.metadata.items()
        ]
    return found


def _meanings(text: str) -> Iterator[object]:
    """What a text in an address may stand for: itself, and the JSON that is written like it."""
    yield text
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return
    if not isinstance(value, str | list | dict):
        yield value


def _as_asked(problem: FieldProblem, asked: MemoryQuery) -> FieldProblem:
    """Name the parameter behind a field of the services' input."""
    match problem.path:
        case ("filter", "metadata", place, *_):
            path = (METADATA + list(asked.metadata)[int(place)],)
        case ("filter", "created", *rest):
            path = tuple(rest)
        case ("query", *_):
            path = ("q",)
        case ("limit", *_):
            path = ("first",)
        case path:
            pass
    return FieldProblem(path=path, message=problem.message)


SAVE = Endpoint(
    method="POST",
    path="/memory/save",
    operation_id="saveMemory",
    tag="Memory",
    summary="Save a memory",
    description=(
        "Remembers something. A memory that is equal to one that is there changes nothing and is"
        " answered with 200 and the one that is there."
    ),
    scope=Scope.MEMORY_WRITE,
    perform=save,
    body=Body(
        model=SaveSpec,
        example=Example(summary="A fact about a customer", value=examples.SAVE_MEMORY),
        ids={
            "agentId": Kind.AGENT,
            "conversationId": Kind.CONVERSATION,
            "messageId": Kind.MESSAGE,
            "supersedes": Kind.MEMORY,
        },
        moments=("validFrom", "expiresAt"),
        takes_null=True,
    ),
    headers=KEYED,
    answers={
        200: Success(
            description="An equal memory is there already.",
            document=Memory,
            example=examples.MEMORY,
        ),
        201: Success(
            description="The memory is saved.",
            document=Memory,
            headers=["Idempotent-Replayed"],
            example=examples.MEMORY,
        ),
    },
    problems=[404, 409],
)

QUERY = Endpoint(
    method="GET",
    path="/memory/query",
    operation_id="queryMemory",
    tag="Memory",
    summary="Search or list memories",
    description=(
        "With `q`, memories that answer it, best first, with why each was found. Without, memories"
        " newest first, page by page. All other parameters narrow both. Forgotten and expired"
        " memories are left out."
    ),
    scope=Scope.MEMORY_READ,
    perform=query,
    query=MemoryQuery,
    answers={
        200: Success(
            description="Hits of a search, or a page of the list.",
            document=MemorySearchResult | MemoryPage,
            headers=["Link"],
            example=examples.MEMORY_FOUND,
        )
    },
    problems=[404],
)

MEMORY_ENDPOINTS: Sequence[Endpoint] = (SAVE, QUERY)
