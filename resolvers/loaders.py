"""Related rows of one request: by id in batches, and lists of one object."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from domain.access.rows import ApiKeyRow, AuditRow, WorkspaceRow
from domain.access.scopes import Principal, Scope
from domain.agents.rows import AgentRow, AgentVersionRow
from domain.agents.settings import AgentSettings
from domain.behavior.queries import ReachingRule
from domain.behavior.rows import BehaviorProfileRow, BehaviorVersionRow
from domain.behavior.service import BehaviorDiff
from domain.conversations.rows import ConversationRow, MessageRow
from domain.kernel.paging import Page, PageRequest
from domain.memory.rows import MemoryRow, MemoryVersionRow
from domain.runs.approval_rows import ApprovalRow
from domain.runs.queries import RunFilter, RunOrder
from domain.runs.rows import RunRow, RunStepRow
from domain.runs.work import RunUsage
from domain.tasks.queries import OccurrenceFilter
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tools.manifest import ToolManifest
from resolvers.batching import Batch
from resolvers.tool_pages import counter, page_of_tools
from schema.relay import Count

if TYPE_CHECKING:
    from resolvers.services import Services

AgentAt = tuple[str, int]
"""An agent's id and a version of it."""
StepOf = tuple[str, str]
"""A run's id and that of a step of it."""


