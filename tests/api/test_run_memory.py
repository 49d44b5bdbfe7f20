"""A run uses memory as it was told when it was started, instead of as its agent does."""

from collections.abc import AsyncGenerator
from pathlib import Path

import orjson
import pytest

from tests.api.two_workspaces import House, Workspace, make_workspace, open_house

EXECUTE = """
mutation ($input: ExecuteAgentInput!) { executeAgent(input: $input) {
  __typename
  ... on RunSuccess { run { status steps { nodes { ... on ToolCallStep {
    toolName status error { message } } } } } }
  ... on Error { message path }
} }
"""
TOOL = {"name": "remember", "arguments": {"content": "Tea at four"}}
REFUSED = "REFUSED: This agent has no memory: its memory scope is NONE."


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[tuple[House, Workspace], None]:
    async with open_house(tmp_path) as opened:
        yield opened, await make_workspace(opened, "First")


async def executed(house: House, workspace: Workspace, **given: object) -> dict[str, object]:
    """What became of a run that is to remember something."""
    instruction = orjson.dumps({"text": "ok", "tokens": 1, "tool": TOOL}).decode()
    values = {"agent": {"slug": workspace.slug}, "instruction": instruction, "waitSeconds": 10}
    done = await house.data(workspace.principal, EXECUTE, input={**values, **given})
    return done["run"]["steps"]["nodes"][1] if "run" in done else done


async def test_a_run_that_may_use_no_memory_is_refused_it(house: tuple[House, Workspace]):
    own = await executed(*house)
    without = await executed(*house, memory={"scope": "NONE"})
    again = await executed(*house)

    assert [step["status"] for step in (own, without, again)] == [
        "SUCCEEDED",
        "FAILED",
        "SUCCEEDED",
    ]
    assert without["error"] == {"message": REFUSED}


async def test_a_use_of_memory_that_cannot_be_is_refused(house: tuple[House, Workspace]):
    before = await house[0].rows(house[1].principal.workspace_id)

    done = await executed(*house, memory={"recallLimit": 51})

    assert (done["__typename"], done["path"]) == ("ValidationFailed", ["memory", "recallLimit"])
    assert await house[0].rows(house[1].principal.workspace_id) == before
