"""What a model is shown: standing instructions, the conversation, the task, what was done."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import orjson

from domain.agents.settings import AgentSettings, ModelChoice, RunLimits
from domain.conversations.service import ConversationService
from domain.kernel.database import Database, placeholders
from domain.kernel.errors import NotFound
from domain.models.ports import INPUTS, ChatMessage, ProviderState, ToolCall, ToolSpec
from domain.models.prices import Price
from domain.models.providers import ModelProviders
from domain.runs.bounds import Bounds
from domain.runs.candidates import Candidate, Choice, candidates_of, unpriced
from domain.runs.circles import Circles, may_delegate
from domain.runs.delegate_call import spec_of
from domain.runs.failures import RunFailedError
from domain.runs.lease import PastStep
from domain.runs.output import OutputSchema
from domain.runs.recovery import ANSWERED
from domain.runs.state import RunErrorCode, StepKind, StepStatus
from domain.runs.steering import SeenSteer, seen_steers
from domain.runs.work import RunFailure, Work
from domain.tools.manifest import to_spec
from domain.tools.registry import ToolRegistry

ToolSetKey = tuple[tuple[tuple[str, ...], ...], int]

DONE_CALLS = frozenset(
    {StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.DENIED, StepStatus.REUSED}
)
_TRIES = """
WITH RECURSIVE tries (id, retry_of) AS (
    SELECT id, retry_of FROM run WHERE id = $1
    UNION ALL
    SELECT run.id, run.retry_of FROM run JOIN tries ON run.id = tries.retry_of
)
SELECT id FROM tries
"""
HISTORY_TOKENS = 16_000
"""Most tokens of earlier messages put before the model."""


@dataclass(slots=True, kw_only=True)
class Turn:
    """Everything a run needs to go on, as the model will see it."""

    agent: str
    """Slug of the agent."""
    settings: AgentSettings
    """The agent as the run knows it."""
    hands_on: bool
    """True when the run may hand work to other agents."""
    choice: Choice
    tools: ToolRegistry
    specs: Sequence[ToolSpec]
    limits: RunLimits
    messages: list[ChatMessage] = field(default_factory=list[ChatMessage])
    behavior_profile_id: str | None = None
    """The agent's own profile."""
    batch: dict[int, ChatMessage] = field(default_factory=dict[int, ChatMessage])
    """Results of the last answer's calls so far, by the position of their steps."""
    told: list[ChatMessage] = field(default_factory=list[ChatMessage])
    """What the run was told after them."""
    output: OutputSchema | None = None
    """What the answer must look like."""
    repairs: int = 0
    """Answers so far that did not."""

    def close_batch(self) -> None:
        """All calls of the last answer are done: the model reads their results in order."""
        self.messages += [self.batch[position] for position in sorted(self.batch)]
        self.messages += self.told
        self.batch.clear()
        self.told.clear()


