"""A run's stream: the whole story, resumed anywhere, never silent about what is gone."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from domain.events.cursors import encode_cursor
from domain.events.feed import StreamItem, StreamResync
from domain.events.records import EventRecord
from domain.kernel.database import Database, Row
from domain.kernel.errors import BadCursor
from domain.models.ports import Finished, FinishReason, TextDelta
from domain.runs import retention as retention_module
from domain.runs.retention import EventRetention
from tests.fakes import Gate, call, say
from tests.run_world import RunWorld, run_world

DAY_S = 86_400


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def ended_run(world: RunWorld) -> str:
    """A run with a tool call and some text."""
    world.model.script(call("note", '{"text": "a"}'), say("one ", "two ", "three"))
    async with world.process() as runner:
        run_id = await world.accept()
        await world.work_off(runner, run_id)
    return run_id


async def story(world: RunWorld, run_id: str, after: str | None = None) -> list[StreamItem]:
    """Everything the stream gives until it ends."""
    async with asyncio.timeout(20):
        stream = world.service(None).stream(world.principal, run_id, after=after)
        return [item async for item in stream]


def covered(items: list[StreamItem]) -> list[int]:
    """Every seq that the events stand for, folded ones included."""
    seqs: list[int] = []
    for item in items:
        assert isinstance(item, EventRecord)
        assert item.seq is not None
        first = item.from_seq if item.from_seq is not None else item.seq
        seqs += range(first, item.seq + 1)
    return seqs


async def test_a_finished_run_tells_its_whole_story_and_ends(world: RunWorld) -> None:
    run_id = await ended_run(world)

    items = await story(world, run_id)

    total = (await world.events(run_id))[-1].seq
    assert covered(items) == list(range(1, total + 1))
    text = "".join(
        item.data["text"]
        for item in items
        if isinstance(item, EventRecord) and item.type == "TokenDelta"
    )
    assert text == "one two three"


async def test_a_stream_resumed_after_any_event_gives_exactly_the_rest(world: RunWorld) -> None:
    run_id = await ended_run(world)
    events = await world.events(run_id)

    for event in events:
        cursor = encode_cursor(event.workspace_id, event.cursor)
        rest = await story(world, run_id, after=cursor)
        assert covered(rest) == list(range(event.seq + 1, len(events) + 1))


async def test_a_stream_joined_in_the_middle_goes_on_live(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("early "), gate, *say("late")])
    async with world.process() as runner:
        run_id = await world.accept()
        await runner.execute(run_id)
        await gate.reached.wait()
        following = asyncio.create_task(story(world, run_id))

        gate.opened.set()
        items = await following

    assert covered(items) == list(range(1, len(covered(items)) + 1))
    assert isinstance(items[-1], EventRecord)
    assert (items[-1].type, items[-1].data["output"]) == ("RunFinished", "early late")


async def test_tokens_are_the_answer_and_resume_by_seq(world: RunWorld) -> None:
    run_id = await ended_run(world)
    service = world.service(None)

    pieces = [piece async for piece in service.tokens(world.principal, run_id)]
    rest = [p async for p in service.tokens(world.principal, run_id, after=pieces[-1].seq)]

    assert "".join(piece.text for piece in pieces) == "one two three"
    assert rest == []


async def test_those_who_follow_an_answer_live_are_given_the_same_pieces(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("early "), gate, *say("late")])
    async with world.process() as runner, asyncio.timeout(20):
        run_id = await world.accept()
        await runner.execute(run_id)
        service = world.service(runner)
        followers = [service.tokens(world.principal, run_id) for _ in range(2)]
        for follower in followers:
            assert (await anext(follower)).text == "early "

        gate.opened.set()
        one, two = [[piece async for piece in follower] for follower in followers]

    assert [piece.text for piece in one] == ["late"]
    assert one[0] is two[0]


async def test_a_run_at_work_shows_what_it_has_said(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("so "), TextDelta("far"), gate, Finished(FinishReason.STOP)])
    async with world.process() as runner:
        run_id = await world.accept()
        await runner.execute(run_id)
        await gate.reached.wait()
        service = world.service(runner)

        said = None
        async with asyncio.timeout(20):
            async for item in service.stream(world.principal, run_id):
                if isinstance(item, EventRecord) and item.type == "TokenDelta":
                    row = await service.run(world.principal, run_id)
                    assert row is not None
                    said = row.output
                    break
        gate.opened.set()

    assert said is not None
    assert "so far".startswith(said)


async def test_cursors_of_the_future_and_of_others_are_refused(world: RunWorld) -> None:
    run_id = await ended_run(world)

    with pytest.raises(BadCursor, match="after the last event"):
        await story(world, run_id, encode_cursor(world.principal.workspace_id, 10_000))
    with pytest.raises(BadCursor, match="another workspace"):
        await story(world, run_id, encode_cursor("elsewhere", 1))


async def test_a_stream_whose_past_was_pruned_says_so(world: RunWorld) -> None:
    run_id = await ended_run(world)
    first = encode_cursor(world.principal.workspace_id, 1)
    world.clock.move(8 * DAY_S)
    retention = EventRetention(world.database, world.clock, keep_days=7)

    pruned = await retention.prune()
    again = await retention.prune()
    from_start, resumed = await story(world, run_id), await story(world, run_id, first)

    assert (pruned, again) == (1, 0)
    assert await world.events(run_id) == []
    assert [type(item) for item in (*from_start, *resumed)] == [StreamResync, StreamResync]
    assert isinstance(from_start[0], StreamResync)
    assert from_start[0].oldest is None


async def test_the_old_go_in_short_writes_and_the_young_stay(
    world: RunWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "BATCH", 2)
    old = [await ended_run(world) for _ in range(3)]
    world.clock.move(8 * DAY_S)
    young = await ended_run(world)
    before = await world.events(young)
    asked, original = list[str](), world.database.fetch

    async def fetch(sql: str, *args: object) -> list[Row]:
        asked.append(sql)
        return await original(sql, *args)

    world.database.fetch = fetch  # type: ignore[method-assign]
    pruned = await EventRetention(world.database, world.clock, keep_days=7).prune()
    head, gone = (await world.store.heads([world.principal.workspace_id])).popitem()[1]

    assert pruned == 1
    assert [await world.events(run_id) for run_id in old] == [[], [], []]
    assert await world.events(young) == before
    assert (gone, head) == (before[0].cursor - 1, before[-1].cursor)
    # What stays is looked up once, whatever the number of writes.
    assert [sql.count("finished_at IS NULL") for sql in asked].count(1) == 1
    assert asked.count(retention_module.BOUNDARY) > 2


async def test_events_of_a_run_at_work_are_never_pruned(world: RunWorld) -> None:
    gate = Gate()
    world.model.script(say("old"), [TextDelta("x"), gate, *say("y")])
    async with world.process() as runner:
        old = await world.accept()
        await world.work_off(runner, old)
        open_run = await world.accept()
        await runner.execute(open_run)
        await gate.reached.wait()
        world.clock.move(40 * DAY_S)

        await EventRetention(world.database, world.clock, keep_days=30).prune()

        assert await world.events(old) == []
        assert (await world.events(open_run))[0].seq == 1
        gate.opened.set()


async def test_a_story_is_told_once_its_last_event_was_seen(world: RunWorld) -> None:
    run_id = await ended_run(world)
    service, items = world.service(None), await story(world, run_id)
    cursors = [encode_cursor(item.workspace_id, item.cursor) for item in items]

    told = [
        await service.is_told(world.principal, run_id, after=cursor) for cursor in [None, *cursors]
    ]

    assert told == [*[False] * len(items), True]


async def test_a_story_that_goes_on_is_not_told(world: RunWorld) -> None:
    run_id = await world.accept()

    assert not await world.service(None).is_told(world.principal, run_id, after=None)
    with pytest.raises(BadCursor):
        await world.service(None).is_told(world.principal, run_id, after="x")
