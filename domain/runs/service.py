"""Starting, stopping and watching runs, for every door."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from domain.access.audit import AuditTrail
from domain.access.scopes import Principal, Scope
from domain.agents.rows import AgentRow
from domain.conversations.rows import ConversationRow
from domain.conversations.service import ConversationService
from domain.events.records import EventDraft
from domain.events.store import EventStore
from domain.kernel.database import Database, Statement, WriteRefusedError
from domain.kernel.errors import Conflict, ErrorCode, NotFound, ObjectRef
from domain.kernel.idempotency import IdempotencyKeys
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock, EventBus, JobQueue
from domain.kernel.rows import fetch_rows
from domain.kernel.validation import validated
from domain.models.providers import ModelProviders, ModelRef
from domain.runs.accept import NewRun, insert_run
from domain.runs.candidates import first_model
from domain.runs.lease import Claimed
from domain.runs.limit_rules import LimitRules
from domain.runs.orders import EXECUTE_JOB, CancelOrder, RunOrders
from domain.runs.queries import RunQueries
from domain.runs.rows import RunRow
from domain.runs.runner import Runner, Stop
from domain.runs.spec import ExecuteSpec
from domain.runs.state import EventType, RunStatus
from domain.runs.stream import RunStreams, RunTopic, StreamItem, TokenPiece
from domain.runs.work import Claim, Work, dumps

CANCEL_WAIT_S = 2.0
OPERATION = "executeAgent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A run that was accepted now, or before under the same idempotency key."""

    row: RunRow
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts:
    """What the service is made of."""

    database: Database
    store: EventStore
    conversations: ConversationService
    models: ModelProviders
    streams: RunStreams
    runner: Runner | None
    queue: JobQueue
    bus: EventBus
    idempotency: IdempotencyKeys
    limits: LimitRules
    audit: AuditTrail
    clock: Clock
    ids: IdSource


