"""`gob doctor` tells of tasks that cannot be read."""

from pathlib import Path

from app.cli.doctor.checks import Status
from app.cli.doctor.examination import examine
from app.settings import load_settings
from schema.ids import Kind, decode_id
from tests.api.api_world import api_world
from tests.api.task_documents import made
from tests.domain.spoiled_rows import spoil

NO_FILE = Path("/dev/null")


async def test_rows_of_tasks_that_cannot_be_read_are_named_with_what_is_wrong(tmp_path: Path):
    settings = load_settings({"DATA_DIR": str(tmp_path)}, NO_FILE)
    async with api_world(tmp_path) as world:
        odd = await made(world, name="Odd")
        await made(world, name="Sound")
    [well] = [check for check in await examine(settings) if check.name == "tasks"]

    async with api_world(tmp_path / "..", url=f"sqlite:///{tmp_path / 'gob.db'}") as world:
        ident = decode_id(Kind.TASK, odd["id"], path="id")
        await spoil(world.runs.database, "task", ident, retry="{")
    [broken] = [check for check in await examine(settings) if check.name == "tasks"]

    assert (well.status, well.found) == (Status.OK, "2 can be read")
    assert (broken.status, broken.cure) == (
        Status.WARNING,
        "Repair each as its pauseReason says; the others go on.",
    )
    assert broken.found == (
        "1 of 2 cannot be read: 'Odd'. The first: The task cannot be read: retry: '{' is no JSON."
        " Send retry anew with updateTask, or delete it."
    )
