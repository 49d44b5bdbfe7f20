"""Calls that a person is asked about: one question, one answer, one use, whatever happens."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database
from domain.kernel.errors import Conflict, GobError, NotFound, ValidationFailed
from tests.domain.approval_world import add_rules, asked, decide, risky_tools, told, tool_rule
from tests.fakes import call, say
from tests.run_world import RunWorld, run_world

ERASE = call("erase", '{"path": "a.txt"}')
APPROVALS = ("ApprovalRequested", "ApprovalResolved")


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database, whose tools ask."""
    async with run_world(database) as built:
        built.tools = risky_tools
        yield built


async def waiting(world: RunWorld) -> str:
    """A run that waits for an answer, and whose process is gone."""
    world.model.script(ERASE, say("done"))
    async with world.process() as runner:
        row = await world.work_off(runner, run_id := await world.accept())
    assert row.status == "WAITING_APPROVAL"
    return run_id


async def worked(world: RunWorld, run_id: str) -> str:
    """Let another process take the run up; its state afterwards."""
    async with world.process() as runner:
        return (await world.work_off(runner, run_id)).status


async def test_a_dangerous_call_waits_until_a_person_approves_it(world: RunWorld):
    run_id = await waiting(world)

    [approval] = await asked(world, run_id)
    assert (approval.status, approval.tool_name, approval.arguments) == (
        "PENDING",
        "erase",
        {"path": "a.txt"},
    )
    assert approval.reason == (
        "erase does what cannot be undone, and no rule allows it without a question."
    )
    assert (approval.rule, approval.side_effect) == (None, "DANGEROUS")
    assert approval.expires_at == approval.created_at + 3_600_000_000
    assert world.effects.done == []
    assert [step.status for step in await world.steps(run_id)] == ["SUCCEEDED", "WAITING_APPROVAL"]

    decided = await decide(world, approval, "APPROVE", reason="It is old.")

    assert (decided.row.status, decided.row.scope, decided.rule) == ("APPROVED", "ONCE", None)
    assert (decided.row.decided_by, decided.row.decision_reason) == ("tester", "It is old.")
    assert world.queue.hints[-1] == ("runs.execute", run_id)
    assert await worked(world, run_id) == "SUCCEEDED"
    assert world.effects.done == ["erase a.txt"]
    assert await told(world, run_id, *APPROVALS) == list(APPROVALS)
    assert [step.status for step in await world.steps(run_id)] == ["SUCCEEDED"] * 3


async def test_a_denied_call_is_a_failed_result_that_says_who_and_why(world: RunWorld):
    run_id = await waiting(world)
    [approval] = await asked(world, run_id)

    await decide(world, approval, "DENY", reason="We need it.")

    assert await worked(world, run_id) == "SUCCEEDED"
    assert world.effects.done == []
    said = "APPROVAL_DENIED: tester denied the call: We need it."
    assert world.model.requests[-1].messages[-1].content == said
    step = (await world.steps(run_id))[1]
    assert (step.status, step.error_code, step.error_message) == (
        "DENIED",
        "APPROVAL_DENIED",
        said,
    )
    assert await told(world, run_id, *APPROVALS, "ToolCallStarted", "ToolCallFinished") == [
        *APPROVALS,
        "ToolCallFinished",
    ]


async def test_silence_beyond_its_time_denies(world: RunWorld):
    run_id = await waiting(world)
    [approval] = await asked(world, run_id)

    world.clock.move(3600)

    with pytest.raises(Conflict, match="has expired") as refused:
        await decide(world, approval, "APPROVE")
    assert refused.value.conflicting is not None
    assert refused.value.conflicting.id == approval.id
    assert await worked(world, run_id) == "SUCCEEDED"
    assert world.effects.done == []
    said = world.model.requests[-1].messages[-1].content
    assert said == "APPROVAL_DENIED: Nobody decided in time."
    [closed] = await asked(world, run_id)
    assert (closed.status, closed.decided_by, closed.decided_at) == ("EXPIRED", None, None)
    assert await told(world, run_id, *APPROVALS) == list(APPROVALS)


async def test_a_run_that_waits_is_due_when_its_question_expires(world: RunWorld):
    run_id = await waiting(world)

    [approval] = await asked(world, run_id)

    assert (await world.row(run_id)).due_at == approval.expires_at


async def test_a_rule_denies_what_the_approver_made_of_the_arguments(world: RunWorld):
    kept = [{"path": "path", "test": {"contains": "keep"}}]
    await add_rules(world, tool_rule("DENY", "erase", when=kept))
    run_id = await waiting(world)
    [approval] = await asked(world, run_id)

    await decide(world, approval, "APPROVE", arguments={"path": "keep.txt"})

    assert await worked(world, run_id) == "SUCCEEDED"
    assert world.effects.done == []
    step = (await world.steps(run_id))[1]
    assert (step.status, step.error_code) == ("DENIED", "POLICY_DENIED")
    assert await told(world, run_id, *APPROVALS) == list(APPROVALS)


