"""How the model of each task goes on with what was seen, and where the two part."""

from collections.abc import Iterator, Sequence

from tests.domain.task_machine_look import OccurrenceSeen, Seen
from tests.domain.task_machine_model import MOST_ROWS, MOST_WAITING, Fate, TaskModel


def went_on(before: Seen, after: Seen, model: TaskModel) -> Iterator[str]:
    """Nobody looked at tasks: only what ran has ended."""
    _settle(before, after, model)
    yield from _agrees(after, model)


def was_looked_at(before: Seen, after: Seen, model: TaskModel) -> Iterator[str]:
    """Schedulers looked until nothing was due."""
    if model.is_deleted:
        return
    now_us = after.now_us
    model.begin_look(now_us)
    if model.status == "ACTIVE":
        yield from _dealt_with(before, after, model)
    elif any(row.id not in before.occurrences for row in after.of(model.id)):
        yield f"the task {model.id} is {model.status} and has new occurrences"
    _settle(before, after, model)
    model.pause_if_failing()
    if _is_over(after, model):
        model.status = "COMPLETED"
    yield from _agrees(after, model)
    task = after.tasks[model.id]
    if model.status == "ACTIVE" and task.next_run_at != model.timing.next_after(model.reached):
        yield f"{task} is due next at {model.timing.next_after(model.reached)}"
    if task.wake_at is not None and task.wake_at <= now_us:
        yield f"{task} was not looked at"


def may_have_been_looked_at(before: Seen, after: Seen, model: TaskModel) -> Iterator[str]:
    """A scheduler died in the middle: each task was looked at, or not."""
    if model.is_deleted:
        return
    status = after.tasks[model.id].status
    held = (model.status, model.until, model.failures)
    model.begin_look(after.now_us)
    if model.status != status and held[0] == status:
        model.status, model.until, model.failures = held
    _settle(before, after, model)
    if model.status == "ACTIVE" and status == "PAUSED":
        model.pause_if_failing()
    if status == "COMPLETED" and not any(row.is_open for row in after.of(model.id)):
        model.status = status
    yield from _agrees(after, model)


def _settle(before: Seen, after: Seen, model: TaskModel) -> None:
    """Count what has ended, in the order in which it was told."""
    ended = {
        row.id: row.status
        for row in after.of(model.id)
        if not row.is_open and _was_open(before, row.id)
    }
    last = {event.occurrence_id: event.cursor for event in after.told if event.occurrence_id}
    for ident in sorted(ended, key=lambda ident: last.get(ident, 0)):
        model.settled(ended[ident])


def _was_open(before: Seen, ident: str) -> bool:
    row = before.occurrences.get(ident)
    return row is None or row.is_open


def _agrees(after: Seen, model: TaskModel) -> Iterator[str]:
    if model.is_deleted:
        return
    task = after.tasks[model.id]
    if (task.status, task.consecutive_failures) != (model.status, model.failures):
        yield f"{task} should be {model.status} after {model.failures} failures in a row"
    if task.paused_until != model.until:
        yield f"{task} should be held until {model.until}"


def _is_over(after: Seen, model: TaskModel) -> bool:
    if model.status != "ACTIVE" or model.timing.is_endless:
        return False
    is_open = any(row.is_open for row in after.of(model.id))
    return not is_open and model.timing.next_after(model.reached) is None


def _dealt_with(before: Seen, after: Seen, model: TaskModel) -> Iterator[str]:
    """Each time up to now became what the policies say."""
    now_us = after.now_us
    known = {row.scheduled_for for row in before.of(model.id) if row.trigger != "MANUAL"}
    pending = [t for t in model.timing.between(model.since, now_us) if t not in known]
    rows = {
        row.scheduled_for: row
        for row in after.of(model.id)
        if row.id not in before.occurrences and row.trigger != "MANUAL"
    }
    line = before.in_line(model.id)
    runs_all = model.values["missedRunPolicy"] == "RUN_ALL"
    model.reached = max(model.reached, now_us)
    left = [time for time in pending if time not in rows]
    if left and runs_all:
        # As many as may wait do; the rest stays due until there is room.
        waiting = sum(row.run_id is None for row in after.in_line(model.id))
        if waiting == MOST_WAITING and min(left) > max(rows, default=0):
            model.reached = min(left) - 1
            return
    most = MOST_WAITING - len(line) if runs_all else MOST_ROWS
    if len(pending) > most or model.values["agent"] in after.archived:
        return
    fates = model.fates(pending, len(line), now_us)
    for time, fate in fates.items():
        if time in rows and not _is_as(rows[time], fate, model):
            yield f"{rows[time]} should be {fate}, beside {line}"
    if model.replaces(fates, len(line)):
        yield from _was_replaced(after, line)


def _was_replaced(after: Seen, line: Sequence[OccurrenceSeen]) -> Iterator[str]:
    """What was at work is told to stop, and what waited is dropped."""
    for old in line:
        row = after.occurrences[old.id]
        if row.is_open and row.run_id not in after.stopped:
            yield f"{row} goes on, though a later one was to replace it"


def _is_as(row: OccurrenceSeen, fate: Fate, model: TaskModel) -> bool:
    if row.trigger != fate.trigger:
        return False
    if fate.outcome in ("SKIPPED", "MISSED"):
        return row.status == fate.outcome
    if model.values["conversationMode"] == "CONTINUE":
        return row.is_open
    if fate.outcome == "waits" and model.values["overlapPolicy"] == "REPLACE":
        # What it replaces may have stopped at once.
        return row.is_open
    begins_later = row.run_id is not None or row.due_at is not None
    return row.is_open and begins_later == (fate.outcome == "runs")
