"""What must be true of tasks after every rule of their state machine (DESIGN, section 9 and I8)."""

from collections import Counter
from collections.abc import Iterator, Mapping

from domain.tasks.settling import AT_ONCE
from tests.domain.task_machine_look import OccurrenceSeen, RunSeen, Seen, TaskSeen
from tests.domain.task_machine_model import MOST_WAITING, SECOND_US, TaskModel

Models = Mapping[str, TaskModel]
FINAL = ("SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT")
OUTCOMES = {"SUCCEEDED": "SUCCEEDED", "CANCELLED": "CANCELLED"}
"""What a run's end makes of its occurrence; all others are failures."""
TRANSIENT = ("MODEL_RATE_LIMITED", "MODEL_UNAVAILABLE", "MODEL_BAD_RESPONSE", "TIMED_OUT")
"""Failures that another attempt may find gone; as is WORKER_LOST."""


def complaints(seen: Seen, models: Models) -> Iterator[str]:
    """What is wrong with the rows as they are."""
    if seen.cursors[0] != seen.cursors[1]:
        yield f"I5: the workspace tells {seen.cursors[0]} events up to {seen.cursors[1]}"
    for row in seen.occurrences.values():
        yield from _is_told_by_its_runs(seen, row)
        yield from _is_going_somewhere(seen, models[row.task_id], row)
    for model in models.values():
        yield from _has_each_time_once(seen, model)
        yield from _is_looked_at_again(seen, model)


def _has_each_time_once(seen: Seen, model: TaskModel) -> Iterator[str]:
    """I8: no time twice, none that was never due, none lost."""
    counted = Counter(row.scheduled_for for row in seen.of(model.id) if row.trigger != "MANUAL")
    twice = [time for time, count in counted.items() if count > 1]
    if twice:
        yield f"I8: the task {model.id} has times twice: {twice}"
    strange = counted.keys() - model.due_upto(seen.latest_us)
    if strange:
        yield f"the task {model.id} has times that were never due: {sorted(strange)}"
    lost = model.due_upto(model.reached) - counted.keys()
    if lost and not model.is_deleted:
        yield f"I8: the task {model.id} has lost times: {sorted(lost)}"


def _is_told_by_its_runs(seen: Seen, row: OccurrenceSeen) -> Iterator[str]:
    """An occurrence and its runs name each other and say the same."""
    if row.is_open != (row.finished_at is None):
        yield f"{row} does not know whether it has ended"
    runs = seen.by_occurrence.get(row.id, ())
    if len(runs) != row.attempts or row.run_id != (runs[-1].id if runs else None):
        yield f"{row} has the runs {runs}"
        return
    if any(run.task_id != row.task_id for run in runs):
        yield f"{row} has runs of another task: {runs}"
    if any(run.status not in FINAL for run in runs[:-1]):
        yield f"{row} was tried again before its attempt had ended: {runs}"
    yield from _ends_with(row, runs[-1]) if runs else _has_no_run(row)


def _has_no_run(row: OccurrenceSeen) -> Iterator[str]:
    is_archived = row.status == "FAILED" and "archived" in (row.reason or "")
    if row.status not in ("QUEUED", "MISSED", "SKIPPED") and not is_archived:
        yield f"{row} has no run"


def _ends_with(row: OccurrenceSeen, last: RunSeen) -> Iterator[str]:
    if last.status not in FINAL:
        if not row.is_open:
            yield f"{row} has ended before its run {last}"
    elif row.is_open:
        yield f"{row} does not know that its run has ended: {last}"
    elif (row.status, row.finished_at) != (OUTCOMES.get(last.status, "FAILED"), last.finished_at):
        yield f"{row} tells the end of {last} otherwise"


def _is_going_somewhere(seen: Seen, model: TaskModel, row: OccurrenceSeen) -> Iterator[str]:
    """An open occurrence has an open run, or something brings it on."""
    if not row.is_open or model.is_deleted:
        if row.is_open and row.run_id is None:
            yield f"{row} waits, and its task is deleted"
        return
    task = seen.tasks[row.task_id]
    is_woken = _is_woken(seen, row)
    if row.run_id is not None:
        if row.status == "QUEUED" and not is_woken:
            yield f"nobody looks when {row} begins: {task}"
    elif row.is_in_line:
        line = seen.in_line(model.id)
        has_next = any(other.run_id is not None or _is_woken(seen, other) for other in line)
        if task.status != "PAUSED" and not has_next:
            yield f"nothing brings {row} on: {task}"
    elif not is_woken:
        yield f"nothing starts {row}: {task}"


def _is_woken(seen: Seen, row: OccurrenceSeen) -> bool:
    wake_at = seen.tasks[row.task_id].wake_at
    return wake_at is not None and wake_at <= max(row.due_at or 0, seen.latest_us)


def _is_looked_at_again(seen: Seen, model: TaskModel) -> Iterator[str]:
    """A task says when a scheduler has to look at it."""
    task = seen.tasks[model.id]
    if model.is_deleted:
        if task.wake_at is not None:
            yield f"the deleted task {task} is looked at"
        return
    opened = [row for row in seen.of(model.id) if row.is_open]
    wanted = [task.paused_until] if task.status == "PAUSED" else []
    if task.status == "ACTIVE":
        waiting = sum(row.run_id is None for row in seen.in_line(model.id))
        if waiting < MOST_WAITING or model.values["missedRunPolicy"] != "RUN_ALL":
            wanted.append(task.next_run_at)
        has_had_its_last = not model.timing.is_endless and task.next_run_at is None
        if has_had_its_last and not opened:
            wanted.append(seen.now_us)
        if (model.values["pauseAfterFailures"] or model.failures + 1) <= model.failures:
            wanted.append(seen.now_us)
    for moment in wanted:
        if moment is not None and (
            task.wake_at is None or task.wake_at > max(moment, seen.latest_us)
        ):
            yield f"nobody looks at {task} at {moment}"


