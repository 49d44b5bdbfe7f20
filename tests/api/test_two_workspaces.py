"""Nobody sees or changes what belongs to another workspace, whatever operation there is.

Every operation of the served schema is called as another workspace's admin: each place that can
name an object is given one of the first workspace's, one at a time, and so is each cursor.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from domain.events.cursors import encode_cursor
from schema.ids import Kind
from tests.api.schema_walk import Place, Sort, Walk
from tests.api.served import served_core
from tests.api.two_workspaces import (
    DEADLINE_S,
    GLOBAL_ID,
    House,
    Workspace,
    fill,
    is_nothing,
    make_workspace,
    open_house,
)

OF_ALL = {Kind.TOOL}
"""Kinds whose objects belong to the server and look the same in every workspace."""
LISTS_OF_ALL = {"tools"}
"""Lists of such objects: their cursors are good for everyone."""
WITHOUT_WORKSPACE = {"tortoise_migrations", "memory_word"}
"""Tables that hold nothing of any workspace, or only numbers that stand for its rows."""
REFUSALS = {"NOT_FOUND", "BAD_CURSOR"}
UNFIT = {"ValidationFailed", "NotFound", "Forbidden"}
"""What a call of one's own must not answer: it says that the call was made wrongly."""
ENDED_BY_THE_WALK = {"cancelRun", "pauseRun", "resumeRun", "steerRun"}
"""Mutations of which a call of one's own meets a Conflict: the run has ended by then."""


@dataclass(kw_only=True)
class Crawl:
    """The first workspace, whose secrets are looked for, and the second, which looks."""

    house: House
    walk: Walk
    first: Workspace
    second: Workspace
    secrets: set[str]

    def leaks(self, answer: Any, sent: Mapping[str, Any]) -> set[str]:
        """What of the first workspace stands in an answer and was not just sent."""
        text, given = json.dumps(answer), json.dumps(sent)
        return {secret for secret in self.secrets if secret in text and secret not in given}

    def foreign(self, place: Place) -> list[str]:
        """What of the first workspace may be named at a place."""
        match place.names:
            case Sort.SLUG:
                return [self.first.slug]
            case Sort.CURSOR:
                return []
            case Sort.ANY:
                return list(self.first.ids.values())
            case kind:
                return [] if kind in OF_ALL else [self.first.ids[kind]]


@pytest.fixture
async def crawl(tmp_path: Path) -> AsyncGenerator[Crawl, None]:
    async with open_house(tmp_path) as house:
        first = await make_workspace(house, "First")
        second = await make_workspace(house, "Second")
        walk = Walk(served_core())
        secrets = await secrets_of(house, walk, first)
        yield Crawl(house=house, walk=walk, first=first, second=second, secrets=secrets)


async def secrets_of(house: House, walk: Walk, workspace: Workspace) -> set[str]:
    """Every id that the workspace's admin can see, raw ids, and the word in all of its texts."""
    seen: set[str] = {workspace.marker, *workspace.ids.values()}
    for operation, name, definition in walk.roots():
        if operation == "query":
            document = walk.document(operation, name, definition)
            variables = walk.variables(name, definition, workspace.ids)
            answer = json.dumps(await house.ask(workspace.principal, document, variables))
            seen |= set(GLOBAL_ID.findall(answer))
    rows = await house.rows(workspace.principal.workspace_id)
    seen |= {row[0] for table in rows.values() for row in table if is_raw_id(row[0])}
    shared = tuple(f"{kind.value}_" for kind in OF_ALL)
    return {secret for secret in seen if not secret.startswith(shared)}


