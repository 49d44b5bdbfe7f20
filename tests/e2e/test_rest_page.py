"""The page about REST: each of its commands does what the page says, against a real server."""

import re
import shlex
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gob_process import GobProcess
from tests.e2e.rest_client import RestClient

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "use-rest.md"
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ASSIGNED = re.compile(r"^[A-Z]+=.*$", re.MULTILINE)
A_CURSOR = "1.946b3c66"


@pytest.fixture(scope="module")
def gob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GobProcess]:
    with GobProcess(tmp_path_factory.mktemp("page")) as process:
        yield process


@pytest.fixture
async def client(gob: GobProcess) -> AsyncGenerator[RestClient, None]:
    async with RestClient(gob.address, None) as opened:
        yield opened


def commands() -> Iterator[str]:
    """The page's curl commands from top to bottom, each whole."""
    for text in SHELL.findall(PAGE.read_text()):
        block = ASSIGNED.sub("", text)
        for command in re.split(r"^(?=curl )", block.replace("\\\n", " "), flags=re.MULTILINE):
            if command.startswith("curl "):
                yield command


def request_of(command: str, words: Mapping[str, str]) -> tuple[str, str, dict[str, Any]]:
    """Method, path and the rest of what curl would send."""
    for name, value in words.items():
        command = command.replace(name, value)
    method, path, given = "", "", {"headers": {}}
    parts = iter(shlex.split(command)[1:])
    for part in parts:
        match part:
            case "-H":
                name, _, value = next(parts).partition(": ")
                given["headers"][name] = value
            case "-d":
                given["content"] = next(parts)
            case "-X":
                method = next(parts)
            case "-s" | "-sN":
                pass
            case _:
                path = part
    return method or ("POST" if "content" in given else "GET"), path, given


async def test_the_commands_of_the_page_do_what_it_says(gob: GobProcess, client: RestClient):
    words = {"$API": "", "$KEY": gob.key}
    shown = []

    for command in commands():
        method, path, given = request_of(command, words)
        answer = await client.send(method, path, **given)
        plain = re.sub(r"_[\w-]{22}", "_ID", path.partition("?")[0])
        shown.append((method, plain, answer.status_code))
        if "location" in answer.headers:
            _, _, noun, ident = answer.headers["location"].removeprefix("/").split("/")
            words[{"runs": "$RUN", "tasks": "$TASK"}[noun]] = ident
        if "id: " in answer.text:
            words[A_CURSOR] = answer.text.partition("id: ")[2].partition("\n")[0]

    assert shown == [
        ("POST", "/agents/execute", 200),
        ("POST", "/agents/execute", 202),
        ("POST", "/agents/execute", 200),
        ("GET", "/runs/run_ID/events", 200),
        ("GET", "/runs/run_ID", 200),
        ("POST", "/runs/run_ID/cancel", 409),
        ("POST", "/memory/save", 201),
        ("GET", "/memory/query", 200),
        ("GET", "/memory/query", 200),
        ("POST", "/tasks", 201),
        ("GET", "/tasks", 200),
        ("POST", "/tasks/task_ID/run", 202),
        ("POST", "/schedules/preview", 200),
        ("GET", "/tasks/task_ID/next", 200),
        ("GET", "/tasks", 200),
        ("PATCH", "/tasks/task_ID", 200),
        ("POST", "/tasks/task_ID/pause", 200),
        ("POST", "/tasks/task_ID/resume", 200),
        ("GET", "/tasks/task_ID/occurrences", 200),
        ("GET", "/occurrences", 200),
        ("DELETE", "/tasks/task_ID", 204),
        ("POST", "/behavior/adjust", 200),
        ("GET", "/behavior", 200),
        ("POST", "/agents/execute", 422),
    ]
