"""Tools from typed functions: signature and docstring are the only description."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    JsonValue,
    PydanticSchemaGenerationError,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic.fields import FieldInfo

from domain.kernel.json_schema import PlainSchema
from domain.tools.calls import InvalidArguments, InvalidResult, Tool, ToolContext
from domain.tools.complaints import complaint, problems
from domain.tools.manifest import COMPUTES, ToolManifest, ToolTraits


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionTool:
    """A tool whose work one typed function does; made by `tool_from`."""

    manifest: ToolManifest
    function: Callable[..., object]
    arguments: type[BaseModel]
    result: TypeAdapter[object]
    context_name: str | None
    """Parameter that takes the ToolContext; None when the function wants none."""

    def accept(self, arguments: Mapping[str, JsonValue]) -> Mapping[str, object]:
        """Check and convert; the function gets exactly what its signature says."""
        try:
            accepted = self.arguments.model_validate(dict(arguments))
        except ValidationError as error:
            names = list(self.arguments.model_fields)
            raise InvalidArguments(complaint(error, names), problems(error, names)) from None
        return {name: getattr(accepted, name) for name in self.arguments.model_fields}

    async def invoke(self, accepted: Mapping[str, object], context: ToolContext) -> JsonValue:
        """Await an async function; run any other in a thread, off the event loop."""
        keywords = dict(accepted)
        if self.context_name is not None:
            keywords[self.context_name] = context
        if inspect.iscoroutinefunction(self.function):
            return self._as_json(await cast("Awaitable[object]", self.function(**keywords)))
        return await asyncio.to_thread(lambda: self._as_json(self.function(**keywords)))

    def _as_json(self, value: object) -> JsonValue:
        try:
            return cast("JsonValue", self.result.dump_python(value, mode="json", warnings="error"))
        except ValueError as error:
            message = f"{self.manifest.name} gave a result that its own schema does not allow."
            raise InvalidResult(message) from error


def tool_from(
    function: Callable[..., object],
    *,
    domain: str,
    traits: ToolTraits = COMPUTES,
    name: str | None = None,
) -> Tool:
    """Make a tool of a function, plain or async, whose parameters and result are typed.

    Each parameter is `Annotated[T, Field(description=...)]`; one typed ToolContext is filled in
    by the registry and not shown to models. Raises TypeError where a description is missing.
    """
    title = name or function.__name__
    hints = get_type_hints(function, include_extras=True)
    doc = inspect.getdoc(function)
    if not doc or "return" not in hints:
        raise TypeError(f"{title}: a tool needs a docstring and a return type.")
    context_names = [key for key, hint in hints.items() if hint is ToolContext]
    arguments = _arguments_model(title, function, hints)
    result = _result_adapter(title, hints["return"])
    return FunctionTool(
        manifest=ToolManifest(
            name=title,
            domain=domain,
            description=" ".join(doc.split()),
            input_schema=_plain(arguments.model_json_schema(schema_generator=PlainSchema)),
            output_schema=_plain(
                result.json_schema(mode="serialization", schema_generator=PlainSchema)
            ),
            **asdict(traits),
        ),
        function=function,
        arguments=arguments,
        result=result,
        context_name=context_names[0] if context_names else None,
    )


def _arguments_model(
    title: str, function: Callable[..., object], hints: Mapping[str, Any]
) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        hint = hints.get(parameter.name)
        if hint is ToolContext:
            continue
        if not _is_described(hint):
            raise TypeError(
                f"{title}: {parameter.name} needs Annotated[..., Field(description=...)]."
            )
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (hint, default)
    config = ConfigDict(extra="forbid", protected_namespaces=())
    return create_model(title, __config__=config, **fields)


def _is_described(hint: object) -> bool:
    return get_origin(hint) is Annotated and any(
        isinstance(extra, FieldInfo) and extra.description for extra in get_args(hint)[1:]
    )


def _result_adapter(title: str, hint: Any) -> TypeAdapter[object]:
    try:
        return TypeAdapter[object](hint)
    except PydanticSchemaGenerationError as error:
        raise TypeError(f"{title}: its return type cannot be written as JSON.") from error


def _plain(schema: dict[str, Any]) -> Mapping[str, JsonValue]:
    """Leave out the names of Python classes and the detour to "any JSON"."""
    definitions = schema.get("$defs", {})
    for part in (schema, *definitions.values()):
        part.pop("title", None)
    if definitions.pop("JsonValue", None) is not None:
        _drop_references(schema, "#/$defs/JsonValue")
    if not definitions:
        schema.pop("$defs", None)
    return schema


def _drop_references(part: Any, target: str) -> None:
    if isinstance(part, dict):
        node = cast("dict[str, Any]", part)
        if node.get("$ref") == target:
            del node["$ref"]
        for below in node.values():
            _drop_references(below, target)
    elif isinstance(part, list):
        for below in cast("list[Any]", part):
            _drop_references(below, target)