class RequestLoaders:
    """Loads on behalf of one caller; the services check what the caller may see."""

    def __init__(self, services: "Services", principal: Principal) -> None:
        self._services = services
        self._principal = principal
        self._agents = Batch(self._fetch_agents)
        self._settings = Batch(self._fetch_settings)
        self._conversations = Batch(self._fetch_conversations)
        self._memories = Batch(self._fetch_memories)
        self._runs = Batch(self._fetch_runs)
        self._delegated = Batch(self._fetch_delegated)
        self._approvals = Batch(self._fetch_approvals)
        self._approvals_of = Batch(self._fetch_approvals_of)
        self._asked = Batch(self._fetch_asked)
        self._active = Batch(self._fetch_active)
        self._totals = Batch(self._fetch_totals)
        self._positions = Batch(self._fetch_positions)
        self._profiles = Batch(self._fetch_profiles)
        self._versions = Batch(self._fetch_versions)
        self._denied = Batch(self._fetch_denied)
        self._effective = Batch(self._fetch_effective)
        self._followed = Batch(self._fetch_followed)
        self._tasks = Batch(self._fetch_tasks)
        self._occurrences = Batch(self._fetch_occurrences)
        self._last_occurrences = Batch(self._fetch_last_occurrences)
        self._attempts = Batch(self._fetch_attempts)

    async def workspace(self, workspace_id: str) -> WorkspaceRow | None:
        """Workspace of the caller; no other is visible."""
        if workspace_id != self._principal.workspace_id:
            return None
        return await self._services.access.workspace(self._principal)

    async def api_key(self, key_id: str) -> ApiKeyRow | None:
        """Key of the caller, or any of the workspace for an admin."""
        if key_id != self._principal.key_id:
            self._principal.needs(Scope.ADMIN)
        return await self._services.access.key(self._principal.workspace_id, key_id)

    async def audit_entry(self, entry_id: str) -> AuditRow | None:
        """Line of the audit log, for an admin."""
        return await self._services.audit_log.entry(self._principal, entry_id)

    async def agent(self, agent_id: str) -> AgentRow | None:
        """Agent by id."""
        return await self._agents.load(agent_id)

    async def agents(self, agent_ids: Sequence[str]) -> list[AgentRow]:
        """Agents by ids, in their order, without those that do not exist."""
        return await self._agents.load_many(agent_ids)

    async def agent_settings(self, agent_id: str, version: int) -> AgentSettings | None:
        """Settings of an agent as they were at a version."""
        return await self._settings.load((agent_id, version))

    async def agent_versions(self, agent_id: str, page: PageRequest) -> Page[AgentVersionRow]:
        """Saved versions, newest first."""
        return await self._services.agents.versions(self._principal, agent_id, page)

    async def conversation(self, conversation_id: str) -> ConversationRow | None:
        """Conversation by id."""
        return await self._conversations.load(conversation_id)

    async def message(self, message_id: str) -> MessageRow | None:
        """Message by id."""
        return await self._services.conversations.message(self._principal, message_id)

    async def messages(self, conversation_id: str, page: PageRequest) -> Page[MessageRow]:
        """Messages of a conversation, oldest first."""
        return await self._services.conversations.messages(self._principal, conversation_id, page)

    async def memory(self, memory_id: str) -> MemoryRow | None:
        """Memory by id."""
        return await self._memories.load(memory_id)

    async def memories(self, memory_ids: Sequence[str]) -> list[MemoryRow]:
        """Memories by ids, in their order, without those that do not exist."""
        return await self._memories.load_many(memory_ids)

    async def memory_history(self, memory_id: str, page: PageRequest) -> Page[MemoryVersionRow]:
        """Changes of a memory, newest first."""
        return await self._services.memory.history(self._principal, memory_id, page)

    async def run(self, run_id: str) -> RunRow | None:
        """Run by id."""
        return await self._runs.load(run_id)

    async def runs(self, narrowing: RunFilter, page: PageRequest) -> Page[RunRow]:
        """Runs, newest first."""
        order = RunOrder.CREATED_AT_DESC
        return await self._services.runs.runs(self._principal, narrowing, order, page)

    async def children(self, run_id: str, page: PageRequest) -> Page[RunRow]:
        """Runs that a run delegated to, oldest first."""
        return await self._services.runs.children(self._principal, run_id, page)

    async def steps(self, run_id: str, page: PageRequest) -> Page[RunStepRow]:
        """Steps of a run, in order."""
        return await self._services.runs.steps(self._principal, run_id, page)

    async def step(self, step_id: str) -> RunStepRow | None:
        """Step by id."""
        return await self._services.runs.step(self._principal, step_id)

    async def delegated_run(self, run_id: str, step_id: str) -> RunRow | None:
        """Run that a step of a run handed its work to."""
        return await self._delegated.load((run_id, step_id))

    async def approval(self, approval_id: str) -> ApprovalRow | None:
        """Approval by id."""
        return await self._approvals.load(approval_id)

    async def approval_of(self, step_id: str) -> ApprovalRow | None:
        """Approval that a call needed."""
        return await self._approvals_of.load(step_id)

    async def approvals(self, run_id: str) -> Sequence[ApprovalRow]:
        """Approvals that a run asked for, oldest first."""
        return await self._asked.load(run_id) or []

    async def active_run(self, conversation_id: str) -> RunRow | None:
        """Run at work on a conversation."""
        return await self._active.load(conversation_id)

    async def total_usage(self, run_id: str) -> RunUsage | None:
        """Use of a run and all below it."""
        return await self._totals.load(run_id)

    async def queue_position(self, run_id: str) -> int | None:
        """Runs ahead of a queued run."""
        return await self._positions.load(run_id)

    async def behavior_profile(self, profile_id: str) -> BehaviorProfileRow | None:
        """Behavior profile by id, also once deleted."""
        return await self._profiles.load(profile_id)

    async def active_behavior(self) -> BehaviorProfileRow:
        """Behavior profile of the caller's workspace."""
        return await self._services.behavior.active(self._principal)

    async def effective_rules(self, profile_id: str | None) -> Sequence[ReachingRule]:
        """Rules that reach an agent of this own profile, strongest first."""
        return await self._effective.load(profile_id or "") or ()

    async def behavior_version(self, version_id: str) -> BehaviorVersionRow | None:
        """Behavior version by id."""
        return await self._versions.load(version_id)

    async def behavior_versions(
        self, profile_id: str, page: PageRequest
    ) -> Page[BehaviorVersionRow]:
        """Versions of a behavior profile, newest first."""
        return await self._services.behavior.versions(self._principal, profile_id, page)

    async def behavior_diff(
        self, profile_id: str, *, older: int, newer: int
    ) -> BehaviorDiff | None:
        """What differs between two versions of a behavior profile."""
        return await self._services.behavior.diff(
            self._principal, profile_id, older=older, newer=newer
        )

    async def behavior_of(self, run_id: str) -> list[BehaviorVersionRow]:
        """Behavior versions that a run follows, the workspace's first."""
        return await self._versions.load_many(await self._followed.load(run_id) or ())

    async def task(self, task_id: str) -> TaskRow | None:
        """Task by id; a deleted one is None."""
        row = await self._tasks.load(task_id)
        return None if row is None or row.deleted_at is not None else row

    async def task_with_deleted(self, task_id: str) -> TaskRow | None:
        """Task by id, also once deleted."""
        return await self._tasks.load(task_id)

    async def occurrence(self, occurrence_id: str) -> OccurrenceRow | None:
        """Occurrence by id."""
        return await self._occurrences.load(occurrence_id)

    async def occurrences(self, task_id: str, page: PageRequest) -> Page[OccurrenceRow]:
        """Occurrences of a task, newest first."""
        narrowing = OccurrenceFilter(task_id=task_id)
        return await self._services.tasks.occurrences(
            self._principal, narrowing, page, newest_first=True
        )

    async def last_occurrence(self, task_id: str) -> OccurrenceRow | None:
        """Latest occurrence of a task."""
        return await self._last_occurrences.load(task_id)

    async def attempts(self, occurrence_id: str) -> Sequence[RunRow]:
        """Runs of an occurrence, oldest first."""
        return await self._attempts.load(occurrence_id) or []

    def tool(self, name: str) -> ToolManifest | None:
        """Tool by name."""
        self._principal.needs_any(Scope.TOOLS_READ, Scope.RUNS_READ, Scope.RUNS_EXECUTE)
        tool = self._services.tools.get(name)
        return None if tool is None else tool.manifest

    async def tools(
        self, allowed: Sequence[str], profile_id: str | None, page: PageRequest
    ) -> tuple[Page[ToolManifest], Count]:
        """Tools that fit the patterns and that no rule denies an agent, and how to count them."""
        self._principal.needs_any(Scope.TOOLS_READ, Scope.AGENTS_READ)
        denied = await self._denied.load(profile_id or "") or frozenset[str]()
        fitting = self._services.tools.allowed(allowed)
        found = [tool.manifest for tool in fitting if tool.manifest.name not in denied]
        return page_of_tools(found, page), counter(found)

    async def _fetch_agents(self, ids: Sequence[str]) -> Mapping[str, AgentRow]:
        return await self._services.agents.by_ids(self._principal, ids)

    async def _fetch_settings(self, keys: Sequence[AgentAt]) -> Mapping[AgentAt, AgentSettings]:
        return await self._services.agents.settings_at(self._principal, keys)

    async def _fetch_conversations(self, ids: Sequence[str]) -> Mapping[str, ConversationRow]:
        return await self._services.conversations.by_ids(self._principal, ids)

    async def _fetch_memories(self, ids: Sequence[str]) -> Mapping[str, MemoryRow]:
        return await self._services.memory.by_ids(self._principal, ids)

    async def _fetch_runs(self, ids: Sequence[str]) -> Mapping[str, RunRow]:
        return await self._services.runs.by_ids(self._principal, ids)

    async def _fetch_delegated(self, keys: Sequence[StepOf]) -> Mapping[StepOf, RunRow]:
        return await self._services.runs.by_steps(self._principal, keys)

    async def _fetch_approvals(self, ids: Sequence[str]) -> Mapping[str, ApprovalRow]:
        return await self._services.approvals.by_ids(self._principal, ids)

    async def _fetch_approvals_of(self, step_ids: Sequence[str]) -> Mapping[str, ApprovalRow]:
        return await self._services.approvals.of_steps(self._principal, step_ids)

    async def _fetch_asked(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[ApprovalRow]]:
        return await self._services.approvals.of_runs(self._principal, run_ids)

    async def _fetch_active(self, ids: Sequence[str]) -> Mapping[str, RunRow]:
        return await self._services.runs.active_of(self._principal, ids)

    async def _fetch_totals(self, ids: Sequence[str]) -> Mapping[str, RunUsage]:
        return await self._services.runs.usage_below(self._principal, ids)

    async def _fetch_positions(self, ids: Sequence[str]) -> Mapping[str, int]:
        return await self._services.runs.queue_positions(self._principal, ids)

    async def _fetch_profiles(self, ids: Sequence[str]) -> Mapping[str, BehaviorProfileRow]:
        return await self._services.behavior.profiles_by_ids(self._principal, ids)

    async def _fetch_versions(self, ids: Sequence[str]) -> Mapping[str, BehaviorVersionRow]:
        return await self._services.behavior.versions_by_ids(self._principal, ids)

    async def _fetch_denied(self, profile_ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
        names = self._services.tools.names()
        return await self._services.behavior.denied_tools(self._principal, profile_ids, names)

    async def _fetch_effective(
        self, profile_ids: Sequence[str]
    ) -> Mapping[str, Sequence[ReachingRule]]:
        return await self._services.behavior.effective(self._principal, profile_ids)

    async def _fetch_followed(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return await self._services.runs.behavior_of(self._principal, run_ids)

    async def _fetch_tasks(self, ids: Sequence[str]) -> Mapping[str, TaskRow]:
        return await self._services.tasks.by_ids(self._principal, ids)

    async def _fetch_occurrences(self, ids: Sequence[str]) -> Mapping[str, OccurrenceRow]:
        return await self._services.tasks.occurrences_by_ids(self._principal, ids)

    async def _fetch_last_occurrences(self, ids: Sequence[str]) -> Mapping[str, OccurrenceRow]:
        return await self._services.tasks.last_occurrences(self._principal, ids)

    async def _fetch_attempts(self, ids: Sequence[str]) -> Mapping[str, Sequence[RunRow]]:
        return await self._services.tasks.attempts(self._principal, ids)
