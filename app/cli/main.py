"""The one command line: `python -m app` and `gob`."""

import sys
from typing import Annotated

import typer

from app.cli import admin, audit, server
from app.cli.run import command as run_command
from app.failures import explain
from app.garbage import begin

EXIT_REFUSED = 2
EXIT_INTERRUPTED = 130


def build() -> typer.Typer:
    """Make the command line; without a command it serves."""
    commands = typer.Typer(
        name="gob",
        help="Generalized Operations Bot: a GraphQL backend that runs operations agents.",
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @commands.callback(invoke_without_command=True)
    def start(
        context: typer.Context,
        *,
        version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
    ) -> None:
        """Generalized Operations Bot: a GraphQL backend that runs operations agents."""
        if version:
            server.version()
        elif context.invoked_subcommand is None:
            server.serve()

    server.add_to(commands)
    run_command.add_to(commands)
    admin.add_to(commands)
    audit.add_to(commands)
    return commands


def main() -> None:
    """Run the command line; what people can mend ends in one sentence and exit code 2."""
    begin()
    try:
        build()()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:  # the outermost edge; what nobody foresaw goes on
        sentence = explain(error)
        if sentence is None:
            raise
        typer.echo(sentence, err=True)
        sys.exit(EXIT_REFUSED)
