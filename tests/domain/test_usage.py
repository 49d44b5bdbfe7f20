"""Use by agent, task, model and time: the sum of what runs say, in a defined order."""

import asyncio
from collections.abc import AsyncGenerator
from random import Random
from typing import Any

import pytest

from domain.access.scopes import Principal, Scope
from domain.kernel.database import Database, Statement
from domain.kernel.errors import Forbidden, ValidationFailed
from domain.models.ports import Finished, FinishReason, ModelError, ModelErrorKind, TextDelta
from domain.models.prices import Price, Prices, Rates, dollars
from domain.runs import usage as usage_module
from domain.runs.rows import RunRow
from domain.runs.usage import DAY_US, HOUR_US, UsageLine, UsageReport, UsageReports
from tests.fakes import Act, Gate, ScriptedModel, call, say
from tests.run_world import RunWorld, run_world

NOVEMBER_US = 1_698_796_800_000_000
"""2023-11-01T00:00:00Z; the stopped clock stands at 22:13:20 on the 14th."""
NIGHT_US = 1_700_000_000_000_000 // DAY_US * DAY_US + 22 * HOUR_US
COUNTS = (
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "model_calls",
    "tool_calls",
    "cost_pico_usd",
)


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world with two agents and three models, one of them without a price, on each database."""
    async with run_world(database) as built:
        priced = Price(rates=Rates.per_million(2, 10))
        built.prices = Prices({"scripted:m1": priced, "spare:s1": priced})
        built.others.append(ScriptedModel("spare"))
        fallbacks = [{"provider": "spare", "name": "s1"}]
        await built.agents.create(
            built.principal, {"name": "Careful", "slug": "careful", "fallbackModels": fallbacks}
        )
        yield built


async def report(world: RunWorld, *groups: str, **more: Any) -> UsageReport:
    reports = UsageReports(world.database, world.clock)
    return await reports.report(world.principal, {"groupBy": list(groups), **more})


async def run_off(world: RunWorld, *scripts: list[Act], **given: Any) -> RunRow:
    world.model.script(*scripts)
    async with world.process() as runner:
        return await world.work_off(runner, await world.accept(**given))


def counts(line: UsageLine) -> tuple[int, int, int, float]:
    used = line.usage
    return line.runs, used.input_tokens, used.output_tokens, dollars(used.cost_pico_usd)


async def test_use_is_told_by_period_in_order_of_time(world: RunWorld) -> None:
    await run_off(world, call("note", '{"text": "x"}'), say("ok"))
    world.clock.move(2 * 3600)
    await run_off(world, say("ok"))

    by_hour = await report(world, "HOUR")
    by_day = await report(world, "DAY")
    by_month = await report(world, "MONTH")

    first, second = (1, 15, 4, 0.00007), (1, 10, 3, 0.00005)
    assert [(line.period_us, counts(line)) for line in by_hour.lines] == [
        (NIGHT_US, first),
        (NIGHT_US + 2 * HOUR_US, second),
    ]
    assert [(line.period_us, counts(line)) for line in by_day.lines] == [
        (NIGHT_US - 22 * HOUR_US, first),
        (NIGHT_US + 2 * HOUR_US, second),
    ]
    [month] = by_month.lines
    assert (month.period_us, counts(month)) == (NOVEMBER_US, (2, 25, 7, 0.00012))
    assert (month.usage.model_calls, month.usage.tool_calls) == (3, 1)
    assert by_hour.total == by_day.total == by_month.total == month.usage


async def test_a_run_counts_where_it_was_created_and_its_steps_where_they_began(
    world: RunWorld,
) -> None:
    run_id = await world.accept()
    world.clock.move(3600)
    world.model.script(say("ok"))
    async with world.process() as runner:
        await world.work_off(runner, run_id)

    found = await report(world, "HOUR")

    assert [counts(line)[:2] for line in found.lines] == [(1, 0), (0, 10)]


async def test_use_is_told_by_agent_and_by_task_those_without_one_last(world: RunWorld) -> None:
    run = await run_off(world, say("ok"))
    other = await run_off(world, say("ok", tokens=9), agent={"slug": "careful"})
    sql = "UPDATE run SET task_id = 'task-1' WHERE id = $1"
    await world.database.write([Statement(sql, (other.id,))])

    by_both = await report(world, "TASK", "AGENT")
    of_agent = await report(world, "AGENT", agentId=run.agent_id)
    of_task = await report(world, taskId="task-1")

    assert [(line.task_id, line.agent_id, counts(line)) for line in by_both.lines] == [
        ("task-1", other.agent_id, (1, 10, 9, 0.00011)),
        (None, run.agent_id, (1, 10, 3, 0.00005)),
    ]
    assert [(line.agent_id, line.runs) for line in of_agent.lines] == [(run.agent_id, 1)]
    assert [counts(line) for line in of_task.lines] == [(1, 10, 9, 0.00011)]


async def test_a_call_of_a_tool_belongs_to_the_model_that_asked_for_it(world: RunWorld) -> None:
    spare = world.others[0]
    assert isinstance(spare, ScriptedModel)
    spare.script(call("note", '{"text": "x"}'), say("ok"))
    away = ModelError(ModelErrorKind.UNAVAILABLE, "Away.")
    await run_off(world, [away], agent={"slug": "careful"})

    found = await report(world, "MODEL")

    assert [
        (line.model, line.runs, line.usage.model_calls, line.usage.tool_calls)
        for line in found.lines
    ] == [("scripted:m1", 1, 1, 0), ("spare:s1", 0, 2, 1)]


async def test_one_unknown_price_leaves_the_money_of_its_row_and_of_the_total_unknown(
    world: RunWorld,
) -> None:
    await run_off(world, say("ok"))
    await run_off(world, say("ok"), model={"provider": "scripted", "name": "odd"})

    found = await report(world, "MODEL")

    known = [(line.model, line.usage.cost_known) for line in found.lines]
    assert known == [("scripted:m1", True), ("scripted:odd", False)]
    assert not found.total.cost_known


async def test_a_call_that_was_lost_with_its_worker_counts_and_its_price_is_unknown(
    world: RunWorld,
) -> None:
    gate = Gate()
    world.model.script([TextDelta("lost"), gate], say("ok"))
    async with world.process() as first:
        run_id = await world.accept()
        await first.execute(run_id)
        async with asyncio.timeout(20):
            await gate.reached.wait()
    async with world.process() as second:
        row = await world.work_off(second, run_id)

    total = (await report(world)).total

    assert (row.model_calls, total.model_calls, total.input_tokens) == (2, 2, 10)
    assert (bool(row.cost_known), total.cost_known) == (False, False)


async def test_the_last_thirty_days_are_told_where_no_span_is_given(world: RunWorld) -> None:
    await run_off(world, say("ok"))
    world.clock.move(30 * 86_400 + 1)
    now_us = world.clock.now_us()

    unspanned = await report(world, "DAY")
    whole = await report(world, "DAY", span={})
    before = await report(world, "DAY", span={"until": now_us - 30 * DAY_US})
    within = await report(world, "DAY", span={"since": now_us - 30 * DAY_US, "until": now_us})

    runs = [[line.runs for line in each.lines] for each in (unspanned, whole, before, within)]
    assert runs == [[], [1], [1], []]


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_report_sums_up_to_what_the_runs_say(world: RunWorld, seed: int) -> None:
    chance = Random(seed)
    spare = world.others[0]
    assert isinstance(spare, ScriptedModel)
    rows = [await _at_random(world, spare, chance) for _ in range(12)]

    grouped = ([], ["MODEL"], ["AGENT", "HOUR"], ["TASK", "MODEL", "DAY"], ["MONTH", "AGENT"])
    reports = [await report(world, *groups) for groups in grouped]

    wanted = [sum(getattr(row, name) for row in rows) for name in COUNTS]
    for found in reports:
        assert [getattr(found.total, name) for name in COUNTS] == wanted
        lines = [[getattr(line.usage, name) for name in COUNTS] for line in found.lines]
        assert [sum(column) for column in zip(*lines, strict=True)] == wanted
        assert found.total.cost_known is all(row.cost_known for row in rows)
        assert sum(line.runs for line in found.lines) == len(rows)


async def _at_random(world: RunWorld, spare: ScriptedModel, chance: Random) -> RunRow:
    """One run that calls tools, fails over, breaks off or runs out of steps, at a later hour."""
    world.clock.move(chance.choice([60, 3600, 90_000]))
    away = ModelError(ModelErrorKind.UNAVAILABLE, "Away.")
    broken = [TextDelta("half"), ModelError(ModelErrorKind.TIMEOUT, "Slow.")]
    silent: list[Act] = [TextDelta("ok"), Finished(FinishReason.STOP)]
    turns = [call("note", '{"text": "x"}'), call("unknown", "{}"), [away], broken]
    world.model.scripts = [*chance.choices(turns, k=chance.randint(0, 3)), say("ok"), silent]
    spare.scripts = [chance.choice([say("spare"), silent, call("pay", '{"amount": 1}')]), say("x")]
    async with world.process() as runner:
        run_id = await world.accept(
            agent={"slug": chance.choice(["default", "careful"])},
            limits={"maxSteps": chance.choice([1, 4, 50])},
        )
        return await world.work_off(runner, run_id)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"groupBy": ["HOUR", "DAY"]},
            "groupBy: Use one of HOUR, DAY and MONTH, not HOUR and DAY.",
        ),
        ({"groupBy": ["WEEK"]}, "groupBy.0: Use one of AGENT, TASK, MODEL, HOUR, DAY, MONTH."),
        (
            {"span": {"since": NOVEMBER_US, "until": NOVEMBER_US}},
            "span.until: Give a moment after since.",
        ),
    ],
)
async def test_what_cannot_be_reported_is_refused_by_name(
    world: RunWorld, given: dict[str, Any], message: str
) -> None:
    reports = UsageReports(world.database, world.clock)

    with pytest.raises(ValidationFailed) as refused:
        await reports.report(world.principal, given)

    assert refused.value.message == message


async def test_a_report_of_too_many_rows_is_refused(
    world: RunWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run_off(world, say("ok"))
    world.clock.move(3600)
    await run_off(world, say("ok"))
    monkeypatch.setattr(usage_module, "MOST_ROWS", 1)

    with pytest.raises(ValidationFailed) as refused:
        await report(world, "HOUR")

    assert refused.value.message == (
        "groupBy: The report has more than 1 rows; group by less, or give a shorter span."
    )


async def test_another_workspace_and_a_key_without_the_scope_see_nothing(world: RunWorld) -> None:
    await run_off(world, say("ok"))
    reports = UsageReports(world.database, world.clock)
    admin = frozenset({Scope.ADMIN})
    other = Principal(workspace_id="other", key_id=None, name="x", scopes=admin)
    weak = Principal(
        workspace_id=world.principal.workspace_id, key_id=None, name="x", scopes=frozenset()
    )

    found = await reports.report(other, {"groupBy": ["AGENT"]})

    assert found.lines == []
    with pytest.raises(Forbidden):
        await reports.report(weak, {})
