"""What clients send, checked: values of the right shape, or every problem by the client's name."""

import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from math import isfinite
from typing import Annotated, Any, TypeVar, cast

import orjson
from pydantic import (
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Strict,
    ValidationError,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

from domain.kernel.errors import FieldProblem, UnknownField, ValidationFailed

LARGEST_JSON_BYTES = 64 * 1024
DEEPEST_JSON = 32
LARGEST_WHOLE = 2**53 - 1
"""The largest number that every JSON reader keeps exactly (RFC 8259, section 6)."""

_QUOTED = re.compile(r"'([^']*)'")

Steps = tuple[str, ...]
M = TypeVar("M", bound="ClientModel")


class ClientModel(BaseModel):
    """Base of everything a client sends: camelCase names, nothing unknown, never changed."""

    model_config = ConfigDict(
        defer_build=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
    )


def _without_point(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Text = Annotated[str, Strict()]
"""Text; nothing else is turned into it."""
Whole = Annotated[int, Strict(), BeforeValidator(_without_point)]
"""A whole number, 5.0 among them as JSON Schema counts; neither `"5"` nor true."""
Number = Annotated[float, Strict(), AllowInfNan(allow_inf_nan=False)]
"""A finite number."""
Flag = Annotated[bool, Strict()]
"""True or false; neither `"yes"` nor 1."""


def validated(model_class: type[M], values: Mapping[str, Any]) -> M:
    """Build the model from a client's values. Raises ValidationFailed naming every problem."""
    problems = [
        FieldProblem(path=path, message="Leave out NUL characters and lone surrogates.")
        for path, text in _texts(values)
        if not is_storable(text)
    ]
    if problems:
        raise ValidationFailed(problems)
    try:
        return model_class.model_validate(values, by_alias=True, by_name=False)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ValidationFailed([_problem(model_class, detail) for detail in details]) from None


def exactly_one_of(*names: str) -> dict[str, Any]:
    """Return the JSON Schema of the rule that one of these fields is given and no other."""
    return {
        "oneOf": [
            {
                "required": [chosen],
                "properties": {
                    name: {"not": {"type": "null"}} if name == chosen else {"type": "null"}
                    for name in names
                },
            }
            for chosen in names
        ]
    }


def _texts(root: object) -> Iterator[tuple[Steps, str]]:
    """Every text in a value, keys included, with its path; what lies too deep is refused later."""
    waiting: list[tuple[Steps, object]] = [((), root)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str):
            yield path, value
        elif len(path) > 2 * DEEPEST_JSON:
            continue
        elif isinstance(value, Mapping):
            for key, item in cast("Mapping[object, object]", value).items():
                yield path, str(key)
                waiting.append(((*path, str(key)), item))
        elif isinstance(value, list | tuple):
            items = cast("Sequence[object]", value)
            waiting.extend(((*path, str(place)), item) for place, item in enumerate(items))


def is_storable(text: str) -> bool:
    """False for what PostgreSQL and UTF-8 cannot hold: NUL and lone surrogates."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable(text: str) -> str:
    """Return the text of a model or a tool with U+FFFD for what cannot be stored."""
    # A token is nearly always plain, and comes here one by one.
    if (text.isascii() and "\0" not in text) or is_storable(text):
        return text
    return re.sub("[\0\ud800-\udfff]", "\ufffd", text)


def _problem(model_class: type[BaseModel], detail: ErrorDetails) -> FieldProblem:
    path = tuple(str(step) for step in detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = _fields_beside(model_class, detail["loc"])
        return UnknownField(path=path, message=no_such_field(path[-1], known))
    words = _WORDS.get(detail["type"])
    context = {"input": detail["input"], **detail.get("ctx", {})}
    message = words(context) if words is not None else f"{detail['msg']}."
    return FieldProblem(path=path, message=message)


def no_such_field(name: str, known: Sequence[str]) -> str:
    """Say which fields there are, or only the one that is likely meant."""
    by_lower = {one.lower(): one for one in known}
    close = get_close_matches(name.lower(), by_lower, n=1)
    if close:
        return f"There is no such field; did you mean {by_lower[close[0]]}?"
    return f"There is no such field; the fields here are {', '.join(known)}."


def client_fields(annotation: Any) -> Sequence[str]:
    """Return the names of the fields of a model, or of all models of a union, each once."""
    names = (
        _client_name(model, name) for model in _models_in(annotation) for name in model.model_fields
    )
    return list(dict.fromkeys(names))


def _fields_beside(model_class: type[BaseModel], loc: Sequence[int | str]) -> Sequence[str]:
    """Return the fields that there are in the place of one that there is not."""
    found: type[BaseModel] | None = model_class
    for step in loc[:-1]:
        if isinstance(step, str) and found is not None:
            found = _model_at(found, step)
    return [] if found is None else client_fields(found)


def _client_name(model_class: type[BaseModel], name: str) -> str:
    return model_class.model_fields[name].alias or name


def _model_at(model_class: type[BaseModel], step: str) -> type[BaseModel] | None:
    for name, field in model_class.model_fields.items():
        if _client_name(model_class, name) == step:
            return next(_models_in(field.annotation), None)
    return None


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models named by an annotation, such as `tuple[ModelSettings, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        for argument in typing.get_args(annotation):
            yield from _models_in(argument)


Context = Mapping[str, Any]


def _choices(context: Context) -> str:
    choices = _QUOTED.findall(str(context["expected"]))
    return f"Use one of {', '.join(choices)}."


def _too_short(context: Context) -> str:
    least = context["min_length"]
    if least == 1:
        return "Give at least one character; this is empty."
    return f"Use at least {least} characters; this has {len(context['input'])}."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def _fixed(message: str) -> Callable[[Context], str]:
    return lambda _context: message


_WORDS: Mapping[str, Callable[[Context], str]] = {
    "missing": _fixed("Give a value; this field is required."),
    "string_type": _fixed("Give text."),
    "string_too_short": _too_short,
    "string_too_long": lambda c: (
        f"Use at most {c['max_length']} characters; this has {len(c['input'])}."
    ),
    "string_pattern_mismatch": lambda c: f"Use text of the form {c['pattern']}.",
    "too_short": lambda c: f"Give at least {c['min_length']} items, not {c['actual_length']}.",
    "too_long": lambda c: f"Give at most {c['max_length']} items.",
    "int_type": _fixed("Give a whole number."),
    "float_type": _fixed("Give a number."),
    "finite_number": _fixed("Give a finite number."),
    "int_parsing": _fixed("Give a whole number."),
    "int_from_float": _fixed("Give a whole number."),
    "float_parsing": _fixed("Give a number."),
    "bool_type": _fixed("Give true or false."),
    "bool_parsing": _fixed("Give true or false."),
    "list_type": _fixed("Give a list."),
    "tuple_type": _fixed("Give a list."),
    "dict_type": _fixed("Give a JSON object."),
    "model_type": _fixed("Give a JSON object."),
    "enum": _choices,
    "literal_error": _choices,
    "greater_than": lambda c: f"Give more than {c['gt']:g}.",
    "greater_than_equal": lambda c: f"Give at least {c['ge']}.",
    "less_than": lambda c: f"Give less than {c['lt']}.",
    "less_than_equal": lambda c: f"Give at most {c['le']}.",
    "value_error": lambda c: _sentence(str(c["error"])),
    "refused": lambda c: str(c["reason"]),
}


def refusal(reason: str) -> PydanticCustomError:
    """Return what a validator raises to be quoted to the client as it is."""
    return PydanticCustomError("refused", "{reason}", {"reason": reason})


def _json_object(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise refusal("Give a JSON object.")
    found = dict(cast("Mapping[str, Any]", value))
    for path, item in _leaves(found):
        complaint = _complaint(item)
        if complaint is not None:
            raise refusal(f"{complaint} At {'.'.join(path) or 'the root'}.")
    try:
        size = len(orjson.dumps(found))
    except TypeError as error:
        raise refusal("Give keys of text and whole numbers of at most 64 bits.") from error
    if size > LARGEST_JSON_BYTES:
        raise refusal(f"Use at most {LARGEST_JSON_BYTES} bytes as JSON; this has {size}.")
    return found


def _leaves(root: Mapping[str, Any]) -> Iterator[tuple[Steps, object]]:
    """What a JSON value is made of; stops going down below the deepest level."""
    waiting: list[tuple[Steps, object]] = [((), root)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Mapping | list | tuple) and len(path) >= DEEPEST_JSON:
            raise refusal(f"Nest at most {DEEPEST_JSON} levels.")
        if isinstance(value, Mapping):
            items = cast("Mapping[object, object]", value).items()
            waiting.extend(((*path, str(key)), item) for key, item in items)
        elif isinstance(value, list | tuple):
            listed = enumerate(cast("Sequence[object]", value))
            waiting.extend(((*path, str(place)), item) for place, item in listed)
        else:
            yield path, value


def _complaint(value: object) -> str | None:
    if isinstance(value, float) and not isfinite(value):
        return "Give finite numbers."
    if value is None or isinstance(value, str | int | float | bool):
        return None
    return "Give only JSON values."


JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object)]
"""Free data of a client: an object of at most 64 KiB, 32 levels and finite numbers."""


def _any_json(value: object) -> Any:
    return _json_object({"value": value})["value"]


AnyJson = Annotated[Any, BeforeValidator(_any_json)]
"""Any JSON value of a client, within the bounds of JsonObject."""
