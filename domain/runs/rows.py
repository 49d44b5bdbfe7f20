"""Rows of runs, their steps and the orders left for them, as readers see them.

The engine writes them by raw SQL in `journal.py`, `accept.py` and `lease.py`.
"""

from typing import TYPE_CHECKING, Any

from tortoise import fields

from domain.kernel.rows import BaseRow, id_field, json_field, moment_field


class RunRow(BaseRow):
    """One execution of an instruction by an agent."""

    if TYPE_CHECKING:
        workspace_id: str
        agent_id: str
        agent_version: int
        conversation_id: str | None
        holds_conversation: bool
        root_run_id: str
        parent_run_id: str | None
        parent_call_id: str | None
        retry_of: str | None
        depth: int
        attempt: int
        status: str
        status_reason: str | None
        instruction: str
        inputs: dict[str, Any]
        spec: dict[str, Any]
        output: str | None
        output_data: Any
        error_code: str | None
        error_message: str | None
        error_retryable: bool | None
        input_tokens: int
        output_tokens: int
        cached_tokens: int
        reasoning_tokens: int
        model_calls: int
        tool_calls: int
        cost_pico_usd: int
        cost_known: bool
        offline: bool
        priority: int
        metadata: dict[str, Any]
        trace_id: str
        span_id: str
        created_by: str
        started_at: int | None
        finished_at: int | None
        due_at: int | None
        hints: int
        lease_owner: str | None
        lease_until: int | None
        fence: int
        losses: int
        waits_for: str | None
        parked_at: int | None
        waited_us: int
        line_at: int | None
        bounds: dict[str, Any] | None
        tainted: bool
        behavior_pin: list[str | None] | None
        task_id: str | None
        occurrence_id: str | None
    else:
        workspace_id = id_field()
        agent_id = id_field()
        agent_version = fields.IntField()
        conversation_id = id_field(null=True)
        holds_conversation = fields.BooleanField()
        root_run_id = id_field()
        parent_run_id = id_field(null=True)
        parent_call_id = fields.TextField(null=True)
        retry_of = id_field(null=True)
        depth = fields.IntField()
        attempt = fields.IntField()
        status = fields.TextField()
        status_reason = fields.TextField(null=True)
        instruction = fields.TextField()
        inputs = json_field()
        spec = json_field()
        output = fields.TextField(null=True)
        output_data = json_field(null=True)
        error_code = fields.TextField(null=True)
        error_message = fields.TextField(null=True)
        error_retryable = fields.BooleanField(null=True)
        input_tokens = fields.BigIntField()
        output_tokens = fields.BigIntField()
        cached_tokens = fields.BigIntField()
        reasoning_tokens = fields.BigIntField()
        model_calls = fields.IntField()
        tool_calls = fields.IntField()
        cost_pico_usd = fields.BigIntField()
        cost_known = fields.BooleanField()
        offline = fields.BooleanField()
        priority = fields.IntField()
        metadata = json_field()
        trace_id = fields.TextField()
        span_id = fields.TextField()
        created_by = fields.TextField()
        started_at = moment_field(null=True)
        finished_at = moment_field(null=True)
        due_at = moment_field(null=True)
        hints = fields.IntField()
        lease_owner = fields.TextField(null=True)
        lease_until = moment_field(null=True)
        fence = fields.BigIntField()
        losses = fields.IntField()
        waits_for = fields.TextField(null=True)
        parked_at = moment_field(null=True)
        waited_us = fields.BigIntField()
        line_at = moment_field(null=True)
        bounds = json_field(null=True)
        tainted = fields.BooleanField()
        behavior_pin = json_field(null=True)
        task_id = id_field(null=True)
        occurrence_id = id_field(null=True)

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "run"


class RunStepRow(BaseRow):
    """One thing a run did: a call of a model or of a tool.

    Its column `provider_state` is for the engine alone, and too long to be read along.
    """

    if TYPE_CHECKING:
        workspace_id: str
        run_id: str
        position: int
        kind: str
        status: str
        provider: str | None
        name: str
        text: str | None
        reasoning: str | None
        calls: list[dict[str, str]] | None
        call_id: str | None
        arguments: Any
        result: Any
        error_code: str | None
        error_message: str | None
        error_retryable: bool | None
        notices: list[str] | None
        usage: dict[str, Any] | None
        behavior_version_id: str | None
        agent_behavior_version_id: str | None
        input_tokens: int | None
        output_tokens: int | None
        cached_tokens: int | None
        reasoning_tokens: int | None
        cost_pico_usd: int | None
        trace_id: str
        started_at: int
        finished_at: int | None
    else:
        created_at = None
        workspace_id = id_field()
        run_id = id_field()
        position = fields.IntField()
        kind = fields.TextField()
        status = fields.TextField()
        provider = fields.TextField(null=True)
        name = fields.TextField()
        text = fields.TextField(null=True)
        reasoning = fields.TextField(null=True)
        calls = json_field(null=True)
        call_id = fields.TextField(null=True)
        arguments = json_field(null=True)
        result = json_field(null=True)
        error_code = fields.TextField(null=True)
        error_message = fields.TextField(null=True)
        error_retryable = fields.BooleanField(null=True)
        usage = json_field(null=True)
        notices = json_field(null=True)
        behavior_version_id = id_field(null=True)
        agent_behavior_version_id = id_field(null=True)
        input_tokens = fields.BigIntField(null=True)
        output_tokens = fields.BigIntField(null=True)
        cached_tokens = fields.BigIntField(null=True)
        reasoning_tokens = fields.BigIntField(null=True)
        cost_pico_usd = fields.BigIntField(null=True)
        trace_id = fields.TextField()
        started_at = moment_field()
        finished_at = moment_field(null=True)

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "run_step"
