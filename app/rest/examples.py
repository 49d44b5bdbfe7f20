"""Requests and answers as they look, for the OpenAPI file; a test holds them against it."""

from typing import Any

Json = dict[str, Any]

EXECUTE: Json = {"agent": {"slug": "default"}, "instruction": "What is 12% of 300?"}
EXECUTE_BACKGROUND: Json = {
    "agent": {"slug": "default"},
    "instruction": "Count the words of every page",
    "waitSeconds": 0,
    "limits": {"maxSteps": 20},
    "metadata": {"ticket": "OPS-7"},
}

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

RUN: Json = {
    "id": "run_AaIFXz8WcAC8b_JdElImOA",
    "agent": {"id": "agent_AaIFXz8VcACsdR9kYc2WNw"},
    "agentVersion": 1,
    "conversation": None,
    "parent": None,
    "retryOf": None,
    "status": "SUCCEEDED",
    "statusReason": None,
    "instruction": "What is 12% of 300?",
    "inputs": {},
    "output": "12 / 100 * 300 = 36",
    "outputData": None,
    "error": None,
    "depth": 0,
    "attempt": 1,
    "usage": {
        "inputTokens": 0,
        "outputTokens": 0,
        "cachedTokens": 0,
        "reasoningTokens": 0,
        "modelCalls": 2,
        "toolCalls": 1,
        "costUsd": 0.0,
    },
    "offline": True,
    "traceId": _TRACE,
    "metadata": {},
    "createdBy": "local",
    "createdAt": "2026-11-22T09:30:00.000Z",
    "startedAt": "2026-11-22T09:30:00.004Z",
    "finishedAt": "2026-11-22T09:30:00.021Z",
}
_NOTHING_USED: Json = {**RUN["usage"], "modelCalls": 0, "toolCalls": 0}
RUN_QUEUED: Json = {
    **RUN,
    "status": "QUEUED",
    "output": None,
    "attempt": 0,
    "usage": _NOTHING_USED,
    "offline": False,
    "startedAt": None,
    "finishedAt": None,
}
RUN_CANCELLED: Json = {
    **RUN,
    "status": "CANCELLED",
    "statusReason": "No longer needed",
    "output": "calculate",
}
RUN_CANCELLING: Json = {**RUN_CANCELLED, "status": "CANCELLING", "finishedAt": None}

INDEX: Json = {
    "openapi": "/api/v1/openapi.yaml",
    "problems": "/api/v1/problems",
    "graphql": "/graphql",
    "paths": [
        {"method": "POST", "path": "/api/v1/agents/execute", "summary": "Run an instruction"}
    ],
}

ADJUST_BEHAVIOR: Json = {
    "add": [
        {"statement": "Answer in German.", "priority": 60, "tags": ["language"]},
        {
            "statement": "Ask before you write to anybody outside.",
            "effect": {
                "tool": {
                    "decision": "ASK",
                    "tools": ["mail_*"],
                    "when": [{"path": "to", "test": {"exists": True}}],
                }
            },
        },
    ],
    "comment": "Asked for by the team",
}
_RULE: Json = {
    "id": "rule_AaIFXz8VcACsdR9kYc2WNw",
    "statement": "Answer in German.",
    "kind": "GUIDANCE",
    "effect": None,
    "priority": 60,
    "tags": ["language"],
    "expiresAt": None,
    "createdBy": "local",
}
_POLICY: Json = {
    "id": "rule_AaIFXz8VcACsdR9kYc2WNA",
    "statement": "Ask before you write to anybody outside.",
    "kind": "POLICY",
    "effect": {
        "tool": {
            "decision": "ASK",
            "tools": ["mail_*"],
            "when": [{"path": "to", "test": {"exists": True}}],
        },
        "limit": None,
    },
    "priority": 50,
    "tags": [],
    "expiresAt": None,
    "createdBy": "local",
}
BEHAVIOR_PROFILE: Json = {
    "id": "profile_AaIFXz8VcACsdR9kYc2WNw",
    "name": "default",
    "description": "Rules of the workspace.",
    "active": True,
    "version": 1,
    "rules": [_RULE, _POLICY],
    "createdAt": "2026-11-22T09:30:00.000Z",
    "updatedAt": "2026-11-22T09:31:00.000Z",
}
BEHAVIOR_ADJUSTED: Json = {
    "profile": BEHAVIOR_PROFILE,
    "diff": {"from": 0, "to": 1, "added": [_RULE, _POLICY], "removed": [], "changed": []},
    "conflicts": [],
    "dryRun": False,
}

