"""Who may come in by a socket: keys and their places, pages and the explorer's cookie."""

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.api.sample_app import make_app
from tests.api.sample_schema import GOOD_TOKEN, UNASKED_TOKEN
from tests.api.servers import serving
from tests.api.socket_client import PROTOCOL, closing, dialed, heard, say, subscribe


async def whoami(**options: Any) -> str:
    payload = options.pop("payload", None)
    async with dialed(**options) as socket:
        await say(socket, type="connection_init", **({"payload": payload} if payload else {}))
        await heard(socket)
        await subscribe(socket, "a", "subscription { whoami }")
        return (await heard(socket))["payload"]["data"]["whoami"]


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"authorization": f"Bearer {GOOD_TOKEN}"}},
        {"protocols": (PROTOCOL, f"gob.bearer.{GOOD_TOKEN}")},
        {"protocols": (f"gob.bearer.{GOOD_TOKEN}", PROTOCOL)},
        {"payload": {"authorization": f"Bearer {GOOD_TOKEN}"}},
        {"payload": {"Authorization": f"bearer {GOOD_TOKEN}"}},
        {"payload": {"token": GOOD_TOKEN}},
    ],
)
async def test_a_key_may_come_in_four_places(options: dict[str, Any]) -> None:
    assert await whoami(**options) == "owner"


async def test_no_key_is_what_the_authenticator_makes_of_it() -> None:
    assert await whoami(payload={"other": 1}) == "guest"


@pytest.mark.parametrize("payload", [{"token": "bad"}, {"authorization": f"Basic {GOOD_TOKEN}"}])
async def test_an_unknown_key_closes_with_4401_and_where_to_find_one(payload: Any) -> None:
    async with dialed() as socket:
        await say(socket, type="connection_init", payload=payload)

        assert await closing(socket) == (4401, "This key is not known. Look into DATA_DIR/api-key.")


async def test_a_key_that_cannot_be_looked_up_now_closes_with_1013_to_try_again() -> None:
    async with dialed() as socket:
        await say(socket, type="connection_init", payload={"token": UNASKED_TOKEN})

        closed = await closing(socket)
        assert closed == (1013, "The database cannot be reached; try again soon.")


async def test_another_scheme_in_the_upgrade_is_no_key() -> None:
    async with dialed(headers={"authorization": f"Basic {GOOD_TOKEN}"}) as socket:
        await say(socket, type="connection_init")

        assert (await closing(socket))[0] == 4401


async def refused_upgrade(headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    async with serving(make_app()) as address:
        with pytest.raises(InvalidStatus) as caught:
            async with connect(
                f"ws://{address}/graphql",
                subprotocols=[PROTOCOL],  # type: ignore[list-item]
                additional_headers=headers,
            ):
                pass
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"{}")


async def test_a_foreign_page_is_refused_before_the_socket_opens() -> None:
    status, body = await refused_upgrade({"origin": "https://evil.example"})

    assert status == 403
    assert body["error"]["code"] == "ORIGIN_NOT_ALLOWED"


async def test_an_allowed_page_may_open_a_socket() -> None:
    assert await whoami(headers={"origin": "http://localhost:5173"}) == "guest"


async def test_a_page_of_our_own_opens_a_socket_with_the_explorers_cookie() -> None:
    async with serving(make_app()) as address:
        own = {"origin": f"http://{address}", "cookie": f"gob_explorer={GOOD_TOKEN}"}
        async with connect(
            f"ws://{address}/graphql",
            subprotocols=[PROTOCOL],  # type: ignore[list-item]
            additional_headers=own,
        ) as socket:
            await say(socket, type="connection_init")
            await heard(socket)
            await subscribe(socket, "a", "{ whoami }")

            assert (await heard(socket))["payload"] == {"data": {"whoami": "owner"}}


async def test_a_key_in_the_greeting_wins_over_the_cookie() -> None:
    async with serving(make_app()) as address:
        own = {"origin": f"http://{address}", "cookie": f"gob_explorer={GOOD_TOKEN}"}
        async with connect(
            f"ws://{address}/graphql",
            subprotocols=[PROTOCOL],  # type: ignore[list-item]
            additional_headers=own,
        ) as socket:
            await say(socket, type="connection_init", payload={"token": "bad"})

            assert (await closing(socket))[0] == 4401


async def test_an_allowed_page_elsewhere_does_not_get_the_explorers_cookie() -> None:
    headers = {"origin": "http://localhost:5173", "cookie": f"gob_explorer={GOOD_TOKEN}"}

    assert await whoami(headers=headers) == "guest"
