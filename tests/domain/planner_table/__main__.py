"""Print the planner's scores: `python -m tests.domain.planner_table [--misses]`.

The misses of the half that is held apart are never told, so that nobody fits the planner to it.
"""

import asyncio
import sys

from tests.domain.planner_table.rows import held_apart, tuned, without_side_effects
from tests.domain.planner_table.scoring import planner, play, scored, specs


async def _report(*, misses: bool) -> str:
    tools = specs()
    ours, apart = await scored(tuned(), tools, tells=True), await scored(held_apart(), tools)
    writing = {tool.name for tool in tools if not tool.read_only}
    asked = without_side_effects()
    played = [await play(planner(), tools, say) for say in asked]
    acted = [
        f"[no side effects] {say!r}: {each.calls}"
        for say, each in zip(asked, played, strict=True)
        if any(name in writing for name, _ in each.calls)
    ]
    lines = [f"tuned: {ours}", f"held apart: {apart}"]
    lines += [f"no side effects: {len(asked) - len(acted)}/{len(asked)}"]
    return "\n".join([*lines, *(ours.misses if misses else []), *acted])


if __name__ == "__main__":
    print(asyncio.run(_report(misses="--misses" in sys.argv)))  # noqa: T201 a command line
