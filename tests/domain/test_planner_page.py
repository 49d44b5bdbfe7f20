"""What the page on the offline planner promises, tried on every tool that ships."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.models.offline.matching import ToolIndex
from domain.models.offline.planner import PlannedCall, next_move
from domain.models.ports import ChatMessage, ToolCall
from tests.domain.planner_tools import shipped_tools

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "offline-planner.md"
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
INDEX = ToolIndex(shipped_tools())
ROWS = re.findall(r"^\| `(.+?)` \| (`\w+`(?:, `\w+`)*) \|$", PAGE.read_text(), re.MULTILINE)
RESULTS = {"files_read": {"text": "a,b\n1,2"}, "calculate": {"value": 36, "text": "36"}}


def calls_of(instruction: str) -> list[str]:
    messages = [ChatMessage(role="user", content=instruction)]
    called: list[str] = []
    while isinstance(move := next_move(messages, INDEX, now=NOW), PlannedCall):
        called.append(move.tool)
        call = ToolCall(id=f"call_{len(called)}", name=move.tool, arguments=move.arguments)
        messages += [
            ChatMessage(role="assistant", tool_calls=(call,)),
            ChatMessage(
                role="tool",
                content=json.dumps(RESULTS.get(move.tool, "done")),
                tool_call_id=call.id,
                tool_name=move.tool,
            ),
        ]
    return called


@pytest.mark.parametrize(("instruction", "calls"), ROWS)
def test_the_page_promises_what_the_planner_does(instruction: str, calls: str) -> None:
    called = calls_of(instruction)

    assert called == re.findall(r"\w+", calls)


def test_the_page_shows_examples() -> None:
    assert len(ROWS) == 35
