"""Limits that rules set over runs and windows, and loops: what they let pass, hold and end."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.behavior.rules import LimitAction, LimitEffect, LimitMetric, LimitWindow, Rule, written
from domain.kernel.database import Database, Statement
from domain.kernel.errors import QuotaExceeded
from domain.models.ports import TextDelta
from domain.models.prices import Price, Prices, Rates
from domain.runs.limits import MARK
from domain.runs.rows import RunRow
from domain.runs.state import EventType
from tests.domain.delegation_world import Family, ask, delegate
from tests.fakes import Act, Gate, call, say
from tests.run_world import RunWorld, run_world

HOUR = LimitWindow.HOUR
NEXT_HOUR = "2023-11-14T23:00:00.000Z"


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world whose model has a price, on each database."""
    async with run_world(database) as built:
        built.prices = Prices({"scripted:m1": Price(rates=Rates.per_million(2, 10))})
        yield built


async def put_in_force(
    world: RunWorld, *effects: LimitEffect, profile_id: str | None = None
) -> list[Rule]:
    """Save limits as the rules of the workspace, or of another profile."""
    profile = await world.behavior.profile(world.principal, profile_id)
    assert profile is not None
    rules = [
        Rule(
            id=world.ids(),
            statement=f"Keep to {effect.metric}",
            priority=50,
            tags=(),
            expires_at=None,
            created_by="tester",
            effect=effect,
        )
        for effect in effects
    ]
    version = world.ids()
    insert = (
        "INSERT INTO behavior_version (id, workspace_id, profile_id, version, rules, created_by,"
        " created_at) VALUES ($1, $2, $3, $4, $5, 'tester', 1)"
    )
    point = "UPDATE behavior_profile SET version_id = $2, version = version + 1 WHERE id = $1"
    values = (version, profile.workspace_id, profile.id, profile.version + 1, written(tuple(rules)))
    await world.database.write([Statement(insert, values), Statement(point, (profile.id, version))])
    return rules


def limit(
    metric: LimitMetric, maximum: float, window: LimitWindow, on_reach: LimitAction
) -> LimitEffect:
    return LimitEffect(metric=metric, maximum=maximum, window=window, on_reach=on_reach)


async def run_off(world: RunWorld, *scripts: list[Act], **given: Any) -> RunRow:
    world.model.script(*scripts)
    async with world.process() as runner:
        return await world.work_off(runner, await world.accept(**given))


async def resumed(world: RunWorld, run_id: str) -> RunRow:
    """Let a run that is held go on, as a person who resumes it does."""
    sql = "UPDATE run SET due_at = $2 WHERE id = $1 AND waits_for = 'pause'"
    await world.database.write([Statement(sql, (run_id, world.clock.now_us()))])
    async with world.process() as runner:
        return await world.work_off(runner, run_id)


async def changes(world: RunWorld, run_id: str) -> list[tuple[str, str, str | None]]:
    return [
        (event.data["previousStatus"], event.data["status"], event.data["reason"])
        for event in await world.events(run_id)
        if event.type == "RunStateChanged"
    ]


NOTE = call("note", '{"text": "x"}')


async def test_a_run_that_calls_a_failing_tool_three_times_ends_also_over_workers(
    world: RunWorld,
) -> None:
    gate = Gate()
    failing = call("unknown", '{"a": 1}')
    world.model.script(failing, failing, [TextDelta("lost"), gate])
    async with world.process() as first:
        run_id = await world.accept()
        await first.execute(run_id)
        async with asyncio.timeout(20):
            await gate.reached.wait()
    world.model.script(failing, say("never"))

    async with world.process() as second:
        row = await world.work_off(second, run_id)

    assert (row.status, row.error_code, row.model_calls) == ("FAILED", "LOOP_DETECTED", 4)
    assert (row.error_message or "").startswith("The agent called unknown 3 times in a row")
    assert len(world.model.scripts) == 1


