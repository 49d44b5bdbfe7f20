"""What random patches are made of, and a plain model of what they do to a list of rules."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from domain.behavior.rules import Rule
from tests.domain.behavior_world import HOUR_US

Json = dict[str, Any]

LATER_US = 1_700_000_000_000_000 + HOUR_US
WORDS = st.sampled_from(["be kind", "Be kind!", "ask", "ö\n\U0001f600", '"quoted\\"', "never ask"])
PLACE = st.integers(0, 5)
CONDITION = st.fixed_dictionaries(
    {
        "path": st.sampled_from(["to", "cc.0"]),
        "test": st.sampled_from([{"eq": 1}, {"eq": True}, {"in": ["a", 2]}, {"exists": False}]),
    }
)
TOOL = st.fixed_dictionaries(
    {
        "decision": st.sampled_from(["ALLOW", "ASK", "DENY"]),
        "tools": st.lists(st.sampled_from(["mail_*", "exec", "*"]), min_size=1, max_size=3),
    },
    optional={"when": st.lists(CONDITION, max_size=2) | st.none()},
)
LIMIT = st.fixed_dictionaries(
    {
        "metric": st.sampled_from(["COST_USD", "TOKENS", "STEPS", "TOOL_CALLS"]),
        "maximum": st.sampled_from([1, 2.5, 1e6]),
    },
    optional={
        "window": st.sampled_from(["RUN", "HOUR", "DAY", "MONTH"]),
        "onReach": st.sampled_from(["WARN", "PAUSE", "STOP"]),
    },
)
EFFECT = st.none() | st.builds(lambda tool: {"tool": tool}, TOOL)
EFFECT |= st.builds(lambda limit: {"limit": limit, "tool": None}, LIMIT)
PARTS: dict[str, st.SearchStrategy[Any]] = {
    "effect": EFFECT,
    "priority": st.integers(0, 100) | st.just(50),
    "tags": st.lists(st.sampled_from("abc"), max_size=3),
    "expiresAt": st.sampled_from([LATER_US, None]),
}
NEW = st.fixed_dictionaries({"statement": WORDS}, optional=PARTS)
UPDATE = st.fixed_dictionaries({"rule": PLACE}, optional={"statement": WORDS, **PARTS})
PATCH = st.fixed_dictionaries(
    {},
    optional={
        "strategy": st.sampled_from(["MERGE", "REPLACE"]),
        "add": st.lists(NEW, max_size=3),
        "update": st.lists(UPDATE, max_size=2, unique_by=lambda change: change["rule"]),
        "remove": st.lists(PLACE, max_size=2),
    },
)
_FINE: Json = {"statement": "fine"}
FAULTS: Sequence[Json] = [
    {"add": [_FINE, {"statement": ""}]},
    {"add": [_FINE], "remove": ["nobody"]},
    {"add": [_FINE], "update": [{"ruleId": "nobody"}]},
    {"add": [_FINE], "expectedVersion": -1},
    {"add": [_FINE, {"statement": "x", "priority": 1.5}]},
    {"strategy": "REPLACE", "add": [_FINE], "more": 1},
    {"add": [_FINE, {"statement": "x", "effect": {}}]},
    {"add": [_FINE, {"statement": "x", "effect": {"tool": {"decision": "ASK", "tools": []}}}]},
    {"add": [_FINE, {"statement": "x", "effect": {"limit": {"metric": "TOKENS", "maximum": -1}}}]},
]
FAULT = st.sampled_from(FAULTS)


def named(patch: Json, rules: Sequence[Rule]) -> Json:
    """Let places of a patch name rules that are there."""

    def ident(place: int) -> str | None:
        return rules[place].id if place < len(rules) else None

    updates = [
        {**{k: v for k, v in change.items() if k != "rule"}, "ruleId": ident(change["rule"])}
        for change in patch.get("update", [])
        if ident(change["rule"]) is not None
    ]
    updated = {change["ruleId"] for change in updates}
    removed = [ident(place) for place in patch.get("remove", [])]
    return {
        **patch,
        "update": updates,
        "remove": [found for found in removed if found is not None and found not in updated],
    }


def seen(rules: Sequence[Rule]) -> list[Json]:
    """Rules as the model keeps them."""
    return [
        {
            "id": rule.id,
            "statement": rule.statement,
            "priority": rule.priority,
            "tags": list(rule.tags),
            "expiresAt": rule.expires_at,
            "effect": None if rule.effect is None else rule.effect.as_json(),
        }
        for rule in rules
    ]


def patched(rules: Sequence[Json], patch: Json) -> list[Json]:
    """What becomes of the rules, in any order; a new one has the id None."""
    found = [dict(rule) for rule in rules if rule["id"] not in patch["remove"]]
    named_ones: list[Json] = []
    for change in patch["update"]:
        rule = next(rule for rule in found if rule["id"] == change["ruleId"])
        rule |= _cleared({k: v for k, v in change.items() if k != "ruleId"})
        named_ones.append(rule)
    for new in patch.get("add", []):
        wanted: Json = {"id": None, "priority": 50, "tags": [], "expiresAt": None, "effect": None}
        wanted |= _cleared(new)
        same = next((rule for rule in found if _meaning(rule) == _meaning(wanted)), None)
        if same is None:
            same = wanted
            found.append(wanted)
        named_ones.append(same)
    if patch.get("strategy") == "REPLACE":
        found = [rule for rule in found if any(rule is one for one in named_ones)]
    return found


def without_ids(rules: Sequence[Json], known: frozenset[str]) -> list[str]:
    """Rules as texts, in the order of the texts; those that were there before by their id."""
    return sorted(
        json.dumps({**rule, "id": rule["id"] if rule["id"] in known else None}, sort_keys=True)
        for rule in rules
    )


def _cleared(values: Mapping[str, Any]) -> Json:
    shown = dict(values)
    if "tags" in shown:
        shown["tags"] = list(dict.fromkeys(shown["tags"]))
    if "effect" in shown:
        shown["effect"] = _effect(shown["effect"])
    return shown


def _effect(given: Json | None) -> Json | None:
    if given is None:
        return None
    tool, limit = given.get("tool"), given.get("limit")
    if tool is not None:
        tools = list(dict.fromkeys(tool["tools"]))
        return {"decision": tool["decision"], "tools": tools, "when": tool.get("when") or []}
    assert limit is not None
    whole = {"window": "RUN", "onReach": "STOP", **limit}
    return {**whole, "maximum": float(limit["maximum"])}


def _meaning(rule: Json) -> str:
    effect = rule["effect"]
    if effect is not None and "tools" in effect:
        when = sorted({json.dumps(one, sort_keys=True) for one in effect["when"]})
        effect = {**effect, "tools": sorted(effect["tools"]), "when": when}
    shown = {**rule, "id": None, "effect": effect, "tags": sorted(rule["tags"])}
    return json.dumps(shown, sort_keys=True)