SAVE_MEMORY: Json = {
    "content": "Ada prefers short answers.",
    "metadata": {"customer": {"name": "Ada", "tier": 3}},
}
MEMORY: Json = {
    "id": "mem_AaIFXz8VcACsdR9kYc2WNw",
    "kind": "USER_DATA",
    "content": "Ada prefers short answers.",
    "metadata": {"customer": {"name": "Ada", "tier": 3}},
    "agent": None,
    "conversation": None,
    "source": {
        "createdBy": "local",
        "run": None,
        "message": None,
        "derivedFrom": [],
        "trusted": True,
    },
    "artifacts": [],
    "pinned": False,
    "recallable": True,
    "validFrom": "2026-11-22T09:30:00.000Z",
    "validTo": None,
    "supersededBy": None,
    "expiresAt": None,
    "forgottenAt": None,
    "tokenCount": 7,
    "recallCount": 0,
    "lastRecalledAt": None,
    "version": 1,
    "createdAt": "2026-11-22T09:30:00.000Z",
    "updatedAt": "2026-11-22T09:30:00.000Z",
}
MEMORY_FOUND: Json = {
    "hits": [
        {
            "memory": MEMORY,
            "rank": 1,
            "score": {
                "total": 0.82,
                "lexicalRank": 1,
                "matchedTerms": ["ada"],
                "vectorSimilarity": None,
                "boosts": [],
            },
        }
    ],
    "tokenCount": 7,
    "hybrid": False,
    "durationMs": 2,
}

