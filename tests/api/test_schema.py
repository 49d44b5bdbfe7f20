"""What is served keeps the contract's promises, and the written schema is what is served."""

import typing
from enum import Enum
from pathlib import Path

import pytest
from graphql import (
    REMOVE,
    DocumentNode,
    FieldNode,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    parse,
    validate,
    visit,
)
from strawberry import ID
from strawberry.types.base import StrawberryContainer, StrawberryObjectDefinition
from strawberry.types.lazy_type import LazyType
from strawberry.types.union import StrawberryUnion

from domain.access.scopes import Scope as DomainScope
from domain.agents.service import AgentOrder as DomainAgentOrder
from domain.behavior import rules
from domain.behavior.adjustment import Strategy as DomainStrategy
from domain.conversations.service import MessageRole as DomainMessageRole
from domain.kernel.errors import ErrorCode as DomainErrorCode
from domain.memory import policy
from domain.memory.queries import MemoryOrder as DomainMemoryOrder
from domain.memory.writes import MemoryAction as DomainMemoryAction
from domain.runs import approval_state, state
from domain.runs.queries import RunOrder as DomainRunOrder
from domain.tasks import state as task_state
from domain.tasks.preview import WarningCode
from domain.tasks.queries import TaskOrder as DomainTaskOrder
from domain.tasks.schedule import ScheduleKind as DomainScheduleKind
from domain.tools.manifest import SideEffect as DomainSideEffect
from resolvers.root import build_schema, print_sdl
from schema.access import Scope
from schema.agent_inputs import AgentOrder
from schema.agents import MemoryKind, MemoryScope
from schema.approvals import ApprovalDecision, ApprovalScope, ApprovalStatus
from schema.behavior import LimitAction, LimitMetric, LimitWindow, RuleKind, ToolDecision
from schema.behavior_inputs import AdjustStrategy
from schema.conversations import MessageRole
from schema.errors import ErrorCode
from schema.ids import Kind
from schema.memory import MemoryAction
from schema.memory_inputs import MemoryOrder
from schema.occurrences import OccurrenceStatus, OccurrenceTrigger
from schema.run_inputs import RunOrder
from schema.runs import RunStatus
from schema.schedule_previews import ScheduleWarningCode
from schema.schedules import ScheduleKind
from schema.steps import RunErrorCode, StepStatus
from schema.task_events import TaskChange
from schema.task_inputs import ConversationMode, TaskOrder
from schema.tasks import MissedRunPolicy, OverlapPolicy, TaskStatus
from schema.tools import SideEffect
from tests.api.operations import names_of, only
from tests.api.sdl_comparison import facts_of

CONTRACT = Path(__file__).parent / "contract"
WRITTEN = Path(__file__).parents[2] / "docs" / "api" / "schema.graphql"

OF_THE_PRINTER = {
    # Strawberry writes no descriptions of a directive's arguments.
    "@needs(scope) description",
    # A directive of the specification itself, which Strawberry writes out where it is used.
    "@oneOf kind",
    "@oneOf on",
    "@oneOf description",
    "@oneOf directives",
}
ADDED = {
    "CreateTaskInput.maxRuns",
    "ModelCallStep.notices",
    "Task.maxRuns",
    "UpdateTaskInput.maxRuns",
}
"""Fields that the contract does not have, each with a decision record."""
WHOLE = {
    "AdjustBehavior",
    "Agents",
    "CreateAgent",
    "CreateTask",
    "DecideApproval",
    "ExecuteAgent",
    "RunEvents",
    "TaskUpdates",
}
IN_PART = {"Overview", "RunDetail", "SearchMemory"}
WAITING = {
    "PromoteSolution",
}
DOOR_CODES = {"UNAUTHENTICATED", "BAD_CURSOR", "UNAVAILABLE"}
"""Failures that no mutation answers with: they end a call before or outside of it."""


@pytest.fixture(scope="module")
def served() -> GraphQLSchema:
    return build_schema()._schema


@pytest.fixture(scope="module")
def operations() -> DocumentNode:
    return parse((CONTRACT / "operations.graphql").read_text())


def test_everything_served_says_what_the_contract_says():
    contract = facts_of(parse((CONTRACT / "schema.graphql").read_text()))

    served = facts_of(parse(print_sdl()))

    differing = {place for place, fact in served.items() if contract.get(place) != fact}
    assert {place for place in differing if place.split()[0] not in ADDED} == OF_THE_PRINTER
    assert {place.split()[0] for place in differing} >= ADDED


def test_everything_served_is_described():
    facts = facts_of(parse(print_sdl()))

    silent = {
        place for place, fact in facts.items() if place.endswith(" description") and fact == "none"
    }

    assert silent - OF_THE_PRINTER == set()


def test_the_written_schema_is_the_one_that_is_served():
    assert WRITTEN.read_text() == print_sdl(), (
        "docs/api/schema.graphql is old: python -m resolvers.sdl > docs/api/schema.graphql"
    )


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_an_operation_of_the_contract_is_valid_as_it_stands(
    name: str, served: GraphQLSchema, operations: DocumentNode
):
    errors = validate(served, only(operations, name))

    assert errors == []


@pytest.mark.parametrize("name", sorted(IN_PART))
def test_an_operation_of_the_contract_is_valid_as_far_as_it_is_built(
    name: str, served: GraphQLSchema, operations: DocumentNode
):
    wanted = only(operations, name)

    assert validate(served, wanted) != []
    assert validate(served, within(served, wanted)) == []


