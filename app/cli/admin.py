"""Commands that say who gets in: keys and workspaces."""

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.listing import AsJson, InWorkspace, moment, print_rows
from app.cli.running import run

if TYPE_CHECKING:
    from domain.access.rows import ApiKeyRow, WorkspaceRow

DEFAULT = "default"


def add_to(commands: typer.Typer) -> None:
    """Register the two groups of commands."""
    keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
    keys.command("create")(create_key)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke_key)
    commands.add_typer(keys, name="keys")
    workspaces = typer.Typer(help="Make and list workspaces.", no_args_is_help=True)
    workspaces.command("create")(create_workspace)
    workspaces.command("list")(list_workspaces)
    commands.add_typer(workspaces, name="workspaces")


def create_key(
    name: Annotated[str, typer.Argument(help="What or whom the key is for.")],
    *,
    workspace: InWorkspace = DEFAULT,
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scopes",
            "--scope",
            help="What it may do, such as runs:read,runs:execute; repeatable.",
        ),
    ] = None,
    expires_days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Days until it stops working.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once; without --scopes it may do everything."""
    from app import operations
    from app.settings import load_settings

    wanted = ["admin"] if scopes is None else _separate(scopes)
    made = run(
        operations.create_key(
            load_settings(), name, wanted, workspace=workspace, expires_days=expires_days
        )
    )
    if as_json:
        typer.echo(json.dumps({"secret": made.secret, **_key_fields(made.row)}))
        return
    typer.echo("Keep this key now; it is not shown again.", err=True)
    typer.echo(made.secret)


def list_keys(*, workspace: InWorkspace = DEFAULT, as_json: AsJson = False) -> None:
    """List the keys that work, without their secrets."""
    from app import operations
    from app.settings import load_settings

    keys = run(operations.list_keys(load_settings(), workspace=workspace))
    print_rows([_key_fields(key) for key in keys], as_json=as_json, nothing="There is no key.")


def revoke_key(
    key_id: Annotated[str, typer.Argument(help="Id from `gob keys list`.")],
    *,
    workspace: InWorkspace = DEFAULT,
) -> None:
    """Stop a key from working, at once and for good."""
    from app import operations
    from app.settings import load_settings

    run(operations.revoke_key(load_settings(), key_id, workspace=workspace))
    typer.echo(f"Revoked {key_id}.")


def create_workspace(
    name: Annotated[str, typer.Argument(help="Display name.")],
    *,
    slug: Annotated[
        str | None, typer.Option(help="Short unique name; made of the display name when left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a workspace, which shares nothing with the others."""
    from app import operations
    from app.settings import load_settings

    workspace = run(operations.create_workspace(load_settings(), name, slug=slug))
    print_rows([_workspace_fields(workspace)], as_json=as_json, nothing="")


def list_workspaces(*, as_json: AsJson = False) -> None:
    """List the workspaces."""
    from app import operations
    from app.settings import load_settings

    found = run(operations.list_workspaces(load_settings()))
    rows = [_workspace_fields(workspace) for workspace in found]
    print_rows(rows, as_json=as_json, nothing="There is no workspace.")


def _separate(scopes: Iterable[str]) -> list[str]:
    """Take `a,b` and `a b` as two scopes."""
    return [name for text in scopes for name in re.split(r"[,\s]+", text) if name]


def _key_fields(key: "ApiKeyRow") -> dict[str, str | None]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": " ".join(map(str, key.scopes)),
        "expires": None if key.expires_at is None else moment(key.expires_at),
    }


def _workspace_fields(workspace: "WorkspaceRow") -> dict[str, str | None]:
    return {"id": workspace.id, "slug": workspace.slug, "name": workspace.name}
