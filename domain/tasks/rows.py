"""Rows of tasks and of what became of their due times, as readers see them."""

from typing import TYPE_CHECKING, Any

from tortoise import fields

from domain.kernel.rows import BaseRow, id_field, moment_field, object_field


class TaskRow(BaseRow):
    """Instruction that runs on demand, at given times or on a schedule.

    `schedule` is what `schedule.stored` gave; `retry` is a RetryPolicy in client names.
    `started_runs` counts against `max_runs`; without one, nobody counts.
    A row may hold what no client could have saved: see `reading`.
    """

    if TYPE_CHECKING:
        workspace_id: str
        name: str
        agent_id: str
        instruction: str
        inputs: dict[str, Any]
        metadata: dict[str, Any]
        schedule_kind: str
        schedule: dict[str, Any]
        starts_at: int | None
        ends_at: int | None
        conversation_mode: str
        conversation_id: str | None
        retry: dict[str, Any]
        overlap_policy: str
        missed_run_policy: str
        grace_seconds: int
        timeout_seconds: int
        jitter_seconds: int
        max_concurrency: int
        priority: int
        pause_after_failures: int | None
        max_runs: int | None
        status: str
        pause_reason: str | None
        paused_until: int | None
        next_run_at: int | None
        wake_at: int | None
        consecutive_failures: int
        started_runs: int
        version: int
        created_by: str
        updated_at: int
        deleted_at: int | None
    else:
        workspace_id = id_field()
        name = fields.TextField()
        agent_id = id_field()
        instruction = fields.TextField()
        inputs = object_field()
        metadata = object_field()
        schedule_kind = fields.TextField()
        schedule = object_field()
        starts_at = moment_field(null=True)
        ends_at = moment_field(null=True)
        conversation_mode = fields.TextField()
        conversation_id = id_field(null=True)
        retry = object_field()
        overlap_policy = fields.TextField()
        missed_run_policy = fields.TextField()
        grace_seconds = fields.IntField()
        timeout_seconds = fields.IntField()
        jitter_seconds = fields.IntField()
        max_concurrency = fields.IntField()
        priority = fields.IntField()
        pause_after_failures = fields.IntField(null=True)
        max_runs = fields.IntField(null=True)
        status = fields.TextField()
        pause_reason = fields.TextField(null=True)
        paused_until = moment_field(null=True)
        next_run_at = moment_field(null=True)
        wake_at = moment_field(null=True)
        consecutive_failures = fields.IntField()
        started_runs = fields.IntField()
        version = fields.IntField()
        created_by = fields.TextField()
        updated_at = moment_field()
        deleted_at = moment_field(null=True)

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "task"


class OccurrenceRow(BaseRow):
    """One due time of a task; `run_id` is its latest attempt, `due_at` when the next may begin."""

    if TYPE_CHECKING:
        workspace_id: str
        task_id: str
        trigger: str
        scheduled_for: int
        status: str
        reason: str | None
        inputs: dict[str, Any] | None
        run_id: str | None
        attempts: int
        due_at: int | None
        finished_at: int | None
    else:
        workspace_id = id_field()
        task_id = id_field()
        trigger = fields.TextField()
        scheduled_for = moment_field()
        status = fields.TextField()
        reason = fields.TextField(null=True)
        inputs = object_field(null=True)
        run_id = id_field(null=True)
        attempts = fields.IntField()
        due_at = moment_field(null=True)
        finished_at = moment_field(null=True)

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "occurrence"
