"""Plans: data and errors are the same as by the specification's way, only sooner."""

from typing import Any

import orjson
import pytest
import strawberry
from structlog.testing import capture_logs

from app.graphql.engine import Call, GraphQLEngine
from app.graphql.params import GraphQLParams
from tests.api.sample_schema import MOMENT, Heartbeat, SampleContext, Seen, make_delta, make_schema

SELECTIONS = [
    "{ run { id status instruction cost offline createdAt output tags } }",
    "{ run { a: id b: id __typename status2: status } }",
    "{ run { ...Parts ... on Node { id } ... on Run { status } } } fragment Parts on Run { tags }",
    "{ run { steps { __typename id index text } steps { id } parent { id } } }",
    "{ run { shout instruction shouted: shout(mark: \"?\") id } }",
    "{ run { id children(first: 3) { id shout children(first: 1) { id status } } cost } }",
    "{ runs(first: 4) { totalCount edges { cursor node { id parent { id index text } } } } }",
    "{ runs { edges { node { id shout } } } again: runs(first: 1) { edges { cursor } } }",
    "{ items { __typename } }",
    "{ items { __typename ... on Event { cursor seq } ... on TokenDelta { text at note } } }",
    "{ items { ... on Heartbeat { at } ... on TokenDelta { when: at } } }",
    '{ node(ident: "run_7") { __typename id ... on Run { status steps { id } } } }',
    '{ node(ident: "s_7") { id ... on Step { index text } } }',
    '{ node(ident: "") { id } }',
    '{ broken(kind: "none") { count name } }',
    '{ broken(kind: "null") { count name } }',
    '{ broken(kind: "range") { name count } }',
    '{ broken(kind: "coerced") { count name maybe } }',
    '{ broken(kind: "maybe") { count name maybe } }',
    "{ failInList { count name } }",
    '{ hello fail(kind: "missing") }',
    "{ hello failHard }",
    "{ __schema { queryType { name fields { name type { name kind } } } } run { id } }",
    '{ __type(name: "Run") { name interfaces { name } } }',
    'mutation { save(input: {text: "x"}) { __typename ... on Saved { text } } }',
    """mutation {
        a: save(input: {text: ""}) { ... on Problem { message } }
        b: save(input: {text: "y"}) { ... on Saved { text } }
    }""",
]  # fmt: skip


def call(query: str, variables: dict[str, Any] | None = None) -> Call:
    params = GraphQLParams(query=query, variables=variables)
    return Call(params=params, context=SampleContext("owner", Seen()), trace_id="t1")


async def run(engine: GraphQLEngine, query: str, variables: dict[str, Any] | None = None) -> Any:
    made = call(query, variables)
    return orjson.loads(await engine.execute(engine.admit(made.params), made))


async def collect(engine: GraphQLEngine, query: str) -> list[Any]:
    made = call(query)
    stream = await engine.subscribe(engine.admit(made.params), made)
    return [orjson.loads(text) async for text in stream.payloads()]


def both() -> tuple[GraphQLEngine, GraphQLEngine]:
    return GraphQLEngine(make_schema(), plan_after=0), GraphQLEngine(
        make_schema(), plan_after=10**6
    )


@pytest.mark.parametrize("query", SELECTIONS)
async def test_a_plan_gives_what_the_specification_gives(query: str) -> None:
    planned, plain = both()

    with capture_logs():
        first = await run(planned, query)
        again = await run(planned, query)
        expected = await run(plain, query)

    assert first == expected
    assert again == expected
    assert orjson.dumps(first) == orjson.dumps(expected)


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("include", [True, False])
async def test_conditions_hold_for_each_request_of_one_document(skip: bool, include: bool) -> None:
    query = """query ($skip: Boolean!, $include: Boolean! = true) {
        run { id @skip(if: $skip) tags ... @include(if: $include) { cost } status }
    }"""
    planned, plain = both()
    values = {"skip": skip, "include": include}

    for flipped in (not skip, skip):
        await run(planned, query, {"skip": flipped, "include": include})
    result = await run(planned, query, values)

    assert result == await run(plain, query, values)
    assert ("id" in result["data"]["run"]) is not skip
    assert ("cost" in result["data"]["run"]) is include


async def test_plain_attributes_are_read_and_resolvers_still_called() -> None:
    planned, _ = both()

    result = await run(planned, "{ run { instruction shout id } }")

    assert list(result["data"]["run"].items()) == [
        ("instruction", "sum it up"),
        ("shout", "SUM IT UP!"),
        ("id", "run_1"),
    ]


def plans_of(engine: GraphQLEngine, query: str) -> list[bool]:
    operation = engine.admit(GraphQLParams(query=query))
    return [plan is not None for plan in operation.plans._plans.values()]


async def test_unions_lists_and_generics_have_one_plan_for_the_whole_value() -> None:
    planned, _ = both()
    queries = [
        "{ items { ... on Event { cursor } } }",
        "{ runs { totalCount edges { node { id steps { text } } } } }",
        '{ node(ident: "s1") { id ... on Run { tags } } }',
    ]

    for query in queries:
        await run(planned, query)

    assert [plans_of(planned, query) for query in queries] == [[True], [True], [True]]


