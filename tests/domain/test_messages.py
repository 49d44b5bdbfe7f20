"""Messages: estimates, titles, histories that fit, and writes that refuse."""

import pytest

from domain.conversations.messages import estimate_tokens, title_of
from domain.conversations.service import ConversationService
from domain.kernel.database import Database, WriteRefusedError
from domain.kernel.paging import PageRequest
from tests.domain.conversation_world import (
    ADMIN,
    ALL,
    SECOND_US,
    STRANGER,
    add_agents,
    contents_of,
    conversation_service,
    say,
    titles_of,
)
from tests.fakes import SteppedClock


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def conversations(database: Database, clock: SteppedClock) -> ConversationService:
    await add_agents(database)
    return conversation_service(database, clock)


async def test_the_first_message_of_a_user_gives_the_title(
    database: Database, conversations: ConversationService, clock: SteppedClock
) -> None:
    made = await conversations.create(ADMIN, {})
    clock.move(1)

    await say(database, conversations, made.id, "Hello there", role="ASSISTANT")
    await say(database, conversations, made.id, "  Count\n the " + "words " * 20)
    await say(database, conversations, made.id, "Again")
    row = await conversations.conversation(ADMIN, made.id)

    assert row is not None
    assert row.title == "Count the words words words words words words words words wo"
    assert row.updated_at == made.updated_at + SECOND_US


async def test_a_title_that_was_given_stays(
    database: Database, conversations: ConversationService
) -> None:
    made = await conversations.create(ADMIN, {"title": "Mine"})

    await say(database, conversations, made.id, "Hello")

    assert await titles_of(conversations) == ["Mine"]


async def test_a_message_is_kept_as_it_was_said(
    database: Database, conversations: ConversationService, clock: SteppedClock
) -> None:
    made = await conversations.create(ADMIN, {})
    said = conversations.message_statements(
        workspace_id="w1",
        conversation_id=made.id,
        role="TOOL",
        content="12345678é",
        run_id="r1",
    )

    await database.write(said)
    page = await conversations.messages(ADMIN, made.id, ALL)
    (row,) = page.items

    assert (row.role, row.content, row.run_id, row.token_count, row.created_at) == (
        "TOOL",
        "12345678é",
        "r1",
        3,
        clock.now_us(),
    )
    assert await conversations.message(ADMIN, row.id) == row
    assert await conversations.message(STRANGER, row.id) is None


async def test_what_no_database_holds_is_replaced_in_a_message(
    database: Database, conversations: ConversationService
) -> None:
    made = await conversations.create(ADMIN, {})

    await say(database, conversations, made.id, "a\0b\ud800c")

    assert await contents_of(conversations, made.id) == ["a\ufffdb\ufffdc"]


async def test_a_message_to_a_deleted_conversation_refuses_the_whole_write(
    database: Database, conversations: ConversationService
) -> None:
    made = await conversations.create(ADMIN, {})
    await conversations.delete(ADMIN, made.id)

    with pytest.raises(WriteRefusedError):
        await say(database, conversations, made.id, "Hello")

    assert await database.fetch("SELECT id FROM message") == []


async def test_messages_page_from_the_oldest(
    database: Database, conversations: ConversationService
) -> None:
    made = await conversations.create(ADMIN, {})
    for content in ("one", "two", "three"):
        await say(database, conversations, made.id, content)

    first = await conversations.messages(ADMIN, made.id, PageRequest.of(first=2))
    rest = await conversations.messages(
        ADMIN, made.id, PageRequest.of(first=2, after=first.cursors[-1])
    )

    assert [row.content for row in first.items] == ["one", "two"]
    assert [row.content for row in rest.items] == ["three"]


async def test_history_is_the_newest_messages_that_fit(
    database: Database, conversations: ConversationService
) -> None:
    made = await conversations.create(ADMIN, {})
    for number in range(205):
        await say(database, conversations, made.id, f"{number:04}")

    some = await conversations.history(made.id, limit_tokens=3)
    one = await conversations.history(made.id, limit_tokens=0)
    every = await conversations.history(made.id, limit_tokens=1000)

    assert [row.content for row in some] == ["0202", "0203", "0204"]
    assert [row.content for row in one] == ["0204"]
    assert [row.content for row in every] == [f"{number:04}" for number in range(205)]
    assert await conversations.history("nobody", limit_tokens=9) == []


async def test_history_has_no_gap_where_a_long_message_does_not_fit(
    database: Database, conversations: ConversationService
) -> None:
    made = await conversations.create(ADMIN, {})
    for content in ("old", "x" * 400, "new"):
        await say(database, conversations, made.id, content)

    rows = await conversations.history(made.id, limit_tokens=50)

    assert [row.content for row in rows] == ["new"]


def test_tokens_are_estimated_by_bytes() -> None:
    texts = ["", "a", "abcd", "abcde", "数据数据"]

    assert [estimate_tokens(text) for text in texts] == [0, 1, 1, 2, 3]


def test_a_title_is_the_beginning_of_a_message_on_one_line() -> None:
    assert title_of(" a\n\tb ") == "a b"
    assert title_of("x" * 61) == "x" * 60
    assert title_of("x" * 59 + " y") == "x" * 59
