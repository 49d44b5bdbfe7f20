"""JSON Schemas of documents and bodies, with the names and words of the GraphQL schema."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from graphql import GraphQLEnumType, GraphQLNamedType, GraphQLSchema
from pydantic import TypeAdapter

from app.documents.base import id_pattern
from app.rest.endpoints import Body

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]

ROOT = "#/components/schemas/"

PUBLIC_NAMES: Mapping[str, str] = {
    "AdhocSpec": "AdhocScheduleInput",
    "Adjustment": "AdjustBehaviorInput",
    "AgentChoice": "AgentRef",
    "BackfillWish": "BackfillTaskInput",
    "RunNowBody": "RunTaskNowInput",
    "SaveSpec": "SaveMemoryInput",
    "ScheduleSpec": "ScheduleInput",
    "ScheduledSpec": "CronScheduleInput",
    "CancelSpec": "CancelRunInput",
    "CronFields": "CronFieldsInput",
    "CronSpec": "CronInput",
    "EffectGiven": "RuleEffectInput",
    "ExecuteSpec": "ExecuteAgentInput",
    "LimitEffectGiven": "LimitEffectInput",
    "LimitsSpec": "RunLimitsInput",
    "ModelChoice": "ModelInput",
    "NewRule": "BehaviorRuleInput",
    "NewTask": "CreateTaskInput",
    "PlannedSpec": "PlannedScheduleInput",
    "RuleUpdate": "BehaviorRuleUpdate",
    "Strategy": "AdjustStrategy",
    "PauseTaskBody": "PauseTaskInput",
    "UpdateTaskBody": "UpdateTaskInput",
    "WarningCode": "ScheduleWarningCode",
    "ToolEffectGiven": "ToolEffectInput",
}
"""Names of the GraphQL schema for models that are called otherwise inside."""
_SCHEDULES = ("AdhocScheduleInput", "PlannedScheduleInput", "CronScheduleInput")
WORDS_OF: Mapping[str, Sequence[str]] = {
    "FlatTask": ("CreateTaskInput", *_SCHEDULES),
    "FlatTaskChanges": ("UpdateTaskInput", *_SCHEDULES),
    "FlatPreviewBody": _SCHEDULES,
    "OccurrenceWithAttempts": ("Occurrence",),
}
"""GraphQL types whose words describe the fields of a model that has no type of its own."""

# Pydantic 2.14 writes a bound by its own name where a validator stands before it.
_BOUNDS = {
    "ge": "minimum",
    "le": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
    "min_length": "minLength",
    "max_length": "maxLength",
}


class Components:
    """The schemas of an OpenAPI document, and references to them."""

    def __init__(self, models: Mapping[Any, Mode], words: GraphQLSchema) -> None:
        given: list[tuple[int, Mode, TypeAdapter[Any]]] = [
            (place, mode, TypeAdapter[Any](model))
            for place, (model, mode) in enumerate(models.items())
        ]
        found, whole = TypeAdapter.json_schemas(given, ref_template=f"{ROOT}{{model}}")
        self._schemas: Json = {
            public_name(name): tidy(schema) for name, schema in whole.get("$defs", {}).items()
        }
        self._refs: dict[int, Json] = {}
        for place, model in enumerate(models):
            schema = cast("Json", tidy(found[place, models[model]]))
            self._refs[id(model)] = schema if "$ref" in schema else self._named(schema)
        for name, schema in self._schemas.items():
            _describe(schema, words.get_type(name))
            for known in WORDS_OF.get(name, ()):
                _describe_fields(schema, words.get_type(known))

    def ref(self, model: Any) -> Json:
        """Return a reference to the schema of a model."""
        return self._refs[id(model)]

    def schemas(self) -> Json:
        """Return every schema by name, in the order of the alphabet."""
        return dict(sorted(self._schemas.items()))

    def adjust(self, body: Body) -> None:
        """Say what this door adds to a body's model: defaults, ids, moments and nulls."""
        for schema in self._forms(self.ref(body.model)):
            for name, default in body.defaults.items():
                schema["properties"][name]["default"] = default
            for path, kind in body.ids.items():
                self._part(schema, path)["pattern"] = id_pattern(kind)
            for path in body.moments:
                _make_moment(self._part(schema, path))
            if body.takes_null:
                _allow_null(schema)

    def _forms(self, schema: Json) -> Sequence[Json]:
        """The schemas of a body: one, or each of a union."""
        return [self._resolved(one) for one in schema.get("anyOf", [schema])]

    def _part(self, schema: Json, path: str) -> Json:
        """Find the schema of a field by its dotted path, in lists of their items."""
        holder, steps = schema, path.split(".")
        for step in steps[:-1]:
            part = holder["properties"][step]
            holder = self._resolved(part.get("items", part))
        found: Json = holder["properties"][steps[-1]]
        return found.get("items", found)

    def _named(self, schema: Json) -> Json:
        """Keep a union under its title, where it has one."""
        if "title" not in schema:
            return schema
        name: str = schema.pop("title")
        self._schemas[name] = schema
        return {"$ref": f"{ROOT}{name}"}

    def _resolved(self, schema: Json) -> Json:
        for one in [schema, *schema.get("anyOf", [])]:
            if "$ref" in one:
                return self._schemas[one["$ref"].removeprefix(ROOT)]
        return schema


