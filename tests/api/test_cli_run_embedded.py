"""Without a server `gob run` carries out its own run, and leaves all other work alone."""

from pathlib import Path

import pytest

from app.cli.run.desk import Json
from app.cli.run.embedded_desk import embedded_desk
from app.cli.run.following import GRACE_S, Exit, Stops, follow
from app.cli.run.order import RunOrder
from app.container import Role, open_container
from app.settings import Settings, load_settings
from domain.access.scopes import Principal

SUM = 'calculate {"expression": "6 * 7"}'


class Noted:
    """A view that keeps what it is shown."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.kinds: list[str] = []
        self.run: Json = {}

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def started(self, run: Json) -> None:
        self.kinds.append("started")

    def show(self, item: Json) -> None:
        self.kinds.append(item["type"])

    def ended(self, run: Json) -> None:
        self.run = run

    def cancelling(self) -> None:
        """Nothing to show."""

    def tick(self) -> None:
        """No clock."""

    def close(self) -> None:
        """No terminal."""


def set_up(folder: Path, **more: str) -> Settings:
    values = {"DATA_DIR": str(folder), "SWEEP_INTERVAL_S": "0.01", **more}
    return load_settings(values, Path("/dev/null"))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "sqlite":
        return set_up(tmp_path)
    return set_up(tmp_path, DB_URL=request.getfixturevalue("postgres_url"), MIGRATE="auto")


async def carried_out(settings: Settings, order: RunOrder) -> tuple[Exit, Noted]:
    view = Noted()
    async with embedded_desk(settings, view.note) as desk:
        return await follow(desk, order.values(), view, stops=Stops()), view


async def test_a_run_is_told_to_its_end(settings: Settings):
    ended, view = await carried_out(settings, RunOrder(instruction=SUM))

    assert ended is Exit.SUCCEEDED
    assert view.run["status"] == "SUCCEEDED"
    assert view.run["createdBy"] == "command line"
    assert "42" in view.run["output"]
    assert [kind for kind in view.kinds if kind != "TokenDelta"] == [
        "started",
        "RunStarted",
        "UsageUpdated",
        "ToolCallStarted",
        "ToolCallFinished",
        "UsageUpdated",
        "RunFinished",
    ]


async def test_the_runs_of_others_are_left_alone(tmp_path: Path):
    settings = set_up(tmp_path)
    asked = {"agent": {"slug": "default"}, "instruction": SUM}
    async with open_container(settings, Role.API) as server:
        caller = Principal.of_house(server.workspace.id)
        other = (await server.runs.execute(caller, asked)).row

    await carried_out(settings, RunOrder(instruction=SUM))

    async with open_container(settings, Role.API) as server:
        row = await server.runs.run(caller, other.id)
    assert row is not None
    assert row.status == "QUEUED"


async def test_time_that_is_up_ends_a_run(tmp_path: Path):
    order = RunOrder(
        instruction='{"tokens": 10000, "delay_s": 0.01}', model="simulated:simulated", timeout_s=1
    )
    view = Noted()

    async with embedded_desk(set_up(tmp_path), view.note) as desk:
        ended = await follow(desk, order.values(), view, stops=Stops(), timeout_s=-GRACE_S)

    assert ended is Exit.TIMED_OUT
    assert view.run["status"] == "CANCELLED"
    assert view.run["statusReason"] == "It took too long."
