"""`/healthz` and `/readyz`: is the process alive, and can it do its work."""

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.facts import ServerSelf

JSON = "application/json"


def health_routes(server: ServerSelf) -> list[BaseRoute]:
    """Return the two routes; neither needs a key and neither tells secrets."""

    async def healthz(_: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type=JSON)

    async def readyz(_: Request) -> Response:
        health = await server.health()
        body = {
            "status": health.status,
            "checks": [
                {"name": check.name, "status": check.status, "detail": check.detail}
                for check in health.checks
            ],
        }
        status = 503 if health.status == "down" else 200
        return Response(orjson.dumps(body), status, media_type=JSON)

    return [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
    ]
