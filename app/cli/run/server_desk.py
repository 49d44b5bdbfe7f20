"""A server over REST: a run is started once, and followed though the connection breaks."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import httpx
import orjson

from app.adapters.certificates import trust_for
from app.cli.run.desk import LAST_EVENTS, MOST_STEPS, Json, LostSightError, Tell
from app.cli.run.wording import one_line
from app.failures import StartRefused

ROOT = "/api/v1"
LONGEST_REFUSAL = 2000
WHICH_KEY = "Name yours with --key-file, or set GOB_API_KEY."
PROBE_S = 5.0
_TIMEOUTS = httpx.Timeout(30.0, connect=5.0)
# The server writes at least every 12 seconds, so that silence means a lost connection.
_FOLLOWING = httpx.Timeout(30.0, connect=5.0, read=40.0)
_NOTICES = """
query($id: ID!, $first: Int!) {
  run(id: $id) { steps(first: $first) { nodes { ... on ModelCallStep { notices } } } }
}
"""
_LATEST = 2**62
"""Stands for the number of what has none: heartbeats and the like are always new."""
_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a server may be away while a run is watched, in seconds."""

    give_up_s: float = 90.0
    first_s: float = 0.25
    cap_s: float = 5.0

    def delay_s(self, failures: int) -> float:
        """How long to wait after so many failures."""
        return min(self.cap_s, self.first_s * 2.0 ** (failures - 1))


class _Interrupted(Exception):
    """The connection broke, or the server cannot answer now; it may be tried again."""


async def is_server(address: str) -> bool:
    """Tell whether a GOB server answers there now."""
    try:
        # A server under load answers late; where there is none, this fails at once.
        async with asyncio.timeout(PROBE_S):
            async with httpx.AsyncClient(
                timeout=PROBE_S, trust_env=False, verify=trust_for(address)
            ) as client:
                answer = await client.get(f"{address}/readyz")
        body: object = orjson.loads(answer.content)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, orjson.JSONDecodeError):
        return False
    return isinstance(body, dict) and {"status", "checks"} <= cast("Json", body).keys()


