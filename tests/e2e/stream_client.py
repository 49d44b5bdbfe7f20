"""A real client of `/ws/stream` that holds every frame against the checked-in schema."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.gob_process import GobProcess

SCHEMA = Path(__file__).parents[2] / "docs" / "api" / "stream.schema.json"
DEADLINE_S = 60

Frame = dict[str, Any]


@lru_cache
def _validator(name: str) -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text())
    return Draft202012Validator(
        {**schema, "$ref": f"#/$defs/{name}"}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


class StreamClient:
    """One open socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, frame: Frame) -> None:
        """Send a frame that the schema allows."""
        _validator("ClientFrame").validate(frame)
        await self.socket.send(json.dumps(frame))

    async def heard(self) -> Frame:
        """The next frame, which the schema must allow."""
        async with asyncio.timeout(DEADLINE_S):
            frame = json.loads(await self.socket.recv())
        _validator("ServerFrame").validate(frame)
        return frame

    async def subscribe(self, ident: str, *events: str, **more: Any) -> None:
        """Subscribe, and wait until it stands."""
        await self.send({"type": "subscribe", "id": ident, "events": [*events], **more})
        assert await self.heard() == {"type": "subscribed", "id": ident}

    async def until(self, is_last: Callable[[Frame], bool]) -> list[Frame]:
        """The frames up to and with the first that the condition accepts."""
        seen = [await self.heard()]
        while not is_last(seen[-1]):
            seen.append(await self.heard())
        return seen


@asynccontextmanager
async def stream_of(
    gob: GobProcess,
    *,
    key: str | None = None,
    protocols: Sequence[str] | None = None,
    **headers: str,
) -> AsyncGenerator[StreamClient, None]:
    """Open a socket with the process's own key, another one, or subprotocols instead."""
    named = {} if protocols else {"authorization": f"Bearer {key or gob.key}"}
    address = gob.address.replace("http", "ws", 1)
    async with connect(
        f"{address}/ws/stream",
        additional_headers={**named, **headers},
        subprotocols=protocols,  # type: ignore[arg-type]
        proxy=None,
        open_timeout=DEADLINE_S,
    ) as socket:
        yield StreamClient(socket)
