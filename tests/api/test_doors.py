"""A key that does not work opens no door, and one that lacks a scope opens none that needs it.

A new door adds one line to `DOORS`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from app.container import Container, Role, open_container
from app.main import create_app
from app.settings import load_settings
from domain.access.audit_log import AuditFilter
from domain.access.scopes import Principal
from domain.access.secrets import mint
from domain.kernel.database import Statement
from domain.kernel.paging import PageRequest
from tests.api.servers import serving

OPEN, UNKNOWN_CALLER, FORBIDDEN = "open", "unauthenticated", "forbidden"
QUERY = "{ agents { nodes { slug } } }"
MUTATION = """
mutation { createAgent(input: { name: "Guest" }) { __typename ... on Error { code } } }
"""
STREAM = 'subscription { agentTokens(runId: "run_AZqrze8SdFaavN7wEjRWeA") { seq } }'
PROTOCOL = "graphql-transport-ws"
DEADLINE_S = 20


def judged(answer: Mapping[str, Any]) -> str:
    """What a GraphQL answer says of its caller; an object that is not there is an open door."""
    codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
    outcomes = (answer.get("data") or {}).values()
    codes |= {value["code"] for value in outcomes if value and "code" in value}
    known = {"UNAUTHENTICATED": UNKNOWN_CALLER, "FORBIDDEN": FORBIDDEN, "NOT_FOUND": OPEN}
    return known[codes.pop()] if codes else OPEN


def bearer(secret: str | None) -> dict[str, str]:
    return {} if secret is None else {"authorization": f"Bearer {secret}"}


async def post(address: str, secret: str | None, document: str, accept: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S) as client:
        headers = {"accept": accept, **bearer(secret)}
        body = {"query": document}
        return await client.post(f"http://{address}/graphql", json=body, headers=headers)


async def query_over_http(address: str, secret: str | None) -> str:
    answer = await post(address, secret, QUERY, "application/json")
    return judged(answer.json())


async def mutation_over_http(address: str, secret: str | None) -> str:
    answer = await post(address, secret, MUTATION, "application/json")
    return judged(answer.json())


async def stream_over_http(address: str, secret: str | None) -> str:
    answer = await post(address, secret, STREAM, "text/event-stream")
    if answer.status_code != 200:
        return judged(answer.json())
    data = next(line for line in answer.text.splitlines() if line.startswith("data:"))
    return judged(json.loads(data.removeprefix("data:")))


async def over_rest(address: str, secret: str | None, path: str, accept: str) -> str:
    async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S) as client:
        headers = {"accept": accept, **bearer(secret)}
        answer = await client.get(f"http://{address}/api/v1{path}", headers=headers)
    codes = {200: OPEN, 401: UNKNOWN_CALLER, 403: FORBIDDEN, 404: OPEN}
    if answer.status_code == 200 and "event: problem" in answer.text:
        return FORBIDDEN if '"FORBIDDEN"' in answer.text else OPEN
    return codes[answer.status_code]


async def read_over_rest(address: str, secret: str | None) -> str:
    return await over_rest(address, secret, "/runs/run_AZqrze8SdFaavN7wEjRWeA", "application/json")


async def stream_over_rest(address: str, secret: str | None) -> str:
    path = "/runs/run_AZqrze8SdFaavN7wEjRWeA/events"
    return await over_rest(address, secret, path, "text/event-stream")


async def over_socket(address: str, secret: str | None, document: str) -> str:
    opening = connect(
        f"ws://{address}/graphql",
        subprotocols=[PROTOCOL],  # type: ignore[list-item]
        additional_headers=bearer(secret),
        proxy=None,
    )
    async with asyncio.timeout(DEADLINE_S), opening as socket:
        await socket.send('{"type": "connection_init"}')
        try:
            await socket.recv()
        except ConnectionClosed as closed:
            return {4401: UNKNOWN_CALLER, 4403: FORBIDDEN}[closed.rcvd.code if closed.rcvd else 0]
        wanted = {"id": "1", "type": "subscribe", "payload": {"query": document}}
        await socket.send(json.dumps(wanted))
        frame = json.loads(await socket.recv())
        payload = frame["payload"]
        return judged({"errors": payload} if frame["type"] == "error" else payload)


async def query_over_socket(address: str, secret: str | None) -> str:
    return await over_socket(address, secret, QUERY)


async def stream_over_socket(address: str, secret: str | None) -> str:
    return await over_socket(address, secret, STREAM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One way in: `knock(address, secret)` tries a call that needs the scope."""

    name: str
    scope: str
    operation: str
    """What the audit log calls that call."""
    knock: Callable[[str, str | None], Awaitable[str]]


