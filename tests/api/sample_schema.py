"""A small schema with every shape the GraphQL door must complete: for its tests alone."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

import strawberry
from starlette.types import Scope
from strawberry.scalars import JSON

from domain.kernel.errors import (
    Conflict,
    ErrorCode,
    FieldProblem,
    Forbidden,
    NotFound,
    Unauthenticated,
    Unavailable,
    ValidationFailed,
)

UNASKED_TOKEN = "unasked"
GOOD_TOKEN = "gob_good"
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
T = TypeVar("T")


@dataclass
class Seen:
    """What resolvers did, so that tests can tell that nothing happened."""

    saved: list[str] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    pulled: int = 0
    closing: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class SampleContext:
    """The context of one request."""

    principal: str
    seen: Seen
    loop_events: list["TokenDelta"] = field(default_factory=list)


Info = strawberry.Info[SampleContext, None]


@strawberry.enum
class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"


@strawberry.interface
class Node:
    id: strawberry.ID


@strawberry.interface
class Event:
    cursor: str
    seq: int


@strawberry.type
class Step(Node):
    index: int
    text: str | None


@strawberry.type
class Run(Node):
    status: Status
    instruction: str
    cost: float | None
    offline: bool
    created_at: datetime
    output: JSON | None
    tags: list[str]
    steps: list[Step]
    parent: Step | None = None

    @strawberry.field
    def shout(self, mark: str = "!") -> str:
        return self.instruction.upper() + mark

    @strawberry.field
    async def children(self, first: int = 2) -> list["Run"]:
        await asyncio.sleep(0)
        return [make_run(f"{self.id}.{n}") for n in range(first)]


@strawberry.type
class Edge(Generic[T]):
    cursor: str
    node: T


@strawberry.type
class Connection(Generic[T]):
    edges: list[Edge[T]]
    total_count: int


@strawberry.type
class TokenDelta(Event):
    step_id: strawberry.ID
    text: str
    index: int
    at: datetime
    final: bool
    note: str | None = None


@strawberry.type
class Heartbeat(Event):
    at: datetime


Item = Annotated[TokenDelta | Heartbeat, strawberry.union("Item")]


@strawberry.type
class Saved:
    text: str


@strawberry.type
class Problem:
    message: str


SaveResult = Annotated[Saved | Problem, strawberry.union("SaveResult")]


@strawberry.input
class SaveInput:
    text: str
    count: int = 1


@strawberry.type
class Broken:
    """Attributes of wrong kinds, to see how surprises look."""

    count: int
    name: str
    maybe: int | None = None


def make_run(ident: str = "run_1", **changes: Any) -> Run:
    values: dict[str, Any] = {
        "id": strawberry.ID(ident),
        "status": Status.RUNNING,
        "instruction": "sum it up",
        "cost": 0.25,
        "offline": True,
        "created_at": MOMENT,
        "output": {"n": [1, None, "x"]},
        "tags": ["a", "b"],
        "steps": [
            Step(id=strawberry.ID("s1"), index=0, text="one"),
            Step(id=strawberry.ID("s2"), index=1, text=None),
        ],
    }
    return Run(**{**values, **changes})


def make_delta(seq: int) -> TokenDelta:
    return TokenDelta(
        cursor=f"c{seq}",
        seq=seq,
        step_id=strawberry.ID("s1"),
        text=f"t{seq} ",
        index=seq,
        at=MOMENT,
        final=False,
    )


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"hello {name}"

    @strawberry.field
    def whoami(self, info: Info) -> str:
        return info.context.principal

    @strawberry.field
    def run(self, ident: str = "run_1") -> Run:
        return make_run(ident)

    @strawberry.field
    async def runs(self, first: int = 3) -> Connection[Run]:
        nodes = [
            make_run(
                f"run_{n}",
                parent=None if n % 2 else Step(id=strawberry.ID("p"), index=9, text=None),
            )
            for n in range(first)
        ]
        return Connection(edges=[Edge(cursor=f"e{n.id}", node=n) for n in nodes], total_count=first)

    @strawberry.field
    def node(self, ident: str) -> Node | None:
        if ident.startswith("run"):
            return make_run(ident)
        return Step(id=strawberry.ID(ident), index=3, text="t") if ident else None

    @strawberry.field
    def items(self) -> list[Item]:
        return [make_delta(1), Heartbeat(cursor="c2", seq=2, at=MOMENT), make_delta(3)]

    @strawberry.field
    def broken(self, kind: str) -> Broken | None:
        match kind:
            case "null":
                return Broken(count=None, name="x")  # type: ignore[arg-type]
            case "range":
                return Broken(count=2**40, name="x")
            case "coerced":
                return Broken(count=7.0, name=12, maybe=True)  # type: ignore[arg-type]
            case "maybe":
                return Broken(count=1, name="x", maybe="what")  # type: ignore[arg-type]
            case _:
                return None

    @strawberry.field
    def fail(self, kind: str) -> str | None:
        match kind:
            case "missing":
                raise NotFound("run", "run_9")
            case "invalid":
                raise ValidationFailed(
                    [
                        FieldProblem(path=("input", "name"), message="is empty"),
                        FieldProblem(path=("input", "n"), message="is too big"),
                    ]
                )
            case "conflict":
                raise Conflict("Taken.", code=ErrorCode.NAME_TAKEN, current_version=3)
            case "forbidden":
                raise Forbidden("This key may not.", scope="runs:read")
            case _:
                raise RuntimeError("secret: the password is hunter2")

    @strawberry.field
    def fail_hard(self) -> str:
        raise RuntimeError("secret: the password is hunter2")

    @strawberry.field
    def fail_in_list(self) -> list[Broken | None]:
        return [Broken(count=1, name="a"), Broken(count=None, name="b"), None]  # type: ignore[arg-type]


@strawberry.type
class Mutation:
    @strawberry.mutation
    def save(self, info: Info, input: SaveInput) -> SaveResult:  # noqa: A002  # as mutations name it
        if not input.text:
            return Problem(message="empty")
        info.context.seen.saved.append(input.text)
        return Saved(text=input.text)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, info: Info, to: int = 3) -> AsyncGenerator[int, None]:
        info.context.seen.opened += 1
        try:
            for number in range(1, to + 1):
                info.context.seen.pulled += 1
                yield number
        finally:
            info.context.seen.closed += 1
            info.context.seen.closing.set()

    @strawberry.subscription
    async def items(self, info: Info, to: int = 3) -> AsyncGenerator[Item, None]:
        for seq in range(1, to + 1):
            yield make_delta(seq) if seq % 3 else Heartbeat(cursor=f"c{seq}", seq=seq, at=MOMENT)

    @strawberry.subscription
    async def idle(self, info: Info) -> AsyncGenerator[int, None]:
        info.context.seen.opened += 1
        try:
            yield 0
            await asyncio.Event().wait()
        finally:
            info.context.seen.closed += 1
            info.context.seen.closing.set()

    @strawberry.subscription
    async def flood(self, info: Info, size: int = 100_000) -> AsyncGenerator[str, None]:
        while True:
            info.context.seen.pulled += 1
            yield "x" * size

    @strawberry.subscription
    async def refused(self, after: int = 0) -> AsyncGenerator[int, None]:
        for number in range(after):
            yield number
        raise NotFound("run", "run_9")

    @strawberry.subscription
    async def crashed(self) -> AsyncGenerator[int, None]:
        yield 1
        raise RuntimeError("secret: the password is hunter2")

    @strawberry.subscription
    async def whoami(self, info: Info) -> AsyncGenerator[str, None]:
        yield info.context.principal


def make_schema() -> strawberry.Schema:
    return strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription)


async def authenticate(token: str | None, _scope: Scope) -> str:
    """Know one token; without any the caller is a guest, and nobody can be asked about one."""
    if token is None:
        return "guest"
    if token == UNASKED_TOKEN:
        raise Unavailable("The database cannot be reached; try again soon.")
    if token != GOOD_TOKEN:
        raise Unauthenticated("This key is not known. Look into DATA_DIR/api-key.")
    return "owner"
