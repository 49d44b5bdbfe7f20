"""Pages in a real browser: an allowed origin uses every door, another one none of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.browser import Browser, Page
from tests.e2e.client_project import MadeClient
from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.page_server import PageServer
from tests.e2e.stored import counts

CREATE = 'mutation { createAgent(input: {name: "Made by a page"}) { __typename } }'
HELPERS = """
const json = {"content-type": "application/json", authorization: `Bearer ${key}`};
const socketOf = (path, protocols) => {
  const socket = new WebSocket(gob.replace("http", "ws") + path, protocols);
  const closed = new Promise((_, refuse) => {
    socket.onclose = (event) => refuse(new Error(`closed with ${event.code}`));
  });
  const opened = new Promise((open) => { socket.onopen = open; });
  const next = () => new Promise((take) => {
    socket.onmessage = (event) => take(JSON.parse(event.data));
  });
  const say = (message) => socket.send(JSON.stringify(message));
  return {opened: Promise.race([opened, closed]), next: () => Promise.race([next(), closed]), say};
};
"""

# What a page does at each door, what it then has, and how the browser tells it that it may not.
DOORS = {
    "GraphQL": (
        """
        const answer = await fetch(`${gob}/graphql`, {
          method: "POST", headers: json, body: JSON.stringify({query: create}),
        });
        return (await answer.json()).data.createAgent.__typename;
        """,
        "AgentSuccess",
        "TypeError: Failed to fetch",
    ),
    "the GraphQL socket": (
        """
        const socket = socketOf("/graphql", ["graphql-transport-ws"]);
        await socket.opened;
        socket.say({type: "connection_init", payload: {authorization: `Bearer ${key}`}});
        await socket.next();
        socket.say({type: "subscribe", id: "1", payload: {query: create}});
        return (await socket.next()).payload.data.createAgent.__typename;
        """,
        "AgentSuccess",
        "Error: closed with 1006",
    ),
    "REST": (
        """
        const answer = await fetch(`${gob}/api/v1/agents/execute`, {
          method: "POST", headers: {...json, "idempotency-key": "a-page"},
          body: JSON.stringify({agent: {slug: "default"}, instruction: "What is 12% of 300?"}),
        });
        return (await answer.json()).output;
        """,
        "12 / 100 * 300 = 36",
        "TypeError: Failed to fetch",
    ),
    "the stream": (
        """
        const socket = socketOf("/ws/stream", ["gob.stream", `gob.bearer.${key}`]);
        await socket.opened;
        socket.say({type: "subscribe", id: "a", events: ["run.update"]});
        return (await socket.next()).type;
        """,
        "subscribed",
        "Error: closed with 1006",
    ),
}


@pytest.fixture(scope="module")
def pages(made_client: MadeClient) -> Iterator[PageServer]:
    with PageServer(made_client.page) as server:
        yield server


@pytest.fixture(scope="module")
def gob(pages: PageServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GobProcess]:
    """A server that knows the origin of the pages, and must not choke on any of them."""
    settings = {"ALLOW_ORIGINS": pages.origin}
    with GobProcess(tmp_path_factory.mktemp("browsed"), settings) as process:
        yield process
        assert TRACEBACK not in process.err
        assert [line for line in process.lines if line["level"] == "error"] == []


@pytest.fixture
def page(browser: Browser, pages: PageServer) -> Iterator[Page]:
    """The example page in a tab of its own; at the end nothing must have gone wrong in it."""
    browser.complaints.clear()
    yield browser.open(pages.origin)
    assert browser.complaints == []


def stored(gob: GobProcess) -> str:
    return f"sqlite:///{gob.data_folder / 'gob.db'}"


def at_the_door(page: Page, gob: GobProcess, deed: str) -> str:
    """What a page hears when it does that."""
    known = {"gob": gob.address, "key": gob.key, "create": CREATE}
    names = "".join(f"const {name} = {json.dumps(value)};" for name, value in known.items())
    return page.evaluate(
        f"(async () => {{ {names} {HELPERS} {deed} }})().catch((problem) => `${{problem}}`)"
    )


def connect(page: Page, gob: GobProcess) -> None:
    page.fill("#address", gob.address)
    page.fill("#key", gob.key)
    page.click("#server button")


def start(page: Page, gob: GobProcess, instruction: str) -> None:
    """Have the simulated model do what the instruction says."""
    connect(page, gob)
    page.wait_for("document.querySelector('#model').length > 1")
    page.fill("#model", "simulated")
    page.fill("#instruction", instruction)
    page.click("#order button.primary")


def wait_for_text(page: Page, text: str) -> None:
    page.wait_for(f"document.querySelector('.text')?.textContent.includes({json.dumps(text)})")


def figures(page: Page) -> dict[str, str]:
    return page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('#figures div')]"
        ".map((pair) => [...pair.children].map((part) => part.textContent)))"
    )


@pytest.mark.parametrize("door", DOORS)
def test_a_page_of_an_allowed_origin_uses(door: str, page: Page, gob: GobProcess):
    deed, had, _ = DOORS[door]

    heard = at_the_door(page, gob, deed)

    assert heard == had


@pytest.mark.parametrize("door", DOORS)
async def test_a_page_of_another_origin_is_refused_at(
    door: str, browser: Browser, pages: PageServer, gob: GobProcess
):
    deed, _, refusal = DOORS[door]
    before = await counts(stored(gob))

    heard = at_the_door(browser.open(pages.other_origin), gob, deed)

    assert heard == refusal
    assert await counts(stored(gob)) == before


async def test_a_page_of_another_origin_does_nothing_by_a_request_that_needs_no_leave(
    browser: Browser, pages: PageServer, gob: GobProcess
):
    before = await counts(stored(gob))

    heard = at_the_door(
        browser.open(pages.other_origin),
        gob,
        """
        const answer = await fetch(`${gob}/graphql`, {
          method: "POST", mode: "no-cors", credentials: "include",
          headers: {"content-type": "text/plain"}, body: JSON.stringify({query: create}),
        });
        return `${answer.type} answer`;
        """,
    )

    assert heard == "TypeError: Failed to fetch"
    assert await counts(stored(gob)) == before


def test_the_port_of_the_example_page_is_allowed_by_default(tmp_path: Path):
    with GobProcess(tmp_path) as gob:
        origin = "http://localhost:5173"
        answer = httpx.post(
            f"{gob.address}/graphql",
            json={"query": "{ viewer { workspace { name } } }"},
            headers={"origin": origin, "authorization": f"Bearer {gob.key}"},
        )

    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.json()["data"]["viewer"]["workspace"]["name"] == "Default"


def test_the_example_page_streams_a_run_and_goes_on_after_every_cut(page: Page, gob: GobProcess):
    tool = {"name": "calculate", "arguments": {"expression": "6 * 7"}}
    start(page, gob, json.dumps({"tokens": 120, "delay_s": 0.03, "tool": tool}))

    for token in ("token-5 ", "token-60 "):
        wait_for_text(page, token)
        page.click("#cut")
        page.wait_for("document.querySelector('#line').dataset.state === 'lost'")
    page.wait_for("!document.querySelector('#outcome').hidden")

    answer = "".join(f"token-{number} " for number in range(1, 121))
    shown = figures(page)
    assert page.text(".text") == answer
    assert page.text("#outcome") == (
        f"What was streamed is the stored answer, all {len(answer)} characters of it."
    )
    assert page.text("#status") == "succeeded"
    assert page.text(".tool strong") == "calculate"
    assert page.text(".tool .result") == '{"value":42,"text":"42"}'
    assert (shown["Missing"], shown["Told twice"], shown["Connections"]) == ("0", "0", "3")


def test_the_example_page_goes_on_after_the_server_was_killed(
    browser: Browser, pages: PageServer, tmp_path: Path
):
    with GobProcess(tmp_path, {"ALLOW_ORIGINS": pages.origin}) as gob:
        page = browser.open(pages.origin)
        start(page, gob, '{"tokens": 60, "delay_s": 0.03}')
        wait_for_text(page, "token-20 ")

        gob.kill()
        page.wait_for("document.querySelector('#line').dataset.state === 'lost'")
        gob.start()
        page.wait_for("!document.querySelector('#outcome').hidden")

        answer = "".join(f"token-{number} " for number in range(1, 61))
        assert page.text("#story") == answer
        assert page.text("#status") == "succeeded"
        assert (figures(page)["Missing"], figures(page)["Told twice"]) == ("0", "0")


def test_the_example_page_cancels_a_run_and_keeps_what_it_said(page: Page, gob: GobProcess):
    start(page, gob, '{"tokens": 10000, "delay_s": 0.05}')

    wait_for_text(page, "token-5 ")
    page.click("#cancel")
    page.wait_for("!document.querySelector('#outcome').hidden")

    assert page.text("#status") == "cancelled"
    assert page.text("#outcome") == "Cancelled. What was written until then is kept."
    assert page.text(".text").startswith("token-1 token-2 token-3 token-4 token-5 ")
    assert page.evaluate("document.querySelector('#cancel').disabled") is True


def test_the_example_page_shows_why_a_run_failed(page: Page, gob: GobProcess):
    start(page, gob, '{"tokens": 5, "after": 2, "fail": "bad_response"}')

    page.wait_for("!document.querySelector('#outcome').hidden")

    assert page.text("#status") == "failed"
    assert page.text("#outcome") == "Simulated: bad_response."
    assert page.text(".text") == "token-1 token-2 "


def test_the_example_page_takes_up_its_run_when_it_is_loaded_again(page: Page, gob: GobProcess):
    start(page, gob, '{"tokens": 40, "delay_s": 0.03}')
    wait_for_text(page, "token-5 ")

    page.reload()
    page.wait_for("!document.querySelector('#outcome').hidden")

    assert page.text(".text") == "".join(f"token-{number} " for number in range(1, 41))
    assert figures(page)["Missing"] == "0"


def test_the_example_page_keeps_the_key_out_of_addresses_and_lasting_storage(
    page: Page, gob: GobProcess
):
    connect(page, gob)
    page.wait_for("!document.querySelector('#order').hidden")

    asked = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    kept = page.evaluate("JSON.stringify({...localStorage}) + document.cookie")
    assert f"{gob.address}/graphql" in asked
    assert gob.key not in "".join(asked) + page.evaluate("location.href")
    assert kept == "{}"
    assert json.loads(page.evaluate("sessionStorage['gob.server']"))["key"] == gob.key


def test_the_example_page_says_what_to_look_at_when_it_may_not_ask(
    browser: Browser, pages: PageServer, gob: GobProcess
):
    page = browser.open(pages.other_origin)

    connect(page, gob)
    page.wait_for("!document.querySelector('#trouble').hidden")

    assert page.text("#trouble") == (
        f"No answer from {gob.address}. Does the server run, and does its ALLOW_ORIGINS "
        f"name {pages.other_origin}?"
    )


def test_the_example_page_shows_what_the_server_says_about_a_wrong_key(
    browser: Browser, pages: PageServer, gob: GobProcess
):
    page = browser.open(pages.origin)
    page.fill("#address", gob.address)
    page.fill("#key", f"{gob.key}x")

    page.click("#server button")
    page.wait_for("!document.querySelector('#trouble').hidden")

    assert page.text("#trouble").startswith("This is no key of GOB; ")
    assert page.text("#connection") == "Not connected"
