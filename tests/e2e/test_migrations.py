"""Migrations as operators meet them: refused, run by command, from old data, and two at once."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget

from app.database import APP, DatabaseOptions, _apps, _context
from tests.e2e.gob_process import DEADLINE_S, GobProcess, run_gob
from tests.e2e.graphql_client import Client
from tests.e2e.stored import rows

REVISIONS = [
    "0001_foundation",
    "0002_runs",
    "0003_audit",
    "0004_memory",
    "0005_behavior",
    "0006_tasks",
    "0007_model_steps",
    "0008_run_costs",
    "0009_control",
    "0010_behavior_profiles",
    "0011_limit_marks",
    "0012_task_bounds",
    "0013_occurrence_references",
]
WORKSPACE, CONVERSATION, MESSAGE = (f"01a20551-c6ed-7000-a695-00000000000{n}" for n in (1, 2, 3))
OLD_ROWS = [
    f"INSERT INTO workspace VALUES ('{WORKSPACE}', 'default', 'Old name', 1)",
    f"INSERT INTO event_head VALUES ('{WORKSPACE}', 0, 0)",
    f"""INSERT INTO conversation
        VALUES ('{CONVERSATION}', '{WORKSPACE}', 'Kept', NULL, '{{}}', 1, 1)""",
    f"""INSERT INTO message
        VALUES ('{MESSAGE}', '{WORKSPACE}', '{CONVERSATION}', 'USER', 'Still here', NULL, 2, 1)""",
]


async def make_old(url: str) -> None:
    """Bring an empty database to the first revision, and fill it."""
    options = DatabaseOptions(url=url, migrates_at_start=False)
    async with _context(options) as context:
        client = context.connections.get(options.writer)
        await client.create_connection(with_db=True)
        executor = MigrationExecutor(client, _apps(options.writer))
        target = MigrationTarget(app_label=APP, name=REVISIONS[0])
        await executor.migrate([target], direction="forward")
        for statement in OLD_ROWS:
            await client.execute_query(statement)


async def migrate_twice(folder: Path, settings: Mapping[str, str]) -> list[list[str]]:
    """Run two `migrate` commands at once; what each printed."""
    commands = [
        asyncio.to_thread(run_gob, folder / name, "migrate", settings=settings)
        for name in ("one", "two")
    ]
    ended = await asyncio.wait_for(asyncio.gather(*commands), DEADLINE_S)
    assert [command.code for command in ended] == [0, 0], ended
    return sorted(command.out.splitlines() for command in ended)


@pytest.mark.postgres
@pytest.mark.parametrize("command", [["serve"], ["keys", "list"]], ids=" ".join)
async def test_an_empty_postgres_is_not_touched_unless_told(
    tmp_path: Path, postgres_url: str, command: list[str]
):
    ended = run_gob(tmp_path, *command, settings={"DB_URL": postgres_url})

    assert ended.code == 2
    assert ended.err.strip().splitlines()[-1] == (
        f"The database lacks {len(REVISIONS)} revision(s): {', '.join(REVISIONS)}. "
        "Run `python -m app migrate` once, or set MIGRATE=auto."
    )
    assert "Traceback" not in ended.err
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
    assert await rows(postgres_url, tables) == [(0,)]


@pytest.mark.postgres
async def test_a_migrated_postgres_serves(tmp_path: Path, postgres_url: str):
    settings = {"DB_URL": postgres_url}

    first = run_gob(tmp_path, "migrate", settings=settings)
    second = run_gob(tmp_path, "migrate", settings=settings)
    with GobProcess(tmp_path, settings) as gob:
        async with Client.of(gob) as client:
            run = await client.execute('calculate {"expression": "2*21"}', waitSeconds=30)

    assert first.out.splitlines() == [f"applied {revision}" for revision in REVISIONS]
    assert second.out.splitlines() == ["The database is up to date."]
    assert run["status"] == "SUCCEEDED"


async def test_data_of_the_revision_before_is_kept(tmp_path: Path, empty_database_url: str):
    await make_old(empty_database_url)

    migrated = run_gob(tmp_path, "migrate", settings={"DB_URL": empty_database_url})
    with GobProcess(tmp_path, {"DB_URL": empty_database_url}) as gob:
        async with Client.of(gob) as client:
            seen = await client.ask(
                "{ viewer { workspace { name } }"
                " conversations { nodes { title messages { nodes { content role } } } } }"
            )
            run = await client.execute('calculate {"expression": "2*21"}', waitSeconds=30)

    assert migrated.out.splitlines() == [f"applied {revision}" for revision in REVISIONS[1:]]
    assert seen["viewer"]["workspace"]["name"] == "Old name"
    assert seen["conversations"]["nodes"] == [
        {"title": "Kept", "messages": {"nodes": [{"content": "Still here", "role": "USER"}]}}
    ]
    assert run["status"] == "SUCCEEDED"


async def test_of_two_that_migrate_at_once_one_does_it(tmp_path: Path, empty_database_url: str):
    printed = await migrate_twice(tmp_path, {"DB_URL": empty_database_url})

    assert printed == [
        ["The database is up to date."],
        [f"applied {revision}" for revision in REVISIONS],
    ]


@pytest.mark.postgres
async def test_two_servers_that_start_at_once_on_an_empty_database_both_serve(
    tmp_path: Path, postgres_url: str, redis_url: str
):
    settings = {"DB_URL": postgres_url, "REDIS_URL": redis_url, "MIGRATE": "auto"}
    one, two = (GobProcess(tmp_path / name, settings) for name in ("one", "two"))
    try:
        one.spawn()
        two.spawn()
        one.wait_until_ready()
        two.wait_until_ready()
        async with Client.of(one) as first, Client.of(two) as second:
            workspaces = [
                (await client.ask("{ viewer { workspace { id } } agents { nodes { id slug } } }"))
                for client in (first, second)
            ]
    finally:
        one.close()
        two.close()

    assert workspaces[0] == workspaces[1]
    assert [agent["slug"] for agent in workspaces[0]["agents"]["nodes"]] == ["default"]
