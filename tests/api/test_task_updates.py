"""Changes of tasks as a stream."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from app.graphql.engine import SourceFailed
from domain.access.scopes import Scope
from domain.events.cursors import encode_cursor
from tests.api.api_world import TRACE, ApiWorld, api_world
from tests.api.task_documents import (
    DELETE,
    PAUSE,
    RUN_NOW,
    UNKNOWN,
    UPDATES,
    first_of,
    made,
)
from tests.fakes import SteppedClock


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


def start(world: ApiWorld) -> str:
    return encode_cursor(world.runs.principal.workspace_id, 0)


async def test_every_change_of_a_task_is_told_in_order(world: ApiWorld):
    task = await made(world)
    await world.ask(PAUSE, input={"taskId": task["id"]})
    await world.ask(RUN_NOW, input={"taskId": task["id"]})

    found = await first_of(world, UPDATES, 3, after=start(world))

    updates = [item["taskUpdates"] for item in found]
    assert [update["change"] for update in updates] == ["CREATED", "UPDATED", "OCCURRENCE"]
    assert {update["taskId"] for update in updates} == {task["id"]}
    assert {update["traceId"] for update in updates} == {TRACE.trace_id}
    assert updates[0]["task"] == {"id": task["id"], "name": "Report"}
    assert updates[0]["occurrence"] is None
    assert updates[2]["occurrence"]["trigger"] == "MANUAL"


async def test_a_stream_goes_on_after_the_cursor_of_the_last_event_seen(world: ApiWorld):
    task = await made(world)
    [first] = await first_of(world, UPDATES, 1, after=start(world))
    await world.ask(PAUSE, input={"taskId": task["id"]})

    [second] = await first_of(world, UPDATES, 1, after=first["taskUpdates"]["cursor"])

    assert second["taskUpdates"]["change"] == "UPDATED"


async def test_a_deleted_task_is_told_by_its_id_alone(world: ApiWorld):
    task = await made(world)
    await world.ask(DELETE, input={"taskId": task["id"]})

    found = await first_of(world, UPDATES, 2, after=start(world), taskId=task["id"])

    last = found[-1]["taskUpdates"]
    assert (last["change"], last["taskId"], last["task"]) == ("DELETED", task["id"], None)


async def test_one_task_can_be_watched_alone(world: ApiWorld):
    one, other = await made(world, name="One"), await made(world, name="Other")
    await world.ask(PAUSE, input={"taskId": one["id"]})
    await world.ask(PAUSE, input={"taskId": other["id"]})

    found = await first_of(world, UPDATES, 2, after=start(world), taskId=other["id"])

    assert [item["taskUpdates"]["change"] for item in found] == ["CREATED", "UPDATED"]
    assert {item["taskUpdates"]["taskId"] for item in found} == {other["id"]}


class HurriedClock(SteppedClock):
    """A clock on which a minute passes whenever somebody looks."""

    def now_us(self) -> int:
        self.move(60)
        return super().now_us()


async def test_a_stream_of_one_task_beats_while_only_others_change(world: ApiWorld):
    one, other = await made(world, name="One"), await made(world, name="Other")
    seen = await first_of(world, UPDATES, 1, after=start(world), taskId=other["id"])
    await world.ask(PAUSE, input={"taskId": one["id"]})
    world.services = replace(world.services, clock=HurriedClock())

    [beat] = await first_of(
        world, UPDATES, 1, after=seen[0]["taskUpdates"]["cursor"], taskId=other["id"]
    )

    assert beat["taskUpdates"]["__typename"] == "Heartbeat"
    [last] = await first_of(world, UPDATES, 1, after=seen[0]["taskUpdates"]["cursor"])
    assert beat["taskUpdates"]["cursor"] == last["taskUpdates"]["cursor"]


async def test_an_unknown_task_cannot_be_watched(world: ApiWorld):
    with pytest.raises(SourceFailed) as refused:
        await first_of(world, UPDATES, 1, taskId=UNKNOWN)

    assert refused.value.body["message"] == f"No task has the id '{UNKNOWN}'."
    assert refused.value.body["extensions"]["code"] == "NOT_FOUND"


async def test_a_caller_without_the_scope_sees_no_stream(world: ApiWorld):
    with pytest.raises(SourceFailed) as refused:
        await world.listen(UPDATES, caller=world.caller(Scope.RUNS_READ))

    assert refused.value.body["extensions"]["code"] == "FORBIDDEN"


async def test_a_cursor_that_nobody_gave_out_is_refused(world: ApiWorld):
    with pytest.raises(SourceFailed) as refused:
        await world.listen(UPDATES, after="nonsense")

    assert refused.value.body["extensions"]["code"] == "BAD_CURSOR"


async def test_an_empty_id_watches_no_task_instead_of_all(world: ApiWorld):
    with pytest.raises(SourceFailed) as refused:
        await first_of(world, UPDATES, 1, taskId="")

    assert refused.value.body["message"] == "taskId: '' is no id; send one that this API gave out."
