"""Tasks whose rows cannot be read: they are held, and somebody has to hear of it."""

from app.cli.doctor.checks import Check, fine, warning
from app.settings import Settings

TASKS = "tasks"
MOST_ROWS = 10_000
"""Rows that one look reads, the latest first."""
MOST_NAMED = 5


async def look_at_tasks(settings: Settings) -> Check:
    """Can the rows of tasks be read; asks a database that answers and has all revisions."""
    from app.database import DatabaseOptions, open_database
    from domain.kernel.rows import fetch_rows
    from domain.tasks.reading import faults_of, is_marked, reason_of
    from domain.tasks.rows import TaskRow

    condition = f"deleted_at IS NULL ORDER BY created_at DESC, id LIMIT {MOST_ROWS}"
    async with open_database(DatabaseOptions(url=settings.db_url, migrates_at_start=False)) as kept:
        rows = await fetch_rows(kept, TaskRow, condition)
    broken = [row for row in rows if is_marked(row) or faults_of(row)]
    if not broken:
        return fine(TASKS, f"{len(rows):,} can be read")
    first = broken[0]
    faults = faults_of(first)
    reason = reason_of(faults) if faults else first.pause_reason
    names = ", ".join(repr(row.name[:40]) for row in broken[:MOST_NAMED])
    more = f" and {len(broken) - MOST_NAMED} more" if len(broken) > MOST_NAMED else ""
    found = f"{len(broken)} of {len(rows):,} cannot be read: {names}{more}. The first: {reason}"
    return warning(TASKS, found, "Repair each as its pauseReason says; the others go on.")