async def test_a_rule_over_a_run_stops_it_before_the_calls_that_go_beyond(world: RunWorld) -> None:
    await put_in_force(world, limit(LimitMetric.TOOL_CALLS, 1, LimitWindow.RUN, LimitAction.STOP))

    within = await run_off(world, NOTE, say("ok"))
    beyond = await run_off(world, NOTE, call("note", '{"text": "y"}'), say("never"))

    assert (within.status, beyond.status, beyond.error_code) == (
        "SUCCEEDED",
        "FAILED",
        "LIMIT_REACHED",
    )
    assert beyond.error_message == (
        "The limit of 1 tool calls a run is reached with 1 (rule 'Keep to TOOL_CALLS')."
        " Raise the rule's maximum, or ask for less at once."
    )
    assert world.effects.done == ["note x", "note x"]


async def test_a_limit_made_since_binds_a_retry_with_its_original_rules(world: RunWorld) -> None:
    first = await run_off(world, say("ok"))
    await put_in_force(world, limit(LimitMetric.TOOL_CALLS, 1, LimitWindow.RUN, LimitAction.STOP))
    again = await world.service(None).retry(world.principal, first.id, {"config": "ORIGINAL"})
    world.model.script(NOTE, call("note", '{"text": "y"}'), say("never"))

    async with world.process() as runner:
        row = await world.work_off(runner, again.row.id)

    assert (row.behavior_pin, row.error_code) == ([None, None], "LIMIT_REACHED")
    assert world.effects.done == ["note x"]


@pytest.mark.parametrize(
    ("metric", "maximum"),
    [(LimitMetric.TOKENS, 9), (LimitMetric.STEPS, 2), (LimitMetric.COST_USD, 0.00003)],
)
async def test_each_metric_over_a_run_ends_it_before_its_next_model_call(
    world: RunWorld, metric: LimitMetric, maximum: float
) -> None:
    effect = limit(metric, maximum, LimitWindow.RUN, LimitAction.STOP)
    await put_in_force(world, effect)

    row = await run_off(world, NOTE, call("note", '{"text": "y"}'), say("never"))

    assert (row.status, row.error_code) == ("FAILED", "LIMIT_REACHED")
    assert world.effects.done == ["note x"]
    assert len(world.model.requests) == (1 if metric is LimitMetric.STEPS else 2)


async def test_a_budget_over_a_window_ends_runs_and_refuses_new_ones_until_it_is_over(
    world: RunWorld,
) -> None:
    await put_in_force(world, limit(LimitMetric.TOKENS, 15, HOUR, LimitAction.STOP))
    first = await run_off(world, say("ok"))
    waiting = await world.accept()
    second = await run_off(world, say("ok"))
    world.model.script(say("never"))

    with pytest.raises(QuotaExceeded) as refused:
        await world.accept()
    async with world.process() as runner:
        ended = await world.work_off(runner, waiting)
    count = await RunRow.filter().using_db(world.database.reader).count()

    assert [first.status, second.status, ended.status] == ["SUCCEEDED", "SUCCEEDED", "FAILED"]
    assert refused.value.message == (
        "The limit of 15 tokens an hour is reached with 26 (rule 'Keep to TOKENS')."
        f" It counts anew at {NEXT_HOUR}; raise the rule's maximum to go on before."
    )
    assert (refused.value.quota, refused.value.limit, refused.value.retry_after_s) == (
        "tokens.hour",
        15,
        2800,
    )
    assert (ended.error_code, ended.model_calls, count) == ("LIMIT_REACHED", 0, 3)
    world.clock.move(2800)
    assert (await run_off(world)).status == "SUCCEEDED"


