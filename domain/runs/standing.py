"""A decision for always: a rule of the agent's own profile, which is made when it has none."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.access.audit import AuditTrail
from domain.access.scopes import Principal
from domain.agents import writes as agents
from domain.agents.rows import AgentRow
from domain.agents.settings import AgentSettings
from domain.behavior import writes as profiles
from domain.behavior.adjustment import DEFAULT_PRIORITY, MOST_RULES
from domain.behavior.profiles import told_of
from domain.behavior.rows import BehaviorProfileRow
from domain.behavior.rules import (
    Rule,
    Rules,
    ToolDecision,
    ToolEffect,
    read,
    strongest_first,
    written,
)
from domain.events.records import EventDraft
from domain.kernel.database import Database, Statement
from domain.kernel.errors import Conflict, NotFound, ObjectRef
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock
from domain.kernel.rows import fetch_rows
from domain.runs.approval_rows import ApprovalRow
from domain.runs.approval_state import ApprovalStatus
from domain.runs.approval_writes import rule_of
from domain.tools.patterns import fits

HIGHEST = 100
"""Highest priority of a rule."""
LONGEST_QUOTE = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A rule to add, and how: written with the decision, `told` is its event."""

    rule: Rule | None
    statements: Sequence[Statement] = ()
    lines: Sequence[Statement] = ()
    """Of the audit log."""
    told: Sequence[EventDraft] = ()


NO_RULE = Standing(rule=None)
"""Of a decision that holds for less than always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Profile:
    """The agent's own profile, as it is or as it will be made."""

    id: str
    version: int
    rules: Rules
    making: Sequence[Statement] = ()
    lines: Sequence[Statement] = ()