class ContextBuilder:
    """Builds the turn of a run from its rows."""

    def __init__(
        self,
        database: Database,
        conversations: ConversationService,
        models: ModelProviders,
        tools: ToolRegistry,
    ) -> None:
        self._database = database
        self._conversations = conversations
        self._models = models
        self._tools = tools
        self._settings: dict[tuple[str, int], AgentSettings] = {}
        self._candidates: dict[tuple[str, int], Sequence[Candidate]] = {}
        self._circles = Circles(database)
        self._sets: dict[ToolSetKey, tuple[ToolRegistry, Sequence[ToolSpec]]] = {}

    async def build(self, work: Work, past: Sequence[PastStep]) -> Turn:
        """Raises RunFailedError when the run has a limit that cannot be kept."""
        settings = await self._agent(work.claim.agent_id, work.claim.agent_version)
        allowed, specs = self._allowed(granted(work, settings))
        messages = [ChatMessage(role="system", content=settings.instructions)]
        messages += await self._history(work)
        messages.append(ChatMessage(role="user", content=_instruction(work)))
        again = past or work.claim.retry_of is not None
        told = await seen_steers(self._database, work.run_id) if again else []
        output = output_of(work)
        done, batch = replayed(past, told, output)
        messages += done
        limits = narrowed_limits(settings.limits, work.spec.get("limits") or {})
        return Turn(
            agent=settings.slug or work.claim.agent_id,
            settings=settings,
            hands_on=may_delegate(settings, work.spec.get("allowedTools")),
            choice=await self._choice(work, settings, limits, past),
            tools=allowed,
            specs=[*specs, *await self._offered(work, settings, limits)],
            limits=limits,
            behavior_profile_id=settings.behavior_profile_id,
            messages=messages if settings.instructions else messages[1:],
            batch=batch,
            told=[steer.message() for steer in told],
            output=output,
            repairs=repairs_in(past, output),
        )

    def price_of(self, provider: str, name: str) -> Price | None:
        """What a model asks; None when nobody knows."""
        return self._models.prices.of(provider, name)

    async def _choice(
        self, work: Work, settings: AgentSettings, limits: RunLimits, past: Sequence[PastStep]
    ) -> Choice:
        """A run's own model replaces the agent's; the agent's fallbacks stay."""
        key = (work.claim.agent_id, work.claim.agent_version)
        own, candidates = work.spec.get("model"), self._candidates.get(key)
        if own is not None or candidates is None:
            first = settings.model if own is None else ModelChoice.model_validate(own)
            candidates = await candidates_of(self._models, first, settings.fallback_models)
        if own is None:
            self._candidates[key] = candidates
        reason = unpriced(candidates) if limits.max_cost_usd is not None else None
        if reason is not None:
            raise RunFailedError(RunFailure(code=RunErrorCode.LIMIT_REACHED, message=reason))
        choice = Choice(candidates=candidates)
        choice.follow(past)
        return choice

    def _allowed(
        self, patterns: Sequence[Sequence[str]]
    ) -> tuple[ToolRegistry, Sequence[ToolSpec]]:
        """The tools that fit each list; the same few combinations come again and again."""
        key = (tuple(tuple(each) for each in patterns), len(self._tools))
        known = self._sets.get(key)
        if known is None:
            allowed = self._tools
            for each in patterns:
                allowed = allowed.allowed(each)
            if len(self._sets) > 256:
                self._sets.clear()
            known = (allowed, [to_spec(tool.manifest) for tool in allowed])
            self._sets[key] = known
        return known

    async def _offered(
        self, work: Work, settings: AgentSettings, limits: RunLimits
    ) -> Sequence[ToolSpec]:
        """The tool by which the run hands work on, where there is somebody to ask."""
        if not may_delegate(settings, work.spec.get("allowedTools")):
            return ()
        circle = await self._circles.of(work, settings, limits)
        return [spec_of(circle.offered)] if circle.offered else ()

    async def _agent(self, agent_id: str, version: int) -> AgentSettings:
        """Versions never change, so they are kept."""
        known = self._settings.get((agent_id, version))
        if known is None:
            rows = await self._database.fetch(
                "SELECT settings FROM agent_version WHERE agent_id = $1 AND version = $2",
                agent_id,
                version,
            )
            if not rows:
                raise NotFound("agent version", f"{agent_id}/{version}")
            if len(self._settings) > 1024:
                self._settings.clear()
                self._candidates.clear()
            known = AgentSettings.model_validate(orjson.loads(rows[0][0]))
            self._settings[(agent_id, version)] = known
        return known

    async def _history(self, work: Work) -> list[ChatMessage]:
        conversation_id = work.claim.conversation_id
        if conversation_id is None:
            return []
        own = await self._tries(work)
        rows = await self._conversations.history(conversation_id, limit_tokens=HISTORY_TOKENS)
        await self._taint(work, {row.run_id for row in rows} - {None, work.run_id})
        return [
            ChatMessage(
                role="assistant" if row.role == "ASSISTANT" else "user", content=row.content
            )
            for row in rows
            if row.run_id not in own
        ]

    async def _tries(self, work: Work) -> set[str | None]:
        """The run and those that it tries again: what they said is not of the past."""
        if work.claim.retry_of is None:
            return {work.run_id}
        return {row[0] for row in await self._database.fetch(_TRIES, work.run_id)}

    async def _taint(self, work: Work, run_ids: AbstractSet[str | None]) -> None:
        """What a run that read untrusted text has said is not trusted either."""
        if work.is_tainted or not run_ids:
            return
        among = placeholders(1, len(run_ids))
        sql = f"SELECT id FROM run WHERE id IN ({among}) AND tainted LIMIT 1"
        work.is_tainted = bool(await self._database.fetch(sql, *run_ids))


