"""The page about REST: its commands do what it says, against a real server."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.gob_process import GobProcess

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "use-rest.md"
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETUP = "set -eu"


@pytest.fixture(scope="module")
def gob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GobProcess]:
    with GobProcess(tmp_path_factory.mktemp("page")) as process:
        yield process


def run_page(gob: GobProcess) -> list[str]:
    """Run the page's commands from top to bottom in one shell; what each block printed."""
    blocks = COMMANDS.findall(PAGE.read_text())
    text = "\necho @@@\n".join([SETUP, *blocks])
    text = text.replace("http://localhost:8080", gob.address)
    text = re.sub(r"^RUN=run_\.\.\..*$", "RUN=$(made)", text, flags=re.MULTILINE)
    text = f'made() {{ sed -n \'s/.*"id":"\\(run_[^"]*\\)".*/\\1/p\' out | tail -1; }}\n{text}'
    done = subprocess.run(
        [shutil.which("bash") or "sh", "-c", f"exec 3>&1; {{ {text}\n}} | tee out"],
        cwd=gob.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [part.strip() for part in done.stdout.split("@@@\n")][2:]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page is written for curl")
def test_the_commands_of_the_page_do_what_it_says(gob: GobProcess):
    printed = run_page(gob)

    assert json.loads(printed[0])["status"] == "SUCCEEDED"
