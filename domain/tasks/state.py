"""States of tasks and of their due times, in the words of the contract."""

from enum import StrEnum


class TaskStatus(StrEnum):
    """State of a task."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"


class OverlapPolicy(StrEnum):
    """What happens when a task is due while still running."""

    SKIP = "SKIP"
    QUEUE = "QUEUE"
    PARALLEL = "PARALLEL"
    REPLACE = "REPLACE"


class MissedRunPolicy(StrEnum):
    """What happens to missed times."""

    SKIP = "SKIP"
    RUN_ONCE = "RUN_ONCE"
    RUN_ALL = "RUN_ALL"


class ConversationMode(StrEnum):
    """Whether a task's runs share a conversation."""

    NEW = "NEW"
    CONTINUE = "CONTINUE"


class OccurrenceTrigger(StrEnum):
    """What made a task due."""

    SCHEDULE = "SCHEDULE"
    MANUAL = "MANUAL"
    BACKFILL = "BACKFILL"
    CATCH_UP = "CATCH_UP"


BY_SCHEDULE = (OccurrenceTrigger.SCHEDULE, OccurrenceTrigger.CATCH_UP)
"""What counts against the most runs of a task."""


class OccurrenceStatus(StrEnum):
    """What became of a due time."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    MISSED = "MISSED"
    SKIPPED = "SKIPPED"


OPEN = frozenset({OccurrenceStatus.QUEUED, OccurrenceStatus.RUNNING})
"""What has not ended."""


class TaskChange(StrEnum):
    """What a TaskUpdate event tells of."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"
    OCCURRENCE = "OCCURRENCE"
