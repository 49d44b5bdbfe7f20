"""`gob run` shows who is asked and what they answer, with no key and no server."""

import io
from hashlib import sha256
from pathlib import Path

from app.cli.run.embedded_desk import embedded_desk
from app.cli.run.following import Exit, Stops, follow
from app.cli.run.order import RunOrder
from app.cli.run.screen import Screen
from app.cli.run.views import PeopleView
from app.container import Role, open_container
from app.settings import Settings, load_settings
from domain.access.scopes import COMMAND_LINE, Principal


async def made(settings: Settings) -> None:
    """Two agents, and a third that may ask them."""
    async with open_container(settings, Role.COMMAND) as container:
        caller = Principal.of_house(container.workspace.id, COMMAND_LINE)
        asked = [
            (await container.agents.create(caller, {"name": name})).id
            for name in ("Writer", "Fact Checker")
        ]
        boss = {"name": "Boss", "delegateIds": asked}
        await container.agents.create(caller, boss)


async def shown(settings: Settings, instruction: str) -> tuple[Exit, str, list[str]]:
    """How a run of the boss ends, what it answers, and the lines beside the answer."""
    output, errors = io.StringIO(), io.StringIO()
    view = PeopleView(Screen(output, errors))
    async with embedded_desk(settings, view.note) as desk:
        order = RunOrder(agent="boss", instruction=instruction)
        ended = await follow(desk, order.values(), view, stops=Stops())
    return ended, output.getvalue(), errors.getvalue().splitlines()


async def test_agents_are_asked_side_by_side_and_their_answers_told(tmp_path: Path):
    settings = load_settings({"DATA_DIR": str(tmp_path)}, Path("/dev/null"))
    await made(settings)

    ended, answer, lines = await shown(
        settings, "Let Writer calculate 6 * 7 and the fact checker calculate 2 + 2"
    )

    assert ended is Exit.SUCCEEDED
    assert answer == "1. writer: 6 * 7 = 42\n2. fact-checker: 2 + 2 = 4\n"
    assert [line for line in lines if line.startswith("Asking")] == [
        "Asking writer.",
        "Asking fact-checker.",
    ]
    below = {line.split(" (")[0] for line in lines if line.startswith("  ")}
    assert below == {
        '  writer: calculate(expression="6 * 7") -> {"value":42,"text":"42"}',
        "  writer: 6 * 7 = 42",
        '  fact-checker: calculate(expression="2 + 2") -> {"value":4,"text":"4"}',
        "  fact-checker: 2 + 2 = 4",
    }


async def test_what_one_agent_finds_the_next_works_on(tmp_path: Path):
    settings = load_settings({"DATA_DIR": str(tmp_path)}, Path("/dev/null"))
    await made(settings)

    ended, answer, _ = await shown(
        settings,
        'Ask the writer to replace "a" with "b" in "banana", then ask the fact checker to hash it',
    )

    assert ended is Exit.SUCCEEDED
    digest = sha256(b"bbnbnb\n(3 replacements)").hexdigest()
    assert answer == f"1. writer:\nbbnbnb\n(3 replacements)\n2. fact-checker: {digest}\n"


async def test_an_agent_that_does_not_understand_is_told_as_a_failure(tmp_path: Path):
    settings = load_settings({"DATA_DIR": str(tmp_path)}, Path("/dev/null"))
    await made(settings)

    ended, answer, lines = await shown(settings, "Ask the writer to feel the blues")

    assert ended is Exit.FAILED
    assert answer.startswith("writer failed: CHILD_FAILED: The run ")
    assert any(line.startswith("  writer failed: ") for line in lines)
