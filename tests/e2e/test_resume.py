"""A subscriber that is cut off goes on where it was: every event once, none left out."""

import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing

import pytest
import pytest_asyncio

from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.graphql_client import Client, Item, numbers, shown, text_of
from tests.e2e.stored import new_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIZES = [
    pytest.param(10, 60, id="10-cuts"),
    pytest.param(50, 500, id="50-cuts", marks=pytest.mark.soak),
]


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)],
)
async def gob(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[GobProcess, None]:
    """A server with the simulated model, on each database."""
    settings = {"MODEL_PROVIDER": "simulated", "MIGRATE": "auto"}
    async with AsyncExitStack() as stack:
        if request.param == "postgres":
            server = request.getfixturevalue("postgres_server")
            settings["DB_URL"] = await stack.enter_async_context(new_database(server))
        gob = GobProcess(tmp_path_factory.mktemp("resumed"), settings)
        yield stack.enter_context(gob)
        assert TRACEBACK not in gob.err


def words(count: int) -> str:
    """What the simulated model says."""
    return "".join(f"token-{number} " for number in range(1, count + 1))


def instruction(tokens: int) -> str:
    """Twenty words, a tool and as many words as wanted, fifty a second."""
    tool = '"tool": {"name": "calculate", "arguments": {"expression": "6*7"}}'
    return f'{{"tokens": {tokens}, "delay_s": 0.02, {tool}}}'


def is_over(items: Sequence[Item]) -> bool:
    """True once the run's last event has come."""
    return bool(items) and items[-1]["__typename"] in {"RunFinished", "RunFailed"}


@pytest.mark.parametrize(("cuts", "tokens"), SIZES)
async def test_events_of_a_running_run_come_once_each_however_often_the_line_is_cut(
    gob: GobProcess, chance: random.Random, cuts: int, tokens: int
):
    seen: list[Item] = []
    async with Client.of(gob) as client:
        run_id = (await client.execute(instruction(tokens)))["id"]
        for _ in range(cuts):
            if not is_over(seen):
                after = seen[-1]["cursor"] if seen else None
                seen += await client.cut_off(run_id, after, chance.randint(1, 10))
        if not is_over(seen):
            seen += await client.story(run_id, seen[-1]["cursor"])
        run = await client.run(run_id)

    assert numbers(seen) == list(range(1, seen[-1]["seq"] + 1))
    assert text_of(seen) == seen[-1]["output"] == run["output"] == words(tokens)


@pytest.mark.parametrize(("cuts", "tokens"), SIZES)
async def test_a_finished_run_tells_its_whole_story_and_the_rest_from_any_place(
    gob: GobProcess, chance: random.Random, cuts: int, tokens: int
):
    async with Client.of(gob) as client:
        run_id = (await client.execute(instruction(tokens)))["id"]
        live = await client.story(run_id)
        replayed = await client.story(run_id)
        last = live[-1]["seq"]
        for item in chance.choices(live, k=cuts):
            rest = await client.story(run_id, item["cursor"])
            assert numbers(rest) == list(range(item["seq"] + 1, last + 1))

    assert numbers(live) == numbers(replayed) == list(range(1, last + 1))
    assert len(replayed) < len(live)
    assert text_of(replayed) == text_of(live) == words(tokens)
    assert replayed[-1] == live[-1]


@pytest.mark.parametrize(("cuts", "tokens"), SIZES)
async def test_tokens_go_on_after_the_seq_that_was_seen_last(
    gob: GobProcess, chance: random.Random, cuts: int, tokens: int
):
    pieces: list[Item] = []
    async with Client.of(gob) as client:
        run_id = (await client.execute(instruction(tokens)))["id"]
        for _ in range(cuts):
            wanted = chance.randint(1, 10)
            after = pieces[-1]["seq"] if pieces else 0
            async with aclosing(client.tokens(run_id, after)) as stream:
                async for piece in stream:
                    pieces.append(piece)
                    wanted -= 1
                    if not wanted:
                        break
        pieces += [piece async for piece in client.tokens(run_id, pieces[-1]["seq"])]
        at_the_end = [piece async for piece in client.tokens(run_id, pieces[-1]["seq"])]

    seqs = [piece["seq"] for piece in pieces]
    assert seqs == sorted(set(seqs))
    assert shown(pieces) == words(tokens)
    assert at_the_end == []
