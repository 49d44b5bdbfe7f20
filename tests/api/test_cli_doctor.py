"""`gob doctor` looks at each part, and names a cure for what is wrong with it."""

import asyncio
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from app.cli.doctor.checks import Check, Status, failed, fine, is_well, warning
from app.cli.doctor.clock import judged as clock_judged
from app.cli.doctor.clock import look_at_clock, look_at_zones
from app.cli.doctor.examination import examine
from app.cli.doctor.report import as_json, as_lines
from app.cli.doctor.sandbox import Walls, look_at_sandbox
from app.cli.doctor.sandbox import judged as walls_judged
from app.cli.doctor.servers import look_at_database
from app.cli.doctor.storage import FEW_FILES, LITTLE_BYTES, TOO_LITTLE_BYTES, Room
from app.cli.doctor.storage import judged as rooms_judged
from app.database import DatabaseOptions, migrate
from app.settings import Settings, load_settings
from app.version import own_version
from tests.ports.scripted_openai import ScriptedOpenAI

NO_FILE = Path("/dev/null")
MIGRATE_CURE = "Run `gob migrate` once, or set MIGRATE=auto."
NOON_US = 1_790_000_000_000_000
"""2026-09-21T14:13:20 UTC."""


def set_up(folder: Path, **given: str) -> Settings:
    """Settings whose files lie in the folder."""
    return load_settings({"DATA_DIR": str(folder), **given}, NO_FILE)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is bound and never listens: connecting is refused, and nobody takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def test_a_fresh_folder_is_healthy(tmp_path: Path):
    checks = await examine(set_up(tmp_path))

    assert [check.name for check in checks] == [
        "settings",
        "data folder",
        "disk",
        "database",
        "redis",
        "model",
        "clock",
        "zone data",
        "sandbox",
    ]
    assert is_well(checks)


async def test_each_trouble_has_a_cure_and_shows_no_secret(tmp_path: Path, closed_port: int):
    file = tmp_path / "backend.env"
    file.write_text("PROT=1\n")
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    settings = load_settings(
        {
            "DB_URL": f"postgresql://gob:hunter22@127.0.0.1:{closed_port}/gob",
            "REDIS_URL": f"redis://:hunter22@127.0.0.1:{closed_port}",
            "MODEL_PROVIDER": "openai",
            "OPENAI_BASE_URL": f"http://me:hunter22@127.0.0.1:{closed_port}/v1",
            "OPENAI_API_KEY": "sk-never-to-be-seen",
            "DATA_DIR": str(blocked),
        },
        file,
    )

    checks = await examine(settings)

    found = {check.name: check.status for check in checks if check.status is not Status.OK}
    assert found.pop("sandbox", Status.WARNING) is Status.WARNING
    assert found == {
        "settings": Status.WARNING,
        "data folder": Status.FAILED,
        "database": Status.FAILED,
        "redis": Status.FAILED,
        "model": Status.FAILED,
    }
    assert all(check.cure for check in checks if check.status is not Status.OK)
    assert "gob doctor" not in repr([check.cure for check in checks])
    assert not is_well(checks)
    for secret in ("hunter22", "sk-never-to-be-seen"):
        assert secret not in repr(checks)


