"""From one step to the next: the place where a run is held, and where it is told more."""

from collections.abc import Sequence

from domain.events.records import EventDraft
from domain.kernel.database import Statement
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock
from domain.models.ports import ChatMessage
from domain.models.providers import ModelRef
from domain.runs.candidates import Candidate
from domain.runs.context import Turn
from domain.runs.journal import Journal, OvertakenError
from domain.runs.line import ConversationLine
from domain.runs.parking import AT_WORK, Parking
from domain.runs.state import EventType, RunStatus, StepKind, WaitsFor
from domain.runs.steering import Steering
from domain.runs.steps import StepStart
from domain.runs.work import Work

TAKE_PAUSES = """
UPDATE run_order SET taken_at = $2
WHERE run_id = $1 AND kind = 'pause' AND taken_at IS NULL RETURNING id
"""


class RunLeavesError(Exception):
    """The process stops; the run is written up to here and goes on elsewhere."""


class Stepper:
    """Begins model calls and parks runs; one per process."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        ids: IdSource,
        *,
        steering: Steering,
        line: ConversationLine,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._steering = steering
        self._line = line

    def model_step(
        self, work: Work, model: ModelRef | Candidate, *, profile_id: str | None
    ) -> StepStart:
        """Number the next model call."""
        return StepStart(
            id=self._ids(),
            workspace_id=work.workspace_id,
            run_id=work.run_id,
            position=work.next_position(),
            kind=StepKind.MODEL_CALL,
            provider=model.provider,
            name=model.name,
            trace_id=work.claim.trace_id,
            started_at=self._clock.now_us(),
            behavior_profile_id=profile_id,
            pinned=work.pinned,
        )

    async def begin(
        self,
        work: Work,
        turn: Turn,
        statements: Sequence[Statement],
        drafts: Sequence[EventDraft],
    ) -> StepStart | None:
        """Write what came before and begin the next model call; None when the run is held.

        Raises RunLeavesError when it is for another process to begin it.
        """
        # Before anything else: a rule that holds a run says so once.
        if await self.is_held(work, statements, drafts):
            return None
        if work.is_leaving:
            await self._journal.progress(work, statements, drafts)
            raise RunLeavesError
        return await self.go_on(work, turn, statements, drafts)

    async def go_on(
        self,
        work: Work,
        turn: Turn,
        statements: Sequence[Statement],
        drafts: Sequence[EventDraft],
    ) -> StepStart:
        """Write what came before and begin the next model call, whatever is wanted of the run."""
        steers = await self._steering.found(work)
        states, changes = self.at_work(work)
        step = self.model_step(work, turn.choice.model, profile_id=turn.behavior_profile_id)
        taken = self._steering.taken(work, steers, step.position)
        batch = [*statements, *states, *taken, step.statement()]
        results = await self._journal.progress(work, batch, [*drafts, *changes])
        turn.messages += [ChatMessage(role="user", content=steer.instruction) for steer in steers]
        return step.begun(results[-1])

    async def is_held(
        self, work: Work, statements: Sequence[Statement], drafts: Sequence[EventDraft]
    ) -> bool:
        """Park a run that somebody wants held, with what came before; False for any other."""
        if work.pause is None:
            return False
        parking = Parking(
            status=RunStatus.PAUSED, waits_for=WaitsFor.PAUSE, reason=work.pause.reason
        )
        taken = Statement(TAKE_PAUSES, (work.run_id, self._clock.now_us()), work.pause.is_ordered)
        try:
            await self._journal.park(work, parking, statements, drafts, only_if=taken)
        except OvertakenError:
            # The order was taken back meanwhile.
            work.pause = None
            return False
        return True

    async def stand_in_line(self, work: Work) -> None:
        """Let a run wait for its turn that does not hold its conversation; held if so wanted."""
        if work.waits_for is WaitsFor.CONVERSATION:
            work.status = RunStatus.QUEUED
        if await self.is_held(work, [], []):
            return
        parking = Parking(status=RunStatus.QUEUED, waits_for=WaitsFor.CONVERSATION)
        conversation_id = work.claim.conversation_id or ""
        then = [
            self._line.lock(work.workspace_id, conversation_id),
            *self._line.passing(conversation_id),
        ]
        passed = await self._journal.park(work, parking, [], [], then=then)
        self._line.hint(passed)

    def at_work(self, work: Work) -> tuple[list[Statement], list[EventDraft]]:
        """What is written and told when a run that waited goes on; nothing when it did not."""
        if work.waits_for is None and work.status is RunStatus.RUNNING:
            return [], []
        now_us, before = self._clock.now_us(), work.status
        statement = Statement(AT_WORK, (work.run_id, work.end_wait(now_us)))
        work.waits_for, work.status = None, RunStatus.RUNNING
        if before is RunStatus.RUNNING:
            return [statement], []
        data = {"previousStatus": before, "status": RunStatus.RUNNING, "reason": None}
        return [statement], [work.draft(EventType.RUN_STATE_CHANGED, data, now_us)]