def is_raw_id(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 36


def is_refusal(answer: Mapping[str, Any]) -> bool:
    errors = answer.get("errors", [])
    if errors:
        return {error["extensions"]["code"] for error in errors} <= REFUSALS
    return all(is_nothing(value) for value in answer["data"].values())


async def test_every_kind_of_object_is_in_the_workspaces(crawl: Crawl):
    assert set(crawl.first.ids) == set(Kind) - OF_ALL
    assert {table for table, column in (await crawl.house.tables()).items() if not column} == (
        WITHOUT_WORKSPACE
    )


async def test_nothing_of_another_workspace_is_found_by_naming_it(crawl: Crawl):
    house, second = crawl.house, crawl.second
    before = await house.rows(crawl.first.principal.workspace_id)
    wrong: dict[str, Any] = {}
    tried = 0

    for case, document, variables in named_elsewhere(crawl, {"query", "mutation"}):
        answer = await house.ask(second.principal, document, variables)
        tried += 1
        if crawl.leaks(answer, variables) or not is_refusal(answer):
            wrong[case] = answer

    assert wrong == {}
    assert tried > len(Kind)
    assert await house.rows(crawl.first.principal.workspace_id) == before


async def test_no_stream_tells_of_another_workspace_by_naming_it(crawl: Crawl):
    house, second = crawl.house, crawl.second
    cases = list(named_elsewhere(crawl, {"subscription"}))

    # Streams that have nothing to tell wait for a heartbeat, so all of them wait together.
    answers = await asyncio.gather(
        *(house.first(second.principal, document, variables) for _, document, variables in cases)
    )

    wrong = {
        case: answer
        for (case, _, variables), answer in zip(cases, answers, strict=True)
        if crawl.leaks(answer, variables) or not is_refusal(answer)
    }
    assert wrong == {}
    assert cases != []


def named_elsewhere(
    crawl: Crawl, operations: set[str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each call of the second workspace that names an object of the first at one place."""
    walk = crawl.walk
    for operation, name, definition in walk.roots():
        if operation not in operations:
            continue
        document = walk.document(operation, name, definition)
        for place in walk.places(name, definition):
            for foreign in crawl.foreign(place):
                variables = walk.variables(
                    name, definition, crawl.second.ids, place=place, foreign=foreign
                )
                yield f"{name} {place} {foreign}", document, variables


async def test_no_cursor_of_another_workspace_is_taken(crawl: Crawl):
    house, walk, second = crawl.house, crawl.walk, crawl.second
    wrong: dict[str, Any] = {}

    for operation, name, definition in walk.roots():
        cursors = [p for p in walk.places(name, definition) if p.names is Sort.CURSOR]
        if not cursors or name in LISTS_OF_ALL:
            continue
        document = walk.document(operation, name, definition)
        cursor = await cursor_of(crawl, operation, name)
        for place in cursors:
            variables = walk.variables(name, definition, second.ids, place=place, foreign=cursor)
            call = house.first if operation == "subscription" else house.ask
            answer = await call(second.principal, document, variables)
            if crawl.leaks(answer, variables) or not is_refusal(answer):
                wrong[f"{name} {place}"] = answer

    assert wrong == {}


async def cursor_of(crawl: Crawl, operation: str, name: str) -> str:
    """A cursor that this list or stream gave out in the first workspace."""
    walk, first = crawl.walk, crawl.first
    if operation == "subscription":
        ((head,),) = await crawl.house.container.database.fetch(
            "SELECT cursor FROM event_head WHERE workspace_id = $1",
            first.principal.workspace_id,
        )
        return encode_cursor(first.principal.workspace_id, head)
    definition = next(field for _, field_name, field in walk.roots() if field_name == name)
    document = walk.document(operation, name, definition)
    variables = walk.variables(name, definition, first.ids)
    answer = await crawl.house.ask(first.principal, document, variables)
    page = answer["data"][name]
    return next(value for key, value in page.items() if key.endswith("_pageInfo"))[
        "PageInfo_endCursor"
    ]


async def test_calls_of_ones_own_show_and_change_nothing_of_another_workspace(crawl: Crawl):
    house, walk, second = crawl.house, crawl.walk, crawl.second
    before = await house.rows(crawl.first.principal.workspace_id)
    wrong: dict[str, Any] = {}

    for operation, name, definition in walk.roots():
        if operation == "subscription":
            continue
        await fill(house, second)
        variables = walk.variables(name, definition, second.ids)
        document = walk.document(operation, name, definition)
        answer = await house.ask(second.principal, document, variables)
        value = (answer.get("data") or {}).get(name)
        outcome = value.get("__typename") if isinstance(value, dict) else None
        failed = "errors" in answer or outcome in UNFIT
        if name not in ENDED_BY_THE_WALK:
            failed = failed or outcome == "Conflict"
        if failed or crawl.leaks(answer, variables):
            wrong[name] = answer

    assert wrong == {}
    assert await house.rows(crawl.first.principal.workspace_id) == before
    rows = json.dumps(await house.rows(second.principal.workspace_id), default=str)
    assert [secret for secret in crawl.secrets if secret in rows] == []


async def test_streams_of_ones_own_carry_nothing_of_another_workspace(crawl: Crawl):
    walk = crawl.walk
    wrong: dict[str, Any] = {}

    for operation, name, definition in walk.roots():
        if operation == "subscription":
            document = walk.document(operation, name, definition)
            variables = walk.variables(name, definition, crawl.second.ids)
            heard = await hear(crawl, document, variables)
            if not heard or crawl.leaks(heard, variables) or "errors" in heard[0]:
                wrong[name] = heard

    assert wrong == {}


async def hear(crawl: Crawl, document: str, variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a stream of the second workspace tells while both workspaces are at work."""
    stream = await crawl.house.listen(crawl.second.principal, document, variables)
    heard: list[dict[str, Any]] = []

    async def follow() -> None:
        async with aclosing(stream.payloads()) as payloads:
            async for payload in payloads:
                heard.append(orjson.loads(payload))
                if crawl.second.marker in payload:
                    return

    async with asyncio.timeout(DEADLINE_S):
        following = asyncio.create_task(follow())
        while not following.done():
            await fill(crawl.house, crawl.first)
            await fill(crawl.house, crawl.second)
            await asyncio.wait({following}, timeout=0.05)
        await following
    return heard
