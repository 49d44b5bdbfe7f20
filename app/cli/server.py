"""Commands that run, mend or show the server: serve, worker, migrate, doctor, demo, reset."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated
from urllib.parse import urlsplit

import typer

from app.cli.running import run

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def add_to(commands: typer.Typer) -> None:
    """Register the commands."""
    commands.command()(serve)
    commands.command()(worker)
    commands.command()(migrate)
    commands.command()(doctor)
    commands.command()(demo)
    commands.command(hidden=True)(reset)


def serve(
    *,
    reload: Annotated[bool, typer.Option("--reload", help="Start again on each change.")] = False,
) -> None:
    """Serve the API; embedded (no REDIS_URL) the work too.

    With --reload and REDIS_URL a worker of its own is started beside it.
    """
    from app.data_folder import in_use
    from app.settings import load_settings

    settings = load_settings()
    with in_use(settings.data_dir):
        if reload:
            from app.supervisor import serve_again

            serve_again(settings)
        else:
            from app.server import serve as serve_once

            serve_once(settings)


def worker() -> None:
    """Work on runs and jobs beside the servers; needs REDIS_URL."""
    from app.data_folder import in_use
    from app.failures import StartRefused
    from app.settings import load_settings

    settings = load_settings()
    if settings.is_embedded:
        raise StartRefused(
            "A worker of its own needs REDIS_URL; without it `gob serve` does the work itself."
        )
    from app.server import work

    with in_use(settings.data_dir):
        work(settings)


def migrate() -> None:
    """Bring the database to the newest revision."""
    from app.database import DatabaseOptions
    from app.database import migrate as apply
    from app.settings import load_settings

    settings = load_settings()
    options = DatabaseOptions(url=settings.db_url, migrates_at_start=settings.migrates_at_start)
    applied = run(apply(options))
    for revision in applied:
        typer.echo(f"applied {revision}")
    if not applied:
        typer.echo("The database is up to date.")


def doctor(
    *,
    calls: Annotated[
        bool,
        typer.Option(
            "--calls/--no-calls", help="Ask the models for a few tokens, which costs a little."
        ),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Check everything the server needs, the models too; name a cure for each trouble.

    Exit codes: 0 all is well, warnings aside; 1 something failed; 2 the settings are refused.
    """
    from app.cli.doctor.checks import is_well
    from app.cli.doctor.examination import examine
    from app.cli.doctor.report import as_json as json_report
    from app.cli.doctor.report import as_lines
    from app.settings import load_settings

    settings = load_settings()
    with _waiting("Looking; a model that has to be loaded first takes a while."):
        checks = run(examine(settings, calls=calls), secrets=settings.secret_values())
    typer.echo(json_report(checks) if as_json else "\n".join(as_lines(checks)))
    if not is_well(checks):
        raise typer.Exit(1)


def demo(
    *,
    url: Annotated[
        str, typer.Option(help="The server, or set GOB_SERVER; the one of this machine else.")
    ] = "",
    key: Annotated[str, typer.Option(help="API key, or set GOB_API_KEY; the local one else.")] = "",
) -> None:
    """Fill a running server with something to look at; a second time adds nothing."""
    from app.addresses import is_loopback
    from app.cli.demo import Api, fill, places
    from app.failures import StartRefused
    from app.settings import load_settings

    settings = load_settings()
    address = (url or settings.gob_server or f"http://localhost:{settings.port}").rstrip("/")
    key = key or settings.gob_api_key.get_secret_value()
    # The key of this machine goes to no other one.
    is_here = is_loopback(urlsplit(address).hostname or "")
    key_path = settings.api_key_file if is_here and not key else None
    if key_path is not None and not key_path.is_file():
        raise StartRefused(f"There is no key in {key_path}; start a server here with `make dev`.")
    if key_path is None and not key:
        raise StartRefused(f"{address} needs a key: give --key, or set GOB_API_KEY.")
    with Api(address, key or settings.api_key_file.read_text().strip()) as api:
        for added in fill(api):
            typer.echo(str(added))
    typer.echo("\n" + "\n".join(places(address, key_path)))


def reset() -> None:
    """Delete what the server made in DATA_DIR; refused while a server runs on it."""
    from app.data_folder import empty
    from app.settings import load_settings

    settings = load_settings()
    removed = empty(settings.data_dir, sqlite=settings.sqlite_path)
    for path in removed:
        typer.echo(f"deleted {path}")
    if not removed:
        typer.echo("There was nothing to delete.")


def version() -> None:
    """Print the version."""
    from app.version import own_version

    typer.echo(f"gob {own_version()}")


@contextmanager
def _waiting(sentence: str) -> Generator[None]:
    """Show a sentence to a person who waits, and take it away afterwards."""
    is_watched = sys.stderr.isatty() and sys.stdout.isatty()
    if is_watched:
        typer.echo(sentence, err=True, nl=False)
    try:
        yield
    finally:
        if is_watched:
            typer.echo(f"\r{' ' * len(sentence)}\r", err=True, nl=False)
