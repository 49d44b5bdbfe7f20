"""The product with three more tools, whose effects stand in a file outside of its database.

    python -m tests.e2e.ledger_program serve        # with LEDGER_FILE, otherwise as `-m app`

Each line of the file is one effect: `pay r1 STEP`, on the disk before the tool goes on.
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

from pydantic import Field

from app import container
from app.cli.main import main
from domain.tools.calls import Tool, ToolContext
from domain.tools.generate import tool_from
from domain.tools.manifest import SideEffect, ToolTraits
from domain.tools.ports import TreeOf

SLOW_S = 0.05
"""How long a tool takes before its effect, and after it again."""
ONCE = ToolTraits(side_effect=SideEffect.WRITE, idempotent=False)
OFTEN = ToolTraits(side_effect=SideEffect.WRITE, idempotent=True)

Entry = Annotated[str, Field(description="What the line is about.")]


def _never() -> asyncio.Future[None]:
    """What work that takes its time waits for in vain."""
    return asyncio.get_running_loop().create_future()


def ledger_tools(path: Path) -> list[Tool]:
    """`ledger_pay` may not be repeated, `ledger_note` may, `ledger_crash` ends its process."""

    def write(kind: str, entry: str, step_id: str | None) -> None:
        ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(ledger, f"{kind} {entry} {step_id}\n".encode())
            os.fsync(ledger)
        finally:
            os.close(ledger)

    async def ledger_pay(context: ToolContext, *, entry: Entry) -> str:
        """Pay an entry of the ledger."""
        await asyncio.wait([_never()], timeout=SLOW_S)
        write("pay", entry, context.step_id)
        await asyncio.wait([_never()], timeout=SLOW_S)
        return f"paid {entry}"

    async def ledger_note(context: ToolContext, *, entry: Entry) -> str:
        """Note an entry in the ledger."""
        await asyncio.wait([_never()], timeout=SLOW_S)
        write("note", entry, context.step_id)
        await asyncio.wait([_never()], timeout=SLOW_S)
        return f"noted {entry}"

    async def ledger_crash(context: ToolContext, *, entry: Entry) -> str:
        """End the process, as memory that runs out would."""
        write("crash", entry, context.step_id)
        os.kill(os.getpid(), signal.SIGKILL)
        return "nobody hears this"

    return [
        tool_from(ledger_pay, domain="ledger", traits=ONCE),
        tool_from(ledger_note, domain="ledger", traits=OFTEN),
        tool_from(ledger_crash, domain="ledger", traits=OFTEN),
    ]


def serve_with(path: Path) -> None:
    """Run the command line with the tools beside those that every server has."""
    usual = container.builtin_tools

    def with_ledger(tree_of: TreeOf) -> list[Tool]:
        return [*usual(tree_of), *ledger_tools(path)]

    container.builtin_tools = with_ledger  # type: ignore[assignment]
    main()


if __name__ == "__main__":
    serve_with(Path(os.environ["LEDGER_FILE"]))
