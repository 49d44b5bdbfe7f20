"""How well the planner does on rows: played step by step, as a run would, and compared."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from app.adapters.model_offline import OfflineModelClient
from domain.memory.tools import memory_tools
from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelRequest,
    TextDelta,
    ToolCall,
    ToolCallReady,
    ToolSpec,
)
from domain.tasks.tools import task_tools
from domain.tools.builtin import builtin_tools
from domain.tools.manifest import to_spec
from tests.domain.planner_table.likeness import same_arguments
from tests.domain.planner_table.rows import CLOCK_AT, ExpectedCall, Row
from tests.fakes import SteppedClock

MOST_STEPS = 12
Said = tuple[str, str]
"""A call that was made: the tool and the JSON of its arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of an instruction."""

    calls: Sequence[Said]
    text: str
    declined: bool


@dataclass(slots=True, kw_only=True)
class Score:
    """Shares of a set of rows; `misses` tells each wrong row in words."""

    rows: int = 0
    calls_right: int = 0
    arguments: int = 0
    arguments_right: int = 0
    misses: list[str] = field(default_factory=list[str])
    missed_kinds: Counter[str] = field(default_factory=Counter[str])
    kinds: Counter[str] = field(default_factory=Counter[str])

    @property
    def calls_share(self) -> float:
        """Share of the rows with the right tools in the right order, or rightly declined."""
        return self.calls_right / self.rows

    @property
    def arguments_share(self) -> float:
        """Share of the expected calls whose arguments are all right."""
        return self.arguments_right / self.arguments

    def __str__(self) -> str:
        counts = ", ".join(
            f"{kind} {count - self.missed_kinds[kind]}/{count}"
            for kind, count in self.kinds.items()
        )
        return (
            f"calls {self.calls_right}/{self.rows} = {self.calls_share:.1%}, "
            f"arguments {self.arguments_right}/{self.arguments} = {self.arguments_share:.1%}; "
            f"wholly right: {counts}"
        )


def specs() -> Sequence[ToolSpec]:
    """Every tool that ships, as a model sees it; nothing stands behind them."""
    nothing = cast("Any", None)
    tools = [*builtin_tools(nothing), *memory_tools(nothing), *task_tools(nothing, nothing)]
    return [to_spec(tool.manifest) for tool in sorted(tools, key=lambda each: each.manifest.name)]


def planner() -> OfflineModelClient:
    """The planner with the table's clock."""
    return OfflineModelClient(clock=SteppedClock(now_us=int(CLOCK_AT.timestamp()) * 1_000_000))


async def play(
    client: OfflineModelClient,
    tools: Sequence[ToolSpec],
    say: str,
    script: Sequence[ExpectedCall] = (),
) -> Played:
    """Ask, give each call the result that the script has for it, and ask again until the end."""
    messages = [ChatMessage(role="user", content=say)]
    made: list[Said] = []
    for _ in range(MOST_STEPS):
        calls, text, reason = await _answer(client, tools, messages)
        if not calls:
            return Played(calls=made, text=text, declined=reason is FinishReason.REFUSAL)
        messages.append(ChatMessage(role="assistant", content=text, tool_calls=tuple(calls)))
        for call in calls:
            messages.append(_result(call, script[len(made) :][:1]))
            made.append((call.name, call.arguments))
    return Played(calls=made, text="", declined=False)


async def _answer(
    client: OfflineModelClient, tools: Sequence[ToolSpec], messages: Sequence[ChatMessage]
) -> tuple[list[ToolCall], str, FinishReason | None]:
    calls: list[ToolCall] = []
    text, reason = "", None
    async for event in client.stream(
        ModelRequest(model="offline", messages=tuple(messages), tools=tools)
    ):
        match event:
            case ToolCallReady(call):
                calls.append(call)
            case TextDelta(piece):
                text += piece
            case Finished():
                reason = event.reason
            case _:
                pass
    return calls, text, reason


def _result(call: ToolCall, script: Sequence[ExpectedCall]) -> ChatMessage:
    fits = script and script[0].tool == call.name
    value = script[0].gives if fits else "done"
    content = value if isinstance(value, str) else orjson.dumps(value).decode()
    return ChatMessage(role="tool", content=content, tool_call_id=call.id, tool_name=call.name)


async def scored(rows: Sequence[Row], tools: Sequence[ToolSpec], *, tells: bool = False) -> Score:
    """Play all rows and count what is right; what is wrong is told only on demand."""
    client, score = planner(), Score()
    schemas = {tool.name: tool.input_schema for tool in tools}
    for row in rows:
        played = await play(client, tools, row.say, row.calls or row.otherwise or ())
        missed = _count(score, row, played, schemas)
        if missed is not None and tells:
            score.misses.append(missed)
    return score


def _count(
    score: Score, row: Row, played: Played, schemas: Mapping[str, Mapping[str, Any]]
) -> str | None:
    """Add one row to the score; gives what to tell where something in it is wrong."""
    names = [name for name, _ in played.calls]
    fitting = [way for way in row.readings if [call.tool for call in way] == names]
    calls_right = bool(fitting) and (bool(names) or played.declined)
    meant = fitting[0] if fitting else row.calls
    wrong = list(_wrong_arguments(meant, played.calls, schemas))
    score.rows += 1
    score.kinds[row.kind] += 1
    score.calls_right += calls_right
    score.arguments += len(meant)
    score.arguments_right += len(meant) - len(wrong)
    if calls_right and not wrong:
        return None
    score.missed_kinds[row.kind] += 1
    return _told(row, played, wrong)


def _wrong_arguments(
    meant: Sequence[ExpectedCall],
    made: Sequence[Said],
    schemas: Mapping[str, Mapping[str, Any]],
) -> Iterator[ExpectedCall]:
    """Every expected call that was not made at its place with the right arguments."""
    for at, call in enumerate(meant):
        name, arguments = made[at] if at < len(made) else ("", "{}")
        given = cast("dict[str, Any]", orjson.loads(arguments))
        if name != call.tool or not same_arguments(name, schemas[name], call.arguments, given):
            yield call


def _told(row: Row, played: Played, wrong: Sequence[ExpectedCall]) -> str:
    made = "; ".join(f"{name} {arguments}" for name, arguments in played.calls)
    meant = "; ".join(f"{each.tool} {orjson.dumps(each.arguments).decode()}" for each in row.calls)
    ending = "declined" if played.declined else "answered"
    missed = f" (wrong: {', '.join(each.tool for each in wrong)})" if wrong else ""
    return (
        f"[{row.kind}] {row.say!r}\n  meant: {meant or 'decline'}{missed}\n"
        f"  made:  {made or 'no call'}, {ending}: {played.text[:120]!r}"
    )
