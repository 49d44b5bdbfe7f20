"""A small real REST client: every answer is held against the OpenAPI file, streams included."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Self

import httpx

from tests.e2e.gob_process import GobProcess
from tests.openapi_answers import EVENTS, ROOT, DescribedAnswers, frames

DEADLINE_S = 60


class RestClient:
    """Talks to one server with one key; closes its connections at the end."""

    def __init__(
        self,
        address: str,
        key: str | None,
        *,
        traceparent: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        sent = {"authorization": f"Bearer {key}"} if key else {}
        if traceparent is not None:
            sent["traceparent"] = traceparent
        self._described = DescribedAnswers()
        self.http = httpx.AsyncClient(
            base_url=address,
            headers={**sent, **(headers or {})},
            timeout=DEADLINE_S,
            trust_env=False,
        )

    @classmethod
    def of(cls, gob: GobProcess, *, traceparent: str | None = None) -> Self:
        """A client of that process, with its own key."""
        return cls(gob.address, gob.key, traceparent=traceparent)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def send(self, method: str, path: str, **given: Any) -> httpx.Response:
        """Send a request, path beneath `/api/v1`, and return the answer if it is as described."""
        answer = await self.http.request(method, f"{ROOT}{path}", **given)
        self._described.check(method, answer.request.url.path, answer)
        return answer

    async def get(self, path: str, **given: Any) -> Any:
        """Read something that must be there."""
        answer = await self.send("GET", path, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: object, **given: Any) -> Any:
        """Send something that must be accepted."""
        answer = await self.send("POST", path, json=body, **given)
        assert answer.is_success, answer.text
        return answer.json()

    async def execute(self, instruction: str, **given: Any) -> Any:
        """Let the default agent carry out an instruction and return the run."""
        body = {"agent": {"slug": "default"}, "instruction": instruction, **given}
        return await self.post("/agents/execute", body)

    async def events(
        self, run_id: str, after: str | None = None
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield a run's events after the cursor as they come, heartbeats left out."""
        sent = {} if after is None else {"last-event-id": after}
        async with aclosing(self.stream("GET", f"/runs/{run_id}/events", headers=sent)) as items:
            async for item in items:
                if item["type"] != "Heartbeat":
                    yield item

    async def stream(
        self, method: str, path: str, **given: Any
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield the events of a stream as they come, each held against its schema."""
        async with self.http.stream(method, f"{ROOT}{path}", **given) as answer:
            if answer.status_code != 200 or EVENTS not in answer.headers["content-type"]:
                await answer.aread()
                self._described.check(method, answer.request.url.path, answer)
                assert answer.status_code == 204, answer.text
                return
            block = ""
            async for line in answer.aiter_lines():
                block += f"{line}\n"
                if not line:
                    for frame in frames(block):
                        item = json.loads(frame["data"])
                        self._described.check_item(item, "RunStreamItem")
                        assert (frame["id"], frame["event"]) == (item["cursor"], item["type"])
                        yield item
                    block = ""
