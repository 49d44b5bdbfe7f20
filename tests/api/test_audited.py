"""Every change leaves one line in the audit log: who, what, on which object, in which trace.

A mutation that is new in the schema must be given a deed here, or the first test fails.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from domain.kernel.tracing import new_trace
from schema.access import Needs
from schema.ids import Kind
from tests.api.schema_walk import Walk
from tests.api.served import served_core
from tests.api.two_workspaces import (
    House,
    Workspace,
    busy_run,
    is_nothing,
    make_workspace,
    open_house,
    pending_approval,
    spare_profile,
)

LINES = """
query ($trace: String!) {
  auditLog(filter: { traceId: $trace }, orderBy: OLDEST_FIRST) {
    nodes { actor action detail target { __typename id } }
  }
}
"""
FREE = {"node", "nodes", "viewer", "serverInfo", "health", "events"}
"""Root fields without a scope: they show what the key may see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One call of a mutation that changes something, after those before it."""

    mutation: str
    action: str
    target: str
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Beyond what the walk chooses by itself."""
    is_gone: bool = False
    """The object does not exist any more afterwards."""


DEEDS = (
    Deed(mutation="createAgent", action="agent.created", target="Agent"),
    Deed(mutation="updateAgent", action="agent.updated", target="Agent"),
    Deed(mutation="rollbackAgent", action="agent.rolled_back", target="Agent"),
    Deed(
        mutation="archiveAgent", action="agent.archived", target="Agent", given={"archived": True}
    ),
    Deed(mutation="archiveAgent", action="agent.restored", target="Agent"),
    Deed(mutation="createConversation", action="conversation.created", target="Conversation"),
    Deed(mutation="branchConversation", action="conversation.branched", target="Conversation"),
    Deed(mutation="updateConversation", action="conversation.updated", target="Conversation"),
    Deed(
        mutation="deleteConversation",
        action="conversation.deleted",
        target="Conversation",
        is_gone=True,
    ),
    Deed(mutation="executeAgent", action="run.started", target="Run"),
    Deed(mutation="pauseRun", action="run.paused", target="Run"),
    Deed(mutation="resumeRun", action="run.resumed", target="Run"),
    Deed(mutation="steerRun", action="run.steered", target="Run"),
    Deed(mutation="cancelRun", action="run.cancelled", target="Run"),
    Deed(mutation="retryRun", action="run.retried", target="Run"),
    Deed(mutation="decideApproval", action="approval.decided", target="Approval"),
    Deed(mutation="saveMemory", action="memory.saved", target="Memory"),
    Deed(mutation="updateMemory", action="memory.updated", target="Memory"),
    Deed(mutation="forgetMemories", action="memory.forgotten", target="Memory"),
    Deed(mutation="restoreMemories", action="memory.restored", target="Memory"),
    Deed(
        mutation="forgetMemories",
        action="memory.erased",
        target="Memory",
        given={"erase": True},
        is_gone=True,
    ),
    Deed(mutation="createBehaviorProfile", action="behavior.created", target="BehaviorProfile"),
    Deed(mutation="activateBehaviorProfile", action="behavior.activated", target="BehaviorProfile"),
    Deed(
        mutation="adjustBehavior",
        action="behavior.adjusted",
        target="BehaviorProfile",
        given={"add": [{"statement": "Be brief."}]},
    ),
    Deed(mutation="rollbackBehavior", action="behavior.rolled_back", target="BehaviorProfile"),
    Deed(
        mutation="deleteBehaviorProfile",
        action="behavior.deleted",
        target="BehaviorProfile",
        is_gone=True,
    ),
    Deed(mutation="createTask", action="task.created", target="Task"),
    Deed(mutation="updateTask", action="task.updated", target="Task"),
    Deed(mutation="pauseTask", action="task.paused", target="Task"),
    Deed(mutation="resumeTask", action="task.resumed", target="Task"),
    Deed(mutation="runTaskNow", action="task.started", target="Task"),
    Deed(mutation="backfillTask", action="task.backfilled", target="Task"),
    Deed(mutation="deleteTask", action="task.deleted", target="Task", is_gone=True),
    Deed(mutation="createApiKey", action="key.created", target="ApiKey"),
    Deed(mutation="revokeApiKey", action="key.revoked", target="ApiKey"),
)
REPEATS_CHANGE_NOTHING = (
    "backfillTask",
    "activateBehaviorProfile",
    "pauseRun",
    "resumeRun",
    "cancelRun",
    "adjustBehavior",
    "forgetMemories",
    "restoreMemories",
    "rollbackBehavior",
    "saveMemory",
    "updateAgent",
    "updateMemory",
    "rollbackAgent",
    "archiveAgent",
    "updateConversation",
    "updateTask",
    "pauseTask",
    "revokeApiKey",
)