class RunService(RunQueries):
    """Everything a client does with runs. `runner` is None where no run is worked on."""

    def __init__(self, parts: RunParts) -> None:
        super().__init__(parts.database)
        self._parts = parts
        self._orders = RunOrders(
            parts.database, parts.queue, parts.bus, clock=parts.clock, ids=parts.ids
        )

    async def execute(self, principal: Principal, values: Mapping[str, Any]) -> Executed:
        """Accept a run; with `waitSeconds`, wait for its end that long.

        Raises ValidationFailed, NotFound, Conflict, Forbidden, QuotaExceeded and
        ProviderUnavailable.
        """
        principal.needs(Scope.RUNS_EXECUTE)
        spec = validated(ExecuteSpec, values)
        digest = spec.digest() if spec.idempotency_key is not None else ""
        known = await self._recalled(principal, spec, digest)
        if known is None:
            agent = await self._agent(principal, spec)
            await self._parts.limits.check_new(agent)
            await self._check_conversation(principal, spec)
            model = await first_model(self._parts.models, agent, spec)
            new = self._new_run(principal, spec, agent)
            try:
                known, replayed = await self._accept(principal, new, spec, model, digest=digest)
            finally:
                if new.owner is not None and self._parts.runner is not None:
                    self._parts.runner.give_back_inline()
        else:
            replayed = True
        if spec.wait_seconds:
            await self.wait_end(principal, known, spec.wait_seconds)
        row = await self._row(known)
        await self._told([row])
        return Executed(row=row, replayed=replayed)

    async def cancel(self, principal: Principal, run_id: str, reason: str | None) -> RunRow:
        """Order a run to stop, wherever it is, and wait shortly until it has.

        Raises NotFound, and Conflict when the run has ended.
        """
        principal.needs(Scope.RUNS_EXECUTE)
        run = await self._find(principal, run_id)
        if run is None:
            raise NotFound("run", run_id, path=["runId"])
        if RunStatus(run.status).is_final:
            raise Conflict(
                f"The run has ended as {run.status} already.",
                path=["runId"],
                conflicting=ObjectRef(kind="Run", id=run_id),
            )
        order = CancelOrder(
            workspace_id=run.workspace_id, run_id=run_id, reason=reason, created_by=principal.name
        )
        target = ObjectRef(kind="Run", id=run_id)
        recorded = self._parts.audit.record(
            principal, "run.cancelled", target=target, detail={"reason": reason}
        )
        await self._parts.database.write([self._orders.leave(order), *recorded])
        runner = self._parts.runner
        if runner is not None and runner.held(run_id) is not None:
            runner.stop(run_id, Stop.CANCEL, reason)
        elif run.lease_owner is None and runner is not None:
            await runner.execute(run_id, urgent=True)
        else:
            self._parts.queue.enqueue(EXECUTE_JOB, run_id)
        self._orders.publish(order)
        await self.wait_end(principal, run_id, CANCEL_WAIT_S)
        return await self._row(run_id)

    async def stream(
        self,
        principal: Principal,
        run_id: str,
        *,
        after: str | None = None,
        include_descendants: bool = False,
    ) -> AsyncGenerator[StreamItem, None]:
        """Yield a run's events after a cursor, to its last. Raises NotFound and BadCursor."""
        principal.needs(Scope.RUNS_READ)
        topic = await self._topic(principal, run_id)
        async for item in self._parts.streams.events(topic, after=after, below=include_descendants):
            yield item

    async def is_told(self, principal: Principal, run_id: str, *, after: str | None) -> bool:
        """Tell whether `stream` has nothing left to yield: the run's last event was seen.

        Raises NotFound and BadCursor, as `stream` does before its first event.
        """
        principal.needs(Scope.RUNS_READ)
        topic = await self._topic(principal, run_id)
        return await self._parts.streams.is_told(topic, after=after)

    async def tokens(
        self, principal: Principal, run_id: str, *, after: int = 0
    ) -> AsyncGenerator[TokenPiece, None]:
        """Yield a run's answer as text after a seq. Raises NotFound."""
        principal.needs(Scope.RUNS_READ)
        topic = await self._topic(principal, run_id)
        async with aclosing(self._parts.streams.tokens(topic, after=after)) as pieces:
            async for piece in pieces:
                yield piece

    async def _topic(self, principal: Principal, run_id: str) -> RunTopic:
        run = await self._find(principal, run_id)
        if run is None:
            raise NotFound("run", run_id, path=["runId"])
        return RunTopic(
            workspace_id=run.workspace_id,
            run_id=run.id,
            root_run_id=run.root_run_id,
            trace_id=run.trace_id,
            is_final=RunStatus(run.status).is_final,
        )

    async def _recalled(self, principal: Principal, spec: ExecuteSpec, digest: str) -> str | None:
        if spec.idempotency_key is None:
            return None
        return await self._parts.idempotency.recall(
            principal.workspace_id, OPERATION, key=spec.idempotency_key, digest=digest
        )

    async def _agent(self, principal: Principal, spec: ExecuteSpec) -> AgentRow:
        named = spec.agent.slug or spec.agent.id or ""
        column = "id" if spec.agent.id is not None else "slug"
        condition = f"workspace_id = $1 AND {column} = $2"
        found = await fetch_rows(
            self._parts.database, AgentRow, condition, principal.workspace_id, named
        )
        if not found:
            raise NotFound("agent", named, path=["agent"], by=column)
        agent = found[0]
        if agent.archived_at is not None:
            raise Conflict(
                f"The agent {agent.slug!r} is archived; bring it back with archiveAgent.",
                path=["agent"],
                conflicting=ObjectRef(kind="Agent", id=agent.id),
            )
        return agent

    async def _check_conversation(self, principal: Principal, spec: ExecuteSpec) -> None:
        if spec.conversation_id is None:
            return
        query = ConversationRow.filter(id=spec.conversation_id, workspace_id=principal.workspace_id)
        if not await query.using_db(self._parts.database.reader).exists():
            raise NotFound("conversation", spec.conversation_id, path=["conversationId"])

    def _new_run(self, principal: Principal, spec: ExecuteSpec, agent: AgentRow) -> NewRun:
        runner = self._parts.runner
        inline = spec.wait_seconds > 0 and runner is not None and runner.reserve_inline()
        return NewRun(
            id=self._parts.ids(),
            workspace_id=principal.workspace_id,
            agent_id=agent.id,
            agent_version=agent.version,
            conversation_id=spec.conversation_id,
            instruction=spec.instruction,
            inputs=spec.inputs,
            spec=spec.kept(),
            priority=spec.priority,
            metadata=spec.metadata,
            trace_id=principal.trace.trace_id,
            span_id=principal.trace.child().span_id,
            created_by=principal.name,
            created_at=self._parts.clock.now_us(),
            owner=runner.owner if inline and runner is not None else None,
            lease_us=runner.lease_us if inline and runner is not None else 0,
        )

    async def _accept(
        self,
        principal: Principal,
        new: NewRun,
        spec: ExecuteSpec,
        model: ModelRef,
        *,
        digest: str,
    ) -> tuple[str, bool]:
        """Write the run and what begins with it as one commit.

        Returns the id of the run, and True when a twin with the same key was faster.
        """
        insertion = insert_run(self._parts.database, new)
        keeping: Statement | None = None
        if spec.idempotency_key is not None:
            keeping = self._parts.idempotency.remember(
                new.workspace_id,
                OPERATION,
                key=spec.idempotency_key,
                digest=digest,
                result_id=new.id,
            )
        statements = [*([keeping] if keeping else []), insertion, *self._first_message(new)]
        target = ObjectRef(kind="Run", id=new.id)
        detail = {"agentId": new.agent_id}
        statements += self._parts.audit.record(
            principal, "run.started", target=target, detail=detail
        )
        try:
            runner = self._parts.runner
            if runner is None or new.owner is None:
                await self._parts.database.write(statements)
                self._parts.queue.enqueue(EXECUTE_JOB, new.id)
            else:
                begin = self._begin_inline(runner, new, statements, model)
                await runner.carry_through(begin)
        except WriteRefusedError as error:
            if error.statement is keeping and spec.idempotency_key is not None:
                twin = await self._parts.idempotency.recall(
                    new.workspace_id, OPERATION, key=spec.idempotency_key, digest=digest
                )
                if twin is not None:
                    return twin, True
            if error.statement is not insertion and error.statement is not keeping:
                raise NotFound(
                    "conversation", new.conversation_id or "", path=["conversationId"]
                ) from error
            raise await self._busy(new) from error
        return new.id, False

    def _first_message(self, new: NewRun) -> list[Statement]:
        if new.conversation_id is None:
            return []
        return self._parts.conversations.message_statements(
            workspace_id=new.workspace_id,
            conversation_id=new.conversation_id,
            role="USER",
            content=new.instruction,
            run_id=new.id,
        )

    async def _begin_inline(
        self, runner: Runner, new: NewRun, statements: list[Statement], model: ModelRef
    ) -> None:
        """Accept, claim, and the first step in one commit; then the run is at work here."""
        work = Work(_claim_of(new))
        first = runner.engine.first_step(work, provider=model.provider, model=model.name)
        drafts: list[EventDraft] = [work.draft(EventType.RUN_STARTED, {}, new.created_at)]
        store, place = self._parts.store, len(statements)
        statements += [first.statement(), *store.append(new.workspace_id, drafts)]
        results = await self._parts.database.write(statements)
        first = first.begun(results[place])
        runner.hold(Claimed(work=work, past=(), orders=()), first=first)
        store.announce(new.workspace_id, store.head_of(results), drafts)

    async def _busy(self, new: NewRun) -> Conflict:
        rows = await self._parts.database.fetch(
            "SELECT id FROM run WHERE conversation_id = $1 AND holds_conversation",
            new.conversation_id,
        )
        return Conflict(
            "The conversation is busy with another run; wait for its end or cancel it.",
            code=ErrorCode.CONVERSATION_BUSY,
            path=["conversationId"],
            conflicting=ObjectRef(kind="Run", id=rows[0][0]) if rows else None,
        )

    async def wait_end(self, principal: Principal, run_id: str, seconds: float) -> None:
        """Wait for the end of a run, here or elsewhere, without asking again and again."""
        runner = self._parts.runner
        held = runner.held(run_id) if runner is not None else None
        try:
            async with asyncio.timeout(seconds):
                if held is not None:
                    await held.done.wait()
                    if held.ended:
                        return
                topic = await self._topic(principal, run_id)
                if topic.is_final:
                    return
                events = self._parts.streams.events(topic, after=None, below=False)
                async with aclosing(events):
                    async for _ in events:
                        pass
        except TimeoutError:
            return


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
    )
