"""Records of runs as subscribers see them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.events.cursors import encode_cursor
from domain.events.feed import StreamHeartbeat, StreamResync
from domain.events.records import EventRecord
from domain.runs.state import EventType
from domain.runs.stream import TokenPiece
from schema.approval_events import ApprovalRequested, ApprovalResolved
from schema.delegation_events import DelegationFinished, DelegationStarted
from schema.event_views import EventViews
from schema.events import (
    Heartbeat,
    ReasoningDelta,
    ResyncRequired,
    Retrying,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStateChanged,
    TokenChunk,
    TokenDelta,
    ToolCallFinished,
    ToolCallStarted,
    UsageUpdated,
    event_of,
)
from schema.ids import Kind, encode_id
from schema.runs import RunStatus
from schema.steps import RunError, RunErrorCode, StepStatus, Usage

WORKSPACE = "019aabcd-0000-7456-9abc-def012345678"
RUN = "019aabcd-0001-7456-9abc-def012345678"
STEP = "019aabcd-0002-7456-9abc-def012345678"
PARENT = "019aabcd-0003-7456-9abc-def012345678"
STEP_ID = encode_id(Kind.STEP, STEP)
COMMON = {
    "cursor": encode_cursor(WORKSPACE, 41),
    "trace_id": "trace",
    "occurred_at": 1_000_000,
    "seq": 7,
    "run_id": encode_id(Kind.RUN, RUN),
    "parent_run_id": None,
    "depth": 0,
}
ERROR = {"code": "MODEL_UNAVAILABLE", "message": "Down.", "retryable": True}
SHOWN_ERROR = RunError(code=RunErrorCode.MODEL_UNAVAILABLE, message="Down.", retryable=True)
USAGE = {
    "inputTokens": 5,
    "outputTokens": 3,
    "cachedTokens": 2,
    "reasoningTokens": 1,
    "modelCalls": 2,
    "toolCalls": 1,
    "costUsd": None,
}
SHOWN_USAGE = Usage(
    input_tokens=5,
    output_tokens=3,
    cached_tokens=2,
    reasoning_tokens=1,
    model_calls=2,
    tool_calls=1,
    cost_usd=None,
)


def record(kind: str, data: Mapping[str, Any]) -> EventRecord:
    return EventRecord(WORKSPACE, 41, RUN, 7, RUN, None, 0, kind, data, "trace", 1_000_000)


def test_every_event_of_a_run_is_shown_as_its_public_type():
    shown = {
        kind: event_of(record(kind, data))
        for kind, data in (
            ("RunStarted", {}),
            ("RunStateChanged", {"previousStatus": "QUEUED", "status": "RUNNING", "reason": None}),
            ("RunFinished", {"status": "SUCCEEDED", "output": "42", "usage": USAGE}),
            ("RunFailed", {"status": "FAILED", "output": None, "error": ERROR}),
            ("Retrying", {"attempt": 2, "delayMs": 50, "error": ERROR, "voidedStepId": STEP}),
            ("TokenDelta", {"stepId": STEP, "text": "Hi"}),
            ("ReasoningDelta", {"stepId": STEP, "text": "Hm"}),
            ("ToolCallStarted", {"stepId": STEP, "toolName": "add", "arguments": {"a": 1}}),
            (
                "ToolCallFinished",
                {
                    "stepId": STEP,
                    "toolName": "add",
                    "status": "SUCCEEDED",
                    "result": 3,
                    "error": None,
                    "durationMs": 12,
                },
            ),
            ("ApprovalRequested", {"approval": {"id": STEP}}),
            ("ApprovalResolved", {"approval": {"id": STEP}}),
            ("DelegationStarted", {"stepId": STEP, "childId": PARENT, "agent": "writer"}),
            (
                "DelegationFinished",
                {"stepId": STEP, "childId": PARENT, "agent": "writer", "status": "FAILED"},
            ),
            ("UsageUpdated", {"usage": USAGE}),
        )
    }

    assert shown == {
        "RunStarted": RunStarted(**COMMON, raw_run_id=RUN),
        "RunStateChanged": RunStateChanged(
            **COMMON, previous_status=RunStatus.QUEUED, status=RunStatus.RUNNING, reason=None
        ),
        "RunFinished": RunFinished(
            **COMMON, status=RunStatus.SUCCEEDED, output="42", usage=SHOWN_USAGE, raw_run_id=RUN
        ),
        "RunFailed": RunFailed(
            **COMMON, status=RunStatus.FAILED, error=SHOWN_ERROR, output=None, raw_run_id=RUN
        ),
        "Retrying": Retrying(
            **COMMON, attempt=2, delay_ms=50, error=SHOWN_ERROR, voided_step_id=STEP_ID
        ),
        "TokenDelta": TokenDelta(**COMMON, from_seq=7, step_id=STEP_ID, text="Hi"),
        "ReasoningDelta": ReasoningDelta(**COMMON, from_seq=7, step_id=STEP_ID, text="Hm"),
        "ToolCallStarted": ToolCallStarted(
            **COMMON, step_id=STEP_ID, tool_name="add", arguments={"a": 1}
        ),
        "ToolCallFinished": ToolCallFinished(
            **COMMON,
            step_id=STEP_ID,
            tool_name="add",
            status=StepStatus.SUCCEEDED,
            result=3,
            error=None,
            duration_ms=12,
        ),
        "ApprovalRequested": ApprovalRequested(**COMMON, raw_approval_id=STEP),
        "ApprovalResolved": ApprovalResolved(**COMMON, raw_approval_id=STEP),
        "DelegationStarted": DelegationStarted(**COMMON, step_id=STEP_ID, raw_child_id=PARENT),
        "DelegationFinished": DelegationFinished(**COMMON, step_id=STEP_ID, raw_child_id=PARENT),
        "UsageUpdated": UsageUpdated(**COMMON, usage=SHOWN_USAGE),
    }
    assert set(shown) == set(EventType)


def test_a_folded_delta_says_from_where_it_was_folded():
    folded = replace(record("TokenDelta", {"stepId": STEP, "text": "Hi"}), from_seq=3)

    shown = event_of(folded)

    assert isinstance(shown, TokenDelta)
    assert (shown.from_seq, shown.seq) == (3, 7)


def test_an_event_of_a_delegated_run_names_its_parent():
    child = replace(record("RunStarted", {}), parent_run_id=PARENT, depth=1)

    shown = event_of(child)

    assert shown is not None
    assert (shown.parent_run_id, shown.depth) == (encode_id(Kind.RUN, PARENT), 1)


def test_a_type_that_is_not_public_is_not_shown():
    assert EventViews().of(record("SomethingLater", {})) is None


def test_all_subscribers_of_a_record_get_one_object():
    views = EventViews()
    event = record("TokenDelta", {"stepId": STEP, "text": "Hi"})

    assert views.of(event) is views.of(event)


def test_all_subscribers_of_a_piece_of_an_answer_get_one_object():
    views = EventViews()
    piece = TokenPiece(seq=7, reset=False, text="Hi")

    assert views.chunk_of(piece) == TokenChunk(seq=7, reset=False, text="Hi")
    assert views.chunk_of(piece) is views.chunk_of(piece)


def test_only_the_latest_records_are_remembered():
    views = EventViews(capacity=2)
    first, second, third = (record("RunStarted", {}) for _ in range(3))
    shown = views.of(first)

    views.of(second)
    views.of(third)

    assert views.of(first) is not shown
    assert len(views) == 2


def test_a_heartbeat_says_how_far_the_stream_has_come():
    beat = StreamHeartbeat(
        workspace_id=WORKSPACE, cursor=41, trace_id="trace", occurred_at=1_000_000
    )

    assert EventViews().of(beat) == Heartbeat(
        cursor=encode_cursor(WORKSPACE, 41), trace_id="trace", occurred_at=1_000_000
    )


def test_a_gap_says_what_is_still_kept():
    gap = StreamResync(
        workspace_id=WORKSPACE, cursor=41, oldest=42, trace_id="trace", occurred_at=1_000_000
    )

    assert EventViews().of(gap) == ResyncRequired(
        cursor=encode_cursor(WORKSPACE, 41),
        trace_id="trace",
        occurred_at=1_000_000,
        oldest_cursor=encode_cursor(WORKSPACE, 42),
    )