async def test_a_limit_on_runs_stops_those_beyond_it_and_not_those_before(world: RunWorld) -> None:
    first = await world.accept()
    second = await world.accept()
    third = await world.accept()
    await put_in_force(world, limit(LimitMetric.RUNS, 2, HOUR, LimitAction.STOP))
    world.clock.move(2)
    world.model.script(say("one"), say("two"), say("never"))

    async with world.process() as runner:
        rows = [await world.work_off(runner, run_id) for run_id in (first, second, third)]
    with pytest.raises(QuotaExceeded) as refused:
        await world.accept()

    assert [row.status for row in rows] == ["SUCCEEDED", "SUCCEEDED", "FAILED"]
    assert rows[2].error_message == (
        "The limit of 2 runs an hour is reached with 3 (rule 'Keep to RUNS')."
        f" It counts anew at {NEXT_HOUR}; raise the rule's maximum to go on before."
    )
    assert (refused.value.quota, refused.value.limit) == ("runs.hour", 2)


async def test_a_rule_that_pauses_holds_a_run_once_and_lets_it_go_on_when_it_is_resumed(
    world: RunWorld,
) -> None:
    await put_in_force(world, limit(LimitMetric.TOOL_CALLS, 1, HOUR, LimitAction.PAUSE))

    held = await run_off(
        world, NOTE, call("note", '{"text": "y"}'), call("note", '{"text": "z"}'), say("ok")
    )
    done = list(world.effects.done)
    row = await resumed(world, held.id)

    reason = (
        "The limit of 1 tool calls an hour is reached with 1 (rule 'Keep to TOOL_CALLS')."
        f" It counts anew at {NEXT_HOUR}; raise the rule's maximum to go on before."
        " Resume the run to let it go on in spite of it."
    )
    assert (held.status, held.status_reason, held.waits_for) == ("PAUSED", reason, "pause")
    assert (done, row.status) == (["note x"], "SUCCEEDED")
    assert world.effects.done == ["note x", "note y", "note z"]
    assert await changes(world, held.id) == [
        ("RUNNING", "PAUSED", reason),
        ("PAUSED", "RUNNING", None),
    ]


async def test_a_run_that_is_held_before_its_model_is_asked_keeps_no_step_of_it(
    world: RunWorld,
) -> None:
    await put_in_force(world, limit(LimitMetric.TOKENS, 10, HOUR, LimitAction.PAUSE))
    await run_off(world, say("ok"))

    held = await run_off(world)
    steps = await world.steps(held.id)
    world.model.script(say("late"))
    row = await resumed(world, held.id)

    assert (held.status, held.model_calls, steps) == ("PAUSED", 0, [])
    assert (row.status, row.output, row.model_calls) == ("SUCCEEDED", "late", 1)


async def test_a_warning_is_told_once_for_each_window_and_work_goes_on(world: RunWorld) -> None:
    await put_in_force(world, limit(LimitMetric.TOKENS, 6, HOUR, LimitAction.WARN))

    first = await run_off(world, NOTE, say("ok"))
    second = await run_off(world, NOTE, say("ok"))
    world.known_limits = None
    third = await run_off(world, NOTE, say("ok"))
    world.clock.move(3600)
    world.known_limits = None
    fourth = await run_off(world, NOTE, call("note", '{"text": "y"}'), say("ok"))

    told = [await changes(world, row.id) for row in (first, second, third, fourth)]
    assert [row.status for row in (first, second, third, fourth)] == ["SUCCEEDED"] * 4
    assert [len(each) for each in told] == [1, 0, 0, 1]
    reason = (
        "The limit of 6 tokens an hour is reached with 6 (rule 'Keep to TOKENS')."
        f" It counts anew at {NEXT_HOUR}; raise the rule's maximum to go on before."
    )
    assert told[0] == [("RUNNING", "RUNNING", reason)]


async def test_what_other_processes_used_counts_a_second_later(world: RunWorld) -> None:
    await put_in_force(world, limit(LimitMetric.TOKENS, 20, HOUR, LimitAction.STOP))
    here = world.limit_rules()
    await run_off(world, say("ok"))
    world.known_limits = None
    await run_off(world, say("ok"))
    world.known_limits = here

    unseen = await run_off(world, say("ok"))
    world.clock.move(2)
    with pytest.raises(QuotaExceeded):
        await world.accept()

    assert unseen.status == "SUCCEEDED"


