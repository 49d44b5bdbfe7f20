"""The offline planner, judged by a table of what people say."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from domain.models.offline.matching import MANAGING
from domain.models.ports import ToolSpec
from tests.domain.planner_table.likeness import likeliest, same_arguments
from tests.domain.planner_table.rows import Row, held_apart, tuned, without_side_effects
from tests.domain.planner_table.scoring import planner, play, scored, specs


@pytest.fixture(scope="module")
def tools() -> Sequence[ToolSpec]:
    return specs()


async def test_the_planner_gets_right_what_it_was_tuned_on(tools: Sequence[ToolSpec]):
    score = await scored(tuned(), tools, tells=True)

    told = "\n".join([str(score), *score.misses])
    assert score.calls_share >= 0.95, told
    assert score.arguments_share >= 0.90, told


async def test_the_planner_gets_right_what_was_held_apart(tools: Sequence[ToolSpec]):
    score = await scored(held_apart(), tools)

    # Only counts are told: what is read here would soon be tuned on.
    assert score.calls_share >= 0.90, str(score)
    assert score.arguments_share >= 0.85, str(score)


@pytest.mark.parametrize("say", without_side_effects())
async def test_an_instruction_that_asks_for_no_side_effect_gets_none(
    say: str, tools: Sequence[ToolSpec]
):
    writing = {tool.name for tool in tools if not tool.read_only}

    played = await play(planner(), tools, say)

    assert writing.isdisjoint(name for name, _ in played.calls), played


async def test_the_same_instruction_always_gets_the_same_calls_and_words(
    tools: Sequence[ToolSpec],
):
    rows = [*tuned(), *held_apart()][::4]
    first, second = planner(), planner()

    forth = [await play(first, tools, row.say, row.calls) for row in rows]
    back = [await play(second, tools, row.say, row.calls) for row in reversed(rows)]

    assert forth == back[::-1]


def test_the_table_is_large_enough_and_its_halves_are_apart(tools: Sequence[ToolSpec]):
    ours, apart = tuned(), held_apart()

    assert min(len(ours), len(apart)) >= 100
    assert len(without_side_effects()) >= 20
    said = [_plain(row.say) for row in (*ours, *apart)]
    said += [_plain(say) for say in without_side_effects()]
    assert [say for say, count in Counter(said).items() if count > 1] == []
    # Each half shows every kind and every tool, but for those that only a grammar reaches.
    assert {row.kind for row in ours} == {row.kind for row in apart}
    assert _tools(ours) == _tools(apart) == {tool.name for tool in tools} - set(MANAGING)


def test_every_expected_call_is_one_that_its_tool_takes(tools: Sequence[ToolSpec]):
    checks = {tool.name: Draft202012Validator(tool.input_schema) for tool in tools}

    for row in (*tuned(), *held_apart()):
        for call in (call for way in row.readings for call in way):
            named = {"name": "free"} if call.tool == "schedule_task" else {}
            checks[call.tool].validate({**likeliest(call.arguments), **named})


SAME: Sequence[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("calculate", {"expression": "240 * 15 / 100"}, {"expression": "0.15*240"}),
    ("hash_text", {"text": "abc"}, {"text": " abc ", "algorithm": "sha256"}),
    ("files_read", {"path": "a/b.md"}, {"path": "./a/b.md", "offset": 0}),
    (
        "unit_convert",
        {"value": 5, "unit": "km", "to": "mi"},
        {"value": 5.0, "unit": "km", "to": "mi"},
    ),
    ("remember", {"content": "my name is Kofi"}, {"content": "My name is Kofi."}),
    ("recall", {"query": {"with_words": "door code"}}, {"query": "the code of the Door?"}),
    ("csv_read", {"text": "a", "delimiter": {"one_of": ["tab", "auto"]}}, {"text": "a"}),
    (
        "date_add",
        {"moment": "2026-03-28T12:00", "amount": 1, "unit": "days", "zone": "Europe/Berlin"},
        {"moment": "2026-03-28T11:00Z", "amount": 1, "unit": "days", "zone": "Europe/Berlin"},
    ),
    (
        "schedule_task",
        {"instruction": "stretch", "in_minutes": 20},
        {"name": "n", "instruction": "stretch", "times": ["2026-03-10T13:20:00+01:00"]},
    ),
    (
        "schedule_task",
        {"instruction": "stretch", "cron": "*/15 9 * * mon-fri"},
        {"name": "n", "instruction": "stretch", "cron": "0,15,30,45 9 * * 1-5", "timezone": "UTC"},
    ),
]
OTHER: Sequence[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("calculate", {"expression": "2 + 2"}, {"expression": "2 + 3"}),
    ("calculate", {"expression": "2 + 2"}, {"expression": "two"}),
    ("hash_text", {"text": "abc"}, {"text": "abc", "algorithm": "md5"}),
    ("hash_text", {"text": "abc"}, {"text": "Abc"}),
    ("hash_text", {"text": "abc"}, {"text": "abc", "salt": "x"}),
    (
        "text_replace",
        {"text": "a", "find": "-", "replacement": " "},
        {"text": "a", "find": "-", "replacement": ""},
    ),
    ("json_pick", {"document": {"a": 1}, "path": "a"}, {"document": {"a": True}, "path": "a"}),
    ("recall", {"query": {"with_words": "door code"}}, {"query": "door"}),
    (
        "date_add",
        {"moment": "2026-03-28", "amount": 1, "unit": "days"},
        {"moment": "2026-03-28", "amount": 1, "unit": "days", "zone": "Asia/Tokyo"},
    ),
    (
        "schedule_task",
        {"instruction": "stretch", "in_minutes": 20},
        {"instruction": "stretch", "in_minutes": 20},
    ),
    (
        "schedule_task",
        {"instruction": "s", "cron": "0 9 * * 1-5"},
        {"name": "n", "instruction": "s", "cron": "0 9 * * *"},
    ),
    (
        "schedule_task",
        {"instruction": "s", "cron": "0 9 * * *", "timezone": "Europe/Berlin"},
        {"name": "n", "instruction": "s", "cron": "0 9 * * *"},
    ),
    (
        "schedule_task",
        {"instruction": "s", "times": ["2026-12-24T18:00Z"]},
        {"name": "n", "instruction": "s", "times": ["2026-12-24T18:00+01:00"]},
    ),
]


@pytest.mark.parametrize(("tool", "meant", "said"), SAME)
def test_arguments_are_compared_by_what_they_mean(
    tool: str, meant: dict[str, Any], said: dict[str, Any], tools: Sequence[ToolSpec]
):
    schema = next(each.input_schema for each in tools if each.name == tool)

    assert same_arguments(tool, schema, meant, said)


@pytest.mark.parametrize(("tool", "meant", "said"), OTHER)
def test_arguments_that_mean_something_else_are_wrong(
    tool: str, meant: dict[str, Any], said: dict[str, Any], tools: Sequence[ToolSpec]
):
    schema = next(each.input_schema for each in tools if each.name == tool)

    assert not same_arguments(tool, schema, meant, said)


def _plain(say: str) -> str:
    return " ".join(say.casefold().split())


def _tools(rows: Sequence[Row]) -> set[str]:
    return {call.tool for row in rows for call in row.calls}