def _make_moment(part: Json) -> None:
    """Describe as text what the service takes in microseconds."""
    kinds = ["string", "null"] if isinstance(part["type"], list) else "string"
    kept = {key: part[key] for key in ("description",) if key in part}
    part.clear()
    part.update(type=kinds, format="date-time", **kept)


def _allow_null(schema: Json) -> None:
    """Let every field that need not be there be null."""
    for name, part in schema["properties"].items():
        if name in schema.get("required", ()):
            continue
        if isinstance(part.get("type"), str):
            part["type"] = [part["type"], "null"]
        elif "$ref" in part:
            part["anyOf"] = [{"$ref": part.pop("$ref")}, {"type": "null"}]


def public_name(name: str) -> str:
    """Name a model as the GraphQL schema does; what goes in and out has a name for each way."""
    found, _, way = name.partition("-")
    return f"{found}Input" if way == "Input" else PUBLIC_NAMES.get(found, found)


def tidy(value: Any) -> Any:
    """Use public names, write nullable values in short, and leave out what only repeats."""
    if isinstance(value, str) and value.startswith(ROOT):
        name = value.removeprefix(ROOT)
        return f"{ROOT}{public_name(name)}"
    if isinstance(value, list):
        return [tidy(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    found: Json = {}
    for key, inner in cast("Json", value).items():
        if key == "properties":
            found[key] = {name: _property(part) for name, part in inner.items()}
        elif key != "default" or inner is not None:
            found[_BOUNDS.get(key, key)] = tidy(inner)
    return _short_null(found)


def _property(schema: Json) -> Json:
    found: Json = tidy(schema)
    found.pop("title", None)
    return found


def _short_null(schema: Json) -> Json:
    match schema.get("anyOf"):
        case [{"type": str(kind)} as first, {"type": "null"}] if "enum" not in first:
            rest = {key: value for key, value in schema.items() if key != "anyOf"}
            return {**first, "type": [kind, "null"], **rest}
        case _:
            return schema


def _describe(schema: Json, words: GraphQLNamedType | None) -> None:
    """Take the words of the GraphQL type of the same name, where there is one."""
    schema.pop("title", None)
    if words is None:
        return
    schema["description"] = words.description or ""
    if isinstance(words, GraphQLEnumType):
        lines = [f"- `{name}`: {value.description}" for name, value in words.values.items()]
        schema["description"] = "\n".join([words.description or "", "", *lines])
    _describe_fields(schema, words)


def _describe_fields(schema: Json, words: GraphQLNamedType | None) -> None:
    fields = cast("Mapping[str, Any]", getattr(words, "fields", {}))
    for name, part in schema.get("properties", {}).items():
        if name in fields and "description" not in part:
            part["description"] = fields[name].description
