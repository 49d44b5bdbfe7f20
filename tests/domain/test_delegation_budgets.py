"""Bounds of children: carved out of what their parent has left, and given back unspent."""

from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database
from domain.models.prices import Price, Prices, Rates
from domain.runs.budgets import Overdrawn, Rest, Share, promised, shares
from domain.runs.spec import LimitsSpec
from tests.domain.delegation_world import Family, ask, delegate
from tests.fakes import say
from tests.run_world import run_world


def limits(**given: float) -> LimitsSpec:
    """What a call asks for, in client names."""
    return LimitsSpec.model_validate(given)


def test_children_share_tokens_and_money_alike_and_time_in_full():
    rest = Rest(seconds=60, tokens=100, cost=10)

    found = shares(rest, [None, None, None])

    assert found == [Share(seconds=60, tokens=33, cost=3)] * 3


def test_who_asks_for_an_amount_gets_it_and_the_others_share_what_is_left():
    rest = Rest(seconds=60, tokens=100)

    found = shares(rest, [None, limits(maxTokens=40, maxSeconds=5), None])

    assert found == [
        Share(seconds=60, tokens=30),
        Share(seconds=5, tokens=40),
        Share(seconds=60, tokens=30),
    ]


def test_no_limit_is_handed_down_as_none():
    found = shares(Rest(seconds=60), [None, limits(maxTokens=7, maxCostUsd=0.5)])

    assert found == [Share(seconds=60), Share(seconds=60, tokens=7, cost=500_000_000_000)]


@pytest.mark.parametrize(
    ("rest", "asked", "words"),
    [
        (Rest(seconds=0), None, "No time is left to hand work to others (maxSeconds)."),
        (Rest(seconds=9, tokens=0), None, "None of the tokens are left to give (maxTokens)."),
        (Rest(seconds=9, tokens=-5), None, "None of the tokens are left to give (maxTokens)."),
        (Rest(seconds=9, cost=0), None, "None of the US dollars are left to give (maxCostUsd)."),
        (
            Rest(seconds=9, cost=20_000_000_000),
            limits(maxCostUsd=0.021),
            "0.021 US dollars are asked for, and only 0.02 are left to give (limits.maxCostUsd);",
        ),
    ],
)
def test_more_than_is_left_is_refused_in_words(rest: Rest, asked: LimitsSpec | None, words: str):
    [found] = shares(rest, [asked])

    assert isinstance(found, Overdrawn)
    assert str(found).startswith(words)


def test_an_amount_too_large_takes_nothing_from_the_others():
    found = shares(Rest(seconds=9, tokens=10), [limits(maxTokens=11), None])

    assert isinstance(found[0], Overdrawn)
    assert found[1] == Share(seconds=9, tokens=10)


def test_a_child_takes_what_it_was_given_until_it_has_ended():
    assert promised(3, 10, is_over=False) == 10
    assert promised(12, 10, is_over=False) == 12
    assert promised(3, 10, is_over=True) == 3
    assert promised(3, None, is_over=False) == 3


@pytest.fixture
async def family(database: Database) -> AsyncGenerator[Family, None]:
    """A family on each database, in which a token costs a millionth of a dollar."""
    price = Price(rates=Rates.per_million(1, 1))
    known = {f"{slug}:m": price for slug in ("writer", "boss")}
    async with run_world(database, prices=Prices(known)) as world:
        yield Family(world=world)


async def given(family: Family, run_id: str) -> list[dict[str, object]]:
    """Limits of the children of a run, by age."""
    return [child.spec["limits"] for child in await family.children(run_id)]


async def test_what_one_child_leaves_the_next_can_have(family: Family) -> None:
    await family.agent("writer", say("poem", tokens=4), say("poem", tokens=4))
    again = delegate(ask("writer"), tokens=6)
    await family.agent("boss", delegate(ask("writer")), again, say("done"), asks=["writer"])

    row = await family.run("boss", limits={"maxTokens": 100, "maxCostUsd": 0.001})

    first, second = await given(family, row.id)
    # The parent's own calls take 6 and 6; the first child left 94 - 14.
    assert (first["maxTokens"], first["maxCostUsd"]) == (94, 0.000994)
    assert (second["maxTokens"], second["maxCostUsd"]) == (74, 0.000974)
    assert row.status == "SUCCEEDED"


async def test_children_begun_together_share(family: Family) -> None:
    await family.agent("writer", say("a"), say("b"))
    both = delegate(ask("writer"), ask("writer", limits={"maxSeconds": 30}), tokens=6)
    await family.agent("boss", both, say("done"), asks=["writer"])

    row = await family.run("boss", limits={"maxTokens": 107})

    assert await given(family, row.id) == [
        {"maxSeconds": 900, "maxTokens": 50, "maxDelegationDepth": 2},
        {"maxSeconds": 30, "maxTokens": 50, "maxDelegationDepth": 2},
    ]


async def test_what_children_used_counts_for_the_parent(family: Family) -> None:
    await family.agent("writer", say("poem", tokens=40))
    again = delegate(ask("writer"))
    boss = await family.agent("boss", delegate(ask("writer")), again, asks=["writer"])

    row = await family.run("boss", limits={"maxTokens": 60})

    assert (row.status, row.error_code) == ("FAILED", "LIMIT_REACHED")
    assert row.error_message == (
        "The run used 62 of its 60 tokens (maxTokens). Raise the limit, or ask for less at once."
    )
    assert len(boss.requests) == 2
    assert len(await family.children(row.id)) == 1


async def test_a_child_that_spent_its_share_ends_and_its_parent_goes_on(family: Family) -> None:
    await family.agent("deep", say("x"))
    await family.agent("writer", delegate(ask("deep"), tokens=20), asks=["deep"])
    boss = await family.agent(
        "boss",
        delegate(ask("writer", limits={"maxTokens": 15})),
        say("without"),
        asks=["writer"],
    )

    row = await family.run("boss", limits={"maxTokens": 1000})

    assert row.output == "without"
    told = boss.requests[1].messages[-1].content
    assert "failed with LIMIT_REACHED: The run used 20 of its 15 tokens (maxTokens)." in told


async def test_only_so_many_are_at_work_at_a_time(family: Family) -> None:
    await family.agent("writer", *[say(str(n)) for n in range(5)])
    five = delegate(*[ask("writer", f"part {n}") for n in range(5)], tokens=6)
    boss = await family.agent(
        "boss", five, say("done"), asks=["writer"], limits={"maxParallelDelegations": 2}
    )
    world = family.world
    async with world.process() as runner:
        run_id = await family.accept("boss", limits={"maxTokens": 506})
        await world.work_off(runner, run_id)
        begun = [len(await family.children(run_id))]
        for place in range(5):
            child = (await family.children(run_id))[place]
            await world.work_off(runner, child.id)
            await world.work_off(runner, run_id)
            begun.append(len(await family.children(run_id)))
        row = await world.row(run_id)

    assert begun == [2, 3, 4, 5, 5, 5]
    assert row.output == "done"
    # 500 are left for five; each of them leaves all but 13 of its hundred.
    tokens = [limits["maxTokens"] for limits in await given(family, run_id)]
    assert tokens == [100, 100, (500 - 13 - 100) // 3, (500 - 26 - 129) // 2, 500 - 39 - 172]
    results = [message for message in boss.requests[1].messages if message.role == "tool"]
    assert [message.tool_call_id for message in results] == [f"call_{n}" for n in range(1, 6)]