async def test_a_rule_of_an_agents_own_profile_counts_over_that_agent_alone(
    world: RunWorld,
) -> None:
    made = await world.behavior.create(world.principal, {"name": "frugal"})
    await world.agents.create(
        world.principal, {"name": "Frugal", "slug": "frugal", "behaviorProfileId": made.id}
    )
    await put_in_force(
        world, limit(LimitMetric.TOKENS, 10, HOUR, LimitAction.STOP), profile_id=made.id
    )
    frugal = {"slug": "frugal"}
    others = [await run_off(world, say("ok")) for _ in range(2)]

    first = await run_off(world, NOTE, say("ok"), agent=frugal)
    world.clock.move(2)
    with pytest.raises(QuotaExceeded) as refused:
        await world.accept(agent=frugal)
    after = await run_off(world, say("ok"))

    assert [row.status for row in (*others, first, after)] == ["SUCCEEDED"] * 4
    assert refused.value.message.startswith(
        "The limit of 10 tokens an hour of this agent is reached with 19"
    )


async def test_a_rule_over_a_run_counts_the_runs_below_it(world: RunWorld) -> None:
    await put_in_force(world, limit(LimitMetric.TOKENS, 45, LimitWindow.RUN, LimitAction.STOP))
    family = Family(world=world)
    await family.agent("writer", say("poem", tokens=30))
    boss = await family.agent("boss", delegate(ask("writer")), say("never"), asks=["writer"])

    row = await family.run("boss")

    [child] = await family.children(row.id)
    assert (child.status, row.status, row.error_code) == ("SUCCEEDED", "FAILED", "LIMIT_REACHED")
    assert (row.error_message or "").startswith("The limit of 45 tokens a run is reached with 46")
    assert len(boss.requests) == 1


async def test_a_limit_on_runs_of_a_tree_stops_the_child_beyond_it_alone(world: RunWorld) -> None:
    await put_in_force(world, limit(LimitMetric.RUNS, 2, LimitWindow.RUN, LimitAction.STOP))
    family = Family(world=world)
    await family.agent("writer", say("one"), say("never"))
    again = delegate(ask("writer", "more"))
    await family.agent("boss", delegate(ask("writer")), again, say("one will do"), asks=["writer"])

    row = await family.run("boss")

    children = await family.children(row.id)
    assert [(each.status, each.error_code) for each in children] == [
        ("SUCCEEDED", None),
        ("FAILED", "LIMIT_REACHED"),
    ]
    assert (row.status, row.output) == ("SUCCEEDED", "one will do")


async def test_of_two_who_would_warn_at_once_one_does_and_no_number_is_lost(
    world: RunWorld,
) -> None:
    run_id = await world.accept()
    claimed = await world.office().claim(run_id)
    assert claimed is not None
    work, now_us = claimed.work, world.clock.now_us()
    _, journal = world.engine_of(lambda _: None)
    mark = Statement(MARK, ("rule", 0, "", work.workspace_id, now_us))

    told = [
        await journal.once(work, mark, [work.draft(EventType.RUN_STATE_CHANGED, {}, now_us)])
        for _ in range(2)
    ]
    await journal.progress(work, [], [work.draft(EventType.RUN_STARTED, {}, now_us)])

    events = [(event.seq, event.type) for event in await world.events(run_id)]
    assert told == [True, False]
    assert events == [(1, "RunStateChanged"), (2, "RunStarted")]


async def test_marks_of_windows_long_over_are_forgotten(world: RunWorld) -> None:
    await put_in_force(world, limit(LimitMetric.TOKENS, 6, HOUR, LimitAction.WARN))
    await run_off(world, NOTE, say("ok"))

    kept = await world.limit_rules().prune()
    world.clock.move(94 * 86_400)
    gone = await world.limit_rules().prune()

    assert (kept, gone) == (0, 1)