def _instruction(work: Work) -> str:
    if not work.inputs:
        return work.claim.instruction
    named = orjson.dumps(work.inputs, option=orjson.OPT_INDENT_2).decode()
    return f"{work.claim.instruction}{INPUTS}{named}"


def granted(work: Work, settings: AgentSettings) -> list[Sequence[str]]:
    """Lists of patterns that a tool must fit: the agent's, the run's, those of runs above."""
    narrowed = work.spec.get("allowedTools")
    own = [settings.allowed_tools, *([] if narrowed is None else [narrowed])]
    return [*own, *Bounds.read(work.claim.bounds).tools]


def narrowed_limits(limits: RunLimits, given: Mapping[str, Any]) -> RunLimits:
    """Return the agent's bounds narrowed by those of the run; neither can widen the other."""
    changes: dict[str, Any] = {}
    for name, field_info in RunLimits.model_fields.items():
        asked = given.get(field_info.alias or name)
        bound = getattr(limits, name)
        if asked is not None and (bound is None or asked < bound):
            changes[name] = asked
    return limits.model_copy(update=changes)


def output_of(work: Work) -> OutputSchema | None:
    """What a run's answer must look like; None when any text will do."""
    schema = work.spec.get("outputSchema")
    return None if schema is None else OutputSchema(schema)


def repairs_in(past: Sequence[PastStep], output: OutputSchema | None) -> int:
    """Count the recorded answers that did not fit."""
    if output is None:
        return 0
    answers = [step for step in past if step.kind == StepKind.MODEL_CALL and not step.calls]
    return sum(
        1 for step in answers if step.status in ANSWERED and output.objections(step.text or "")
    )


def replayed(
    past: Sequence[PastStep], told: list[SeenSteer], output: OutputSchema | None = None
) -> tuple[list[ChatMessage], dict[int, ChatMessage]]:
    """Turn recorded steps back into the messages that they were.

    Results of the last answer, whose other calls may be open, come apart, by position. What the
    run was told comes before the step that saw it first; what is left of `told` comes last.
    """
    messages: list[ChatMessage] = []
    batch: dict[int, ChatMessage] = {}
    for step in past:
        if step.kind != StepKind.MODEL_CALL:
            if step.status in DONE_CALLS:
                batch[step.position] = _result_message(step)
        elif step.status in ANSWERED:
            messages += batch.values()
            batch = {}
            while told and told[0].position <= step.position:
                messages.append(told.pop(0).message())
            messages.append(_answer_message(step))
            if output is not None and not step.calls:
                messages += output.objections(step.text or "")
    return messages, batch


def _answer_message(step: PastStep) -> ChatMessage:
    state = step.provider_state
    return ChatMessage(
        role="assistant",
        content=step.text or "",
        tool_calls=calls_of(step.calls),
        provider_state=None if state is None else ProviderState(**orjson.loads(state)),
    )


def _result_message(step: PastStep) -> ChatMessage:
    failed = step.error_message is not None
    value = orjson.loads(step.result) if step.result is not None else None
    content = value if isinstance(value, str) else orjson.dumps(value).decode()
    return ChatMessage(
        role="tool",
        content=(step.error_message or "") if failed else content,
        tool_call_id=step.call_id,
        tool_name=step.name,
        failed=failed,
    )


def calls_of(text: str | None) -> tuple[ToolCall, ...]:
    """Read the calls that a model step recorded."""
    if text is None:
        return ()
    return tuple(
        ToolCall(id=call["id"], name=call["name"], arguments=call["arguments"])
        for call in orjson.loads(text)
    )
