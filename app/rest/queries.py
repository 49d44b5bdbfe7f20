"""What clients say in the address: parameters of the right shape, or every problem by name."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, TypeVar, get_origin
from urllib.parse import parse_qsl

from pydantic import BeforeValidator, Field
from pydantic.fields import FieldInfo

from app.documents.base import id_pattern
from domain.kernel.errors import FieldProblem, ValidationFailed
from domain.kernel.moments import Instant
from domain.kernel.paging import DEFAULT_SIZE, LARGEST_SIZE
from domain.kernel.validation import ClientModel, Text, refusal, validated
from schema.ids import Kind

MOST_PARAMETERS = 100
CURSOR_PATTERN = "^[0-9]{1,19}\\.[0-9a-f]{8}$"
"""What the cursor of an event looks like, for the description only."""
_WHOLE = re.compile(r"-?[0-9]{1,15}")


def _whole(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _WHOLE.fullmatch(value):
        raise refusal("Give a whole number.")
    return int(value)


def _flag(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value not in {"true", "false"}:
        raise refusal("Give true or false.")
    return value == "true"


def _written(value: object) -> object:
    return value.replace(" ", "+") if isinstance(value, str) else value


WholeText = Annotated[int, BeforeValidator(_whole)]
"""A whole number in an address."""
FlagText = Annotated[bool, BeforeValidator(_flag)]
"""`true` or `false` in an address."""
MomentQuery = Annotated[Instant, BeforeValidator(_written)]
"""A moment in an address, in microseconds; `+` stands for a blank there and is taken back."""
After = Annotated[
    Text,
    Field(
        min_length=1,
        description="Cursor of the last item seen; absent starts with the first.",
    ),
]
PageSize = Annotated[
    WholeText,
    Field(ge=1, le=LARGEST_SIZE, description="Most items of the page."),
]


def of_kind(kind: Kind) -> Any:
    """Describe a text as an id of a kind; the endpoint decodes it."""
    return Field(json_schema_extra={"pattern": id_pattern(kind)})


class Query(ClientModel):
    """Base of the parameters of an endpoint.

    A list takes a parameter that may come several times. `open_fields` maps a prefix to the
    field that gathers every parameter that begins with it.
    """

    open_fields: ClassVar[Mapping[str, str]] = {}


class NoQuery(Query):
    """No parameters."""


class PageQuery(Query):
    """Which part of a list."""

    first: PageSize = DEFAULT_SIZE
    after: After | None = None


class QueryRefused(ValidationFailed):
    """Parameters of the address that are not acceptable."""


Q = TypeVar("Q", bound=Query)


def read_query(model: type[Q], query_string: bytes) -> Q:
    """Read the parameters. Raises QueryRefused naming each that is unknown or wrong."""
    try:
        pairs = parse_qsl(
            query_string.decode("latin-1"),
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        message = f"Send at most {MOST_PARAMETERS} parameters."
        raise QueryRefused([FieldProblem(path=(), message=message)]) from None
    try:
        return validated(model, _gathered(model, pairs))
    except ValidationFailed as error:
        raise QueryRefused(error.problems) from None


def parameters(model: type[Query]) -> Mapping[str, FieldInfo]:
    """Return the parameters by the name in the address."""
    return {part.alias or name: part for name, part in model.model_fields.items()}


def _gathered(model: type[Query], pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    known = parameters(model)
    gathering = set(model.open_fields.values())
    found: dict[str, Any] = {}
    problems: list[FieldProblem] = []
    for name, value in pairs:
        opened = next((start for start in model.open_fields if name.startswith(start)), None)
        if opened is not None:
            inside = found.setdefault(model.open_fields[opened], {})
            path = name.removeprefix(opened)
            if path in inside:
                problems.append(_twice(name))
            inside[path] = value
        elif name not in known or name in gathering:
            problems.append(_unknown(name, model))
        elif get_origin(known[name].annotation) is list:
            found.setdefault(name, []).append(value)
        elif name in found:
            problems.append(_twice(name))
        else:
            found[name] = value
    if problems:
        raise ValidationFailed(problems)
    return found


def _twice(name: str) -> FieldProblem:
    return FieldProblem(path=(name,), message="Send this parameter once.")


def _unknown(name: str, model: type[Query]) -> FieldProblem:
    gathering = set(model.open_fields.values())
    known = [known for known in parameters(model) if known not in gathering]
    known += [f"{start}PATH" for start in model.open_fields]
    shown = name.encode("utf-8", "replace").decode().replace("\0", "?")[:100]
    close = get_close_matches(name, known, n=1)
    if close:
        message = f"There is no such parameter; did you mean {close[0]}?"
    elif known:
        message = f"There is no such parameter; there are {', '.join(known)}."
    else:
        message = "There is no such parameter; this path takes none."
    return FieldProblem(path=(shown,), message=message)