@dataclass(kw_only=True)
class World:
    """One workspace and the means to do deeds in it."""

    house: House
    workspace: Workspace
    walk: Walk

    async def do(self, deed: Deed) -> tuple[dict[str, Any], str]:
        """Do it in a trace of its own; return the answer and the trace."""
        definition = next(f for _, name, f in self.walk.roots() if name == deed.mutation)
        variables = self.walk.variables(deed.mutation, definition, self.workspace.ids)
        variables["input"] |= deed.given
        document = self.walk.document("mutation", deed.mutation, definition)
        caller = self.workspace.principal.within(new_trace())
        answer = await self.house.ask(caller, document, variables)
        assert "errors" not in answer, answer["errors"]
        return answer["data"][deed.mutation], caller.trace.trace_id

    async def prepare(self, deed: Deed) -> None:
        """Some deeds need an object of their own."""
        if deed.mutation in {"cancelRun", "pauseRun"}:
            self.workspace.ids[Kind.RUN] = await busy_run(self.house, self.workspace)
        if deed.mutation == "decideApproval":
            waiting = await pending_approval(self.house, self.workspace)
            self.workspace.ids[Kind.APPROVAL] = waiting
        if deed.mutation == "deleteBehaviorProfile":
            spare = await spare_profile(self.house, self.workspace)
            self.workspace.ids[Kind.BEHAVIOR_PROFILE] = spare

    async def lines(self, trace_id: str) -> list[dict[str, Any]]:
        """What the log tells of a trace."""
        await self.house.container.denials.settled()
        found = await self.house.data(self.workspace.principal, LINES, trace=trace_id)
        return found["nodes"]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World, None]:
    async with open_house(tmp_path) as house:
        workspace = await make_workspace(house, "First")
        yield World(house=house, workspace=workspace, walk=Walk(served_core()))


def test_every_mutation_of_the_schema_has_its_deed():
    mutations = {name for kind, name, _ in Walk(served_core()).roots() if kind == "mutation"}

    assert {deed.mutation for deed in DEEDS} == mutations


async def test_every_change_is_one_line(world: World):
    for deed in DEEDS:
        await world.prepare(deed)

        answer, trace_id = await world.do(deed)

        (line,) = await world.lines(trace_id)
        assert (line["actor"], line["action"]) == ("First admin", deed.action), answer
        if deed.is_gone:
            assert line["target"] is None
        else:
            assert line["target"]["__typename"] == deed.target
            assert line["target"]["id"] in str(answer)
    found = await world.house.services.audit_log.verify(world.workspace.principal)
    assert found.is_valid


async def test_what_changes_nothing_leaves_no_line(world: World):
    for mutation in REPEATS_CHANGE_NOTHING:
        deed = next(deed for deed in DEEDS if deed.mutation == mutation)
        await world.prepare(deed)
        await world.do(deed)

        answer, trace_id = await world.do(deed)

        assert "Success" in answer["__typename"]
        assert await world.lines(trace_id) == []


async def test_a_refused_change_leaves_no_line(world: World):
    definitions = {name: f for kind, name, f in world.walk.roots() if kind == "mutation"}
    told: dict[str, Any] = {}
    for name, definition in definitions.items():
        for place in world.walk.places(name, definition):
            if not isinstance(place.names, Kind):
                continue
            nobody = f"{place.names.value}_AZqrze8SdFaavN7wEjRWeA"
            variables = world.walk.variables(
                name, definition, world.workspace.ids, place=place, foreign=nobody
            )
            caller = world.workspace.principal.within(new_trace())
            document = world.walk.document("mutation", name, definition)
            answer = await world.house.ask(caller, document, variables)
            lines = await world.lines(caller.trace.trace_id)
            if lines or not is_nothing(answer["data"][name]):
                told[f"{name} {place}"] = (answer, lines)

    assert told == {}


@pytest.mark.parametrize("operation", ["query", "mutation", "subscription"])
async def test_a_key_without_the_scope_is_refused_and_told(world: World, operation: str):
    fields = [(n, f) for kind, n, f in world.walk.roots() if kind == operation and n not in FREE]
    wrong: dict[str, Any] = {}
    before = await changes(world)
    for name, definition in fields:
        nobody = replace(world.workspace.principal, scopes=frozenset()).within(new_trace())
        document = world.walk.document(operation, name, definition)
        variables = world.walk.variables(name, definition, world.workspace.ids)
        call = world.house.first if operation == "subscription" else world.house.ask

        answer = await call(nobody, document, variables)

        scope = scope_of(definition)
        lines = await world.lines(nobody.trace.trace_id)
        detail = {"scope": scope, "operation": name}
        told = [(line["action"], line["detail"]) for line in lines]
        if required(name, answer) != scope or told != [("access.denied", detail)]:
            wrong[name] = (answer, lines)

    assert wrong == {}
    assert await changes(world) == before


async def changes(world: World) -> dict[str, Any]:
    """Everything that is stored but the audit log."""
    rows = await world.house.rows(world.workspace.principal.workspace_id)
    return {table: found for table, found in rows.items() if not table.startswith("audit")}


def scope_of(definition: Any) -> str:
    """The scope that the schema names, written noun:verb."""
    directives = definition.extensions["strawberry-definition"].directives
    (needs,) = [one for one in directives if isinstance(one, Needs)]
    return needs.scope.value.split(",")[0]


def required(name: str, answer: Mapping[str, Any]) -> str | None:
    """The scope that an answer says was lacking."""
    if "errors" in answer:
        (error,) = answer["errors"]
        return error["extensions"].get("requiredScope")
    scope = answer["data"][name].get("Forbidden_requiredScope")
    return scope.lower().replace("_", ":", 1) if scope else None
