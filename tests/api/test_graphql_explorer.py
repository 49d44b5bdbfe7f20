"""The explorer: our own files, a strict policy, and a key only for the machine itself."""

import re
from pathlib import Path
from typing import Any

import pytest

from app.graphql.explorer.page import STATIC
from app.graphql.tokens import read_token
from tests.api.sample_app import client_of, make_app
from tests.api.sample_schema import GOOD_TOKEN

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
COOKIE = f"gob_explorer={GOOD_TOKEN}"


def scope(**headers: str) -> dict[str, Any]:
    pairs = {"host": "localhost:8080", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return {
        "type": "http",
        "headers": [(name.encode(), value.encode()) for name, value in pairs.items()],
    }


async def test_a_browser_gets_the_page_under_a_strict_policy() -> None:
    async with client_of(make_app(), accept=BROWSER) as client:
        response = await client.get("/graphql")

    policy = response.headers["content-security-policy"]
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'; script-src 'self';" in policy
    assert "connect-src 'self' ws://localhost wss://localhost;" in policy
    assert "<title>GOB explorer</title>" in response.text


async def test_the_page_loads_only_files_that_are_there() -> None:
    async with client_of(make_app(), accept=BROWSER) as client:
        page = await client.get("/graphql")
        links = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
        files = [await client.get(link) for link in links]

    assert len(links) == 2
    assert [file.status_code for file in files] == [200, 200]
    assert {file.headers["cache-control"] for file in files} == {
        "public, max-age=31536000, immutable"
    }
    assert "http://" not in page.text
    assert "https://" not in page.text


async def test_a_file_the_browser_has_is_not_sent_again() -> None:
    (script,) = [file.name for file in STATIC.iterdir() if file.suffix == ".js"]
    async with client_of(make_app()) as client:
        first = await client.get(f"/graphql/assets/{script}")
        again = await client.get(
            f"/graphql/assets/{script}", headers={"if-none-match": first.headers["etag"]}
        )

    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "index.html", "..%2Fpage.py", "%2e%2e%2fpage.css"])
async def test_there_are_no_other_files(name: str) -> None:
    async with client_of(make_app()) as client:
        response = await client.get(f"/graphql/assets/{name}")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "NOT_FOUND"


async def test_on_loopback_the_page_brings_its_key_in_a_cookie() -> None:
    async with client_of(make_app(), accept=BROWSER) as client:
        response = await client.get("/graphql")

    assert response.headers["set-cookie"] == (f"{COOKIE}; Path=/graphql; HttpOnly; SameSite=Strict")


@pytest.mark.parametrize(
    "headers", [{"x-forwarded-for": "203.0.113.9"}, {"forwarded": "for=203.0.113.9"}]
)
async def test_behind_a_proxy_the_page_brings_no_key(headers: dict[str, str]) -> None:
    async with client_of(make_app(), accept=BROWSER) as client:
        response = await client.get("/graphql", headers=headers)

    assert response.status_code == 200
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"cookie": COOKIE, "sec_fetch_site": "same-origin"}, GOOD_TOKEN),
        ({"cookie": COOKIE, "origin": "http://localhost:8080"}, GOOD_TOKEN),
        (
            {"cookie": COOKIE, "origin": "http://localhost:8080", "sec_fetch_site": "same-origin"},
            GOOD_TOKEN,
        ),
        ({"cookie": COOKIE}, None),
        ({"cookie": COOKIE, "sec_fetch_site": "same-site"}, None),
        ({"cookie": COOKIE, "sec_fetch_site": "cross-site"}, None),
        ({"cookie": COOKIE, "origin": "http://localhost:5173"}, None),
        ({"cookie": COOKIE, "origin": "null"}, None),
        (
            {"cookie": COOKIE, "origin": "http://localhost:5173", "sec_fetch_site": "same-site"},
            None,
        ),
        ({"cookie": "other=1", "sec_fetch_site": "same-origin"}, None),
        ({"cookie": COOKIE, "sec_fetch_site": "same-origin", "authorization": "Bearer k"}, "k"),
        ({"authorization": "Bearer k"}, "k"),
        ({"authorization": "Basic k"}, ""),
        ({"authorization": "k"}, ""),
        ({}, None),
    ],
)
def test_the_cookie_counts_only_on_requests_of_our_own_pages(
    headers: dict[str, str], token: str | None
) -> None:
    assert read_token(scope(**headers)) == token


async def test_the_page_asks_with_its_cookie_and_is_known() -> None:
    async with client_of(make_app()) as client:
        response = await client.post(
            "/graphql",
            json={"query": "{ whoami }"},
            headers={"cookie": COOKIE, "origin": "http://localhost"},
        )

    assert response.json() == {"data": {"whoami": "owner"}}


def test_the_bundle_is_small_and_its_licences_stand_beside_it() -> None:
    sizes = {file.name: file.stat().st_size for file in STATIC.iterdir()}
    licences = (STATIC / "LICENSES.txt").read_text()

    assert sum(sizes.values()) < 3_000_000
    assert all(
        name in licences for name in ("graphiql 4", "react 19", "graphql-ws 6", "codemirror")
    )


def test_the_page_names_what_was_built() -> None:
    page = (STATIC / "index.html").read_text()
    built = {file.name for file in STATIC.iterdir() if file.suffix in {".js", ".css"}}

    assert {Path(name).name for name in re.findall(r"/graphql/assets/([^\"]+)", page)} == built
