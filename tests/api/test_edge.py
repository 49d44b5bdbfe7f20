"""The outermost layer: hosts, origins, traces, bodies, crashes, and what does not exist."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from app.edge import BodyLimits
from app.http_protocol import TimedHttpProtocol
from app.middleware.origins import OriginPolicy, host_name, is_same_origin
from tests.api.sample_app import client_of, make_app
from tests.api.sample_schema import Seen
from tests.api.servers import serving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
PAGE = "http://localhost:5173"
SAVE = {"query": 'mutation { save(input: {text: "x"}) { __typename } }'}


async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/octet-stream")


async def crash(_request: Request) -> Response:
    raise RuntimeError("secret: the password is hunter2")


async def bound(_request: Request) -> Response:
    return PlainTextResponse(str(structlog.contextvars.get_contextvars().get("trace_id")))


ROUTES = [
    Route("/echo", echo, methods=["POST"]),
    Route("/crash", crash),
    Route("/bound", bound),
]


def edge(seen: Seen | None = None, **options: Any) -> ASGIApp:
    return make_app(seen, routes=ROUTES, **options)


async def get(path: str, **headers: str) -> httpx.Response:
    async with client_of(edge()) as client:
        return await client.get(path, headers=headers)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LOCALHOST:8080", "localhost"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:8080", "::1"),
        ("[::1]", "::1"),
        ("", ""),
    ],
)
def test_a_host_is_compared_by_its_name(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("host", "origin", "same"),
    [
        ("localhost:8080", "http://localhost:8080", True),
        ("gob.example", "https://gob.example", True),
        ("gob.example", "https://gob.example:443", True),
        ("gob.example:80", "http://GOB.example", True),
        ("localhost:8080", "http://localhost:5173", False),
        ("localhost:8080", "http://127.0.0.1:8080", False),
        ("localhost", "http://localhost.evil.example", False),
        ("localhost", "null", False),
        ("localhost", "file://localhost", False),
        ("localhost", "", False),
    ],
)
def test_an_origin_is_our_own_by_host_and_port(host: str, origin: str, same: bool) -> None:
    assert is_same_origin({"headers": [(b"host", host.encode())]}, origin) is same


async def test_another_host_is_refused_with_the_setting_that_allows_it() -> None:
    seen = Seen()
    async with client_of(edge(seen)) as client:
        response = await client.post("/graphql", json=SAVE, headers={"host": "evil.example"})

    assert response.status_code == 400
    assert response.json() == {
        "error": {
            "code": "HOST_NOT_ALLOWED",
            "message": (
                "This server does not answer to the host 'evil.example'. "
                "Add its name to ALLOWED_HOSTS if it should."
            ),
        }
    }
    assert seen.saved == []


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_may_call_by_any_name(path: str) -> None:
    response = await get(path, host="10.0.0.7:8080")

    # The app of this test has no such route; the edge lets the call through.
    assert response.status_code == 404


def test_two_hosts_are_none() -> None:
    policy = OriginPolicy.of(["localhost"], [])
    headers = [(b"host", b"localhost"), (b"host", b"localhost")]

    assert not policy.allows_host({"headers": headers})


def test_a_star_allows_any_host_and_any_page() -> None:
    policy = OriginPolicy.of(["*"], ["*"])

    assert policy.allows_host({"headers": [(b"host", b"gob.example")]})
    assert policy.allows_origin("https://page.example")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:5174"])
async def test_a_foreign_page_may_not_write(origin: str) -> None:
    seen = Seen()
    async with client_of(edge(seen), origin=origin) as client:
        response = await client.post("/graphql", json=SAVE)

    assert response.status_code == 403
    assert response.json()["error"]["code"] == "ORIGIN_NOT_ALLOWED"
    assert "ALLOW_ORIGINS" in response.json()["error"]["message"]
    assert "access-control-allow-origin" not in response.headers
    assert seen.saved == []


async def test_a_foreign_page_may_not_read_what_it_gets() -> None:
    response = await get("/graphql?query={hello}", origin="https://evil.example")

    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("origin", [PAGE, "http://localhost"])
async def test_allowed_pages_and_our_own_may_write(origin: str) -> None:
    seen = Seen()
    async with client_of(edge(seen), origin=origin) as client:
        response = await client.post("/graphql", json=SAVE)

    assert response.status_code == 200
    assert response.headers.get("access-control-allow-origin") == (PAGE if origin == PAGE else None)
    assert "access-control-allow-credentials" not in response.headers
    assert seen.saved == ["x"]


async def preflight(origin: str) -> httpx.Response:
    async with client_of(edge(), origin=origin) as client:
        return await client.options("/graphql", headers={"access-control-request-method": "POST"})


async def test_a_preflight_of_an_allowed_page_says_what_it_may_send() -> None:
    response = await preflight(PAGE)

    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == PAGE
    assert response.headers["access-control-allow-headers"] == (
        "authorization, content-type, idempotency-key, traceparent, last-event-id"
    )
    assert response.headers["access-control-expose-headers"] == (
        "location, link, traceparent, retry-after, idempotent-replayed"
    )
    assert response.headers["vary"] == "Origin"


async def test_a_preflight_of_a_foreign_page_is_refused() -> None:
    assert (await preflight("https://evil.example")).status_code == 403


async def test_every_answer_has_the_security_headers() -> None:
    for response in (await get("/graphql?query={hello}"), await get("/nothing")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-security-policy"] == (
            "default-src 'none'; frame-ancestors 'none'"
        )


async def test_a_trace_is_continued_and_told_to_the_caller() -> None:
    response = await get("/bound", traceparent=PARENT)

    assert response.text == TRACE
    assert response.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert response.headers["traceparent"] != PARENT


async def test_a_trace_that_is_not_valid_is_replaced() -> None:
    response = await get("/bound", traceparent="00-nonsense")

    assert response.headers["traceparent"].split("-")[1] == response.text
    assert len(response.text) == 32


async def test_no_trace_is_left_bound_after_a_request() -> None:
    await get("/bound", traceparent=PARENT)

    assert "trace_id" not in structlog.contextvars.get_contextvars()


async def test_an_unknown_path_answers_json_that_names_the_doors() -> None:
    response = await get("/nothing")

    assert response.status_code == 404
    assert response.json() == {
        "error": {
            "code": "NOT_FOUND",
            "message": "There is nothing at '/nothing'.",
            "doors": ["/graphql"],
        }
    }


async def test_a_method_that_is_not_taken_answers_json_with_those_that_are() -> None:
    response = await get("/echo")

    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["error"] == {
        "code": "METHOD_NOT_ALLOWED",
        "message": "'/echo' does not take GET; it takes POST.",
    }


async def test_a_crash_answers_without_details_and_is_logged_once() -> None:
    with capture_logs() as logs:
        response = await get("/crash", traceparent=PARENT)

    line, told = logs
    assert (told["event"], told["path"], told["status"]) == ("http.request", "/crash", 500)
    assert response.status_code == 500
    assert "hunter2" not in response.text
    assert (line["event"], line["path"]) == ("request.crashed", "/crash")
    assert str(line["exc_info"]) == "secret: the password is hunter2"


async def test_each_request_is_told_once_without_its_query() -> None:
    with capture_logs() as logs:
        await get("/bound?token=secret")
        await get("/healthz")

    (line,) = logs
    assert (line["event"], line["method"], line["path"]) == ("http.request", "GET", "/bound")
    assert (line["status"], "secret" in str(line)) == (200, False)


async def parts(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_body_in_parts_is_handed_on_whole() -> None:
    async with client_of(edge()) as client:
        response = await client.post("/echo", content=parts(b"a", b"b"))

    assert response.content == b"ab"


async def test_a_body_that_grows_too_large_is_refused_on_the_way() -> None:
    with capture_logs() as logs:
        async with client_of(edge(body_limits=BodyLimits(size_bytes=10))) as client:
            response = await client.post("/echo", content=parts(b"a" * 6, b"b" * 6))

    assert response.status_code == 413
    assert response.json()["error"] == {
        "code": "BODY_TOO_LARGE",
        "message": "A body may have 10 bytes at most.",
    }
    assert [line["event"] for line in logs] == ["http.request"]


async def raw(address: str, sent: bytes) -> bytes:
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_body_that_stops_coming_is_answered_408() -> None:
    request = (
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Length: 10\r\n\r\nabc"
    )
    with capture_logs() as logs:
        async with serving(edge(body_limits=BodyLimits(part_timeout_s=0.05))) as address:
            answer = await raw(address, request)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"BODY_TIMEOUT"' in answer
    assert [line["event"] for line in logs] == ["http.request"]


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: lo"])
async def test_headers_that_stop_coming_close_the_connection(sent: bytes) -> None:
    class Hasty(TimedHttpProtocol):
        header_timeout_s = 0.05

    async with serving(edge(), http=Hasty) as address:
        answer = await raw(address, sent)

    assert answer == b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"


async def test_a_second_request_on_a_connection_has_its_own_header_time() -> None:
    class Hasty(TimedHttpProtocol):
        header_timeout_s = 0.05

    whole = b"GET /bound HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(edge(), http=Hasty) as address:
        answer = await raw(address, whole + b"GET /bound HTTP/1.1\r\nHost")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n")


async def test_bytes_that_are_no_http_are_refused_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(edge()) as address:
        answer = await raw(address, b"\x16\x03\x01 nonsense\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert [record for record in caplog.records if record.exc_info] == []