async def test_a_rule_that_denies_the_call_as_it_was_asked_does_not_bind_the_edited_one(
    world: RunWorld,
):
    run_id = await waiting(world)
    [approval] = await asked(world, run_id)
    await decide(world, approval, "APPROVE", arguments={"path": "b.txt"})
    when = [{"path": "path", "test": {"eq": "a.txt"}}]

    await add_rules(world, tool_rule("DENY", "erase", when=when))

    assert await worked(world, run_id) == "SUCCEEDED"
    assert world.effects.done == ["erase b.txt"]


async def test_the_approver_may_change_the_arguments(world: RunWorld):
    run_id = await waiting(world)
    [approval] = await asked(world, run_id)

    await decide(world, approval, "APPROVE", arguments={"path": "b.txt"})

    assert await worked(world, run_id) == "SUCCEEDED"
    assert world.effects.done == ["erase b.txt"]
    assert (await world.steps(run_id))[1].arguments == {"path": "b.txt"}
    [used] = await asked(world, run_id)
    assert (used.arguments, used.edited) == ({"path": "a.txt"}, {"path": "b.txt"})


@pytest.mark.parametrize(
    ("values", "path", "message"),
    [
        ({"arguments": {"path": 5}}, ("arguments", "path"), "Should be a valid string"),
        ({"arguments": {"path": "x" * 21}}, ("arguments", "path"), "at most 20"),
        ({"arguments": {"paht": "b"}}, ("arguments", "path"), "Is required."),
        ({"arguments": {"path": "b"}, "scope": "RUN"}, ("arguments",), "only with APPROVE"),
        ({"decision": "DENY", "arguments": {"path": "b"}}, ("arguments",), "only with APPROVE"),
        ({"decision": "MAYBE"}, ("decision",), "decision"),
        ({"scope": "FOREVER"}, ("scope",), "scope"),
        ({"reason": "x" * 2001}, ("reason",), "reason"),
    ],
)
async def test_a_decision_that_makes_no_sense_changes_nothing(
    world: RunWorld, values: dict[str, object], path: tuple[str, ...], message: str
):
    run_id = await waiting(world)
    [approval] = await asked(world, run_id)

    with pytest.raises(ValidationFailed, match=message) as refused:
        await decide(world, approval, **{"decision": "APPROVE", **values})  # pyright: ignore[reportArgumentType] - what a client may send

    assert refused.value.problems[0].path == path
    [still] = await asked(world, run_id)
    assert (still.status, still.edited, still.decided_at) == ("PENDING", None, None)
    assert (await world.row(run_id)).status == "WAITING_APPROVAL"


async def test_nobody_decides_twice(world: RunWorld):
    run_id = await waiting(world)
    [approval] = await asked(world, run_id)
    await decide(world, approval, "DENY")

    for decision in ("DENY", "APPROVE"):
        with pytest.raises(Conflict, match="denied already"):
            await decide(world, approval, decision)

    assert await worked(world, run_id) == "SUCCEEDED"
    assert world.effects.done == []


async def test_of_two_who_decide_at_once_one_wins(world: RunWorld):
    run_id = await waiting(world)
    [approval] = await asked(world, run_id)

    outcomes = await asyncio.gather(
        *(decide(world, approval, decision) for decision in ("APPROVE", "DENY") * 3),
        return_exceptions=True,
    )

    won = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    lost = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
    assert (len(won), len(lost)) == (1, 5)
    await worked(world, run_id)
    assert len(world.effects.done) == (1 if won[0].row.status == "APPROVED" else 0)


async def test_an_approval_of_elsewhere_is_not_found(world: RunWorld):
    run_id = await waiting(world)

    with pytest.raises(NotFound, match="No approval has the id"):
        await world.approvals().decide(
            world.principal, {"approvalId": run_id, "decision": "APPROVE"}
        )


async def test_the_questions_of_a_run_that_is_cancelled_are_closed(world: RunWorld):
    run_id = await waiting(world)
    await world.order_cancel(run_id)

    assert await worked(world, run_id) == "CANCELLED"

    [approval] = await asked(world, run_id)
    assert approval.status == "CANCELLED"
    with pytest.raises(Conflict, match="The run ended before anybody answered"):
        await decide(world, approval, "APPROVE")
    assert (await told(world, run_id))[-1] == "RunFinished"
    assert world.effects.done == []


async def test_an_approval_for_the_run_covers_its_later_calls_of_the_tool(world: RunWorld):
    again = call("erase", '{"path": "b.txt"}', ident="call_2")
    world.model.script(ERASE, again, say("done"))
    async with world.process() as runner:
        await world.work_off(runner, run_id := await world.accept())
    [approval] = await asked(world, run_id)

    await decide(world, approval, "APPROVE", scope="RUN")

    assert await worked(world, run_id) == "SUCCEEDED"
    assert world.effects.done == ["erase a.txt", "erase b.txt"]
    assert len(await asked(world, run_id)) == 1


