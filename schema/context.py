"""What fields that need a query ask of the request they run in."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import strawberry

from domain.access.rows import ApiKeyRow, AuditRow, WorkspaceRow
from domain.access.scopes import Principal
from domain.agents.rows import AgentRow, AgentVersionRow
from domain.agents.settings import AgentSettings
from domain.behavior.queries import ReachingRule
from domain.behavior.rows import BehaviorProfileRow, BehaviorVersionRow
from domain.behavior.service import BehaviorDiff
from domain.conversations.rows import ConversationRow, MessageRow
from domain.kernel.paging import Page, PageRequest
from domain.kernel.tracing import TraceContext
from domain.memory.rows import MemoryRow, MemoryVersionRow
from domain.runs.approval_rows import ApprovalRow
from domain.runs.queries import RunFilter
from domain.runs.rows import RunRow, RunStepRow
from domain.runs.work import RunUsage
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tools.manifest import ToolManifest
from schema.relay import Count


class Loaders(Protocol):
    """Rows by id, batched with all that is asked in the same moment, and lists of one object.

    What does not exist, or is not visible to the caller, is None.
    """

    async def workspace(self, workspace_id: str) -> WorkspaceRow | None:
        """Workspace of the caller."""
        ...

    async def api_key(self, key_id: str) -> ApiKeyRow | None:
        """Key of the caller, or any of the workspace for an admin."""
        ...

    async def audit_entry(self, entry_id: str) -> AuditRow | None:
        """Line of the audit log, for an admin."""
        ...

    async def agent(self, agent_id: str) -> AgentRow | None:
        """Agent by id."""
        ...

    async def agents(self, agent_ids: Sequence[str]) -> list[AgentRow]:
        """Agents by ids, in their order, without those that do not exist."""
        ...

    async def agent_settings(self, agent_id: str, version: int) -> AgentSettings | None:
        """Settings of an agent as they were at a version."""
        ...

    async def agent_versions(self, agent_id: str, page: PageRequest) -> Page[AgentVersionRow]:
        """Saved versions, newest first."""
        ...

    async def conversation(self, conversation_id: str) -> ConversationRow | None:
        """Conversation by id."""
        ...

    async def message(self, message_id: str) -> MessageRow | None:
        """Message by id."""
        ...

    async def messages(self, conversation_id: str, page: PageRequest) -> Page[MessageRow]:
        """Messages of a conversation, oldest first."""
        ...

    async def memory(self, memory_id: str) -> MemoryRow | None:
        """Memory by id."""
        ...

    async def memories(self, memory_ids: Sequence[str]) -> list[MemoryRow]:
        """Memories by ids, in their order, without those that do not exist."""
        ...

    async def memory_history(self, memory_id: str, page: PageRequest) -> Page[MemoryVersionRow]:
        """Changes of a memory, newest first."""
        ...

    async def run(self, run_id: str) -> RunRow | None:
        """Run by id."""
        ...

    async def runs(self, narrowing: RunFilter, page: PageRequest) -> Page[RunRow]:
        """Runs, newest first."""
        ...

    async def children(self, run_id: str, page: PageRequest) -> Page[RunRow]:
        """Runs that a run delegated to, oldest first."""
        ...

    async def steps(self, run_id: str, page: PageRequest) -> Page[RunStepRow]:
        """Steps of a run, in order."""
        ...

    async def step(self, step_id: str) -> RunStepRow | None:
        """Step by id."""
        ...

    async def delegated_run(self, run_id: str, step_id: str) -> RunRow | None:
        """Run that a step of a run handed its work to."""
        ...

    async def approval(self, approval_id: str) -> ApprovalRow | None:
        """Approval by id."""
        ...

    async def approval_of(self, step_id: str) -> ApprovalRow | None:
        """Approval that a call needed."""
        ...

    async def approvals(self, run_id: str) -> Sequence[ApprovalRow]:
        """Approvals that a run asked for, oldest first."""
        ...

    async def active_run(self, conversation_id: str) -> RunRow | None:
        """Run at work on a conversation."""
        ...

    async def total_usage(self, run_id: str) -> RunUsage | None:
        """Use of a run and all below it."""
        ...

    async def queue_position(self, run_id: str) -> int | None:
        """Runs ahead of a queued run."""
        ...

    async def behavior_profile(self, profile_id: str) -> BehaviorProfileRow | None:
        """Behavior profile by id, also once deleted."""
        ...

    async def active_behavior(self) -> BehaviorProfileRow:
        """Behavior profile of the caller's workspace."""
        ...

    async def effective_rules(self, profile_id: str | None) -> Sequence[ReachingRule]:
        """Rules that reach an agent of this own profile, strongest first."""
        ...

    async def behavior_version(self, version_id: str) -> BehaviorVersionRow | None:
        """Behavior version by id."""
        ...

    async def behavior_versions(
        self, profile_id: str, page: PageRequest
    ) -> Page[BehaviorVersionRow]:
        """Versions of a behavior profile, newest first."""
        ...

    async def behavior_diff(
        self, profile_id: str, *, older: int, newer: int
    ) -> BehaviorDiff | None:
        """What differs between two versions of a behavior profile."""
        ...

    async def behavior_of(self, run_id: str) -> list[BehaviorVersionRow]:
        """Behavior versions that a run follows, the workspace's first."""
        ...

    async def task(self, task_id: str) -> TaskRow | None:
        """Task by id; a deleted one is None."""
        ...

    async def task_with_deleted(self, task_id: str) -> TaskRow | None:
        """Task by id, also once deleted."""
        ...

    async def occurrence(self, occurrence_id: str) -> OccurrenceRow | None:
        """Occurrence by id."""
        ...

    async def occurrences(self, task_id: str, page: PageRequest) -> Page[OccurrenceRow]:
        """Occurrences of a task, newest first."""
        ...

    async def last_occurrence(self, task_id: str) -> OccurrenceRow | None:
        """Latest occurrence of a task."""
        ...

    async def attempts(self, occurrence_id: str) -> Sequence[RunRow]:
        """Runs of an occurrence, oldest first."""
        ...

    def tool(self, name: str) -> ToolManifest | None:
        """Tool by name."""
        ...

    async def tools(
        self, allowed: Sequence[str], profile_id: str | None, page: PageRequest
    ) -> tuple[Page[ToolManifest], Count]:
        """Tools that fit the patterns and that no rule denies an agent, and how to count them.

        `profile_id` is the agent's own profile.
        """
        ...


class ApiContext(Protocol):
    """One request, or one subscription for as long as it lives."""

    @property
    def principal(self) -> Principal:
        """Who is calling."""
        ...

    @property
    def loaders(self) -> Loaders:
        """The way to related rows."""
        ...

    @property
    def trace(self) -> TraceContext:
        """Trace that the call belongs to."""
        ...

    def now_us(self) -> int:
        """The moment now."""
        ...


Info: TypeAlias = strawberry.Info[ApiContext, None]
