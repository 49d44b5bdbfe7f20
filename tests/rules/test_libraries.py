"""Each library that the product is built on does its job in it, and this says where."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

JOBS = {
    "strawberry": ("resolvers/root.py", "strawberry.Schema"),
    "starlette": ("app/main.py", "Starlette"),
    "uvicorn": ("app/server.py", "uvicorn.Config"),
    "pydantic": ("domain/kernel/validation.py", "BaseModel"),
    "tortoise": ("domain/kernel/rows.py", "Model"),
    "asyncpg": ("domain/kernel/database_postgres.py", "asyncpg.OperatorInterventionError"),
    "redis": ("app/adapters/events_redis.py", "redis.Redis.from_url"),
    "dramatiq": ("workers/actors.py", "dramatiq.actor"),
    "croniter": ("domain/tasks/cron.py", "croniter"),
    "pytest": ("tests/databases.py", "pytest.fixture"),
}
"""Library, the file where it is at work, and the name by which it is."""


def imported(tree: ast.Module) -> set[str]:
    """Top-level packages that a file imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module.split(".")[0])
    return found


def used(tree: ast.Module) -> set[str]:
    """Names that a file uses outside its imports, dotted ones whole."""
    return {
        ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute)
    }


@pytest.mark.parametrize("library", JOBS)
def test_a_library_is_at_work_where_it_is_said_to_be(library: str):
    path, name = JOBS[library]
    tree = ast.parse((ROOT / path).read_text())

    assert library in imported(tree)
    assert name in used(tree)
