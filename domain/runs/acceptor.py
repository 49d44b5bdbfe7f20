"""How a run comes to be: one commit with its message, its key and its place at a conversation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.access.scopes import Principal
from domain.conversations.messages import title_of
from domain.events.records import EventDraft
from domain.kernel.database import Statement, WriteRefusedError
from domain.kernel.errors import Conflict, ErrorCode, NotFound, ObjectRef
from domain.models.providers import ModelRef
from domain.runs.accept import NewRun, insert_run
from domain.runs.keyed import Keyed
from domain.runs.lease import Claimed
from domain.runs.line import FRONT, ConversationLine
from domain.runs.orders import EXECUTE_JOB, CancelOrder, OrderKind, RunOrders
from domain.runs.parts import RunParts
from domain.runs.runner import Runner
from domain.runs.spec import OnBusy
from domain.runs.state import EventType
from domain.runs.work import Claim, Work, dumps

INTERRUPTED = "A newer run took over its conversation."


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A run about to be accepted, and what it is accepted with."""

    new: NewRun
    keyed: Keyed
    model: ModelRef
    on_busy: OnBusy = OnBusy.REJECT
    says: bool = True
    """False when its instruction stands in the conversation already."""
    more: Sequence[Statement] = ()
    """Written after the run itself."""
    path: str = "conversationId"
    """What named the conversation, for failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where in a write stand those who are stopped, and who passes in the line."""

    stopped: int
    passed: int


