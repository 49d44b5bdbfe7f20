"""How commands print rows: a table for people, JSON for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
InWorkspace = Annotated[
    str, typer.Option("--workspace", metavar="SLUG", help="Workspace, by its slug.")
]

WIDEST = 10_000


def moment(microseconds: int) -> str:
    """A moment in UTC, to the second."""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).isoformat(timespec="seconds")


def print_rows(rows: Sequence[Mapping[str, str | None]], *, as_json: bool, nothing: str) -> None:
    """Print rows, or `nothing` where there are none; a value that is not set is `never`."""
    if as_json:
        typer.echo(json.dumps(list(rows), indent=2))
        return
    if not rows:
        typer.echo(nothing)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Nothing is cut off: long values go on below on a terminal, and stay on their line elsewhere.
    console = Console() if sys.stdout.isatty() else Console(width=WIDEST)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        # As text: what stands in a name is no markup.
        table.add_row(*(Text(value or "never") for value in row.values()))
    console.print(table)