async def test_a_database_that_never_answers_is_said_to_be_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.cli.doctor.servers.TIMEOUT_S", 0.05)

    async def listen(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    settings = set_up(tmp_path, DB_URL=f"postgresql://gob@127.0.0.1:{port}/gob")

    async with silent:
        seen = await look_at_database(settings)

    assert (seen.status, seen.found) == (Status.FAILED, "PostgreSQL: TimeoutError")


async def test_a_file_that_is_no_database_is_seen(tmp_path: Path):
    (tmp_path / "gob.db").write_text("this is no database, " * 100)

    (broken,) = [
        check for check in await examine(set_up(tmp_path)) if check.status is Status.FAILED
    ]

    assert broken.name == "database"
    assert broken.found.endswith("file is not a database")


@pytest.mark.postgres
@pytest.mark.redis
async def test_real_servers_are_reached_and_their_clocks_read(
    postgres_url: str, redis_url: str, tmp_path: Path
):
    settings = set_up(tmp_path, DB_URL=postgres_url, REDIS_URL=redis_url)
    await migrate(DatabaseOptions(url=postgres_url, migrates_at_start=False))

    checks = {check.name: check for check in await examine(settings)}

    assert is_well(list(checks.values()))
    assert checks["database"].found.startswith("PostgreSQL ")
    assert checks["redis"].found == "answers"
    assert checks["clock"].found.endswith(", as by PostgreSQL and Redis")


@pytest.mark.parametrize("mode", ["manual", "auto"])
async def test_revisions_that_are_missing_are_named(tmp_path: Path, mode: str):
    (tmp_path / "gob.db").touch()

    checks = await examine(set_up(tmp_path, MIGRATE=mode))

    (database,) = [check for check in checks if check.name == "database"]
    assert "; lacks " in database.found
    assert "0003_audit" in database.found
    assert database.status is (Status.OK if mode == "auto" else Status.FAILED)
    assert database.cure == (None if mode == "auto" else MIGRATE_CURE)


async def test_the_date_of_a_web_server_is_a_clock_too(tmp_path: Path):
    async with ScriptedOpenAI() as server:
        server.reply(404, b"", headers={"Date": "Mon, 21 Sep 2026 14:13:20 GMT"})
        seen = await look_at_clock(
            set_up(tmp_path), {"openai": server.base_url, "ollama": "http://127.0.0.1:1"}
        )

    assert seen.name == "clock"
    assert seen.found.endswith("openai")


@pytest.mark.parametrize(
    ("ahead_s", "status", "end"),
    [
        ({}, Status.OK, ", with no other clock to compare"),
        ({"Redis": 1.2, "openai": -0.4}, Status.OK, ", as by Redis and openai"),
        ({"Redis": 1.2, "openai": -7.4}, Status.WARNING, ", 7 s behind openai"),
        ({"Redis": 3600.0}, Status.FAILED, ", 3,600 s ahead of Redis"),
    ],
)
def test_a_clock_that_differs_is_told(ahead_s: Mapping[str, float], status: Status, end: str):
    check = clock_judged(ahead_s, now_us=NOON_US)

    assert check.status is status
    assert check.found == f"2026-09-21T14:13:20+00:00{end}"


async def test_the_zones_know_summer_time(tmp_path: Path):
    seen = await look_at_zones(set_up(tmp_path))

    assert seen.status is Status.OK
    assert seen.found.endswith(" zones, with their summer times")


@pytest.mark.parametrize(
    ("room", "status"),
    [
        (Room(folder=Path("var"), free_bytes=LITTLE_BYTES, total_bytes=1 << 40), Status.OK),
        (Room(folder=Path("var"), free_bytes=LITTLE_BYTES - 1, total_bytes=1), Status.WARNING),
        (Room(folder=Path("var"), free_bytes=TOO_LITTLE_BYTES - 1, total_bytes=1), Status.FAILED),
        (
            Room(folder=Path("var"), free_bytes=1 << 40, total_bytes=1 << 40, files=FEW_FILES - 1),
            Status.WARNING,
        ),
        (
            Room(folder=Path("var"), free_bytes=1 << 40, total_bytes=1 << 40, files=0),
            Status.FAILED,
        ),
    ],
)
def test_a_disk_that_fills_is_told_in_time(room: Room, status: Status):
    assert rooms_judged([room]).status is status


def test_the_tightest_disk_decides():
    rooms = [
        Room(folder=Path("var"), free_bytes=5 << 30, total_bytes=10 << 30),
        Room(folder=Path("db"), free_bytes=50 << 20, total_bytes=10 << 30, files=9),
    ]

    check = rooms_judged(rooms)

    assert check.status is Status.FAILED
    assert check.found == (
        "var: 5.0 GiB of 10.0 GiB free; db: 50 MiB of 10.0 GiB free, room for 9 more files"
    )


@pytest.mark.parametrize(
    ("walls", "level", "status"),
    [
        (Walls(namespaces=True, landlock_abi=7, seccomp=True), "strong", Status.OK),
        (Walls(namespaces=False, landlock_abi=1, seccomp=True), "medium", Status.OK),
        (Walls(namespaces=True, landlock_abi=0, seccomp=True), "medium", Status.OK),
        (Walls(namespaces=True, landlock_abi=7, seccomp=False), "none", Status.WARNING),
        (Walls(namespaces=False, landlock_abi=0, seccomp=True), "none", Status.WARNING),
    ],
)
def test_the_walls_decide_how_well_code_could_be_shut_in(walls: Walls, level: str, status: Status):
    check = walls_judged(walls)

    assert (walls.level, check.status) == (level, status)
    assert check.found.startswith(f"{level} (")
    assert check.found.endswith("; no tool of this version runs code")


async def test_the_kernel_is_asked_for_its_walls(tmp_path: Path):
    seen = await look_at_sandbox(set_up(tmp_path))

    assert seen.found.partition(" ")[0] in {"strong", "medium", "none"}


CHECKS = [
    fine("settings", "embedded"),
    warning("clock", "7 s behind", "Set it."),
    failed("model", "no answer", "Start it."),
]


def test_the_report_for_people_puts_the_cure_below(capsys: pytest.CaptureFixture[str]):
    assert as_lines(CHECKS) == [
        "ok   settings  embedded",
        "note clock     7 s behind",
        "               -> Set it.",
        "BAD  model     no answer",
        "               -> Start it.",
        "",
        "1 to mend and 1 to know.",
    ]
    assert as_lines(CHECKS[:1])[-1] == "All is well."


def test_the_report_for_programs_has_one_shape():
    report = json.loads(as_json(CHECKS))

    assert report == {
        "ok": False,
        "version": own_version(),
        "checks": [
            {"name": "settings", "status": "ok", "found": "embedded", "cure": None},
            {"name": "clock", "status": "warning", "found": "7 s behind", "cure": "Set it."},
            {"name": "model", "status": "failed", "found": "no answer", "cure": "Start it."},
        ],
    }
    warned: list[Check] = CHECKS[:2]
    assert json.loads(as_json(warned))["ok"] is True