def test_the_other_operations_wait_for_parts_that_are_not_built(
    served: GraphQLSchema, operations: DocumentNode
):
    waiting = {
        name for name in names_of(operations) - WHOLE - IN_PART if lacks(served, operations, name)
    }

    assert waiting == WAITING
    assert names_of(operations) == WHOLE | IN_PART | WAITING


@pytest.mark.parametrize(
    ("public", "domain"),
    [
        (Scope, DomainScope),
        (RunStatus, state.RunStatus),
        (StepStatus, state.StepStatus),
        (RunErrorCode, state.RunErrorCode),
        (RunOrder, DomainRunOrder),
        (SideEffect, DomainSideEffect),
        (ApprovalStatus, approval_state.ApprovalStatus),
        (ApprovalDecision, approval_state.ApprovalDecision),
        (ApprovalScope, approval_state.ApprovalScope),
        (AgentOrder, DomainAgentOrder),
        (MemoryScope, policy.MemoryScope),
        (MemoryKind, policy.MemoryKind),
        (MessageRole, DomainMessageRole),
        (RuleKind, rules.RuleKind),
        (ToolDecision, rules.ToolDecision),
        (LimitMetric, rules.LimitMetric),
        (LimitWindow, rules.LimitWindow),
        (LimitAction, rules.LimitAction),
        (AdjustStrategy, DomainStrategy),
        (TaskStatus, task_state.TaskStatus),
        (TaskChange, task_state.TaskChange),
        (OverlapPolicy, task_state.OverlapPolicy),
        (MissedRunPolicy, task_state.MissedRunPolicy),
        (ConversationMode, task_state.ConversationMode),
        (OccurrenceTrigger, task_state.OccurrenceTrigger),
        (OccurrenceStatus, task_state.OccurrenceStatus),
        (ScheduleKind, DomainScheduleKind),
        (ScheduleWarningCode, WarningCode),
        (TaskOrder, DomainTaskOrder),
        (MemoryAction, DomainMemoryAction),
        (MemoryOrder, DomainMemoryOrder),
    ],
)
def test_a_public_enum_has_the_names_of_the_domain(public: type[Enum], domain: type[Enum]):
    assert {member.name for member in public} == {member.name for member in domain}


def test_every_failure_of_the_domain_has_a_public_code():
    codes = {code.name for code in DomainErrorCode}

    assert codes - {code.name for code in ErrorCode} == DOOR_CODES


def test_every_id_in_an_input_says_what_it_names(served: GraphQLSchema):
    silent = [
        f"{definition.name}.{field.python_name}"
        for definition in definitions(served)
        if definition.is_input
        for field in definition.fields
        if ID in leaves(field.type_annotation.annotation) and not field.metadata.get("kind")
    ]

    assert silent == []


def test_no_resolver_returns_a_row(served: GraphQLSchema):
    returned = [
        f"{definition.name}.{field.python_name}: {leaf}"
        for definition in definitions(served)
        if not definition.is_input
        for field in definition.fields
        for leaf in leaf_types(field.type)
        if leaf.__module__.startswith(("domain.", "tortoise."))
    ]

    assert returned == []


def test_one_of_inputs_are_checked_by_the_executor_too(served: GraphQLSchema):
    chosen = served.type_map["AgentRef"]

    assert isinstance(chosen, GraphQLInputObjectType)
    assert chosen.is_one_of


def test_kinds_of_ids_have_prefixes_of_their_own():
    assert len({kind.value for kind in Kind}) == len(Kind)
    assert not any("_" in kind.value for kind in Kind)


def definitions(schema: GraphQLSchema) -> list[StrawberryObjectDefinition]:
    found = (kind.extensions.get("strawberry-definition") for kind in schema.type_map.values())
    return [one for one in found if isinstance(one, StrawberryObjectDefinition)]


def leaf_types(kind: typing.Any) -> list[type]:
    """Take lists, options, unions and references apart."""
    if isinstance(kind, LazyType):
        return leaf_types(kind.resolve_type())
    if isinstance(kind, StrawberryUnion):
        return [leaf for part in kind.types for leaf in leaf_types(part)]
    return leaf_types(kind.of_type) if isinstance(kind, StrawberryContainer) else [kind]


def leaves(annotation: object) -> list[object]:
    parts = typing.get_args(annotation)
    return [leaf for part in parts for leaf in leaves(part)] if parts else [annotation]


class Prune(Visitor):
    """Takes out what a schema does not have."""

    def __init__(self, schema: GraphQLSchema, types: TypeInfo) -> None:
        super().__init__()
        self._schema = schema
        self._types = types

    def enter_field(self, node: FieldNode, *_: object) -> object:
        return None if self._types.get_field_def() or node.name.value == "__typename" else REMOVE

    def enter_inline_fragment(self, node: InlineFragmentNode, *_: object) -> object:
        known = node.type_condition is None or self._known(node.type_condition.name.value)
        return None if known else REMOVE

    def _known(self, name: str) -> GraphQLNamedType | None:
        return self._schema.type_map.get(name)


def within(schema: GraphQLSchema, document: DocumentNode) -> DocumentNode:
    """Restrict a document to what a schema has."""
    types = TypeInfo(schema)
    pruned = visit(document, TypeInfoVisitor(types, Prune(schema, types)))
    [operation] = names_of(pruned)
    return only(pruned, operation)


def lacks(schema: GraphQLSchema, document: DocumentNode, name: str) -> bool:
    """Tell whether a schema has none of the fields that an operation begins with."""
    wanted = only(document, name)
    operation = typing.cast("OperationDefinitionNode", wanted.definitions[0])
    root = schema.get_root_type(operation.operation)
    fields = {node.name.value for node in operation.selection_set.selections}  # type: ignore[union-attr]
    return root is None or not fields & set(root.fields)
