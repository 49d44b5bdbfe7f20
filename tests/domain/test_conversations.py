"""Conversations: made, changed, searched and deleted while idle."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from domain.access.scopes import Scope
from domain.conversations.service import ConversationFilter, ConversationService
from domain.kernel.database import Database
from domain.kernel.errors import (
    Conflict,
    ErrorCode,
    Forbidden,
    NotFound,
    ObjectRef,
    ValidationFailed,
)
from tests.domain.agent_world import principal_of
from tests.domain.conversation_world import (
    ADMIN,
    ALL,
    ANY,
    SECOND_US,
    STRANGER,
    add_agents,
    contents_of,
    conversation_service,
    run_of,
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


async def test_a_conversation_starts_empty(
    conversations: ConversationService, clock: SteppedClock
) -> None:
    made = await conversations.create(
        ADMIN, {"title": "Talk", "agentId": "a1", "metadata": {"a": 1}}
    )

    row = await conversations.conversation(ADMIN, made.id)

    assert row is not None
    assert (row.title, row.agent_id, row.metadata) == ("Talk", "a1", {"a": 1})
    assert (row.created_at, row.updated_at) == (clock.now_us(), clock.now_us())
    assert await contents_of(conversations, made.id) == []


async def test_absent_and_null_fields_take_the_defaults(
    conversations: ConversationService,
) -> None:
    made = await conversations.create(ADMIN, {"title": None, "agentId": None, "metadata": None})

    assert (made.title, made.agent_id, made.metadata) == ("", None, {})


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"title": "x" * 201}, "title"),
        ({"title": 3}, "title"),
        ({"metadata": [1]}, "metadata"),
        ({"topic": "x"}, "topic"),
    ],
)
async def test_a_bad_value_is_named_and_changes_nothing(
    conversations: ConversationService, values: Mapping[str, Any], path: str
) -> None:
    kept = await conversations.create(ADMIN, {"title": "Kept"})

    with pytest.raises(ValidationFailed) as not_made:
        await conversations.create(ADMIN, values)
    with pytest.raises(ValidationFailed) as not_changed:
        await conversations.update(ADMIN, kept.id, values)

    assert (not_made.value.path, not_changed.value.path) == ((path,), (path,))
    assert await titles_of(conversations) == ["Kept"]


@pytest.mark.parametrize("agent_id", ["a2", "nobody"])
async def test_the_agent_must_be_of_the_workspace(
    conversations: ConversationService, agent_id: str
) -> None:
    kept = await conversations.create(ADMIN, {"agentId": "a1"})

    with pytest.raises(NotFound) as not_made:
        await conversations.create(ADMIN, {"agentId": agent_id})
    with pytest.raises(NotFound) as not_changed:
        await conversations.update(ADMIN, kept.id, {"agentId": agent_id})

    assert (not_made.value.path, not_changed.value.path) == (("agentId",), ("agentId",))
    rows = (await conversations.conversations(ADMIN, ANY, ALL)).items
    assert [row.agent_id for row in rows] == ["a1"]


async def test_an_update_changes_what_is_given_and_null_clears(
    conversations: ConversationService, clock: SteppedClock
) -> None:
    made = await conversations.create(
        ADMIN, {"title": "Old", "agentId": "a1", "metadata": {"a": 1}}
    )
    clock.move(1)

    renamed = await conversations.update(ADMIN, made.id, {"title": "New"})
    cleared = await conversations.update(
        ADMIN, made.id, {"title": None, "agentId": None, "metadata": None}
    )

    assert (renamed.title, renamed.agent_id, renamed.metadata) == ("New", "a1", {"a": 1})
    assert (renamed.created_at, renamed.updated_at) == (
        made.created_at,
        made.created_at + SECOND_US,
    )
    assert (cleared.title, cleared.agent_id, cleared.metadata) == ("", None, {})


async def test_an_update_of_nothing_changes_nothing(
    conversations: ConversationService, clock: SteppedClock
) -> None:
    made = await conversations.create(ADMIN, {"title": "Same"})
    clock.move(1)

    row = await conversations.update(ADMIN, made.id, {})

    assert (row.title, row.updated_at) == ("Same", made.updated_at)


async def test_deleting_takes_the_messages_and_keeps_ended_runs(
    database: Database, conversations: ConversationService
) -> None:
    made = await conversations.create(ADMIN, {})
    await say(database, conversations, made.id, "Hello")
    await database.write([run_of("r1", made.id, holds=False)])

    deleted = await conversations.delete(ADMIN, made.id)

    assert deleted == made.id
    assert await conversations.conversation(ADMIN, made.id) is None
    assert await database.fetch("SELECT id FROM message") == []
    assert await database.fetch("SELECT id FROM run") == [("r1",)]


async def test_a_conversation_that_a_run_holds_is_not_deleted(
    database: Database, conversations: ConversationService
) -> None:
    made = await conversations.create(ADMIN, {})
    await say(database, conversations, made.id, "Hello")
    await database.write([run_of("r1", made.id, holds=True)])

    with pytest.raises(Conflict) as refused:
        await conversations.delete(ADMIN, made.id)

    assert refused.value.reason is ErrorCode.CONVERSATION_BUSY
    assert refused.value.conflicting == ObjectRef(kind="Run", id="r1")
    assert await contents_of(conversations, made.id) == ["Hello"]


async def test_a_run_accepted_while_its_conversation_is_deleted_is_never_orphaned(
    database: Database, conversations: ConversationService
) -> None:
    rows = [await conversations.create(ADMIN, {}) for _ in range(10)]

    async def accept(conversation_id: str) -> None:
        said = conversations.message_statements(
            workspace_id="w1",
            conversation_id=conversation_id,
            role="USER",
            content="Hello",
            run_id=f"r-{conversation_id}",
        )
        await database.write([run_of(f"r-{conversation_id}", conversation_id, holds=True), *said])

    await asyncio.gather(
        *(conversations.delete(ADMIN, row.id) for row in rows),
        *(accept(row.id) for row in rows),
        return_exceptions=True,
    )

    held = await database.fetch("SELECT conversation_id FROM run ORDER BY conversation_id")
    kept = await database.fetch("SELECT id FROM conversation ORDER BY id")
    assert held == kept


async def test_an_unknown_or_foreign_conversation_is_not_found(
    conversations: ConversationService,
) -> None:
    foreign = await conversations.create(STRANGER, {"title": "Theirs"})

    for ident in ("nobody", foreign.id):
        with pytest.raises(NotFound):
            await conversations.update(ADMIN, ident, {"title": "Mine"})
        with pytest.raises(NotFound):
            await conversations.update(ADMIN, ident, {})
        with pytest.raises(NotFound):
            await conversations.delete(ADMIN, ident)

    assert await conversations.conversation(ADMIN, foreign.id) is None
    assert await conversations.by_ids(ADMIN, [foreign.id]) == {}
    seen = await conversations.by_ids(STRANGER, [foreign.id])
    assert [row.title for row in seen.values()] == ["Theirs"]


async def test_lists_go_by_last_change(
    database: Database, conversations: ConversationService, clock: SteppedClock
) -> None:
    rows: list[str] = []
    for title in ("one", "two", "three"):
        rows.append((await conversations.create(ADMIN, {"title": title})).id)
        clock.move(1)
    await say(database, conversations, rows[0], "Hello")

    oldest = await conversations.conversations(ADMIN, ANY, ALL, newest_first=False)

    assert await titles_of(conversations) == ["one", "three", "two"]
    assert [row.title for row in oldest.items] == ["two", "three", "one"]


async def test_a_list_is_narrowed_by_agent_time_and_work(
    database: Database, conversations: ConversationService, clock: SteppedClock
) -> None:
    start = clock.now_us()
    busy = await conversations.create(ADMIN, {"title": "busy"})
    clock.move(1)
    await conversations.create(ADMIN, {"title": "idle", "agentId": "a1"})
    await database.write([run_of("r1", busy.id, holds=True)])

    by_agent = await titles_of(conversations, ConversationFilter(agent_id="a1"))
    since = await titles_of(conversations, ConversationFilter(since_us=start + SECOND_US))
    until = await titles_of(conversations, ConversationFilter(until_us=start + SECOND_US))
    at_work = await titles_of(conversations, ConversationFilter(busy=True))
    at_rest = await titles_of(conversations, ConversationFilter(busy=False))

    assert (by_agent, since, until) == (["idle"], ["idle"], ["busy"])
    assert (at_work, at_rest) == (["busy"], ["idle"])


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("invoice", ["Invoices", "Money"]),
        ("INVOICE 100%", ["Money"]),
        ("a_b", ["Money"]),
        ("axb", []),
        ("100%", ["Money"]),
        ("%", ["Money"]),
    ],
)
async def test_a_search_looks_into_titles_and_messages(
    database: Database, conversations: ConversationService, search: str, expected: list[str]
) -> None:
    await conversations.create(ADMIN, {"title": "Invoices"})
    money = await conversations.create(ADMIN, {"title": "Money"})
    await say(database, conversations, money.id, "The invoice is paid")
    await say(database, conversations, money.id, "to 100% by a_b")

    assert sorted(await titles_of(conversations, ConversationFilter(search=search))) == expected


async def test_a_key_without_the_scope_reads_and_changes_nothing(
    database: Database, conversations: ConversationService
) -> None:
    made = await conversations.create(ADMIN, {"title": "Kept"})
    none = principal_of("w1", Scope.AGENTS_READ)
    reader = principal_of("w1", Scope.RUNS_READ)

    for refused in (
        conversations.conversations(none, ANY, ALL),
        conversations.conversation(none, made.id),
        conversations.by_ids(none, [made.id]),
        conversations.messages(none, made.id, ALL),
        conversations.message(none, "m"),
        conversations.create(reader, {"title": "New"}),
        conversations.update(reader, made.id, {"title": "New"}),
        conversations.delete(reader, made.id),
    ):
        with pytest.raises(Forbidden):
            await refused

    assert await titles_of(conversations) == ["Kept"]
