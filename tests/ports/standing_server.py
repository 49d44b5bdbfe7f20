"""A scripted model server as a process of its own, for benches and for looking at a wire.

    python -m tests.ports.standing_server --wire anthropic --tokens 200

It says where it listens and answers every request with so many words, each a delta of its own. The
model `words-2000` says two thousand of them, whatever the server was told. SIGTERM ends it.
"""

import argparse
import asyncio
import signal
from collections.abc import Sequence

from tests.ports.acts import Act, Done, Finish, Pause, Say, Usage
from tests.ports.scripted_anthropic import ScriptedAnthropic
from tests.ports.scripted_ollama import ScriptedOllama
from tests.ports.scripted_openai import ScriptedOpenAI
from tests.ports.scripted_stage import ReceivedRequest

READY = "Scripted model server at "
SERVERS = {"openai": ScriptedOpenAI, "anthropic": ScriptedAnthropic, "ollama": ScriptedOllama}


def answer_of(request: ReceivedRequest, *, tokens: int, pause_s: float) -> Sequence[Act]:
    """An answer as long as the model's name says."""
    number = str(request.body.get("model", "")).removeprefix("words-")
    wanted = int(number) if number.isdecimal() else tokens
    end = (Finish(), Usage(len(str(request.body)) // 4, wanted), Done())
    if pause_s == 0:
        return (Say(*["word "] * wanted), *end)
    return (*[act for _ in range(wanted) for act in (Pause(pause_s), Say("word "))], *end)


async def serve(wire: str, *, port: int, tokens: int, pause_s: float) -> None:
    """Serve until told to stop."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with SERVERS[wire](port=port) as server:
        server.fallback = lambda request: answer_of(request, tokens=tokens, pause_s=pause_s)
        print(f"{READY}{server.base_url}", flush=True)  # noqa: T201 - it is a program
        await stopped.wait()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wire", choices=sorted(SERVERS), default="openai")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--pause-ms", type=float, default=0.0)
    given = parser.parse_args()
    asyncio.run(
        serve(given.wire, port=given.port, tokens=given.tokens, pause_s=given.pause_ms / 1000)
    )


if __name__ == "__main__":
    main()
