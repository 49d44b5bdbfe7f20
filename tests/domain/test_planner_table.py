"""The offline planner, judged by a table of what people say."""

from collections import Counter
from collections.abc import Sequence

import pytest

from domain.models.ports import ToolSpec
from tests.domain.planner_table.rows import Row, held_apart, tuned, without_side_effects
from tests.domain.planner_table.scoring import planner, play, scored, specs


@pytest.fixture(scope="module")
def tools() -> Sequence[ToolSpec]:
    return specs()


async def test_the_planner_gets_right_what_it_was_tuned_on(tools: Sequence[ToolSpec]):
    score = await scored(tuned(), tools)

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
    rows = [*tuned(), *held_apart()]
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
    # Each half shows every kind and every tool.
    assert {row.kind for row in ours} == {row.kind for row in apart}
    assert _tools(ours) == _tools(apart) == {tool.name for tool in tools}


def _plain(say: str) -> str:
    return " ".join(say.casefold().split())


def _tools(rows: Sequence[Row]) -> set[str]:
    return {call.tool for row in rows for call in row.calls}