DOORS = (
    Door(name="http", scope="agents:read", operation="agents", knock=query_over_http),
    Door(
        name="http-mutation",
        scope="agents:write",
        operation="createAgent",
        knock=mutation_over_http,
    ),
    Door(name="http-stream", scope="runs:read", operation="agentTokens", knock=stream_over_http),
    Door(
        name="rest",
        scope="runs:read",
        operation="GET /api/v1/runs/{id}",
        knock=read_over_rest,
    ),
    Door(
        name="rest-stream",
        scope="runs:read",
        operation="GET /api/v1/runs/{id}/events",
        knock=stream_over_rest,
    ),
    Door(name="socket", scope="agents:read", operation="agents", knock=query_over_socket),
    Door(
        name="socket-stream", scope="runs:read", operation="agentTokens", knock=stream_over_socket
    ),
)


@dataclass(kw_only=True)
class Served:
    """A process that serves, and the means to make keys for it."""

    container: Container
    address: str

    async def key(self, name: str, *scopes: str) -> str:
        """Make a key and return its secret."""
        made = await self.container.access.create_key(
            self.container.workspace.id, name=name, scopes=list(scopes), created_by="tests"
        )
        return made.secret

    async def expired_key(self, scope: str) -> str:
        """Make a key and let it be too old."""
        secret = await self.key("expired", scope)
        sql = "UPDATE api_key SET expires_at = 1 WHERE name = 'expired'"
        await self.container.database.write([Statement(sql)])
        return secret

    async def revoked_key(self, scope: str) -> str:
        """Make a key and revoke it."""
        access, workspace_id = self.container.access, self.container.workspace.id
        made = await access.create_key(
            workspace_id, name="revoked", scopes=[scope], created_by="tests"
        )
        await access.revoke_key(workspace_id, made.row.id)
        return made.secret

    async def told(self, action: str) -> list[dict[str, Any]]:
        """What the audit log tells of an action, oldest first."""
        await self.container.denials.settled()
        operator = Principal.of_house(self.container.workspace.id)
        page = await self.container.audit_log.page(
            operator, AuditFilter(action=action), PageRequest.of(first=100), newest_first=False
        )
        return [{"actor": row.actor, **row.detail} for row in page.items]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncGenerator[Served, None]:
    settings = load_settings({"DATA_DIR": str(tmp_path)}, Path("/dev/null"))
    async with (
        open_container(settings, Role.EMBEDDED) as container,
        serving(await create_app(container)) as address,
    ):
        yield Served(container=container, address=address)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
async def test_a_door_opens_for_keys_that_work_and_hold_the_scope(served: Served, door: Door):
    secrets = {
        "good": await served.key("good", door.scope),
        "admin": await served.key("root", "admin"),
        "lacking": await served.key("lacking", "tools:read"),
        "expired": await served.expired_key(door.scope),
        "revoked": await served.revoked_key(door.scope),
        "unknown": mint().secret,
        "malformed": "hunter22",
        "none": None,
    }

    found = {name: await door.knock(served.address, secret) for name, secret in secrets.items()}

    assert found == {
        "good": OPEN,
        "admin": OPEN,
        "lacking": FORBIDDEN,
        "expired": UNKNOWN_CALLER,
        "revoked": UNKNOWN_CALLER,
        "unknown": UNKNOWN_CALLER,
        "malformed": UNKNOWN_CALLER,
        "none": UNKNOWN_CALLER,
    }
    failed = [
        (line["actor"], line["reason"], line["prefix"], line["address"])
        for line in await served.told("login.failed")
    ]
    shown = {name: (secret or "")[:12] for name, secret in secrets.items()}
    assert failed == [
        ("expired", "expired", shown["expired"], "127.0.0.1"),
        ("revoked", "revoked", shown["revoked"], "127.0.0.1"),
        ("nobody", "unknown", shown["unknown"], "127.0.0.1"),
        ("nobody", "malformed", None, "127.0.0.1"),
    ]
    assert await served.told("access.denied") == [
        {"actor": "lacking", "scope": door.scope, "operation": door.operation}
    ]
    stored = str(await served.container.database.fetch("SELECT * FROM audit"))
    assert [name for name, secret in secrets.items() if secret and secret in stored] == []


async def test_a_key_that_was_revoked_begins_nothing_more_on_an_open_socket(served: Served):
    access, workspace_id = served.container.access, served.container.workspace.id
    made = await access.create_key(workspace_id, name="x", scopes=["admin"], created_by="tests")
    opening = connect(
        f"ws://{served.address}/graphql",
        subprotocols=[PROTOCOL],  # type: ignore[list-item]
        additional_headers=bearer(made.secret),
        proxy=None,
    )
    wanted = {"id": "1", "type": "subscribe", "payload": {"query": QUERY}}
    async with asyncio.timeout(DEADLINE_S), opening as socket:
        await socket.send('{"type": "connection_init"}')
        before = json.loads(await socket.recv())

        await access.revoke_key(workspace_id, made.row.id)
        await socket.send(json.dumps(wanted))
        after = json.loads(await socket.recv())

    assert before["type"] == "connection_ack"
    assert after["type"] == "error"
    assert after["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