async def test_a_document_gets_plans_only_when_it_comes_again() -> None:
    engine = GraphQLEngine(make_schema())
    query = "{ run { id status } }"

    await run(engine, query)
    after_one = plans_of(engine, query)
    await run(engine, query)

    assert (after_one, plans_of(engine, query)) == ([], [True])


async def test_another_class_in_a_place_takes_the_specifications_way() -> None:
    @strawberry.type
    class Named:
        name: str

    class Lookalike:
        name = "from elsewhere"

    class Derived(Named):
        pass

    @strawberry.type
    class Query:
        @strawberry.field
        def named(self, kind: str) -> list[Named]:
            return [Lookalike(), Derived(name="d")] if kind == "odd" else [Named(name="n")]  # type: ignore[list-item]

    engine = GraphQLEngine(strawberry.Schema(Query), plan_after=0)

    usual = await run(engine, '{ named(kind: "usual") { name } }')
    odd = await run(engine, '{ named(kind: "odd") { name } }')

    assert usual["data"] == {"named": [{"name": "n"}]}
    assert odd["data"] == {"named": [{"name": "from elsewhere"}, {"name": "d"}]}


async def test_an_awaitable_attribute_takes_the_specifications_way() -> None:
    async def later() -> str:
        return "later"

    @strawberry.type
    class Box:
        text: str
        other: int

    @strawberry.type
    class Query:
        @strawberry.field
        def box(self) -> Box:
            return Box(text=later(), other=1)  # type: ignore[arg-type]

    engine = GraphQLEngine(strawberry.Schema(Query), plan_after=0)

    assert await run(engine, "{ box { text other } }") == {
        "data": {"box": {"text": "later", "other": 1}}
    }


SUBSCRIPTIONS = [
    "subscription { count(to: 3) }",
    """subscription {
        items(to: 4) {
            __typename ... on Event { cursor seq }
            ... on TokenDelta { text stepId } ... on Heartbeat { at }
        }
    }""",
    "subscription { renamed: items(to: 4) { ... on TokenDelta { final note } } }",
]  # fmt: skip


@pytest.mark.parametrize("query", SUBSCRIPTIONS)
async def test_events_are_completed_as_the_library_does(query: str) -> None:
    planned, _ = both()
    stream = await make_schema().subscribe(query, context_value=SampleContext("owner", Seen()))

    expected = [{"data": result.data} async for result in stream]  # type: ignore[union-attr]

    assert await collect(planned, query) == expected


async def test_the_memory_of_a_subscription_does_not_grow_with_its_events() -> None:
    engine = GraphQLEngine(make_schema())
    made = call("subscription { items(to: 50) { ... on Event { cursor } } }")
    stream = await engine.subscribe(engine.admit(made.params), made)
    stream._completion.plan = None
    executor = stream._completion._executor
    sizes: set[tuple[int, int, int]] = set()

    async for _ in stream.payloads():
        sizes.add(
            (len(executor._relevant_sub_fields), len(executor._found), len(executor._readers))
        )

    assert len(sizes) <= 2
    assert max(sizes)[0] <= 2


async def test_subscribers_of_one_document_share_the_payload_of_one_event() -> None:
    engine = GraphQLEngine(make_schema())
    event = make_delta(1)
    texts: list[str] = []

    for _ in range(2):
        made = call("subscription { items { ... on TokenDelta { text } } }")
        stream = await engine.subscribe(engine.admit(made.params), made)
        text = stream._planned(event)
        assert text is not None
        texts.append(text)

    assert texts[0] == '{"data":{"items":{"text":"t1 "}}}'
    assert texts[0] is texts[1]


async def test_equal_events_that_are_not_the_same_object_are_encoded_each() -> None:
    engine = GraphQLEngine(make_schema())
    made = call("subscription { items { ... on Heartbeat { at cursor } } }")
    stream = await engine.subscribe(engine.admit(made.params), made)

    first = stream._planned(Heartbeat(cursor="c1", seq=1, at=MOMENT))
    second = stream._planned(Heartbeat(cursor="c2", seq=2, at=MOMENT))

    assert first is not None
    assert '"cursor":"c1"' in first
    assert second is not None
    assert '"cursor":"c2"' in second


async def test_what_json_cannot_hold_is_masked_and_logged() -> None:
    @strawberry.type
    class Query:
        @strawberry.field
        def odd(self) -> strawberry.scalars.JSON:
            return {"n": 2**80}  # type: ignore[return-value]

    engine = GraphQLEngine(strawberry.Schema(Query))

    with capture_logs() as logs:
        result = await run(engine, "{ odd }")

    assert result["data"] is None
    assert [error["extensions"]["code"] for error in result["errors"]] == ["INTERNAL"]
    assert [line["event"] for line in logs] == ["graphql.failed"]
