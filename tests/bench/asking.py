"""A process that asks a model server, over a wire of ours and without one, and says what it cost.

    python -m tests.bench.asking --client anthropic --url http://127.0.0.1:9999 --rounds 3

It prints a JSON list of rounds: processor seconds of a call and of a token, ours and bare.
"""

import argparse
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from importlib.util import find_spec

import httpx
import orjson
import uvloop

from app.adapters.model_anthropic import AnthropicModelClient
from app.adapters.model_ollama import OllamaModelClient
from app.adapters.model_openai import OpenAIModelClient
from domain.models.ports import ChatMessage, ModelClient, ModelRequest, TextDelta

SHORT, LONG = 10, 2_000
"""Tokens of a plain answer and of a long one; what a token costs is the slope between them."""
SHORT_CALLS, LONG_CALLS = 100, 5
WARM_CALLS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A way to a model: our client, and what it speaks to a server at which path."""

    wire: str
    path: str
    client: Callable[[str], ModelClient]
    model: str = "words-{}"
    needs: str | None = None
    """A package that is not there in every installation."""
    is_ours: bool = True
    """False where most of the cost is a library's, which has no target."""

    @property
    def is_there(self) -> bool:
        """True when it can be measured here."""
        return self.needs is None or find_spec(self.needs) is not None


def _providers(url: str) -> ModelClient:
    from app.adapters.model_providers import ProviderAccess, ProvidersModelClient

    return ProvidersModelClient({"openai-chat": ProviderAccess(api_key="key", base_url=url)})


WIRES: Mapping[str, Wire] = {
    "openai": Wire(
        wire="openai",
        path="/chat/completions",
        client=lambda url: OpenAIModelClient(base_url=url, api_key="key"),
    ),
    "anthropic": Wire(
        wire="anthropic",
        path="/v1/messages",
        client=lambda url: AnthropicModelClient(base_url=url, api_key="key"),
    ),
    "ollama": Wire(
        wire="ollama",
        path="/api/chat",
        client=lambda url: OllamaModelClient(base_url=url, num_ctx=8192),
    ),
    "providers": Wire(
        wire="openai",
        path="/chat/completions",
        client=_providers,
        model="openai-chat:words-{}",
        needs="openai",
        is_ours=False,
    ),
}
QUESTION = "Say some words."

Ask = Callable[[int], Awaitable[int]]
"""Asks for so many tokens and tells how many came."""


def _ours(client: ModelClient, model: str) -> Ask:
    async def ask(tokens: int) -> int:
        message = ChatMessage(role="user", content=QUESTION)
        request = ModelRequest(model=model.format(tokens), messages=[message])
        came = 0
        async with aclosing(client.stream(request)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    came += 1
        return came

    return ask


def _bare(http: httpx.AsyncClient, url: str) -> Ask:
    """Read the same bytes and decode each line, with no port, no types and no time limits."""

    async def ask(tokens: int) -> int:
        body = {
            "model": f"words-{tokens}",
            "messages": [{"role": "user", "content": QUESTION}],
            "stream": True,
        }
        came, rest = 0, b""
        async with http.stream("POST", url, content=orjson.dumps(body)) as response:
            async for chunk in response.aiter_raw():
                *lines, rest = (rest + chunk).split(b"\n")
                came += sum(_is_word(line) for line in lines)
        return came

    return ask


def _is_word(line: bytes) -> bool:
    payload = line.removeprefix(b"data:").strip()
    return payload.startswith(b"{") and orjson.loads(payload) is not None and b"word " in payload


async def _cost(ask: Ask) -> Mapping[str, float]:
    """Seconds of this process for a plain call, and for a token."""
    short_s = await _cpu_s(ask, SHORT, calls=SHORT_CALLS)
    long_s = await _cpu_s(ask, LONG, calls=LONG_CALLS)
    return {"call_s": short_s, "token_s": (long_s - short_s) / (LONG - SHORT)}


async def _cpu_s(ask: Ask, tokens: int, *, calls: int) -> float:
    began = time.process_time()
    for _ in range(calls):
        came = await ask(tokens)
        if came != tokens:
            message = f"{came} of {tokens} tokens came"
            raise RuntimeError(message)
    return (time.process_time() - began) / calls


async def _rounds(wire: Wire, url: str, rounds: int) -> list[Mapping[str, Mapping[str, float]]]:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        client = wire.client(url)
        ways = {"bare": _bare(http, f"{url}{wire.path}"), "ours": _ours(client, wire.model)}
        try:
            for ask in ways.values():
                await _cpu_s(ask, SHORT, calls=WARM_CALLS)
            return [{way: await _cost(ask) for way, ask in ways.items()} for _ in range(rounds)]
        finally:
            await client.aclose()


def main() -> None:
    """Read the arguments, ask, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", choices=sorted(WIRES), required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found = uvloop.run(_rounds(WIRES[given.client], given.url, given.rounds))
    print(orjson.dumps(found).decode())  # noqa: T201 it is a program


if __name__ == "__main__":
    main()