class StandingRules:
    """Prepares rules for decisions that hold for always; the caller writes them."""

    def __init__(
        self, database: Database, clock: Clock, ids: IdSource, *, audit: AuditTrail
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._audit = audit

    async def prepare(
        self, principal: Principal, row: ApprovalRow, status: ApprovalStatus
    ) -> Standing:
        """Find what to write for every call of the tool by the agent. Raises Conflict."""
        profile = await self._profile(principal, row.agent_id)
        others = self._about(row.tool_name, [*await self._workspace_rules(row), *profile.rules])
        wanted = self._rule(principal, row, status, others)
        known = next((rule for rule in profile.rules if rule.meaning == wanted.meaning), None)
        if known is not None:
            return Standing(rule=known)
        if len(profile.rules) >= MOST_RULES:
            raise _impossible(
                f"The agent's profile has {MOST_RULES} rules already, as many as it may have."
            )
        now_us = self._clock.now_us()
        saving = profiles.Saving(
            version_id=self._ids(),
            workspace_id=row.workspace_id,
            profile_id=profile.id,
            version=profile.version + 1,
            rules=written(strongest_first([*profile.rules, wanted])),
            restored_from=None,
            comment=f"Decided for always: {row.tool_name}.",
            created_by=principal.name,
            now_us=now_us,
        )
        detail = {"version": saving.version, "added": 1, "removed": 0, "changed": 0}
        target = ObjectRef(kind="BehaviorProfile", id=profile.id)
        adjusted = self._audit.record(principal, "behavior.adjusted", target=target, detail=detail)
        return Standing(
            rule=wanted,
            statements=[
                *profile.making,
                profiles.put_in_force(saving),
                profiles.insert_version(saving),
            ],
            lines=[*profile.lines, *adjusted],
            told=[told_of(principal, profile.id, saving.version_id, now_us)],
        )

    def _rule(
        self, principal: Principal, row: ApprovalRow, status: ApprovalStatus, others: Rules
    ) -> Rule:
        allows = status is ApprovalStatus.APPROVED
        asks = rule_of(row.rule)
        priority = _allowing(asks, others) if allows else _denying(asks, others)
        words = "Call {} without asking." if allows else "Never call {}."
        return Rule(
            id=self._ids(),
            statement=words.format(row.tool_name),
            priority=priority,
            tags=(),
            expires_at=None,
            created_by=principal.name,
            effect=ToolEffect(
                decision=ToolDecision.ALLOW if allows else ToolDecision.DENY,
                tools=(row.tool_name,),
            ),
        )

    def _about(self, tool: str, rules: Sequence[Rule]) -> Rules:
        """Those of the rules in force that decide on calls of a tool."""
        now_us = self._clock.now_us()
        return tuple(
            rule
            for rule in rules
            if isinstance(rule.effect, ToolEffect)
            and rule.is_in_force(now_us)
            and fits(tool, rule.effect.tools)
        )

    async def _workspace_rules(self, row: ApprovalRow) -> Rules:
        """The rules that every agent of the workspace follows."""
        sql = f"SELECT rules FROM behavior_version WHERE id = {profiles.version_in_force('$1')}"
        rows = await self._database.fetch(sql, row.workspace_id)
        return read(rows[0][0]) if rows else ()

    async def _profile(self, principal: Principal, agent_id: str) -> _Profile:
        """The agent's own profile; the workspace's is nobody's own."""
        condition = "id = $1 AND workspace_id = $2"
        found = await fetch_rows(
            self._database, AgentRow, condition, agent_id, principal.workspace_id
        )
        if not found:
            raise NotFound("agent", agent_id)
        agent = found[0]
        condition += " AND NOT active AND deleted_at IS NULL"
        owned = await fetch_rows(
            self._database,
            BehaviorProfileRow,
            condition,
            agent.settings.get("behaviorProfileId"),
            principal.workspace_id,
        )
        if not owned:
            return await self._made(principal, agent)
        rules: Rules = ()
        if owned[0].version_id is not None:
            sql = "SELECT rules FROM behavior_version WHERE id = $1"
            rules = read((await self._database.fetch(sql, owned[0].version_id))[0][0])
        return _Profile(id=owned[0].id, version=owned[0].version, rules=rules)

    async def _made(self, principal: Principal, agent: AgentRow) -> _Profile:
        """A new profile, and the version of the agent that follows it."""
        ident, now_us = self._ids(), self._clock.now_us()
        name = await self._free_name(principal, agent.slug, ident)
        described = f"Decisions for always about calls of {agent.slug}."
        settings = AgentSettings.model_validate(agent.settings)
        saving = agents.Saving(
            agent_id=agent.id,
            version_id=self._ids(),
            workspace_id=agent.workspace_id,
            slug=agent.slug,
            settings=settings.model_copy(update={"behavior_profile_id": ident}),
            created_by=principal.name,
            now_us=now_us,
            comment="Follows a profile of its own from now on.",
        )
        return _Profile(
            id=ident,
            version=0,
            rules=(),
            making=[
                *profiles.claim_profiles(self._database.dialect, agent.workspace_id),
                profiles.insert_profile((ident, agent.workspace_id, name, described, now_us)),
                agents.update_agent(saving, version=agent.version),
                agents.insert_version(saving),
            ],
            lines=[
                *self._audit.record(
                    principal,
                    "behavior.created",
                    target=ObjectRef(kind="BehaviorProfile", id=ident),
                    detail={"name": name},
                ),
                *self._audit.record(
                    principal,
                    "agent.updated",
                    target=ObjectRef(kind="Agent", id=agent.id),
                    detail={"version": agent.version + 1, "changed": ["behaviorProfileId"]},
                ),
            ],
        )

    async def _free_name(self, principal: Principal, slug: str, ident: str) -> str:
        rows = await self._database.fetch(
            "SELECT name FROM behavior_profile WHERE workspace_id = $1 AND deleted_at IS NULL",
            principal.workspace_id,
        )
        if len(rows) >= profiles.MOST_PROFILES:
            raise _impossible(
                f"The workspace has {profiles.MOST_PROFILES} behavior profiles already, as many"
                " as it may have, and the agent has none of its own."
            )
        name = f"Approvals of {slug}"
        return name if (name,) not in rows else f"{name} {ident[-6:]}"


def _allowing(asks: Rule | None, others: Rules) -> int:
    """Priority of a rule that allows: above the one that asks, above none that denies.

    Raises Conflict where there is no such place.
    """
    denying = [rule for rule in others if _decision(rule) is ToolDecision.DENY]
    if asks is None:
        # At one priority the rule that denies is the stronger.
        return min([DEFAULT_PRIORITY, *(rule.priority for rule in denying)])
    priority = asks.priority + 1
    if priority > HIGHEST:
        raise _impossible(
            "The rule that asks has the highest priority, so no other can allow the call;"
            " change that rule."
        )
    asks_always = isinstance(asks.effect, ToolEffect) and not asks.effect.when
    for rule in denying:
        is_overruled = asks_always and rule.priority < asks.priority
        if rule.priority < priority and not is_overruled:
            raise _impossible(
                "A rule that allows every call would stand above the rule"
                f" {rule.statement[:LONGEST_QUOTE]!r}, which denies some; give that one a"
                f" priority above {asks.priority} first."
            )
    return priority


def _denying(asks: Rule | None, others: Rules) -> int:
    """Priority of a rule that denies: no other decision on the tool stands above it."""
    least = DEFAULT_PRIORITY if asks is None else min(asks.priority + 1, HIGHEST)
    return max([least, *(r.priority for r in others if _decision(r) is not ToolDecision.DENY)])


def _decision(rule: Rule) -> ToolDecision | None:
    return rule.effect.decision if isinstance(rule.effect, ToolEffect) else None


def _impossible(why: str) -> Conflict:
    return Conflict(f"{why} Decide with ONCE or RUN instead.", path=["scope"])
