"""Subscriptions over HTTP as server-sent events."""

import asyncio

import httpx
import pytest
from structlog.testing import capture_logs

from tests.api.sample_app import client_of, make_app
from tests.api.sample_schema import Seen
from tests.api.servers import serving

STREAM = "text/event-stream"


async def streamed(query: str, seen: Seen | None = None) -> httpx.Response:
    async with client_of(make_app(seen), accept=STREAM) as client:
        return await client.post("/graphql", json={"query": query})


async def test_a_subscription_is_a_stream_of_events_with_plain_newlines() -> None:
    response = await streamed("subscription { count(to: 2) }")

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.text == (
        'event: next\ndata: {"data":{"count":1}}\n\n'
        'event: next\ndata: {"data":{"count":2}}\n\n'
        "event: complete\ndata:\n\n"
    )


async def test_a_query_is_a_stream_of_one() -> None:
    response = await streamed("{ hello }")

    assert response.text == (
        'event: next\ndata: {"data":{"hello":"hello world"}}\n\nevent: complete\ndata:\n\n'
    )


async def test_a_subscription_by_get_streams_too() -> None:
    async with client_of(make_app(), accept=STREAM) as client:
        response = await client.get("/graphql", params={"query": "subscription { count(to: 1) }"})

    assert response.text.startswith('event: next\ndata: {"data":{"count":1}}\n\n')


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription ($n: Int!) { count(to: $n) }", "BAD_USER_INPUT"),
        ("subscription { refused }", "NOT_FOUND"),
        ("subscription { crashed }", "INTERNAL"),
    ],
)
async def test_a_failure_is_the_last_event(query: str, code: str) -> None:
    with capture_logs():
        response = await streamed(query)

    assert response.status_code == 200
    assert f'"code":"{code}"' in response.text
    assert "hunter2" not in response.text
    assert response.text.endswith("event: complete\ndata:\n\n")


async def test_a_body_that_is_no_request_is_refused_and_not_streamed() -> None:
    async with client_of(make_app(), accept=STREAM) as client:
        response = await client.post("/graphql", json=[])

    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json; charset=utf-8"


async def test_a_client_that_goes_away_closes_the_source_at_once() -> None:
    seen = Seen()
    async with (
        serving(make_app(seen)) as address,
        httpx.AsyncClient(base_url=f"http://{address}", headers={"accept": STREAM}) as client,
    ):
        body = {"query": "subscription { idle }"}
        async with client.stream("POST", "/graphql", json=body) as response:
            first = await anext(response.aiter_text())
        async with asyncio.timeout(5):
            await seen.closing.wait()

    assert first == 'event: next\ndata: {"data":{"idle":0}}\n\n'
    assert (seen.opened, seen.closed) == (1, 1)
