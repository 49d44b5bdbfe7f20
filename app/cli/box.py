"""The short box at the end of a start: where it listens, where the key is, what to paste."""

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

_MUTATION = (
    "mutation($i:ExecuteAgentInput!){executeAgent(input:$i){__typename "
    "... on RunSuccess{run{id status output}} ... on Error{code message}}}"
)
INSTRUCTION = "What is 12% of 300?"


def lines_to_paste(
    address: str, key_path: Path | None, *, instruction: str = INSTRUCTION
) -> tuple[str, ...]:
    """Three lines that work as they stand: a first run, the explorer, the doctor."""
    variables = {"agent": {"slug": "default"}, "instruction": instruction, "waitSeconds": 30}
    body = json.dumps({"query": _MUTATION, "variables": {"i": variables}}, separators=(",", ":"))
    key = "YOUR_KEY" if key_path is None else f"$(cat {shlex.quote(str(key_path))})"
    call = (
        f"curl -s {address}/graphql -H 'content-type: application/json' "
        f'-H "authorization: Bearer {key}" -d {shlex.quote(body)}'
    )
    return (call, f"{address}/graphql", f"{own_command()} doctor")


def own_command() -> str:
    """How to call the command line from this folder: `gob` where the shell finds it."""
    beside = Path(sys.executable).with_name("gob")
    if not beside.is_file():
        return f"{shlex.quote(sys.executable)} -m app"
    found = shutil.which("gob")
    if found is not None and Path(found).samefile(beside):
        return "gob"
    here = Path.cwd()
    return shlex.quote(str(beside.relative_to(here) if here in beside.parents else beside))


def print_box(
    address: str,
    *,
    key_path: Path | None,
    lines: Sequence[str] | None = None,
    stream: TextIO | None = None,
) -> None:
    """Print the box; framed on a terminal, plain lines elsewhere.

    The lines to paste stay outside the frame and unbroken, so that they can be copied.
    """
    output = stream or sys.stdout
    key = f"{key_path} (readable by you alone)" if key_path else "made with `gob keys create`"
    facts = (f"GOB is ready at {address}", f"API key    {key}")
    pasted = lines_to_paste(address, key_path) if lines is None else tuple(lines)
    if output.isatty():
        _print_framed(facts, output)
    else:
        print(*facts, sep="\n", file=output)
    print("\nTry:", *pasted, "", sep="\n", file=output, flush=True)


def _print_framed(facts: Sequence[str], output: TextIO) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    panel = Panel(Text("\n".join(facts)), expand=False, border_style="green", padding=(0, 2))
    Console(file=output).print(panel)
