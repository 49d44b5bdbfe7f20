"""The page about REST: each of its commands does what the page says, against a real server."""

import re
import shlex
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gob_process import GobProcess
from tests.e2e.rest_client import RestClient
from tests.openapi_answers import ROOT

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "use-rest.md"
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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
    """The page's curl commands from top to bottom, one a line."""
    for block in SHELL.findall(PAGE.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("curl"):
                yield line


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
    answers = []

    for command in commands():
        method, path, given = request_of(command, words)
        answer = await client.send(method, path, **given)
        answers.append((method, path, answer.status_code))
        if "location" in answer.headers:
            words["$RUN"] = answer.headers["location"].removeprefix(f"{ROOT}/runs/")
        if "id: " in answer.text:
            words[A_CURSOR] = answer.text.partition("id: ")[2].partition("\n")[0]

    run = f"/runs/{words.get('$RUN')}"
    assert answers[:3] == [
        ("POST", "/agents/execute", 200),
        ("POST", "/agents/execute", 202),
        ("POST", "/agents/execute", 200),
    ]
    assert answers[3:6] == [
        ("GET", f"{run}/events", 200),
        ("GET", run, 200),
        ("POST", f"{run}/cancel", 409),
    ]
    assert [(method, path.partition("?")[0], status) for method, path, status in answers[6:]] == [
        ("POST", "/memory/save", 201),
        ("GET", "/memory/query", 200),
        ("GET", "/memory/query", 200),
        ("POST", "/behavior/adjust", 200),
        ("GET", "/behavior", 200),
        ("POST", "/agents/execute", 422),
    ]
