"""Executes operations as graphql-core does, with plans where a value allows one.

A subscription's root selection is collected once and not for every event. That also ends a leak:
graphql-core 3.3.2 remembers sub-selections by the identity of lists that are new for each event.
"""

from collections.abc import Awaitable
from copy import copy
from typing import Any, cast

from graphql import (
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationType,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet, collect_fields
from graphql.execution.executor import CollectedErrors
from graphql.pyutils import Path
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from app.graphql.completion import (
    NotPlannable,
    OutputType,
    Plan,
    PlanKey,
    Planner,
    is_leaf,
    leaf_plan,
    nullable,
    plain_attribute,
)
from app.graphql.errors import EdgeCode, RequestRejected, ServerFault
from app.graphql.gate import Operation

MaybeAwaitable = Any
"""A value or an awaitable of it, as graphql-core returns."""


class PlannedExecutor(Executor[None]):
    """Graphql-core's executor that asks for a plan before it completes a value."""

    build_resolve_info = cast("Any", StrawberryGraphQLCoreExecutionContext).build_resolve_info

    def __init__(self, *args: Any, shared: Operation, plans: bool, **kwargs: Any) -> None:
        cast("Any", super()).__init__(*args, **kwargs)
        self.operation_extensions: dict[str, Any] = {}
        self._shared = shared
        self._plans_on = plans
        self._found: dict[tuple[int, int], tuple[FieldDetailsList, Plan | None]] = {}
        self._readers: dict[int, tuple[GroupedFieldSet, _LeafReader | None]] = {}

    def plan_for(self, kind: OutputType, details: FieldDetailsList) -> Plan | None:
        """Find or make the plan of one place in the document, None where there is none."""
        if not self._plans_on or is_leaf(nullable(kind)):
            return None
        local = (id(kind), id(details))
        found = self._found.get(local)
        if found is None:
            # The list is kept beside its plan, so that its id is not given to another one.
            found = self._found[local] = (details, self._shared_plan(kind, details))
        return found[1]

    def _shared_plan(self, kind: OutputType, details: FieldDetailsList) -> Plan | None:
        if any(d.defer_usage or d.fragment_variable_values for d in details):
            return None
        coerced = self.variable_values.coerced
        key: PlanKey = (
            id(kind),
            tuple(id(detail.node) for detail in details),
            tuple(coerced.get(name) for name in self._shared.condition_variables),
        )
        planner = Planner(self.schema, self._grouped)
        return self._shared.plans.find(key, lambda: planner.plan(kind, details))

    def _grouped(self, kind: GraphQLObjectType, details: FieldDetailsList) -> GroupedFieldSet:
        return self.collect_subfields(kind, details).grouped_field_set

    def complete_value(  # noqa: PLR0917  # the library's signature
        self,
        return_type: OutputType,
        field_details_list: FieldDetailsList,
        info: Any,
        path: Path,
        result: Any,
        position_context: None,
    ) -> MaybeAwaitable:
        """Complete by plan, else by the specification; see the base class."""
        plan = self.plan_for(return_type, field_details_list)
        if plan is not None and result is not None:
            try:
                return plan(result)
            except Exception:  # noqa: BLE001, S110  # any surprise means: the specification's way
                pass
        try:
            return cast("Any", super()).complete_value(
                return_type, field_details_list, info, path, result, position_context
            )
        except GraphQLError as error:
            if error.path is None:
                # The value does not fit the schema; a caller's mistake would have a path by now.
                raise ServerFault(error.message) from error
            raise

    def execute_fields(  # noqa: PLR0917  # the library's signature
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: None,
    ) -> MaybeAwaitable:
        """Read plain leaves of a mixed selection at once and leave the rest to the base class."""
        reader = self._leaf_reader(parent_type, grouped_field_set) if self._plans_on else None
        plain = reader.read(source_value) if reader is not None else None
        if not plain:
            return super().execute_fields(
                parent_type, source_value, path, grouped_field_set, position_context
            )
        rest = {name: details for name, details in grouped_field_set.items() if name not in plain}
        done = super().execute_fields(parent_type, source_value, path, rest, position_context)
        if optimized_is_awaitable(done):
            return _merged_later(cast("Any", done), plain, grouped_field_set)
        return _merged(cast("dict[str, Any]", done), plain, grouped_field_set)

    def _leaf_reader(
        self, parent_type: GraphQLObjectType, grouped: GroupedFieldSet
    ) -> "_LeafReader | None":
        found = self._readers.get(id(grouped))
        if found is None or found[0] is not grouped:
            found = self._readers[id(grouped)] = (grouped, _LeafReader.of(parent_type, grouped))
        return found[1]

    def for_event(self, event: Any) -> "PlannedExecutor":
        """Return a copy that completes one event and collects its own errors."""
        executor = copy(self)
        executor.root_value = event
        executor.collected_errors = CollectedErrors()
        return executor


class _LeafReader:
    """Reads those fields of a selection that are plain attributes with leaf values."""

    def __init__(self, fields: list[tuple[str, str, Plan, bool]]) -> None:
        self._fields = fields

    @classmethod
    def of(cls, kind: GraphQLObjectType, grouped: GroupedFieldSet) -> "_LeafReader | None":
        fields: list[tuple[str, str, Plan, bool]] = []
        for response_name, details in grouped.items():
            name = details[0].node.name.value
            attribute = plain_attribute(kind, name)
            if attribute is None or not is_leaf(nullable(kind.fields[name].type)):
                continue
            field_type = kind.fields[name].type
            try:
                convert = leaf_plan(nullable(field_type))
            except NotPlannable:
                continue
            fields.append((response_name, attribute, convert, nullable(field_type) is field_type))
        return cls(fields) if fields else None

    def read(self, source: Any) -> dict[str, Any]:
        """Return what could be read; a field with a surprise is left out."""
        found: dict[str, Any] = {}
        for response_name, attribute, convert, may_be_null in self._fields:
            try:
                value = getattr(source, attribute)
                if value is not None or not may_be_null:
                    value = convert(value)
            except Exception:  # noqa: BLE001, S112  # left to the specification's way
                continue
            found[response_name] = value
        return found


def _merged(rest: dict[str, Any], plain: dict[str, Any], order: GroupedFieldSet) -> dict[str, Any]:
    rest.update(plain)
    return {name: rest[name] for name in order if name in rest}


async def _merged_later(
    rest: Awaitable[dict[str, Any]], plain: dict[str, Any], order: GroupedFieldSet
) -> dict[str, Any]:
    return _merged(await rest, plain, order)


def build_executor(
    schema: GraphQLSchema,
    operation: Operation,
    *,
    variables: dict[str, Any] | None,
    context: Any,
    plan_after: int,
) -> PlannedExecutor:
    """Coerce the variables and prepare to execute; raises RequestRejected if they do not fit.

    Plans are made from the `plan_after`-th repetition of a document, and for subscriptions at
    once: a document that is sent a single time costs less without.
    """
    repeats = operation.plans.uses
    operation.plans.uses += 1
    built: Any = cast("Any", PlannedExecutor).build(
        schema,
        operation.document,
        context_value=context,
        raw_variable_values=variables,
        operation_name=operation.name,
        is_awaitable=optimized_is_awaitable,
        shared=operation,
        plans=repeats >= plan_after or operation.kind is OperationType.SUBSCRIPTION,
    )
    if isinstance(built, PlannedExecutor):
        return built
    raise RequestRejected.of(built, EdgeCode.BAD_USER_INPUT)


class EventCompletion:
    """Completes the events of one subscription, its root selection collected once."""

    def __init__(self, executor: PlannedExecutor) -> None:
        root = executor.schema.subscription_type
        if root is None:
            raise RequestRejected.one("There are no subscriptions.", EdgeCode.BAD_USER_INPUT)
        self._executor = executor
        self._root = root
        self._grouped = collect_fields(
            executor.schema, executor.fragments, executor.variable_values, root, executor.operation
        ).grouped_field_set
        self.response_name, details = next(iter(self._grouped.items()))
        self.field_name = details[0].node.name.value
        field = root.fields.get(self.field_name)
        self.plan = executor.plan_for(field.type, details) if field is not None else None

    async def complete(self, event: Any) -> tuple[dict[str, Any] | None, list[GraphQLError]]:
        """Return data and errors of an event by the specification's way."""
        executor = self._executor.for_event(event)
        data: dict[str, Any] | None
        try:
            completed = executor.execute_fields(self._root, event, None, self._grouped, None)
            data = await completed if optimized_is_awaitable(completed) else completed
        except GraphQLError as error:
            executor.collected_errors.add(error, None)
            data = None
        return data, executor.collected_errors.errors