class RunAcceptor:
    """Accepts runs: begun here at once, queued for a worker, or put in line."""

    def __init__(self, parts: RunParts, orders: RunOrders) -> None:
        self._parts = parts
        self._orders = orders
        self._line = ConversationLine(parts.database, self._hint, clock=parts.clock, ids=parts.ids)

    def _hint(self, run_id: str) -> None:
        self._parts.queue.enqueue(EXECUTE_JOB, run_id)

    async def accept(self, principal: Principal, given: Acceptance) -> tuple[str, bool]:
        """Write the run and what begins with it as one commit.

        Returns the id of the run, and True when a twin with the same key was faster. Raises
        NotFound and Conflict for the conversation.
        """
        new = given.new
        keeping = given.keyed.remember(new.id)
        conversation, placing = self._placed(given)
        recorded = self._recorded(principal, given)
        statements = [*keeping, *conversation, placing, *given.more]
        stopped = len(statements)
        statements += self._after(principal, given)
        places = _Places(stopped=stopped, passed=len(statements) - 1)
        try:
            await self._write(given, [*statements, *recorded], places)
        except WriteRefusedError as error:
            if error.statement in keeping:
                twin = await given.keyed.recall()
                if twin is not None:
                    return twin, True
            if error.statement in conversation:
                ident = new.conversation_id or ""
                raise NotFound("conversation", ident, path=[given.path]) from error
            raise await self._busy(given) from error
        return new.id, False

    def _recorded(self, principal: Principal, given: Acceptance) -> list[Statement]:
        new = given.new
        deed, detail = "run.started", {"agentId": new.agent_id}
        if new.retry_of is not None:
            deed, detail = "run.retried", {**detail, "retryOf": new.retry_of}
        if given.on_busy is not OnBusy.REJECT:
            detail = {**detail, "onBusy": given.on_busy.value}
        target = ObjectRef(kind="Run", id=new.id)
        return self._parts.audit.record(principal, deed, target=target, detail=detail)

    def _placed(self, given: Acceptance) -> tuple[list[Statement], Statement]:
        """What stands before the run in its write, and the run.

        The conversation's row comes first: its lock puts all in line who look who holds it.
        """
        new, insertion = given.new, insert_run(self._parts.database, given.new)
        if new.conversation_id is None:
            return [], insertion
        if new.line_at is not None or not given.says:
            lock = self._line.lock(new.workspace_id, new.conversation_id)
            return [replace(lock, must_match=True)], insertion
        said = self._parts.conversations.message_statements(
            workspace_id=new.workspace_id,
            conversation_id=new.conversation_id,
            role="USER",
            content=new.instruction,
            run_id=new.id,
        )
        return said, insertion

    def _after(self, principal: Principal, given: Acceptance) -> list[Statement]:
        """For a run that may wait: stop who holds the conversation if asked, let the next in."""
        new = given.new
        if new.line_at is None or new.conversation_id is None:
            return []
        stopping: list[Statement] = []
        if given.on_busy is OnBusy.INTERRUPT:
            order = CancelOrder(
                workspace_id=new.workspace_id,
                run_id="",
                reason=INTERRUPTED,
                created_by=principal.name,
            )
            stopping = self._orders.interrupt(order, new.conversation_id)
        title = title_of(new.instruction)
        return [*stopping, *self._line.passing(new.conversation_id, title=title)]

    async def _write(self, given: Acceptance, statements: list[Statement], places: _Places) -> None:
        new, runner = given.new, self._parts.runner
        if runner is not None and new.owner is not None:
            begin = self._begin_inline(runner, new, statements, given.model)
            return await runner.carry_through(begin)
        results = await self._parts.database.write(statements)
        if new.line_at is None:
            self._hint(new.id)
            return None
        self._line.hint(results[places.passed])
        if given.on_busy is OnBusy.INTERRUPT:
            # Those who were ordered to stop, not who holds the conversation by now.
            for (run_id,) in results[places.stopped]:
                self._orders.hint(run_id, OrderKind.CANCEL, INTERRUPTED)
        return None

    async def _begin_inline(
        self, runner: Runner, new: NewRun, statements: list[Statement], model: ModelRef
    ) -> None:
        """Accept, claim, and the first step in one commit; then the run is at work here."""
        work = Work(_claim_of(new))
        first = runner.engine.first_step(work, model, profile_id=new.behavior_profile_id)
        drafts: list[EventDraft] = [work.draft(EventType.RUN_STARTED, {}, new.created_at)]
        store, place = self._parts.store, len(statements)
        statements += [first.statement(), *store.append(new.workspace_id, drafts)]
        results = await self._parts.database.write(statements)
        first = first.begun(results[place])
        work.told()
        runner.hold(Claimed(work=work, past=(), orders=()), first=first)
        store.announce(new.workspace_id, store.head_of(results), drafts)

    async def _holder(self, new: NewRun) -> str | None:
        rows = await self._parts.database.fetch(
            "SELECT id FROM run WHERE conversation_id = $1 AND holds_conversation",
            new.conversation_id,
        )
        return rows[0][0] if rows else None

    async def _busy(self, given: Acceptance) -> Conflict:
        holder = await self._holder(given.new)
        return Conflict(
            "The conversation is busy with another run; wait for its end, cancel it, or give"
            " onBusy as QUEUE or INTERRUPT.",
            code=ErrorCode.CONVERSATION_BUSY,
            path=[given.path],
            conflicting=ObjectRef(kind="Run", id=holder) if holder is not None else None,
        )


def line_place(on_busy: OnBusy, now_us: int) -> int | None:
    """Where a run stands in the line for its conversation; None when it does not wait."""
    if on_busy is OnBusy.REJECT:
        return None
    return FRONT if on_busy is OnBusy.INTERRUPT else now_us


def _claim_of(new: NewRun) -> Claim:
    """The row that `insert_run` writes for an inline run, without reading it back."""
    return Claim(
        id=new.id,
        workspace_id=new.workspace_id,
        agent_id=new.agent_id,
        agent_version=new.agent_version,
        conversation_id=new.conversation_id,
        root_run_id=new.id,
        parent_run_id=None,
        depth=0,
        attempt=1,
        instruction=new.instruction,
        inputs=dumps(new.inputs),
        spec=dumps(new.spec),
        trace_id=new.trace_id,
        span_id=new.span_id,
        created_by=new.created_by,
        started_at=new.created_at,
        lease_owner=new.owner or "",
        fence=1,
        losses=0,
        input_tokens=0,
        output_tokens=0,
        cached_tokens=0,
        reasoning_tokens=0,
        offline=False,
        model_calls=0,
        tool_calls=0,
        cost_pico_usd=0,
        cost_known=True,
        priority=new.priority,
        holds_conversation=new.conversation_id is not None,
    )