async def test_a_denial_for_the_run_covers_its_later_calls_of_the_tool(world: RunWorld):
    again = call("erase", '{"path": "b.txt"}', ident="call_2")
    world.model.script(ERASE, again, say("done"))
    async with world.process() as runner:
        await world.work_off(runner, run_id := await world.accept())
    [approval] = await asked(world, run_id)

    await decide(world, approval, "DENY", scope="RUN", reason="No more.")

    assert await worked(world, run_id) == "SUCCEEDED"
    assert world.effects.done == []
    assert [step.status for step in await world.steps(run_id)][1::2] == ["DENIED", "DENIED"]


async def test_once_means_once(world: RunWorld):
    world.model.script(ERASE, call("erase", '{"path": "a.txt"}', ident="call_2"), say("done"))
    async with world.process() as runner:
        await world.work_off(runner, run_id := await world.accept())
    await decide(world, (await asked(world, run_id))[0], "APPROVE")

    assert await worked(world, run_id) == "WAITING_APPROVAL"

    assert world.effects.done == ["erase a.txt"]
    assert [row.status for row in await asked(world, run_id)] == ["APPROVED", "PENDING"]


async def test_a_decision_for_the_run_answers_the_questions_beside_it(world: RunWorld):
    both = [*ERASE[:1], *call("erase", '{"path": "b.txt"}', ident="call_2")]
    world.model.script(both, say("done"))
    async with world.process() as runner:
        await world.work_off(runner, run_id := await world.accept())
    first, second = await asked(world, run_id)

    await decide(world, first, "APPROVE", scope="RUN", reason="All old.")

    assert await worked(world, run_id) == "SUCCEEDED"
    assert sorted(world.effects.done) == ["erase a.txt", "erase b.txt"]
    rows = {row.id: row for row in await asked(world, run_id)}
    beside = rows[second.id]
    assert (beside.status, beside.decided_by, beside.decision_reason) == (
        "APPROVED",
        "tester",
        "All old.",
    )


async def test_a_rule_that_forbids_counts_also_after_the_approval(world: RunWorld):
    run_id = await waiting(world)
    [approval] = await asked(world, run_id)
    await decide(world, approval, "APPROVE")

    await add_rules(world, tool_rule("DENY", "erase"))

    assert await worked(world, run_id) == "SUCCEEDED"
    assert world.effects.done == []
    step = (await world.steps(run_id))[1]
    assert (step.status, step.error_code) == ("DENIED", "POLICY_DENIED")
    [kept] = await asked(world, run_id)
    assert (kept.status, kept.used_at) == ("APPROVED", None)


async def test_a_rule_that_forbids_closes_the_question_when_the_run_is_taken_up(world: RunWorld):
    both = [*ERASE[:1], *call("pay", '{"amount": 5}', ident="call_2")]
    await add_rules(world, tool_rule("ASK", "pay"))
    world.model.script(both, say("done"))
    async with world.process() as runner:
        await world.work_off(runner, run_id := await world.accept())
    erase, pay = sorted(await asked(world, run_id), key=lambda row: row.tool_name)

    await add_rules(world, tool_rule("DENY", "erase"))
    await decide(world, pay, "APPROVE")

    assert await worked(world, run_id) == "SUCCEEDED"
    assert world.effects.done == ["pay 5"]
    closed = {row.id: row for row in await asked(world, run_id)}[erase.id]
    assert (closed.status, closed.decided_by) == ("DENIED", "system")
    assert closed.decision_reason == "The rule 'DENY erase' (priority 50) forbids erase."


async def test_the_question_names_the_rule_that_asks_and_the_version_it_is_in(world: RunWorld):
    await add_rules(world, tool_rule("ASK", "p*", priority=70))
    world.model.script(call("pay", '{"amount": 5}'), say("done"))

    async with world.process() as runner:
        await world.work_off(runner, run_id := await world.accept())

    [approval] = await asked(world, run_id)
    profile = await world.behavior.active(world.principal)
    assert approval.rule is not None
    assert (approval.rule["statement"], approval.rule["priority"]) == ("ASK p*", 70)
    assert approval.behavior_versions == [profile.version_id]
    assert approval.reason == "The rule 'ASK p*' (priority 70) asks a person before pay is called."


async def test_a_decision_is_in_the_audit_log_and_a_refused_one_is_not(world: RunWorld):
    run_id = await waiting(world)
    [approval] = await asked(world, run_id)
    await decide(world, approval, "APPROVE", reason="ok")
    with pytest.raises(GobError):
        await decide(world, approval, "DENY")

    lines = await world.database.fetch(
        "SELECT actor, target_kind, target_id FROM audit WHERE action = 'approval.decided'"
    )

    assert lines == [("tester", "Approval", approval.id)]
