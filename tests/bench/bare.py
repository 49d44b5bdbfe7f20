"""The baseline: the same uvicorn and uvloop with nothing behind them.

`POST /graphql` answers a run's text at once, or an id to subscribe to; sockets on `/graphql`
stream that text in frames like ours. Nothing is checked, kept or shared.
"""

import asyncio
import json
import sys
from typing import Any

import orjson
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.http_protocol import QuietWebSocketProtocol, TimedHttpProtocol
from tests.bench.processes import answer

SUBPROTOCOL = "graphql-transport-ws"


class Streams:
    """Instructions by the id that was given for them."""

    def __init__(self) -> None:
        self._asked: list[dict[str, Any]] = []

    async def run(self, request: Request) -> Response:
        """Answer the text, or the id of a stream."""
        asked = orjson.loads(await request.body())["variables"]["i"]
        told = json.loads(asked["instruction"])
        self._asked.append(told)
        run = {"id": str(len(self._asked) - 1), "status": "QUEUED", "output": None}
        if asked["waitSeconds"]:
            run = {"id": run["id"], "status": "SUCCEEDED", "output": answer(told["tokens"])}
        body = orjson.dumps({"data": {"executeAgent": {"__typename": "RunSuccess", "run": run}}})
        return Response(body, media_type="application/json")

    async def socket(self, socket: WebSocket) -> None:
        """Take subscriptions until the client goes."""
        await socket.accept(SUBPROTOCOL)
        streaming: set[asyncio.Task[None]] = set()
        try:
            while True:
                message = orjson.loads(await socket.receive_text())
                if message["type"] == "connection_init":
                    await socket.send_text('{"type":"connection_ack"}')
                elif message["type"] == "subscribe":
                    streaming.add(asyncio.create_task(self._stream(socket, message)))
        except WebSocketDisconnect:
            for task in streaming:
                task.cancel()

    async def _stream(self, socket: WebSocket, message: dict[str, Any]) -> None:
        told = self._asked[int(message["payload"]["variables"]["id"])]
        ident = message["id"]
        for number in range(1, told["tokens"] + 1):
            if told["delay_s"]:
                await _pause(told["delay_s"])
            data = {"data": {"agentTokens": {"seq": number, "text": f"token-{number} "}}}
            frame = {"id": ident, "type": "next", "payload": data}
            await socket.send_text(orjson.dumps(frame).decode())
        await socket.send_text(orjson.dumps({"id": ident, "type": "complete"}).decode())


async def _pause(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    loop.call_later(seconds, over.set_result, None)
    await over


async def _ready(_: Request) -> Response:
    return Response(b'{"status":"ok"}', media_type="application/json")


class _Told(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        print("bare server is ready", flush=True)  # noqa: T201 the parent waits for it


def main(port: int) -> None:
    """Serve until told to stop."""
    streams = Streams()
    app = Starlette(
        routes=[
            Route("/graphql", streams.run, methods=["POST"]),
            Route("/readyz", _ready),
            WebSocketRoute("/graphql", streams.socket),
        ]
    )
    config = uvicorn.Config(
        app,
        port=port,
        http=TimedHttpProtocol,
        ws=QuietWebSocketProtocol,
        ws_per_message_deflate=False,
        log_config=None,
        lifespan="off",
        server_header=False,
        access_log=False,
    )
    uvloop.run(_Told(config).serve())


if __name__ == "__main__":
    main(int(sys.argv[1]))
