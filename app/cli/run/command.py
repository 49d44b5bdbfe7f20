"""`gob run`: options, whom to ask, and how to show it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from app.cli.running import run

if TYPE_CHECKING:
    from app.cli.run.following import Exit
    from app.cli.run.order import RunOrder
    from app.cli.run.views import View
    from app.cli.run.whom import Whom
    from app.settings import Settings

EPILOG = (
    "Exit codes: 0 the run succeeded, 1 it failed, 2 it was refused, 3 it took too long, "
    "4 the connection was lost and the run may go on, 130 it was cancelled."
)


def add_to(commands: typer.Typer) -> None:
    """Register the command."""
    commands.command(name="run", epilog=EPILOG)(run_instruction)


Instruction = Annotated[
    str,
    typer.Argument(
        metavar="INSTRUCTION", help="What is to be done; `-` reads it from standard input."
    ),
]
OfAgent = Annotated[str, typer.Option("--agent", help="Slug or id of the agent.")]
WithModel = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="PROVIDER:NAME", help="Model for this run, such as ollama:qwen3:8b."
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="KEY=VALUE",
        help="Value the agent gets: JSON or text, @FILE or @- for a text; repeatable.",
    ),
]
InConversation = Annotated[
    str | None, typer.Option("--conversation", metavar="ID", help="Conversation to go on with.")
]
Timeout = Annotated[
    int | None,
    typer.Option("--timeout", min=1, max=86_400, help="Seconds after which it is stopped."),
]
OnServer = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="The server to ask, or set GOB_SERVER."),
]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key-file", help="File that holds the API key, or set GOB_API_KEY."),
]
Embedded = Annotated[
    bool, typer.Option("--embedded", help="Run in this process, whatever servers there are.")
]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Print events, and at the end the run, as JSON lines.")
]


def run_instruction(  # noqa: PLR0913 - one parameter an option
    instruction: Instruction,
    *,
    agent: OfAgent = "default",
    model: WithModel = None,
    inputs: Inputs = None,
    conversation: InConversation = None,
    timeout: Timeout = None,
    server: OnServer = None,
    key_file: KeyFile = None,
    embedded: Embedded = False,
    as_json: JsonLines = False,
) -> None:
    """Run an instruction and print its answer, here or on a server.

    The answer goes to standard output, all else to standard error. It asks the server of this
    machine; where none answers, this process does the work itself.
    """
    from app.cli.run.order import RunOrder, check_stdin_once, read_inputs, read_instruction
    from app.cli.run.output import open_streams
    from app.cli.run.whom import Whom
    from app.settings import load_settings

    # First of all: what is refused has to be said somewhere too.
    output, errors = open_streams(as_json=as_json)
    settings = load_settings()
    check_stdin_once(instruction, inputs or ())
    order = RunOrder(
        instruction=read_instruction(instruction),
        agent=agent,
        model=model,
        conversation=conversation,
        inputs=read_inputs(inputs or ()),
        timeout_s=timeout,
    )
    whom = Whom(server=(server or "").rstrip("/"), key_file=key_file, is_embedded=embedded)
    view = _view(output, errors, as_json=as_json)
    work = _carry_out(settings, order, whom.checked(settings), view)
    # What goes wrong with the run is shown as its events tell it; log lines would say it again.
    secrets = settings.secret_values()
    raise typer.Exit(run(work, log_level="ERROR", secrets=secrets))


async def _carry_out(settings: "Settings", order: "RunOrder", whom: "Whom", view: "View") -> "Exit":
    from app.cli.run.following import Stops, follow, heard_signals, leave_at_once
    from app.cli.run.whom import desk_for

    values, stops = order.values(), Stops()
    with heard_signals(stops, lambda: leave_at_once(view)):
        async with desk_for(settings, whom, view.note) as desk:
            return await follow(desk, values, view, stops=stops, timeout_s=order.timeout_s)


def _view(output: "TextIO", errors: "TextIO", *, as_json: bool) -> "View":
    from app.cli.run.screen import Screen
    from app.cli.run.views import JsonView, PeopleView

    if as_json:
        return JsonView(output, errors)
    from rich.console import Console

    # Rich knows what terminals and their users wish for: TERM, NO_COLOR and the like.
    terminal = Console(stderr=True)
    screen = Screen(
        output,
        errors,
        is_dumb=terminal.is_dumb_terminal,
        has_color=not terminal.no_color,
    )
    return PeopleView(screen)