class ServerDesk:
    """A server at an address, asked with a key."""

    def __init__(
        self, address: str, key: str, *, tell: Tell, patience: Patience | None = None
    ) -> None:
        self._address = address
        self._tell = tell
        self._patience = patience or Patience()
        self._http = httpx.AsyncClient(
            base_url=f"{address}{ROOT}",
            headers={"authorization": f"Bearer {key}", "accept-encoding": "identity"},
            timeout=_TIMEOUTS,
            trust_env=False,
            verify=trust_for(address),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def start(self, values: Json) -> Json:
        """Have a run accepted; sent again after a broken connection, and started once.

        Raises StartRefused, and LostSightError where it may have been started all the same.
        """
        headers = {"idempotency-key": str(values["idempotencyKey"])}
        body = {name: value for name, value in values.items() if name != "idempotencyKey"}
        path = "/agents/execute"
        try:
            answer = await self._twice("POST", path, json=body, headers=headers)
        except (httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError) as error:
            raise LostSightError(
                f"{self._address} took the order and did not answer; the run may have been started."
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = one_line(str(error), LONGEST_REFUSAL) or type(error).__name__
            raise StartRefused(
                f"No server answers at {self._address} ({reason}); start one with `gob serve`, or "
                "leave out --server and GOB_SERVER."
            ) from error
        if answer.status_code not in {200, 202}:
            raise StartRefused(self._said(answer.status_code, answer.content))
        return self._document(answer.content)

    async def events(self, run_id: str) -> AsyncGenerator[Json, None]:
        """Yield the run's events, each once, over as many connections as it takes."""
        loop = asyncio.get_running_loop()
        cursor, failures, heard_at = None, 0, loop.time()
        seen: dict[str, int] = {}
        while True:
            try:
                async with aclosing(self._connected(run_id, cursor)) as items:
                    async for item in items:
                        if failures:
                            self._tell("The server is back.")
                        cursor, failures, heard_at = item["cursor"], 0, loop.time()
                        of_run = item.get("runId", run_id)
                        if item.get("seq", _LATEST) <= seen.get(of_run, 0):
                            continue
                        if "seq" in item:
                            seen[of_run] = item["seq"]
                        yield item
                        if item["type"] in LAST_EVENTS and of_run == run_id:
                            return
                return
            except _Interrupted as error:
                if loop.time() - heard_at >= self._patience.give_up_s:
                    raise LostSightError(str(error)) from error
                failures += 1
                if failures == 1:
                    self._tell(f"{error} Trying again.")
                await asyncio.sleep(self._patience.delay_s(failures))

    async def cancel(self, run_id: str, reason: str) -> None:
        """Order the run to stop."""
        try:
            answer = await self._ask("POST", f"/runs/{run_id}/cancel", {"reason": reason})
        except _Interrupted as error:
            raise LostSightError(str(error)) from error
        # 409 says that it has ended already.
        if answer.status_code not in {200, 202, 409}:
            raise LostSightError(self._said(answer.status_code, answer.content))

    async def run(self, run_id: str) -> Json:
        """Return the run as it is now, once the server is there."""
        loop = asyncio.get_running_loop()
        failures, began = 0, loop.time()
        while True:
            try:
                answer = await self._ask("GET", f"/runs/{run_id}")
                if answer.status_code == 200:
                    return self._document(answer.content)
                raise _lost(self._said(answer.status_code, answer.content), answer.status_code)
            except _Interrupted as error:
                if loop.time() - began >= self._patience.give_up_s:
                    raise LostSightError(str(error)) from error
                failures += 1
                await asyncio.sleep(self._patience.delay_s(failures))

    async def notices(self, run_id: str) -> Sequence[str]:
        """Return what model providers said; nothing where the server cannot tell."""
        body = {"query": _NOTICES, "variables": {"id": run_id, "first": MOST_STEPS}}
        try:
            answer = await self._twice("POST", f"{self._address}/graphql", json=body)
            steps = orjson.loads(answer.content)["data"]["run"]["steps"]["nodes"]
        except (httpx.HTTPError, orjson.JSONDecodeError, KeyError, TypeError):
            return []
        return [notice for step in steps for notice in step.get("notices", ())]

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        try:
            return await self._twice(method, path, json=body)
        except httpx.HTTPError as error:
            raise _Interrupted(self._away()) from error

    async def _twice(self, method: str, path: str, **parts: Any) -> httpx.Response:
        """Ask for what may come twice, again where a connection broke that had been made."""
        try:
            return await self._http.request(method, path, **parts)
        except httpx.ConnectError:
            raise
        except httpx.TransportError as error:
            try:
                return await self._http.request(method, path, **parts)
            except httpx.ConnectError:
                # What came of the first one is what matters.
                raise error from None

    async def _connected(self, run_id: str, cursor: str | None) -> AsyncGenerator[Json, None]:
        """One connection's events. Raises _Interrupted where another one may go on."""
        headers = {"accept": "text/event-stream"}
        if cursor is not None:
            headers["last-event-id"] = cursor
        request = self._http.build_request(
            "GET",
            f"/runs/{run_id}/events",
            params={"includeDescendants": "true"},
            headers=headers,
            timeout=_FOLLOWING,
        )
        try:
            answer = await self._http.send(request, stream=True)
            async with aclosing(answer):
                if answer.status_code == 204:
                    return
                if answer.status_code != 200:
                    said = self._said(answer.status_code, await answer.aread())
                    raise _lost(said, answer.status_code)
                async for item in _items(answer.aiter_bytes()):
                    if item.get("type") is None:
                        said = one_line(str(item.get("detail")), LONGEST_REFUSAL)
                        raise _lost(said, int(item.get("status", 500)))
                    yield item
        except httpx.HTTPError as error:
            raise _Interrupted(self._away()) from error
        raise _Interrupted(f"{self._address} ended the stream.")

    def _away(self) -> str:
        return f"The connection to {self._address} is lost."

    def _said(self, status: int, body: bytes) -> str:
        """What a refusal says, as a sentence."""
        try:
            problem: object = orjson.loads(body)
        except orjson.JSONDecodeError:
            problem = None
        detail = cast("Json", problem).get("detail") if isinstance(problem, dict) else None
        if detail is None:
            return f"What answers at {self._address} is no GOB server (HTTP {status})."
        said = one_line(str(detail), LONGEST_REFUSAL)
        return f"{said} {WHICH_KEY}" if status == 401 else said

    def _document(self, body: bytes) -> Json:
        try:
            document: object = orjson.loads(body)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict) or "id" not in document:
            raise StartRefused(f"What answers at {self._address} is no GOB server.")
        return cast("Json", document)


def _lost(said: str, status: int) -> Exception:
    """A refusal that is final, or one that a later try may not meet."""
    return _Interrupted(said) if status in {429, 500, 502, 503, 504} else LostSightError(said)


async def _items(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Json, None]:
    """Take the documents out of a stream of server-sent events, each of which is one line."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _MOST_BYTES:
            raise LostSightError("The server sends a line without end.")
        for line in lines:
            if line.startswith(b"data:"):
                yield orjson.loads(line[5:])
