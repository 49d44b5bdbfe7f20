"""Search in memory: what is found, in which order, and why; filters hold before the cut."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.kernel.database import Database, Statement
from domain.kernel.errors import ValidationFailed
from domain.memory.filters import MemoryFilter
from domain.memory.policy import MemoryScope
from domain.memory.reach import Reach
from domain.memory.search import FIRST_LOOK, ScoreBoost
from domain.memory.words import asked_words, words_of
from tests.domain.memory_world import ADMIN, SECOND_US, MemoryWorld, memory_world

ANY = MemoryFilter()


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[MemoryWorld, None]:
    async with memory_world(database) as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Deploys, deployed; deploying the DEPLOY!", ["deploy"] * 4),
        ("stories and a story", ["story", "story"]),
        ("stored stores storing", ["stor"] * 3),
        ("running runs, stopped", ["run", "run", "stop"]),
        ("Alice's boxes don't", ["alic", "box"]),
        ("string things", ["string", "thing"]),
        ("Café naïve ÉTÉ", ["caf", "naiv", "ete"]),
        ("Straße Москва", ["strass", "москва"]),
        ("snake_case v1.2 e-mail", ["snak", "cas", "v1", "2", "e", "mail"]),
        ("東京都 ok", ["東京", "京都", "ok"]),
        ("it is what it is", []),
        ("a" * 100, ["a" * 64]),
        ("?!", []),
    ],
)
def test_a_text_is_read_as_its_words(text: str, words: list[str]):
    assert list(words_of(text)) == words


def test_a_query_keeps_how_its_words_were_written():
    assert asked_words("When are the Deploys deployed, Ada?") == {"deploy": "deploys", "ada": "ada"}


async def test_the_memory_with_the_rarer_and_the_more_of_the_words_comes_first(
    world: MemoryWorld,
):
    for n in range(5):
        await world.save(f"The deploy number {n} went well")
    await world.save("A rollback is easy")
    await world.save("Rollback of a deploy needs the key")

    assert (await world.found("how do I rollback a deployment deploy?"))[:2] == [
        "Rollback of a deploy needs the key",
        "A rollback is easy",
    ]


async def test_a_shorter_memory_with_the_same_word_comes_first(world: MemoryWorld):
    await world.save("tea " + " ".join(f"filler{n}" for n in range(40)))
    await world.save("tea at four")

    assert (await world.found("tea"))[0] == "tea at four"


async def test_of_equals_the_newer_comes_first(world: MemoryWorld):
    await world.save("tea one")
    await world.save("tea two")

    assert await world.found("tea") == ["tea two", "tea one"]


async def test_each_hit_says_why_it_was_found(world: MemoryWorld):
    await world.save("Ada drinks tea", pinned=True)
    await world.save("Teas from Assam, drunk hot")
    await world.save("Nothing of the kind")

    result = await world.service.search(ADMIN, {"query": "Which TEA does Ada drink?"})

    [first, second] = result.hits
    assert (first.row.content, first.rank, first.score.lexical_rank) == ("Ada drinks tea", 1, 1)
    assert list(first.score.matched_terms) == ["tea", "ada", "drink"]
    assert [boost.name for boost in first.score.boosts] == ["pinned"]
    assert list(second.score.matched_terms) == ["tea"]
    assert (second.rank, second.score.lexical_rank, list(second.score.boosts)) == (2, 2, [])
    assert 1 > first.score.total > second.score.total > 0
    assert first.score.vector_similarity is None
    assert (result.hybrid, result.token_count) == (False, 4 + 7)


async def test_a_pin_lifts_a_memory_above_its_equals_and_says_by_how_much(world: MemoryWorld):
    await world.save("tea one", pinned=True)
    await world.save("tea two")

    result = await world.service.search(ADMIN, {"query": "tea"})

    [first, second] = result.hits
    assert [first.row.content, second.row.content] == ["tea one", "tea two"]
    assert (first.score.lexical_rank, second.score.lexical_rank) == (2, 1)
    assert first.score.boosts == [
        ScoreBoost(name="pinned", value=first.score.total - second.score.total)
    ]


async def test_the_filter_holds_before_the_best_are_chosen(world: MemoryWorld):
    """Many better memories do not hide the one that fits."""
    wanted = await world.save("tea in a long story about many other matters", metadata={"x": 1})
    await copies(world, "tea", FIRST_LOOK + 50)
    only = {"metadata": [{"path": "x", "test": {"eq": 1}}]}

    assert await world.found("tea", filter=only, limit=1) == [wanted.content]
    assert await world.found("tea", filter={"kinds": ["FRAGMENT"]}) == []
    assert len(await world.found("tea", limit=100)) == 100


async def test_a_pin_counts_also_below_the_first_look(world: MemoryWorld):
    pinned = await world.save("tea cup", pinned=True)
    await copies(world, "tea pot", FIRST_LOOK + 50)

    assert (await world.found("tea", limit=100))[0] == pinned.content


async def copies(world: MemoryWorld, content: str, count: int) -> None:
    """The same memory many times, as equal saves would not make it."""
    row = await world.save(content, metadata={"copied": True})
    columns = (
        "workspace_id, kind, content, metadata, artifacts, digest, derived_from, trusted, pinned,"
        " valid_from, token_count, word_count, created_by, created_at, updated_at"
    )
    copy = f"INSERT INTO memory (id, {columns}) SELECT $1, {columns} FROM memory WHERE id = $2"
    index = (
        "INSERT INTO memory_word (word, num, occurrences, length)"
        " SELECT w.word, c.num, w.occurrences, w.length FROM memory_word w, memory o, memory c"
        " WHERE o.id = $1 AND w.num = o.num AND c.metadata = o.metadata AND c.id <> o.id"
    )
    inserts = [Statement(copy, (f"copy-{n:04}", row.id)) for n in range(count)]
    await world.database.write([*inserts, Statement(index, (row.id,))])


async def test_search_finds_what_is_true_now_or_was_at_a_moment(world: MemoryWorld):
    began = world.clock.now_us()
    old = await world.save("Deploy on Friday", validFrom=began)
    await world.save("Deploy on Monday", supersedes=[old.id], validFrom=began + 100 * SECOND_US)

    assert await world.found("deploy", asOf=began + 50 * SECOND_US) == ["Deploy on Friday"]
    assert await world.found("deploy", asOf=began + 100 * SECOND_US) == ["Deploy on Monday"]
    assert await world.found("deploy", asOf=began - 1) == []
    assert await world.found("deploy") == ["Deploy on Friday"]
    world.clock.move(100)
    assert await world.found("deploy") == ["Deploy on Monday"]


async def test_search_leaves_out_forgotten_and_expired_ones_unless_asked(world: MemoryWorld):
    soon = world.clock.now_us() + 5 * SECOND_US
    gone = await world.save("tea gone")
    await world.save("tea expired", expiresAt=soon)
    await world.save("tea pinned", expiresAt=soon, pinned=True)
    await world.service.forget(ADMIN, {"select": {"ids": [gone.id]}})
    world.clock.move(5)

    assert await world.found("tea") == ["tea pinned"]
    assert await world.found("tea", filter={"forgotten": True}) == ["tea gone"]


async def test_search_reads_the_new_text_and_no_more_the_old_one(world: MemoryWorld):
    row = await world.save("green tea")
    await world.service.update(ADMIN, {"memoryId": row.id, "content": "black coffee and milk"})

    assert await world.found("tea") == []
    assert await world.found("coffee") == ["black coffee and milk"]
    totals = await world.database.fetch("SELECT memories, words FROM memory_total")
    assert totals == [(1, 3)]
    assert (await world.now(row.id)).word_count == 3


async def test_a_budget_of_tokens_takes_the_best_that_fit(world: MemoryWorld):
    await world.save("tea tea tea " + "x" * 388)
    await world.save("tea " + "y" * 36)
    await world.save("tea and " + "z" * 60)

    result = await world.service.search(ADMIN, {"query": "tea", "maxTokens": 30, "limit": 2})

    assert [hit.row.token_count for hit in result.hits] == [17, 10]
    assert (result.token_count, [hit.rank for hit in result.hits]) == (27, [1, 2])
    assert await world.found("tea", maxTokens=9) == []


@pytest.mark.parametrize("query", ["zebra", "it is what it is", "?!"])
async def test_what_no_memory_says_finds_nothing(world: MemoryWorld, query: str):
    await world.save("Tea at four")

    assert await world.found(query) == []


async def test_an_empty_memory_finds_nothing(world: MemoryWorld):
    assert await world.found("tea") == []


async def test_a_query_of_very_many_words_is_answered(world: MemoryWorld):
    await world.save("tea")
    words = " ".join(f"word{n}" for n in range(1000))

    assert await world.found(f"tea {words}") == ["tea"]


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        ({}, "query", "Give a value; this field is required."),
        ({"query": "  "}, "query", "Give more than blanks."),
        ({"query": "a" * 10_001}, "query", "Use at most 10000 characters; this has 10001."),
        ({"query": "a", "limit": 0}, "limit", "Give at least 1."),
        ({"query": "a", "limit": 101}, "limit", "Give at most 100."),
        ({"query": "a", "maxTokens": 0}, "maxTokens", "Give at least 1."),
        (
            {"query": "a", "minSimilarity": 0.5},
            "minSimilarity",
            "It needs embeddings, and this server has none; leave it out.",
        ),
        ({"query": "a", "filter": {"or": []}}, "filter.or", "Give at least 1 items, not 0."),
    ],
)
async def test_a_question_that_cannot_be_is_refused_by_its_field(
    world: MemoryWorld, given: dict[str, Any], path: str, message: str
):
    with pytest.raises(ValidationFailed) as refused:
        await world.service.search(ADMIN, given)

    [problem] = refused.value.problems
    assert (".".join(problem.path), problem.message) == (path, message)


@pytest.mark.parametrize(
    ("scope", "agent_id", "conversation_id", "expected"),
    [
        (MemoryScope.WORKSPACE, "a1", "c1", {"all", "a1", "c1", "a1 c1"}),
        (MemoryScope.WORKSPACE, "a1", None, {"all", "a1"}),
        (MemoryScope.WORKSPACE, None, None, {"all"}),
        (MemoryScope.AGENT, "a1", "c2", {"a1"}),
        (MemoryScope.AGENT, "a1", "c1", {"a1", "a1 c1"}),
        (MemoryScope.AGENT, None, None, set[str]()),
        (MemoryScope.CONVERSATION, "a1", "c1", {"c1", "a1 c1"}),
        (MemoryScope.CONVERSATION, "a1", None, set[str]()),
        (MemoryScope.NONE, "a1", "c1", set[str]()),
    ],
)
async def test_an_agent_recalls_within_its_scope(
    world: MemoryWorld,
    scope: MemoryScope,
    agent_id: str | None,
    conversation_id: str | None,
    expected: set[str],
):
    await belonging(world)

    result = await world.service.recall(
        ADMIN,
        "tea",
        reach=Reach(scope=scope, agent_id=agent_id, conversation_id=conversation_id),
        narrowing=ANY,
        limit=10,
        max_tokens=100,
    )

    assert {hit.row.metadata["whose"] for hit in result.hits} == expected


async def belonging(world: MemoryWorld) -> None:
    """Memories of the workspace, of agents and of conversations; one may not be recalled."""
    agent = (
        "INSERT INTO agent (id, workspace_id, slug, name, description, settings, version,"
        " created_at, updated_at) VALUES ('a3', 'w1', 'a3', 'a3', '', '{}', 1, 0, 0)"
    )
    conversation = (
        "INSERT INTO conversation (id, workspace_id, title, metadata, created_at, updated_at)"
        " VALUES ($1, 'w1', '', '{}', 0, 0)"
    )
    rows = [Statement(conversation, (ident,)) for ident in ("c1", "c2")]
    await world.database.write([Statement(agent), *rows])
    for place in (
        {},
        {"agentId": "a1"},
        {"agentId": "a3"},
        {"conversationId": "c1"},
        {"agentId": "a1", "conversationId": "c1"},
        {"agentId": "a3", "conversationId": "c2"},
    ):
        whose = " ".join(place.values()) or "all"
        await world.save(f"tea of {whose}", metadata={"whose": whose}, **place)
    hidden = await world.save("tea unrecallable", metadata={"whose": "nobody"})
    await world.service.update(ADMIN, {"memoryId": hidden.id, "recallable": False})


async def test_a_recall_is_counted_and_is_no_change(world: MemoryWorld):
    row = await world.save("tea")
    reach = Reach(scope=MemoryScope.WORKSPACE, agent_id=None, conversation_id=None)
    world.clock.move(1)

    for _ in range(2):
        await world.service.recall(
            ADMIN, "tea", reach=reach, narrowing=ANY, limit=1, max_tokens=100
        )

    kept = await world.now(row.id)
    assert (kept.recall_count, kept.last_recalled_at) == (2, world.clock.now_us())
    assert (kept.version, await world.actions(row.id)) == (1, [(1, "SAVED")])
    assert len(await world.events()) == 1
