"""What must be true of the rows after every rule of the state machine (DESIGN, I1 to I6)."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

import orjson

from domain.runs.recovery import ANSWERED
from domain.runs.state import FINAL, LAST_EVENTS, EventType, RunStatus, StepKind, StepStatus
from tests.domain.machine_arena import Effect
from tests.domain.machine_look import EventSeen, RunSeen, Seen, StepSeen

TEXT = (EventType.TOKEN_DELTA, EventType.REASONING_DELTA)
AGAIN = (EventType.RUN_STARTED, EventType.RUN_STATE_CHANGED)


def complaints(seen: Seen, effects: Sequence[Effect]) -> Iterator[str]:
    """What is wrong with the rows as they are."""
    yield from _cursors(seen)
    for run in seen.runs.values():
        is_over = run.status in FINAL
        yield from _has_ended(seen, run) if is_over else _is_going_somewhere(seen, run)
        yield from _is_of_a_family(seen, run)
        yield from _story(run, seen.events.get(run.id, ()))
        yield from _counted(run, seen.steps.get(run.id, ()))
        yield from _journaled(run, seen.steps.get(run.id, ()))
        yield from _answered(seen, run)
    yield from _once(seen, effects)
    held = [run.conversation_id for run in seen.runs.values() if run.holds_conversation]
    if len(set(held)) < len(held):
        yield "two runs hold one conversation"


def changes(before: Seen, after: Seen, writers: Collection[str]) -> Iterator[str]:
    """What must not have changed; `writers` are the owners of leases that were awake meanwhile."""
    for run_id, old in before.runs.items():
        new = after.runs.get(run_id)
        if new is None:
            yield f"I1: the accepted run {run_id} is gone"
            continue
        if old.status in FINAL and (new.status, new.output) != (old.status, old.output):
            yield f"the ended run {run_id} changed from {old.status} to {new.status}"
        yield from _kept(before, after, run_id)
        is_claimed = new.fence > old.fence
        is_ours = old.lease_owner in writers
        if is_claimed or is_ours:
            continue
        if before.done_by(run_id) != after.done_by(run_id):
            yield f"I3: somebody without its lease wrote the run {run_id}"
        if new.lease_owner != old.lease_owner:
            yield f"I3: somebody else gave up the lease of the run {run_id}"


def _is_going_somewhere(seen: Seen, run: RunSeen) -> Iterator[str]:
    """I1 and I2: rows alone say what happens next."""
    if run.finished_at is not None:
        yield f"the run {run.id} is at work after its end"
    if run.lease_owner is not None:
        if run.lease_until is None:
            yield f"the lease of the run {run.id} has no end"
    elif not (_waits(seen, run) if run.waits_for is not None else run.due_at is not None):
        yield f"I1: nothing brings the run {run.id} forward: {run}"


def _has_ended(seen: Seen, run: RunSeen) -> Iterator[str]:
    """An ended run waits for nothing and leaves nothing open."""
    rest = (run.lease_owner, run.due_at, run.waits_for, run.parked_at)
    if any(value is not None for value in rest) or run.holds_conversation:
        yield f"I1: the run {run.id} has ended and still waits: {run}"
    if run.finished_at is None:
        yield f"the ended run {run.id} has no end"
    if seen.orders.get(run.id):
        yield f"the ended run {run.id} has open orders: {seen.orders[run.id]}"
    if any(step.is_open for step in seen.steps.get(run.id, ())):
        yield f"the ended run {run.id} has open steps"
    if run.status == RunStatus.SUCCEEDED and run.id in seen.unread:
        yield f"the run {run.id} succeeded without what it was told: {run}"


def _waits(seen: Seen, run: RunSeen) -> bool:
    """True when the run waits for something that is there, or its wait is over."""
    if run.due_at is not None and run.due_at <= seen.now_us:
        return True
    if run.waits_for == "pause":
        return run.status == RunStatus.PAUSED
    if run.waits_for == "conversation":
        return any(
            other.holds_conversation and other.conversation_id == run.conversation_id
            for other in seen.runs.values()
        )
    if run.waits_for == "calls":
        return _is_asked(seen, run) or any(
            other.parent_run_id == run.id and other.status not in FINAL
            for other in seen.runs.values()
        )
    return False


def _is_asked(seen: Seen, run: RunSeen) -> bool:
    """True while somebody may answer for the run; then it goes on by itself at the latest."""
    open_ones = [one for one in seen.approvals if one.run_id == run.id and one.status == "PENDING"]
    return bool(open_ones) and run.due_at is not None


def _is_of_a_family(seen: Seen, run: RunSeen) -> Iterator[str]:
    """What is begun by a run ends with it."""
    if run.parent_run_id is None:
        return
    parent = seen.runs[run.parent_run_id]
    call = next(step for step in seen.steps[parent.id] if step.id == run.parent_call_id)
    if call.kind != StepKind.DELEGATION:
        yield f"the run {run.id} was begun by {call}"
    is_left = parent.status in FINAL and run.status not in FINAL
    if is_left and "cancel" not in seen.orders.get(run.id, ()):
        yield f"the run {run.id} goes on after its parent ended as {parent.status}"
    if call.status == StepStatus.SUCCEEDED and run.status != RunStatus.SUCCEEDED:
        yield f"the run {run.id} ended as {run.status}, its parent was told {call}"


def _cursors(seen: Seen) -> Iterator[str]:
    """I5: positions of a workspace without a gap."""
    if list(seen.cursors) != list(range(1, seen.head + 1)):
        yield f"I5: the workspace's cursors have a gap below {seen.head}: {seen.cursors}"


def _story(run: RunSeen, events: Sequence[EventSeen]) -> Iterator[str]:
    """I3 and I5: one story from 1 to its one end, and no text of a call that was voided."""
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        yield f"I5: events of {run.id} have a gap: {[(event.seq, event.type) for event in events]}"
    lasts = [event for event in events if event.type in LAST_EVENTS]
    if run.status in FINAL:
        if len(lasts) != 1 or events[-1] is not lasts[0]:
            yield f"I5: the ended run {run.id} is told as {[event.type for event in events]}"
        elif lasts[0].data["status"] != run.status:
            yield f"the run {run.id} ended as {run.status}, told as {lasts[0].data['status']}"
    elif lasts:
        yield f"I5: the end of {run.id} is told before it"
    earlier: set[str] = set()
    lately: set[str] = set()
    for event in events:
        if event.type == EventType.RUN_STARTED:
            earlier |= lately
            lately = set()
        if event.type in TEXT:
            lately.add(event.data["stepId"])
            if event.data["stepId"] in earlier:
                yield f"I3: text of a lost worker in the story of {run.id}"


def _counted(run: RunSeen, steps: Sequence[StepSeen]) -> Iterator[str]:
    """What a run used is what its steps used."""
    own = [step for step in steps if step.status != StepStatus.REUSED]
    usages = [orjson.loads(step.usage) for step in own if step.usage is not None]
    tokens = tuple(sum(each[name] for each in usages) for name in ("inputTokens", "outputTokens"))
    if tokens != (run.input_tokens, run.output_tokens):
        yield f"the run {run.id} used {run.input_tokens, run.output_tokens}, its steps {tokens}"
    calls = sum(1 for step in steps if step.kind == StepKind.TOOL_CALL)
    if calls != run.tool_calls and run.retry_of is None:
        yield f"the run {run.id} counts {run.tool_calls} calls of {calls}"
    asked = sum(1 for step in own if step.kind == StepKind.MODEL_CALL)
    if run.model_calls > asked:
        yield f"the run {run.id} counts {run.model_calls} model calls of {asked}"


def _journaled(run: RunSeen, steps: Sequence[StepSeen]) -> Iterator[str]:
    """I6: an answer stands before its calls, each of them once."""
    positions = [step.position for step in steps]
    if any(later <= earlier for earlier, later in pairwise(positions)):
        yield f"I6: two steps of {run.id} have one place: {positions}"
    asked: list[str] = []
    said: list[str] = []
    for step in steps:
        if step.kind != StepKind.MODEL_CALL:
            continue
        is_answer = step.status in ANSWERED
        said = [call["id"] for call in orjson.loads(step.calls or "[]")] if is_answer else []
        asked += said
    begun = [step.call_id or "" for step in steps if step.kind != StepKind.MODEL_CALL]
    missing = [ident for ident in asked if ident not in begun]
    in_order = sorted(begun, key=asked.index) == begun or run.retry_of is not None
    # Only after the last answer a run may be held, end or begin.
    if len(asked) - len(missing) != len(begun) or not in_order or not set(missing) <= set(said):
        yield f"I6: the run {run.id} was asked for {asked} and began {begun}"
    is_left = any(step.is_open and step.kind == StepKind.MODEL_CALL for step in steps[:-1])
    if is_left and run.status not in FINAL:
        yield f"I6: the run {run.id} went on beyond a step that is not recorded"


def _answered(seen: Seen, run: RunSeen) -> Iterator[str]:
    """A run that succeeded has answered in its conversation: once, unless it was told more."""
    if run.conversation_id is None:
        return
    answers = [said for of, role, said in seen.messages if (of, role) == (run.id, "ASSISTANT")]
    if run.status == RunStatus.SUCCEEDED and answers[-1:] != [run.output]:
        yield f"the run {run.id} answered {answers}, not {run.output!r}"
    if len(answers) > (run.status in FINAL) and run.id not in seen.steered:
        yield f"the run {run.id} answered too early or too often: {answers}"


def _kept(before: Seen, after: Seen, run_id: str) -> Iterator[str]:
    """I6: a recorded step is never redone; I5: what was told stays told."""
    steps = {step.id: step for step in after.steps.get(run_id, ())}
    for step in before.steps.get(run_id, ()):
        if steps.get(step.id) is None:
            yield f"I6: a step of {run_id} is gone: {step}"
        elif not step.is_open and steps[step.id] != step:
            yield f"I6: a recorded step of {run_id} changed: {step} to {steps[step.id]}"
    told = before.events.get(run_id, ())
    if list(after.events.get(run_id, ()))[: len(told)] != list(told):
        yield f"I5: what was told of {run_id} changed"


def _once(seen: Seen, effects: Sequence[Effect]) -> Iterator[str]:
    """I6: no effect without its recorded start, none twice that must not be repeated."""
    steps = {step.id: step for steps in seen.steps.values() for step in steps}
    for effect in effects:
        if effect.step_id not in steps:
            yield f"I6: {effect} happened and no step tells of it"
    begun = _begun(seen)
    asked = Counter(one.step_id for one in seen.approvals)
    told = _tellings(seen, EventType.APPROVAL_REQUESTED)
    if asked.keys() != told.keys():
        yield f"asked about {asked}, told of {told}"
    for step_id, times in Counter(e.step_id for e in effects if e.tool != "note").items():
        if times > begun[step_id or ""]:
            yield f"I6: {steps.get(step_id or '')} was begun {begun} and happened {times} times"
    for step_id, times in begun.items():
        tool = steps[step_id].name
        if tool == "erase" and times > _granted(seen, steps[step_id]):
            yield f"the call {steps[step_id]} was begun {times} times without leave"
    happened = {effect.step_id for effect in effects}
    for step in steps.values():
        is_done = step.kind == StepKind.TOOL_CALL and step.status == StepStatus.SUCCEEDED
        if is_done and step.id not in happened:
            yield f"the step {step} succeeded, and nothing happened"


def _begun(seen: Seen) -> Counter[str]:
    """How often each call was begun, by step."""
    return Counter(
        event.data["stepId"]
        for events in seen.events.values()
        for event in events
        if event.type == EventType.TOOL_CALL_STARTED
    )


def _tellings(seen: Seen, kind: EventType, *statuses: str) -> Counter[str]:
    """How often something was told of each call's approval, by step."""
    return Counter(
        event.data["approval"]["stepId"]
        for events in seen.events.values()
        for event in events
        if event.type == kind and (not statuses or event.data["approval"]["status"] in statuses)
    )


def _granted(seen: Seen, step: StepSeen) -> int:
    """How often a call may begin: as often as somebody said so, or for all calls of the run."""
    own = _tellings(seen, EventType.APPROVAL_RESOLVED, "APPROVED")[step.id]
    for_all = any(
        one.run_id == step.run_id and one.scope == "RUN" and one.status == "APPROVED"
        for one in seen.approvals
    )
    return own + for_all
