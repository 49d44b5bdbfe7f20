"""Starting runs and trying them again, for every door; with their control and their streams."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from domain.access.scopes import Principal, Scope
from domain.agents.rows import AgentRow
from domain.conversations.rows import ConversationRow
from domain.kernel.errors import Conflict, NotFound, ObjectRef
from domain.kernel.idempotency import digest_of
from domain.kernel.rows import fetch_rows
from domain.kernel.validation import validated
from domain.runs.accept import NewRun
from domain.runs.acceptor import Acceptance, RunAcceptor, line_place
from domain.runs.candidates import first_model
from domain.runs.control import RunControl
from domain.runs.keyed import Keyed
from domain.runs.parts import Executed, RunParts
from domain.runs.retry import Reused, asked_of, pinned, reused, spec_of
from domain.runs.rows import RunRow
from domain.runs.spec import ExecuteSpec, OnBusy, RetryConfig, RetrySpec

__all__ = ["Executed", "RunParts", "RunService"]

EXECUTE = "executeAgent"
RETRY = "retryRun"


class RunService(RunControl):
    """Everything a client does with runs."""

    def __init__(self, parts: RunParts) -> None:
        super().__init__(parts)
        self._acceptor = RunAcceptor(parts, self._orders)

    async def execute(self, principal: Principal, values: Mapping[str, Any]) -> Executed:
        """Accept a run; with `waitSeconds`, wait for its end that long.

        Raises ValidationFailed, NotFound, Conflict, Forbidden, QuotaExceeded and
        ProviderUnavailable.
        """
        principal.needs(Scope.RUNS_EXECUTE)
        spec = validated(ExecuteSpec, values)
        keyed = self._keyed(principal, EXECUTE, spec.idempotency_key, spec.digest)
        known = await keyed.recall()
        if known is not None:
            return await self._waited(principal, known, spec.wait_seconds, replayed=True)
        agent = await self._agent(principal, spec)
        await self._parts.limits.check_new(agent)
        await self._check_conversation(principal, spec)
        model = await first_model(self._parts.models, agent, spec)
        new = self._new_run(principal, spec, agent)
        given = Acceptance(new=new, keyed=keyed, model=model, on_busy=spec.on_busy)
        try:
            run_id, replayed = await self._acceptor.accept(principal, given)
        finally:
            if new.owner is not None and self._parts.runner is not None:
                self._parts.runner.give_back_inline()
        return await self._waited(principal, run_id, spec.wait_seconds, replayed=replayed)

    async def retry(self, principal: Principal, run_id: str, values: Mapping[str, Any]) -> Executed:
        """Start a new run that does an ended one again, whole or from one of its steps.

        A run that was delegated is tried again on its own, within the bounds it had. Raises
        ValidationFailed, NotFound, Conflict, Forbidden and ProviderUnavailable.
        """
        principal.needs(Scope.RUNS_EXECUTE)
        spec = validated(RetrySpec, values)
        asked = {"run": run_id, "fromStepId": spec.from_step_id, "config": spec.config}
        keyed = self._keyed(principal, RETRY, spec.idempotency_key, lambda: digest_of(asked))
        known = await keyed.recall()
        if known is not None:
            return await self._waited(principal, known, spec.wait_seconds, replayed=True)
        given = await self._retried(principal, await self._run_of(principal, run_id), spec, keyed)
        new_id, replayed = await self._acceptor.accept(principal, given)
        return await self._waited(principal, new_id, spec.wait_seconds, replayed=replayed)

    async def _retried(
        self, principal: Principal, run: RunRow, spec: RetrySpec, keyed: Keyed
    ) -> Acceptance:
        if run.finished_at is None:
            raise self._conflict(run.id, "The run has not ended; cancel it or wait for its end.")
        database, again = self._parts.database, spec_of(run)
        asked = asked_of(run)
        agent = await self._agent(principal, asked, path="runId")
        await self._parts.limits.check_new(agent)
        pin: list[str | None] | None = None
        if spec.config is RetryConfig.ORIGINAL:
            agent = await self._as_it_was(agent, run.agent_version)
            pin = await pinned(database, run)
        model = await first_model(self._parts.models, agent, asked)
        new = replace(
            self._new_run(principal, asked, agent),
            conversation_id=run.conversation_id,
            inputs=run.inputs,
            spec=again,
            priority=run.priority,
            metadata=run.metadata,
            retry_of=run.id,
            bounds=run.bounds,
            tainted=run.tainted,
            behavior_pin=pin,
        )
        taken = Reused()
        if spec.from_step_id is not None:
            taken = await reused(
                database,
                run,
                spec.from_step_id,
                new.id,
                trace_id=new.trace_id,
                ids=self._parts.ids,
            )
        return Acceptance(
            new=new,
            keyed=keyed,
            model=model,
            # One that was stopped in line never said its words.
            says=run.started_at is None,
            more=taken.statements,
            path="runId",
        )

    async def _as_it_was(self, agent: AgentRow, version: int) -> AgentRow:
        rows = await self._parts.database.fetch(
            "SELECT settings FROM agent_version WHERE agent_id = $1 AND version = $2",
            agent.id,
            version,
        )
        agent.version, agent.settings = version, orjson.loads(rows[0][0])
        return agent

    async def _waited(
        self, principal: Principal, run_id: str, seconds: int, *, replayed: bool
    ) -> Executed:
        if seconds:
            await self.wait_end(principal, run_id, seconds)
        return Executed(row=await self._now(run_id), replayed=replayed)

    async def _agent(
        self, principal: Principal, spec: ExecuteSpec, *, path: str = "agent"
    ) -> AgentRow:
        named = spec.agent.slug or spec.agent.id or ""
        column = "id" if spec.agent.id is not None else "slug"
        condition = f"workspace_id = $1 AND {column} = $2"
        found = await fetch_rows(
            self._parts.database, AgentRow, condition, principal.workspace_id, named
        )
        if not found:
            raise NotFound("agent", named, path=[path], by=column)
        agent = found[0]
        if agent.archived_at is not None:
            raise Conflict(
                f"The agent {agent.slug!r} is archived; bring it back with archiveAgent.",
                path=[path],
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
        runner, now_us = self._parts.runner, self._parts.clock.now_us()
        may_wait = spec.conversation_id is not None and spec.on_busy is not OnBusy.REJECT
        inline = (
            spec.wait_seconds > 0
            and not may_wait
            and runner is not None
            and runner.reserve_inline()
        )
        return NewRun(
            id=self._parts.ids(),
            workspace_id=principal.workspace_id,
            agent_id=agent.id,
            agent_version=agent.version,
            behavior_profile_id=agent.settings.get("behaviorProfileId"),
            conversation_id=spec.conversation_id,
            instruction=spec.instruction,
            inputs=spec.inputs,
            spec=spec.kept(),
            priority=spec.priority,
            metadata=spec.metadata,
            trace_id=principal.trace.trace_id,
            span_id=principal.trace.child().span_id,
            created_by=principal.name,
            created_at=now_us,
            owner=runner.owner if inline and runner is not None else None,
            lease_us=runner.lease_us if inline and runner is not None else 0,
            line_at=line_place(spec.on_busy, now_us) if may_wait else None,
        )
