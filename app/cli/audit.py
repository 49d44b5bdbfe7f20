"""Commands that read the audit log and check it."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.listing import AsJson, InWorkspace, moment, print_rows
from app.cli.running import run

if TYPE_CHECKING:
    from domain.access.rows import AuditRow

DEFAULT = "default"
LONGEST_SHOWN = 160
"""Most characters of particulars in a table; --json prints all."""


def add_to(commands: typer.Typer) -> None:
    """Register the group of commands."""
    audit = typer.Typer(help="Read and check the audit log.", no_args_is_help=True)
    audit.command("verify")(verify)
    audit.command("list")(list_lines)
    commands.add_typer(audit, name="audit")


def verify(
    *,
    workspace: InWorkspace = DEFAULT,
    from_seq: Annotated[int, typer.Option("--from", help="First line to check.")] = 1,
    head: Annotated[
        str | None, typer.Option(help="Hash noted at an earlier check; some line must have it.")
    ] = None,
) -> None:
    """Check that no line was changed, removed or added; exits with 1 where one was."""
    from app import operations
    from app.settings import load_settings

    found = run(
        operations.verify_audit(
            load_settings(), workspace=workspace, from_seq=from_seq, kept_hash=head
        )
    )
    if not found.is_valid:
        typer.echo(
            f"The audit log is broken at line {found.first_broken}: {found.reason}", err=True
        )
        raise typer.Exit(1)
    end = f"head {found.head_hash}" if found.head_hash else "the log is empty"
    typer.echo(f"{found.checked} lines fit; {end}")


def list_lines(
    *,
    workspace: InWorkspace = DEFAULT,
    actor: Annotated[str | None, typer.Option(help="Only what this actor did.")] = None,
    action: Annotated[
        str | None, typer.Option(help="Only this action, such as key.revoked or agent.*.")
    ] = None,
    trace: Annotated[str | None, typer.Option(help="Only this trace id.")] = None,
    last: Annotated[int, typer.Option(min=1, max=100, help="How many of the newest lines.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the newest lines, oldest of them first."""
    from app import operations
    from app.settings import load_settings
    from domain.access.audit_log import AuditFilter

    narrowing = AuditFilter(actor=actor, action=action, trace_id=trace)
    lines = run(operations.list_audit(load_settings(), narrowing, workspace=workspace, last=last))
    if as_json:
        typer.echo(json.dumps([_as_json(line) for line in lines], indent=2))
        return
    shown = [_fields(line) for line in lines]
    print_rows(shown, as_json=False, nothing="There is no such line.")


def _fields(line: "AuditRow") -> dict[str, str | None]:
    text = json.dumps(line.detail, ensure_ascii=False)
    return {
        "seq": str(line.seq),
        "when": moment(line.created_at),
        "actor": line.actor,
        "action": line.action,
        "target": f"{line.target_kind} {line.target_id}" if line.target_kind else "-",
        "detail": text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}...",
    }


def _as_json(line: "AuditRow") -> dict[str, Any]:
    return {
        "seq": line.seq,
        "occurredAt": moment(line.created_at),
        "actor": line.actor,
        "action": line.action,
        "targetKind": line.target_kind,
        "targetId": line.target_id,
        "detail": line.detail,
        "traceId": line.trace_id,
        "hash": line.hash,
    }
