"""`make client`: types for what the schema can answer, and code that the compiler accepts."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from tests.api.operations import names_of, only
from tests.e2e.client_project import CONTRACT, SCHEMA, MadeClient
from tests.e2e.gob_process import ROOT

USE = """
import {{ FindAgentsDocument }} from "./generated/page";
import {{ ask }} from "./server";

export async function use(): Promise<string> {{
  const found = await ask({{ address: "", key: "" }}, FindAgentsDocument, {{}});
  return found.agents.nodes[0]?.{field} ?? "";
}}
"""


@pytest.fixture
def source(made_client: MadeClient) -> Iterator[Path]:
    """A file of the client that the test may write; it is gone afterwards."""
    path = made_client.project / "src" / "use.ts"
    yield path
    path.unlink(missing_ok=True)


def test_every_operation_that_the_schema_can_answer_is_typed_and_every_other_is_named(
    made_client: MadeClient,
):
    schema = build_schema((ROOT / SCHEMA).read_text())
    contract = parse((ROOT / CONTRACT).read_text())
    wanted = {name for name in names_of(contract) if not validate(schema, only(contract, name))}

    kept = parse((made_client.project / "src" / "generated" / "contract.graphql").read_text())

    typed = re.search(r"^typed: (.+)$", made_client.said, re.MULTILINE)
    left = set(re.findall(r"^left out: (\w+) \(", made_client.said, re.MULTILINE))
    assert typed is not None
    assert set(typed[1].split(", ")) == names_of(kept) == wanted
    assert left == names_of(contract) - wanted
    assert validate(schema, kept) == []


def test_what_the_schema_has_can_be_used(made_client: MadeClient, source: Path):
    source.write_text(USE.format(field="slug"))

    checked = made_client.run("tsc", "--strict", "--noEmit")

    assert (checked.returncode, checked.stdout) == (0, "")


def test_what_the_schema_does_not_have_fails_the_check(made_client: MadeClient, source: Path):
    source.write_text(USE.format(field="colour"))

    checked = made_client.run("tsc", "--strict", "--noEmit")

    assert checked.returncode != 0
    assert re.match(r"src/use\.ts\(7,\d+\): error TS2339: ", checked.stdout)
    assert "'colour'" in checked.stdout


def test_a_page_that_asks_for_what_is_not_there_is_told_so(made_client: MadeClient):
    operations = made_client.project / "src" / "operations.graphql"
    before = operations.read_text()
    operations.write_text(before + "query Odd { nothing }")

    made = made_client.run("npm", "run", "--silent", "check")

    operations.write_text(before)
    assert made.returncode == 1
    assert made.stderr == (
        'src/operations.graphql: Cannot query field "nothing" on type "Query".\n'
    )


def test_without_node_it_says_what_to_install(tmp_path: Path):
    for tool in ("sh", "dirname"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))

    made = subprocess.run(
        ["sh", str(ROOT / "ops" / "client.sh")],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (made.returncode, made.stdout) == (1, "")
    assert made.stderr == (
        "make client needs Node 20.19, 22.12 or newer and found none;"
        " install it from nodejs.org or your system's packages.\n"
    )
