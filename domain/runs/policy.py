"""The one place that decides before every call of a tool: rules, bounds, and people.

Each call is ruled on when it begins and again whenever it is taken up after a wait or a lost
worker, by the rules in force at that moment: one that denies counts however it was approved.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic_core import to_jsonable_python

from domain.behavior.policy import (
    Arguments,
    Decision,
    ToolFacts,
    decide,
    forbids,
    strictest,
    with_bounds,
    with_taint,
)
from domain.behavior.rules import ToolDecision
from domain.kernel.ports import Clock
from domain.models.ports import ToolSpec
from domain.runs.bounds import ALL_TOOLS, Bounds
from domain.runs.context import Turn
from domain.runs.delegate_call import DELEGATE
from domain.runs.questions import NONE_KNOWN, Judged, KnownApprovals, Questions
from domain.runs.rules_in_force import RuleSets, RulesInForce
from domain.runs.rulings import Next, Ruling
from domain.runs.state import StepKind
from domain.runs.steps import StepStart
from domain.runs.work import Work
from domain.tools.calls import InvalidArguments, Tool
from domain.tools.manifest import SideEffect
from domain.tools.patterns import fits
from domain.tools.registry import parsed_arguments


class CallPolicy:
    """Rules on calls, and leaves out of a model's tools what is denied in any case."""

    def __init__(self, rules: RulesInForce, questions: Questions, clock: Clock) -> None:
        self._rules = rules
        self._questions = questions
        self._clock = clock

    async def rule(self, work: Work, turn: Turn, starts: Sequence[StepStart]) -> list[Ruling]:
        """Decide on calls that begin, or go on after a wait: one ruling each, in order."""
        sets = await self._rules.of_run(work, turn.behavior_profile_id)
        known = await self._questions.known(work, starts)
        judged = [self._judged(work, turn, start, sets, known=known) for start in starts]
        judged = await self._without_begun(work, judged)
        if known is NONE_KNOWN and any(one is not None and one.asks for one in judged):
            known = await self._questions.standing(work)
        return [
            Ruling(next=Next.RUN, start=start)
            if one is None
            else self._questions.ruling(work, one, known)
            for start, one in zip(starts, judged, strict=True)
        ]

    async def offered(self, work: Work, turn: Turn, step: StepStart) -> Sequence[ToolSpec]:
        """Return the tools that a model is shown: those that some call may reach."""
        rules = await self._rules.of_versions(
            step.behavior_version_id, step.agent_behavior_version_id
        )
        bounds = Bounds.read(work.claim.bounds).tools
        if not rules and not bounds:
            return turn.specs
        now_us = self._clock.now_us()
        return [
            spec
            for spec in turn.specs
            if not forbids(rules, spec.name, now_us)
            and (spec.name == DELEGATE or all(fits(spec.name, patterns) for patterns in bounds))
        ]

    def _judged(
        self, work: Work, turn: Turn, start: StepStart, sets: RuleSets, *, known: KnownApprovals
    ) -> Judged | None:
        """Judge one call as it would run; None for what goes on or fails by itself in any case."""
        tool = turn.tools.get(start.name)
        if start.kind is StepKind.DELEGATION:
            facts, effect = ToolFacts.of_delegation(start.name), SideEffect.WRITE
        elif tool is None:
            return None
        else:
            facts, effect = ToolFacts.of(tool.manifest), tool.manifest.side_effect
        forms = _forms(tool, known.arguments_of(start))
        found = self._decided(work, facts, forms, sets)
        is_refused = len(forms) == 1 and tool is not None
        if is_refused and not start.waited and found.decision is ToolDecision.ASK:
            # Nobody is asked about arguments that the tool refuses in any case.
            return None
        return Judged(
            start=start,
            decision=found,
            side_effect=effect,
            is_idempotent=tool is None or tool.manifest.idempotent,
            versions=sets.versions,
        )

    async def _without_begun(
        self, work: Work, judged: Sequence[Judged | None]
    ) -> Sequence[Judged | None]:
        """Leave out work that another agent has begun: it goes on, whatever the rules say now.

        Work that waits for its turn has not, and is judged when that comes.
        """
        doubtful = [
            one.start.id
            for one in judged
            if one is not None
            and one.start.reopened
            and one.start.kind is StepKind.DELEGATION
            and one.decision.decision is not ToolDecision.ALLOW
        ]
        if not doubtful:
            return judged
        begun = await self._questions.begun(work, doubtful)
        return [None if one is not None and one.start.id in begun else one for one in judged]

    def _decided(
        self, work: Work, facts: ToolFacts, forms: Sequence[Arguments], sets: RuleSets
    ) -> Decision:
        now_us = self._clock.now_us()
        for patterns in sets.bounds:
            if not facts.hands_on and not fits(facts.name, patterns):
                words = f"An agent above this one may not call {facts.name}, so neither may it."
                return Decision(decision=ToolDecision.DENY, rule=None, explanation=words)
        found = [decide(rules, facts, forms, now_us) for rules in sets.lists]
        if work.is_tainted:
            # For each of those above too: no run has more trust than who handed it work.
            found = [with_taint(one, facts) for one in found]
        if facts.plans and _is_narrowed(work):
            found = [with_bounds(one, facts) for one in found]
        return strictest(found)


def _is_narrowed(work: Work) -> bool:
    """Tell whether a run may do less than a run of its agent that nobody bounds."""
    bounds = Bounds.read(work.claim.bounds)
    is_narrower = work.spec.get("allowedTools") not in (None, list(ALL_TOOLS))
    return is_narrower or bool(bounds.tools or bounds.profiles)


def _forms(tool: Tool | None, arguments: object) -> list[Arguments]:
    """The arguments as the model sent them and as the tool takes them, if it does."""
    sent: Arguments = {}
    try:
        sent = parsed_arguments(cast("str | Mapping[str, Any]", arguments))
        taken = sent if tool is None else tool.accept(sent)
    except InvalidArguments:
        return [sent]
    return [sent, cast("Arguments", to_jsonable_python(dict(taken), fallback=str))]