def changes(before: Seen, after: Seen, models: Models) -> Iterator[str]:
    """What must not have changed, or not untold."""
    told = after.told[len(before.told) :]
    if list(after.told[: len(before.told)]) != list(before.told):
        yield "I5: what was told has changed"
    spoken = Counter(event.occurrence_id for event in told)
    for ident, new in after.occurrences.items():
        old = before.occurrences.get(ident)
        if old is not None and not old.is_open and old != new:
            yield f"{old} had ended and is {new}"
        if old is None and models[new.task_id].is_deleted and ident not in before.occurrences:
            yield f"{new} is of a deleted task"
        is_woken = after.tasks[new.task_id].wake_at == AT_ONCE
        least = _least_told(old, new, is_woken=is_woken)
        if spoken[ident] < least:
            yield f"{new} came of {old}, told {spoken[ident]} times instead of {least}"
    gone = before.occurrences.keys() - after.occurrences.keys()
    if gone:
        yield f"occurrences are gone: {gone}"
    yield from _tasks_told(before, after)
    for model in models.values():
        yield from _starts(before, after, model)


def _least_told(old: OccurrenceSeen | None, new: OccurrenceSeen, *, is_woken: bool) -> int:
    if old is None:
        is_new = new.status == "QUEUED" and new.run_id is None and new.due_at is None
        if is_new and is_woken:
            return 0  # claimed in a burst, which is told when it starts or is skipped
        return 1 + (new.run_id is not None and not new.is_open)
    return int((old.status, old.run_id) != (new.status, new.run_id))


def _tasks_told(before: Seen, after: Seen) -> Iterator[str]:
    """Each change of a task is told, and nothing of it before it is made."""
    told = after.told[len(before.told) :]
    spoken = {(event.task_id, event.change) for event in told}
    for ident, new in after.tasks.items():
        old = before.tasks.get(ident)
        if old is None:
            first = next((event.change for event in told if event.task_id == ident), None)
            if first != "CREATED":
                yield f"the new task {ident} is told first as {first}"
        elif new.deleted_at != old.deleted_at and (ident, "DELETED") not in spoken:
            yield f"nobody is told that {new} is deleted"
        elif _held(old) != _held(new) and (ident, "UPDATED") not in spoken:
            yield f"nobody is told that {old} became {new}"
    for event in told:
        if event.change == "OCCURRENCE":
            row = after.occurrences.get(event.occurrence_id or "")
            if row is None or row.task_id != event.task_id:
                yield f"{event} tells of {row}"
        elif event.task_id in before.tasks and before.tasks[event.task_id].deleted_at:
            yield f"{event} is of a deleted task"


def _held(task: TaskSeen) -> tuple[str, str | None, int | None]:
    return task.status, task.pause_reason, task.paused_until


def _starts(before: Seen, after: Seen, model: TaskModel) -> Iterator[str]:
    """What was started meanwhile, where it may be started, and never more than fit."""
    line = [row for row in after.in_line(model.id) if row.run_id is not None]
    former = [row for row in before.in_line(model.id) if row.run_id is not None]
    if len(line) > max(model.capacity, len(former)):
        yield f"more than {model.capacity} of the task {model.id} are at work: {line}"
    for run in (after.runs[ident] for ident in after.runs.keys() - before.runs.keys()):
        if run.task_id != model.id:
            continue
        row = after.occurrences[run.occurrence_id]
        attempts = after.by_occurrence[row.id]
        place = attempts.index(run)
        if place:
            yield from _tries_again(model, attempts[place - 1], run, place)
        elif row.is_in_line and _is_held(before, after, model):
            yield f"{row} was started while its task was held"
        if not place and run.agent_id != model.values["agent"]:
            yield f"{run} is of another agent than its task {model.values['agent']}"
        was_deleted = model.id in before.tasks and before.tasks[model.id].deleted_at is not None
        if was_deleted:
            yield f"{run} was started by a deleted task"
    yield from _gave_up(before, after, model)


def _is_held(before: Seen, after: Seen, model: TaskModel) -> bool:
    old, new = before.tasks.get(model.id), after.tasks[model.id]
    return old is not None and old.status == new.status == "PAUSED"


def _tries_again(model: TaskModel, last: RunSeen, run: RunSeen, place: int) -> Iterator[str]:
    """A failed attempt is followed by the next after the wait that the task says."""
    retry = model.values["retry"]
    wait_s = retry["backoffSeconds"] * 2 ** (place - 1)
    waited_us = (run.due_at or 0) - (last.finished_at or 0)
    if run.due_at and not wait_s <= waited_us / SECOND_US <= wait_s * 1.25:
        yield f"{run} comes {waited_us} us after {last}, not {wait_s} s"
    if place >= retry["maxAttempts"]:
        yield f"{run} is one attempt too many"


def _gave_up(before: Seen, after: Seen, model: TaskModel) -> Iterator[str]:
    """What another attempt may find gone is tried again as often as the task says."""
    for row in after.of(model.id):
        old = before.occurrences.get(row.id)
        if row.status != "FAILED" or row.run_id is None or (old is not None and not old.is_open):
            continue
        code = after.runs[row.run_id].error_code
        is_transient = code in TRANSIENT or code == "WORKER_LOST"
        if is_transient and row.attempts < model.values["retry"]["maxAttempts"]:
            was_deleted = after.tasks[model.id].deleted_at is not None
            if not was_deleted:
                yield f"{row} was given up after {row.attempts} attempts: {code}"