CREATE_TASK: Json = {
    "name": "Morning report",
    "agent": {"slug": "default"},
    "instruction": "What is 12% of 300?",
    "type": "scheduled",
    "cron": {"minute": "0", "hour": "9", "weekday": "mon-fri"},
    "timezone": "Europe/Berlin",
}
CREATE_PLANNED_TASK: Json = {
    "name": "Once",
    "agent": {"slug": "default"},
    "instruction": "What is 2 + 2?",
    "type": "planned",
    "times": ["2099-01-01T09:00:00+01:00"],
}
CREATE_NESTED_TASK: Json = {
    "name": "On demand",
    "agent": {"slug": "default"},
    "instruction": "What is 2 + 2?",
    "schedule": {"adhoc": {"runNow": False}},
}
UPDATE_TASK: Json = {"cron": {"minute": "0", "hour": "10", "weekday": "mon-fri"}}
UPDATE_NESTED_TASK: Json = {
    "schedule": {"scheduled": {"cron": {"expression": "0 10 * * mon-fri"}}},
    "endsAt": None,
    "expectedVersion": 1,
}
PAUSE_TASK: Json = {"reason": "Holidays", "until": "2099-01-07T00:00:00+01:00"}
RUN_TASK: Json = {"inputs": {"month": "November"}}
TASK: Json = {
    "id": "task_AaIFXz8VcACsdR9kYc2WNw",
    "name": "Morning report",
    "status": "ACTIVE",
    "pauseReason": None,
    "agent": {"id": "agent_AaIFXz8VcACsdR9kYc2WNw"},
    "conversation": None,
    "instruction": "What is 12% of 300?",
    "inputs": {},
    "schedule": {
        "type": "scheduled",
        "summary": "At 09:00, Monday to Friday, Europe/Berlin",
        "expression": "0 9 * * mon-fri",
        "timezone": "Europe/Berlin",
    },
    "startsAt": None,
    "endsAt": None,
    "retry": {
        "maxAttempts": 1,
        "backoffSeconds": 30,
        "maxBackoffSeconds": 3600,
        "retryOn": ["MODEL_RATE_LIMITED", "MODEL_UNAVAILABLE"],
    },
    "overlapPolicy": "SKIP",
    "missedRunPolicy": "RUN_ONCE",
    "graceSeconds": 60,
    "timeoutSeconds": 900,
    "jitterSeconds": 0,
    "maxConcurrency": 1,
    "priority": 5,
    "nextRunAt": "2026-11-23T08:00:00.000Z",
    "lastOccurrence": None,
    "consecutiveFailures": 0,
    "pauseAfterFailures": None,
    "maxRuns": None,
    "metadata": {},
    "version": 1,
    "createdAt": "2026-11-22T09:30:00.000Z",
    "updatedAt": "2026-11-22T09:30:00.000Z",
}
TASK_PAGE: Json = {
    "nodes": [TASK],
    "pageInfo": {
        "hasNextPage": False,
        "hasPreviousPage": False,
        "startCursor": "WyI0YjFhIiwxXQ",
        "endCursor": "WyI0YjFhIiwxXQ",
    },
}
OCCURRENCE: Json = {
    "id": "occ_AaIFXz8VcACsdR9kYc2WNw",
    "task": {"id": TASK["id"]},
    "trigger": "MANUAL",
    "scheduledFor": "2026-11-22T09:30:00.000Z",
    "status": "RUNNING",
    "reason": None,
    "run": {"id": RUN["id"]},
}
OCCURRENCE_ENDED: Json = {**OCCURRENCE, "status": "SUCCEEDED"}
BACKFILL_TASK: Json = {
    "span": {"since": "2026-11-21T00:00:00Z", "until": "2026-11-22T00:00:00Z"},
    "dryRun": False,
}
BACKFILL_LISTED: Json = {
    "times": ["2026-11-21T09:30:00.000Z"],
    "occurrences": [],
    "dryRun": True,
}
BACKFILL_STARTED: Json = {
    "times": ["2026-11-21T09:30:00.000Z"],
    "occurrences": [
        {
            **OCCURRENCE,
            "trigger": "BACKFILL",
            "scheduledFor": "2026-11-21T09:30:00.000Z",
            "status": "QUEUED",
            "run": None,
        }
    ],
    "dryRun": False,
}
OCCURRENCE_PAGE: Json = {**TASK_PAGE, "nodes": [OCCURRENCE_ENDED]}
OCCURRENCE_WITH_ATTEMPTS: Json = {**OCCURRENCE_ENDED, "attempts": [RUN]}
TASK_CHANGED: Json = {
    **TASK,
    "schedule": {
        **TASK["schedule"],
        "summary": "At 10:00, Monday to Friday, Europe/Berlin",
        "expression": "0 10 * * mon-fri",
    },
    "nextRunAt": "2026-11-23T09:00:00.000Z",
    "lastOccurrence": OCCURRENCE_ENDED,
    "version": 2,
}
TASK_HELD: Json = {**TASK, "status": "PAUSED", "pauseReason": "Holidays", "version": 2}
NEXT_OCCURRENCES: Json = {"times": ["2026-11-23T08:00:00.000Z", "2026-11-24T08:00:00.000Z"]}
PREVIEW: Json = {
    "type": "scheduled",
    "cron": "30 2 * * *",
    "timezone": "America/New_York",
    "count": 2,
    "after": "2024-03-09T12:00:00Z",
}
NESTED_PREVIEW: Json = {"schedule": {"scheduled": {"cron": {"expression": "0 9 * * mon-fri"}}}}
SCHEDULE_PREVIEW: Json = {
    "summary": "At 02:30, every day, America/New_York",
    "times": ["2024-03-10T07:00:00.000Z", "2024-03-11T06:30:00.000Z"],
    "warnings": [
        {
            "code": "DST_SKIPPED",
            "message": "On 2024-03-10 the clock jumps over 02:30; it runs at 03:00 instead.",
            "at": "2024-03-10T07:00:00.000Z",
        }
    ],
    "errors": [],
}
