"""How the checks are printed: lines for people, one JSON object for programs."""

import shutil
import sys
import textwrap
from collections.abc import Sequence

import orjson

from app.cli.doctor.checks import Check, Status, is_well
from app.version import own_version

_MARKS = {Status.OK: "ok", Status.WARNING: "note", Status.FAILED: "BAD"}


def as_json(checks: Sequence[Check]) -> str:
    """The report as `gob doctor --json` prints it; its members only ever grow."""
    report = {
        "ok": is_well(checks),
        "version": own_version(),
        "checks": [
            {
                "name": check.name,
                "status": check.status.value,
                "found": check.found,
                "cure": check.cure,
            }
            for check in checks
        ],
    }
    return orjson.dumps(report, option=orjson.OPT_INDENT_2).decode()


def as_lines(checks: Sequence[Check]) -> list[str]:
    """The report for people; as wide as the terminal, or as it comes where there is none."""
    width = max(len(check.name) for check in checks)
    lines: list[str] = []
    for check in checks:
        head = f"{_MARKS[check.status]:<5}{check.name:<{width}}  "
        lines += _wrapped(head, check.found)
        if check.cure is not None:
            lines += _wrapped(f"{'':<{len(head)}}-> ", check.cure)
    return [*lines, "", _summary(checks)]


def _wrapped(head: str, text: str) -> list[str]:
    if not sys.stdout.isatty():
        return [f"{head}{text}"]
    return textwrap.wrap(
        text,
        width=max(60, shutil.get_terminal_size().columns),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_on_hyphens=False,
    )


def _summary(checks: Sequence[Check]) -> str:
    bad = sum(check.status is Status.FAILED for check in checks)
    noted = sum(check.status is Status.WARNING for check in checks)
    parts = [f"{bad} to mend"] if bad else []
    parts += [f"{noted} to know"] if noted else []
    return f"{' and '.join(parts)}." if parts else "All is well."
