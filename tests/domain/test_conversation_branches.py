"""Branches of conversations: copies up to one message, with a life of their own."""

from collections.abc import AsyncGenerator

import pytest

from domain.conversations.branching import BRANCH, title_of_branch
from domain.conversations.rows import MessageRow
from domain.kernel.database import Database
from domain.kernel.errors import Forbidden, NotFound, ValidationFailed
from tests.fakes import say
from tests.run_world import STRANGER, RunWorld, run_world


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def messages(world: RunWorld, conversation_id: str) -> list[MessageRow]:
    """Its messages, oldest first."""
    return await world.conversations.history(conversation_id, limit_tokens=100_000)


async def talk(world: RunWorld, *answers: str) -> str:
    """A conversation in which each answer followed a question."""
    given = {"title": "Plans", "metadata": {"ticket": 7}}
    conversation = await world.conversations.create(world.principal, given)
    world.model.script(*[say(answer) for answer in answers])
    async with world.process() as runner:
        for answer in answers:
            run_id = await world.accept(f"{answer}?", conversationId=conversation.id)
            await world.work_off(runner, run_id)
    return conversation.id


async def test_a_branch_has_the_messages_up_to_the_chosen_one(world: RunWorld) -> None:
    source = await talk(world, "one", "two")
    chosen = (await messages(world, source))[2]

    branch = await world.conversations.branch(world.principal, chosen.id, None)

    assert (branch.title, branch.metadata, branch.branched_from_id) == (
        "Plans (branch)",
        {"ticket": 7},
        chosen.id,
    )
    copied = await messages(world, branch.id)
    assert [(m.role, m.content) for m in copied] == [
        ("USER", "one?"),
        ("ASSISTANT", "one"),
        ("USER", "two?"),
    ]
    assert [m.content for m in await messages(world, source)] == ["one?", "one", "two?", "two"]
    assert not {m.id for m in copied} & {m.id for m in await messages(world, source)}


async def test_a_branch_goes_on_by_itself(world: RunWorld) -> None:
    source = await talk(world, "one", "two")
    chosen = (await messages(world, source))[1]
    branch = await world.conversations.branch(world.principal, chosen.id, "Plan B")
    world.model.script(say("three"))

    async with world.process() as runner:
        await world.work_off(runner, await world.accept("three?", conversationId=branch.id))

    assert branch.title == "Plan B"
    assert [m.content for m in world.model.requests[2].messages[1:]] == ["one?", "one", "three?"]
    assert [m.content for m in await messages(world, branch.id)][2:] == ["three?", "three"]
    assert len(await messages(world, source)) == 4


async def test_a_conversation_is_branched_while_a_run_is_at_work_on_it(world: RunWorld) -> None:
    source = await talk(world, "one")
    await world.accept("two?", conversationId=source)
    last = (await messages(world, source))[-1]

    branch = await world.conversations.branch(world.principal, last.id, None)

    assert [m.content for m in await messages(world, branch.id)] == ["one?", "one", "two?"]
    await world.conversations.delete(world.principal, branch.id)


async def test_more_messages_than_one_statement_takes_are_copied_in_order(
    world: RunWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.conversations.branching.AT_ONCE", 3)
    source = await talk(world, *[str(n) for n in range(4)])
    before = await messages(world, source)

    branch = await world.conversations.branch(world.principal, before[-1].id, None)

    copied = await messages(world, branch.id)
    assert [m.content for m in copied] == [m.content for m in before]


async def test_what_cannot_be_branched_is_refused(world: RunWorld) -> None:
    source = await talk(world, "one")
    chosen = (await messages(world, source))[0]
    branch = world.conversations.branch

    for principal, message_id in ((world.principal, "nothing"), (STRANGER, chosen.id)):
        with pytest.raises(NotFound) as unknown:
            await branch(principal, message_id, None)
        assert unknown.value.path == ("messageId",)
    with pytest.raises(ValidationFailed) as invalid:
        await branch(world.principal, chosen.id, "x" * 201)
    with pytest.raises(Forbidden):
        await branch(world.reader, chosen.id, None)

    assert invalid.value.path == ("title",)
    assert await world.database.fetch("SELECT count(*) FROM conversation") == [(1,)]


@pytest.mark.parametrize(
    ("title", "derived"),
    [
        ("", ""),
        ("Plans", "Plans" + BRANCH),
        ("Plans" + BRANCH, "Plans" + BRANCH),
        ("x" * 200, "x" * 191 + BRANCH),
    ],
)
def test_a_title_of_a_branch_comes_from_its_source(title: str, derived: str) -> None:
    assert title_of_branch(title) == derived
