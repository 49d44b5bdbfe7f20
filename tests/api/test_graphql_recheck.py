"""A stream asks now and then whether its caller's key still works."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest
import strawberry

from app.graphql.engine import Call, GraphQLEngine, SourceFailed
from app.graphql.params import GraphQLParams
from domain.kernel.errors import GobError, Unauthenticated, Unavailable


@strawberry.type
class Query:
    hello: str = "hello"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self) -> AsyncGenerator[int, None]:
        for number in (1, 2, 3):
            yield number


class Key:
    """Works for so many questions, then raises."""

    def __init__(self, works: int, error: Callable[[], GobError]) -> None:
        self.asked = 0
        self._works = works
        self._error = error

    async def check(self) -> None:
        self.asked += 1
        if self.asked > self._works:
            raise self._error()


async def listen(key: Key, heard: list[str], *, recheck_s: float = 0.0) -> None:
    engine = GraphQLEngine(
        strawberry.Schema(query=Query, subscription=Subscription), recheck_s=recheck_s
    )
    params = GraphQLParams(query="subscription { count }", variables={})
    call = Call(params=params, context=None, trace_id="t", still_allowed=key.check)
    stream = await engine.subscribe(engine.admit(params), call)
    async with aclosing(stream.payloads()) as payloads:
        async for payload in payloads:
            heard.append(payload)  # noqa: PERF401 - what came before a failure counts


async def test_a_stream_ends_with_a_reason_once_its_key_has_ended():
    heard: list[str] = []

    with pytest.raises(SourceFailed) as failed:
        await listen(Key(1, lambda: Unauthenticated("This key was revoked.")), heard)

    assert heard == ['{"data":{"count":1}}']
    assert failed.value.body == {
        "message": "This key was revoked.",
        "extensions": {"code": "UNAUTHENTICATED"},
    }


async def test_a_stream_goes_on_while_nobody_can_tell():
    heard: list[str] = []

    await listen(Key(0, lambda: Unavailable("The database cannot be reached.")), heard)

    assert len(heard) == 3


async def test_a_stream_does_not_ask_at_each_event():
    key, heard = Key(0, lambda: Unauthenticated("No.")), list[str]()

    await listen(key, heard, recheck_s=60.0)

    assert (len(heard), key.asked) == (3, 0)
